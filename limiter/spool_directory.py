"""A directory that one process has to itself: a lock, segment files, and a cursor that says how far they were read."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from xxhash import xxh32_intdigest

from limiter.segment import SUFFIX, Segment

Place = tuple[int, int]
"""Segment number and offset."""
NOWHERE: Final[Place] = (0, 0)
SLOTS_MAX: Final = 64
_NAME_CHARS_MAX: Final = 200
_CURSOR: Final = struct.Struct("<QQQQ")  # acknowledged up to, read up to
_CHECK: Final = struct.Struct("<I")


class Directory:
    """Made by `claim`. The lock ends with the process, however that ends."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._cursor = os.open(path / "cursor", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """`path`, made where it is not there; None when another process has it. Raises OSError."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise
        return cls(path, lock)

    def segments(self) -> list[Segment]:
        """The files there are, oldest first."""
        return [Segment(path) for path in sorted(self.path.glob("*" + SUFFIX))]

    def new_segment(self, number: int) -> Segment:
        """An empty file."""
        return Segment(self.path / f"{number:012d}{SUFFIX}")

    def marked(self) -> tuple[Place, Place]:
        """What `mark` was told last; nowhere when that cannot be read: rather twice than not at all."""
        data = os.pread(self._cursor, _CURSOR.size + _CHECK.size, 0)
        whole = len(data) == _CURSOR.size + _CHECK.size
        if not whole or _CHECK.unpack_from(data, _CURSOR.size)[0] != xxh32_intdigest(data[: _CURSOR.size]):
            return NOWHERE, NOWHERE
        a, b, c, d = _CURSOR.unpack_from(data)
        return (a, b), (c, d)

    def mark(self, acked: Place, read: Place) -> None:
        """Batches before `acked` are in the topic; those from there to `read` may be."""
        data = _CURSOR.pack(*acked, *read)
        with suppress(OSError):  # an old cursor sends more again, and nothing less
            os.pwrite(self._cursor, data + _CHECK.pack(xxh32_intdigest(data)), 0)

    def sync(self) -> None:
        """A new file is only there once its directory says so."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def release(self) -> None:
        """Another process may have it."""
        os.close(self._cursor)
        os.close(self._lock)


def slots(root: Path, name: str) -> Iterator[Path]:
    """Where processes of one name may go: NAME, NAME.1 ..."""
    base = quote(name, safe="")[:_NAME_CHARS_MAX] or "node"
    return (root / (f"{base}.{i}" if i else base) for i in range(SLOTS_MAX))


def left(path: Path) -> bool:
    """Whether somebody left batches there."""
    return path.is_dir() and any(path.glob("*" + SUFFIX))


def nearest(directory: Path) -> Path:
    """`directory`, or what of its path there is."""
    there = directory.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return there


def writable(directory: Path) -> bool:
    """Whether files can be made in `directory`, which need not be there yet."""
    there = nearest(directory)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
