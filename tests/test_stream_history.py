"""Where a key or an account is known from: who stays, who is not learned from, what is told, also after a restart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_traffic import blocks, row

from detectors.artifact import load
from detectors.columns import Finding
from schemas import history as wire
from schemas.errors import BadMessageError
from schemas.history import KEPT_S, Sights
from schemas.networks import subscriber
from schemas.usage import FLOWS, Kind, Outcome
from stream.history import History
from stream.pipeline import Config, Pipeline

START_S = 1_800_000_000
HOUR_S = 3600
KEY, HOME, OFFICE, THIEF = 7, 0xCB007107, 0xC6336407, 0x01020304
ALERT = Finding(Kind.KEY, KEY, "leak", 1, 0, 0, 0, 0, 0, 0, 0.9, "challenge", "high", 0, (), ())


def flows(*rows: tuple[int, int, int], kind: Kind = Kind.KEY, **more: object) -> pa.RecordBatch:
    """Requests of (owner, subscriber, seconds after `START_S`)."""
    row = {f.name: 0 for f in FLOWS if not pa.types.is_dictionary(f.type)} | {"login": False, "n": 1} | more
    return pa.RecordBatch.from_pylist(
        [row | {"kind": kind, "hash": o, "subscriber": s, "pane_s": START_S + at} for o, s, at in rows], FLOWS
    )


def seen(history: History, *rows: tuple[int, int, int], findings: tuple[Finding, ...] = ()) -> History:
    """`history` after these requests, each in a pane of its own that closed before the next began."""
    for visit in sorted(rows, key=lambda visit: visit[2]):
        history.add(flows(visit), START_S)
        history.close(START_S + visit[2] + 1, [f for f in findings if f.at_s == START_S + visit[2]])
    return history


def known(history: History, before: int = 10**6) -> set[tuple[int, int]]:
    sights = Sights.concat([sights for _, sights in replaced(history).told(1)])
    rows = sights.take(sights.known(HOUR_S, START_S + before))
    return set(zip(rows.owner.tolist(), rows.subscriber.tolist(), strict=True))


def replaced(history: History) -> History:
    """One that goes on from a snapshot of it, and is due to tell."""
    again = History(HOUR_S, 1000, history._places)
    again.restore(history.arrays())
    again.told(1)
    again.close(again._newest_s + 1, [])
    return again


def made(places: int = 1 << 8) -> History:
    history = History(HOUR_S, 1000, places)
    history.close(START_S, [])
    return history


def test_an_address_is_known_once_a_key_fared_well_there_over_an_hour() -> None:
    history = seen(made(), (KEY, HOME, 0), (KEY, OFFICE, 10), (KEY, OFFICE, 3000), (KEY, HOME, HOUR_S))
    assert known(history) == {(KEY, HOME)}
    assert known(history, before=HOUR_S - 1) == set(), "what began within the hour before an attack is not known"


def test_who_failed_or_was_limited_is_not_learned_from_nor_a_user_who_did_not_sign_in() -> None:
    history = made()
    for outcome in set(Outcome) - {Outcome.OK}:
        history.add(flows((KEY, HOME, 0), outcome=outcome), START_S)
    history.add(flows((KEY, HOME, 0), kind=Kind.IP), START_S)
    history.add(flows((KEY, 0, 0)), START_S)
    history.add(flows((5, HOME, 0), kind=Kind.USER), START_S)
    history.close(START_S + 9, [])
    assert len(history) == 0
    history.add(flows((5, HOME, 9), kind=Kind.USER, login=True), START_S)
    history.close(START_S + 10, [])
    assert len(history) == 1


def test_whoever_has_a_stolen_key_does_not_become_known_by_using_it() -> None:
    alert = replace(ALERT, at_s=START_S + 8000, last_ms=(START_S + 8300) * 1000)
    visits = [(KEY, HOME, at) for at in range(0, 12_000, 500)] + [(KEY, THIEF, at) for at in range(7501, 12_000, 500)]
    history = seen(made(), *visits, (KEY, HOME, 8000), (9, THIEF, 8400), findings=(alert,))
    assert known(history) == {(KEY, HOME)}
    sights = Sights.concat([sights for _, sights in replaced(history).told(1)])
    thief = sights.take(sights.subscriber == THIEF)
    began = dict(zip(thief.owner.tolist(), thief.first_s.tolist(), strict=True))
    assert began[KEY] >= START_S + 8300 + 1200, "learned again only when the incident is over"
    assert began[9] == START_S + 8400, "an alert is about its own key alone"


VISITS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 7300)), min_size=1, max_size=40)


@given(VISITS, st.lists(st.integers(0, 7400), max_size=6))
def test_what_is_known_hangs_on_what_was_seen_alone_and_not_on_how_it_came(
    visits: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    visits = sorted(visits, key=lambda visit: visit[2])
    whole = made()
    whole.add(flows(*visits), START_S)
    whole.close(START_S + 7400, [])
    by_parts, begin = made(), 0
    for cut in [*sorted(cuts), 7400]:
        by_parts.add(flows(*(v for v in visits if begin <= v[2] < cut)), START_S)
        by_parts.close(START_S + cut, [])
        by_parts, begin = carried(by_parts), cut
    first: dict[tuple[int, int], int] = {}
    for owner, at, when in visits:
        first.setdefault((owner, at), when)
    last = {(owner, at): when for owner, at, when in visits}
    expected = {pair for pair in first if last[pair] - first[pair] >= HOUR_S}
    assert known(whole) == known(by_parts) == expected


def carried(history: History) -> History:
    again = History(HOUR_S, 1000, history._places)
    again.restore(history.arrays())
    return again


def test_strangers_crowd_out_strangers_and_never_who_is_known() -> None:
    history, end_s = made(places=16), 20 * HOUR_S
    seen(history, *((KEY, at, at // 8 * HOUR_S + when) for at in range(1, 128) for when in (0, HOUR_S)))
    before = known(history)
    rng = np.random.default_rng(1)
    crowd = [(int(owner), 5, end_s) for owner in rng.integers(100, 10**9, 400)]
    history.add(flows(*crowd), START_S)
    history.close(START_S + end_s + 1, [])
    assert known(history) == before
    assert len(history) == len(before) == 16
    assert history.unheld >= 400, "and it is counted who was not held"


def test_who_was_not_seen_for_thirty_days_gives_way_and_is_told_no_more() -> None:
    history = seen(made(), (KEY, HOME, 0), (KEY, HOME, HOUR_S), (9, HOME, KEPT_S + HOUR_S + 2))
    assert known(history, before=10**9) == set()
    again = seen(history, (KEY, HOME, KEPT_S + HOUR_S + 3))
    assert known(again, before=10**9) == set(), "it begins anew"


def test_open_panes_hold_no_more_than_they_may_and_the_rest_is_counted() -> None:
    history = made()
    history.add(flows(*((KEY, at, 0) for at in range(1, 1500))), START_S)
    history.close(START_S + 1, [])
    assert history.unheld >= 499


def test_it_is_told_once_a_period_and_only_what_is_new() -> None:
    history = seen(made(), (KEY, HOME, 0))
    assert history.told(HOUR_S) == [], "not within the period it began in"
    seen(history, (KEY, OFFICE, HOUR_S))
    first = history.told(HOUR_S)
    assert sum(len(sights) for _, sights in first) == 2
    assert history.told(HOUR_S) == []
    seen(history, (KEY, HOME, 2 * HOUR_S))
    assert [part for part, sights in history.told(HOUR_S) if HOME in sights.subscriber] != []


def test_a_worker_that_has_nothing_left_goes_on_from_what_was_told() -> None:
    history = seen(made(), (KEY, HOME, 0), (KEY, HOME, HOUR_S), (KEY, OFFICE, HOUR_S))
    told = [wire.decode(wire.encode(sights)) for _, sights in replaced(history).told(1)]
    heir = made()
    heir.seed(told)
    assert known(seen(heir, (KEY, OFFICE, 2 * HOUR_S))) == {(KEY, HOME), (KEY, OFFICE)}


def test_a_worker_killed_between_telling_and_its_snapshot_tells_the_same_again_and_goes_on_as_if_it_had_not() -> None:
    """What its partition was told of stands in the topic; its snapshot is of before, and its blocks come again."""
    model, config = load(), Config(source_partitions=1, lateness_ms=0, history_s=600)
    ips = ("203.0.113.7", "2001:db8:1::1", "203.0.113.8", "2001:db8:2::1")
    parts = [
        blocks([row(at_s * 1000, ip=ips[number % 4], key_id="k1", status=200)], start=number)
        for number, at_s in enumerate(range(0, 7200, 200))
    ]
    topic: dict[int, bytes] = {}

    def step(pipeline: Pipeline, until: int, since: int) -> None:
        for number in range(since, until):
            pipeline.step(parts[number], 0, peek=False)
            topic.update((part, wire.encode(sights)) for part, sights in pipeline.history.told(600))

    killed = Pipeline(model, config)
    step(killed, 15, 0)
    snapshot = bytes(killed.snapshot())
    assert topic, "it was told before the snapshot, too"
    step(killed, 25, 15)
    told = dict(topic)
    heir = Pipeline.restore(model, config, snapshot)
    step(heir, 25, 15)
    assert topic == told, "the same again"
    step(heir, len(parts), 25)
    after, topic = dict(topic), {}
    step(Pipeline(model, config), len(parts), 0)
    assert topic == after
    seen_at = Sights.concat([wire.decode(value) for value in topic.values()]).subscriber
    assert sorted(seen_at.tolist()) == sorted(map(subscriber, ips))


@pytest.mark.parametrize(
    ("value", "field"),
    [(b"x", "body"), (wire.encode(Sights.concat([]))[:60], "body")],
)
def test_what_is_no_slice_is_refused_by_name(value: bytes, field: str) -> None:
    with pytest.raises(BadMessageError) as refused:
        wire.decode(value)
    assert refused.value.field == field
