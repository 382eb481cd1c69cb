"""Who is known good to an action, and how little of it travels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.codec import text_hash
from schemas.exempt import (
    MARKS_MAX,
    Exempt,
    ExemptBy,
    Known,
    exempt_addresses,
    exempt_pairs,
    packed,
    unpacked,
)
from schemas.exempt_kept import exempt_kept
from schemas.networks import subscriber


def known(exempt: Exempt) -> Known:
    return Known.of(exempt.by, exempt.networks, exempt.marks)


def test_a_known_address_is_spared_and_with_it_its_own_64_of_ipv6() -> None:
    asked = known(exempt_addresses(["198.51.100.7", "203.0.113.0/24", "2001:db8::1"]))
    assert [ip for ip in ("198.51.100.7", "203.0.113.99", "2001:db8::2") if not asked.spares(ip, None)] == []
    assert [ip for ip in ("198.51.100.8", "203.0.114.1", "2001:db8:0:1::1", "?", None) if asked.spares(ip, "ann")] == []


def test_a_known_user_is_spared_only_where_he_is_known() -> None:
    asked = known(exempt_pairs([("ann", "198.51.100.7"), ("bob", "198.51.100.8")]))
    assert asked.spares("198.51.100.7", "ann")
    assert not asked.spares("198.51.100.7", "bob")
    assert not asked.spares("198.51.100.7", None)


@given(st.dictionaries(st.text(max_size=20), st.ip_addresses().map(str), max_size=20))
def test_a_pair_that_the_stream_kept_is_spared_where_a_limiter_sees_it(pairs: dict[str, str]) -> None:
    kept = {user: ip for user, ip in pairs.items() if subscriber(ip)}
    users = np.array([text_hash(user) for user in kept], np.uint64)
    asked = known(exempt_kept(users, np.array([subscriber(ip) for ip in kept.values()], np.uint64)))
    assert [user for user, ip in kept.items() if not asked.spares(ip, user)] == []
    assert not asked.spares("198.51.100.7", "nobody's name")
    assert not asked.spares("198.51.100.7", None)


@given(st.sets(st.integers(0, (1 << 32) - 1), max_size=50))
def test_marks_travel_unharmed(marks: set[int]) -> None:
    assert unpacked(packed(marks)).tolist() == sorted(marks)


@pytest.mark.parametrize("text", ["?", "AAA=", "AAAAAgAAAAE=", "AAAAAQAAAAE=", "ä"])
def test_what_is_no_marks_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="marks"):
        Exempt(by=ExemptBy.IP, marks=text)


def test_the_most_there_can_be_is_said_and_fits_a_message() -> None:
    most = packed(set(range(MARKS_MAX)))
    assert len(Exempt(by=ExemptBy.IP, marks=most).model_dump_json()) < 700_000
    with pytest.raises(ValueError, match="at most 131072"):
        packed(set(range(MARKS_MAX + 1)))
    with pytest.raises(ValidationError, match="networks"):
        Exempt(by=ExemptBy.IP, networks=("10.0.0.0/8", "x"))
