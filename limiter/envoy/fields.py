"""Fields of a protobuf message as bytes, for messages written too often to be made first. Pure."""

from __future__ import annotations

from typing import Final

_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(128))


def opening(field: int) -> bytes:
    """What a field that is a text, bytes or a message begins with."""
    return varint(field << 3 | 2)


def text(opened: bytes, value: bytes) -> bytes:
    """Such a field; written also where it is empty, as one that is set."""
    size = len(value)
    return opened + (_ONE_BYTE[size] if size < 128 else varint(size)) + value


def counting(field: int) -> bytes:
    """What a field that is a number begins with."""
    return varint(field << 3)


def number(opened: bytes, value: int) -> bytes:
    """Such a field, from 0 up; 0 is what one that is left out says."""
    return opened + varint(value) if value else b""


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
