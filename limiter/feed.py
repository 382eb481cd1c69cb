"""Follows what the enforcer puts in force: the snapshot, then its deltas; and says which version runs here.

    start ─► snapshot ──absent──► keep what is known, wait for a first entry ─► snapshot ...
                │ page by page, deltas in between; version, id, epoch
                ▼
             XREAD from id ── v == last + 1 ─► apply, acknowledge
                │ v differs (gap) · epoch differs · version behind ours · ahead of ours and nothing comes
                └─► snapshot again

Redis away or emptied takes nothing out of force: the last known actions stay until they end by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from limiter.leaving import leave
from limiter.metrics import Metrics
from limiter.orders import Order, decoded
from limiter.overrides import SLICE, Overrides
from limiter.snapshot import Snapshot, bad_entry, put
from schemas.errors import BadMessageError
from schemas.keys import Keys

BLOCK_MS: Final = 500
BEAT_EVERY_S: Final = 1.0
NODE_LIVE_MS: Final = 5_000
ENTRIES_A_READ: Final = 500
_PATIENCE_S: Final = 2.0  # for any one answer; a stopped Redis accepts connections and never speaks
_RETRY_S: Final = 0.2
_Fields = dict[bytes, bytes]
log = structlog.get_logger("limiter.feed")


class Feed:
    """One node's follower. Fills `overrides`; nobody else may. `redis` is its own client, for it blocks in reads."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        node: str,
        overrides: Overrides,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        policy_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._node = node
        self._overrides = overrides
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._policy_told = policy_told
        self._snapshot = Snapshot(redis, keys, overrides, metrics, clock_ms)
        self._task: asyncio.Task[None] | None = None
        self._id: str | None = None  # last entry applied; None: no snapshot known
        self._at = 0  # its version
        self._whole = False  # and everything before it is in force, so that `version` is `_at`
        self._epoch = b""
        self._since_ms = 0
        self._beat_at = 0.0
        self._ahead = 0
        self.version: int | None = None
        self.nodes_live = 1
        self.contacted = asyncio.Event()

    def start(self) -> None:
        """Follow in the background until `aclose`."""
        self._task = asyncio.create_task(self._run(), name="limiter-feed")

    async def aclose(self) -> None:
        """Stop following; this node leaves the list of live nodes."""
        await leave(self._task, self._redis, self._keys.nodes, self._node)

    async def _run(self) -> None:
        reason = "start"
        while True:
            try:
                reason = await self._resync(reason) or await self._follow()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("feed_away", error=type(error).__name__, version=self.version)
                self._metrics.feed_is("away")
                reason = "away"
                await self._sleep()

    async def _follow(self) -> str:
        """Reads and applies until the snapshot has to be read again; returns why."""
        while True:
            beaten = await self._beat()
            entries = await self._read()
            if self._id is None:
                if entries:
                    await self._sleep()  # entries without a snapshot: somebody is at work on it
                return "absent"
            if not await self._apply_all(entries):
                return "gap"
            if entries:
                self._ahead = 0
                await self._acknowledge()
            if (beaten or not entries) and (why := await self._differs()):
                return why

    async def _read(self, block_ms: int | None = BLOCK_MS) -> list[tuple[bytes, _Fields]]:
        async with asyncio.timeout(_PATIENCE_S + (block_ms or 0) / 1000):
            reply: Any = await self._redis.xread({self._keys.feed: self._id or "0-0"}, ENTRIES_A_READ, block_ms)
        return _entries(reply)

    async def _resync(self, reason: str) -> str | None:
        """Takes the snapshot in, page by page, and the deltas meanwhile; why it must be begun again, if it must."""
        head = await self._snapshot.begin()
        if head is None:
            self._is_absent()
            return None
        self._metrics.feed_is("loading")
        self._whole, self._id, self._at, self._epoch = False, head.id, head.version, head.epoch
        while True:
            if not await self._apply_all(await self._read(None)):
                return await self._again("gap")
            if self._snapshot.done:
                break
            await self._beat()
            head = await self._snapshot.page()
            if head is None or head.epoch != self._epoch:
                return await self._again("epoch" if head else "absent")
        await self._snapshot.settle()
        self._whole, self._ahead = True, 0
        self._runs(self._at)
        self._metrics.feed_is("synced")
        self._metrics.feed_resyncs.labels(reason).inc()
        log.info("feed_synced", reason=reason, version=self.version, actions=len(self._overrides))
        self.contacted.set()
        await self._acknowledge()
        return None

    async def _again(self, why: str) -> str:
        log.warning("feed_snapshot_again", reason=why, version=self._at)
        await self._sleep()
        return why

    def _is_absent(self) -> None:
        if self._id is not None:
            log.warning("feed_absent", kept=len(self._overrides), version=self.version)
        self._id, self._whole = None, False
        self._metrics.feed_is("absent")
        self.contacted.set()

    async def _apply_all(self, entries: list[tuple[bytes, _Fields]]) -> bool:
        """Deltas into memory; False at the first that is not the next one."""
        for at, (entry_id, fields) in enumerate(entries, 1):
            if not await self._apply(entry_id, fields):
                return False
            if at % SLICE == 0:
                await asyncio.sleep(0)
        return True

    async def _apply(self, entry_id: bytes, fields: _Fields) -> bool:
        version, expected = fields.get(b"v", b""), self._at + 1
        if not version.isdigit() or int(version) != expected:
            log.warning("feed_gap", expected=expected, got=version.decode("ascii", "replace"))
            return False
        now_ms, body = self._clock_ms(), fields.get(b"body", b"")
        op = fields.get(b"op")
        if op == b"del":
            self._overrides.remove(body.decode("utf-8", "replace"))
        elif op == b"policy":
            self._policy_told()
        elif (one := await self._order(body, fields.get(b"uid"))) is not None:
            put(self._overrides, one, now_ms, self._metrics)
        self._id, self._at = entry_id.decode(), expected
        if self._whole:
            self._runs(expected)
        if (at := fields.get(b"at", b"")).isdigit():
            self._metrics.feed_delay_seconds.observe(max(0, now_ms - int(at)) / 1000)
        return True

    async def _order(self, body: bytes, uid: bytes | None) -> Order | None:
        """The action of an entry; one too large for the feed is only named there. None: unreadable, or gone again."""
        if not body and uid is not None:
            async with asyncio.timeout(_PATIENCE_S):
                held: Any = await self._redis.hget(self._keys.enforcement, uid.decode("utf-8", "replace"))
            if held is None:
                return None  # a later entry takes it out
            body = held
        try:
            return decoded(body)
        except BadMessageError as error:
            bad_entry(self._metrics, error)
            return None

    def _runs(self, version: int) -> None:
        if version != self.version:
            self._since_ms = self._clock_ms()
        self.version = version
        self._metrics.feed_version.set(version)
        self._metrics.overrides.set(len(self._overrides))

    async def _acknowledge(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await self._redis.hset(self._keys.acks, self._node, f"{self.version} {self._since_ms}")

    async def _beat(self) -> bool:
        """Once a second: say that this node lives and what it runs, hear who else does, forget what has ended."""
        if time.monotonic() - self._beat_at < BEAT_EVERY_S:
            return False
        now_ms = self._clock_ms()
        for _ in self._overrides.sweep(now_ms):
            await asyncio.sleep(0)
        self._metrics.overrides.set(len(self._overrides))
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(self._keys.nodes, self._node, str(now_ms))
        pipeline.hvals(self._keys.nodes)
        if self._whole:
            pipeline.hset(self._keys.acks, self._node, f"{self.version} {self._since_ms}")
        async with asyncio.timeout(_PATIENCE_S):
            replies = await pipeline.execute()
        beats = [int(beat) for beat in replies[1] if beat.isdigit()]
        self.nodes_live = max(1, sum(now_ms - beat < NODE_LIVE_MS for beat in beats))
        self._beat_at = time.monotonic()
        return True

    async def _differs(self) -> str | None:
        """Why the snapshot must be read again, if it must."""
        async with asyncio.timeout(_PATIENCE_S):
            held: Any = await self._redis.hmget(self._keys.enforcement, ["version", "epoch"])
        version, epoch = held
        if version is None:
            return "absent"
        if epoch != self._epoch:
            return "epoch"
        ahead = int(version) - (self.version or 0)
        self._ahead = self._ahead + 1 if ahead > 0 else 0
        if ahead < 0:
            return "behind"
        return "stalled" if self._ahead > 1 else None

    async def _sleep(self) -> None:
        await asyncio.sleep(_RETRY_S)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    # One stream was asked for. RESP2 answers [[stream, entries]], RESP3 {stream: [entries]}.
    if not reply:
        return []
    if isinstance(reply, dict):
        return [entry for entries in reply.values() for part in entries for entry in part]
    return [entry for _, entries in reply for entry in entries]
