"""The shapes a limit may have, and a shape from the words of a policy. Pure."""

from __future__ import annotations

from typing import Final, TypeAlias

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
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket
from limiter.errors import ShapeError, one_of

SECOND_US: Final = 1_000_000
TOKENS_MAX: Final = 10**9
WINDOW_US_MAX: Final = 100 * 86_400 * SECOND_US
Shape: TypeAlias = Bucket | Queue | FixedWindow | SlidingLog | SlidingCounter | Slots
ALGORITHMS: Final = tuple(each.algorithm for each in (Bucket, Queue, FixedWindow, SlidingLog, SlidingCounter, Slots))

SCRIPTS: Final = {
    Bucket.algorithm: token_bucket.SCRIPT,
    Queue.algorithm: leaky_bucket.SCRIPT,
    FixedWindow.algorithm: fixed_window.SCRIPT,
    SlidingLog.algorithm: sliding_log.SCRIPT,
    SlidingCounter.algorithm: sliding_counter.SCRIPT,
    Slots.algorithm: concurrency.SCRIPT,
}


def shape_of(algorithm: str, tokens: int, period_us: int, burst: int | None = None, queue: int | None = None) -> Shape:
    """A limit of `tokens` per `period_us`; for `concurrency`, of `tokens` slots with a lease of `period_us`.

    `burst` is for token_bucket (a second's worth unless given), `queue` for leaky_bucket (how many may wait; a second's
    worth unless given).

    Raises:
        ShapeError: it names the word of the policy that cannot be taken, and the fix.
    """
    for word, given, belongs in (("burst", burst, Bucket.algorithm), ("queue", queue, Queue.algorithm)):
        if given is not None and algorithm != belongs:
            raise ShapeError(word, f"is nothing a {algorithm} has", f"leave it out, or take algorithm: {belongs}")
    match algorithm:
        case "token_bucket":
            return _bucket(tokens, period_us, burst)
        case "leaky_bucket":
            return _queue(tokens, period_us, queue)
        case "fixed_window":
            return FixedWindow(*_window(tokens, period_us))
        case "sliding_counter":
            return SlidingCounter(*_window(tokens, period_us))
        case "sliding_log":
            return _log(tokens, period_us)
        case "concurrency":
            return _slots(tokens, period_us)
    raise ShapeError("algorithm", f"{algorithm[:40]!r} is not known", one_of(algorithm, ALGORITHMS))


def _bucket(tokens: int, period_us: int, burst: int | None, word: str = "burst") -> Bucket:
    bucket = Bucket.of(tokens, period_us, 1 if burst is None else burst)
    exact_a_second = tokens * SECOND_US / period_us
    if SECOND_US / bucket.emission_us < 0.9 * exact_a_second:
        slower, faster = SECOND_US // bucket.emission_us, SECOND_US // max(bucket.emission_us - 1, 1)
        raise ShapeError("rate", "is finer than whole microseconds can keep", f"take {slower}/s or {faster}/s")
    if burst is None:  # a second's worth, but never less than one
        bucket = Bucket(bucket.emission_us, max(1, min(tokens, SECOND_US // bucket.emission_us)))
    if bucket.capacity_us > CAPACITY_US_MAX:
        field = "rate" if burst is None else word
        raise ShapeError(field, "takes more than 70 years to fill", f"a smaller {word} or a higher rate")
    return bucket


def _queue(tokens: int, period_us: int, size: int | None) -> Queue:
    waiting = max(0, tokens * SECOND_US // period_us - 1) if size is None else size
    emission_us = _bucket(tokens, period_us, waiting + 1, "queue").emission_us
    if waiting * emission_us > leaky_bucket.WAIT_US_MAX:
        seconds, fitting = leaky_bucket.WAIT_US_MAX // SECOND_US, leaky_bucket.WAIT_US_MAX // emission_us
        raise ShapeError("queue", f"has the last of {waiting} wait for more than {seconds} s", f"at most {fitting}")
    return Queue(emission_us, waiting)


def _window(tokens: int, window_us: int) -> tuple[int, int]:
    if not 1 <= tokens <= TOKENS_MAX:
        raise ShapeError("rate", f"{tokens} tokens", f"1 to {TOKENS_MAX}")
    if window_us > WINDOW_US_MAX:
        raise ShapeError("rate", "has too long a window", f"at most {WINDOW_US_MAX // (86_400 * SECOND_US)}d")
    return tokens, window_us


def _log(tokens: int, window_us: int) -> SlidingLog:
    if tokens > sliding_log.TOKENS_MAX:
        fix = f"at most {sliding_log.TOKENS_MAX} tokens, or sliding_counter, which keeps two numbers"
        raise ShapeError("rate", f"{tokens} requests would be remembered one by one", fix)
    return SlidingLog(*_window(tokens, window_us))


def _slots(tokens: int, lease_us: int) -> Slots:
    if not 1 <= tokens <= concurrency.TOKENS_MAX:
        raise ShapeError("concurrent", f"{tokens} slots", f"1 to {concurrency.TOKENS_MAX}")
    if not SECOND_US <= lease_us <= concurrency.LEASE_US_MAX:
        raise ShapeError("lease", "is too short or too long", "1s to 1d, above the longest response")
    return Slots(tokens, lease_us)
