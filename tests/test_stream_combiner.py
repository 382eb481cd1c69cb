from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from schemas import topics
from schemas.settings import Settings
from stream import blocks
from stream.blocks import MESSAGES_MAX, Message, recorded
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
    fenced_from: int = 1 << 60  # blocks that begin there or later are another generation's
    told: list[tuple[str, int, int]] = field(default_factory=list)
    made_meanwhile: list[bool] = field(default_factory=list)  # of each block sent: was the next one made?
    sent_bytes: list[int] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    generation: int = 1
    member: str = "worker"

    def assigned(self) -> set[Place]:
        return {(self.settings.topic(topics.DECISIONS), 0)}

    async def committed(self, _: Iterable[Place]) -> dict[Place, int]:
        return {}

    async def bounds(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        return dict.fromkeys(places, (0, MESSAGES))

    async def commit(self, _generation: int, _member: str, offsets: Mapping[Place, int]) -> None:
        start, end = recorded(offsets[self.settings.topic(topics.INTENTS), 0])
        if start >= self.fenced_from:
            raise LeaseLostError("another generation's")
        self.told.append(("recorded", start, end))

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.sent_bytes += [len(message.value) for message in messages]
        _, start, end = self.told[-1]
        self.told.append(("sent", start, end))
        before_s, deadline_s = self._combined_s(), time.monotonic() + 60
        while (  # noqa: ASYNC110 - a counter has no event
            end < MESSAGES and self._combined_s() == before_s and time.monotonic() < deadline_s
        ):
            await asyncio.sleep(0.001)
        self.told.append(("acknowledged", start, end))
        self.made_meanwhile.append(self._combined_s() > before_s)

    def _combined_s(self) -> float:
        name = "floodwarden_stream_cpu_seconds_total"
        return self.metrics.registry.get_sample_value(name, {"stage": "combine"}) or 0.0


async def _take(broker: Broker, values: Sequence[bytes] = (ROW,) * MESSAGES) -> Combiner:
    combiner = Combiner(broker.settings, cast("Sender", broker), broker.metrics)
    await combiner.acquire(cast("Group", broker))
    await combiner.take(Arrived(0, 1, Message(offset, value, topics.JSON)) for offset, value in enumerate(values))
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


def test_a_block_that_becomes_too_much_usage_is_made_shorter_before_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(Settings(data_dir=tmp_path, decisions_partitions=1))
    monkeypatch.setattr(blocks, "SURE_BYTES", 4 * len(ROW))
    monkeypatch.setattr(blocks, "BYTES_MIN", 64 * len(ROW))
    monkeypatch.setattr(blocks, "ROOM_BYTES", 30_000)
    ips = (f"192.0.{i >> 8}.{i & 255}" for i in range(MESSAGES))
    asyncio.run(_take(broker, [ROW.replace(b"192.0.2.1", ip.encode()) for ip in ips]))
    written = [(start, end) for what, start, end in broker.told if what == "acknowledged"]
    assert [start for start, _ in written] == [0, *(end for _, end in written[:-1])], "no gap, nothing twice"
    assert written[-1][1] == MESSAGES
    assert max(end - start for start, end in written) < MESSAGES_MAX, "one of so many was made, and never recorded"
    assert [what for what, *_ in broker.told] == ["recorded", "sent", "acknowledged"] * len(written)
    assert max(broker.sent_bytes) <= 30_000
