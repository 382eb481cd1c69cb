"""Faults at random moments under load, from a seed, and a count of the topic that shares no code with the stream's.

produce -> decisions ───────────────────────────────┐ count rows by (kind, entity, pane)
              │  workers: killed, frozen, restarted, │                                    all three
              ▼  taken away; broker: killed          ├ blocks of usage, each once         must be equal
           usage ───────────────────────────────────┤
              ▼                                      └ what the workers' snapshots hold
           detect ─► alerts of a rule with a window: one of each walker, the same as of all blocks read at once
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
from confluent_kafka import Producer
from servers import Kafka
from stream_worker import Worker, batch, make_settings, reading

from detectors import artifact
from floodwarden.embedded import free_port
from schemas import codec, topics
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.settings import Settings
from schemas.usage import Kind
from stream import storage
from stream.pipeline import Config, Pipeline
from stream.rule_source import plan_of

Cell = tuple[int, str, int]
"""Kind, entity, pane."""
ROWS = 200
_COLUMNS = {Kind.IP: "ip", Kind.KEY: "key_id", Kind.USER: "user", Kind.ROUTE: "route"}
WALK_S = 3  # so long each walker walks, one after the other
WALK_ROWS = 8  # of each batch
WALKER = "203.0.113."
RULE = "walks"
RULES = f"""
rules:
  - {{name: {RULE}, means: walked, by: ip, where: {{path: {{begins: /walk/}}}}, distinct: path, over: 10s,
     when: {{requests: above 400, different: above 250}}, answer: notice}}
"""
_TELL_S = 60
_SETTLE_S = 150  # the machine may be busy with other things
_LASTS_S = {"kill": (0, 4), "restart": (0, 1), "leave": (7, 10), "freeze": (0, 9)}  # a session lasts 6 s


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls which worker, so long after the load began, and for how long."""

    at_s: float
    kind: str
    worker: int
    lasts_s: float


def plan(seed: int, workers: int, seconds: float) -> list[Fault]:
    """Faults of one run, every second or so; the broker falls in one run of three. A worker that leaves is missed."""
    chance = random.Random(seed)
    faults, at_s = [], 1.0
    while at_s < seconds - 2:
        kind = chance.choice(("kill", "kill", "freeze", "freeze", "restart", "leave"))
        lasts_s = chance.uniform(*_LASTS_S[kind])
        faults.append(Fault(at_s, kind, chance.randrange(workers), lasts_s))
        at_s += chance.expovariate(0.7)
    if chance.random() < 1 / 3:
        faults.append(Fault(chance.uniform(2, seconds - 2), "broker", 0, chance.uniform(0, 3)))
    return sorted(faults, key=lambda fault: fault.at_s)


@dataclass
class Fleet:
    """Workers under the eye of a supervisor: who ends without being told to is started again."""

    workers: list[Worker]
    kafka: Kafka
    resting: set[int] = field(default_factory=set)
    due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def apply(self, fault: Fault) -> None:
        """Do it, and have it undone in time; one thing at a time to each worker."""
        if fault.kind == "broker":
            self.kafka.kill()
            self._later(fault, self.kafka.start)
            return
        worker = self.workers[fault.worker]
        if fault.worker in self.resting or worker.process is None or worker.process.poll() is not None:
            return
        self.resting.add(fault.worker)
        if fault.kind == "freeze":
            worker.process.send_signal(signal.SIGSTOP)
            self._later(fault, lambda: self._thaw(fault.worker))
            return
        if fault.kind == "kill":
            worker.kill()
        else:
            worker.process.terminate()
        self._later(fault, lambda: self._start(fault.worker))

    def tend(self, now_s: float) -> None:
        """Undo what is due, start again who ended."""
        for at_s, undo in [pair for pair in self.due if pair[0] <= now_s]:
            self.due = [pair for pair in self.due if pair != (at_s, undo)]
            undo()
        for number, worker in enumerate(self.workers):
            if number not in self.resting and (worker.process is None or worker.process.poll() is not None):
                worker.start()

    def through(self, load: Load, faults: list[Fault]) -> None:
        """Send all of `load` while `faults` befall them, and undo these."""
        load.start()
        began_s, ahead = time.monotonic(), list(faults)
        while load.is_alive() or self.due:
            while ahead and time.monotonic() - began_s >= ahead[0].at_s:
                self.apply(ahead.pop(0))
            self.tend(time.monotonic())
            time.sleep(0.05)
        assert not load.failed, load.failed[:3]

    def stop(self) -> None:
        """Everybody writes a last snapshot and goes."""
        for worker in self.workers:
            assert worker.stop() == 0, worker.log()

    def _later(self, fault: Fault, undo: Callable[[], None]) -> None:
        self.due.append((time.monotonic() + fault.lasts_s, undo))

    def _thaw(self, number: int) -> None:
        process = self.workers[number].process
        assert process
        process.send_signal(signal.SIGCONT)
        self.resting.discard(number)

    def _start(self, number: int) -> None:
        process = self.workers[number].process
        assert process
        process.wait(30)
        self.workers[number].start()
        self.resting.discard(number)


@contextmanager
def fleet(kafka: Kafka, prefix: str, directory: Path, size: int) -> Iterator[Fleet]:
    """Named workers with their partitions; killed in the end, however it ends."""
    rules = directory / "rules.yaml"
    rules.write_text(RULES)
    settings = make_settings(kafka.address, prefix, directory, snapshot_every_ms=300, rules=f"builtin,{rules}")
    environment = {"FLOODWARDEN_SHED_BEHIND_MS": "0", "FLOODWARDEN_RULES": settings.rules}  # every row is counted
    made = []
    for number in range(size):
        home = directory / f"worker-{number}"
        home.mkdir()
        one = settings.model_copy(update={"port": free_port(), "node": f"worker-{number}"})
        made.append(Worker(one, home, environment=environment))
    for worker in made:
        worker.start()
    try:
        for worker in made:
            worker.answers("/readyz", lambda _: True)
        yield Fleet(made, kafka)
    finally:
        for worker in made:
            if worker.process and worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.kill()


class Load(threading.Thread):
    """Batches of random traffic over all partitions; now and then one twice, as a producer that tries again may."""

    def __init__(self, settings: Settings, seed: int, seconds: float, batches_a_second: int = 40) -> None:
        super().__init__(daemon=True)
        self._settings, self._chance = settings, random.Random(seed)
        self._seconds, self._rate = seconds, batches_a_second
        self.sent = 0
        self.failed: list[str] = []

    def run(self) -> None:
        """Sends for so many seconds, then waits until all is there."""
        producer = Producer({"bootstrap.servers": self._settings.kafka, "linger.ms": 0, "enable.idempotence": True})
        topic, began_s = self._settings.topic(topics.DECISIONS), time.monotonic()
        headers = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
        while (passed_s := time.monotonic() - began_s) < self._seconds:
            while self.sent < passed_s * self._rate:
                value = batch(self._traffic() + self._walk(int(passed_s // WALK_S)))
                for _ in range(1 + (self._chance.random() < 0.02)):
                    partition = self._chance.randrange(self._settings.decisions_partitions)
                    producer.produce(topic, value, partition=partition, headers=headers, on_delivery=self._delivered)
                self.sent += 1
            producer.poll(0.01)
        if producer.flush(60):
            self.failed.append("not everything was sent")

    def _delivered(self, error: object, _: object) -> None:
        if error:
            self.failed.append(str(error))

    def _traffic(self) -> list[Decision]:
        now_ms, chance = int(time.time() * 1000), self._chance
        return [
            Decision(
                ts_ms=now_ms - chance.randrange(1500),
                verdict=chance.choice(("allow", "allow", "allow", "limit", "deny")),
                ip=f"198.51.{chance.randrange(4)}.{chance.randrange(250)}",
                key_id=f"k{chance.randrange(300)}" if chance.random() < 0.4 else None,
                user=f"u{chance.randrange(200)}" if chance.random() < 0.3 else None,
                method="GET",
                route=f"/r{chance.randrange(30)}/{{id}}",
                path=f"/r/{chance.randrange(1000)}",
                cost=chance.randrange(1, 4),
                status=chance.choice((200, 200, 404, 500)),
            )
            for _ in range(ROWS - WALK_ROWS)
        ]

    def _walk(self, walker: int) -> list[Decision]:
        now_ms, path = int(time.time() * 1000), f"/walk/{self.sent}/"
        return [
            Decision(
                ts_ms=now_ms - self._chance.randrange(1500),
                verdict="allow",
                ip=f"{WALKER}{walker}",
                method="GET",
                route="/walk/{id}",
                path=f"{path}{step}",
                status=200,
            )
            for step in range(WALK_ROWS)
        ]


def counted(settings: Settings) -> Counter[Cell]:
    """Rows of the decisions topic by cell, read with nothing of ours."""
    cells: Counter[Cell] = Counter()
    for _, value in messages(settings, topics.DECISIONS):
        with pa.ipc.open_stream(value) as reader:
            rows = reader.read_all().select(["ts_ms", *_COLUMNS.values()]).to_pydict()
        panes = [ts_ms // 1000 for ts_ms in rows["ts_ms"]]
        cells.update((int(Kind.GLOBAL), "*", pane) for pane in panes)
        addresses = [(ip, pane) for ip, pane in zip(rows["ip"], panes, strict=True) if ip is not None]
        cells.update((int(Kind.NETWORK), ip.rpartition(".")[0] + ".0/24", pane) for ip, pane in addresses)
        for kind, column in _COLUMNS.items():
            cells.update((int(kind), v, p) for v, p in zip(rows[column], panes, strict=True) if v is not None)
    return cells


def combined(settings: Settings) -> Counter[Cell]:
    """Rows by cell as the usage topic has them: a block that was repeated counts once."""
    cells: Counter[Cell] = Counter()
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    for usage_partition in range(settings.usage_partitions):
        for _, value in messages(settings, topics.USAGE, usage_partition):
            block = codec.decode_block(value)
            place = (usage_partition, block.partition)
            end = seen.get(place, (block.start, block.start))[1]
            if block.end <= end:
                continue
            assert block.start == end, f"partition {block.partition}: a hole before {block.start}, read up to {end}"
            seen[place] = (block.start, block.end)
            rows = block.counts.select(["kind", "entity", "pane_s", "n"]).to_pydict()
            for kind, entity, pane, n in zip(*rows.values(), strict=True):
                cells[kind, entity, pane] += n
    return cells


def held(fleet: Fleet) -> tuple[Counter[tuple[int, str]], Callable[[int, str], int], int]:
    """What a worker that starts now would know, from snapshot and topic: rows by kind in all under the entity "", a
    look-up of one entity's window, and how many rows came to be judged in another second than their own.
    """
    settings, model = fleet.workers[0].settings, artifact.load(None)
    pipelines = []
    for partition in range(settings.usage_partitions):
        path = Path(settings.data_dir) / "stream" / f"{settings.topic(topics.USAGE)}-{partition}.snapshot"
        found = storage.read(path)
        assert found, f"no snapshot of partition {partition}"
        pipeline = Pipeline.restore(model, _config(settings), found[1])
        rest = [codec.decode_block(v) for at, v in messages(settings, topics.USAGE, partition) if at >= found[0]]
        pipeline.step(rest, int(time.time() * 1000))
        pipelines.append(pipeline)
    totals: Counter[tuple[int, str]] = Counter()
    for pipeline in pipelines:
        for kind, measures in pipeline.totals().items():
            totals[int(kind), ""] += int(measures["n"])

    def window(kind: int, entity: str) -> int:
        return sum(int(p.usage(Kind(kind), entity, 600).measures[0]) for p in pipelines)

    return totals, window, sum(pipeline.progress.late_rows for pipeline in pipelines)


def messages(settings: Settings, topic: topics.Topic, partition: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Offsets and values of a topic, or of one partition of it, from the beginning to its present end."""
    with reading(settings, topic) as consumer:
        places = consumer.assignment()
        ends = {p.partition: consumer.get_watermark_offsets(p, timeout=10)[1] for p in places}
        if partition is not None:
            ends = {p: end if p == partition else 0 for p, end in ends.items()}
        open_ = {p for p, end in ends.items() if end}
        while open_:
            message = consumer.poll(10)
            assert message is not None, f"{topic.name} ended early"
            assert not message.error(), message.error()
            at = message.partition()
            if at in open_:
                yield message.offset(), message.value()
                if message.offset() + 1 >= ends[at]:
                    open_.discard(at)


def storm(kafka: Kafka, prefix: str, directory: Path, seed: int, *, workers: int = 3, seconds: float = 20) -> str:
    """One run; returns what happened in a line. Fails where a single cell is wrong."""
    faults = plan(seed, workers, seconds)
    story = f"seed {seed}: " + ", ".join(f"{f.at_s:.1f} s {f.kind} {f.worker} for {f.lasts_s:.1f} s" for f in faults)
    with fleet(kafka, prefix, directory, workers) as together:
        settings = together.workers[0].settings
        together.through(Load(settings, seed, seconds), faults)
        wanted = counted(settings)
        _settle(together, sum(n for (kind, _, _), n in wanted.items() if kind == Kind.GLOBAL), story)
        walkers = sorted({entity for kind, entity, _ in wanted if kind == Kind.IP and entity.startswith(WALKER)})
        told = _told(together, walkers)
        together.stop()
        _same("usage", combined(settings), wanted, story)
        totals, window, late = held(together)
        by_entity: Counter[tuple[int, str]] = Counter()
        for (kind, entity, _), n in wanted.items():
            by_entity[kind, entity] += n
        wrong = [(k, e, n, got) for (k, e), n in by_entity.items() if (got := window(k, e)) != n]
        assert not wrong, (story, len(wrong), wrong[:5])
        for kind in Kind:
            assert totals[int(kind), ""] == sum(n for (k, _), n in by_entity.items() if k == kind), (story, kind)
        # On a very busy machine what a partition holds that had no worker for half a minute is late (ADR 0022).
        if not late:
            assert sorted(entity for entity, _ in told.values()) == walkers, (story, told)
            assert told == (at_once := read_at_once(settings)), (story, told, at_once)
    starts = sum(worker.starts for worker in together.workers)
    rows = sum(n for (kind, _, _), n in wanted.items() if kind == Kind.GLOBAL)
    right = f"every cell right, {len(told)} of {len(walkers)} walkers told of, {late} rows late"
    return f"{story}; {rows:,} rows, {len(wanted):,} cells, {starts} starts of {workers} workers: {right}"


def _settle(together: Fleet, rows: int, story: str) -> None:
    deadline_s, seen = time.monotonic() + _SETTLE_S, 0
    while time.monotonic() < deadline_s:
        together.tend(time.monotonic())
        try:
            answers = [worker.get("/v1/totals") for worker in together.workers]
        except OSError:
            time.sleep(0.2)
            continue
        seen = sum(answer["kinds"]["global"]["n"] for answer in answers)
        partitions = sorted(p for answer in answers for p in answer["partitions"])
        if seen >= rows and partitions == [0, 1]:
            return
        time.sleep(0.2)
    logs = "\n".join(worker.log()[-1500:] for worker in together.workers)
    raise AssertionError(f"{story}: {seen} of {rows} rows counted\n{logs}")


Told = dict[str, tuple[str, int]]
"""Of an alert's uid whom it is about, and when his evidence sufficed."""


def _told(together: Fleet, walkers: list[str]) -> Told:
    """Alerts of the rule, once each walker has one, or nothing more is to be expected."""
    settings = together.workers[0].settings
    deadline_s, found = time.monotonic() + _TELL_S, Told()
    while time.monotonic() < deadline_s and {entity for entity, _ in found.values()} != set(walkers):
        together.tend(time.monotonic())
        time.sleep(0.5)
        found = _of_rule([Alert.model_validate_json(value) for _, value in messages(settings, topics.ALERTS)])
    return found


def read_at_once(settings: Settings) -> Told:
    """Alerts of the rule as one tells them who reads all of the usage topic in one go."""
    told: Told = {}
    for partition in range(settings.usage_partitions):
        pipeline = Pipeline(artifact.load(None), _config(settings))
        blocks = [codec.decode_block(value) for _, value in messages(settings, topics.USAGE, partition)]
        told |= _of_rule(pipeline.step(blocks, 0) + pipeline.finish())
    return told


def _of_rule(alerts: list[Alert]) -> Told:
    return {alert.uid: (alert.entity.value, alert.crossed_ms) for alert in alerts if alert.kind == RULE}


def _config(settings: Settings) -> Config:
    return replace(Config.of(settings), rules=plan_of(settings).rules)


def _same(what: str, found: Counter[Cell], wanted: Counter[Cell], story: str) -> None:
    wrong = {cell: (found[cell], wanted[cell]) for cell in found.keys() | wanted.keys() if found[cell] != wanted[cell]}
    assert not wrong, f"{story}: {len(wrong)} cells of {what} are wrong, {list(wrong.items())[:5]}"
