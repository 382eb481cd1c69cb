"""What the clients of the demo saw: every answer counted, by client and by what it meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from floodwarden.demo.traffic import Client


class Outcome(StrEnum):
    """What an answer meant to the client."""

    SERVED = "served"  # by the shop, below 400
    FAILED = "failed"  # by the shop, 4xx or 5xx: a wrong password
    LIMITED = "limited"  # 429 by the policy as it stands for everyone
    THROTTLED = "throttled"  # 429 by a limit that an action reduced
    DENIED = "denied"  # 403 by an action
    CHALLENGED = "challenged"  # asked to prove itself, by an action
    LOST = "lost"  # no answer at all

    @property
    def upstream(self) -> bool:
        """Whether the request got through to the shop."""
        return self in (Outcome.SERVED, Outcome.FAILED)

    @property
    def touched(self) -> bool:
        """Whether an action, not the ordinary policy, stood in the way."""
        return self in (Outcome.THROTTLED, Outcome.DENIED, Outcome.CHALLENGED)


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when the request left and when the answer was there (epoch ms), and what it meant."""

    sent_ms: int
    answered_ms: int
    outcome: Outcome


@dataclass(slots=True)
class Ledger:
    """Answers by client; for the attackers each single one. Its size is that of the schedule."""

    totals: Counter[Outcome] = field(default_factory=Counter)
    by_client: dict[Client, Counter[Outcome]] = field(default_factory=dict)
    attacks: dict[str, list[Seen]] = field(default_factory=dict)
    lag_ms_max: float = 0.0

    def note(self, client: Client, seen: Seen) -> None:
        """Count one answer."""
        self.totals[seen.outcome] += 1
        self.by_client.setdefault(client, Counter())[seen.outcome] += 1
        if not client.good:
            self.attacks.setdefault(client.role, []).append(seen)

    @property
    def answered(self) -> int:
        """Requests that were answered: each is one decision of a limiter."""
        return self.totals.total() - self.totals[Outcome.LOST]

    @property
    def lost(self) -> int:
        """Requests without an answer: each may or may not have become a decision."""
        return self.totals[Outcome.LOST]

    def good_clients_with(self, outcomes: Iterable[Outcome]) -> list[Client]:
        """Good clients that met any of `outcomes`."""
        wanted = tuple(outcomes)
        return [c for c, counts in self.by_client.items() if c.good and any(counts[o] for o in wanted)]

    def good_with(self, outcome: Outcome) -> int:
        """Answers of one kind to good clients."""
        return sum(counts[outcome] for client, counts in self.by_client.items() if client.good)
