"""What every shape promises, and how a policy's words become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import ALGORITHMS, SECOND_US, Shape, shape_of
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import Bucket, take
from limiter.errors import ShapeError

NOW_US = 1_764_000_000_000_000
windows = st.sampled_from([FixedWindow, SlidingLog, SlidingCounter, Slots])
MINUTE_US = 60 * SECOND_US


@given(windows, st.integers(1, 300), st.integers(1, MINUTE_US), st.lists(st.integers(0, MINUTE_US), max_size=60))
def test_what_stands_in_for_a_window_lets_no_more_pass_in_any_window(
    kind: type[FixedWindow | SlidingLog | SlidingCounter | Slots], tokens: int, window_us: int, waits_us: list[int]
) -> None:
    shape = kind(tokens, window_us)
    bucket, tat_us, now_us, passed = shape.local(), None, NOW_US, []
    for wait_us in waits_us:
        now_us += wait_us % (2 * window_us)
        taken = take(bucket, tat_us, 1, now_us)
        while taken.allowed:  # everything there is
            tat_us = taken.tat_us
            passed.append(now_us)
            taken = take(bucket, tat_us, 1, now_us)
    for at_us in passed:
        assert sum(at_us <= other < at_us + window_us for other in passed) <= tokens


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_shape_shrinks_with_its_factor_and_keeps_room_for_one_request(algorithm: str) -> None:
    shape = shape_of(algorithm, 100, MINUTE_US)
    assert shape.algorithm == algorithm
    assert shape.scaled(1, 1, 1) == shape
    assert shape.scaled(1, 2, 1).limit <= max(1, shape.limit // 2)
    assert shape.scaled(1, 1000, 1).limit == 1
    assert shape.scaled(1, 2, 1).local().emission_us >= shape.local().emission_us


def test_the_words_of_a_policy_become_a_shape() -> None:
    found: list[Shape] = [shape_of(algorithm, 100, MINUTE_US) for algorithm in ALGORITHMS]
    assert found == [
        Bucket(600_000, 1),
        Queue(600_000, 0),
        FixedWindow(100, MINUTE_US),
        SlidingLog(100, MINUTE_US),
        SlidingCounter(100, MINUTE_US),
        Slots(100, MINUTE_US),
    ]
    assert shape_of("token_bucket", 100, SECOND_US, burst=7) == Bucket(10_000, 7)
    assert shape_of("leaky_bucket", 100, SECOND_US) == Queue(10_000, 99)
    assert shape_of("leaky_bucket", 100, SECOND_US, queue=7) == Queue(10_000, 7)


@pytest.mark.parametrize(
    ("algorithm", "tokens", "period_us", "more", "field", "fix"),
    [
        ("token", 1, SECOND_US, {}, "algorithm", "sliding_log"),
        ("fixed_window", 1, SECOND_US, {"burst": 2}, "burst", "leave it out"),
        ("token_bucket", 1, SECOND_US, {"queue": 2}, "queue", "leaky_bucket"),
        ("token_bucket", 600_000, SECOND_US, {}, "rate", "500000/s"),
        ("token_bucket", 1, 10**6 * SECOND_US, {"burst": 10**9}, "burst", "smaller burst"),
        ("leaky_bucket", 1, 10**6 * SECOND_US, {"queue": 10**9}, "queue", "smaller queue"),
        ("leaky_bucket", 2, SECOND_US, {"queue": 121}, "queue", "at most 120"),
        ("sliding_log", 10_001, SECOND_US, {}, "rate", "sliding_counter"),
        ("sliding_counter", 10**9 + 1, SECOND_US, {}, "rate", "1000000000"),
        ("fixed_window", 1, 101 * 86_400 * SECOND_US, {}, "rate", "100d"),
        ("concurrency", 10_001, SECOND_US, {}, "concurrent", "10000"),
        ("concurrency", 1, 999_999, {}, "lease", "1s"),
    ],
)
def test_a_shape_nobody_can_keep_is_refused_with_the_word_and_the_fix(
    algorithm: str, tokens: int, period_us: int, more: dict[str, int], field: str, fix: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        shape_of(algorithm, tokens, period_us, **more)
    assert caught.value.field == field
    assert fix in caught.value.fix
