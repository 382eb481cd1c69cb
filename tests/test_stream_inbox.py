from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from detectors.artifact import load
from schemas import topics
from stream import progress
from stream.app import LINGER_S_MAX, LOG_APPEND_TIME, Inbox, arrived, linger
from stream.combiner import Arrived
from stream.held import Held
from stream.pipeline import Pipeline


@dataclass
class Message:
    """A message as Faust hands it over."""

    offset: int
    value: bytes
    partition: int = 0
    generation_id: int = 1
    follows: int | None = None
    timestamp: float | None = 1_700_000_000.123
    timestamp_type: int = LOG_APPEND_TIME
    headers: Any = ()


@dataclass
class Event:
    message: Message


@dataclass
class Source:
    """Endless messages; how many were asked for."""

    size: int
    given: int = 0

    async def events(self) -> AsyncIterator[Event]:
        while True:
            self.given += 1
            yield Event(Message(self.given, bytes(self.size)))
            await asyncio.sleep(0)


@dataclass
class Steps:
    """A step that waits to be let go."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[list[Arrived]] = field(default_factory=list)

    async def step(self, batch: list[Arrived]) -> None:
        self.seen.append(batch)
        await self.go.wait()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_slow_step_stops_the_reading_at_so_many_bytes_and_its_end_lets_it_go_on() -> None:
    async def run() -> None:
        steps, source = Steps(), Source(1000)
        inbox = Inbox(steps.step, bytes_max=10_000)
        tasks = [asyncio.create_task(inbox.fill(source.events())), asyncio.create_task(inbox.drain())]
        await turns(200)
        held = source.given
        assert held <= 13, "one step's, ten waiting, and the one that is handed over"
        steps.go.set()
        await turns(2000)
        assert source.given > held + 50
        for task in tasks:
            task.cancel()
        offsets = [one.message.offset for batch in steps.seen for one in batch]
        assert offsets == list(range(1, len(offsets) + 1))
        assert max(sum(len(one.message.value) for one in batch) for batch in steps.seen) <= 11_000

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_step_waits_for_company_only_after_a_full_one_and_never_long() -> None:
    assert linger(1, 5.0) == 0
    assert 0 < linger(100, 0.01) < linger(100, 0.05)
    assert linger(2000, 60.0) == LINGER_S_MAX


def test_a_message_says_when_it_was_stamped_and_sent_and_what_it_follows() -> None:
    headers = [(topics.CONTENT_TYPE, b"application/json"), (topics.SENT, b"1700000000456")]
    message = arrived(Message(7, b"[]", follows=5, headers=headers)).message
    assert (message.follows, message.stamp_ms, message.by_broker) == (5, 1_700_000_000_123, True)
    assert (message.sent_ms, message.content_type) == (1_700_000_000_456, "application/json")


def test_a_message_without_stamp_or_with_a_senseless_clock_says_neither() -> None:
    for sent in (b"", b"-5", b"soon", b"1" * 40):
        message = arrived(Message(7, b"[]", timestamp=None, timestamp_type=0, headers=[(topics.SENT, sent)])).message
        assert (message.stamp_ms, message.sent_ms, message.by_broker) == (None, None, False)


def test_who_catches_up_does_not_look_at_panes_that_will_have_closed_and_looks_again_once_it_has() -> None:
    held = Held(0, Pipeline(load()), 0)

    def came_to(at_s: float, event_ms: int) -> bool:
        held.pipeline.progress.sources[0] = progress.Source(1, event_ms, 0)
        held.pace(at_s)
        return held.looks(at_s + 0.1)

    assert came_to(10.0, 1_700_000_000_000)
    assert came_to(12.0, 1_700_000_002_000), "as fast as the clock"
    assert not came_to(14.0, 1_700_000_006_000), "twice as fast"
    assert not came_to(15.0, 1_700_000_008_000)
    assert held.looks(16.5), "nothing comes any more"
    assert came_to(16.6, 1_700_000_008_500)
