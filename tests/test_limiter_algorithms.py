"""One contract for every algorithm: its script on a real Redis answers as its pure function, and both keep promises."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limiter.algorithms import (
    concurrency,
    fixed_window,
    leaky_bucket,
    sliding_counter,
    sliding_log,
    token_bucket,
)
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import ALGORITHMS, SCRIPTS, Shape
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket

NOW_US = 1_764_000_000_000_000
DAY_US = 86_400_000_000
MODULES: dict[str, ModuleType] = {
    "token_bucket": token_bucket,
    "leaky_bucket": leaky_bucket,
    "fixed_window": fixed_window,
    "sliding_log": sliding_log,
    "sliding_counter": sliding_counter,
    "concurrency": concurrency,
}
tokens = st.one_of(st.integers(1, 12), st.integers(1, 10**6))
few = st.one_of(st.integers(1, 12), st.integers(1, 200))
windows_us = st.one_of(st.integers(1, 2000), st.integers(1, 100 * DAY_US), st.sampled_from([10**6, DAY_US]))
emissions_us = st.one_of(st.integers(1, 1000), st.integers(1, 10**9))
SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "token_bucket": st.builds(lambda e, b: Bucket(min(e, CAPACITY_US_MAX // b), b), emissions_us, tokens),
    "leaky_bucket": st.builds(lambda e, b: Queue(min(e, CAPACITY_US_MAX // b), b - 1), emissions_us, tokens),
    "fixed_window": st.builds(FixedWindow, tokens, windows_us),
    "sliding_log": st.builds(SlidingLog, few, windows_us),
    "sliding_counter": st.builds(SlidingCounter, tokens, windows_us),
    "concurrency": st.builds(Slots, few, windows_us),
}
FIVE: dict[str, Shape] = {
    "token_bucket": Bucket(1_000_000, 5),
    "leaky_bucket": Queue(1_000_000, 4),
    "fixed_window": FixedWindow(5, 5_000_000),
    "sliding_log": SlidingLog(5, 5_000_000),
    "sliding_counter": SlidingCounter(5, 5_000_000),
    "concurrency": Slots(5, 5_000_000),
}
every = pytest.mark.parametrize("algorithm", ALGORITHMS)
Calls = list[
    tuple[int, int, str]
]  # microseconds since the last call, cost, what: take, look, back (an earlier one), less


class Oracle:
    """One limit for one client as the pure function has it."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.state: Any = () if shape.algorithm in ("sliding_log", "concurrency") else None
        self._step: Callable[..., tuple[Taken, Any]] = MODULES[shape.algorithm].step

    def __call__(self, cost: int, now_us: int, slot: str = "s", *, look: bool = False) -> Taken:
        more = (slot,) if isinstance(self.shape, Slots) else ()
        taken, self.state = self._step(self.shape, self.state, cost, now_us, *more, look=look)
        return taken


def schedules(algorithm: str, *, steps_back: bool = True) -> st.SearchStrategy[tuple[Shape, Calls]]:
    """A shape and calls whose costs and waits are of its own size."""

    def calls(shape: Shape) -> st.SearchStrategy[tuple[Shape, Calls]]:
        back_us = [st.integers(-1000, 0), st.integers(-3 * shape.window_us, 0)] if steps_back else []
        waits = st.one_of(st.integers(0, 1000), st.integers(0, 2 * shape.window_us), st.just(shape.window_us), *back_us)
        costs = st.one_of(st.integers(0, 3), st.integers(0, shape.limit), st.integers(shape.limit, shape.limit + 1))
        what = st.sampled_from(["take", "take", "take", "take", "look", "back", "less"])
        return st.tuples(st.just(shape), st.lists(st.tuples(waits, costs, what), min_size=1, max_size=40))

    return SHAPES[algorithm].flatmap(calls)


def passed(shape: Shape, calls: Calls) -> list[tuple[int, int, Taken]]:
    """What `shape` lets pass of `calls`, all of which take: when, how much, what it answered."""
    oracle, now_us, found = Oracle(shape), NOW_US, []
    for n, (wait_us, cost, _) in enumerate(calls):
        now_us += wait_us
        taken = oracle(cost, now_us, f"s{n}")
        if taken.allowed:
            found.append((now_us, cost, taken))
    return found


@pytest.mark.integration
@every
def test_the_script_answers_as_the_pure_function_whatever_the_schedule(redis_url: str, algorithm: str) -> None:
    client = redis.Redis.from_url(redis_url)
    sha = client.script_load(SCRIPTS[algorithm])

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
    @given(schedules(algorithm))
    def holds(schedule: tuple[Shape, Calls]) -> None:
        whole, calls = schedule
        client.delete("k")
        oracle, now_us, taken_before = Oracle(whole), NOW_US, [("none", 1)]
        for n, (wait_us, cost, what) in enumerate(calls):
            now_us = min(max(now_us + wait_us, NOW_US - 10 * DAY_US), (1 << 53) - CAPACITY_US_MAX)
            slot, shape = f"s{n}", whole.scaled(1, 3, cost) if what == "less" else whole
            if what == "back":
                slot, cost = taken_before.pop(cost % len(taken_before)) if taken_before else (slot, 1)  # noqa: PLW2901
                cost = -cost  # noqa: PLW2901
            oracle.shape = shape
            expected = oracle(cost, now_us, slot, look=what == "look")
            arguments = shape.arguments(cost, slot, look=what == "look")
            with client.pipeline(transaction=False) as pipe:
                pipe.evalsha(sha, 1, "k", *arguments, now_us)
                pipe.pttl("k")
                reply, expiry_ms = pipe.execute()
            assert shape.taken(cost, reply, look=what == "look") == expected
            assert (expiry_ms > 0) == (oracle.state not in (None, ()))  # what is full, or free, is no state at all
            if what == "take" and expected.allowed and cost:
                taken_before.append((slot, cost))

    holds()
    client.close()


@pytest.mark.integration
@every
def test_the_script_keeps_time_by_the_server_and_leaves_nothing_behind(redis_url: str, algorithm: str) -> None:
    shape = FIVE[algorithm]
    with redis.Redis.from_url(redis_url) as client:
        *reply, now_us = client.eval(SCRIPTS[algorithm], 1, "k", *shape.arguments(2, "s"))
        seconds, micros = client.time()
        assert 0 <= seconds * 1_000_000 + micros - now_us < 5_000_000
        taken = shape.taken(2, [*reply, now_us])
        assert (taken.allowed, taken.remaining) == (True, 3)
        assert 60_000 <= client.pttl("k") <= 60_001 + 2 * shape.window_us // 1000
        client.eval(SCRIPTS[algorithm], 1, "k", *shape.arguments(-2, "s"))
        assert not client.exists("k")


@every
def test_a_script_fits_a_screen(algorithm: str) -> None:
    assert SCRIPTS[algorithm].count("\n") <= 45
    assert "KEYS[2]" not in SCRIPTS[algorithm]  # one slot of a cluster


@every
@given(st.data())
def test_a_refused_client_passes_after_its_wait_and_no_microsecond_sooner(algorithm: str, data: st.DataObject) -> None:
    shape, calls = data.draw(schedules(algorithm, steps_back=False))
    oracle, now_us = Oracle(shape), NOW_US
    for n, (wait_us, cost, _) in enumerate(calls):
        now_us += wait_us
        taken = oracle(cost, now_us, f"s{n}")
        if taken.allowed:
            continue
        assert (taken.retry_after_us is None) == (cost > shape.limit)
        if taken.retry_after_us is not None:
            assert taken.retry_after_us > 0
            assert not oracle(cost, now_us + taken.retry_after_us - 1, look=True).allowed
            assert oracle(cost, now_us + taken.retry_after_us, look=True).allowed


@every
@given(st.data())
def test_a_refusal_and_a_look_take_nothing_and_what_is_given_back_is_as_if_never_taken(
    algorithm: str, data: st.DataObject
) -> None:
    shape, calls = data.draw(schedules(algorithm, steps_back=False))
    oracle, now_us = Oracle(shape), NOW_US
    for n, (wait_us, cost, what) in enumerate(calls):
        now_us += wait_us
        before = oracle(0, now_us, look=True)
        looked = oracle(cost, now_us, look=True)
        assert (looked.remaining, looked.reset_us) == (before.remaining, before.reset_us)
        taken = oracle(cost, now_us, f"s{n}")
        assert (taken.allowed, taken.retry_after_us, taken.delay_us) == (
            looked.allowed,
            looked.retry_after_us,
            looked.delay_us,
        )
        assert 0 <= taken.remaining <= shape.limit
        if not taken.allowed:
            assert oracle(0, now_us, look=True) == before
        elif what == "back" and cost:
            oracle(-cost, now_us, f"s{n}")
            assert oracle(0, now_us, look=True) == before


@every
@given(st.data())
def test_after_a_clock_steps_back_nobody_waits_longer_than_a_whole_window(algorithm: str, data: st.DataObject) -> None:
    shape = data.draw(SHAPES[algorithm])
    oracle = Oracle(shape)
    for n in range(min(shape.limit, 20)):
        oracle(-(-shape.limit // 20), NOW_US, f"s{n}")
    then_us = NOW_US - data.draw(st.integers(1, 400 * DAY_US))
    oracle(1, then_us, "t")  # whatever it says, now it knows
    rounds = 2 if isinstance(shape, SlidingCounter) else 1
    assert oracle(1, then_us + rounds * shape.window_us, "u").allowed


@given(schedules("fixed_window", steps_back=False))
def test_no_window_of_the_clock_lets_more_pass_than_its_tokens(schedule: tuple[FixedWindow, Calls]) -> None:
    shape, calls = schedule
    found = passed(shape, calls)
    for at_us, _, _ in found:
        start_us = at_us - at_us % shape.window_us
        assert (
            sum(cost for when_us, cost, _ in found if start_us <= when_us < start_us + shape.window_us) <= shape.tokens
        )


@given(schedules("sliding_log", steps_back=False))
def test_no_window_wherever_it_begins_lets_more_pass_than_the_logs_tokens(schedule: tuple[SlidingLog, Calls]) -> None:
    shape, calls = schedule
    found = passed(shape, calls)
    for at_us, _, _ in found:
        assert sum(cost for when_us, cost, _ in found if at_us <= when_us < at_us + shape.window_us) <= shape.tokens


@given(schedules("sliding_counter", steps_back=False))
def test_a_window_counter_lets_at_most_as_much_pass_as_even_traffic_in_the_window_before_would_leave(
    schedule: tuple[SlidingCounter, Calls],
) -> None:
    shape, calls = schedule
    found = passed(shape, calls)
    for at_us, cost, _ in found:
        if cost:
            start_us = at_us - at_us % shape.window_us
            current = sum(c for when_us, c, _ in found if start_us <= when_us <= at_us)
            previous = sum(c for when_us, c, _ in found if start_us - shape.window_us <= when_us < start_us)
            covered_us = start_us + shape.window_us - at_us
            assert (current - shape.tokens) * shape.window_us + previous * covered_us <= 0


@given(schedules("leaky_bucket", steps_back=False))
def test_what_a_queue_lets_in_passes_one_after_the_other(schedule: tuple[Queue, Calls]) -> None:
    shape, calls = schedule
    free_us = 0
    for at_us, cost, taken in passed(shape, calls):
        if cost:
            assert at_us + taken.delay_us >= free_us
            assert taken.delay_us <= shape.size * shape.emission_us
            free_us = at_us + taken.delay_us + cost * shape.emission_us


@given(schedules("concurrency", steps_back=False))
def test_never_are_more_slots_held_than_there_are(schedule: tuple[Slots, Calls]) -> None:
    shape, calls = schedule
    found = passed(shape, calls)
    for at_us, _, _ in found:
        held = sum(cost for when_us, cost, _ in found if at_us - shape.lease_us < when_us <= at_us)
        assert held <= shape.tokens


def test_a_crashed_client_frees_its_slot_with_its_lease_and_a_released_one_at_once() -> None:
    oracle = Oracle(Slots(2, 30_000_000))
    assert oracle(1, NOW_US, "crashed").allowed
    assert oracle(1, NOW_US + 1_000, "well").allowed
    refused = oracle(1, NOW_US + 2_000, "third")
    assert (refused.allowed, refused.retry_after_us) == (False, 29_998_000)
    oracle(-1, NOW_US + 3_000, "well")
    oracle(-1, NOW_US + 3_000, "well")  # twice is once
    assert oracle(1, NOW_US + 3_000, "third").allowed
    assert not oracle(1, NOW_US + 29_999_999, "fourth").allowed
    assert oracle(1, NOW_US + 30_000_000, "fourth").allowed


def test_a_queue_says_how_long_to_wait_and_refuses_when_it_is_full() -> None:
    oracle = Oracle(Queue(100_000, 2))
    answers = [oracle(1, NOW_US) for _ in range(4)]
    assert [(each.allowed, each.delay_us) for each in answers] == [
        (True, 0),
        (True, 100_000),
        (True, 200_000),
        (False, 0),
    ]
    assert answers[3].retry_after_us == 100_000
