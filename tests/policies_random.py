"""Random policies and requests, and the plainest reading of what a policy says: every limit asked, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from limiter.algorithms.token_bucket import Bucket
from limiter.conditions import Networks, When, at_of
from limiter.facts import Facts, Identity, who_of
from limiter.lists import Entry
from limiter.matcher import Applied, in_canary
from limiter.policy import PPM, Limit, Policy, Scope, State, Tier
from schemas.hours import Hours

NOW_MS = 1_764_000_000_000
_NETWORKS = (
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "192.0.2.7/32",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "0.0.0.0/0",
)
_IPS = ("10.1.2.3", "10.9.9.9", "192.0.2.7", "198.51.100.1", "2001:db8:1::5", "2001:db8:2::5")
_WORDS = ("a", "b", "c")
_NAMES = ("tenant", "user", "key", "tier", "country", "service", "header:x-plan", "descriptor:kind")
_ROUTES = ("/a", "/a/{id}", "/a/*", "/b", "*", "*a*", "/a*b", "/c/login")
_ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Chatham")
networks = st.sampled_from(_NETWORKS).map(ip_network)
values = st.frozensets(st.sampled_from(_WORDS), min_size=1)


def _named() -> st.SearchStrategy[tuple[tuple[str, frozenset[str]], ...]]:
    return st.dictionaries(st.sampled_from(_NAMES), values, max_size=3).map(lambda found: tuple(found.items()))


def _sets() -> st.SearchStrategy[Networks]:
    return st.lists(networks, max_size=3).map(lambda found: Networks(at_of(network) for network in found))


hours = st.builds(
    Hours,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.sampled_from(_ZONES).map(ZoneInfo),
)
whens = st.builds(
    When,
    any_of=_named(),
    none_of=_named(),
    inside=_sets(),
    outside=_sets(),
    hours=st.lists(hours, max_size=2).map(tuple),
    from_ms=st.none() | st.integers(NOW_MS - 5, NOW_MS + 5),
    until_ms=st.none() | st.integers(NOW_MS - 5, NOW_MS + 5),
) | st.just(When())
scopes = st.builds(Scope, st.sampled_from(_ROUTES), st.frozensets(st.sampled_from(("GET", "POST")), max_size=2))
pers = st.sampled_from(
    ("ip", "network", "key", "user", "tenant", "global", "tenant+ip", "header:x-plan", "user+country")
)
_limits = st.lists(
    st.builds(
        Limit,
        name=st.just(""),
        per=pers,
        shape=st.integers(1, 50).map(lambda n: Bucket.of(n, 1_000_000, n)),
        scope=scopes,
        when=whens,
        group=st.sampled_from((None, None, "g", "h")),
        priority=st.integers(0, 3),
        state=st.sampled_from(State),
        share_ppm=st.integers(0, PPM),
    ),
    max_size=12,
)


def _policy(limits: list[Limit], default: list[Limit]) -> Policy:
    named = [
        Limit(f"l{at}", *(getattr(limit, name) for name in Limit.__dataclass_fields__ if name != "name"))
        for at, limit in enumerate((*limits, *default))
    ]
    tiers = {name: Tier(name, factor) for name, factor in (("a", PPM), ("b", PPM // 2), ("c", 3 * PPM))}
    return Policy("p", tuple(named[: len(limits)]), tiers, "a", "a", default=tuple(named[len(limits) :]))


policies = st.builds(_policy, _limits, _limits.map(lambda found: found[:3]))
_maybe = st.none() | st.sampled_from(_WORDS)
identities = st.builds(Identity, st.none() | st.sampled_from(_IPS), _maybe, _maybe, _maybe)
attributes = st.none() | st.dictionaries(st.sampled_from(_NAMES[4:]), st.sampled_from(_WORDS))
requests = st.tuples(
    st.sampled_from(("GET", "POST", "DELETE", "")),
    st.sampled_from(("/a", "/a/{id}", "/a/*", "/b", "/axb", "/c/login", "/z")),
    st.sampled_from(_WORDS),
    identities,
    attributes,
    st.integers(-3, 3).map(lambda n: NOW_MS + n) | st.integers(0, 10**8).map(lambda n: NOW_MS + n * 1000),
)
entries = st.one_of(
    st.tuples(st.just("ip"), st.sampled_from(_NETWORKS)),
    st.tuples(st.sampled_from(("key", "user", "tenant", "header:x-plan", "country")), st.sampled_from(_WORDS)),
).map(lambda found: Entry("-".join(found), *found))


def plainly(policy: Policy, method: str, route: str, facts: Facts) -> tuple[list[Applied], list[Applied]]:
    """Limits in force and in shadow, read off the policy word by word."""
    applied, shadowed = _those(policy.limits, policy, method, route, facts)
    if not applied:
        applied, more = _those(policy.default, policy, method, route, facts)
        shadowed += more
    return applied, shadowed


def _those(
    limits: tuple[Limit, ...], policy: Policy, method: str, route: str, facts: Facts
) -> tuple[list[Applied], list[Applied]]:
    found: dict[bool, list[Applied]] = {True: [], False: []}
    for limit in limits:
        who = who_of(limit.per)(facts.identity, facts.attributes)
        if who is not None and limit.scope.covers(method, route) and limit.when.holds(facts):
            enforced = limit.state is State.ENABLED or (
                limit.state is State.CANARY and in_canary(limit.name, who, limit.share_ppm)
            )
            found[enforced].append(Applied(limit, who, policy.tiers[facts.tier].shape(limit), limit.cost))
    return _best(found[True]), _best(found[False])


def _best(found: list[Applied]) -> list[Applied]:
    kept = []
    for at, one in enumerate(found):
        rivals = [
            (other.limit.priority, -place) for place, other in enumerate(found) if other.limit.group == one.limit.group
        ]
        if one.limit.group is None or max(rivals) == (one.limit.priority, -at):
            kept.append(one)
    return kept


def in_hours(one: Hours, now_ms: int) -> bool:
    """Whether `now_ms` is in `one`, by walking back to the day on which a stretch would have begun."""
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(one.zone)
    minute = local.hour * 60 + local.minute
    length = (one.until_minute - one.from_minute - 1) % 1440 + 1
    for back in (0, 1):
        began = (local - timedelta(days=back)).weekday()
        since = minute + back * 1440 - one.from_minute
        if began in one.days and 0 <= since < length:
            return True
    return False
