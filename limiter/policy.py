"""What a client may ask for: limits per route and key kind, tiers, lists, brownout: a frozen snapshot.

policy_file.py reads it. Every limit that fits a request applies to it, and the strictest answer wins; of limits in one
`group` only that of the highest priority applies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from limiter.algorithms.shape import SECOND_US, Shape
from limiter.algorithms.token_bucket import Bucket
from limiter.conditions import ALWAYS, When
from limiter.facts import Facts
from limiter.lists import Entry

PPM: Final = 1_000_000  # factors are whole millionths, so that limits stay integers


class Per(StrEnum):
    """Whom a limit counts for: each address (of IPv6 its client), network, API key ...; or everybody together.

    A limit's `per` may also be an attribute (`country`, `header:x-plan`), and several joined by `+`: `tenant+ip`.
    """

    IP = "ip"
    NETWORK = "network"
    KEY = "key"
    USER = "user"
    TENANT = "tenant"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests: a route template, in which `*` stands for any text, and methods (empty: all)."""

    route: str = "*"
    methods: frozenset[str] = frozenset()

    def covers(self, method: str, route: str) -> bool:
        """Whether a request by `method` on the template `route` is meant."""
        if self.methods and method not in self.methods:
            return False
        if self.route in ("*", route):
            return True
        head, star, rest = self.route.partition("*")
        if not star or not route.startswith(head):
            return False
        return not rest or _glob(self.route).fullmatch(route) is not None


class State(StrEnum):
    """How far a limit is in force. In shadow, as for a canary's other clients, it is asked, told, never refusing."""

    ENABLED = "enabled"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Limit:
    """`shape` for each `per` within `scope` and `when` that holds; a request takes `cost` tokens."""

    name: str
    per: str
    shape: Shape
    scope: Scope = Scope()
    cost: int = 1
    when: When = ALWAYS
    group: str | None = None
    priority: int = 0
    state: State = State.ENABLED
    share_ppm: int = PPM  # of a canary's clients
    lease: bool = True  # nodes may hold tokens of it in advance


class Limited(Protocol):
    """What a check reads of a limit that was found. A `Limit` has it, and so has what an index makes of one."""

    @property
    def name(self) -> str:
        """How answers, rows and tiers call it."""

    @property
    def shape(self) -> Shape:
        """As the policy has it, for no tier."""

    @property
    def cost(self) -> int:
        """Tokens a request takes."""

    @property
    def group(self) -> str | None:
        """Of its limits that fit only the one of the highest priority applies."""

    @property
    def priority(self) -> int:
        """In its group."""

    @property
    def state(self) -> State:
        """How far it is in force."""

    @property
    def share_ppm(self) -> int:
        """Of a canary's clients."""

    @property
    def lease(self) -> bool:
        """Whether nodes may hold tokens of it in advance."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A class of clients: limits times `factor_ppm`, or its `own` shape for a limit of that name."""

    name: str
    factor_ppm: int = PPM
    own: tuple[tuple[str, Shape], ...] = ()
    keys: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()

    def shape(self, limit: Limited) -> Shape:
        """The shape `limit` has for this tier."""
        for name, shape in self.own:
            if name == limit.name:
                return shape
        return limit.shape.scaled(self.factor_ppm, PPM, limit.cost)


@dataclass(frozen=True, slots=True)
class Level:
    """One brownout level: the factor for everybody, and lower or higher ones for tiers and routes (routes win).

    `admit` is, by class, the share of clients whose requests are let in at all; of other classes everybody is.
    """

    factor_ppm: int = PPM
    tiers: tuple[tuple[str, int], ...] = ()
    routes: tuple[tuple[Scope, int], ...] = ()
    admit: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Class:
    """Requests that a brownout sheds alike: on one of `scopes` (none: on any), `when` it holds.

    `known` asks for a client with a key, a user or a tenant, or for one without; None for either.
    """

    name: str
    known: bool | None = None
    scopes: tuple[Scope, ...] = ()
    when: When = ALWAYS

    def holds(self, method: str, route: str, facts: Facts) -> bool:
        """Whether a request is of this class."""
        who = facts.identity
        if self.known is not None and self.known is not bool(who.key_id or who.user or who.tenant):
            return False
        if self.scopes and not any(scope.covers(method, route) for scope in self.scopes):
            return False
        return self.when is ALWAYS or self.when.holds(facts)


@dataclass(frozen=True, slots=True)
class Brownout:
    """Levels 1..4; `critical` requests keep their limits, and are let in, at every level.

    Of `classes` the first that a request fits is its own. A level in force by a part lies so far between the one below
    it and itself.
    """

    levels: tuple[Level, ...] = ()
    critical: tuple[Scope, ...] = ()
    classes: tuple[Class, ...] = ()

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that it names."""
        routes = (scope for level in self.levels for scope, _ in level.routes)
        return (*self.critical, *routes, *(scope for each in self.classes for scope in each.scopes))

    def spares(self, method: str, route: str) -> bool:
        """Whether a request is critical."""
        return any(scope.covers(method, route) for scope in self.critical)

    def factor_ppm(self, level: int, tier: str, method: str, route: str, part_ppm: int = PPM) -> int:
        """What is left of a limit at `level`, in millionths; a level beyond the table is the last one."""
        if level <= 0 or not self.levels or self.spares(method, route):
            return PPM
        return between(lambda at: self._factor_ppm(at, tier, method, route), level, part_ppm)

    def class_of(self, method: str, route: str, facts: Facts) -> str | None:
        """The class of a request; None for one of no class, and for what is critical."""
        if not self.classes or self.spares(method, route):
            return None
        return next((each.name for each in self.classes if each.holds(method, route, facts)), None)

    def admit_ppm(self, level: int, name: str | None, part_ppm: int = PPM) -> int:
        """The share of clients of a class that is let in at `level`, in millionths."""
        if level <= 0 or not self.levels or name is None:
            return PPM
        return between(lambda at: dict(self._level(at).admit).get(name, PPM), level, part_ppm)

    def _factor_ppm(self, level: int, tier: str, method: str, route: str) -> int:
        chosen = self._level(level)
        for scope, factor in chosen.routes:
            if scope.covers(method, route):
                return factor
        return dict(chosen.tiers).get(tier, chosen.factor_ppm)

    def _level(self, level: int) -> Level:
        return self.levels[min(level, len(self.levels)) - 1] if level > 0 else _AS_EVER


_AS_EVER: Final = Level()


def between(value: Callable[[int], int], level: int, part_ppm: int) -> int:
    """`value` of a level that is in force by `part_ppm`: the rest of the way it is that of the level below."""
    here = value(level)
    if part_ppm >= PPM:
        return here
    below = value(level - 1)
    return max(1, below + (here - below) * part_ppm // PPM)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `tiers` holds at least `default_tier`; `anonymous_tier` is for requests without key and user.

    `default` are the limits of requests that none of `limits` refuses or admits. Whoever is on `allow` is under no
    limit, denial or action; whoever is on `deny`, and not on `allow`, is refused.
    """

    name: str
    limits: tuple[Limit, ...]
    tiers: dict[str, Tier]
    default_tier: str
    anonymous_tier: str
    routes: tuple[Scope, ...] = ()
    brownout: Brownout = field(default_factory=Brownout)
    default: tuple[Limit, ...] = ()
    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()

    def tier_of(self, asked: str | None, key_id: str | None, user: str | None, tenant: str | None) -> Tier:
        """The tier of a client: what its gateway says when that exists, else by membership, else the default."""
        if asked is not None and asked in self.tiers:
            return self.tiers[asked]
        if key_id is None and user is None and tenant is None:
            return self.tiers[self.anonymous_tier]
        for tier in self.tiers.values():
            if key_id in tier.keys or user in tier.users or tenant in tier.tenants:
                return tier
        return self.tiers[self.default_tier if key_id or user else self.anonymous_tier]


def _levels(*percent: tuple[int, int]) -> tuple[Level, ...]:
    return tuple(Level(f * PPM // 100, admit=(("anonymous", a * PPM // 100),)) for f, a in percent)


# What holds where no policy file is set: generous to people, tight where passwords are tried.
DEFAULT: Final = Policy(
    name="built-in",
    limits=(
        Limit("ip", Per.IP, Bucket.of(50, SECOND_US, 200)),
        Limit("key", Per.KEY, Bucket.of(100, SECOND_US, 400)),
        Limit("login-ip", Per.IP, Bucket.of(60, 60 * SECOND_US, 60), Scope("*login*", frozenset({"POST", "PUT"}))),
    ),
    tiers={"default": Tier("default")},
    default_tier="default",
    anonymous_tier="default",
    brownout=Brownout(
        _levels((75, 100), (50, 75), (25, 40), (10, 10)),
        critical=(Scope("*login*"), Scope("*checkout*"), Scope("*health*")),
        classes=(Class("anonymous", known=False),),
    ),
)

_GLOBS: Final[dict[str, re.Pattern[str]]] = {}  # one entry per glob of a policy file


def _glob(pattern: str) -> re.Pattern[str]:
    compiled = _GLOBS.get(pattern)
    if compiled is None:
        if len(_GLOBS) >= 10_000:
            _GLOBS.clear()
        compiled = _GLOBS[pattern] = re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
    return compiled
