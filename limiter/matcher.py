"""A policy made ready: which route a request is on, and which limits apply to it. Pure; every memory has a bound.

A `Matcher` never changes what it answers: a new policy is a new one, put in the place of the old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import xxhash

from limiter.algorithms.shape import Shape
from limiter.attributes import Attributes
from limiter.conditions import FOREVER_MS
from limiter.facts import Facts, Identity, header_of, network_of
from limiter.index import Fitting, Index
from limiter.lists import Lists
from limiter.policy import PPM, Limit, Policy, State
from limiter.routes import Routes

__all__ = ["Applied", "Identity", "Matched", "Matcher", "network_of"]

_CACHED_MAX: Final = 20_000
_SHAPES_MAX: Final = 200_000


class Applied(msgspec.Struct, frozen=True):
    """One limit as it applies to one client: whose state, of which shape now, and what a request takes from it.

    With `look` it takes nothing and is only told what it would be.
    """

    limit: Limit
    identity: str
    shape: Shape
    cost: int
    look: bool = False

    @property
    def state(self) -> str:
        """What the limit's state is kept under: two algorithms never read each other's."""
        algorithm = self.shape.algorithm
        return self.limit.name if algorithm == "token_bucket" else f"{algorithm}:{self.limit.name}"


class Matched(msgspec.Struct, frozen=True):
    """The limits of a request: those in force, those in shadow, and until when that is so for the same request."""

    applied: list[Applied]
    shadowed: list[Applied]
    until_ms: int = FOREVER_MS


class Matcher:
    """Route and facts -> the limits that apply. What a method and route lead to is found once and kept.

    `breathe` is called between limits while it is made, for a caller whose process has other work.
    """

    def __init__(self, policy: Policy, breathe: Callable[[], None] = lambda: None) -> None:
        self.policy = policy
        self.lists = Lists(policy.allow, policy.deny)
        every = (*policy.limits, *policy.default)
        self._routes = Routes((*policy.routes, *dict.fromkeys(limit.scope for limit in every), *policy.brownout.scopes))
        self._methods = frozenset(method for limit in every for method in limit.scope.methods)
        self._limits, self._default = Index(policy.limits, breathe), Index(policy.default, breathe)
        self._found: dict[tuple[str, str], tuple[Fitting, Fitting]] = {}
        self._shapes: dict[tuple[str, str], Shape] = {}
        self.headers = _headers(every, self.lists)

    def parts(self) -> list[object]:
        """All that it is large by, for whoever lets go of it in small steps."""
        return [*self.policy.limits, *self.policy.default, *self._limits.parts(), *self._default.parts()]

    def route(self, method: str, path: str) -> str:
        """The route template of a request."""
        return self._routes.match(method, path)

    def limits(
        self,
        method: str,
        route: str,
        tier: str,
        identity: Identity,
        factor_ppm: int = PPM,
        cost: int | None = None,
        attributes: Attributes | None = None,
        now_ms: int = 0,
    ) -> Matched:
        """Every limit that applies, at `factor_ppm` of itself; `cost` overrides what the policy says."""
        at = (method if method in self._methods else "", route)
        found = self._found.get(at)
        if found is None:
            if len(self._found) >= _CACHED_MAX:
                self._found.clear()
            found = self._found[at] = self._limits.fitting(*at), self._default.fitting(*at)
        facts = Facts(identity, tier, attributes, now_ms)
        matched = self._match(found[0], facts, factor_ppm, cost)
        if matched.applied or not (found[1].plain or found[1].tables):
            return matched
        # What is in shadow changes nothing: a request under no other limit is still one nothing applies to.
        default = self._match(found[1], facts, factor_ppm, cost)
        return Matched(default.applied, matched.shadowed + default.shadowed, min(matched.until_ms, default.until_ms))

    def _match(self, fitting: Fitting, facts: Facts, factor_ppm: int, cost: int | None) -> Matched:
        applied: list[Applied] = []
        shadowed: list[Applied] = []
        grouped, until_ms = False, FOREVER_MS
        rules = fitting.rules(facts) if fitting.tables else fitting.plain
        for rule in rules:
            limit = rule.limit
            who = rule.who(facts.identity, facts.attributes)
            if who is None:
                continue
            if rule.rest is not None:
                until_ms = min(until_ms, rule.rest.until(facts.now_ms))
                if not rule.rest.holds(facts):
                    continue
            taken = limit.cost if cost is None else cost
            shape = self._shape(limit, facts.tier)
            if factor_ppm != PPM:
                shape = shape.scaled(factor_ppm, PPM, taken)
            grouped = grouped or limit.group is not None
            (applied if _enforced(limit, who) else shadowed).append(Applied(limit, who, shape, taken))
        if grouped:
            return Matched(_foremost(applied), _foremost(shadowed), until_ms)
        return Matched(applied, shadowed, until_ms)

    def _shape(self, limit: Limit, tier: str) -> Shape:
        of = self.policy.tiers[tier]
        if of.factor_ppm == PPM and not of.own:
            return limit.shape
        found = self._shapes.get((limit.name, tier))
        if found is None:
            if len(self._shapes) >= _SHAPES_MAX:
                self._shapes.clear()
            found = self._shapes[limit.name, tier] = of.shape(limit)
        return found


def _enforced(limit: Limit, who: str) -> bool:
    match limit.state:
        case State.ENABLED:
            return True
        case State.SHADOW:
            return False
        case State.CANARY:
            return in_canary(limit.name, who, limit.share_ppm)


def in_canary(name: str, who: str, share_ppm: int) -> bool:
    """Whether a client is among the `share_ppm`: always the same ones, and when the share grows they stay in."""
    return xxhash.xxh3_64_intdigest(f"{name}\0{who}".encode("utf-8", "surrogatepass")) % PPM < share_ppm


def _foremost(found: list[Applied]) -> list[Applied]:
    """Of each group only the limit of the highest priority, the first of equals; limits without a group all."""
    best: dict[str, Applied] = {}
    for one in found:
        group = one.limit.group
        if group is not None and (group not in best or one.limit.priority > best[group].limit.priority):
            best[group] = one
    return [one for one in found if one.limit.group is None or best[one.limit.group] is one]


def _headers(limits: Iterable[Limit], lists: Lists) -> frozenset[str]:
    names = set(lists.names)
    for limit in limits:
        names.update(limit.per.split("+"), limit.when.names)
    return frozenset(header for name in names if (header := header_of(name)) is not None)
