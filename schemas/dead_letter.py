"""A message nobody could take, as it goes to `dead-letter`: its bytes untouched, the why and the where in headers.

That a letter was sent again stands in the same topic: a message without a value, whose headers name the letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import BadMessageError

VALUE_BYTES_MAX: Final = 900_000  # with its headers it fits into the topic; of more, so much is kept
HEADER_BYTES_MAX: Final = 1024
Headers = list[tuple[str, bytes]]
_RETRIED: Final = "retried"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message stood; `topic` is a path or URL for what did not come from Kafka.

    `source` is the source of `floodwarden ingest` that read it; empty for what came as decisions.
    """

    topic: str
    partition: int
    offset: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it was read back. `cut_from` is how long it was, where its end is missing, else 0."""

    value: bytes
    code: str
    field: str
    reason: str
    fix: str
    origin: Origin
    content_type: str | None
    cut_from: int


@dataclass(frozen=True, slots=True)
class Retried:
    """That the letter at (partition, offset) of `dead-letter` was sent again: by whom, and where it stands now."""

    partition: int
    offset: int
    by: str
    to: Origin


def letter(value: bytes, error: BadMessageError, origin: Origin, content_type: str | None) -> tuple[bytes, Headers]:
    """Value and headers of the dead letter."""
    cut = {"cut-from": str(len(value))} if len(value) > VALUE_BYTES_MAX else {}
    return value[:VALUE_BYTES_MAX], headers(error, origin, content_type) + _encoded(cut)


def headers(error: BadMessageError, origin: Origin, content_type: str | None) -> Headers:
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
    return _encoded(pairs | ({"origin-source": origin.source} if origin.source else {}))


def retried(partition: int, offset: int, by: str, to: Origin) -> Headers:
    """Headers of the note that a letter was sent again; its value is empty."""
    pairs = {
        _RETRIED: f"{partition}:{offset}",
        "by": by,
        "to-topic": to.topic,
        "to-partition": str(to.partition),
        "to-offset": str(to.offset),
    }
    return _encoded(pairs)


def read(value: bytes, given: Iterable[tuple[str, bytes | None]]) -> Letter | Retried:
    """What a message of `dead-letter` says; headers that are missing are empty."""
    text = {name: (said or b"").decode("utf-8", "replace") for name, said in given}
    if _RETRIED in text:
        partition, _, offset = text[_RETRIED].partition(":")
        return Retried(_number(partition), _number(offset), text.get("by", ""), _origin(text, "to"))
    return Letter(
        value,
        text.get("code", ""),
        text.get("field", ""),
        text.get("reason", ""),
        text.get("fix", ""),
        _origin(text, "origin"),
        text.get("content-type") or None,
        _number(text.get("cut-from", "0")),
    )


def _origin(text: dict[str, str], prefix: str) -> Origin:
    partition, offset = (_number(text.get(f"{prefix}-{what}", "")) for what in ("partition", "offset"))
    return Origin(text.get(f"{prefix}-topic", ""), partition, offset, text.get(f"{prefix}-source", ""))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _encoded(pairs: dict[str, str]) -> Headers:
    return [(name, value.encode("utf-8", "replace")[:HEADER_BYTES_MAX]) for name, value in pairs.items()]
