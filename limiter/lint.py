"""What a policy says that its author hardly means: limits that never decide, ties, clients on both lists. Pure.

Each is a warning: the policy can be taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from limiter.conditions import ALWAYS, When
from limiter.facts import header_of
from limiter.limit_file import LimitAt
from limiter.lists import Entry, Lists
from limiter.matcher import Matcher
from limiter.policy import PPM, Class, Limit, Scope, State
from limiter.policy_file import Reading
from limiter.reading import At

WARNINGS_MAX: Final = 1_000
_RIVALS_MAX: Final = 8  # limits of one kind, scope and condition that each is compared with
_EVERYWHERE: Final = Scope()
_ANYBODY: Final = ("ip", "network", "global")
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")
_PARAMETER: Final = re.compile(r"/\{[^/]*\}")
_SOME_ID: Final = "/0-0"
_Same = tuple[str, Scope, When, str | None]


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning, told like an error."""

    file: str
    line: int
    field: str
    reason: str
    fix: str


def warnings(found: Reading, now_ms: int) -> list[Warned]:
    """Everything doubtful in a policy that was read without an error, at most `WARNINGS_MAX`."""
    own = {name for tier in found.policy.tiers.values() for name, _ in tier.own}
    told: list[Warned] = []
    for each in (
        *(_of_limits(limits, own, now_ms) for limits in (found.limits, found.default)),
        _of_lists(found),
        _of_default(found),
        _of_keys(found),
        _of_routes(found),
        _of_brownout(found),
        _unlimited(found),
    ):
        for warned in each:
            if len(told) == WARNINGS_MAX:
                return told
            told.append(warned)
    return told


def _of_limits(limits: Sequence[LimitAt], own: set[str], now_ms: int) -> Iterator[Warned]:
    rivals: dict[_Same, list[Limit]] = {}
    alone: dict[str, int] = {}
    for each in limits:
        limit = each.limit
        if limit.state is State.ENABLED and limit.name not in own:
            kept = rivals.setdefault((limit.per, limit.scope, limit.when, limit.group), [])
            if len(kept) < _RIVALS_MAX:
                kept.append(limit)
        if limit.group is not None:
            alone[limit.group] = alone.get(limit.group, 0) + 1
    places = {each.limit.name: at for at, each in enumerate(limits)}
    for each in limits:
        yield from _of_one(each, now_ms)
        group = each.limit.group
        if group is not None and alone[group] == 1:
            yield _warned(
                each.at, f"is alone in the group {group!r}", "a group says something about two limits or more"
            )
        if each.limit.state is State.ENABLED and each.limit.name not in own:
            yield from _outdone(each, rivals, places)


def _of_one(each: LimitAt, now_ms: int) -> Iterator[Warned]:
    limit = each.limit
    if limit.when.until_ms is not None and limit.when.until_ms <= now_ms:
        yield _warned(each.at, "has ended", "remove it, or set a later `until`")
    if limit.state is State.CANARY and limit.share_ppm in (0, PPM):
        reason = "is a canary for nobody" if limit.share_ppm == 0 else "is a canary for everybody"
        yield _warned(each.at, reason, "take state: " + ("shadow" if limit.share_ppm == 0 else "enabled"))
    if all(header_of(part) is not None for part in limit.per.split("+")):
        fix = "fine where a gateway sets it; else count together with the address: ip+" + limit.per
        yield _warned(each.at, "counts by what a client says itself, and gives each new value new tokens", fix)


def _outdone(each: LimitAt, rivals: dict[_Same, list[Limit]], places: dict[str, int]) -> Iterator[Warned]:
    """Whether another limit decides wherever this one might."""
    limit = each.limit
    for other in _wider(limit, rivals):
        earlier = places[other.name] < places[limit.name]
        if limit.group is not None:
            if (other.priority, earlier) < (limit.priority, True):
                continue
            if other.priority == limit.priority:
                reason = f"has the priority of {other.name!r} in the group {limit.group!r}, which stands first and wins"
                yield _warned(each.at, reason, "give one of them a higher `priority`")
            else:
                yield _warned(each.at, f"never applies: {other.name!r} wins in the group {limit.group!r}", "remove one")
            return
        if (
            other.shape == limit.shape
            and other.cost == limit.cost
            and (other.scope, other.when)
            == (
                limit.scope,
                limit.when,
            )
        ):
            if earlier:
                yield _warned(each.at, f"says the same as {other.name!r}", "remove one of them")
                return
        elif _stricter(other, limit):
            yield _warned(each.at, f"never decides: {other.name!r} is stricter wherever it applies", "remove it")
            return


def _wider(limit: Limit, rivals: dict[_Same, list[Limit]]) -> Iterator[Limit]:
    """Limits of the same kind and group that hold wherever `limit` does."""
    routes = (limit.scope.route, *_around(limit.scope.route), "*")
    scopes = (Scope(route, methods) for route in routes for methods in (limit.scope.methods, frozenset[str]()))
    for scope in dict.fromkeys(scopes):
        for when in dict.fromkeys((limit.when, ALWAYS)):
            for other in rivals.get((limit.per, scope, when, limit.group), ()):
                if other.name != limit.name:
                    yield other


def _around(route: str) -> list[str]:
    """The patterns `/a/b/*`, `/a/*` and `/*` that all requests of a route `/a/b/...` are within."""
    parts = route.split("/")
    return [f"{'/'.join(parts[:n])}/*" for n in range(len(parts) - 1, 0, -1)] if route.startswith("/") else []


def _stricter(one: Limit, other: Limit) -> bool:
    return (
        type(one.shape) is type(other.shape)
        and one.cost >= other.cost
        and one.shape.limit <= other.shape.limit
        and one.shape.limit * other.shape.window_us <= other.shape.limit * one.shape.window_us
    )


def _of_lists(found: Reading) -> Iterator[Warned]:
    allowed = Lists(tuple(entry for entry, _ in found.allow), ())
    for entry, at in found.deny:
        rule = allowed.covers(entry)
        if rule is not None:
            yield _warned(at, f"is on the allow list, too, under {rule!r}, which wins", "remove it from one of them")
    for name in ("allow", "deny"):
        yield from _twice(getattr(found, name))


def _twice(entries: Iterable[tuple[Entry, At]]) -> Iterator[Warned]:
    seen: dict[tuple[str, str], At] = {}
    widths: set[tuple[int, int]] = set()
    for entry, at in entries:
        first = seen.setdefault((entry.kind, entry.value), at)
        if first is not at:
            yield _warned(at, f"stands in {first.file}:{first.line}, too", "remove one of them")
        if entry.kind == "ip":
            whole = ip_network(entry.value)
            widths.add((whole.version, whole.prefixlen))
    for entry, at in entries:
        network = ip_network(entry.value) if entry.kind == "ip" else None
        for version, length in sorted(widths):
            if network is not None and version == network.version and length < network.prefixlen:
                wider = str(network.supernet(new_prefix=length))
                if ("ip", wider) in seen:
                    yield _warned(at, f"is within {wider}, which stands here, too", "remove it")
                    break


def _of_default(found: Reading) -> Iterator[Warned]:
    """Limits under `default` for which no request is left: whoever they count is under another limit anyway."""
    always = [
        (limit.name, _needs(limit.per))
        for limit in (each.limit for each in found.limits)
        if limit.scope == _EVERYWHERE and limit.when == ALWAYS and limit.state is State.ENABLED
    ]
    for each in found.default:
        other = next((name for name, needs in always if needs <= _needs(each.limit.per)), None)
        if other is not None:
            yield _warned(each.at, f"never applies: {other!r} is for each of its requests", "remove it")


def _needs(per: str) -> frozenset[str]:
    """What a request must have to be counted by `per`."""
    return frozenset("ip" if part == "network" else part for part in per.split("+")) - {"global"}


def _of_keys(found: Reading) -> Iterator[Warned]:
    """Places where an API key may stand itself, which matches nothing; it is not repeated."""
    fix = "`floodwarden key-id` tells the key id of a key"
    said = [(at, entry.value) for listed in (found.allow, found.deny) for entry, at in listed if entry.kind == "key"]
    for each in (*found.limits, *found.default):
        conditions = (*each.limit.when.any_of, *each.limit.when.none_of)
        said += [(each.at, value) for name, values in conditions if name == "key" for value in sorted(values)]
    for tier in found.once["tiers"].fields().values() if "tiers" in found.once else ():
        keys = tier.fields().get("keys")
        said += [(key, key.text()) for key in keys.items()] if keys else []
    for at, value in said:
        if not _KEY_ID.fullmatch(value):
            yield _warned(at, "names a key by what is no key id (16 hex digits), as it is for a key itself", fix)


def _of_routes(found: Reading) -> Iterator[Warned]:
    """Limits of a template under which no request is ever counted, because another one is before it."""
    matcher = Matcher(found.policy)
    for each in (*found.limits, *found.default):
        scope = each.limit.scope
        if "*" in scope.route:
            continue
        counted = {matcher.route(method, _PARAMETER.sub(_SOME_ID, scope.route)) for method in scope.methods or {""}}
        if scope.route not in counted:
            reason = f"never applies: requests of {scope.route} are counted under {min(counted)}"
            yield _warned(each.at, reason, "write the two alike; a parameter is a whole segment: /{id}/")


def _of_brownout(found: Reading) -> Iterator[Warned]:
    """Classes that no level sheds, or that one before them takes all of; levels that let in more than the one below."""
    if "brownout" not in found.once:
        return
    fields = found.once["brownout"].fields()
    places = {at.fields()["name"].text(): at for at in fields["classes"].items()} if "classes" in fields else {}
    brownout = found.policy.brownout
    told: list[Class] = []
    for each in brownout.classes:
        at = places[each.name]
        if all(brownout.admit_ppm(level, each.name) == PPM for level in range(1, len(brownout.levels) + 1)):
            yield _warned(at, "is shed at no level", "name it in `admit` of a level; or to be spared it stands first")
        for before in told:
            if before.when == ALWAYS and before.scopes in ((), each.scopes) and before.known in (None, each.known):
                yield _warned(at, f"is nobody: {before.name!r} stands before it and fits all of it", "put it first")
                break
        told.append(each)
    levels = list(fields["levels"].fields().values())
    for number in range(2, len(brownout.levels) + 1):
        for each in brownout.classes:
            below, here = (brownout.admit_ppm(level, each.name) for level in (number - 1, number))
            if here > below:
                reason = f"lets in more of {each.name!r} than the level below"
                yield _warned(levels[number - 1], reason, f"at most {below / PPM:g}; left out it is 1")
                break


def _unlimited(found: Reading) -> Iterator[Warned]:
    if found.default or not found.first:
        return
    for each in found.limits:
        limit = each.limit
        if (
            limit.per in _ANYBODY
            and limit.scope == _EVERYWHERE
            and limit.when == ALWAYS
            and limit.state is State.ENABLED
        ):
            return
    fix = "add `default:` with a limit per ip, or a limit per ip for all routes"
    yield _warned(found.first, "lets requests that no limit is for pass unlimited", fix)


def _warned(at: At, reason: str, fix: str) -> Warned:
    return Warned(at.file, at.line, at.field, reason, fix)
