"""What Envoy is answered: a status for each descriptor, headers, the body of a refusal, and metadata. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from limiter import answers
from limiter.envoy.messages import OK, OVER_LIMIT, UNITS_MS, RateLimitResponse
from limiter.verdict import Answer

UINT32_MAX: Final = (1 << 32) - 1
DELAY: Final = "x-envoy-fault-delay-request"  # how long Envoy's fault filter, standing behind, holds a request: queues
_TOLD: Final = ("rule", "reason", "policy", "action")


def decisive(given: Sequence[Answer]) -> int:
    """Which answer speaks for all: a denial, a challenge, the longest wait, else the one with least left."""
    return 0 if len(given) == 1 else min(range(len(given)), key=lambda at: _rank(given[at]))


def response(given: Sequence[Answer]) -> bytes:
    """The answers of one call, in the order of its descriptors, as a `RateLimitResponse`."""
    reply = RateLimitResponse()
    chosen = given[decisive(given)]
    reply.overall_code = OK if chosen.allowed else OVER_LIMIT
    for answer in given:
        _status(reply.statuses.add(), answer)
    for name, value in answers.headers(chosen):
        reply.response_headers_to_add.add(key=name, value=value)
    delay_ms = max(answer.delay_ms or 0 for answer in given)
    if chosen.allowed and delay_ms:
        reply.request_headers_to_add.add(key=DELAY, value=str(delay_ms))
    if not chosen.allowed:
        reply.raw_body = answers.problem(chosen)
        reply.response_headers_to_add.add(key="content-type", value=answers.PROBLEM)
        reply.response_headers_to_add.add(key="cache-control", value="no-store")
        _metadata(reply.dynamic_metadata.fields, chosen)
    return bytes(reply.SerializeToString())


def fail_open(descriptors: int = 0) -> bytes:
    """What is said when a fault of ours stands in the way: go on."""
    reply = RateLimitResponse(overall_code=OK)
    for _ in range(descriptors):
        reply.statuses.add(code=OK)
    return bytes(reply.SerializeToString())


@lru_cache(maxsize=4_096)
def rate(tokens: int, window_ms: int) -> tuple[int, int]:
    """`tokens` in `window_ms` as Envoy says it: so many per unit, of the smallest unit that says it exactly.

    Where none does: the smallest that has at least one; less than one a week is one a week.
    """
    for unit, unit_ms in UNITS_MS.items():
        whole, rest = divmod(tokens * unit_ms, max(window_ms, 1))
        if rest == 0 and whole:
            return min(whole, UINT32_MAX), unit
    for unit, unit_ms in UNITS_MS.items():
        if whole := tokens * unit_ms // max(window_ms, 1):
            return min(whole, UINT32_MAX), unit
    return 1, max(UNITS_MS, key=lambda unit: UNITS_MS[unit])


def _status(status: Any, answer: Answer) -> None:
    status.code = OK if answer.allowed else OVER_LIMIT
    if answer.policy is None or answer.limit is None or answer.window_ms is None:
        return
    per_unit, unit = rate(answer.limit, answer.window_ms)
    status.current_limit.name = answer.policy
    status.current_limit.requests_per_unit = per_unit
    status.current_limit.unit = unit
    status.limit_remaining = min(max(answer.remaining or 0, 0), UINT32_MAX)
    seconds, rest_ms = divmod(max(answer.reset_ms or 0, 0), 1000)
    status.duration_until_reset.seconds = seconds
    status.duration_until_reset.nanos = rest_ms * 1_000_000


def _metadata(fields: Any, answer: Answer) -> None:
    fields["verdict"].string_value = answer.verdict
    fields["status"].number_value = answers.status(answer)
    for name in _TOLD:
        if (value := getattr(answer, name)) is not None:
            fields[name].string_value = str(value)


def _rank(answer: Answer) -> tuple[int, float]:
    order = ("deny", "challenge", "limit", "allow").index(answer.verdict)
    if answer.allowed:
        return order, float("inf") if answer.remaining is None else answer.remaining
    return order, float("-inf") if answer.retry_after_ms is None else -answer.retry_after_ms
