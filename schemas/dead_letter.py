"""A message nobody could take, as it goes to `dead-letter`: its bytes untouched, the why and the where in headers."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import BadMessageError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message stood; `topic` is a path or URL for what did not come from Kafka."""

    topic: str
    partition: int
    offset: int


def headers(error: BadMessageError, origin: Origin, content_type: str | None) -> list[tuple[str, bytes]]:
    """Kafka headers of the dead letter: code, field, reason, fix, origin."""
    pairs = {
        "code": error.code,
        "field": error.field,
        "reason": error.reason,
        "fix": error.fix,
        "origin-topic": origin.topic,
        "origin-partition": str(origin.partition),
        "origin-offset": str(origin.offset),
        "content-type": content_type or "",
    }
    return [(name, value.encode("utf-8", "replace")[:1024]) for name, value in pairs.items()]
