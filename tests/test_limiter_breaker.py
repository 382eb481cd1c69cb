from __future__ import annotations

from limiter.breaker import PROBE_GAP_MS, STEADY_MS, WAIT_MS, WAIT_MS_MAX, Breaker, State


def opened(at_ms: int = 0) -> Breaker:
    breaker = Breaker()
    breaker.open(at_ms)
    return breaker


def closed_again(breaker: Breaker, at_ms: int) -> Breaker:
    breaker.probed(at_ms, answered=True)
    assert breaker.probed(at_ms, answered=True)
    return breaker


def test_one_stall_that_many_checks_meet_does_not_open_it_and_a_silence_does() -> None:
    breaker = Breaker()
    assert not any(breaker.failed(1_000) for _ in range(50))
    breaker.succeeded()
    assert [breaker.failed(at_ms) for at_ms in (2_000, 2_050, 2_100, 2_200)] == [False, False, True, False]
    assert breaker.is_open


def test_one_answer_in_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(200)
    breaker.succeeded()
    assert [breaker.failed(at_ms) for at_ms in (300, 350, 390)] == [False] * 3


def test_it_closes_after_two_probes_in_a_row_and_not_after_one() -> None:
    breaker = opened()
    assert breaker.until_probe_ms() == WAIT_MS
    assert not breaker.probed(200, answered=True)
    assert breaker.state is State.HALF_OPEN
    assert breaker.is_open
    assert breaker.until_probe_ms() == PROBE_GAP_MS
    assert not breaker.probed(210, answered=False)
    assert breaker.state is State.OPEN
    assert not breaker.probed(410, answered=True)
    assert breaker.probed(420, answered=True)
    assert not breaker.is_open


def test_a_late_answer_to_what_was_under_way_closes_nothing() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.is_open


def test_one_that_opens_again_soon_waits_longer_each_time_and_at_most_so_long() -> None:
    breaker = opened()
    waits = []
    for n in range(6):
        closed_again(breaker, n * 1_000)
        breaker.open(n * 1_000 + 500)
        waits.append(breaker.until_probe_ms())
    assert waits == [2 * WAIT_MS, 4 * WAIT_MS, 8 * WAIT_MS, WAIT_MS_MAX, WAIT_MS_MAX, WAIT_MS_MAX]
    closed_again(breaker, 10_000)
    breaker.open(10_000 + STEADY_MS)
    assert breaker.until_probe_ms() == WAIT_MS
