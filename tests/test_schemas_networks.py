"""IPv4 written as IPv6, as a server that listens on both writes its clients, is that IPv4 wherever it is said."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limiter_world import action, now_ms

from limiter.addresses import Proxies
from limiter.lists import Lists
from limiter.matcher import Identity, Matcher
from limiter.overrides import Overrides
from limiter.policy_file import parse
from schemas.networks import address, network
from schemas.targets import parse_target

v4 = st.builds(IPv4Address, st.integers(0, (1 << 32) - 1))


@given(v4, st.integers(0, 32))
def test_a_mapped_network_is_the_one_it_maps(one: IPv4Address, length: int) -> None:
    assert address(f"::ffff:{one}") == address(str(one)) == one
    assert (
        network(f"::ffff:{one}/{96 + length}") == network(f"{one}/{length}") == IPv4Network((one, length), strict=False)
    )


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_any_other_network_stays_as_it_is(one: object, length: int) -> None:
    plain = ip_network(f"{one}/{length}", strict=False)
    mapped = length >= 96 and plain.network_address in ip_network("::ffff:0:0/96")
    assert (network(f"{one}/{length}") == plain) is not mapped


@pytest.mark.parametrize("denied", ["::ffff:192.0.2.7", "::ffff:c000:207", "::ffff:192.0.2.0/120"])
def test_whoever_is_denied_or_allowed_so_is_the_client_that_a_limiter_sees(denied: str) -> None:
    client = Identity(ip="192.0.2.7")
    overrides = Overrides()
    overrides.put(action("deny", f"ip:{denied}"), now_ms())
    assert overrides.judge(client, "/", now_ms()).refusal is not None
    assert parse_target(denied).value in ("192.0.2.7", "192.0.2.0/24")
    assert Overrides((parse_target(denied),)).judge(client, "/", 0).allowed is not None
    assert Proxies(denied).trust("192.0.2.7")
    policy = parse(f"version: 1\nlimits: []\ndeny: ['{denied}']\n".encode(), "p.yaml")
    assert Lists(policy.allow, policy.deny).judge(client, "default", None) == (False, "denylist")
    limit = f"{{ name: a, per: ip, rate: 1/s, when: {{ ip: '{denied}' }} }}"
    matcher = Matcher(parse(f"version: 1\nlimits: [{limit}]\n".encode(), "p.yaml"))
    assert matcher.limits("GET", "/", "default", client).applied
