from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import TS_MS_MAX
from stream.blocks import (
    BYTES_MAX,
    BYTES_MIN,
    LENGTH_MAX,
    MESSAGES_MAX,
    NOTHING,
    ROOM,
    Lease,
    Message,
    Offered,
    Size,
    Terms,
    intent,
    recorded,
)  # fmt: skip


def message(offset: int) -> Message:
    return Message(offset, b"x", None)


@given(start=st.integers(0, (1 << 46)), length=st.integers(1, LENGTH_MAX))
def test_a_recorded_block_reads_back_and_fits_a_signed_offset(start: int, length: int) -> None:
    offset = intent(start, start + length)
    assert recorded(offset) == (start, start + length)
    assert offset < 1 << 63


def test_an_empty_or_too_long_block_cannot_be_recorded() -> None:
    for length in (0, LENGTH_MAX + 1):
        with pytest.raises(ValueError, match="a block has"):
            intent(5, 5 + length)


def test_a_successor_redoes_exactly_the_recorded_block_before_anything_else() -> None:
    lease = Lease(0, 1, next=10, redo=14)
    for offset in range(10, 13):
        assert lease.offer(message(offset)) is Offered.KEPT
    assert lease.cut() is None, "the recorded block is not whole yet"
    for offset in range(13, 20):
        lease.offer(message(offset))
    cut = lease.cut()
    assert cut is not None
    assert (cut.start, cut.end, len(cut.messages)) == (10, 14, 4)
    lease.made(cut, 99)
    following = lease.cut()
    assert following is not None
    assert (following.start, following.end) == (14, 20)


def test_what_was_seen_is_dropped_and_what_comes_too_early_is_asked_for_again() -> None:
    lease = Lease(0, 1, next=10)
    assert lease.offer(message(9)) is Offered.REPEATED
    assert lease.offer(message(12)) is Offered.EARLY
    assert lease.due == 10
    assert lease.offer(message(10)) is Offered.KEPT
    assert lease.offer(message(10)) is Offered.REPEATED
    assert lease.due == 11


def test_offsets_that_hold_no_message_are_passed_over_and_the_chain_stays_whole() -> None:
    lease = Lease(0, 1, next=10)
    assert lease.offer(replace(message(10), follows=10)) is Offered.KEPT
    assert lease.offer(replace(message(13), follows=11)) is Offered.KEPT
    assert lease.offer(replace(message(20), follows=16)) is Offered.EARLY, "something at 14 or 15 is missing"
    assert lease.skipped == 2
    cut = lease.cut()
    assert cut is not None
    assert (cut.start, cut.end, len(cut.messages)) == (10, 14, 2)


@pytest.mark.parametrize("gap", [1, LENGTH_MAX - 1, LENGTH_MAX, LENGTH_MAX + 1, 3 * LENGTH_MAX, 200_000])
@pytest.mark.parametrize("before", [0, 3])
def test_a_gap_longer_than_a_block_is_bridged_and_redone_alike(gap: int, before: int) -> None:
    def lease(**given: Any) -> Lease:
        made = Lease(0, 1, **({"next": 0} | given))
        for offset in range(made.next, before):
            made.offer(message(offset))
        made.offer(replace(message(before + gap), follows=min(made.due, before)))
        return made

    spans, one = [], lease()
    while cut := one.cut():
        intent(cut.start, cut.end)
        spans.append((cut.start, cut.end))
        again = lease(next=cut.start, redo=cut.end).cut()
        assert again is not None
        assert [m for m in again.messages if m.value != NOTHING] == [m for m in cut.messages if m.value != NOTHING]
        one.made(cut, 0)
    assert [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])]
    assert spans[-1][1] == before + gap + 1


@given(ts_ms=st.integers(0, TS_MS_MAX), level=st.integers(0, 255))
def test_the_terms_of_a_block_read_back_and_fit_a_signed_offset(ts_ms: int, level: int) -> None:
    terms = Terms(ts_ms, level)
    assert Terms.recorded(terms.offset) == terms
    assert terms.offset < 1 << 63


def test_a_block_is_redone_on_the_terms_it_was_recorded_with_and_the_next_on_new_ones() -> None:
    lease = Lease(0, 2, next=10, redo=12, terms=Terms(5000, 3))
    for offset in range(10, 14):
        lease.offer(message(offset))
    redone = lease.cut(level=7)
    assert redone is not None
    assert redone.terms == Terms(5000, 3)
    lease.made(redone, 6000)
    following = lease.cut(level=7)
    assert following is not None
    assert following.terms == Terms(6000, 7)


def test_a_block_is_bounded() -> None:
    lease = Lease(0, 1, next=0)
    for offset in range(MESSAGES_MAX + 5):
        lease.offer(message(offset))
    cut = lease.cut()
    assert cut is not None
    assert cut.end == MESSAGES_MAX


@pytest.mark.parametrize(("redo", "earliest"), [(None, 15), (14, 15), (20, 15), (14, 200_000), (None, 10)])
def test_a_log_cut_off_by_retention_leaves_the_chain_of_blocks_whole(redo: int | None, earliest: int) -> None:
    lease = Lease(0, 1, next=10, redo=redo)
    assert lease.truncated(earliest) == earliest - 10
    for offset in range(earliest, earliest + 30):
        lease.offer(message(offset))
    spans = []
    while cut := lease.cut():
        intent(cut.start, cut.end)
        spans.append((cut.start, cut.end))
        assert all(m.value == NOTHING for m in cut.messages if m.offset < earliest)
        lease.made(cut, 0)
    assert [a for a, _ in spans] == [10, *(b for _, b in spans[:-1])]
    assert spans[-1][1] == earliest + 30
    if redo is not None:
        assert spans[0] == (10, redo)


def test_blocks_are_as_large_as_leaves_their_usage_half_of_its_room() -> None:
    size = Size()
    size.made([(BYTES_MAX, ROOM / 2)])
    assert size.bytes_max == BYTES_MAX
    size.made([(BYTES_MAX, 2 * ROOM), (BYTES_MAX, ROOM), (BYTES_MAX, 1e-7)])
    assert size.bytes_max == BYTES_MAX // 4, "by the worst of them"
    size.made([(BYTES_MIN, 8 * ROOM)])
    assert size.bytes_max == BYTES_MIN
    size.made([(100, ROOM)])
    assert size.bytes_max == BYTES_MIN, "which says nothing"
    size.made([(BYTES_MIN, ROOM / 100)])
    assert size.bytes_max == BYTES_MAX, "ordinary traffic again"


def filled(lease: Lease, messages: int, each_bytes: int) -> Lease:
    for offset in range(messages):
        lease.offer(Message(offset, b"x" * each_bytes, None))
    return lease


def test_a_block_is_bounded_in_bytes_but_one_that_is_redone() -> None:
    cut = filled(Lease(0, 1, next=0), 6, 1000).cut(bytes_max=3000)
    assert cut is not None
    assert (cut.end, cut.fits(ROOM), cut.fits(1)) == (3, True, False)
    cut = filled(Lease(0, 1, next=0, redo=2), 6, 1000).cut(bytes_max=1)
    assert cut is not None
    assert (cut.end, cut.fits(1), cut.fits(1.1)) == (2, True, False), "as it was recorded, while it can be sent at all"


@pytest.mark.parametrize("redo", [None, 6])
def test_of_a_block_that_is_too_much_less_is_cut_until_one_message_is_left_which_is_thinned(redo: int | None) -> None:
    lease = filled(Lease(0, 1, next=0, redo=redo, terms=Terms(7000, 1 if redo else 0)), 6, 1000)
    seen = []
    for _ in range(5):
        cut = lease.cut()
        assert cut is not None
        seen.append((cut.end, cut.terms.level))
        lease.too_large(cut)
    level = 1 if redo else 0
    assert seen == [(6, level), (3, level), (1, level), (1, level + 1), (1, level + 2)]
    cut = lease.cut()
    assert cut is not None
    assert cut.terms.ts_ms_max == 7000
    lease.made(cut, 8000)
    cut = lease.cut()
    assert cut is not None
    assert (cut.end, cut.terms) == (6, Terms(8000, 0)), "the next one is as ever"
