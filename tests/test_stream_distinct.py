"""Distinct values against an exact count: the same whatever came when and how often, bounded, as exact as stated."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_traffic import GLOBS, NOW_MS, blocks, row

from schemas import codec
from schemas.decision import Decision
from schemas.usage import FLOWS_PER_PANE_MAX, ITEMS_EXACT_MAX, WORDS, Block, Kind, What
from stream import cells, dated
from stream.combine import combine
from stream.dated import CELLED, NUMBERS, WHATS, WORDS_OF
from stream.distinct import Distinct, marks_of
from stream.flows import read
from stream.rings import WINDOWS_S
from stream.uniques import COUNTED
from stream.windows import Windows, nobody

NOW_S = NOW_MS // 1000
VALUES: dict[What, Callable[[Decision], str | None]] = {
    What.ADDRESS: lambda d: d.ip,
    What.USER: lambda d: d.user,
    What.ROUTE: lambda d: d.route,
    What.PATH: lambda d: d.path,
    What.AGENT: lambda d: d.ua,
}
WHO: dict[Kind, Callable[[Decision], str | None]] = {
    Kind.IP: lambda d: d.ip if d.key_id is None else None,  # paths and so on stand under the key, where there is one
    Kind.KEY: lambda d: d.key_id,
    Kind.USER: lambda d: d.user,
    Kind.ROUTE: lambda d: d.route,
    Kind.GLOBAL: lambda _: "*",
    Kind.TENANT: lambda d: d.tenant,
    Kind.COUNTRY: lambda d: d.country,
    Kind.NETWORK: lambda d: (d.ip or "").rpartition(".")[0] + ".0/24",
    Kind.ASN: lambda d: None if d.asn is None else str(d.asn),
    Kind.AGENT: lambda d: d.ua,
}


def hashed(*values: str) -> np.ndarray:
    return np.array([codec.text_hash(value) for value in values], np.uint64)


def fed(rows: Sequence[Decision], windows: Windows | None = None, cuts: int = 1) -> Windows:
    """Rows as so many blocks, each through the wire."""
    windows = windows or Windows(10_000)
    for part in range(cuts):
        some = rows[part * len(rows) // cuts : (part + 1) * len(rows) // cuts]
        if some:
            [block] = blocks(some)
            block = codec.decode_block(codec.encode_block(block))
            windows.add([block.counts], block.ts_ms_max)
            windows.see([(read(block.flows), block)])
    return windows


def everything(windows: Windows, rows: Sequence[Decision]) -> dict[tuple[Kind, str, What, int], float]:
    """Every question there is about these rows."""
    out: dict[tuple[Kind, str, What, int], float] = {}
    for kind, of in WHO.items():
        names = sorted({name for name in map(of, rows) if name is not None})
        for what in COUNTED[kind]:
            for window_s in WINDOWS_S:
                found = windows.distinct(kind, hashed(*names), what, window_s)
                out |= {(kind, name, what, window_s): float(n) for name, n in zip(names, found, strict=True)}
    return out


def traffic(seed: int, count: int, paths: int = 200, span_s: int = 5000) -> list[Decision]:
    chance = random.Random(seed)
    return [
        row(
            chance.randrange(span_s * 1000),
            ip=f"198.51.{chance.randrange(4)}.{chance.randrange(30)}",
            key_id=chance.choice([None, None, "k1", "k2"]),
            user=chance.choice([None, f"user{chance.randrange(90)}"]),
            route=f"/r{chance.randrange(5)}",
            path=f"/p{chance.randrange(paths)}",
            ua=chance.choice([None, f"agent {chance.randrange(5)}"]),
            tenant=chance.choice([None, "t"]),
            country=chance.choice([None, "DE"]),
            asn=chance.choice([None, 64500]),
        )
        for _ in range(count)
    ]


def test_distinct_values_of_every_kind_and_window_are_those_of_an_exact_count() -> None:
    rows = sorted(traffic(1, 1500), key=lambda d: d.ts_ms)
    windows, end_s = fed(rows, cuts=20), rows[-1].ts_ms // 1000 + 1
    checked = set()
    for (kind, name, what, window_s), n in everything(windows, rows).items():
        pane_s = {10: 1, 60: 1, 600: 10, 3600: 60}[window_s]
        since_s = -(-end_s // pane_s) * pane_s - window_s
        own = [d for d in rows if WHO[kind](d) == name and VALUES[what](d) is not None]
        inside = {VALUES[what](d) for d in own if d.ts_ms // 1000 >= since_s}
        held = {VALUES[what](d) for d in own if d.ts_ms // 1000 >= end_s - 4300}
        if len(held) <= ITEMS_EXACT_MAX:
            assert n == len(inside), (kind, name, what, window_s)
        else:
            assert n == pytest.approx(len(inside), rel=4 * cells.ERROR, abs=2), (kind, name, what, window_s)
        checked.add((what, len(held) <= ITEMS_EXACT_MAX, len(inside) > 0))
    assert {(what, exact, True) for what in (What.ADDRESS, What.USER, What.PATH) for exact in (True, False)} <= checked


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.integers(1, 9), paths=st.sampled_from([5, 60, 70, 400]), again=st.booleans())
def test_neither_order_nor_batching_nor_repeats_nor_a_restart_change_an_answer(
    seed: int,
    cuts: int,
    paths: int,
    again: bool,  # noqa: FBT001 - hypothesis
) -> None:
    rows = traffic(seed, 300, paths, span_s=8)
    mixed = random.Random(seed).sample(rows, len(rows))
    windows = fed(mixed, cuts=cuts)
    if again:
        windows = fed(rows[:100], Windows.restore(10_000, windows.arrays()), cuts)
    assert everything(windows, rows) == everything(fed(rows), rows)


def test_a_burst_whose_flows_were_cut_is_counted_whole() -> None:
    rows = [row(i, path=f"/p{i}", user=f"u{i}") for i in range(900)]
    [block] = blocks(rows)
    assert block.flows.num_rows == FLOWS_PER_PANE_MAX
    windows = fed(rows)
    for what in (What.PATH, What.USER):
        assert windows.distinct(Kind.IP, hashed("192.0.2.1"), what, 10)[0] == pytest.approx(900, rel=2 * cells.ERROR)
    keyed = fed([row(i, path=f"/p{i}", key_id="k") for i in range(900)])
    assert keyed.distinct(Kind.KEY, hashed("k"), What.PATH, 10)[0] == pytest.approx(900, rel=2 * cells.ERROR)
    assert keyed.distinct(Kind.IP, hashed("192.0.2.1"), What.PATH, 10)[0] == 0, "they stand under the key"
    few = fed([row(i, path=f"/p{i % 30}", user=f"u{i % 50}") for i in range(900)])
    for what, n in ((What.PATH, 30), (What.USER, 50)):
        assert few.distinct(Kind.IP, hashed("192.0.2.1"), what, 10)[0] == n


def test_what_was_denied_and_what_is_absent_is_nothing_distinct() -> None:
    windows = fed([row(0, path="/a"), row(1, path="/b", verdict="deny"), row(2, path=None)])
    assert windows.distinct(Kind.IP, hashed("192.0.2.1", "203.0.113.9"), What.PATH, 10).tolist() == [1, 0]
    assert windows.distinct(Kind.IP, hashed("192.0.2.1"), What.USER, 10).tolist() == [0]


def test_what_answers_there_were_is_said_in_bits() -> None:
    rows = [row(i, ip="192.0.2.1") for i in range(8)]
    rows += [row(i, ip="192.0.2.2", status=(200, 404, 500, 401)[i % 4]) for i in range(8)]
    rows += [row(i, ip="192.0.2.3", verdict=("allow", "limit")[i % 2]) for i in range(8)]
    bits = fed(rows).answers_bits(Kind.IP, hashed("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9"), 60)
    assert bits.tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize("n", [100, 1_000, 10_000, 100_000])
def test_the_error_of_an_estimate_is_no_greater_than_stated_and_leans_to_no_side(n: int) -> None:
    chance = np.random.default_rng(n)
    trials = 200 if n < 100_000 else 100
    found = np.empty(trials)
    for trial in range(trials):
        marks = cells.marks(chance.integers(1, 1 << 63, n).astype(np.uint64))
        set_ = cells.words(np.zeros(n, np.int32), cells.cells(marks), np.arange(n), 1)
        empty = cells.COLUMNS - cells.sizes(set_.reshape(cells.ROWS, -1))
        found[trial] = cells.likeliest(empty) / n
    assert found.std() < cells.ERROR
    assert abs(found.mean() - 1) < 3 * cells.ERROR / trials**0.5


def one(ips: Sequence[str], paths: Sequence[str], at_s: int) -> Block:
    """A block of one request each."""
    [block] = blocks([row(at_s * 1000, ip=ip, path=path) for ip, path in zip(ips, paths, strict=True)])
    return block


def test_it_stays_within_its_bytes_and_never_lets_an_attacker_alive_go() -> None:
    held, attacker = Distinct(300_000), hashed("203.0.113.7")

    def alive(kind: Kind) -> np.ndarray:
        return attacker if kind is Kind.IP else np.empty(0, np.uint64)

    for second in range(40):
        block = one([f"10.0.{second}.{i}" for i in range(200)], [f"/{i}" for i in range(200)], second)
        held.see([(read(block.flows), block)], alive)
        block = one(["203.0.113.7"], [f"/guess{second}"], second)
        held.see([(read(block.flows), block)], alive)
        assert held.bytes() <= 300_000
    assert held.evicted > 1000
    assert held.count(Kind.IP, attacker, What.PATH, 0).tolist() == [40]
    assert held.count(Kind.IP, hashed("10.0.39.7", "10.0.0.7"), What.PATH, 0).tolist() == [1, 0]


def test_what_is_an_hour_old_goes_and_who_was_silent_for_it_is_counted_one_by_one_again() -> None:
    held = Distinct()

    def see(paths: Sequence[str], at_s: int) -> None:
        block = one(["192.0.2.1"] * len(paths), paths, at_s)
        held.see([(read(block.flows), block)], nobody)

    see([f"/p{i}" for i in range(200)], 0)
    assert held.bytes() > 4096
    see([f"/q{i}" for i in range(40)], 1000)
    assert held.count(Kind.IP, hashed("192.0.2.1"), What.PATH, NOW_S + 900)[0] == pytest.approx(40, rel=0.2)
    see(["/r"], 6000)
    assert held.bytes() < 4096
    see([f"/s{i}" for i in range(40)], 6001)
    assert held.count(Kind.IP, hashed("192.0.2.1"), What.PATH, NOW_S).tolist() == [41]
    block = one(["192.0.2.9"], ["/x"], 12_000)
    held.see([(read(block.flows), block)], nobody)
    assert held.count(Kind.IP, hashed("192.0.2.1"), What.PATH, 0).tolist() == [0]
    assert len(held) == 4, "the address, its route, its network and all"


@settings(max_examples=30, deadline=None)
@given(
    marks=st.integers(1, 1500), held_n=st.integers(1, 400), per=st.integers(1, 80), size=st.integers(20_000, 400_000)
)
def test_where_it_says_that_marks_fit_they_do(marks: int, held_n: int, per: int, size: int) -> None:
    held = Distinct(size)

    def made(first: int, count: int) -> Block:
        who = [f"10.{(first + i) // per % 3}.0.{(first + i) // per % 200}" for i in range(count)]
        return one(who, [f"/{first + i}" for i in range(count)], 0)

    for block in (made(0, held_n), made(held_n, marks)):
        gone, fit = held.evicted, held.fits(5 * block.flows.num_rows + marks_of(block.items))
        held.see([(read(block.flows), block)], nobody)
        assert held.evicted == gone or not fit


def test_several_partitions_hold_what_one_would_each_entity_in_its_own() -> None:
    rows = traffic(3, 800, span_s=6)
    whole = everything(fed(rows), rows)
    parts = [Windows(10_000) for _ in range(3)]
    for block, windows in zip(blocks(rows, usage_partitions=3), parts, strict=True):
        windows.add([block.counts], block.ts_ms_max)
        windows.see([(read(block.flows), block)])
    answers = [everything(windows, rows) for windows in parts]
    assert {question: max(a[question] for a in answers) for question in whole} == whole
    assert all(sorted(a[question] for a in answers)[:2] == [0, 0] for question in whole)


def test_a_block_says_few_values_one_by_one_and_many_as_cells() -> None:
    few, many = ([row(i, ip=f"10.0.{i // 250}.{i % 250}") for i in range(n)] for n in (64, 65))
    for rows, celled in ((few, False), (many, True)):
        [block] = combine(
            codec.from_rows(rows), partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=GLOBS
        )
        kinds = block.counts.column("kind").to_numpy()[block.items.column("row").to_numpy()]
        what = block.items.column("what").to_numpy()[kinds == Kind.GLOBAL]
        assert bool((what >= WORDS).any()) is celled
    assert pa.types.is_uint32(block.items.schema.field("item").type)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.sampled_from([3, 20, 300]), st.integers(1, 1 << 31))
def test_the_short_way_to_put_a_mark_is_the_long_one(seed: int, values: int, spread: int) -> None:
    def blank() -> dated.Sets:
        heap = np.zeros(20 * int(WORDS_OF[CELLED]), np.uint64)
        return np.zeros((2, WHATS), np.uint8), np.zeros((2, WHATS), np.uint64), heap, np.zeros(NUMBERS, np.int64)

    g, many = np.random.default_rng(seed), 800
    entry, what, item = g.integers(-1, 2, many), g.integers(0, 3, many), g.integers(0, values, many)
    at_s = g.integers(1, 9, many)
    marks_ = (item * (spread | 1) % (1 << 32)).astype(np.uint32)  # an odd factor keeps different ones different
    short, long = blank(), blank()
    done = dated.put(0, entry.astype(np.int32), what.astype(np.uint8), marks_, at_s, short)
    for e, w, mark, second in zip(entry.tolist(), what.tolist(), marks_, at_s.tolist(), strict=True):
        if e >= 0 and mark:
            assert dated._put(e, w, mark, np.uint64(second), long)
    assert done == many
    assert (short[0].max() == CELLED) == (values == 300)
    for one, other in zip(short, long, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("count", [40, 900])  # flows whole, and cut
@pytest.mark.parametrize(("key_id", "kind", "name"), [(None, Kind.IP, "192.0.2.1"), ("k", Kind.KEY, "k")])
def test_accounts_that_only_a_limit_refused_do_not_count_at_their_address_or_key(
    count: int, key_id: str | None, kind: Kind, name: str
) -> None:
    limited = [row(i, path=f"/p{i}", user=f"r{i}", verdict="limit", key_id=key_id) for i in range(count)]
    upstream = [row(i, user=f"u{i}", status=429, key_id=key_id) for i in range(60)]
    refused, once = fed([*limited, *upstream]), [row(i, path=f"/p{i}", user=f"r{i}", key_id=key_id) for i in range(7)]
    assert refused.distinct(kind, hashed(name), What.USER, 10).tolist() == [0]
    assert refused.distinct(Kind.GLOBAL, hashed("*"), What.USER, 10)[0] == pytest.approx(count + 60, rel=0.1)
    assert fed([*limited, *once]).distinct(kind, hashed(name), What.USER, 10).tolist() == [7]
