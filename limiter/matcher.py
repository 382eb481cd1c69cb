"""A policy made ready: which route a request is on, and which limits apply to it. Pure; every memory has a bound.

A `Matcher` never changes what it answers: a new policy is a new one, put in the place of the old.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final

import msgspec
import xxhash

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.shape import Shape
from limiter.attributes import Attributes
from limiter.conditions import FOREVER_MS
from limiter.facts import Facts, Identity, header_of
from limiter.index import Fitting, Index
from limiter.lists import Lists
from limiter.memo import Memo
from limiter.policy import DEFAULT, PPM, Limited, Policy, Scope, State
from limiter.routes import Routes

__all__ = ["Applied", "Identity", "Matched", "Matcher"]

_CACHED_MAX: Final = 20_000
_SHAPES_MAX: Final = 200_000


class Applied(msgspec.Struct, frozen=True):
    """One limit as it applies to one client: whose state, of which shape now, and what a request takes from it.

    With `look` it takes nothing and is only told what it would be.
    """

    limit: Limited
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
        scopes: dict[Scope, None] = {}
        headers: set[str] = set(self.lists.names)
        methods: set[str] = set()
        own = chain.from_iterable(tier.own for tier in policy.tiers.values())
        slots = {name for name, shape in own if shape.algorithm == Slots.algorithm}
        for limit in chain(policy.limits, policy.default):
            breathe()
            if limit.shape.algorithm == Slots.algorithm:
                slots.add(limit.name)
            scopes[limit.scope] = None
            methods |= limit.scope.methods
            headers.update(limit.per.split("+"), limit.when.names)
        headers.update(name for each in policy.brownout.classes for name in each.when.names)
        self._routes = Routes((*policy.routes, *scopes, *policy.brownout.scopes), breathe)
        self._methods = frozenset(methods)
        self._limits, self._default = Index(policy.limits, breathe), Index(policy.default, breathe)
        self._found: Memo[tuple[str, str], tuple[Fitting, Fitting]] = Memo(_CACHED_MAX)
        self._shapes: Memo[tuple[str, str], Shape] = Memo(_SHAPES_MAX)
        self._plain = frozenset(tier.name for tier in policy.tiers.values() if tier.factor_ppm == PPM and not tier.own)
        self.slots = frozenset(slots)  # names of limits that give slots
        self.headers = frozenset(header for name in headers if (header := header_of(name)) is not None)

    def let_go(self, breathe: Callable[[], None]) -> None:
        """Frees what it holds, for its only holder: 100,000 limits all at once would stop every check meanwhile."""
        limits = [*self.policy.limits, *self.policy.default]
        self._limits.empty(breathe)
        self._default.empty(breathe)
        self.policy = DEFAULT
        while limits:
            limits.pop()
            breathe()

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
            found = self._limits.fitting(*at), self._default.fitting(*at)
            self._found.put(at, found)
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
        identity, attributes, is_plain = facts.identity, facts.attributes, facts.tier in self._plain
        for rule in fitting.rules(facts) if fitting.tables else fitting.plain:
            kind = rule.kind
            who = kind.who(identity, attributes)
            if who is None:
                continue
            if kind.rest is not None:
                until_ms = min(until_ms, kind.rest.until(facts.now_ms))
                if not kind.rest.holds(facts):
                    continue
            taken = kind.cost if cost is None else cost
            shape = kind.shape if is_plain else self._shape(rule, facts.tier)
            if factor_ppm != PPM:
                shape = shape.scaled(factor_ppm, PPM, taken)
            grouped = grouped or kind.group is not None
            in_force = kind.state is State.ENABLED or _enforced(rule, who)
            (applied if in_force else shadowed).append(Applied(rule, who, shape, taken))
        if grouped:
            return Matched(_foremost(applied), _foremost(shadowed), until_ms)
        return Matched(applied, shadowed, until_ms)

    def _shape(self, limit: Limited, tier: str) -> Shape:
        found = self._shapes.get((limit.name, tier))
        if found is None:
            found = self.policy.tiers[tier].shape(limit)
            self._shapes.put((limit.name, tier), found)
        return found


def _enforced(limit: Limited, who: str) -> bool:
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
