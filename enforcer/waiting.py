"""What waits for somebody's word, as far as it is known, and what somebody said no to. All of it bounded."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

from enforcer.asking import name_of_done
from enforcer.names import AUTO
from schemas.action import Action, ActionStatus, Target

PENDING_MAX: Final = 1_000
DECIDED_MAX: Final = 10_000


class Waiting:
    """Pending actions. `observe` takes them in any order and any number of times."""

    def __init__(self) -> None:
        self._pending: dict[str, Action] = {}
        self._until: list[tuple[int, str]] = []
        self._decided: OrderedDict[str, str] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    def all(self) -> list[Action]:
        """What waits, the most urgent first."""
        return sorted(self._pending.values(), key=lambda a: (a.approval.until_ms if a.approval else 0, a.uid))

    def on(self, target: Target) -> list[Action]:
        """What waits to be done to exactly `target`."""
        return [action for action in self._pending.values() if action.target == target]

    def why_not(self, uid: str) -> str:
        """Why somebody wants action `uid` not done; empty where nobody said no."""
        return self._refused.get(uid, "")

    def observe(self, action: Action) -> None:
        """Know `action` as it is told; one that never waited is no matter."""
        if action.approval is None:
            return
        if action.status is ActionStatus.PENDING:
            if action.uid not in self._decided and action.uid not in self._pending:
                self._pending[action.uid] = action
                heapq.heappush(self._until, (action.approval.until_ms, action.uid))
            return
        self._pending.pop(action.uid, None)
        if len(self._until) > 2 * len(self._pending) + PENDING_MAX:  # who does not lead never asks what is overdue
            self._until = [(at_ms, uid) for at_ms, uid in self._until if uid in self._pending]
            heapq.heapify(self._until)
        _note(self._decided, action.uid, action.status)
        if action.status is ActionStatus.REFUSED and action.ended_by != AUTO:
            _note(self._refused, name_of_done(action), f"rejected by {action.ended_by}: {action.ended_reason}")

    def overdue(self, now_ms: int) -> list[Action]:
        """What nobody decided in time; each is told once."""
        due = []
        while self._until and self._until[0][0] <= now_ms:
            _, uid = heapq.heappop(self._until)
            if uid in self._pending:
                due.append(self._pending[uid])
        return due


def _note(table: OrderedDict[str, str], uid: str, what: str) -> None:
    table[uid] = what
    table.move_to_end(uid)
    if len(table) > DECIDED_MAX:
        table.popitem(last=False)
