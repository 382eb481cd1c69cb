from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_blocks import block_of, message
from stream_traffic import GLOBS, row

from schemas import codec
from schemas.usage import Kind
from stream import intake
from stream.blocks import Cut, Terms
from stream.event_time import Rule
from stream.sampling import LEVEL_MAX, opened, thinned, weights

RULE = Rule()
ORDINARY = [row(i, ip=f"198.51.100.{i % 50}") for i in range(2000)]
MARKED = [
    *(row(i, ip="203.0.113.7", method="POST", route="/login", path="/login", status=200) for i in range(100)),
    *(row(i, ip="203.0.113.8", path=f"/x{i}", status=404) for i in range(100)),
    *(row(i, ip="203.0.113.9", verdict="limit") for i in range(100)),
]

BATCH = codec.from_rows(ORDINARY[:200] + MARKED)


def counts(cut: Cut) -> dict[tuple[int, str], int]:
    [block] = block_of(cut, 0, RULE)
    rows = block.counts.select(["kind", "entity", "n"]).to_pydict()
    found: dict[tuple[int, str], int] = {}
    for kind, entity, n in zip(*rows.values(), strict=True):
        found[kind, entity] = found.get((kind, entity), 0) + n
    return found


def test_what_detectors_look_for_is_thinned_last() -> None:
    assert [weights(level).ordinary for level in (0, 1, 6, LEVEL_MAX)] == [1, 2, 64, 64]
    assert [weights(level).marked for level in (0, 6, 7, 12)] == [1, 1, 2, 64]
    assert [weights(level).message for level in (12, 13, LEVEL_MAX)] == [1, 2, 16]


@given(level=st.integers(0, LEVEL_MAX), start=st.integers(0, 1 << 40), partition=st.integers(0, 1023))
def test_a_block_thinned_again_is_the_same_block(level: int, start: int, partition: int) -> None:
    first, again = (thinned(BATCH, (partition, start), level, GLOBS)[0] for _ in range(2))
    assert first.equals(again)


@pytest.mark.parametrize("level", [1, 3, 6])
def test_refusals_errors_and_logins_are_all_there_and_weigh_what_they_did(level: int) -> None:
    cut = Cut(7, 8, (message(7, ORDINARY + MARKED),), Terms(0, level))
    for address in ("203.0.113.7", "203.0.113.8", "203.0.113.9"):
        assert counts(cut)[Kind.IP, address] == 100


@pytest.mark.parametrize("level", [2, 6, 8, 13])
def test_sums_of_windows_stay_right_on_average_at_every_level(level: int) -> None:
    rows, blocks = ORDINARY[:400] + MARKED, 300
    value = message(0, rows)
    cuts = [Cut(i, i + 1, (replace(value, offset=i),), Terms(0, level)) for i in range(blocks)]
    totals = [sum(intake.take(cut, 0, RULE, GLOBS).batch.column("weight").to_pylist()) for cut in cuts]
    mean = sum(totals) / blocks
    spread = (sum((n - mean) ** 2 for n in totals) / blocks) ** 0.5 / blocks**0.5
    assert spread > 0
    assert abs(mean - len(rows)) < 4 * spread


def test_a_row_that_stood_for_others_stands_for_as_many_more() -> None:
    batch, kept = thinned(codec.from_rows([row(i, weight=3) for i in range(500)]), (0, 0), 4, GLOBS)
    assert kept is not None
    assert set(batch.column("weight").to_pylist()) == {48}


def test_nothing_is_touched_while_nothing_is_shed() -> None:
    batch = codec.from_rows(ORDINARY)
    assert thinned(batch, (0, 0), 0, GLOBS) == (batch, None)
    messages = [message(i, []) for i in range(5)]
    assert opened(messages, 0, 12) is messages
    assert len(opened(messages * 100, 0, 14)) < 400
