"""An answer as HTTP shows it: RateLimit fields (IETF draft-ietf-httpapi-ratelimit-headers) and problem+json. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from limiter.verdict import Answer, Reason
from schemas.errors import BadMessageError

PROBLEM: Final = "application/problem+json"
CHALLENGE: Final = "floodwarden-challenge"
DELAY: Final = "floodwarden-delay-ms"
_TYPES: Final = "https://iana.org/assignments/http-problem-types#"
_TITLES: Final = {
    Reason.QUOTA: "Request cannot be satisfied as assigned quota has been exceeded",
    Reason.BROWNOUT: "Request cannot be satisfied due to temporary server capacity constraints",
    Reason.ABUSE: "Request not satisfied due to detection of abnormal request pattern",
}
STATUSES: Final = {"allow": 200, "limit": 429, "deny": 403, "challenge": 403}


def status(answer: Answer) -> int:
    """The HTTP status a refused client sees; 200 stands for "go on"."""
    return 503 if _turned_away(answer) else STATUSES[answer.verdict]


def _turned_away(answer: Answer) -> bool:
    return answer.verdict == "deny" and answer.reason is Reason.BROWNOUT


def headers(answer: Answer) -> list[tuple[str, str]]:
    """RateLimit-Policy, RateLimit, Retry-After, the delay in a queue and the challenge, each where it applies.

    Seconds, as HTTP has them: `q` tokens are there when the bucket is full and `w` seconds fill it; `r` are left now,
    `t` seconds fill the rest.
    """
    found: list[tuple[str, str]] = []
    if answer.policy is not None and answer.window_ms is not None and answer.reset_ms is not None:
        found.append(("ratelimit-policy", _quota(answer.policy, answer.limit, answer.window_ms)))
        found.append(("ratelimit", f'"{answer.policy}";r={answer.remaining};t={_seconds(answer.reset_ms)}'))
    if answer.retry_after_ms is not None and not answer.allowed:
        found.append(("retry-after", str(max(1, _seconds(answer.retry_after_ms)))))
    if answer.delay_ms is not None:
        found.append((DELAY, str(answer.delay_ms)))
    if answer.verdict == "challenge":
        found.append((CHALLENGE, "required"))
    return found


@lru_cache(maxsize=4_096)
def _quota(policy: str, limit: int | None, window_ms: int) -> str:
    return f'"{policy}";q={limit};w={max(1, _seconds(window_ms))}'


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole response: what a client gets in place of the application's."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def refusal(answer: Answer) -> Refusal:
    """The response to a request that may not pass."""
    return _whole(status(answer), problem(answer), headers(answer))


def malformed(error: BadMessageError, status_code: int) -> Refusal:
    """The response to a request that cannot be taken as it is."""
    return _whole(status_code, bad_request(error, status_code), [])


def _whole(status_code: int, body: bytes, more: list[tuple[str, str]]) -> Refusal:
    own = [("content-type", PROBLEM), ("content-length", str(len(body))), ("cache-control", "no-store")]
    return Refusal(status_code, own + more, body)


def problem(answer: Answer) -> bytes:
    """The body of a refusal (RFC 9457)."""
    reason = answer.reason or Reason.QUOTA
    body: dict[str, Any] = {
        "type": _TYPES + reason,
        "title": _TITLES[reason],
        "status": status(answer),
        "detail": _detail(answer),
    }
    if answer.policy is not None:
        body["violated-policies"] = [answer.policy]
    if answer.verdict == "challenge":
        body["challenge"] = "required"
    if answer.action is not None:
        body["action"] = answer.action
    return msgspec.json.encode(body)


def bad_request(error: BadMessageError, status_code: int = 400, **more: Any) -> bytes:
    """The body that answers a message nobody can take: which field, why, what would do."""
    title = "The request cannot be read" if status_code == 400 else "The request cannot be taken"
    body = {"type": "about:blank", "title": title, "status": status_code, "detail": str(error)}
    return msgspec.json.encode(body | {"field": error.field, "code": error.code, "fix": error.fix} | more)


def _detail(answer: Answer) -> str:
    wait = "" if answer.retry_after_ms is None else f" Try again in {max(1, _seconds(answer.retry_after_ms))} s."
    match answer.verdict:
        case "deny" if _turned_away(answer):
            return "There is too little capacity for all requests of this kind now." + wait
        case "deny":
            return "Requests of this client are refused for the time being." + wait
        case "challenge":
            return "Show that you are no robot to go on: this client's requests are unusual."
        case _:
            if answer.retry_after_ms is None:
                return f"This request costs more than the limit {answer.policy!r} ever holds."
            return f"The limit {answer.policy!r} allows no more now." + wait


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
