from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_traffic import NOW_MS, blocks, crowd, row

from detectors.artifact import Model, load
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.usage import Kind
from stream.errors import LostBlockError, SnapshotError
from stream.held import Awake
from stream.pipeline import Config, Pipeline

CROWD = crowd(5, 900, span_ms=8000)


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


def lasting(alerts: list[Alert]) -> list[Alert]:
    """The last word on each incident that was not withdrawn, as told when it closed."""
    return sorted(
        (
            a.model_copy(update={"live_clients": 0, "score": round(a.score, 6)})
            for a in alerts
            if a.status is Status.CLOSED
        ),
        key=lambda a: a.uid,
    )


def essence(alert: Alert) -> tuple[object, ...]:
    return (
        alert.uid,
        alert.kind,
        alert.entity,
        alert.first_ms,
        alert.last_ms,
        alert.crossed_ms,
        alert.score,
        alert.answer,
    )


def fed(
    model: Model, batches: list[tuple[int, list[Decision]]], partitions: int, *, peek: bool
) -> tuple[Pipeline, list[Alert]]:
    pipeline = Pipeline(model, Config(source_partitions=partitions, lateness_ms=10_000))
    alerts: list[Alert] = []
    offsets = dict.fromkeys(range(partitions), 0)
    for partition, rows in batches:
        [block] = blocks(rows, partition=partition, start=offsets[partition])
        offsets[partition] += 1
        alerts += pipeline.step([block], NOW_MS, peek=peek)
    return pipeline, alerts + pipeline.finish()


@settings(max_examples=12, deadline=None)
@given(data=st.data(), partitions=st.integers(1, 3), peek=st.booleans())
def test_the_same_decisions_give_the_same_counts_and_closed_alerts_however_they_come(
    data: st.DataObject,
    partitions: int,
    peek: bool,  # noqa: FBT001 - hypothesis
) -> None:
    shipped = load()
    whole, alerts = fed(shipped, [(0, CROWD)], 1, peek=False)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(CROWD) - 1), max_size=12)))
    parts = [CROWD[a:b] for a, b in zip([0, *cuts], [*cuts, len(CROWD)], strict=True)]
    split = [(data.draw(st.integers(0, partitions - 1)), part) for part in parts]
    order = data.draw(st.permutations(split)) if data.draw(st.booleans()) else split
    other, told = fed(shipped, order, partitions, peek=peek)
    ours, theirs = whole.totals(), other.totals()
    for kind in Kind:
        assert {k: v for k, v in ours[kind].items() if k != "flows_dropped"} == {
            k: v for k, v in theirs[kind].items() if k != "flows_dropped"
        }
    assert [essence(a) for a in lasting(told)] == [essence(a) for a in lasting(alerts)]
    assert lasting(alerts), "the traffic has something to find"
    for window_s in (10, 60, 600):
        usage = whole.usage(Kind.IP, "203.0.113.7", window_s)
        assert other.usage(Kind.IP, "203.0.113.7", window_s).measures[:9] == usage.measures[:9]


def test_a_repeated_block_is_dropped_and_a_missing_one_stops_everything(model: Model) -> None:
    pipeline = Pipeline(model)
    first, second, third = (blocks([row(i)], start=i)[0] for i in range(3))
    pipeline.step([first, first], NOW_MS)
    pipeline.step([first, second], NOW_MS)
    assert pipeline.totals()[Kind.GLOBAL]["n"] == 2
    lost = Pipeline(model)
    lost.step([first], NOW_MS)
    with pytest.raises(LostBlockError, match=r"applied up to 1, then came block \[2, 3\)"):
        lost.step([third], NOW_MS)
    assert pipeline.progress.repeated_blocks == 2


def test_a_pane_stays_open_until_every_speaking_partition_is_past_it(model: Model) -> None:
    pipeline = Pipeline(model, Config(source_partitions=2, lateness_ms=1000, idle_ms=3000))
    pipeline.step(blocks([row(60_000)], partition=0), NOW_MS)
    assert pipeline.watermark_ms == 0, "partition 1 has not spoken, and is not silent for long enough yet"
    pipeline.step(blocks([row(5_000)], partition=1), NOW_MS + 100)
    assert pipeline.watermark_ms == NOW_MS + 4_000
    pipeline.step(blocks([row(61_000)], partition=0, start=1), NOW_MS + 3_050)
    pipeline.tick(NOW_MS + 3_100)
    assert pipeline.watermark_ms == NOW_MS + 60_000, "partition 1 is silent"


def test_a_partition_whose_worker_is_being_replaced_is_waited_for_as_long_as_its_log_holds_more(model: Model) -> None:
    pipeline = Pipeline(model, Config(source_partitions=2, lateness_ms=1000, idle_ms=3000, stalled_ms=10_000))
    for p in (0, 1):
        pipeline.step(blocks([row(5_000)], partition=p), NOW_MS)
    for second in range(1, 9):
        now_ms = NOW_MS + second * 1000
        pipeline.step(blocks([row(5_000 + second * 1000)], partition=0, start=second), now_ms)
        assert set(pipeline.silent(now_ms)) <= {1}
        pipeline.awaits(dict.fromkeys(pipeline.silent(now_ms), 99), now_ms)
    assert pipeline.watermark_ms == NOW_MS + 4_000
    pipeline.step(blocks([row(5_500)], partition=1, start=1), NOW_MS + 8_500)
    assert pipeline.progress.late_rows == 0
    for second in range(9, 22):
        now_ms = NOW_MS + second * 1000
        pipeline.step(blocks([row(5_000 + second * 1000)], partition=0, start=second), now_ms)
        pipeline.awaits(dict.fromkeys(pipeline.silent(now_ms), 99), now_ms)
    assert pipeline.watermark_ms > NOW_MS + 20_000, "not for ever"


def test_a_partition_that_has_said_all_it_holds_is_idle_soon(model: Model) -> None:
    pipeline = Pipeline(model, Config(source_partitions=2, lateness_ms=1000, idle_ms=3000))
    for p in (0, 1):
        pipeline.step(blocks([row(5_000)], partition=p), NOW_MS)
    for second in range(1, 6):
        now_ms = NOW_MS + second * 1000
        pipeline.step(blocks([row(5_000 + second * 1000)], partition=0, start=second), now_ms)
        pipeline.awaits(dict.fromkeys(pipeline.silent(now_ms), 1), now_ms)
    assert pipeline.watermark_ms == NOW_MS + 9_000


def test_while_the_broker_does_not_say_where_a_log_ends_nobody_takes_its_partition_for_idle(model: Model) -> None:
    pipeline = Pipeline(model, Config(source_partitions=2, lateness_ms=1000, idle_ms=3000, stalled_ms=10_000))
    for p in (0, 1):
        pipeline.step(blocks([row(5_000)], partition=p), NOW_MS)
    for second in range(1, 9):
        pipeline.tick(NOW_MS + second * 1000)
        pipeline.awaits(dict.fromkeys(pipeline.silent(NOW_MS + second * 1000), None), NOW_MS + second * 1000)
    assert pipeline.watermark_ms == NOW_MS + 4_000
    pipeline.step(blocks([row(6_000)], partition=1, start=1), NOW_MS + 8_500)
    pipeline.step(blocks([row(6_000)], partition=0, start=1), NOW_MS + 8_500)
    assert pipeline.progress.late_rows == 0


def test_who_did_not_look_has_seen_nobody_silent(model: Model) -> None:
    pipeline, awake = Pipeline(model, Config(lateness_ms=1000, idle_ms=3000)), Awake()
    pipeline.step(blocks([row(5_000)]), awake.look(NOW_MS))
    pipeline.tick(awake.look(NOW_MS + 200))
    pipeline.tick(awake.look(NOW_MS + 9_000))  # the process was stopped
    pipeline.step(blocks([row(6_000)], start=1), awake.look(NOW_MS + 9_020))
    assert pipeline.progress.late_rows == 0
    for tick in range(30):
        pipeline.tick(awake.look(NOW_MS + 9_020 + tick * 200))
    assert pipeline.watermark_ms > NOW_MS + 6_000, "who looks, and finds nothing, has"


def test_when_all_is_silent_event_time_goes_on_with_the_clock(model: Model) -> None:
    pipeline = Pipeline(model, Config(lateness_ms=1000, idle_ms=3000))
    pipeline.step(blocks([row(0)]), NOW_MS)
    pipeline.tick(NOW_MS + 14_000)
    assert pipeline.watermark_ms == NOW_MS + 10_000


def test_a_late_row_counts_in_its_own_second_and_is_evidence_in_the_oldest_open_one(model: Model) -> None:
    pipeline = Pipeline(model, Config(lateness_ms=1000))
    pipeline.step(blocks([row(30_000, ip="192.0.2.9")]), NOW_MS)
    pipeline.step(blocks([row(0)], start=1), NOW_MS)
    assert pipeline.progress.late_rows == 1
    assert pipeline.usage(Kind.IP, "192.0.2.1", 60).measures[0] == 1
    assert pipeline.usage(Kind.IP, "192.0.2.1", 10).measures[0] == 0


def test_a_guesser_is_told_of_at_once_before_any_pane_closes(model: Model) -> None:
    pipeline = Pipeline(model)
    rows = [
        row(i, ip="203.0.113.7", method="POST", route="/login", path="/login", status=401, user=f"u{i}")
        for i in range(40)
    ]
    alerts = pipeline.step(blocks(rows), NOW_MS)
    assert [(a.status, a.kind, a.entity.value) for a in alerts if a.kind == "guess"] == [
        (Status.OPEN, "guess", "203.0.113.7")
    ]
    assert alerts[0].live_clients == 1
    assert pipeline.watermark_ms < NOW_MS


def test_a_restored_pipeline_goes_on_as_if_nothing_had_happened(model: Model) -> None:
    halves = CROWD[:450], CROWD[450:]
    pipeline = Pipeline(model)
    pipeline.step(blocks(halves[0]), NOW_MS)
    again = Pipeline.restore(model, None, pipeline.snapshot())
    told = [p.step(blocks(halves[1], start=1), NOW_MS) + p.finish() for p in (pipeline, again)]
    assert told[0] == told[1]
    assert pipeline.totals() == again.totals()


@pytest.mark.parametrize("damage", [b"", b"PK", b"x" * 100])
def test_a_damaged_snapshot_is_refused(model: Model, damage: bytes) -> None:
    with pytest.raises(SnapshotError):
        Pipeline.restore(model, None, damage)
    with pytest.raises(SnapshotError):
        Pipeline.restore(model, None, Pipeline(model).snapshot()[:-200])
