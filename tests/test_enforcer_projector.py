"""What the projector writes beside what it sees, on a real Redis: a look at the snapshot lags behind its own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from enforcer import records
from enforcer.acknowledgements import Watch
from enforcer.ladder import Ladder
from enforcer.ledger import Ledger
from enforcer.projector import Projector, Record
from enforcer.writer import Seen, Writer
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.keys import Keys
from schemas.redis_client import connect_async

pytestmark = pytest.mark.integration
KEYS = Keys("p:")
NOW = 4_000_000_000_000


class Lagging(Writer):
    """One whose look arrives late, while `held`; counts how often all is compared."""

    held: asyncio.Event | None = None
    compared = 0

    async def seen(self) -> Seen | None:
        found = await super().seen()
        if self.held is not None:
            await self.held.wait()
        return found

    async def reconcile(self, ledger: Ledger) -> int:
        self.compared += 1
        return await super().reconcile(ledger)


def denial(n: int) -> Record:
    action = Action(
        uid=f"a{n}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE, reason="guesses", owner="auto", created_ms=NOW,
        target=Target(kind=TargetKind.IP, value=f"198.51.100.{n}"), expires_ms=NOW + 60_000,
    )  # fmt: skip
    return Record(records.key(action), records.encode(action), 0, n)


async def _until(watch: Watch, done: int) -> None:
    for _ in range(500):
        await watch.look()
        if len(watch.done) >= done:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(watch.done)} of {done} were followed to the limiters")


async def _eventually(look: Callable[[], Awaitable[object]]) -> None:
    for _ in range(500):
        if await look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


async def test_a_look_that_its_own_writes_overtook_compares_nothing(redis_url: str) -> None:
    async with connect_async(redis_url, timeout_s=5) as client:
        await client.flushall()
        beats = {KEYS.nodes: str(NOW), KEYS.acks: f"1000000 {NOW}"}
        for name, text in beats.items():
            await client.hset(name, "node-1", text)
        writer, watch = Lagging(client, KEYS, lambda: NOW), Watch(client, KEYS, lambda: NOW)
        projector = Projector(
            Ledger(Ladder(4.0, 1000, 86_400)), writer, watch, observe=lambda *_: (), changed=lambda _: None
        )
        writing = asyncio.create_task(projector.write())
        projector.begin({0: 0})
        await projector.ready.wait()
        assert writer.compared == 0, "it has just put the snapshot there itself"
        projector.fold(denial(0))
        await _until(watch, 1)
        writer.held = asyncio.Event()
        looking = asyncio.create_task(projector.verify())
        await asyncio.sleep(0.05)
        projector.fold(denial(1))
        await _until(watch, 2)
        writer.held.set()
        await looking
        projector.fold(denial(2))
        await _until(watch, 3)
        assert writer.compared == 0
        projector.stop()
        await writing


async def test_a_snapshot_that_fell_back_is_compared(redis_url: str) -> None:
    async with connect_async(redis_url, timeout_s=5) as client:
        await client.flushall()
        writer, watch = Lagging(client, KEYS, lambda: NOW), Watch(client, KEYS, lambda: NOW)
        projector = Projector(
            Ledger(Ladder(4.0, 1000, 86_400)), writer, watch, observe=lambda *_: (), changed=lambda _: None
        )
        writing = asyncio.create_task(projector.write())
        projector.begin({0: 0})
        await projector.ready.wait()
        projector.fold(denial(0))
        await _eventually(lambda: client.hexists(KEYS.enforcement, "a0"))
        await client.hdel(KEYS.enforcement, "a0")
        await client.hincrby(KEYS.enforcement, "version", -1)
        await projector.verify()
        await _eventually(lambda: client.hexists(KEYS.enforcement, "a0"))
        assert writer.compared == 1
        projector.stop()
        await writing
