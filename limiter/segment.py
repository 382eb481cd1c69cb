"""One append-only file of framed batches: head (length, rows, event time, flags, two checksums), then the bytes.

A frame is written by one `write`; what a kill cut off or a disk garbled is told from what is whole by the checksums.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest, xxh32_intdigest

SUFFIX: Final = ".seg"
_FIELDS: Final = struct.Struct("<4sIIqBQ")  # magic, length, rows, ts_ms, handed, checksum of the bytes
_CHECK: Final = struct.Struct("<I")  # checksum of those fields
_MAGIC: Final = b"FWs1"
HEAD_BYTES: Final = _FIELDS.size + _CHECK.size


@dataclass(frozen=True, slots=True)
class Head:
    """What a frame says of its batch. `handed`: the broker may have it already, it only never said so."""

    length: int
    rows: int
    ts_ms: int
    handed: bool
    checksum: int

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return HEAD_BYTES + self.length


def frame(value: bytes, rows: int, ts_ms: int, *, handed: bool) -> bytes:
    """A batch as it stands in a file."""
    fields = _FIELDS.pack(_MAGIC, len(value), rows, ts_ms, handed, xxh3_64_intdigest(value))
    return fields + _CHECK.pack(xxh32_intdigest(fields)) + value


class Segment:
    """Frames [0, size) of one file. Reading and writing raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = int(path.stem)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._file).st_size

    def append(self, framed: bytes) -> int:
        """Writes one frame and says where; a frame that did not fit wholly is taken back."""
        at = self.size
        try:
            written = os.write(self._file, framed)
            while written < len(framed):
                written += os.write(self._file, framed[written:])
        except OSError:
            os.ftruncate(self._file, at)
            raise
        self.size += len(framed)
        return at

    def head(self, at: int) -> Head | None:
        """The head of the frame at `at`; None where there is no whole frame."""
        data = os.pread(self._file, HEAD_BYTES, at)
        if len(data) < HEAD_BYTES or _CHECK.unpack_from(data, _FIELDS.size)[0] != xxh32_intdigest(data[: _FIELDS.size]):
            return None
        magic, length, rows, ts_ms, handed, checksum = _FIELDS.unpack_from(data)
        if magic != _MAGIC or at + HEAD_BYTES + length > self.size:
            return None
        return Head(length, rows, ts_ms, bool(handed), checksum)

    def heads(self, at: int = 0) -> Iterator[tuple[int, Head]]:
        """Where each whole frame from `at` on begins, and its head, up to the first that is not whole."""
        while (head := self.head(at)) is not None:
            yield at, head
            at += head.size

    def value(self, at: int, head: Head) -> bytes | None:
        """The batch of the frame at `at`; None where the bytes are not those that were written."""
        value = os.pread(self._file, head.length, at + HEAD_BYTES)
        return value if xxh3_64_intdigest(value) == head.checksum else None

    def cut(self, at: int) -> None:
        """Forgets everything from `at` on."""
        os.ftruncate(self._file, at)
        self.size = at

    def sync(self) -> None:
        """To the disk itself."""
        os.fsync(self._file)

    def close(self) -> None:
        """Nothing more will be read or written."""
        os.close(self._file)

    def remove(self) -> None:
        """Closes and deletes the file."""
        self.close()
        self.path.unlink(missing_ok=True)
