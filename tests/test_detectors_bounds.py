"""What the detectors hold is bounded, and who attacks is still found, whatever crowd of strangers comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from detectors_traffic import T0_S, attacked, brute_force, flows
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import artifact, eviction
from detectors.artifact import Model
from detectors.cardinality import STRANGER_MS, WARM_S, Cardinality
from detectors.columns import EVERYBODY, GLOBAL, KEY, Finding, Flows
from detectors.control import Control
from detectors.entities import ARRAYS, RESERVED, Columns, Entities
from detectors.evidence import Engine
from detectors.families import LEAK_MS, QUIET_MS
from detectors.outlook import Outlook
from detectors.pairs import Memory, mix
from detectors.rows import canonical
from detectors.standing import standing
from schemas import codec

GRACE_S = STRANGER_MS // 1000


@pytest.fixture(scope="module")
def model() -> Model:
    return artifact.load()


def strangers(n: int, from_s: float, until_s: float, seed: int = 1, **columns: object) -> Flows:
    """Made-up addresses, one request each."""
    g = np.random.default_rng(seed)
    t_ms = np.sort(g.integers(int(from_s * 1000), int(until_s * 1000), n))
    return flows(n, entity=g.integers(1 << 40, 1 << 60, n), t_ms=t_ms, path=g.integers(1, 40, n), **columns)


def told(found: list[Finding]) -> list[tuple[object, ...]]:
    return [(f.kind, f.entity, f.family, f.pane_s, f.at_s, f.crossed_ms, f.crossed_after, f.answer) for f in found]


def in_pieces(engine: Engine, traffic: Flows, step_s: int, end_s: int) -> Iterator[Finding]:
    for begin_s in range(T0_S, end_s, step_s):
        here = (traffic.pane_s >= begin_s) & (traffic.pane_s < begin_s + step_s)
        yield from engine.close(traffic.take(here), min(end_s, begin_s + step_s))


def in_order(
    ids: NDArray[np.uint64],
    weight: NDArray[np.int64],
    last: NDArray[np.int64],
    evidence: NDArray[np.float64],
    regular: NDArray[np.bool_],
    size: int,
) -> NDArray[np.intp]:
    """What `eviction` says of who is worth how much, by sorting all of them (mutates `weight`)."""
    quarter = max(1, size // eviction.QUARTER)
    suspects = np.flatnonzero(evidence > 0)
    suspects = suspects[np.lexsort((ids[suspects], -last[suspects], -evidence[suspects]))[:quarter]]
    if len(weight) > quarter:
        weight -= np.sort(weight)[-quarter - 1]
        np.maximum(weight, 0, out=weight)
    tier = np.full(len(ids), 3)
    tier[weight > 0] = 1
    tier[suspects] = 0
    light = np.flatnonzero((tier == 3) & regular)
    room = max(0, int(size * eviction.LEAVE) - int((tier < 3).sum())) // 2
    tier[light[np.lexsort((ids[light], -last[light]))[:room]]] = 2
    return np.lexsort((ids, np.where(tier == 1, -weight, -last), tier))


@settings(max_examples=60)
@given(
    size=st.integers(4, 60),
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=120),
    evidence=st.integers(0, 10),
    room=st.integers(0, 120),
    total=st.none() | st.integers(0, 400),
    seed=st.integers(0, 99),
)
def test_suspects_and_heavy_hitters_stay_and_the_order_in_memory_decides_nothing(
    size: int, weights: list[int], evidence: int, room: int, total: int | None, seed: int
) -> None:
    g = np.random.default_rng(seed)
    n = len(weights)
    ids, last = g.permutation(mix(np.arange(n, dtype=np.uint64))), g.choice([3, 4, 1 << 40], n)
    against = np.where(np.arange(n) < evidence, 1.0, 0.0)
    regular = g.random(n) < 0.3
    cost = g.integers(0, 9, n)
    weight, same = np.array(weights), np.array(weights)
    left_to = eviction.Room(room) if total is None else eviction.Room(room, cost, total)
    kept = ids[eviction.staying(ids, weight, last, against, regular, size, left_to)]
    order = in_order(ids, same, last, against, regular, size)
    fits = len(ids) if total is None else int((np.cumsum(cost[order]) <= total).sum())
    assert sorted(kept.tolist()) == sorted(ids[order[: min(room, fits)]].tolist())
    assert weight.tolist() == same.tolist()
    if total is None and evidence <= size // 4:
        assert set(ids[:room][: min(evidence, n)].tolist()) <= set(kept.tolist()) or room < evidence
    moved = g.permutation(n)
    left_to = eviction.Room(room) if total is None else eviction.Room(room, cost[moved], total)
    of = (ids, np.array(weights), last, against, regular)
    again = ids[moved][eviction.staying(*(column[moved] for column in of), size, left_to)]
    assert sorted(again.tolist()) == sorted(kept.tolist())


def test_what_stands_against_owners_is_the_most_of_what_stands_in_each_family(model: Model) -> None:
    g, now_ms, slots = np.random.default_rng(3), 5_000_000, np.arange(40)
    c = Columns.blank(40, len(model.families))
    some = g.random(c.at.shape) < 0.15
    t, n = c.tracks, int(some.sum())
    c.at[some] = t.make(n)
    t.s[1 : n + 1], t.t_ms[1 : n + 1] = g.gamma(2, 3, n) * (g.random(n) < 0.7), g.integers(0, 6_000_000, n)
    t.episode[1 : n + 1], t.last_mark_ms[1 : n + 1] = g.random(n) < 0.3, g.integers(0, 5_000_000, n)
    c.kind[:] = g.integers(0, 3, 40)
    found = standing(c, slots[::-1].copy(), model, now_ms)[::-1]
    for slot in slots.tolist():
        most, alive = 0.0, False
        for family in model.families:
            at = c.at[slot, family.index]
            idle_ms = max(0, now_ms - int(t.t_ms[at]))
            faded = float(t.s[at] * np.exp(-idle_ms / LEAK_MS))
            if family.rate:
                faded = max(0.0, float(t.s[at] - c.p0[slot, family.index] * idle_ms / 1000))
            most = max(most, faded / float(model.h[c.kind[slot], family.index]))
            alive |= bool(t.episode[at]) and now_ms - int(t.last_mark_ms[at]) <= QUIET_MS
        assert found[slot] == round(most, 3) + alive


def test_who_stays_keeps_all_that_is_known_of_him_and_slots_given_up_are_blank(model: Model) -> None:
    g, many, ids = np.random.default_rng(4), 300, mix(np.arange(300, dtype=np.uint64))
    entities = Entities(200, len(model.families))
    owners = np.sort(ids)
    slots = entities.place(owners, np.zeros(many, np.uint8), owners, np.arange(many))
    for name in ("recent", "own", "last_ms"):
        column = getattr(entities.c, name)
        column[slots] = g.integers(0, 2, column[slots].shape)
    tracks = entities.c.tracks
    some = np.flatnonzero(g.random(many) < 0.3)
    entities.c.at[slots[some], 4] = rows = tracks.make(len(some))
    tracks.s[rows], tracks.crossed_ms[rows] = g.random(len(some)), owners[some] >> np.uint64(20)
    before = {name: getattr(entities.c, name).copy() for name in ARRAYS}
    stood = tracks.s[entities.c.at[slots, 4]].copy(), tracks.crossed_ms[entities.c.at[slots, 4]].copy()
    entities.purge(np.zeros(entities.used))
    stayed = entities.find(owners, np.zeros(many, np.uint8))
    here = np.flatnonzero(stayed >= RESERVED)
    assert len(here) == 150
    blank = Columns.blank(1, len(model.families))
    for name in (name for name in before if name not in ("weight", "at")):  # a purge takes some off
        column = getattr(entities.c, name)
        assert np.array_equal(column[stayed[here]], before[name][slots[here]])
        assert (column[entities.used : many] == getattr(blank, name)).all()
    moved = entities.c.at[stayed[here], 4]
    assert np.array_equal(tracks.s[moved], stood[0][here])
    assert np.array_equal(tracks.crossed_ms[moved], stood[1][here])
    assert len(tracks) == np.count_nonzero(moved) == np.isin(here, some).sum(), "who goes takes along what stood"
    assert not entities.c.at[entities.used :].any()
    assert not tracks.s[tracks.used :].any()


@pytest.mark.parametrize("step_s", [1, 7, 600])
def test_who_goes_follows_from_the_flows_alone_however_closes_are_batched(model: Model, step_s: int) -> None:
    traffic = attacked(6)
    traffic = Flows.concat([traffic.take(traffic.pane_s < T0_S + 1600), strangers(9_000, 900, 1500)])
    end_s = T0_S + 1800
    whole, parts = (Engine(model, 700, pairs_max=1 << 11) for _ in range(2))
    wanted = whole.close(traffic, end_s)
    assert sorted(told(list(in_pieces(parts, traffic, step_s, end_s)))) == sorted(told(wanted))
    assert {9_001, EVERYBODY} <= {f.entity for f in wanted}
    assert whole.entities.evicted == parts.entities.evicted > 0
    assert np.array_equal(np.sort(whole.held()), np.sort(parts.held()))
    probes = mix(np.arange(1 << 12, dtype=np.uint64))
    for one, other in zip(whole.memories.parts().values(), parts.memories.parts().values(), strict=True):
        assert np.array_equal(one.contains(probes), other.contains(probes))
        assert one.arrays("m").keys() == other.arrays("m").keys()
        for name, array in one.arrays("m").items():
            assert np.array_equal(np.sort(array.ravel()), np.sort(other.arrays("m")[name].ravel()))


def test_a_slow_guesser_is_held_while_strangers_come_by_the_thousand(model: Model) -> None:
    slow = brute_force(700, n=30, every_ms=20_000)
    crowd = strangers(60_000, 690, 1400)
    engine, alone = Engine(model, 1_000), Engine(model)
    found = [f for f in in_pieces(engine, Flows.concat([slow, crowd]), 1, T0_S + 1500) if f.entity == 9_001]
    wanted = [f for f in in_pieces(alone, slow, 1, T0_S + 1500) if f.entity == 9_001]
    assert wanted
    assert told(found)[:1] == told(wanted)[:1]
    assert engine.entities.used <= 1_000
    assert 9_001 in engine.alive(0).tolist()


def test_strangers_overflow_only_their_own_memory() -> None:
    memory = Memory(2_000, 3600)
    known = mix(np.arange(1, 500, dtype=np.uint64))
    memory.add(known, np.zeros(len(known), np.bool_))
    for part in np.array_split(mix(np.arange(1_000, 50_000, dtype=np.uint64)), 100):
        memory.add(part, np.ones(len(part), np.bool_))
    assert memory.contains(known).all()
    assert not memory.contains(mix(np.arange(1_000, 2_000, dtype=np.uint64))).any()
    assert memory.places() <= 2 * 2 * 4 * 2_000


def test_the_control_group_has_a_bound_also_where_all_routes_weigh_the_same() -> None:
    control = Control(routes_max=100)
    routes = np.arange(1, 1_001, dtype=np.uint64)
    control.advance((routes, np.full(1_000, 5), np.zeros(1_000)), 6)
    assert len(control.route) == 100


def test_open_flows_have_a_bound_and_who_asks_much_or_is_suspected_stays(model: Model) -> None:
    engine, outlook = Engine(model), Outlook()
    engine.close(brute_force(0), T0_S + 100)
    slow = flows(1, entity=9_001, t_ms=101_000)
    busy = flows(40, entity=77, t_ms=101_000 + np.arange(40), path=np.arange(40))
    for i in range(5):
        outlook.add(strangers(1_000, 101, 104, seed=i))
        outlook.add(Flows.concat([slow, busy]) if i == 2 else Flows.empty())
    gone = outlook.thin(600, engine.worth)
    kept = Flows.concat(outlook.parts)
    assert len(kept) <= 450
    assert len(kept) + len(gone) == 5_041
    assert {9_001, 77} <= set(kept.entity.tolist())
    assert not set(kept.entity.tolist()) & set(gone.entity.tolist()), "an owner goes whole"


def crowds(cardinality: Cardinality, traffic: Flows, until_s: int) -> list[Finding]:
    """As an engine feeds it that forgets nobody."""
    engine = Engine(artifact.load())
    engine.cardinality = cardinality
    found = [f for f in engine.close(traffic, until_s) if f.kind == GLOBAL]
    assert engine.entities.evicted == 0
    return found


def test_a_flood_of_identities_is_told_of_in_words_and_numbers() -> None:
    ordinary = strangers(3_000, 0, 1000, seed=2)
    flood = strangers(4_000, WARM_S + 100, WARM_S + 110, seed=3, kind=KEY)
    found = crowds(Cardinality(3_600), Flows.concat([ordinary, flood]), T0_S + 1200)
    first = found[0]
    assert (first.kind, first.entity, first.family, first.answer) == (GLOBAL, EVERYBODY, "cardinality", "notice")
    assert first.pane_s == T0_S + WARM_S + 100, "a second with so many is enough"
    assert {f.pane_s for f in found} == {first.pane_s}, "one incident"
    assert "keys came in 1 s, asked once and did not come back" in first.facts[0].sentence
    assert sum(f.facts[0].value > 0 for f in found) == len(found) >= 9
    assert 3_900 <= found[-1].facts[0].value <= 4_100
    assert first.facts[1].baseline is not None
    assert first.facts[1].value > 10 * first.facts[1].baseline


def test_a_crowd_that_comes_back_is_no_flood() -> None:
    g = np.random.default_rng(4)
    ordinary = strangers(3_000, 0, 1000, seed=2)
    begin = np.sort(g.integers(700_000, 760_000, 6_000))
    back = np.repeat(np.arange(6_000), 4)
    crowd = flows(24_000, entity=back + 500_000, t_ms=begin[back] + g.integers(0, 8_000, 24_000))
    assert crowds(Cardinality(3_600), Flows.concat([ordinary, crowd]), T0_S + 1200) == []


def test_where_everybody_is_new_nobody_is_alarmed() -> None:
    assert crowds(Cardinality(3_600), strangers(9_000, 0, WARM_S - 10), T0_S + 1200) == []


def test_after_hours_of_silence_what_is_usual_is_learned_anew() -> None:
    cardinality = Cardinality(3_600)
    later_s = WARM_S + 100 + 5 * 3600
    traffic = Flows.concat([strangers(3_000, 0, 700), strangers(9_000, later_s, later_s + 60)])
    rows = canonical(traffic)
    seen = np.zeros(len(rows.starts), np.int64)
    cardinality.take(rows, seen, rows.t_ms[rows.starts])
    assert cardinality.close(T0_S + later_s + 200) == []
    assert cardinality.since_s >= T0_S + later_s


def test_what_is_known_of_strangers_survives_a_snapshot(model: Model) -> None:
    traffic = Flows.concat([strangers(3_000, 0, 1000, seed=2), strangers(9_000, 700, 720, seed=3)])
    middle_s = T0_S + 705
    engine = Engine(model, 3_600)
    engine.close(traffic.take(traffic.pane_s < middle_s), middle_s)
    again = Engine.restore(model, {k: a.copy() for k, a in engine.arrays().items()}, 3_600)
    rest = traffic.take(traffic.pane_s >= middle_s)
    wanted = engine.close(rest, T0_S + 1200)
    assert again.close(rest, T0_S + 1200) == wanted
    assert any(f.kind == GLOBAL for f in wanted)


def test_everybody_is_the_hash_of_a_star() -> None:
    assert codec.text_hash("*") == EVERYBODY


def test_a_second_with_more_newcomers_than_there_is_room_for_is_looked_at_in_part(model: Model) -> None:
    engine = Engine(model, 1_000)
    engine.close(brute_force(0), T0_S + 100)
    busy = flows(40, entity=77, t_ms=101_000 + np.arange(40), path=np.arange(40))
    known = flows(1, entity=9_001, t_ms=101_500)
    engine.close(Flows.concat([strangers(20_000, 101, 102), busy, known]), T0_S + 102)
    assert len(engine.entities.c.key) <= 2 * 1_000, "never more than half too many, and what growing leaves over"
    assert {77, 9_001} <= set(engine.held().tolist())
    assert engine.entities.evicted > 19_000
    assert sum(map(sum, engine.cardinality.came.values())) >= 19_900, "all of them count as strangers"
