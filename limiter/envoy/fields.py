"""Fields of a protobuf message as bytes, for messages written too often to be made first. Pure."""

from __future__ import annotations

from typing import Final

_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(128))


def text(field: int, value: bytes) -> bytes:
    """A field that is a text, bytes or a message; written also where it is empty, as one that is set."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def number(field: int, value: int) -> bytes:
    """A field that is a number from 0 up; 0 is what one that is left out says."""
    return varint(field << 3) + varint(value) if value else b""


def varint(value: int) -> bytes:
    """`value`, from 0 up: seven bits a byte, the lowest first."""
    if value < 128:
        return _ONE_BYTE[value]
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
