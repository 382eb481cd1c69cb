"""Snapshots on disk: one file a usage partition, replaced whole or not at all."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest

from stream.errors import SnapshotError

_HEAD: Final = struct.Struct("<8sQQ")  # magic, next offset of the usage partition, checksum of the rest
_MAGIC: Final = b"fwstrm1\n"


def write(path: Path, offset: int, state: bytes | memoryview) -> None:
    """Replace the snapshot; after it returns the new one survives a crash, before that the old one does.

    One of a later offset stays: its writer has taken over from us.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _offset(path) > offset:
        return
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        file.write(_HEAD.pack(_MAGIC, offset, xxh3_64_intdigest(state)))
        file.write(state)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(path: Path) -> None:
    """There is no snapshot any more."""
    path.unlink(missing_ok=True)


def read(path: Path) -> tuple[int, bytes] | None:
    """Next offset and state, or None when there is no snapshot; raises `SnapshotError` when it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEAD.size:
        raise SnapshotError(f"{path} is cut short")
    magic, offset, checksum = _HEAD.unpack_from(data)
    state = data[_HEAD.size :]
    if magic != _MAGIC or xxh3_64_intdigest(state) != checksum:
        raise SnapshotError(f"{path} is damaged")
    return offset, state


def _offset(path: Path) -> int:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except FileNotFoundError:
        return -1
    return int(_HEAD.unpack(head)[1]) if len(head) == _HEAD.size and head.startswith(_MAGIC) else -1
