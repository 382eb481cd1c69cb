"""Streams behind the end of another, each with its length and a mark: who does not know of them reads no further."""

from __future__ import annotations

import struct
from typing import Final

from schemas.errors import BadMessageError

_TAIL: Final = struct.Struct("<I4s")
HITS: Final = b"hits"
ITEMS: Final = b"item"  # an Arrow stream ends with four zeros, so never in a mark


def tail(stream: bytes, mark: bytes) -> bytes:
    """What stands at the end for `stream`."""
    return stream + _TAIL.pack(len(stream), mark)


def taken(value: memoryview, mark: bytes) -> tuple[memoryview, memoryview | None]:
    """What stands before the stream with this mark, and the stream; None where `value` does not end with one."""
    if len(value) < _TAIL.size:
        return value, None
    length, found = _TAIL.unpack(value[-_TAIL.size :])
    if found != mark:
        return value, None
    end = len(value) - _TAIL.size
    if length > end:
        raise BadMessageError("bad_arrow", mark.decode(), f"{length} bytes", f"{end} stand before its length")
    return value[: end - length], value[end - length : end]
