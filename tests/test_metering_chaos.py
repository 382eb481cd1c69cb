"""Meters killed, frozen and restarted under load, two on one store, the stream worker and the broker too: is each
minute of each client right? One seed in the suite, FW_CHAOS_SEEDS of them by `make chaos`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from chaos import Fleet, Load, counted, plan
from metering_world import all_counted
from servers import kafka, why_no_kafka
from stream_worker import Worker, make_settings

from floodwarden.embedded import free_port
from schemas.decision import Decision
from schemas.usage import Kind
from stream.metering import store
from stream.metering.app import store_url
from stream.metering.minutes import METERED, MINUTE_S
from stream.metering.tables import HOURS, MINUTES

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]
SEEDS = range(int(os.environ.get("FW_CHAOS_SEEDS", "1")))
SECONDS = 20
FASTER = 10  # event time, so that several minutes end while things befall the meters
Cell = tuple[int, str, int]


class Hurried(Load):
    """Traffic of the last few minutes, ten times as fast as it was."""

    def _traffic(self) -> list[Decision]:
        rows, now_ms = super()._traffic(), int(time.time() * 1000)
        began_ms = self.__dict__.setdefault("began_ms", now_ms)
        shift_ms = SECONDS * FASTER * 1000 - (now_ms - began_ms) * (FASTER - 1)
        return [msgspec.structs.replace(row, ts_ms=row.ts_ms - shift_ms) for row in rows]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_minute_is_right_whatever_befalls_the_meters(
    seed: int, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := why_no_kafka():
        pytest.skip(reason)
    home = tmp_path / "kafka"
    home.mkdir()
    with kafka(home) as broker:
        settings = make_settings(broker.address, topic_prefix, tmp_path, snapshot_every_ms=300)
        stream = Worker(settings.model_copy(update={"node": "stream"}), tmp_path)
        meters = [
            Worker(settings.model_copy(update={"port": free_port()}), tmp_path, program="stream.metering.app")
            for _ in range(2)
        ]
        fleet = Fleet([*meters, stream], broker)
        try:
            for one in fleet.workers:
                one.start()
            for one in fleet.workers:
                one.answers("/readyz", lambda _: True)
            fleet.through(Hurried(settings, seed, SECONDS), plan(seed, len(fleet.workers), SECONDS))
            wanted = counted(settings)
            total = sum(n for (kind, _, _), n in wanted.items() if kind == Kind.GLOBAL)
            _tended(fleet, lambda: stream.global_n() == total)
            all_counted(settings, meters)
            fleet.stop()
            # One that froze may have answered for a partition that was the other's: what nobody stored is taken up now.
            meters[0].start()
            all_counted(settings, meters[:1])
            assert meters[0].stop() == 0, meters[0].log()
        finally:
            for one in fleet.workers:
                if one.process and one.process.poll() is None:
                    one.kill()
        minutes: Counter[Cell] = Counter()
        for (kind, entity, pane_s), n in wanted.items():
            if kind in METERED:
                minutes[kind, entity, pane_s // MINUTE_S * MINUTE_S] += n
        found = _stored(store_url(settings))
        wrong = {cell: (found[cell], n) for cell, n in (minutes | found).items() if found[cell] != minutes[cell]}
        assert not wrong, (seed, len(wrong), list(wrong.items())[:5])
    starts = sum(one.starts for one in fleet.workers)
    with capsys.disabled():
        print(f"\nseed {seed}: {total:,} rows, {len(minutes):,} client minutes right, {starts} starts of 3")  # noqa: T201


def _tended(fleet: Fleet, good: Callable[[], bool], within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        fleet.tend(time.monotonic())
        try:
            if good():
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError([one.log()[-1500:] for one in fleet.workers])


def _stored(url: str) -> Counter[Cell]:
    engine = store.connect(url)
    cells: Counter[Cell] = Counter()
    with engine.connect() as at:
        for table in (MINUTES, HOURS):
            for row in at.execute(sa.select(table)):
                assert not row.other
                cells[row.kind, row.entity, row.start_s] += row.n
    engine.dispose()
    return cells
