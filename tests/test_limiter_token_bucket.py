"""The bucket as a pure function; that its script does the same is in test_limiter_algorithms.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket, take

NOW_US = 1_764_000_000_000_000
buckets = st.builds(
    lambda emission, burst: Bucket(min(emission, CAPACITY_US_MAX // burst), burst),
    st.one_of(st.integers(1, 1000), st.integers(1, 10**13)),
    st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Bucket, list[tuple[int, int]]]:
    """A bucket, and calls as (microseconds since the last, cost); costs and waits are of the bucket's own size."""
    bucket = draw(buckets)
    waits = st.one_of(st.integers(-1000, 1000), st.integers(0, bucket.capacity_us), st.just(bucket.emission_us))
    costs = st.one_of(st.integers(0, 3), st.integers(0, bucket.burst), st.integers(-3, -1), st.just(bucket.burst))
    return bucket, draw(st.lists(st.tuples(waits, costs), min_size=1, max_size=40))


@given(schedules())
def test_what_passes_in_any_window_is_at_most_burst_and_rate(schedule: tuple[Bucket, list[tuple[int, int]]]) -> None:
    bucket, calls = schedule
    tat_us, now_us, passed = None, NOW_US, 0
    for wait_us, cost in calls:
        now_us += abs(wait_us)
        taken = take(bucket, tat_us, abs(cost), now_us)
        passed += abs(cost) if taken.allowed else 0
        tat_us = taken.tat_us
        assert passed <= bucket.burst + (now_us - NOW_US) // bucket.emission_us
        assert 0 <= taken.remaining <= bucket.burst


@given(buckets, st.integers(1, 20))
def test_a_refused_client_waits_no_longer_for_having_asked(bucket: Bucket, times: int) -> None:
    tat_us = take(bucket, None, bucket.burst, NOW_US).tat_us
    waits = {take(bucket, tat_us, 1, NOW_US).retry_after_us for _ in range(times)}
    assert waits == {bucket.emission_us}
    assert take(bucket, tat_us, 1, NOW_US + bucket.emission_us).allowed
    assert not take(bucket, tat_us, 1, NOW_US + bucket.emission_us - 1).allowed


def test_what_is_given_back_is_as_if_never_taken() -> None:
    bucket = Bucket.of(10, 1_000_000, 5)
    first = take(bucket, None, 3, NOW_US)
    second = take(bucket, first.tat_us, 2, NOW_US)
    assert take(bucket, second.tat_us, -2, NOW_US).tat_us == first.tat_us


def test_a_cost_above_the_burst_is_refused_without_a_time_to_wait() -> None:
    taken = take(Bucket.of(10, 1_000_000, 5), None, 6, NOW_US)
    assert (taken.allowed, taken.retry_after_us, taken.remaining) == (False, None, 5)


def test_a_reduced_bucket_keeps_room_for_one_request() -> None:
    assert Bucket.of(100, 1_000_000, 10).scaled(1, 100, 5) == Bucket(1_000_000, 5)
    assert Bucket.of(100, 1_000_000, 10).scaled(4, 1, 1) == Bucket(2_500, 40)
    assert Bucket(1, 10**9).scaled(1000, 1, 1).emission_us == 1
