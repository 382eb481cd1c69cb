"""The compiled matcher says what the policy says, whatever the policy and the request."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from policies_random import NOW_MS, entries, hours, identities, in_hours, plainly, policies, requests

from limiter.algorithms.token_bucket import Bucket
from limiter.conditions import When
from limiter.facts import Facts, Identity, who_of
from limiter.lists import Entry, Lists
from limiter.matcher import Applied, Matcher, in_canary
from limiter.policy import PPM, Limit, Policy, Scope, State, Tier
from schemas.hours import Hours

BUCKET = Bucket.of(10, 1_000_000, 20)
TIERS = {"default": Tier("default")}


def matcher(*limits: Limit, default: tuple[Limit, ...] = ()) -> Matcher:
    return Matcher(Policy("p", limits, TIERS, "default", "default", default=default))


def names(found: list[object]) -> list[str]:
    return [one.limit.name for one in found]  # type: ignore[attr-defined]


def said(found: list[Applied]) -> list[tuple[object, ...]]:
    """All that a check reads of each: what an index makes of a limit says the same as the limit."""
    read = ("name", "shape", "cost", "group", "priority", "state", "share_ppm", "lease")
    return [
        (*(getattr(one.limit, each) for each in read), one.identity, one.shape, one.cost, one.look) for one in found
    ]


@given(policies, st.lists(requests, min_size=1, max_size=8))
@hypothesis(deadline=None, max_examples=150)
def test_the_compiled_matcher_equals_the_plain_reading(policy: Policy, asked: list[tuple[object, ...]]) -> None:
    ready = Matcher(policy)
    for method, route, tier, identity, attributes, now_ms in asked:
        facts = Facts(identity, tier, attributes, now_ms)  # type: ignore[arg-type]
        matched = ready.limits(method, route, tier, identity, attributes=attributes, now_ms=now_ms)  # type: ignore[arg-type]
        in_force, in_shadow = plainly(policy, method, route, facts)  # type: ignore[arg-type]
        assert said(matched.applied) == said(in_force)
        assert said(matched.shadowed) == said(in_shadow)


@given(policies, requests, st.integers(0, 300_000))
@hypothesis(deadline=None, max_examples=60)
def test_a_match_stays_as_it_is_until_it_said(policy: Policy, asked: tuple[object, ...], later_ms: int) -> None:
    ready = Matcher(policy)
    method, route, tier, identity, attributes, now_ms = asked

    def at(when_ms: int) -> tuple[object, object]:
        found = ready.limits(method, route, tier, identity, attributes=attributes, now_ms=when_ms)  # type: ignore[arg-type]
        return found.applied, found.shadowed

    until_ms = ready.limits(method, route, tier, identity, attributes=attributes, now_ms=now_ms).until_ms  # type: ignore[arg-type]
    assert until_ms > now_ms  # type: ignore[operator]
    assert at(min(now_ms + later_ms, until_ms - 1)) == at(now_ms)  # type: ignore[operator, arg-type]


@given(hours, st.integers(0, 4 * 366 * 1440))
@hypothesis(deadline=None)
def test_hours_are_those_of_the_zones_own_clock(one: Hours, minutes: int) -> None:
    now_ms = NOW_MS + minutes * 60_000
    assert one.holds(now_ms) is in_hours(one, now_ms)


def test_office_hours_follow_summer_time() -> None:
    office = Hours(frozenset(range(5)), 8 * 60, 18 * 60, ZoneInfo("Europe/Berlin"))
    winter = datetime(2026, 1, 14, 6, 30, tzinfo=UTC)  # 07:30 in Berlin
    summer = datetime(2026, 7, 15, 6, 30, tzinfo=UTC)  # 08:30
    assert not office.holds(int(winter.timestamp()) * 1000)
    assert office.holds(int(summer.timestamp()) * 1000)
    assert not office.holds(int(datetime(2026, 7, 18, 9, 0, tzinfo=UTC).timestamp()) * 1000)  # a Saturday


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = Hours(frozenset({4}), 22 * 60, 6 * 60, ZoneInfo("UTC"))  # Friday to Saturday
    assert night.holds(int(datetime(2026, 7, 18, 5, 59, tzinfo=UTC).timestamp()) * 1000)
    assert not night.holds(int(datetime(2026, 7, 17, 5, 59, tzinfo=UTC).timestamp()) * 1000)


@given(st.lists(entries, max_size=6), st.lists(entries, max_size=6), identities, st.none() | st.just({"country": "a"}))
@hypothesis(deadline=None)
def test_allow_wins_over_deny_and_both_over_nothing(
    allow: list[Entry], deny: list[Entry], identity: Identity, attributes: dict[str, str] | None
) -> None:
    facts = Facts(identity, "default", attributes, 0)

    def means(entry: Entry) -> bool:
        if entry.kind != "ip":
            return facts.value(entry.kind) == entry.value
        return identity.ip is not None and ip_address(identity.ip) in ip_network(entry.value)

    told = Lists(tuple(allow), tuple(deny)).judge(identity, "default", attributes)
    if any(map(means, allow)):
        assert told is not None
        assert told[0]
        assert told[1] in {entry.rule for entry in allow if means(entry)}
    elif any(map(means, deny)):
        assert told is not None
        assert not told[0]
        assert told[1] in {entry.rule for entry in deny if means(entry)}
    else:
        assert told is None


def test_limits_of_every_level_apply_together() -> None:
    ready = matcher(
        Limit("global", "global", BUCKET),
        Limit("tenant", "tenant", BUCKET, when=When(any_of=(("tenant", frozenset({"acme"})),))),
        Limit("service", "ip", BUCKET, when=When(any_of=(("service", frozenset({"shop"})),))),
        Limit("route", "ip", BUCKET, Scope("/items/{id}", frozenset({"GET"}))),
    )
    who = Identity("192.0.2.1", tenant="acme")
    found = ready.limits("GET", "/items/{id}", "default", who, attributes={"service": "shop"})
    assert names(found.applied) == ["global", "tenant", "service", "route"]
    assert names(ready.limits("POST", "/x", "default", Identity("192.0.2.1", tenant="other")).applied) == ["global"]


def test_the_default_answers_where_nothing_else_in_force_does() -> None:
    ready = matcher(
        Limit("login", "ip", BUCKET, Scope("/login")),
        Limit("soon", "ip", BUCKET, state=State.SHADOW),
        default=(Limit("otherwise", "ip", BUCKET),),
    )
    who = Identity("192.0.2.1")
    assert names(ready.limits("POST", "/login", "default", who).applied) == ["login"]
    other = ready.limits("GET", "/items", "default", who)
    assert (names(other.applied), names(other.shadowed)) == (["otherwise"], ["soon"])


def test_of_a_group_only_the_highest_priority_that_matches_applies() -> None:
    partner = When(any_of=(("tenant", frozenset({"acme"})),))
    ready = matcher(
        Limit("usual", "tenant", BUCKET, group="plan"),
        Limit("partner", "tenant", BUCKET, when=partner, group="plan", priority=10),
        Limit("tried", "tenant", BUCKET, group="plan", priority=99, state=State.SHADOW),
        Limit("apart", "tenant", BUCKET),
    )
    assert names(ready.limits("GET", "/", "default", Identity(tenant="acme")).applied) == ["partner", "apart"]
    found = ready.limits("GET", "/", "default", Identity(tenant="other"))
    assert (names(found.applied), names(found.shadowed)) == (["usual", "apart"], ["tried"])


def test_a_canary_is_the_same_clients_and_about_its_share() -> None:
    ready = matcher(Limit("new", "ip", BUCKET, state=State.CANARY, share_ppm=PPM // 5))
    ips = [f"10.0.{n // 250}.{n % 250}" for n in range(5_000)]
    enforced = {ip for ip in ips if ready.limits("GET", "/", "default", Identity(ip)).applied}
    assert 800 < len(enforced) < 1_200
    assert enforced == {ip for ip in ips if ready.limits("GET", "/x", "default", Identity(ip)).applied}
    assert all(in_canary("new", ip, PPM // 2) for ip in enforced)  # a share that grows keeps them
    for ip in ips:
        found = ready.limits("GET", "/", "default", Identity(ip))
        assert len(found.applied) + len(found.shadowed) == 1


@pytest.mark.parametrize(
    ("per", "bucket"),
    [
        ("ip", "2001:db8:1:2::/64"),
        ("network", "2001:db8:1:2::/64"),
        ("user+tenant", "3:ann,4:acme"),
        ("header:x-plan", "gold"),
        ("country", "DE"),
        ("service", None),
        ("user+service", None),
    ],
)
def test_a_bucket_is_named_by_any_kind_and_by_several_together(per: str, bucket: str | None) -> None:
    identity = Identity("2001:db8:1:2:3::4", None, "ann", "acme")
    assert who_of(per)(identity, {"header:x-plan": "gold", "country": "DE"}) == bucket


def test_a_network_is_a_24_of_ipv4() -> None:
    assert who_of("network")(Identity("192.0.2.77"), None) == "192.0.2.0/24"


def test_no_two_clients_can_spell_one_bucket() -> None:
    both = who_of("user+tenant")
    assert both(Identity(user="a,1:b", tenant="c"), None) != both(Identity(user="a", tenant="b,1:c"), None)


def test_a_policy_says_which_headers_it_looks_at() -> None:
    limits = (
        Limit("a", "header:x-plan+ip", BUCKET),
        Limit("b", "ip", BUCKET, when=When(none_of=(("header:x-app", frozenset({"1"})),))),
    )
    policy = Policy("p", limits, TIERS, "default", "default", deny=(Entry("bad", "header:x-bot", "yes"),))
    assert Matcher(policy).headers == {"x-plan", "x-app", "x-bot"}


def test_a_long_list_of_values_is_filed_like_a_short_one() -> None:
    tenants, users = frozenset(f"t{n}" for n in range(300)), frozenset(f"u{n}" for n in range(300))
    ready = matcher(Limit("both", "user", BUCKET, when=When(any_of=(("tenant", tenants), ("user", users)))))
    assert names(ready.limits("GET", "/", "default", Identity(user="u7", tenant="t299")).applied) == ["both"]
    assert names(ready.limits("GET", "/", "default", Identity(user="u7", tenant="t300")).applied) == []
    assert names(ready.limits("GET", "/", "default", Identity(user="u300", tenant="t1")).applied) == []
