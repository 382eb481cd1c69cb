"""What Envoy is answered: a status for each descriptor, headers, the body of a refusal, and metadata. Pure.

Written field by field: making a message and having it serialised costs a call more than judging it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf import duration_pb2

from limiter import answers
from limiter.envoy.fields import counting, number, opening, text
from limiter.envoy.messages import OK, OVER_LIMIT, UNITS_MS, RateLimitResponse
from limiter.verdict import Answer

UINT32_MAX: Final = (1 << 32) - 1
DELAY: Final = "x-envoy-fault-delay-request"  # how long Envoy's fault filter, standing behind, holds a request: queues
_TOLD: Final = ("rule", "reason", "policy", "action")


def _fields(message: Any) -> dict[str, int]:
    return {name: field.number for name, field in message.fields_by_name.items()}


_RESPONSE: Final = _fields(RateLimitResponse.DESCRIPTOR)
_STATUS_OF: Final = _fields(RateLimitResponse.DESCRIPTOR.nested_types_by_name["DescriptorStatus"])
_LIMIT_OF: Final = _fields(RateLimitResponse.DESCRIPTOR.nested_types_by_name["RateLimit"])
_DURATION_OF: Final = _fields(duration_pb2.Duration.DESCRIPTOR)
_HEADER_OF: Final = _fields(RateLimitResponse.DESCRIPTOR.fields_by_name["response_headers_to_add"].message_type)
_CODE: Final = counting(_RESPONSE["overall_code"])
_STATUS: Final = opening(_RESPONSE["statuses"])
_TO_CLIENT: Final = opening(_RESPONSE["response_headers_to_add"])
_TO_UPSTREAM: Final = opening(_RESPONSE["request_headers_to_add"])
_RAW_BODY: Final = opening(_RESPONSE["raw_body"])
_ITS_CODE: Final = counting(_STATUS_OF["code"])
_LIMIT: Final = opening(_STATUS_OF["current_limit"])
_REMAINING: Final = counting(_STATUS_OF["limit_remaining"])
_RESET: Final = opening(_STATUS_OF["duration_until_reset"])
_PER_UNIT: Final = counting(_LIMIT_OF["requests_per_unit"])
_UNIT: Final = counting(_LIMIT_OF["unit"])
_NAME: Final = opening(_LIMIT_OF["name"])
_SECONDS: Final = counting(_DURATION_OF["seconds"])
_NANOS: Final = counting(_DURATION_OF["nanos"])
_KEY: Final = opening(_HEADER_OF["key"])
_VALUE: Final = opening(_HEADER_OF["value"])


def decisive(given: Sequence[Answer]) -> int:
    """Which answer speaks for all: a denial, a challenge, the longest wait, else the one with least left."""
    return 0 if len(given) == 1 else min(range(len(given)), key=lambda at: _rank(given[at]))


def response(given: Sequence[Answer]) -> bytes:
    """The answers of one call, in the order of its descriptors, as a `RateLimitResponse`."""
    chosen = given[0] if len(given) == 1 else given[decisive(given)]
    parts = [number(_CODE, OK if chosen.allowed else OVER_LIMIT)]
    parts += [_status(answer) for answer in given]
    parts += [_header(_TO_CLIENT, name, value) for name, value in answers.headers(chosen)]
    if chosen.allowed:
        delay_ms = max([answer.delay_ms or 0 for answer in given])
        if delay_ms:
            parts.append(_header(_TO_UPSTREAM, DELAY, str(delay_ms)))
    else:
        parts += (
            _header(_TO_CLIENT, "content-type", answers.PROBLEM),
            _header(_TO_CLIENT, "cache-control", "no-store"),
        )
        parts += (text(_RAW_BODY, answers.problem(chosen)), _metadata(chosen))
    return b"".join(parts)


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


def _status(answer: Answer) -> bytes:
    code = number(_ITS_CODE, OK if answer.allowed else OVER_LIMIT)
    if answer.policy is None or answer.limit is None or answer.window_ms is None:
        return text(_STATUS, code)
    left = number(_REMAINING, min(max(answer.remaining or 0, 0), UINT32_MAX))
    seconds, rest_ms = divmod(max(answer.reset_ms or 0, 0), 1000)
    reset = text(_RESET, number(_SECONDS, seconds) + number(_NANOS, rest_ms * 1_000_000))
    return text(_STATUS, code + _limit(answer.policy, answer.limit, answer.window_ms) + left + reset)


@lru_cache(maxsize=4_096)
def _limit(name: str, tokens: int, window_ms: int) -> bytes:
    per_unit, unit = rate(tokens, window_ms)
    return text(_LIMIT, number(_PER_UNIT, per_unit) + number(_UNIT, unit) + text(_NAME, name.encode()))


def _header(field: bytes, name: str, value: str) -> bytes:
    return text(field, _key(name) + text(_VALUE, value.encode()))


@lru_cache(maxsize=64)
def _key(name: str) -> bytes:
    return text(_KEY, name.encode())


def _metadata(answer: Answer) -> bytes:
    reply = RateLimitResponse()  # only this: a message may be told in pieces
    fields = reply.dynamic_metadata.fields
    fields["verdict"].string_value = answer.verdict
    fields["status"].number_value = answers.status(answer)
    for name in _TOLD:
        if (value := getattr(answer, name)) is not None:
            fields[name].string_value = str(value)
    return bytes(reply.SerializeToString())


def _rank(answer: Answer) -> tuple[int, float]:
    order = ("deny", "challenge", "limit", "allow").index(answer.verdict)
    if answer.allowed:
        return order, float("inf") if answer.remaining is None else answer.remaining
    return order, float("-inf") if answer.retry_after_ms is None else -answer.retry_after_ms
