"""What a node knows without asking: refusals, its share while Redis is away, and what it owes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limiter.algorithms.token_bucket import Bucket, take
from limiter.known import REFUSES_US, Known
from limiter.matcher import Applied
from limiter.policy import Limit, Per

NOW_US = 1_764_000_000_000_000
SECOND_US = 1_000_000
BUCKET = Bucket.of(10, SECOND_US, 20)


def of(who: str = "a", bucket: Bucket = BUCKET, cost: int = 1) -> Applied:
    return Applied(Limit("key", Per.KEY, bucket), who, bucket, cost)


def hear(known: Known, one: Applied, ahead_us: int, now_us: int, *, late: bool = False) -> None:
    known.heard(one, take(one.shape.local(), now_us + ahead_us, 0, now_us), now_us, now_us, late=late)


def passed(known: Known, one: Applied, now_us: int, times: int = 100, nodes: int = 1) -> int:
    return sum(known.take([one], nodes, now_us)[0].allowed for _ in range(times))


def test_a_bucket_heard_to_be_empty_refuses_without_redis_until_it_has_a_token_again() -> None:
    known = Known()
    assert known.refuses([of()], NOW_US) is None
    hear(known, of(), BUCKET.capacity_us, NOW_US)
    told = known.refuses([of()], NOW_US + 99_000)
    assert told is not None
    assert (told[0].allowed, told[0].retry_after_us) == (False, 1_000)
    assert known.refuses([of()], NOW_US + 100_000) is None
    assert known.refuses([of("b")], NOW_US) is None


def test_redis_is_asked_again_after_a_second_however_long_the_wait() -> None:
    slow = Bucket.of(10, 3600 * SECOND_US, 10)
    known = Known()
    hear(known, of(bucket=slow), slow.capacity_us, NOW_US)
    assert known.refuses([of(bucket=slow)], NOW_US + REFUSES_US - 1)
    assert known.refuses([of(bucket=slow)], NOW_US + REFUSES_US) is None


def test_one_limit_known_to_refuse_refuses_for_all_and_the_others_keep_what_they_have() -> None:
    known = Known()
    hear(known, of("a"), BUCKET.capacity_us, NOW_US)
    told = known.refuses([of("b"), of("a")], NOW_US)
    assert told is not None
    assert [each.allowed for each in told] == [True, False]
    assert passed(known, of("b"), NOW_US) == 20


def test_a_share_begins_where_the_shared_bucket_was_heard_of() -> None:
    known = Known()
    hear(known, of("new"), 0, NOW_US)
    hear(known, of("half"), BUCKET.capacity_us // 2, NOW_US)
    hear(known, of("empty"), BUCKET.capacity_us, NOW_US)
    assert [passed(known, of(who), NOW_US, nodes=2) for who in ("new", "half", "empty")] == [10, 5, 0]


@given(st.lists(st.tuples(st.integers(0, 300_000), st.booleans()), max_size=80))
def test_no_flapping_of_redis_gives_a_client_more_than_its_limit(calls: list[tuple[int, bool]]) -> None:
    known, now_us, tat_us, got = Known(), NOW_US, None, 0
    for wait_us, answers in calls:
        now_us += wait_us
        if not answers:
            got += known.take([of()], 1, now_us)[0].allowed
            continue
        for _, owed_us in known.settle(9, now_us):
            tat_us = max(tat_us or 0, now_us) + owed_us
        said = take(BUCKET, tat_us, 1, now_us)
        tat_us = said.tat_us
        got += said.allowed
        hear(known, of(), said.tat_us - now_us, now_us)
    assert got <= BUCKET.burst + (now_us - NOW_US) // BUCKET.emission_us


def test_what_was_given_out_is_owed_until_time_has_filled_it() -> None:
    known = Known()
    assert not known.owes
    assert passed(known, of(), NOW_US, times=5) == 5
    assert known.owes
    assert known.settle(9, NOW_US + 200_000) == [(of(), 300_000)]
    assert not known.owes
    assert passed(known, of(), NOW_US + 200_000, times=3) == 3
    assert known.settle(9, NOW_US + 9 * SECOND_US) == []


def test_what_a_late_reply_tells_of_as_charged_is_not_owed_again() -> None:
    known = Known()
    assert passed(known, of(), NOW_US, times=1) == 1
    hear(known, of(), BUCKET.emission_us, NOW_US + 1_000, late=True)
    assert known.settle(9, NOW_US + 1_000) == []


def test_a_debt_leaves_a_bucket_empty_and_not_emptier() -> None:
    known = Known()
    passed(known, of(), NOW_US)
    hear(known, of(), BUCKET.capacity_us - 300_000, NOW_US)
    assert known.settle(9, NOW_US) == [(of(), 300_000)]


def test_its_memory_is_bounded_whoever_asks() -> None:
    known = Known(most=100)
    for n in range(1000):
        known.take([of(f"c{n}")], 1, NOW_US)
    assert len(known) == 100
    assert len(known.settle(1000, NOW_US)) == 100
