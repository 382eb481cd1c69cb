"""A version of the policy on trial beside the one that holds: both judge every request, one of them is enforced. Pure.

               live ──► what it says ──┐ enforced, but for the canary's clients ──► answer
    request ──►                        ├─► counted, side by side
          candidate ──► what it says ──┘ enforced for the canary's clients: a stable share, none in shadow

The candidate keeps books of its own: its limits' states stand under other keys, so that neither version spends what the
other one gives, and it says what it would say alone: in shadow, also of requests that the version that holds refuses. A
request that the candidate refuses consumes nothing in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import xxhash

from limiter.algorithms.taken import Taken, all_allowed
from limiter.facts import Identity, client_of
from limiter.matcher import Applied, Matcher, in_canary
from limiter.policy import Limit
from limiter.verdict import Answer, Placed
from schemas.policies import Candidate, Tried

ROUTES_MAX: Final = 100
CLIENTS_MAX: Final = 50_000
OTHERS: Final = "(others)"
_BLAMED: Final = 1  # the version that holds refused it something, or an action is in force on it
_HARMED: Final = 2  # the candidate refused it what the version that holds lets pass


class Trial:
    """One candidate on one node, and what was seen of it since the order `serial`."""

    def __init__(self, matcher: Matcher, candidate: Candidate, serial: int) -> None:
        self.matcher = matcher
        self.candidate = candidate
        self.serial = serial
        self.faults = 0
        self._name = f"rollout {candidate.digest}"
        self._apart = f"{candidate.digest[:8]}\0"
        self._checks = self._refused = self._candidate_refused = 0
        self._canary_checks = self._canary_refused = 0
        self._good = self._harmed = 0
        self._routes: dict[str, list[int]] = {}
        self._clients: dict[int, int] = {}

    def both(self, live: Placed, its: Placed, identity: Identity) -> Placed:
        """What is enforced on a request of `identity`, placed by both versions; the other one beside."""
        client = client_of(identity)
        its = msgspec.structs.replace(its, applied=self._own(its.applied), shadowed=self._own(its.shadowed))
        is_canary = in_canary(self._name, client, self.candidate.share_ppm)
        enforced, other = (its, live) if is_canary else (live, its)
        blamed = bool(live.ruling.refusal or live.ruling.throttles or live.shed)
        mark = xxhash.xxh3_64_intdigest(client.encode("utf-8", "surrogatepass"))
        beside = Beside(self, other, live.route, mark, blamed=blamed, is_canary=is_canary)
        return msgspec.structs.replace(enforced, until_ms=min(live.until_ms, its.until_ms), beside=beside)

    def _own(self, applied: Sequence[Applied]) -> list[Applied]:
        return [msgspec.structs.replace(one, identity=self._apart + one.identity) for one in applied]

    def count(self, beside: Beside, *, live: bool, candidate: bool) -> None:
        """Both versions judged a request: whether each lets it pass."""
        self._checks += 1
        self._refused += not live
        self._candidate_refused += not candidate
        if beside.is_canary:
            self._canary_checks += 1
            self._canary_refused += not candidate
        route = beside.route
        if route not in self._routes and len(self._routes) >= ROUTES_MAX:
            route = OTHERS
        row = self._routes.setdefault(route, [0, 0, 0])
        row[0] += 1
        row[1] += not live
        row[2] += not candidate
        marks = (_BLAMED if beside.blamed or not live else 0) | (_HARMED if live and not candidate else 0)
        self._mark(beside.client, marks)

    def _mark(self, client: int, marks: int) -> None:
        before = self._clients.get(client)
        after = (before or 0) | marks
        if after == before or (before is None and len(self._clients) >= CLIENTS_MAX):
            return
        self._clients[client] = after
        self._good += (not after & _BLAMED) - (before is not None and not before & _BLAMED)
        self._harmed += (after == _HARMED) - (before == _HARMED)

    def tried(self) -> Tried:
        """What was seen so far."""
        routes = {route: (row[0], row[1], row[2]) for route, row in self._routes.items()}
        return Tried(
            self.serial, self._checks, self._refused, self._candidate_refused, self._canary_checks,
            self._canary_refused, self._good, self._harmed, self.faults, routes,
        )  # fmt: skip


class Beside:
    """What the version that is not enforced makes of a request. `asked` are the limits it has to ask for that."""

    __slots__ = ("asked", "blamed", "client", "is_canary", "other", "route", "trial")

    def __init__(self, trial: Trial, other: Placed, route: str, client: int, *, blamed: bool, is_canary: bool) -> None:
        self.trial, self.other, self.route, self.client = trial, other, route, client
        self.blamed, self.is_canary = blamed, is_canary
        # Tokens held in advance would be missing in books that nobody serves from.
        self.asked = [] if without_limits(other) is not None else [_unleased(one) for one in other.applied]

    def count(self, *, enforced: bool, other: bool) -> None:
        """Whether the version in force lets the request pass, and the other one."""
        live, candidate = (other, enforced) if self.is_canary else (enforced, other)
        self.trial.count(self, live=live, candidate=candidate)

    def judged(self, answer: Answer, taken: Sequence[Taken] | None, back: list[tuple[Applied, Taken]]) -> Answer:
        """`answer`, counted beside what `asked` said (None: too late); `back` gets what that took for nothing."""
        if taken is None:
            return answer
        settled = without_limits(self.other)
        passes = all_allowed(taken) if settled is None else settled
        self.count(enforced=answer.allowed, other=passes)
        if not passes or not taken:
            return answer
        told = list(zip(self.asked, taken, strict=True))
        if answer.allowed:  # it holds, and a refund gives back, theirs too
            return msgspec.structs.replace(answer, given=[*answer.given, *told])
        # Books in shadow go on as if the request had passed; but nobody is going to release what it would hold.
        back += told if self.is_canary else [(one, its) for one, its in told if its.slot]
        return answer


def without_limits(placed: Placed) -> bool | None:
    """Whether a request passes, where that is known without any limit; None where limits say it."""
    if placed.listed is not None:
        return placed.listed[0]
    return False if placed.ruling.refusal is not None or placed.shed is not None else None


def _unleased(one: Applied) -> Applied:
    limit = one.limit
    unleased = Limit(limit.name, "", limit.shape, state=limit.state, lease=False)
    return msgspec.structs.replace(one, limit=unleased) if limit.lease else one
