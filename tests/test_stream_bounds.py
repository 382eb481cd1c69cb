"""Ten million made-up addresses beside a live brute force: what is held stays within its bound, and he is told of."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from stream_traffic import GLOBS, NOW_MS

from detectors.artifact import load
from detectors.tracks import WITHIN
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from schemas import codec
from schemas import decision as d
from schemas.action import ActionKind
from schemas.alert import Alert, EntityKind, Status
from schemas.settings import Settings
from schemas.usage import Block, Kind
from stream.combine import combine
from stream.names import Names
from stream.pipeline import Config, Pipeline

ATTACKER = "203.0.113.7"
CHUNK = 100_000
WARM_S = 620
CONFIG = Config(entities_max=50_000, state_bytes_max=64 << 20)


def dictionary(codes: np.ndarray, form: str) -> pa.DictionaryArray:
    distinct, at = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), pa.array([form.format(v) for v in distinct]))


def decisions(ts_ms: np.ndarray, ip: pa.Array, route: str = "/items/{id}", **columns: pa.Array) -> pa.RecordBatch:
    rows = len(ts_ms)
    given = {
        "ts_ms": pa.array(NOW_MS + ts_ms),
        "ip": ip,
        "cost": pa.array(np.ones(rows, np.int32)),
        "status": pa.array(np.full(rows, 200, np.int16)),
        "path": dictionary(ts_ms * 7 % 400, "/items/{}"),
    }
    for name, text in (("verdict", "allow"), ("method", "GET"), ("route", route)):
        given[name] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))
    given |= columns
    return pa.RecordBatch.from_arrays([given.get(f.name, pa.nulls(rows, f.type)) for f in d.SCHEMA], schema=d.SCHEMA)


def people(begin_s: int, chance: np.random.Generator) -> pa.RecordBatch:
    """Ten seconds of a site's own clients."""
    return decisions(
        begin_s * 1000 + np.sort(chance.integers(0, 10_000, 1_000)),
        dictionary(chance.zipf(1.4, 1_000) % 3_000, "198.18.{}.1"),
    )


def made_up(begin_ms: int, until_ms: int, rows: int, chance: np.random.Generator) -> pa.RecordBatch:
    """An address a request, of all there are."""
    q = chance.integers(0, 1 << 32, rows, dtype=np.uint64).tolist()
    texts = pa.array([f"{x >> 24}.{x >> 16 & 255}.{x >> 8 & 255}.{x & 255}" for x in q])
    ip = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32)), texts)
    return decisions(np.sort(chance.integers(begin_ms, until_ms, rows)), ip)


def guesses(begin_ms: int, until_ms: int, first: int, rows: int) -> pa.RecordBatch:
    """Failed logins of one address at accounts from `first` on."""
    return decisions(
        np.linspace(begin_ms, until_ms - 1, rows).astype(np.int64),
        dictionary(np.zeros(rows, np.int64), ATTACKER),
        "/login",
        method=dictionary(np.zeros(rows, np.int64), "POST"),
        path=dictionary(np.zeros(rows, np.int64), "/login"),
        status=pa.array(np.full(rows, 401, np.int16)),
        user=dictionary(np.arange(first, first + rows), "user{}"),
    )


def traffic(strangers: int, per_s: int, guesses_each: int) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Ordinary minutes, the flood with guesses in each chunk of it, and a little more; and whether it is flood."""
    chance = np.random.default_rng(5)
    for begin_s in range(0, WARM_S, 10):
        yield people(begin_s, chance), False
    begin_ms, span_ms = WARM_S * 1000, CHUNK * 1000 // per_s
    for number in range(strangers // CHUNK):
        yield made_up(begin_ms, begin_ms + span_ms, CHUNK, chance), True
        yield guesses(begin_ms, begin_ms + span_ms, number * guesses_each, guesses_each), True
        begin_ms += span_ms
    yield people(begin_ms // 1000 + 20, chance), False


def as_block(rows: pa.RecordBatch, number: int) -> Block:
    [block] = combine(
        rows, partition=0, start=number, end=number + 1, ts_ms_max=0, usage_partitions=1, login_globs=GLOBS
    )
    return block


class Flood:
    """A pipeline through the flood: what it said, and what it held at the most."""

    def __init__(self, strangers: int, per_s: int, guesses_each: int, look: Callable[[Pipeline], None]) -> None:
        self.pipeline, self.alerts, self.sent, self.guesses = Pipeline(load(), CONFIG), list[Alert](), 0, 0
        for number, (rows, flood) in enumerate(traffic(strangers, per_s, guesses_each)):
            now_ms = NOW_MS + WARM_S * 1000 + number
            self.alerts += self.pipeline.step([as_block(rows, number)], now_ms)
            self.sent += rows.num_rows
            self.guesses += rows.num_rows if rows.num_rows == guesses_each else 0
            if flood:
                look(self.pipeline)

    def opened(self, kind: str) -> list[Alert]:
        return [a for a in self.alerts if a.kind == kind and a.status is Status.OPEN]

    def check(self) -> None:
        """All that must hold of it, however many came."""
        guess, cardinality = self.opened("guess"), self.opened("cardinality")
        assert [(a.entity.value, a.answer) for a in guess] == [(ATTACKER, "deny")]
        assert [(a.entity.kind, a.answer, a.severity) for a in cardinality] == [(EntityKind.GLOBAL, "notice", "high")]
        assert "asked once and did not come back" in cardinality[0].summary
        planner = Planner(PlanConfig.of(Settings()))
        actions = [action for a in self.alerts for action in planner.plan(a, NOW_MS + a.last_ms)]
        assert {a.target.value for a in actions if a.kind is ActionKind.DENY} == {ATTACKER}
        assert {a.kind for a in actions if a.target.value == "*"} == {ActionKind.NOTICE}
        assert self.pipeline.usage(Kind.IP, ATTACKER, 600).measures[0] == self.guesses, "never evicted"
        assert self.pipeline.totals()[Kind.IP]["n"] == self.sent
        live = self.pipeline.usage(Kind.GLOBAL, "*", 600).measures[0]
        held = CONFIG.entities_max + self.pipeline.usage(Kind.IP, ATTACKER, 600).measures[0]
        assert live - 20 * held <= self.pipeline.rest(Kind.IP, 600).measures[0] < live


def within(pipeline: Pipeline) -> None:
    sizes, bounds = pipeline.sizes(), CONFIG.bounds
    assert sizes["ip"] <= bounds.entities
    assert sizes["owners"] <= bounds.owners
    assert sizes["evidence"] <= WITHIN * bounds.owners
    assert sizes["window_rows"] <= bounds.rows
    assert sizes["open_flows"] <= bounds.flows
    assert sizes["distinct_bytes"] <= bounds.distinct_bytes
    assert sizes["pair_bytes"] <= 256 * bounds.pairs
    assert sizes["names"] <= 2 * bounds.names + bounds.owners + bounds.flows + CHUNK


@pytest.mark.timeout(400)
def test_a_million_made_up_addresses_stay_within_the_bound_and_hide_no_attacker() -> None:
    flood = Flood(1_000_000, 100_000, 20, within)
    flood.check()
    sizes = flood.pipeline.sizes()
    assert sizes["evicted"] > 900_000
    again = Pipeline.restore(load(), CONFIG, flood.pipeline.snapshot())
    assert again.sizes() | {"names": 0} == sizes | {"names": 0}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_million_made_up_addresses_take_no_more_memory_than_one_million() -> None:
    peaks: list[int] = []

    def look(pipeline: Pipeline) -> None:
        within(pipeline)
        peaks.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        flood = Flood(10_000_000, 200_000, 20, look)
    finally:
        tracemalloc.stop()
    flood.check()
    assert max(peaks) <= 2 * CONFIG.state_bytes_max
    assert max(peaks[100:]) <= 1.2 * max(peaks[:20])


def test_what_goes_follows_from_the_blocks_however_steps_take_them() -> None:
    made = [as_block(rows, i) for i, (rows, _) in enumerate(traffic(200_000, 50_000, 20))]
    one, other = (Pipeline(load(), Config(entities_max=2_000, state_bytes_max=16 << 20)) for _ in range(2))
    now_ms = NOW_MS + WARM_S * 1000
    alone = [a for block in made for a in one.step([block], now_ms, peek=False)]
    together: list[Alert] = []
    for i in range(0, len(made), 3):
        together += other.step(made[i : i + 3], now_ms, peek=False)
    assert [(a.uid, a.status, a.last_ms, a.summary) for a in together] == [
        (a.uid, a.status, a.last_ms, a.summary) for a in alone
    ]
    assert one.sizes() | {"names": 0} == other.sizes() | {"names": 0}
    assert one.sizes()["evicted"] > 150_000
    assert one.sizes()["unheld_rows"] > 0


def test_the_names_of_whom_evidence_is_held_outlive_a_flood() -> None:
    names = Names(1_000)
    wanted = np.array([codec.text_hash(ATTACKER)], np.uint64)
    names.add([as_block(guesses(0, 100, 0, 5), 0)], lambda: wanted)
    chance = np.random.default_rng(6)
    for i in range(20):
        names.add([as_block(made_up(0, 1000, 500, chance), i)], lambda: wanted)
    assert names(wanted.tolist()) == {codec.text_hash(ATTACKER): ATTACKER}
    assert len(names) <= 2 * 1_000 + 500
    assert names([codec.text_hash("*")]) == {codec.text_hash("*"): "*"}
