"""DESIGN's invariant: the same decisions give the same alerts, live or offline, whatever the batching.

logs of 1 to 4 partitions  ->  any number of messages at a time, partitions in any order, workers that die between
any two blocks and are succeeded, looks at open panes or none  ->  the closed alerts, byte for byte
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from stream_blocks import Writer, dealt
from stream_traffic import GLOBS, NOW_MS, crowd, row

from detectors.artifact import load
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.usage import Kind
from stream import intake
from stream.blocks import Cut, Message
from stream.event_time import Rule
from stream.pipeline import Config, Pipeline
from stream.profile import profile
from stream.rings import WINDOWS_S

RULE = Rule(lateness_ms=1000)
MODEL = load()
TURN_MS = 1_200_000 - NOW_MS % 1_200_000  # to the next twenty minutes, by which incidents are named


def traffic(seed: int, at_ms: int) -> list[Decision]:
    """A crowd in the order it came in: nearly that of event time, and some rows far too late."""
    chance = random.Random(seed)
    rows = [row(at_ms + r.ts_ms - NOW_MS, **_rest(r)) for r in crowd(seed, 700, span_ms=9000)]
    came = [(r.ts_ms + chance.randrange(700) + (chance.random() < 0.03) * chance.randrange(6000), r) for r in rows]
    return [r for _, r in sorted(came, key=lambda pair: pair[0])]


def _rest(decision: Decision) -> dict[str, object]:
    names = ("ip", "user", "key_id", "method", "route", "path", "verdict", "status", "latency_ms")
    return {name: getattr(decision, name) for name in names}


def told(
    logs: Sequence[Sequence[Message]], turns: Sequence[tuple[int, int, bool]], *, peek: bool, restored: bool = False
) -> tuple[list[Alert], Pipeline]:
    """Alerts, when blocks are written in these turns (partition, messages, whether the worker dies), then the rest."""
    writers = [Writer(p, log, RULE) for p, log in enumerate(logs)]
    config = Config(source_partitions=len(logs), lateness_ms=RULE.lateness_ms)
    pipeline, alerts = Pipeline(MODEL, config), []
    everything = [(p, len(log), False) for _ in range(2) for p, log in enumerate(logs)]
    for partition, count, dies in [*turns, *everything]:
        writer = writers[partition % len(logs)]
        alerts += pipeline.step(writer.step(count, dies=dies), NOW_MS, peek=peek)
        if restored and dies:
            pipeline = Pipeline.restore(MODEL, config, pipeline.snapshot())
    assert all(writer.done for writer in writers)
    return alerts + pipeline.finish(), pipeline


def closed(alerts: Sequence[Alert]) -> list[str]:
    return [a.model_dump_json() for a in alerts if a.status is Status.CLOSED]


TURNS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12), st.booleans()), max_size=40)


@settings(max_examples=25, deadline=None)
@given(turns=TURNS, partitions=st.integers(1, 4), seed=st.integers(0, 3), peek=st.booleans(), restored=st.booleans())
def test_the_closed_alerts_of_the_same_logs_are_the_same_bytes_however_they_were_read(
    turns: list[tuple[int, int, bool]],
    partitions: int,
    seed: int,
    peek: bool,  # noqa: FBT001 - hypothesis
    restored: bool,  # noqa: FBT001 - hypothesis
) -> None:
    logs = dealt(traffic(seed, TURN_MS - 4000), partitions, seed)
    whole, replayed = told(logs, [], peek=False)
    live, pipeline = told(logs, turns, peek=peek, restored=restored)
    assert closed(live) == closed(whole)
    assert len(closed(whole)) >= 2, "the traffic has something to find"
    assert pipeline.totals() == replayed.totals()
    for window_s in WINDOWS_S:
        for kind, value in ((Kind.IP, "203.0.113.7"), (Kind.GLOBAL, "*")):
            assert profile(pipeline.windows, kind, value, window_s) == profile(replayed.windows, kind, value, window_s)


@settings(max_examples=25, deadline=None)
@given(turns=TURNS, partitions=st.integers(1, 4), seed=st.integers(0, 3))
def test_what_is_told_early_goes_by_the_name_that_the_closed_panes_give_it_or_is_withdrawn(
    turns: list[tuple[int, int, bool]], partitions: int, seed: int
) -> None:
    logs = dealt(traffic(seed, TURN_MS - 4000), partitions, seed)
    live, _ = told(logs, turns, peek=True)
    ended: dict[str, list[Status]] = {}
    for alert in live:
        ended.setdefault(alert.uid, []).append(alert.status)
    about = {a.uid: (a.entity, a.kind) for a in live}
    for uid, statuses in ended.items():
        assert statuses[0] is Status.OPEN
        assert statuses[-1] in (Status.CLOSED, Status.WITHDRAWN)
        if statuses[-1] is Status.WITHDRAWN:
            others = [u for u, what in about.items() if what == about[uid] and u != uid]
            assert not others, "withdrawn, and told again under another name"


def test_the_traffic_has_late_rows_and_some_of_it_is_told_early() -> None:
    logs = dealt(traffic(0, TURN_MS + 60_000), 2, 0)
    late = [intake.take(Cut(0, len(log), tuple(log)), p, RULE, GLOBS).late for p, log in enumerate(logs)]
    assert sum(late) > 0
    early, pipeline = told(logs, [(i % 2, 3, False) for i in range(60)], peek=True)
    assert [a for a in early if a.status is Status.UPDATE], "restated when its pane closed"
    assert pipeline.progress.late_rows == 0, "late by its partition, never by how far another was read"
