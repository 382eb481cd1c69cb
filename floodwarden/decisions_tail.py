"""The newest decisions of the topic, read once, in no group: looking changes nothing."""

from __future__ import annotations

import time
from typing import Final

from floodwarden import topic_reading
from schemas import codec, topics
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings

ROWS_MAX: Final = 20_000
MESSAGES_MAX: Final = 2_000  # of a partition


def newest(settings: Settings, seconds: int, rows_max: int = ROWS_MAX) -> list[Decision]:
    """The decisions of the last `seconds` by the broker's stamps, at most the `rows_max` newest.

    Raises:
        UnreachableError: no broker, or no such topic.
    """
    from_ms = (time.time_ns() // 1_000_000) - seconds * 1000
    rows: list[Decision] = []
    for message in topic_reading.read(settings, topics.DECISIONS, MESSAGES_MAX):
        if message.timestamp()[1] >= from_ms:
            rows += _rows(message.value() or b"", dict(message.headers() or []).get(topics.CONTENT_TYPE))
    return sorted(rows, key=lambda row: row.ts_ms)[-rows_max:]


def _rows(value: bytes, content_type: bytes | None) -> list[Decision]:
    try:
        return codec.to_rows(codec.decode(value, content_type.decode() if content_type else None))
    except BadMessageError:
        return []  # the stream puts it into `dead-letter`
