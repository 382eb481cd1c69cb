"""IPv4 written as IPv6 is that IPv4 wherever it is said; and whose an address is has one answer for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limiter_world import action, now_ms

from limiter.addresses import Proxies
from limiter.facts import client_at, client_of
from limiter.lists import Lists
from limiter.matcher import Identity, Matcher
from limiter.overrides import Overrides
from limiter.policy_file import parse
from schemas.codec import text_hash
from schemas.exempt import exempt_addresses, mark, pair_mark
from schemas.networks import address, client, network, network_of, origin, subscriber
from schemas.targets import parse_target
from schemas.usage import Kind
from stream.kinds import entity
from stream.networks import clients, origins, subscribers

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


CUSTOMERS = (0x20010DB8_0001_0002, 0x20010DB8_0001_0003, 0x2A02 << 48)
OTHERS = (
    0x2001_0000_0001_0002,
    0x64FF9B << 32,
    0xFD00 << 48,
    0xFE80 << 48,
    0,
    (1 << 64) - 1,
)  # Teredo, NAT64, local ...
v6 = st.builds(
    lambda upper, lower: str(address(str(IPv6Address(upper << 64 | lower)))),
    st.sampled_from(CUSTOMERS + OTHERS),
    st.sampled_from([1, 2, 0xFFFF_C000_0201, 1 << 63]),
)
addresses = st.lists(st.one_of(v6, v6, st.sampled_from(["192.0.2.1", "192.0.2.2"])), min_size=2, max_size=12)


def of_stream(told: list[str]) -> list[str]:
    """What combine counts each of these addresses as."""
    distinct = list(dict.fromkeys(told))
    found = clients(pa.array(distinct))
    names = distinct if found is None else found.names.take(pa.array(found.codes)).to_pylist()
    return [dict(zip(distinct, names, strict=True))[ip] for ip in told]


PER_IP = Matcher(parse(b"version: 1\nlimits: [{ name: a, per: ip, rate: 1/s }]\n", "p.yaml"))


def by_policy(ip: str) -> str:
    (limit,) = PER_IP.limits("GET", "/", "default", Identity(ip)).applied
    return limit.identity


def many(numbers: Callable[..., Any], told: list[str]) -> list[int]:
    found: list[int] = numbers(pa.array(told), np.ones(len(told), np.bool_)).tolist()
    return found


ASKED: dict[str, Callable[[str], object]] = {
    "evidence and usage": lambda ip: entity(Kind.IP, ip),
    "numbers": subscriber,
    "marks of addresses": mark,
    "marks of people at addresses": lambda ip: mark(ip, "ann"),
    "marks of pairs": lambda ip: pair_mark(text_hash("ann"), subscriber(ip)),
    "buckets of limits": by_policy,
    "shares of clients": lambda ip: client_of(Identity(ip)),
}


@given(addresses)
def test_all_who_ask_whose_an_address_is_are_told_the_same(told: list[str]) -> None:
    found = {name: [ask(ip) for ip in told] for name, ask in ASKED.items()}
    same = {name: [[one == other for other in answers] for one in answers] for name, answers in found.items()}
    assert same == dict.fromkeys(ASKED, same["numbers"])
    assert of_stream(told) == [client(ip) for ip in told] == [client_at(ip) for ip in told]
    assert many(subscribers, told) == [subscriber(ip) for ip in told]
    assert many(origins, told) == [origin(ip) for ip in told]


def test_marks_that_actions_of_an_older_version_carry_hold_of_ipv4_and_of_customers_of_ipv6() -> None:
    assert exempt_addresses(["198.51.100.7"]).marks == "ZMRrdQ=="
    assert exempt_addresses(["2001:db8:1:2::7"]).marks == "dlQpgg=="


@pytest.mark.parametrize(
    ("ip", "of"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("fd00:1:2:3::7", "fd00:1:2:3::/64"),
        ("64:ff9b::192.0.2.1", None),
        ("2001:0:1:2::7", None),
    ],
)
def test_a_key_is_known_by_the_network_it_comes_from_unless_that_is_everybodys(ip: str, of: str | None) -> None:
    assert network_of(origin(ip)) == of
