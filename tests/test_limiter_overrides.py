"""What the enforcer put in force, in memory."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from limiter_world import action as action_at

from limiter.matcher import Identity
from limiter.overrides import PER_TARGET_MAX, Overrides
from schemas.action import ActionStatus
from schemas.exempt import exempt_addresses
from schemas.networks import address
from schemas.targets import parse_targets

NOW_MS = 1_764_000_000_000
action = partial(action_at, at_ms=NOW_MS, expires_ms=NOW_MS + 60_000)


def test_a_denial_holds_for_its_target_until_it_ends_by_itself() -> None:
    overrides = Overrides()
    overrides.put(action("deny", "ip:192.0.2.7"), NOW_MS)
    refusal = overrides.judge(Identity(ip="192.0.2.7"), "/", NOW_MS + 59_999).refusal
    assert refusal is not None
    assert refusal.uid == "u1"
    assert overrides.judge(Identity(ip="192.0.2.8"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="192.0.2.7"), "/", NOW_MS + 60_000).refusal is None
    assert sum(overrides.sweep(NOW_MS + 60_000)) == 1
    assert len(overrides) == 0


def test_every_kind_of_target_is_found() -> None:
    who = Identity("192.0.2.7", "k1", "ann", "acme")
    for target in ("ip:192.0.2.7", "ip:192.0.2.0/24", "key:k1", "user:ann", "tenant:acme", "route:/a", "global:*"):
        overrides = Overrides()
        overrides.put(action("deny", target), NOW_MS)
        assert overrides.judge(who, "/a", NOW_MS).refusal, target
        overrides.remove("u1")
        assert overrides.judge(who, "/a", NOW_MS).refusal is None, target
        assert len(overrides) == 0


def test_an_allow_always_wins_for_any_kind_of_key() -> None:
    who = Identity("192.0.2.7", "k1", "ann", "acme")
    for target in ("ip:192.0.2.7", "ip:192.0.2.0/24", "key:k1", "user:ann", "tenant:acme", "route:/a", "global:*"):
        overrides = Overrides()
        overrides.put(action("deny", "ip:192.0.2.7"), NOW_MS)
        overrides.put(action("throttle", "key:k1", "u2", factor=0.1), NOW_MS)
        overrides.put(action("brownout", "global:*", "u3", level=3), NOW_MS)
        overrides.put(action("allow", target, "u4"), NOW_MS)
        ruling = overrides.judge(who, "/a", NOW_MS)
        assert (ruling.refusal, ruling.throttles, ruling.level) == (None, (), 0), target


def test_the_configured_allowlist_outlives_snapshots() -> None:
    overrides = Overrides(parse_targets("192.0.2.0/24, key:k1, 2001:db8::/32", "ALLOWLIST"))
    overrides.replace([action("deny", "global:*")], NOW_MS)
    assert overrides.judge(Identity(ip="192.0.2.9"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="2001:db8::1"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="198.51.100.1", key_id="k1"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="198.51.100.1"), "/", NOW_MS).refusal is not None


def test_a_network_denial_that_is_put_again_otherwise_stays_in_force() -> None:
    overrides, sparing = Overrides(), exempt_addresses(["192.0.2.9"])
    for expires_ms in (NOW_MS + 5000, NOW_MS + 9000):
        overrides.put(action("deny", "ip:192.0.2.0/24", expires_ms=expires_ms, exempt=sparing), NOW_MS)
        assert overrides.judge(Identity(ip="192.0.2.1"), "/", NOW_MS).refusal is not None
    same = action("deny", "ip:192.0.2.0/24", expires_ms=NOW_MS + 9000, exempt=sparing)
    overrides.replace([same], NOW_MS)  # as a snapshot that is read again
    assert overrides.judge(Identity(ip="192.0.2.1"), "/", NOW_MS).refusal is not None
    assert overrides.judge(Identity(ip="192.0.2.9"), "/", NOW_MS).refusal is None


def test_a_network_denial_for_which_the_last_of_its_size_gave_way_is_in_force() -> None:
    overrides = Overrides(entries_max=1)
    overrides.put(action("deny", "ip:192.0.2.0/24", "one", expires_ms=NOW_MS + 5000), NOW_MS)
    assert overrides.put(action("deny", "ip:198.51.100.0/24", "two", expires_ms=NOW_MS + 9000), NOW_MS)
    assert overrides.judge(Identity(ip="192.0.2.1"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="198.51.100.1"), "/", NOW_MS).refusal is not None


def test_an_action_on_a_route_leaves_other_routes_alone() -> None:
    overrides = Overrides()
    overrides.put(action("deny", "ip:192.0.2.7", route="/login"), NOW_MS)
    assert overrides.judge(Identity(ip="192.0.2.7"), "/login", NOW_MS).refusal
    assert overrides.judge(Identity(ip="192.0.2.7"), "/items", NOW_MS).refusal is None


def test_the_strictest_of_several_holds() -> None:
    overrides = Overrides()
    overrides.put(action("challenge", "ip:192.0.2.7", "a"), NOW_MS)
    overrides.put(action("throttle", "ip:192.0.2.7", "b", factor=0.5), NOW_MS)
    overrides.put(action("throttle", "user:ann", "c", factor=0.1), NOW_MS)
    overrides.put(action("brownout", "global:*", "d", level=1), NOW_MS)
    overrides.put(action("brownout", "route:/", "e", level=2), NOW_MS)
    ruling = overrides.judge(Identity(ip="192.0.2.7", user="ann"), "/", NOW_MS)
    assert ruling.refusal
    assert ruling.refusal.uid == "a"
    assert [entry.factor_ppm for entry in ruling.throttles] == [100_000, 500_000]
    assert ruling.level == 2
    overrides.put(action("deny", "user:ann", "f"), NOW_MS)
    refusal = overrides.judge(Identity(ip="192.0.2.7", user="ann"), "/", NOW_MS).refusal
    assert refusal
    assert refusal.uid == "f"


def test_a_snapshot_is_exactly_what_is_in_force() -> None:
    overrides = Overrides()
    overrides.put(action("deny", "ip:192.0.2.1", "old"), NOW_MS)
    overrides.replace([action("deny", "ip:192.0.2.2", "new")], NOW_MS)
    assert overrides.judge(Identity(ip="192.0.2.1"), "/", NOW_MS).refusal is None
    assert overrides.judge(Identity(ip="192.0.2.2"), "/", NOW_MS).refusal
    overrides.put(action("deny", "ip:192.0.2.2", "new", status=ActionStatus.LIFTED), NOW_MS)
    assert len(overrides) == 0


def test_however_many_actions_come_memory_is_bounded() -> None:
    overrides = Overrides(entries_max=100)
    for n in range(1000):
        overrides.put(action("deny", f"key:k{n}", f"u{n}", expires_ms=NOW_MS + 1000 + n), NOW_MS)
    assert len(overrides) == 100
    assert overrides.judge(Identity(key_id="k999"), "/", NOW_MS).refusal
    assert overrides.judge(Identity(key_id="k0"), "/", NOW_MS).refusal is None
    for n in range(1000):
        overrides.put(action("deny", "key:one", f"v{n}", expires_ms=NOW_MS + 5000 + n), NOW_MS)
    assert len(overrides) <= 100
    overrides = Overrides()
    for n in range(1000):
        overrides.put(action("deny", "key:one", f"v{n}", expires_ms=NOW_MS + 5000 + n), NOW_MS)
    assert len(overrides) == PER_TARGET_MAX


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(0, 32)), max_size=20), st.ip_addresses())
def test_an_address_is_denied_just_when_a_denied_network_holds_it(
    nets: list[tuple[object, int]], asked: object
) -> None:
    overrides = Overrides()
    networks = [ip_network(f"{one}/{length}", strict=False) for one, length in nets]
    for n, network in enumerate(networks):
        overrides.put(action("deny", f"ip:{network}", f"u{n}"), NOW_MS)
    inside = any(address(str(asked)) in network for network in networks)
    assert (overrides.judge(Identity(ip=str(asked)), "/", NOW_MS).refusal is not None) is inside


def test_whatever_is_put_or_removed_is_counted_and_a_look_up_is_not() -> None:
    overrides = Overrides()
    overrides.put(action("deny", "ip:192.0.2.1"), NOW_MS)
    first = overrides.changes
    overrides.judge(Identity("192.0.2.1"), "/", NOW_MS)
    overrides.remove("unknown")
    assert overrides.changes == first
    overrides.remove("u1")
    assert overrides.changes > first


def test_while_automation_is_stopped_no_automatic_answer_counts_however_many_are_not_lifted_yet() -> None:
    client = Identity(ip="192.0.2.7", key_id="k1")
    overrides = Overrides()

    def refused() -> tuple[str | None, int]:
        ruling = overrides.judge(client, "/", NOW_MS)
        return ruling.refusal and ruling.refusal.uid, len(ruling.throttles)

    overrides.put(action("deny", "ip:192.0.2.7", "auto"), NOW_MS)
    overrides.put(action("throttle", "key:k1", "slow", factor=0.5), NOW_MS)
    overrides.put(action("challenge", "ip:192.0.2.0/24", "hand", owner="cli:ann"), NOW_MS)
    assert refused() == ("auto", 1)
    before = overrides.changes
    overrides.put(action("hold", "global:*", "stop", owner="cli:ann"), NOW_MS)
    assert overrides.changes > before, "what was ruled before is not remembered"
    assert refused() == ("hand", 0)
    overrides.put(action("deny", "ip:192.0.2.7", "late"), NOW_MS)
    assert refused() == ("hand", 0)
    overrides.remove("stop")
    assert refused() == ("late", 1)
    overrides.put(action("hold", "global:*", "stop", owner="cli:ann"), NOW_MS)
    overrides.replace([action("deny", "ip:192.0.2.7", "auto")], NOW_MS)
    assert refused() == ("auto", 0), "a snapshot that has no hold ends it"
