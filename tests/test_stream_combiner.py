from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas import codec, topics
from schemas.settings import Settings
from schemas.usage import Kind
from stream import blocks, making
from stream.blocks import MESSAGES_MAX, Message, Terms, intent, recorded
from stream.combiner import Arrived, Combiner
from stream.driver import Group, Place
from stream.errors import LeaseLostError
from stream.metrics import Metrics
from stream.sender import Outgoing, Sender

ROW = b'{"ts_ms": 1795280400000, "verdict": "allow", "ip": "192.0.2.1"}'
MESSAGES = 3 * MESSAGES_MAX + 5


@dataclass
class Broker:
    """One partition's group and topic in memory: notes what is recorded, sent and acknowledged, in this order."""

    settings: Settings
    messages: int = MESSAGES
    fenced_from: int = 1 << 60  # blocks that begin there or later are another generation's
    told: list[tuple[str, int, int]] = field(default_factory=list)
    made_meanwhile: list[bool] = field(default_factory=list)  # of each block sent: was the next one made?
    sent: list[bytes] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)  # of each block recorded
    found: tuple[int, int] | None = None  # a block recorded before
    metrics: Metrics = field(default_factory=Metrics)
    generation: int = 1
    member: str = "worker"

    def assigned(self) -> set[Place]:
        return {(self.settings.topic(topics.DECISIONS), 0)}

    async def committed(self, places: Iterable[Place]) -> dict[Place, int]:
        topic = self.settings.topic(topics.INTENTS)
        return {place: intent(*self.found) for place in places if self.found and place[0] == topic}

    async def bounds(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        return dict.fromkeys(places, (0, self.messages))

    async def commit(self, _generation: int, _member: str, offsets: Mapping[Place, int]) -> None:
        start, end = recorded(offsets[self.settings.topic(topics.INTENTS), 0])
        if start >= self.fenced_from:
            raise LeaseLostError("another generation's")
        self.told.append(("recorded", start, end))
        self.levels.append(Terms.recorded(offsets[self.settings.topic(topics.TERMS), 0]).level)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.sent += [message.value for message in messages]
        _, start, end = self.told[-1]
        self.told.append(("sent", start, end))
        before_s, deadline_s = self._combined_s(), time.monotonic() + 60
        while (  # noqa: ASYNC110 - a counter has no event
            end < self.messages and self._combined_s() == before_s and time.monotonic() < deadline_s
        ):
            await asyncio.sleep(0.001)
        self.told.append(("acknowledged", start, end))
        self.made_meanwhile.append(self._combined_s() > before_s)

    def _combined_s(self) -> float:
        name = "floodwarden_stream_cpu_seconds_total"
        return self.metrics.registry.get_sample_value(name, {"stage": "combine"}) or 0.0


async def _take(broker: Broker, values: Sequence[bytes] = (ROW,) * MESSAGES) -> Combiner:
    """Values without a content type, which is seen by how they begin."""
    combiner = Combiner(broker.settings, cast("Sender", broker), broker.metrics)
    await combiner.acquire(cast("Group", broker))
    await combiner.take(Arrived(0, 1, Message(offset, value, None)) for offset, value in enumerate(values))
    return combiner


def test_a_block_made_while_another_is_on_its_way_is_recorded_when_that_one_is_acknowledged(tmp_path: Path) -> None:
    broker = Broker(Settings(data_dir=tmp_path, decisions_partitions=1))
    asyncio.run(_take(broker))
    starts = range(0, MESSAGES, MESSAGES_MAX)
    blocks = [(start, min(start + MESSAGES_MAX, MESSAGES)) for start in starts]
    assert broker.told == [(what, *block) for block in blocks for what in ("recorded", "sent", "acknowledged")]
    assert broker.made_meanwhile == [True, True, True, False]


def test_a_block_made_ahead_is_forgotten_when_its_partition_is_lost(tmp_path: Path) -> None:
    broker = Broker(Settings(data_dir=tmp_path, decisions_partitions=1), fenced_from=MESSAGES_MAX)
    combiner = asyncio.run(_take(broker))
    assert broker.told == [(what, 0, MESSAGES_MAX) for what in ("recorded", "sent", "acknowledged")]
    assert combiner.assigned() == []


def _written(broker: Broker) -> list[tuple[int, int]]:
    return [(start, end) for what, start, end in broker.told if what == "acknowledged"]


@pytest.mark.parametrize("found", [None, (0, MESSAGES_MAX)])
def test_a_block_that_becomes_too_much_usage_is_recorded_anew_and_shorter_before_anything_of_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: tuple[int, int] | None
) -> None:
    broker = Broker(Settings(data_dir=tmp_path, decisions_partitions=1), found=found)
    monkeypatch.setattr(blocks, "BYTES_MIN", 64 * len(ROW))
    monkeypatch.setattr(making, "USAGE_BYTES_MAX", 24_000)
    ips = (f"192.0.{i >> 8}.{i & 255}" for i in range(MESSAGES))
    asyncio.run(_take(broker, [ROW.replace(b"192.0.2.1", ip.encode()) for ip in ips]))
    written = _written(broker)
    assert [start for start, _ in written] == [0, *(end for _, end in written[:-1])], "no gap, nothing twice"
    assert written[-1][1] == MESSAGES
    told = [what for what, *_ in broker.told]
    assert told.count("recorded") > told.count("sent") == len(written), "one of too many was recorded and never sent"
    for block in written:
        last = max(i for i, one in enumerate(broker.told) if one == ("recorded", *block))
        assert broker.told[last + 1 : last + 3] == [("sent", *block), ("acknowledged", *block)]
    assert max(map(len, broker.sent)) <= 24_000
    assert set(broker.levels) == {0}, "every decision counts"


def test_one_message_that_becomes_more_than_anybody_could_read_is_sampled(tmp_path: Path) -> None:
    """32 kB in which 250 clients come once in each of 240 seconds become 72 MB of usage, which no worker unpacks."""
    rows = 60_000
    codes = pa.array(np.tile(np.arange(250, dtype=np.int32), rows // 250))
    named = {
        name: pa.DictionaryArray.from_arrays(codes, pa.array([f"{name}{i}" for i in range(250)]))
        for name in ("user", "key_id", "route", "tenant", "ua")
    }
    addresses = pa.DictionaryArray.from_arrays(codes, pa.array([f"198.51.{i}.1" for i in range(250)]))
    allowed = pa.array(["allow"] * rows).dictionary_encode()
    ts_ms = pa.array(1_795_280_400_000 + np.arange(rows) // 250 * 1000)
    value = codec.encode(pa.RecordBatch.from_pydict({"ts_ms": ts_ms, "verdict": allowed, "ip": addresses, **named}))
    assert len(value) < topics.MESSAGE_BYTES_MAX
    broker = Broker(Settings(data_dir=tmp_path, decisions_partitions=1, usage_partitions=1), messages=1)
    asyncio.run(_take(broker, [value]))
    assert broker.levels == [0, 1], "recorded anew, as a sample of every second request"
    (sent,) = broker.sent
    counts = codec.decode_block(sent).counts
    everybody = pc.sum(pc.filter(counts.column("n"), pc.equal(counts.column("kind"), int(Kind.GLOBAL)))).as_py()
    assert everybody == pytest.approx(rows, rel=0.05), "each kept one stands for those who are not"
