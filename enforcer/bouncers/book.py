"""What bouncers are told: the one decision that stands on each address, and what changed since they asked. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from enforcer.bouncers.decisions import RANGE, SCOPES, Decision, Network, Span, decision_of, span_of
from schemas.action import Action, ActionKind, Target

LOG_MAX: Final = 200_000
GONE_MS: Final = 24 * 3_600_000  # what ended longer ago is not told any more
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Delta:
    """What a bouncer has to do: forget `deleted`, then hold `new`. Either may be known to it already."""

    new: tuple[Decision, ...]
    deleted: tuple[Decision, ...]


class Book:
    """Decisions by what they are about (scope and value), with a log of changes numbered from 1 without gaps.

    The log is bounded: who was away for more than `log_max` changes is told all that stands and all that the log still
    knows to have ended.

    A bouncer cannot leave one address of a network alone, so a network is not told while somebody in it is allowed.
    """

    def __init__(self, *, scoped: bool = False, log_max: int = LOG_MAX, allowed: Iterable[Target] = ()) -> None:
        self._scoped = scoped
        self._allowed = sorted(span[::2] for target in allowed if (span := span_of(target)) is not None)
        self._on: dict[Place, dict[str, Decision]] = {}
        self._stands: dict[Place, Decision] = {}
        self._networks: dict[Span, Decision] = {}
        self._lengths: Counter[tuple[int, int]] = Counter()
        self._log: deque[tuple[bool, Decision]] = deque(maxlen=log_max)
        self.position = 0

    def __len__(self) -> int:
        return len(self._stands)

    def recall(self, ended: Iterable[Action], now_ms: int) -> None:
        """Know what ended lately: a bouncer that slept through our restart still holds it."""
        for action in ended:
            known = action.took_effect and (action.ended_ms or 0) > now_ms - GONE_MS
            decision = decision_of(action, scoped=self._scoped) if known else None
            if decision is not None:
                self._note(decision, gone=True)

    def put(self, action: Action) -> None:
        """`action` is in force."""
        if action.kind is ActionKind.ALLOW and (span := span_of(action.target)) is not None:
            insort(self._allowed, span[::2])
            self._settle_around(span)
        decision = decision_of(action, scoped=self._scoped)
        if decision is not None:
            self._on.setdefault(decision.place, {})[decision.uid] = decision
            self._settle(decision.place)

    def remove(self, action: Action) -> None:
        """`action` is no longer in force."""
        if action.kind is ActionKind.ALLOW and (span := span_of(action.target)) is not None:
            self._allowed.remove(span[::2])
            self._settle_around(span)
        decision = decision_of(action, scoped=self._scoped)
        if decision is not None and self._on.get(decision.place, {}).pop(decision.uid, None) is not None:
            self._settle(decision.place)

    def all(self) -> tuple[Decision, ...]:
        """Every decision that stands."""
        return tuple(self._stands.values())

    def since(self, position: int | None) -> Delta:
        """What changed after `position`; None: whoever asks has an empty memory, and needs what stands alone."""
        if position is None:
            return Delta(self.all(), ())
        missed = self.position - position
        if position <= 0 or not 0 <= missed <= len(self._log):
            return Delta(self.all(), self._ended(self._log))
        changes = list(islice(reversed(self._log), missed))[::-1]  # from its end: a deque is slow to its middle
        new = (decision for gone, decision in changes if not gone and self._stands.get(decision.place) is decision)
        return Delta(tuple(new), self._ended(changes))

    def covering(self, network: Network) -> list[Decision]:
        """What stands on all of a network, or on an address: its own, its networks'; the strictest first."""
        found = []
        number = int(network.network_address)
        for version, length in self._lengths:
            if version == network.version and length <= network.prefixlen:
                spare = network.max_prefixlen - length
                standing = self._networks.get((version, length, number >> spare << spare))
                if standing is not None:
                    found.append(standing)
        return sorted(found, key=lambda decision: decision.rank, reverse=True)

    def within(self, network: Network) -> Iterator[Decision | None]:
        """What stands on parts of a network. Looks at everything; a None now and then is for others to have a turn."""
        first, last = int(network.network_address), int(network.broadcast_address)
        for index, ((version, length, number), decision) in enumerate(tuple(self._networks.items())):
            if version == network.version and length >= network.prefixlen and first <= number <= last:
                yield decision
            elif index % 5_000 == 0:
                yield None

    def about(self, scope: str, value: str) -> list[Decision]:
        """What stands on a value of a scope; the scope in any case."""
        named = (self._stands.get((name, value)) for name in SCOPES if name.lower() == scope.lower())
        return [decision for decision in named if decision is not None]

    def _settle_around(self, span: Span) -> None:
        """Somebody at `span` is allowed from now on, or no longer."""
        for place, decisions in list(self._on.items()):
            if place[0] == RANGE and any(_has(each.span, span[::2]) for each in decisions.values()):
                self._settle(place)

    def _spares(self, span: Span | None) -> bool:
        """Whether somebody in a network of `span` is allowed."""
        after = bisect_left(self._allowed, span[::2]) if span is not None else 0
        return after < len(self._allowed) and _has(span, self._allowed[after])

    def _settle(self, place: Place) -> None:
        """What stands on `place` now; noted where it is another than before."""
        before = self._stands.get(place)
        now = max(self._on[place].values(), key=lambda decision: decision.rank, default=None)
        if not self._on[place]:
            del self._on[place]
        if now is not None and now.scope == RANGE and self._spares(now.span):
            now = None
        if now is before:
            return
        if before is not None:
            self._note(before, gone=True)
            del self._stands[place]
            self._index(before, now)
        if now is not None:
            self._stands[place] = now
            self._index(now, now)
            self._note(now, gone=False)

    def _index(self, decision: Decision, now: Decision | None) -> None:
        key = decision.span
        if key is None:
            return
        size = key[:2]
        self._lengths[size] -= key in self._networks
        self._networks.pop(key, None)
        if now is not None:
            self._networks[key] = now
            self._lengths[size] += 1
        if not self._lengths[size]:
            del self._lengths[size]

    def _note(self, decision: Decision, *, gone: bool) -> None:
        self._log.append((gone, decision))
        self.position += 1

    def _ended(self, changes: Iterable[tuple[bool, Decision]]) -> tuple[Decision, ...]:
        """What of `changes` ended, and does not stand again."""
        ended = {(*d.place, d.type): d for gone, d in changes if gone}
        return tuple(d for d in ended.values() if (at := self._stands.get(d.place)) is None or at.type != d.type)


def _has(span: Span | None, address: tuple[int, int]) -> bool:
    """Whether an address (IP version, number) is in a network of `span`."""
    if span is None or span[0] != address[0]:
        return False
    version, length, first = span
    return first <= address[1] < first + (1 << ((32 if version == 4 else 128) - length))
