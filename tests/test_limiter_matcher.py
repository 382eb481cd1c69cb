"""Which route a request is on, and which limits apply."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limiter.algorithms.token_bucket import Bucket
from limiter.conditions import When
from limiter.facts import client_at, network_of
from limiter.matcher import Identity, Matcher
from limiter.policy import PPM, Brownout, Level, Limit, Per, Policy, Scope, Tier
from limiter.routes import Routes, segments
from schemas.templates import OTHER, ROUTES_MAX

BUCKET = Bucket.of(10, 1_000_000, 20)


def policy(*routes: str, limits: tuple[Limit, ...] = ()) -> Policy:
    scopes = []
    for text in routes:
        methods, _, route = text.rpartition(" ")
        scopes.append(Scope(route, frozenset(filter(None, methods.split(",")))))
    tiers = {"default": Tier("default"), "double": Tier("double", 2 * PPM, (("own", Bucket.of(1, 1_000_000, 1)),))}
    return Policy("p", limits, tiers, "default", "default", tuple(scopes))


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/items", "/items"),
        ("/items/", "/items"),
        ("/items/7?q=1", "/items/{id}"),
        ("/items/new", "/items/new"),
        ("/items/%37/reviews", "/items/{id}/reviews"),
        ("/items/new/reviews", "/items/{id}/reviews"),
        ("/items/./7/../8", "/items/{id}"),
        ("//items//7", "/items/{id}"),
        ("/static", "/static/*"),
        ("/static/a/b/c.js", "/static/*"),
        ("/users/0b5e7d1c-1111-4222-8333-444455556666", "/users/{id}"),
        ("/blobs/deadbeefdeadbeefdeadbeef", "/blobs/{id}"),
        ("/v1/users/42", "/v1/users/{id}"),
        ("/a/b/c/d/e/f", "/a/b/c/**"),
        ("", "/"),
        ("/../../etc/passwd", "/etc/passwd"),
    ],
)
def test_a_path_has_one_template(path: str, template: str) -> None:
    known = ("/items", "/items/new", "/items/{id}", "/items/{id}/reviews", "/static/*")
    assert Routes(policy(*known).routes).match("GET", path) == template


def test_what_a_brownout_spares_or_sheds_is_found_though_no_route_lists_it() -> None:
    shed = Level(PPM, (), ((Scope("/lists/{name}"), 1),))
    made = Matcher(replace(policy(), brownout=Brownout((shed,), (Scope("/pay/{name}"),))))
    found = [made.route("GET", path) for path in ("/pay/ann", "/lists/new")]
    assert found == ["/pay/{name}", "/lists/{name}"]
    assert [made.policy.brownout.factor_ppm(1, "default", "GET", route) for route in found] == [PPM, 1]


def test_a_template_may_hold_for_some_methods_only() -> None:
    routes = Routes(policy("POST /jobs/run", "/jobs/{name}").routes)
    assert routes.match("POST", "/jobs/run") == "/jobs/run"
    assert routes.match("GET", "/jobs/run") == "/jobs/{name}"


@given(st.text(max_size=3000))
def test_any_path_at_all_has_a_short_template(path: str) -> None:
    assert len(Routes(policy("/items/{id}").routes).match("GET", path)) < 200
    assert all(part not in ("", ".", "..") for part in segments(path))


def test_inventing_paths_makes_no_more_templates_than_the_bound() -> None:
    routes = Routes(policy().routes)
    word = "abcdefghijklmnopqrstuvwxyz"
    found = {routes.match("GET", f"/{a}{b}{c}") for a in word for b in word for c in word}
    assert len(found) <= ROUTES_MAX * 5 // 4 + 1
    assert routes.match("GET", "/aaa") == "/aaa"
    assert routes.match("GET", "/zzz") == OTHER


def test_every_limit_that_fits_applies_and_no_other() -> None:
    limits = (
        Limit("all", Per.IP, BUCKET),
        Limit("login", Per.IP, BUCKET, Scope("*login*", frozenset({"POST"}))),
        Limit("key", Per.KEY, BUCKET),
        Limit("site", Per.GLOBAL, BUCKET),
    )
    matcher = Matcher(policy(limits=limits))

    def names(method: str, route: str, identity: Identity) -> list[str]:
        return [one.limit.name for one in matcher.limits(method, route, "default", identity).applied]

    assert names("POST", "/login", Identity(ip="10.0.0.1")) == ["all", "login", "site"]
    assert names("GET", "/login", Identity(ip="10.0.0.1", key_id="k")) == ["all", "key", "site"]
    assert names("GET", "/x", Identity()) == ["site"]


def test_of_one_client_with_limits_on_many_routes_only_those_of_the_route_apply_and_all_are_let_go_of() -> None:
    acme = When(any_of=(("tenant", frozenset({"acme"})),))
    limits = [Limit(f"r{n}", "tenant", BUCKET, Scope(f"/r{n}"), when=acme) for n in range(50)]
    limits += [
        Limit("everywhere", "tenant", BUCKET, when=acme),
        Limit("r7-too", "tenant", BUCKET, Scope("/r7"), when=acme),
    ]
    matcher = Matcher(policy(limits=tuple(limits)))
    found = [one.limit.name for one in matcher.limits("GET", "/r7", "default", Identity(tenant="acme")).applied]
    assert found == ["r7", "everywhere", "r7-too"]
    assert not matcher.limits("GET", "/r7", "default", Identity(tenant="other")).applied
    breaths = []
    matcher.let_go(lambda: breaths.append(1))
    assert len(breaths) >= 2 * len(limits)  # each is let go of twice: where it is filed, and in the policy


def test_a_tier_multiplies_limits_or_has_its_own() -> None:
    matcher = Matcher(policy(limits=(Limit("a", Per.IP, BUCKET), Limit("own", Per.IP, BUCKET))))
    applied = matcher.limits("GET", "/", "double", Identity(ip="10.0.0.1"), PPM // 2).applied
    assert [one.shape for one in applied] == [BUCKET, Bucket(2_000_000, 1)]


def test_an_ipv6_client_is_its_64_and_machines_of_a_local_network_are_one_each_but_one_network() -> None:
    assert client_at("2001:db8:1:2:3:4:5:6") == client_at("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert [client_at(ip) for ip in ("192.0.2.1", "fd00::1:7")] == ["192.0.2.1", "fd00::1:7"]
    assert [network_of(ip) for ip in ("192.0.2.1", "fd00::1:7")] == ["192.0.2.0/24", "fd00::/64"]
