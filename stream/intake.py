"""Messages -> decisions: all at once when they are good, one by one when one is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from schemas import codec
from schemas.errors import BadMessageError
from stream.blocks import Message
from stream.combine import COLUMNS


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message nobody can take, and why."""

    message: Message
    error: BadMessageError


def take(messages: Sequence[Message]) -> tuple[pa.RecordBatch, list[Rejected]]:
    """The decisions (`combine.COLUMNS`) of all good messages in their order, and the bad messages."""
    try:
        return codec.decode_many([(m.value, m.content_type) for m in messages], COLUMNS), []
    except BadMessageError:
        pass
    good: list[tuple[bytes, str | None]] = []
    rejected: list[Rejected] = []
    for message in messages:
        try:
            codec.decode_many([(message.value, message.content_type)], COLUMNS)
        except BadMessageError as error:
            rejected.append(Rejected(message, error))
        else:
            good.append((message.value, message.content_type))
    return codec.decode_many(good, COLUMNS), rejected
