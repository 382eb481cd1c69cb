"""Which route a request is on, and which limits apply to it. Pure; every memory in it has a bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote

import msgspec

from limiter.algorithms.shape import Shape
from limiter.policy import PPM, Limit, Per, Policy
from schemas.templates import Templates

PATH_CHARS_MAX: Final = 2048
_CACHED_MAX: Final = 20_000


@dataclass(slots=True)
class _Branch:
    literals: dict[str, _Branch] = field(default_factory=dict)
    parameter: _Branch | None = None
    here: dict[str, str] = field(default_factory=dict)  # method ("" = any) -> template
    rest: dict[str, str] = field(default_factory=dict)  # the same for a template that ends in /*


def segments(path: str) -> list[str]:
    """The segments of a request's path: no query, decoded once, empty and dot segments resolved as a server does."""
    path = path[:PATH_CHARS_MAX].partition("?")[0].partition("#")[0]
    if "%" in path:
        path = unquote(path)
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if found:
                found.pop()
        elif part not in ("", "."):
            found.append(part)
    return found


class Routes:
    """(method, path) -> route template: known ones by a trie, literals before parameters before `/*`.

    Paths that fit none get the template that a log's reader would give them (`schemas.templates`), bounded in number.
    """

    def __init__(self, policy: Policy) -> None:
        self._root = _Branch()
        self._generic = Templates()
        for scope in (*policy.routes, *(limit.scope for limit in policy.limits)):
            if scope.route.startswith("/") and "*" not in scope.route.removesuffix("/*"):
                self._add(scope.route, scope.methods)

    def _add(self, template: str, methods: frozenset[str]) -> None:
        branch = self._root
        for part in segments(template.removesuffix("/*")):
            if part.startswith("{") and part.endswith("}"):
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
            else:
                branch = branch.literals.setdefault(part, _Branch())
        ends = branch.rest if template.endswith("/*") else branch.here
        for method in methods or {""}:
            ends.setdefault(method, template)

    def match(self, method: str, path: str) -> str:
        """The template of a request; total, and bounded whatever is asked for."""
        parts = segments(path)
        return _find(self._root, parts, 0, method) or self._generic("/" + "/".join(parts))


def _find(branch: _Branch, parts: list[str], at: int, method: str) -> str | None:
    if at == len(parts):
        found = branch.here.get(method) or branch.here.get("")
    else:
        literal = branch.literals.get(parts[at])
        found = _find(literal, parts, at + 1, method) if literal else None
        if found is None and branch.parameter:
            found = _find(branch.parameter, parts, at + 1, method)
    return found or branch.rest.get(method) or branch.rest.get("")


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a canonical address, the keyed hash of an API key, user, tenant; None where absent."""

    ip: str | None = None
    key_id: str | None = None
    user: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """One limit as it applies to one client: whose state, of which shape now, and what a request takes from it."""

    limit: Limit
    identity: str
    shape: Shape
    cost: int


class Matcher:
    """Route and identity -> the limits that apply. Limits per (method, route, tier) are found once and kept."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.headers: frozenset[str] = frozenset()
        self._routes = Routes(policy)
        self._found: dict[tuple[str, str, str], tuple[tuple[Limit, Shape], ...]] = {}

    def route(self, method: str, path: str) -> str:
        """The route template of a request."""
        return self._routes.match(method, path)

    def limits(
        self, method: str, route: str, tier: str, identity: Identity, factor_ppm: int = PPM, cost: int | None = None
    ) -> list[Applied]:
        """Every limit that applies, at `factor_ppm` of itself; `cost` overrides what the policy says."""
        applied: list[Applied] = []
        for limit, whole in self._limits_of(method, route, tier):
            who = _who(limit.per, identity)
            if who is None:
                continue
            taken = limit.cost if cost is None else cost
            shape = whole if factor_ppm == PPM else whole.scaled(factor_ppm, PPM, taken)
            applied.append(Applied(limit, who, shape, taken))
        return applied

    def _limits_of(self, method: str, route: str, tier: str) -> tuple[tuple[Limit, Shape], ...]:
        at = (method, route, tier)
        found = self._found.get(at)
        if found is None:
            if len(self._found) >= _CACHED_MAX:
                self._found.clear()
            own = self._policy.tiers[tier]
            fitting = [limit for limit in self._policy.limits if limit.scope.covers(method, route)]
            found = self._found[at] = tuple((limit, own.shape(limit)) for limit in fitting)
        return found


def _who(per: Per, identity: Identity) -> str | None:
    match per:
        case Per.IP:
            return None if identity.ip is None else network_of(identity.ip)
        case Per.KEY:
            return identity.key_id
        case Per.USER:
            return identity.user
        case Per.TENANT:
            return identity.tenant
        case Per.GLOBAL:
            return "*"


def network_of(ip: str) -> str:
    """Whose bucket an address uses: its own, or its /64 where it is IPv6 (one subscriber has 2^64 of those)."""
    if ":" not in ip:
        return ip
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return ip
