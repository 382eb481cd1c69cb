from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
from detectors_traffic import flows
from hypothesis import given
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher
from stream_traffic import NOW_MS, blocks, crowd

import detectors.compiled
import stream.compiled
import stream.dated
import stream.dated_entries
import stream.lowest
import stream.networks
import stream.slots
import stream.spread
import stream.step_loops
import stream.text_hashes
import stream.ways
from detectors.artifact import load
from detectors.compiled import U64, firsts, numbered, ordered, searched, unique_rows, within
from detectors.entities import Columns
from detectors.record import write_standing
from detectors.rows import canonical
from detectors.rule_file import gathered
from schemas import codec, topics
from schemas.decision import Decision
from stream.combine import COLUMNS as READ
from stream.combine import combine
from stream.lowest import beyond
from stream.panes import COLUMNS, NOTHING
from stream.pipeline import Config, Pipeline
from stream.plan import Plan
from stream.rule_source import shipped
from stream.slots import Slots
from stream.warm import warm

WINDOWS = b"""
rules:
  - {name: many, means: requests, by: ip, distinct: path, over: 1h, answer: notice,
     when: {requests: above 50, bits: above 1, gap_variation: below 9}}
  - {name: told, means: paths, by: user, distinct: path, over: 10s, answer: notice, when: {different: above 90}}
"""
# Few distinct words, so that they repeat; some that differ in one bit, at either end.
words = st.lists(st.sampled_from([1, 2, 3, 1 << 63, (1 << 63) + 1, (1 << 64) - 1]) | st.integers(1, 2**64 - 1))


def column(values: list[int]) -> U64:
    return np.array(values, np.uint64)


@given(st.lists(words, max_size=5))
def test_an_entity_keeps_the_slot_it_was_given_first(parts: list[list[int]]) -> None:
    slots, wanted = Slots(), {}
    for part in parts:
        given_ = slots.place(column(part))
        assert given_.tolist() == [wanted.setdefault(value, len(wanted) + 1) for value in part]
    again = Slots(slots.hashes)
    assert again.find(column([*wanted, 5])).tolist() == [*wanted.values(), wanted.get(5, -1)]


@given(words)
def test_groups_and_order_are_those_of_sorting(values: list[int]) -> None:
    keys = column(values)
    uniques, row, inverse = unique_rows(keys)
    wanted = np.unique(keys, return_index=True, return_inverse=True)
    for ours, theirs in zip((uniques, row, inverse), wanted, strict=True):
        assert ours.tolist() == theirs.tolist()
    assert ordered(keys).tolist() == np.argsort(keys, kind="stable").tolist()
    first = np.zeros(len(keys), np.bool_)
    first[wanted[1]] = True
    assert firsts(keys).tolist() == first.tolist()


@given(words, words)
def test_what_stands_among_others_is_found(values: list[int], others: list[int]) -> None:
    wanted = [value in set(others) for value in values]
    assert within(column(values), column(others)).tolist() == wanted


@given(words, words, st.booleans())
def test_a_place_among_ascending_words_is_found(values: list[int], others: list[int], even: bool) -> None:  # noqa: FBT001 - hypothesis
    among = np.linspace(1, 1.8e19, 500).astype(np.uint64) if even else np.sort(column(others))
    keys = np.concatenate([column(values), among[:3]])
    assert searched(among, keys).tolist() == np.searchsorted(among, keys).tolist()


@given(st.sets(st.integers(0, 60), max_size=40), st.sets(st.integers(-1, 60), min_size=1, max_size=9), st.integers(0))
def test_looking_slots_up_adds_what_going_over_all_rows_adds(held: set[int], asked: set[int], seed: int) -> None:
    slots, wanted = np.array(sorted(held), np.int64), np.array(sorted(asked), np.int64)
    rows = np.random.default_rng(seed).integers(0, 1000, (len(slots), COLUMNS))
    place = np.full(62, -1)
    place[wanted] = np.arange(len(wanted))
    place[-1] = -1
    gone_over, found = np.tile(NOTHING, (len(wanted), 1)), np.tile(NOTHING, (len(wanted), 1))
    detectors.compiled.summed(place, slots, rows, gone_over)
    detectors.compiled.looked_up(wanted, slots, rows, found)
    np.testing.assert_array_equal(gone_over, found)


def test_rows_of_nobody_have_no_group() -> None:
    groups, uniques = numbered(column([0, 7, 0, 9, 7]))
    assert (groups.tolist(), uniques.tolist()) == ([-1, 0, -1, 1, 0], [7, 9])


@pytest.mark.parametrize("size", [1, 2047, 2048, 70_000])
def test_tables_and_digits_hold_at_any_size(size: int) -> None:
    keys = np.random.default_rng(size).integers(1, 1 << 64, size, np.uint64)
    assert ordered(keys).tolist() == np.argsort(keys, kind="stable").tolist()
    assert len(unique_rows(keys)[0]) == size


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 8), st.integers(0, 1 << 30))
def test_beyond_the_few_of_lowest_rank_are_those_that_sorting_puts_behind(
    groups: list[int], keep: int, seed: int
) -> None:
    rank = np.random.default_rng(seed).permutation(len(groups)).astype(np.uint64)
    behind = [
        sum(rank[j] < r for j in range(len(groups)) if groups[j] == g) >= keep
        for g, r in zip(groups, rank, strict=True)
    ]
    assert beyond(np.array(groups, np.int64), 4, rank, keep).tolist() == behind


def everywhere() -> list[ModuleType]:
    """All rooms of stream and detectors."""
    return [room for name, room in sys.modules.items() if name.startswith(("stream.", "detectors."))]


def compiled(rooms: Sequence[ModuleType] = ()) -> dict[str, int]:
    """For how many types each loop is compiled."""
    rooms = rooms or (
        detectors.compiled, stream.compiled, stream.dated, stream.dated_entries, stream.lowest,
        stream.networks, stream.text_hashes, stream.slots, stream.spread, stream.step_loops, stream.ways,
    )  # fmt: skip
    every = {f"{room.__name__}.{name}": it for room in rooms for name, it in vars(room).items()}
    return {name: len(it.signatures) for name, it in every.items() if isinstance(it, Dispatcher) and it.signatures}


def test_a_worker_that_was_warmed_compiles_nothing_more() -> None:
    model = load()
    warm(model)
    before = compiled()
    assert len(before) > 12
    pipeline = Pipeline(model)
    for i in range(3):
        pipeline.step(blocks(crowd(i, 3000, span_ms=9000 * (i + 1)), start=i), NOW_MS)
    pipeline.finish()
    assert compiled() == before


def test_nor_does_one_that_has_rules_with_a_window() -> None:
    rules = gathered([("windows", WINDOWS)])
    warm(load(), rules)
    before = compiled()
    pipeline, plan = Pipeline(load(), Config(rules=rules)), Plan.of(rules)
    for part in range(3):
        rows = [
            Decision(
                ts_ms=NOW_MS + 1000 * part + i, verdict="allow", ip=f"192.0.2.{i % 7}", user=f"u{i % 5}", method="GET",
                path=f"/{i}", status=200,
            ) for i in range(700)
        ]  # fmt: skip
        pipeline.step(
            combine(
                codec.from_rows(rows), partition=0, start=part, end=part + 1, ts_ms_max=0, usage_partitions=1,
                login_globs=(), plan=plan,
            ),
            NOW_MS,
        )  # fmt: skip
    assert {alert.kind for alert in pipeline.finish()} >= {"many", "told"}
    assert compiled() == before


def test_nor_does_what_comes_in_messages_whose_bytes_nobody_may_write() -> None:
    warm(load())
    before, plan = compiled(everywhere()), shipped()
    pipeline, tight = Pipeline(load(), Config(rules=plan.rules)), Pipeline(load(), Config(entities_max=64))
    for part in range(12):
        rows = [made(NOW_MS + 1000 * part + i, i) for i in range(400)]
        messages = [(codec.encode(codec.from_rows(rows[i : i + 100])), topics.ARROW) for i in range(0, 400, 100)]
        batch = codec.decode_many(messages, READ)
        [block] = combine(
            batch, partition=0, start=part, end=part + 1, ts_ms_max=0, usage_partitions=1, login_globs=("/login",),
            plan=plan,
        )  # fmt: skip
        pipeline.step([codec.decode_block(codec.encode_block(block))], NOW_MS)
        tight.step([codec.decode_block(codec.encode_block(block))], NOW_MS)
    pipeline.finish()
    tight.finish()
    assert tight.sizes()["owners_evicted"]
    assert tight.sizes()["evicted"]
    assert compiled(everywhere()) == before


def made(ts_ms: int, i: int) -> Decision:
    """A guess, a refusal, an IPv6 client, a probe, by turns."""
    of = (
        {"ip": "203.0.113.66", "method": "POST", "route": "/login", "path": "/login", "status": 401, "ua": "curl/8"},
        {"ip": f"198.51.100.{i % 50}", "key_id": "k1", "path": f"/search?q={i}", "status": 429},
        {"ip": f"2001:db8::{i}", "path": f"/items/{i}", "status": 200, "asn": 64500, "tenant": "t"},
        {"ip": f"192.0.2.{i % 200}", "path": "/a/" + "x" * 300 * (i % 8 == 3), "status": 404},
    )[i % 4]
    return Decision(ts_ms=ts_ms, verdict="limit" if i % 4 == 1 else "allow", user=f"u{i}", **of)  # type: ignore[arg-type]


def test_a_standing_written_in_one_loop_is_what_each_owner_s_rows_add_up_to() -> None:
    chance, family = np.random.default_rng(5), 1
    slot = np.repeat(chance.permutation(np.arange(3, 43)), chance.integers(1, 6, 40))
    s, t_ms = chance.choice([0.0, 0.5, 2.0], len(slot)), np.sort(chance.integers(1, 10_000, len(slot)))
    anew = chance.random(len(slot)) < 0.3
    counts = tuple(chance.integers(0, 5, len(slot)) for _ in range(3))
    c = Columns.blank(50, 2)
    t = c.tracks
    c.at[3:23] = t.make(40).reshape(20, 2)  # half of them have something already
    t.marks[1:41], t.first_ms[1:41], t.most[1:41] = 7, 11, 0.75
    held = c.at[:, family] > 0
    write_standing(c, (slot, family), (t_ms, s, anew), (counts[0], counts[1], counts[2]))
    for one in np.unique(slot).tolist():
        rows = np.flatnonzero(slot == one)
        begun = rows[anew[rows]]
        since = rows if not len(begun) else rows[rows >= begun[-1]]
        at = c.at[one, family]
        assert (at > 0) == (held[one] or s[rows].max() > 0), "no row for who has no evidence"
        if not at:
            continue
        assert t.marks[at] == counts[0][since].sum() + (0 if len(begun) or not held[one] else 7)
        assert t.tries[at] == counts[1][since].sum()
        assert t.distinct[at] == counts[2][since].sum()
        assert t.first_ms[at] == (t_ms[begun[-1]] if len(begun) else 11 if held[one] else 0)
        assert (t.s[at], t.t_ms[at]) == (s[rows[-1]], t_ms[rows[-1]])
        assert t.most[at] == max(0.75 if held[one] else 0.0, s[rows].max())
    assert (t.marks[c.at[3:23, 0]] == 7).all(), "no other family is touched"
    assert not c.at[23:, 0].any()
    assert (t.marks[0], t.s[0], t.most[0]) == (0, 0, 0), "the blank row is never written"


def test_rows_in_time_are_by_time_then_owner_as_a_comparing_sort_has_them() -> None:
    chance = np.random.default_rng(6)
    entity, t_ms, path = chance.integers(1, 40, 500), chance.integers(0, 300, 500) * 10, chance.integers(1, 9, 500)
    rows = canonical(flows(500, entity=entity, t_ms=t_ms, path=path))
    at = np.flatnonzero(chance.random(len(rows)) < 0.7)
    assert len(np.unique(rows.t_ms[at])) < len(at), "some have one time"
    assert (rows.in_time(at) == np.lexsort((rows.owner[rows.seg[at]], rows.t_ms[at]))).all()
