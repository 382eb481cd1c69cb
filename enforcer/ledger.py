"""The truth in memory: `actions` folded record by record into what stands, and what that changes in Redis."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from enforcer import demand, records
from enforcer.drafts import expired
from enforcer.guardrails import STRENGTH
from enforcer.ladder import Ladder
from enforcer.names import AUTO
from schemas.action import Action, ActionKind, ActionStatus, Target

RETRY_MS: Final = 5_000
_SHOWN: Final = {**STRENGTH, ActionKind.ALLOW: 9, ActionKind.BROWNOUT: 8, ActionKind.HOLD: 0}


class Op(StrEnum):
    """A delta of the feed."""

    PUT = "put"
    DEL = "del"


@dataclass(frozen=True, slots=True)
class Change:
    """One delta for Redis, made by the record at `offset`: `action`, and what then `stands` on its target."""

    op: Op
    action: Action
    stands: Action | None
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Folded:
    """What a record led to: `change` for Redis, and `again`: a record to repeat, because a late one contradicts it."""

    change: Change | None = None
    again: Action | None = None


class Ledger:
    """Every action of the topic that is not forgotten. As large as the topic when compacted."""

    def __init__(self, ladder: Ladder, partitions: int = 1) -> None:
        self._ladder = ladder
        self._partitions = partitions
        self._records: dict[str, Action] = {}
        self._active: dict[str, Action] = {}
        self._pending: dict[str, Action] = {}
        self._demands: dict[str, Action] = {}
        self._by_target: dict[str, set[str]] = {}
        self._ends: list[tuple[int, str]] = []
        self._forget: list[tuple[int, str]] = []
        self.offsets: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._records)

    def remember(self, ladder: Ladder) -> None:
        """Forget what ends from now on by another ladder."""
        self._ladder = ladder

    def fold(self, uid: str, action: Action | None, partition: int, offset: int) -> Folded:
        """Take in one record; None is a tombstone."""
        self.offsets[partition] = offset
        known = self._records.get(uid)
        self._pending.pop(uid, None)
        if action is None:
            self._records.pop(uid, None)
            return self._remove(known, partition, offset) if known is not None else Folded()
        if action.status is ActionStatus.PENDING:
            return self._wait(uid, action, known)
        if known is not None and action.status is ActionStatus.ACTIVE and known.status is ActionStatus.ACTIVE:
            return Folded()
        if known is not None and _stands_against(known, action):
            return Folded(again=known)
        self._records[uid] = action
        if action.status is ActionStatus.ACTIVE:
            heapq.heappush(self._ends, (action.expires_ms, uid))
            return self._place(action, partition, offset)
        heapq.heappush(self._forget, (self._forgotten_ms(action), uid))
        return self._remove(action, partition, offset)

    @property
    def count_in_force(self) -> int:
        """How many `in_force` gives."""
        return len(self._active)

    def in_force(self) -> Iterator[Action]:
        """Actions a limiter must know. A notice is none: it is recorded only."""
        return iter(self._active.values())

    def pending(self) -> list[Action]:
        """Actions that wait for somebody's word."""
        return list(self._pending.values())

    def demands(self, now_ms: int) -> list[Action]:
        """What alerts ask of the brownout, as long as it stands."""
        return [action for action in self._demands.values() if action.expires_ms > now_ms]

    def ended(self) -> Iterator[Action]:
        """Actions that ended and still weigh on the next, in the order of the topic."""
        return (
            action
            for action in self._records.values()
            if action.took_effect and action.status is not ActionStatus.ACTIVE
        )

    def position(self, target: Target) -> tuple[int, int]:
        """Partition of everything about `target`, and the last offset folded from it (-1: none)."""
        partition = records.partition(target, self._partitions)
        return partition, self.offsets.get(partition, -1)

    def on(self, target: Target) -> list[Action]:
        """Actions in force on exactly `target`."""
        return [self._active[uid] for uid in sorted(self._by_target.get(target.key, ()))]

    def get(self, uid: str) -> Action | None:
        """What is known of an action, as long as it is not forgotten."""
        return self._records.get(uid)

    def stands_on(self, target: Target) -> Action | None:
        """What a third party finds under the target's key: the strictest, then what spares nobody and lasts."""
        uids = self._by_target.get(target.key, set())
        actions = (self._active[uid] for uid in uids)
        return max(actions, key=lambda a: (_SHOWN[a.kind], not a.is_narrow, a.expires_ms, a.uid), default=None)

    def due(self, now_ms: int) -> list[Action]:
        """Actions that have run out, to be written as `expired`; told again after a while if nobody did."""
        due = []
        while self._ends and self._ends[0][0] <= now_ms:
            _, uid = heapq.heappop(self._ends)
            action = self._records.get(uid)
            if action is None or action.status is not ActionStatus.ACTIVE:
                continue
            if action.expires_ms > now_ms:
                heapq.heappush(self._ends, (action.expires_ms, uid))
                continue
            due.append(expired(action))
            heapq.heappush(self._ends, (now_ms + RETRY_MS, uid))
        return due

    def forgotten(self, now_ms: int) -> list[Action]:
        """Actions to write tombstones for: ended so long ago that they weigh on nothing."""
        gone = []
        while self._forget and self._forget[0][0] <= now_ms:
            _, uid = heapq.heappop(self._forget)
            action = self._records.get(uid)
            if action is not None and action.status is not ActionStatus.ACTIVE:
                gone.append(action)
                heapq.heappush(self._forget, (now_ms + RETRY_MS, uid))
        return gone

    def _wait(self, uid: str, action: Action, known: Action | None) -> Folded:
        if known is not None and known.status is not ActionStatus.PENDING:
            return Folded(again=known)  # decided before: two enforcers asked
        self._records[uid] = self._pending[uid] = action if known is None else known
        return Folded()

    def _place(self, action: Action, partition: int, offset: int) -> Folded:
        if action.kind is ActionKind.NOTICE:
            if demand.is_one(action):
                self._demands[action.uid] = action
            return Folded()
        self._active[action.uid] = action
        self._by_target.setdefault(action.target.key, set()).add(action.uid)
        return Folded(Change(Op.PUT, action, self.stands_on(action.target), partition, offset))

    def _remove(self, action: Action, partition: int, offset: int) -> Folded:
        self._demands.pop(action.uid, None)
        stood = self._active.pop(action.uid, None)
        if stood is None:
            return Folded()
        key = stood.target.key
        self._by_target[key].discard(action.uid)
        if not self._by_target[key]:
            del self._by_target[key]
        return Folded(Change(Op.DEL, stood, self.stands_on(stood.target), partition, offset))

    def _forgotten_ms(self, action: Action) -> int:
        return self._ladder.forgotten_ms(max(1, action.step), action.ended_ms or action.expires_ms)


def _stands_against(known: Action, late: Action) -> bool:
    """Whether a late record says less than what is known: a copy of what has ended, or our end of what people ended."""
    if late.status is ActionStatus.ACTIVE:
        return (known.ended_ms or 0) >= late.created_ms
    return known.status is ActionStatus.LIFTED and known.ended_by not in (None, AUTO) and late.ended_by == AUTO
