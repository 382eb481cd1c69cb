"""Tokens held on lease: the script held to its oracle, and what nodes may hold, serve and must give back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket, take
from limiter.leases import HORIZON_US, LIFE_US, LOT_FIRST, LOT_MIN, SCRIPT, SHARE, Lease, Leases, granted
from limiter.matcher import Applied
from limiter.policy import Limit, Per, State

NOW_US = 1_764_000_000_000_000
SECOND_US = 1_000_000
BUCKET = Bucket.of(1_000, SECOND_US, 1_000)
buckets = st.builds(
    lambda emission, burst: Bucket(min(emission, CAPACITY_US_MAX // burst), burst),
    st.one_of(st.integers(1, 1000), st.integers(1, 10**13)),
    st.one_of(st.integers(1, 500), st.integers(1, 10**9)),
)


def of(who: str = "a", bucket: Bucket = BUCKET, cost: int = 1, *, lease: bool = True) -> Applied:
    return Applied(Limit("key", Per.KEY, bucket, lease=lease), who, bucket, cost)


def asked(leases: Leases, one: Applied, now_us: int, nodes: int = 1) -> tuple[Lease, int] | None:
    return leases.asking(one, SHARE * nodes, now_us)


def leased(leases: Leases, one: Applied, now_us: int = NOW_US, lot: int = LOT_FIRST) -> Lease:
    """A lease with tokens in it, as two checks in quick succession make it."""
    assert asked(leases, one, now_us) is None
    found = asked(leases, one, now_us)
    assert found is not None
    leases.lend(found[0], lot, now_us + lot * BUCKET.emission_us, now_us)
    return found[0]


@pytest.mark.integration
def test_the_script_lends_as_the_oracle_whatever_the_schedule(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    script = client.register_script(SCRIPT)
    call = st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 600), st.integers(1, 40), st.integers(0, 30))

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(buckets, st.lists(call, min_size=1, max_size=40))
    def holds(bucket: Bucket, calls: list[tuple[int, int, int, int, int]]) -> None:
        client.delete("b")
        tat_us, now_us = None, NOW_US
        for waited, cost, wanted, share, held in calls:
            now_us = min(now_us + waited * bucket.emission_us // 7, (1 << 53) - CAPACITY_US_MAX)
            allowed, after_us, lot = granted(bucket, tat_us, cost, wanted, share, held, now_us)
            arguments = (cost * bucket.emission_us, bucket.capacity_us, bucket.emission_us, wanted, share, held)
            reply = script(keys=["b"], args=[*arguments, LOT_MIN, now_us])
            assert reply == [int(allowed), after_us, lot, now_us]
            tat_us = after_us if after_us > now_us else None

    holds()
    client.close()


class Fleet:
    """Nodes over one bucket, as Redis keeps it; time is the test's."""

    def __init__(self, bucket: Bucket, nodes: int) -> None:
        self.one = of(bucket=bucket)
        self.bucket = bucket
        self.nodes = [Leases() for _ in range(nodes)]
        self.tat_us: int | None = None
        self.now_us = NOW_US

    def check(self, node: int) -> bool:
        leases = self.nodes[node]
        if leases.reserve([self.one], self.now_us)[0] is not None:
            if due := leases.refills(self.now_us):
                self._lend(leases, *due[0], cost=0)
            return True
        found = asked(leases, self.one, self.now_us, len(self.nodes))
        if found is not None:
            return self._lend(leases, *found, cost=1)
        taken = take(self.bucket, self.tat_us, 1, self.now_us)
        self.tat_us = taken.tat_us
        return taken.allowed

    def pass_time(self, us: int) -> None:
        self.now_us += us
        for leases in self.nodes:
            leases.lapse(self.now_us)
            self.give_back(leases)

    def give_back(self, leases: Leases) -> None:
        for _, unused_us in leases.returns(100):
            self.tat_us = max((self.tat_us or self.now_us) - unused_us, self.now_us)

    def _lend(self, leases: Leases, lease: Lease, wanted: int, cost: int) -> bool:
        share = SHARE * len(self.nodes)
        allowed, self.tat_us, lot = granted(self.bucket, self.tat_us, cost, wanted, share, lease.left, self.now_us)
        leases.lend(lease, lot, self.tat_us, self.now_us)
        return allowed

    @property
    def held(self) -> int:
        return sum(leases.held for leases in self.nodes)


steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 60), st.one_of(st.integers(0, 50_000), st.integers(0, 3_000_000))),
    min_size=1,
    max_size=60,
)


@given(st.integers(1, 400), st.integers(1, 4), steps)
def test_a_fleet_never_admits_more_than_the_bucket_gave_nor_holds_more_than_its_share(
    burst: int, nodes: int, schedule: list[tuple[int, int, int]]
) -> None:
    fleet = Fleet(Bucket(10_000, burst), nodes)
    admitted: list[tuple[int, int]] = []
    for node, times, wait_us in schedule:
        admitted.append((fleet.now_us, sum(fleet.check(node % nodes) for _ in range(times))))
        assert fleet.held <= burst // SHARE
        fleet.pass_time(wait_us)
    for at, (since_us, _) in enumerate(admitted):
        total = 0
        for now_us, count in admitted[at:]:
            total += count
            spare = 0 if at == 0 else burst // SHARE  # held by somebody when the window began
            assert total <= burst + spare + (now_us - since_us) // fleet.bucket.emission_us


@given(st.integers(64, 400), st.integers(1, 4), st.integers(1, 300))
def test_what_nobody_used_is_back_in_the_bucket_when_its_lot_is_over(burst: int, nodes: int, checks: int) -> None:
    fleet = Fleet(Bucket(3600 * SECOND_US, burst), nodes)
    passed = sum(fleet.check(n % nodes) for n in range(checks))
    fleet.pass_time(LIFE_US)
    fleet.pass_time(LIFE_US)
    assert fleet.held == 0
    left = take(fleet.bucket, fleet.tat_us, 0, fleet.now_us).remaining
    assert left == burst - passed


def test_the_first_check_of_an_identity_asks_for_no_lot_and_the_second_does() -> None:
    leases = Leases()
    assert asked(leases, of(), NOW_US) is None
    assert asked(leases, of("b"), NOW_US) is None
    found = asked(leases, of(), NOW_US + 10_000)
    assert found is not None
    assert found[1] == LOT_FIRST


def test_who_asks_seldom_gets_no_lot() -> None:
    leases = Leases()
    for n in range(50):
        assert asked(leases, of(), NOW_US + n * HORIZON_US) is None


def test_a_lot_grows_with_the_rate_at_which_the_last_one_went() -> None:
    leases = Leases()
    lease = leased(leases, of())
    for lots in range(1, 4):
        size = lease.left
        leases.reserve([of()] * size, NOW_US + lots * 1_000)
        ((again, wanted),) = leases.refills(NOW_US + lots * 1_000)
        assert (again, wanted) == (lease, min(size * 4, size * 500))
        leases.lend(lease, wanted, NOW_US, NOW_US + lots * 1_000)


def test_the_next_lot_is_asked_for_once_and_before_the_last_is_used_up() -> None:
    leases = Leases()
    lease = leased(leases, of())
    for _ in range(LOT_FIRST - 4):
        leases.reserve([of()], NOW_US + 1_000)
    assert lease.left == 4
    assert len(leases.refills(NOW_US + 1_000)) == 1
    for _ in range(4):
        assert leases.reserve([of()], NOW_US + 1_000) == [lease]
    assert leases.refills(NOW_US + 1_000) == []
    assert leases.reserve([of()], NOW_US + 1_000) == [None]
    assert asked(leases, of(), NOW_US + 1_000) is None  # the lot is under way: this check asks for itself alone


@pytest.mark.parametrize("one", [of(bucket=Bucket.of(1_000, SECOND_US, 15)), of(lease=False)])
def test_small_buckets_and_exact_limits_are_never_leased(one: Applied) -> None:
    leases = Leases()
    assert [asked(leases, one, NOW_US) for _ in range(50)] == [None] * 50
    assert len(leases) == 0


def test_a_nearly_empty_bucket_lends_nothing() -> None:
    nearly_us = NOW_US + (BUCKET.burst - SHARE * LOT_MIN) * BUCKET.emission_us
    assert granted(BUCKET, nearly_us, 0, 100, SHARE, 0, NOW_US)[2] == LOT_MIN
    assert granted(BUCKET, nearly_us, 1, 100, SHARE, 0, NOW_US)[2] == 0


def test_a_lot_is_served_until_it_is_too_old_and_then_goes_back() -> None:
    leases = Leases()
    lease = leased(leases, of())
    assert leases.holding(of(), NOW_US + LIFE_US - 1) is lease
    assert leases.holding(of(), NOW_US + LIFE_US) is None
    leases.lapse(NOW_US + LIFE_US)
    assert leases.returns(10) == [(of(), LOT_FIRST * BUCKET.emission_us)]
    assert len(leases) == 0


def test_a_clock_that_steps_back_keeps_no_lot_from_going_back() -> None:
    leases = Leases()
    leased(leases, of())
    leases.lapse(NOW_US - 3600 * SECOND_US)
    assert leases.held == 0
    assert leases.returns(10) == [(of(), LOT_FIRST * BUCKET.emission_us)]


def test_a_limit_that_is_throttled_loses_its_lease_at_once() -> None:
    leases = Leases()
    leased(leases, of())
    throttled = Applied(of().limit, "a", BUCKET.scaled(1, 10, 1), 1)
    assert leases.holding(throttled, NOW_US) is None
    assert leases.held == 0
    assert leases.returns(10) == [(of(), LOT_FIRST * BUCKET.emission_us)]


@pytest.mark.parametrize("now", [{"lease": False}, {"state": State.CANARY}])
def test_a_limit_that_another_policy_no_longer_lends_loses_its_lease_at_once(now: dict[str, Any]) -> None:
    leases = Leases()
    leased(leases, of())
    before = of()
    same = msgspec.structs.replace(before, limit=replace(before.limit))
    assert leases.holding(same, NOW_US) is not None
    assert leases.holding(msgspec.structs.replace(before, limit=replace(before.limit, **now)), NOW_US) is None
    assert leases.held == 0
    assert leases.returns(10) == [(same, LOT_FIRST * BUCKET.emission_us)]


def test_what_another_limit_refused_goes_back_into_the_lease() -> None:
    leases = Leases()
    lease = leased(leases, of())
    held = leases.reserve([of(cost=3), of("b")], NOW_US)
    assert held == [lease, None]
    leases.restore([of(cost=3), of("b")], held)
    assert lease.left == LOT_FIRST


def test_leases_have_a_bound_and_who_has_to_go_gives_back_what_is_left() -> None:
    leases = Leases(most=100)
    leased(leases, of("good"))
    for n in range(1_000):
        asked(leases, of(f"random-{n}"), NOW_US)
    assert len(leases) == 100
    assert leases.held == 0
    assert leases.returns(10) == [(of("good"), LOT_FIRST * BUCKET.emission_us)]


def test_a_lot_that_comes_when_nobody_waits_any_more_is_given_back() -> None:
    leases = Leases()
    lease = leased(leases, of())
    leases.clear()
    leases.lend(lease, 8, NOW_US, NOW_US)
    assert leases.returns(10) == [(of(), (LOT_FIRST + 8) * BUCKET.emission_us)]
