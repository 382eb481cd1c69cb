"""Keeps Redis what `actions` says: folds the topic, writes deltas in order, refills an emptied Redis."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import structlog
from redis.exceptions import RedisError

from enforcer import metrics, records
from enforcer.acknowledgements import Watch
from enforcer.ledger import Change, Ledger, Op
from enforcer.writer import APPLIED_MAX, Seen, What, Writer, Written
from schemas.action import Action
from schemas.errors import BadMessageError

PENDING_MAX: Final = 10_000
BACKOFF_S_MAX: Final = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Record:
    """One record of `actions` as it arrives."""

    key: bytes | None
    value: bytes | None
    partition: int
    offset: int


class Projector:
    """One enforcer's view of `actions`, and its hand on Redis.

    `fold` takes records and never waits for Redis; `write` is the one place that writes deltas, in order, and retries
    the oldest until it is through. More than `PENDING_MAX` deltas behind, it forgets them and compares instead.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: Writer,
        watch: Watch,
        *,
        observe: Callable[[Action, bool], Sequence[Action]],
        changed: Callable[[Change], None],
    ) -> None:
        """`observe` gives what to publish about an action, which may be of before our start.

        `changed` hears what comes into and goes out of force.
        """
        self.ledger = ledger
        self.begun = asyncio.Event()  # the topic has been read as far as it went at the start
        self.ready = asyncio.Event()  # and Redis is what it says
        self._writer = writer
        self._watch = watch
        self._observe = observe
        self._changed = changed
        self._pending: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._compare = False
        self._stopped = False
        self._ends: dict[int, int] = {}
        self._known: Seen | None = None
        self._shown: list[Action] = []

    def fold(self, record: Record) -> list[Action]:
        """Take in one record; actions to publish in answer (lifts, repetitions).

        Raises:
            BadMessageError: nobody can take it; the truth is as before.
        """
        uid, action = _read(record)
        folded = self.ledger.fold(uid, action, record.partition, record.offset)
        answers = [folded.again] if folded.again is not None else []
        if folded.change is not None:
            self._changed(folded.change)
            if self.begun.is_set():
                self._push(folded.change)
        if action is not None:
            answers += self._observe(action, not self.begun.is_set())
        metrics.ACTIVE.set(self.ledger.count_in_force)
        return answers

    def begin(self, ends: dict[int, int]) -> None:
        """The topic has been read to its end, as it was at the start (`ends`: next offset by partition)."""
        self._ends = ends
        self.begun.set()
        self._compare = True
        self._wake.set()

    async def write(self) -> None:
        """Write what is pending, until stopped."""
        failures = 0
        while not self._stopped:
            try:
                await self._write_some()
                failures = 0
            except RedisError as error:
                failures += 1
                metrics.REDIS_ERRORS.inc()
                _log.warning("redis_away", error=str(error), pending=len(self._pending), failures=failures)
                self._compare = True  # what was written before may be gone with it
                await asyncio.sleep(backoff_s(failures))

    def stop(self) -> None:
        """Let `write` end at its next turn."""
        self._stopped = True
        self._wake.set()

    async def verify(self) -> None:
        """See that the snapshot is the one we know, no older and no other; else have it compared. Once a call."""
        known = self._known
        if not self.begun.is_set() or known is None:
            return
        seen = await self._writer.seen()
        if seen is None or seen.epoch != known.epoch or seen.version < known.version:
            self._compare = True
            self._wake.set()
        elif self._known is known:  # else `write` has gone on meanwhile, and knows a newer one
            self._known = seen

    async def show_pending(self, *, anyway: bool) -> None:
        """Have Redis show what waits for somebody's word, if that changed, or `anyway`. Raises `RedisError`."""
        pending = self.ledger.pending()
        if not self.begun.is_set() or not (anyway or pending != self._shown):
            return
        await self._writer.pending(pending)
        self._shown = pending
        metrics.WAITING.set(len(pending))

    async def _write_some(self) -> None:
        if self._compare:
            await self._make_whole()
        if not self._pending:
            self._wake.clear()
            await self._wake.wait()
            return
        changes = list(islice(self._pending, APPLIED_MAX))
        answers = await self._writer.apply(changes)
        for written in answers:
            metrics.WRITES.labels(written.what).inc()
        if answers[0].what is What.ABSENT:
            self._compare = True
            return
        for change, written in zip(changes, answers, strict=True):
            self._done(change, written)
            if self._pending and self._pending[0] is change:  # else they were forgotten meanwhile, to compare instead
                self._pending.popleft()
        metrics.PENDING.set(len(self._pending))

    async def _make_whole(self) -> None:
        self._compare = False  # more deltas than are kept, from here on, are compared in the next round
        seen, made = await self._writer.seen(), None
        if seen is None or self._foreign(seen):
            at_least = max(self._known.version if self._known else 0, seen.version if seen else 0) + 1
            made = await self._writer.install(self.ledger, seen, at_least)
            metrics.WRITES.labels(made.what).inc()
            if made.what is What.DONE:
                metrics.REBUILDS.inc()
                _log.info("snapshot_rebuilt", version=made.version, epoch=made.epoch)
            seen = await self._writer.seen()
            if seen is None:
                self._compare = True  # gone again already
                return
        if made is None or made.what is not What.DONE or made.epoch != seen.epoch:
            changed = await self._writer.reconcile(self.ledger)
            if changed:
                _log.info("snapshot_reconciled", changes=changed)
        self._known = seen
        self.ready.set()

    def _foreign(self, seen: Seen) -> bool:
        """Whether the snapshot was made from another topic: it claims records that ours does not have."""
        have = {p: max(end - 1, self.ledger.offsets.get(p, -1)) for p, end in self._ends.items()}
        return self._known is None and any(offset > have.get(p, -1) for p, offset in seen.applied.items())

    def _push(self, change: Change) -> None:
        if len(self._pending) >= PENDING_MAX:
            self._pending.clear()
            self._compare = True
        self._pending.append(change)
        metrics.PENDING.set(len(self._pending))
        self._wake.set()

    def _done(self, change: Change, written: Written) -> None:
        if self._known is not None and written.epoch == self._known.epoch:
            self._known = Seen(max(written.version, self._known.version), written.epoch, self._known.applied)
        if change.op is Op.PUT and written.what in (What.DONE, What.SAME):
            self._watch.add(change.action, written)


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubling from 50 ms to a second, half of it by chance."""
    full = min(BACKOFF_S_MAX, 0.05 * (1 << min(failures - 1, 10)))
    return full * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret


def _read(record: Record) -> tuple[str, Action | None]:
    try:
        uid = (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise BadMessageError("bad_value", "key", "no UTF-8", "the key is the action's uid") from error
    if record.value is None:
        return uid, None
    action = records.action(record.value)
    if action.uid != uid:
        raise BadMessageError("bad_value", "key", f"{uid!r} is not the action's uid {action.uid!r}", "they are equal")
    return uid, action
