"""What stands against owners has rows for those alone whom something stands against, and not too many."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, attacked, brute_force, flows
from numpy.typing import NDArray

from detectors import artifact
from detectors.artifact import Model
from detectors.columns import AUTH_FAILED, Finding, Flows
from detectors.cusum import Track
from detectors.entities import ARRAYS, RESERVED, Columns, Entities
from detectors.evidence import Engine
from detectors.judge import track_of, write_track
from detectors.record import write_standing
from detectors.tracks import ROW, WITHIN
from stream.bounds import OWNER_BYTES

FAMILY = 3


@pytest.fixture(scope="module")
def model() -> Model:
    return artifact.load()


def some(entities: Entities, n: int) -> NDArray[np.intp]:
    """Slots of so many owners."""
    owners = np.sort(np.random.default_rng(n).integers(1, 1 << 60, n).astype(np.uint64))
    return entities.place(owners, np.zeros(n, np.uint8), owners, np.ones(n, np.int64))


def stand(entities: Entities, slots: NDArray[np.intp], s: NDArray[np.float64], t_ms: int = 5_000) -> None:
    """One marked row of each, after which so much stands."""
    ones = np.ones(len(slots), np.int64)
    course = t_ms * ones, s, ones.astype(np.bool_)
    write_standing(entities.c, (slots, FAMILY), course, (ones, ones, ones))


def guesses(n: int, from_s: float, until_s: float, each: int = 1) -> Flows:
    """Made-up addresses, each of which fails to sign in a few times."""
    g = np.random.default_rng(7)
    who, t_ms = g.integers(1 << 40, 1 << 60, n), np.sort(g.integers(int(from_s * 1000), int(until_s * 1000), n))
    rows = n * each
    return flows(
        rows, entity=np.repeat(who, each), t_ms=np.repeat(t_ms, each), route=LOGIN_ROUTE, path=LOGIN_ROUTE,
        user=90_000 + np.arange(rows), outcome=AUTH_FAILED, login=True,
    )  # fmt: skip


def told(found: list[Finding]) -> list[tuple[object, ...]]:
    return sorted((f.at_s, f.kind, f.entity, f.family, f.pane_s, f.crossed_ms, f.answer) for f in found)


def test_a_row_is_made_with_the_first_evidence_and_let_go_when_nothing_is_left() -> None:
    entities = Entities(100, 20)
    slots, tracks = some(entities, 4), entities.c.tracks
    stand(entities, slots, np.array([0.0, 1.0, 2.0, 3.0]))
    assert (entities.c.at[slots, FAMILY] > 0).tolist() == [False, True, True, True]
    assert np.count_nonzero(entities.c.at) == len(tracks) == 3
    write_track(entities.c, int(slots[3]), FAMILY, Track(crossed_pane_s=5, crossed_ms=5_001))
    stand(entities, slots, np.array([0.0, 0.0, 2.0, 0.0]), 6_000)
    entities.settle()
    assert len(tracks) == 3, "what the highest of the hour was is still to be asked for"
    tracks.most[:] = 0.0
    entities.settle()
    assert (entities.c.at[slots, FAMILY] > 0).tolist() == [False, False, True, True]
    standing = [track_of(entities.c, slot, FAMILY) for slot in slots.tolist()]
    assert [one.s for one in standing] == [0.0, 0.0, 2.0, 0.0]
    assert standing[3].crossed_ms == 5_001, "that he crossed is remembered"
    assert standing[0] == standing[1] == Track()
    assert not any(tracks.arrays(np.zeros((1, 20), np.int32))["tracks.s"])


def test_what_stands_goes_through_a_snapshot_and_none_of_it_is_kept_of_whom_nothing_stands_against() -> None:
    entities, again = Entities(100, 20), Entities(100, 20)
    slots = some(entities, 60)
    stand(entities, slots, np.where(np.arange(60) % 7 == 0, 1.5, 0.0))
    entities.c.tracks.keep(np.ones(entities.c.tracks.used, np.bool_))
    kept = entities.arrays()
    assert len(kept["tracks.s"]) == 9
    assert "entities.at" not in kept
    again.restore({name: array.copy() for name, array in kept.items()})
    assert again.arrays().keys() == kept.keys()
    assert all(np.array_equal(again.arrays()[name], array) for name, array in kept.items())
    for slot in slots.tolist():
        assert track_of(again.c, slot, FAMILY) == track_of(entities.c, slot, FAMILY)


def test_more_than_there_is_place_for_in_a_pane_is_the_highest_evidence_and_no_other_is_lost() -> None:
    entities = Entities(10, 20)
    slots, tracks = some(entities, 60), entities.c.tracks
    stand(entities, slots[:30], np.full(30, 0.25))
    stand(entities, slots[30:], np.arange(1.0, 31.0))
    assert len(tracks) == tracks.most_rows == 40
    held = entities.c.at[slots, FAMILY] > 0
    assert held[:30].all(), "who is held stays"
    assert np.flatnonzero(held[30:]).tolist() == list(range(20, 30))
    write_track(entities.c, int(slots[30]), FAMILY, Track(s=20.0, episode=True))
    assert track_of(entities.c, int(slots[30]), FAMILY).episode, "who crosses always finds room"


def test_what_least_stands_in_is_forgotten_where_more_stands_than_there_is_room_for() -> None:
    entities = Entities(10, 20)
    slots, tracks = some(entities, 35), entities.c.tracks
    stand(entities, slots, np.arange(1.0, 36.0))
    slot, family, _ = entities.c.standing(entities.used)
    assert len(slot) == 35 > tracks.room
    entities.forget(slot, family, np.arange(1.0, 36.0)[np.searchsorted(np.sort(slots), slot)])
    assert len(tracks) == int(tracks.room * 0.75)
    left = np.array([track_of(entities.c, slot, FAMILY).s for slot in np.sort(slots).tolist()])
    assert np.count_nonzero(left) == 22
    assert np.array_equal(left[-22:], np.arange(14.0, 36.0))


@pytest.mark.parametrize("step_s", [1, 7, 600])
def test_what_is_forgotten_follows_from_the_flows_however_closes_are_batched(model: Model, step_s: int) -> None:
    traffic = attacked(6)
    traffic = Flows.concat([traffic.take(traffic.pane_s < T0_S + 1600), guesses(3_000, 900, 1500)])
    end_s = T0_S + 1800
    whole, parts = Engine(model, 2_000), Engine(model, 2_000)
    for engine in (whole, parts):
        engine.entities.c.tracks.room, engine.entities.c.tracks.most_rows = 500, 900
    wanted = whole.close(traffic, end_s)
    found: list[Finding] = []
    most = 0
    for begin_s in range(T0_S, end_s, step_s):
        here = (traffic.pane_s >= begin_s) & (traffic.pane_s < begin_s + step_s)
        found += parts.close(traffic.take(here), min(end_s, begin_s + step_s))
        most = max(most, len(parts.entities.c.tracks))
    assert told(found) == told(wanted)
    assert 9_001 in {f.entity for f in wanted}
    assert most <= 500, "after each pane there is room"
    for one in (whole.entities, parts.entities):
        assert len(one.c.tracks) == np.count_nonzero(one.c.at) == len(np.unique(one.c.at)) - 1
    keys = parts.entities.c.key[RESERVED : parts.entities.used]
    slots = whole.entities.find(keys, np.zeros(len(keys), np.uint8))
    held = parts.entities.c.at[RESERVED : parts.entities.used] > 0
    assert np.array_equal(whole.entities.c.at[slots] > 0, held)


def test_where_everybody_has_evidence_a_live_attacker_is_held_and_memory_has_its_bound(model: Model) -> None:
    live = brute_force(700, n=700, every_ms=1_000)
    engine = Engine(model, 1_000)
    tracks = engine.entities.c.tracks
    tracks.room, tracks.most_rows = 300, 400
    crowd = Flows.concat([live, guesses(10_000, 690, 1_400, each=3)])
    found: list[Finding] = []
    for begin_s in range(T0_S + 680, T0_S + 1_500):
        found += engine.close(crowd.take(crowd.pane_s == begin_s), begin_s + 1)
        assert len(tracks) <= 300
        assert engine.entities.used <= 1_000
    at_s = [f.at_s for f in found if (f.entity, f.family) == (9_001, "guess")]
    assert at_s[0] < T0_S + 720
    assert at_s[-1] >= T0_S + 1_390, "told of as long as he goes on"
    assert {f.pane_s for f in found if (f.entity, f.family) == (9_001, "guess")} == {at_s[0]}, "one incident"
    assert 9_001 in engine.alive(0).tolist()


def test_an_owner_takes_no_more_than_bounds_say_though_everybody_has_evidence(model: Model) -> None:
    size = 1_000
    columns = Columns.blank(size, len(model.families))
    owner = sum(getattr(columns, name).nbytes for name in ARRAYS) / size + 16  # and its place in the index
    assert 1.5 * owner + WITHIN * ROW.itemsize <= OWNER_BYTES, "half more before a purge, and all rows of a pane"
