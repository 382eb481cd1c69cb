"""What the planner remembers: answers in force, what each alert led to, rungs, the last minute. All of it bounded.

Made from `actions` alone, so that a planner started anew knows what its predecessor knew.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeVar

from enforcer import guardrails, ladder
from enforcer.guardrails import Harm
from enforcer.names import PEOPLE
from schemas.action import Action, ActionKind, ActionStatus, Target

ALERTS_MAX: Final = 100_000
RUNGS_MAX: Final = 200_000
ENDED_MAX: Final = 100_000
_CLIMBING: Final = frozenset({ActionKind.DENY, ActionKind.CHALLENGE})
_T = TypeVar("_T")
_Book = tuple[Harm, bool, str | None]  # clients to whom that is done, found alone or all, of a tenant or of all


def automatic(action: Action) -> bool:
    """Whether nobody asked for it."""
    return action.owner == "auto"


class Standing:
    """The actions as far as they are known. `observe` takes them in any order and any number of times."""

    def __init__(self, allowed: Iterable[Target], minute_max: int) -> None:
        self._static = tuple(allowed)
        self._active: dict[str, Action] = {}
        self._by_target: dict[str, set[str]] = {}
        self._under: dict[_Book, dict[str, int]] = {}
        self._good: dict[str, int] = {}  # clients with a good history, whatever is done
        self._expiry: list[tuple[int, str]] = []
        self._last: OrderedDict[str, Action] = OrderedDict()
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._rungs: OrderedDict[str, ladder.Rung] = OrderedDict()
        self.minute = guardrails.Minute(minute_max)
        self.allowed = guardrails.Allowlist(self._static)
        self._holds: dict[str, Action] = {}
        self._let_go: OrderedDict[str, int] = OrderedDict()

    @property
    def hold(self) -> Action | None:
        """What stops automation, the longest of several; None: nothing does."""
        return max(self._holds.values(), key=lambda action: (action.expires_ms, action.uid), default=None)

    def under(self, harm: Harm, *, alone: bool, tenant: str | None = None) -> int:
        """Distinct clients that automatic answers do `harm` to; of one tenant's.

        With `alone` those of them that are answered for what they did by themselves, in no campaign.
        """
        return len(self._under.get((harm, alone, tenant), ()))

    def good_under(self, besides: Target) -> int:
        """Clients with a good history that automatic answers restrict, without `besides`."""
        return len(self._good) - (besides.key in self._good)

    def suffers(self, target: Target, harm: Harm, *, alone: bool) -> bool:
        """Whether `target` is one of those that `under` counts."""
        return target.key in self._under.get((harm, alone, None), ())

    def last(self, alert_uid: str) -> Action | None:
        """The newest action on that alert's account, as it stands."""
        return self._last.get(alert_uid)

    def let_go_ms(self, target: Target) -> int:
        """When somebody last said that nothing more is to be done to `target`; 0: nobody did."""
        return self._let_go.get(target.key, 0)

    def active(self, uid: str) -> Action | None:
        """The action of that name, where it is in force."""
        return self._active.get(uid)

    def rung(self, target: Target) -> ladder.Rung | None:
        """Where `target` stands on the ladder."""
        return self._rungs.get(target.key)

    def on(self, target: Target) -> list[Action]:
        """Actions in force on exactly `target`."""
        return [self._active[uid] for uid in sorted(self._by_target.get(target.key, ()))]

    def restricting(self) -> list[Action]:
        """Every action in force that a client feels."""
        return [action for action in self._active.values() if guardrails.restricts(action)]

    def why_not(self, action: Action) -> str:
        """Why `action` may not stay in force; empty where it may."""
        if entry := self.allowed.around(action.target):  # of a network it is in, limiters let the allowed through
            return f"on the allowlist ({entry})"
        refusal = guardrails.stopped(self.hold) if automatic(action) else None
        return refusal.reason if refusal else ""

    def let_by(self, action: Action) -> str | None:
        """The guard that ends `action` though it was no mistake: who passed a challenge is let through for a while."""
        return guardrails.ALLOWLISTED if self.allowed.around(action.target) else None

    def observe(self, action: Action) -> None:
        """Know `action` as it is told."""
        self._remember_last(action)
        if action.status is ActionStatus.REFUSED and action.approval is not None:
            self._hear_no(action)
        if not action.took_effect:
            return
        if action.status is ActionStatus.ACTIVE:
            if action.uid in self._active or self._ended.get(action.uid, -1) >= action.created_ms:
                return
            self._count(action)
            self._begin(action)
            return
        if action.uid not in self._active and action.uid not in self._ended:
            self._count(action)
        self._end(action.uid, action.ended_ms or action.expires_ms)
        if action.status is ActionStatus.LIFTED:
            if action.guard != guardrails.ALLOWLISTED:
                self._take_back(action)
            self._hear_no(action)

    def expire(self, now_ms: int) -> None:
        """Drop what has run out by `now_ms`."""
        while self._expiry and self._expiry[0][0] <= now_ms:
            expires_ms, uid = heapq.heappop(self._expiry)
            action = self._active.get(uid)
            if action is not None and action.expires_ms == expires_ms:
                self._end(uid, expires_ms)

    def _count(self, action: Action) -> None:
        if not (automatic(action) and guardrails.restricts(action)):
            return
        self.minute.add(action.created_ms, action.tenant)
        if action.kind in _CLIMBING:
            key = action.target.key
            rung = ladder.climbed(self._rungs.get(key), action.uid, action.step, action.expires_ms)
            _put(self._rungs, key, rung, RUNGS_MAX)

    def _begin(self, action: Action) -> None:
        key = action.target.key
        self._ended.pop(action.uid, None)
        self._active[action.uid] = action
        self._by_target.setdefault(key, set()).add(action.uid)
        heapq.heappush(self._expiry, (action.expires_ms, action.uid))
        if _burdens(action):
            for held in self._counted_in(action):
                held[key] = held.get(key, 0) + 1
        if action.kind is ActionKind.ALLOW:
            self.allowed.add(action.target)
        if action.kind is ActionKind.HOLD:
            self._holds[action.uid] = action

    def _end(self, uid: str, ended_ms: int) -> None:
        _put(self._ended, uid, ended_ms, ENDED_MAX)
        action = self._active.pop(uid, None)
        if action is None:
            return
        key = action.target.key
        self._holds.pop(uid, None)
        _discard(self._by_target, key, uid)
        if _burdens(action):
            for held in self._counted_in(action):
                held[key] -= 1
                if not held[key]:
                    del held[key]
            for book in _books(action):
                if not self._under[book]:
                    del self._under[book]
        if action.kind is ActionKind.ALLOW:
            standing = [a.target for a in self._active.values() if a.kind is ActionKind.ALLOW]
            self.allowed = guardrails.Allowlist((*self._static, *standing))

    def _counted_in(self, action: Action) -> list[dict[str, int]]:
        """Where a client that `action` restricts is counted."""
        held = [self._under.setdefault(book, {}) for book in _books(action)]
        return [*held, self._good] if action.established else held

    def _take_back(self, action: Action) -> None:
        key = action.target.key
        rung = ladder.taken_back(self._rungs.get(key), action.uid)
        if rung is None:
            self._rungs.pop(key, None)
        else:
            self._rungs[key] = rung

    def _hear_no(self, action: Action) -> None:
        """What a person ends holds for the target, where nothing that restricts it was put in its place."""
        person = (action.ended_by or "").startswith(PEOPLE)
        if person and guardrails.restricts(action) and not any(map(guardrails.restricts, self.on(action.target))):
            ended_ms = max(action.ended_ms or 0, self.let_go_ms(action.target))
            _put(self._let_go, action.target.key, ended_ms, ENDED_MAX)

    def _remember_last(self, action: Action) -> None:
        if action.alert_uid is None:
            return
        known = self._last.get(action.alert_uid)
        if known is None or known.uid == action.uid or known.created_ms <= action.created_ms:
            _put(self._last, action.alert_uid, action, ALERTS_MAX)


def _books(action: Action) -> list[_Book]:
    harm, alone = guardrails.harm(action.kind), (False,) if action.campaign else (False, True)
    return [(harm, each, tenant) for each in alone for tenant in {None, action.tenant}]


def _burdens(action: Action) -> bool:
    return automatic(action) and guardrails.restricts(action) and action.target.kind in guardrails.CLIENTS


def _put(table: OrderedDict[str, _T], key: str, value: _T, size: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > size:
        table.popitem(last=False)


def _discard(table: dict[str, set[str]], key: str, uid: str) -> None:
    uids = table.get(key, set())
    uids.discard(uid)
    if not uids:
        table.pop(key, None)
