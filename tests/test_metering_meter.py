"""The meter as a process beside a stream worker: minutes exact through kills and rebalances, and what it answers."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from metering_traffic import Cells, counted, traffic
from metering_world import all_counted, meter
from servers import ROOT
from stream_traffic import NOW_MS
from stream_worker import Worker, batch, make_settings, send, worker

from floodwarden import doctor_services
from schemas.decision import Decision
from schemas.settings import Settings
from stream.metering import store
from stream.metering.app import store_url
from stream.metering.minutes import MEASURES
from stream.metering.tables import HOURS, MINUTES

pytestmark = pytest.mark.integration
SPAN_MS = 200_000


def decisions(seed: int, count: int, ago_ms: int = 0) -> list[Decision]:
    """Traffic of some minutes, which ended so long ago."""
    begin_ms = int(time.time() * 1000) - SPAN_MS - ago_ms
    return traffic(random.Random(seed), count, SPAN_MS, begin_ms - NOW_MS)


def stored(settings: Settings) -> Cells:
    engine, cells = store.connect(store_url(settings)), {}
    with engine.connect() as at:
        for table in (MINUTES, HOURS):
            for row in at.execute(sa.select(table)):
                assert not row.other
                cells[row.kind, row.start_s, row.entity] = tuple(getattr(row, m) for m in MEASURES)
    engine.dispose()
    return cells


def published(settings: Settings, stream: Worker, rows: list[Decision], before: int = 0) -> int:
    send(settings, [batch(rows[i : i + 50]) for i in range(0, len(rows), 50)])
    wanted = before + sum(row.weight or 1 for row in rows)
    stream.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == wanted)
    return wanted


def freeze(one: Worker, settings: Settings) -> None:
    """Stop a meter as SIGSTOP does, but not within a write: with SQLite nobody else could write before it goes on."""
    assert one.process
    until_s = time.monotonic() + 60
    while True:
        one.process.send_signal(signal.SIGSTOP)
        try:
            usage = sqlite3.connect(Path(settings.data_dir) / "usage.db", timeout=0, isolation_level=None)
            with closing(usage) as beside:
                beside.execute("BEGIN IMMEDIATE")
                beside.execute("ROLLBACK")
        except sqlite3.OperationalError:
            one.process.send_signal(signal.SIGCONT)
            assert time.monotonic() < until_s, "never seen without the lock"
            time.sleep(0.05)
        else:
            return


def floodwarden(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOODWARDEN_")}
    return subprocess.run(
        [sys.executable, "-m", "floodwarden", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=clean | {"COLUMNS": "140"} | environment,
    )  # fmt: skip


def test_minutes_are_right_whenever_the_meter_is_killed(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    rows: list[Decision] = []
    with worker(settings, tmp_path) as stream, meter(settings, tmp_path) as one:
        total = 0
        for seed in range(4):
            some = decisions(seed, 600)
            rows += some
            total = published(settings, stream, some, total)
            if seed == 1:
                all_counted(settings, [one])  # and some of it stored, as its minutes are over
            if seed < 3:
                one.kill()
                one.start()
        all_counted(settings, [one])
        assert one.stop() == 0, one.log()
        assert stored(settings) == counted(rows)
        one.start()  # an orderly stop has closed its minutes: what comes now is late, and added
        more = decisions(4, 200)
        published(settings, stream, more, total)
        all_counted(settings, [one])
        assert one.stop() == 0, one.log()
        assert stored(settings) == counted(rows + more)


def test_two_meters_share_the_work_and_one_takes_over_from_the_killed_other(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    with worker(settings, tmp_path) as stream, meter(settings, tmp_path) as one, meter(settings, tmp_path) as two:
        first = decisions(1, 600)
        total = published(settings, stream, first)
        all_counted(settings, [one, two])
        two.kill()
        second = decisions(2, 600)
        published(settings, stream, second, total)
        all_counted(settings, [one])
        assert one.stop() == 0, one.log()
        assert stored(settings) == counted(first + second)


@pytest.mark.kafka
def test_a_meter_that_froze_while_another_took_over_stores_nothing_twice(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka_address, topic_prefix, tmp_path)
    with worker(settings, tmp_path) as stream, meter(settings, tmp_path) as frozen:
        first = decisions(1, 600)
        total = published(settings, stream, first)
        all_counted(settings, [frozen])
        freeze(frozen, settings)
        with meter(settings, tmp_path) as other:
            second = decisions(2, 600)
            total = published(settings, stream, second, total)
            all_counted(settings, [other])
            assert frozen.process
            frozen.process.send_signal(signal.SIGCONT)
            third = decisions(3, 600)
            published(settings, stream, third, total)
            all_counted(settings, [frozen, other])
            assert other.stop() == 0, other.log()
            all_counted(settings, [frozen])
            assert frozen.stop() == 0, frozen.log()
        assert stored(settings) == counted(first + second + third)


def test_people_ask_who_used_the_most_and_see_one_clients_time_line(tmp_path: Path, embedded_address: str) -> None:
    settings = make_settings(embedded_address, f"t{random.randrange(1 << 40):x}.", tmp_path)
    with worker(settings, tmp_path) as stream, meter(settings, tmp_path) as one:
        rows = decisions(1, 500, ago_ms=80_000)
        wanted = published(settings, stream, rows)
        # Nothing more comes: the clock says that these minutes are over.
        one.answers("/v1/usage/top?by=global&last_s=3600", lambda t: t["total"]["n"] == wanted)
        at = f"127.0.0.1:{one.settings.port}"
        truth: dict[str, int] = {}
        for row in rows:
            truth[str(row.route)] = truth.get(str(row.route), 0) + row.cost * (row.weight or 1)
        told = floodwarden("usage", "top", "--by", "route", "--order", "cost", "--last", "1h", "--json", "--at", at)
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        assert {row["entity"]: row["cost"] for row in found["top"]} == truth
        assert [row["cost"] for row in found["top"]] == sorted(truth.values(), reverse=True)
        assert found["total"]["cost"] == sum(truth.values())
        table = floodwarden("usage", "top", "--by", "route", "--order", "cost", FLOODWARDEN_METER=at)
        assert f"{max(truth.values()):,}" in table.stdout
        line = floodwarden("usage", "show", "route:/r1", "--last", "1h", "--json", "--at", at)
        shown = json.loads(line.stdout)
        assert shown["total"]["cost"] == truth["/r1"]
        assert len(shown["steps"]) in (60, 61)
        assert "nothing used by key:nobody" in floodwarden("usage", "show", "key:nobody", "--at", at).stdout
        assert one.get("/v1/usage/top?by=global&order=requests&last_s=3600")["top"][0]["entity"] == "*"
        check = doctor_services.meter(settings.model_copy(update={"meter": at}))
        assert (check.level, check.seen) == ("ok", f"{at}: {wanted:,} requests of the last day")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("top", "--by", "planet"), 2, "by: one of key, ip, user, route"),
        (("top", "--order", "fame"), 2, "order: one of requests"),
        (("top", "--last", "3s"), 2, "last_s: a whole number from 60"),
        (("show", "mars"), 2, "KIND:VALUE"),
        (("show", "planet:mars"), 2, "kind: one of key"),
        (("top", "--at", "127.0.0.1:1"), 1, "start `floodwarden meter` or set FLOODWARDEN_METER"),
    ],
)
def test_a_wrong_question_is_answered_with_what_would_be_right(
    quiet_meter: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    told = floodwarden("usage", *arguments, FLOODWARDEN_METER=quiet_meter)
    assert told.returncode == code
    assert says in " ".join(told.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def quiet_meter(embedded_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a meter that has nothing to count."""
    directory = tmp_path_factory.mktemp("quiet")
    settings = make_settings(embedded_address, f"q{random.randrange(1 << 40):x}.", directory)
    with meter(settings, directory) as one:
        yield f"127.0.0.1:{one.settings.port}"


def test_what_the_meter_measures_is_told(quiet_meter: str) -> None:
    with urllib.request.urlopen(f"http://{quiet_meter}/metrics", timeout=5) as answer:
        text: Any = answer.read().decode()
    for name in ("decisions_total", "cpu_seconds_total", "write_seconds_count", "repeated_blocks_total"):
        assert f"floodwarden_meter_{name} " in text
