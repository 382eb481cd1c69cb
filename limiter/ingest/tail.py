"""A growing file, line by line, through rotation by rename and by copy-and-truncate; its place outlives a restart.

A log is known by its inode and by a hash of how it begins, the mark. Where its path holds another log now, the old one
is looked for beside it (`access.log.1`), by either, and read to its end before the new one is begun. Only a log that is
cut before anything of it was read, or twice between two looks, is not known again in its copy.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

LINE_BYTES_MAX: Final = (8 << 20) + 1  # longer than any record may be: its beginning is enough to refuse it
READ_BYTES: Final = 1 << 20
GRACE_S: Final = 1.0  # so long a renamed file is still written to
_MARK_BYTES: Final = 1024
_SIBLINGS_MAX: Final = 100
_ROTATED: Final = re.compile(r"[.-]\d[\d.-]{0,30}")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log was read: `offset` bytes of the file with this inode, whose first `head` bytes hash to `mark`."""

    inode: int
    offset: int
    head: int
    mark: str
    written_ns: int = 0  # when the file had last been written to


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines with the offset each began at, and the place behind the last."""

    values: Sequence[bytes]
    offsets: Sequence[int]
    place: Place


class Tail:
    """Follows one path. Of one thread; the clock is handed in."""

    def __init__(self, path: Path, place: Place | None, *, latest: bool) -> None:
        self.path = path
        self.lost = 0  # logs gone before they were read to their end
        self._file: BinaryIO | None = None
        self._place = place
        self._latest = latest and place is None
        self._rest = b""
        self._skipping = False
        self._copy = False  # the open file does not stand at the path
        self._quiet_since_s: float | None = None

    @property
    def lag_bytes(self) -> int:
        """Bytes of the open file that were not read yet."""
        if self._file is None or self._place is None:
            return 0
        return max(0, os.fstat(self._file.fileno()).st_size - self._place.offset)

    def read(self, now_s: float) -> Lines | None:
        """What is new; None when nothing is. Raises OSError where the file cannot be read."""
        if self._file is None and not self._open():
            return None
        self._check_truncated()
        lines = self._some()
        if lines is not None:
            self._quiet_since_s = None
            return lines
        return self._ended(now_s)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._rest, self._skipping = b"", False

    def _open(self) -> bool:
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return False
        status = os.fstat(file.fileno())
        self._copy = False
        if self._place is None:
            begin = status.st_size if self._latest else 0
            if begin:  # not amid a line
                file.seek(begin - 1)
                self._skipping = file.read(1) != b"\n"
            self._begin(file, begin)
            return True
        if status.st_ino == self._place.inode and status.st_size >= self._place.offset and _is(file, self._place):
            self._file = file
            file.seek(self._place.offset)
            return True
        old = self._sibling()
        if old is None:
            self.lost += 1
            self._go_on_with(file)
            return True
        file.close()
        self._resume(old, self._place)
        return True

    def _resume(self, old: BinaryIO, place: Place) -> None:
        """Reads on in our log where it stands under another name, or in its copy."""
        self._file, self._copy = old, True
        self._place = replace(place, inode=os.fstat(old.fileno()).st_ino)
        old.seek(place.offset)

    def _go_on_with(self, fresh: BinaryIO) -> None:
        """Begins what follows our log: one that was rotated since, else `fresh`, the one at the path."""
        between = self._rotated_since()
        if between is not None:
            fresh.close()
        self._begin(between or fresh, 0)
        self._copy = between is not None

    def _begin(self, file: BinaryIO, offset: int) -> None:
        file.seek(offset)
        self._file = file
        self._latest = False
        status = os.fstat(file.fileno())
        self._place = Place(status.st_ino, offset, *_mark(file, offset), status.st_mtime_ns)

    def _check_truncated(self) -> None:
        """A log that is shorter than it was, or begins anew, was copied away and cut: its end is in the copy."""
        if self._copy or self._file is None or self._place is None:
            return
        size = os.fstat(self._file.fileno()).st_size
        if size >= self._place.offset and _is(self._file, self._place):
            return
        self.close()
        old = self._sibling()
        if old is not None:
            self._resume(old, self._place)
        else:
            self.lost += 1
            self._go_on_with(self.path.open("rb"))

    def _some(self) -> Lines | None:
        if self._file is None or self._place is None:
            return None
        self._file.seek(self._place.offset + len(self._rest))
        read = self._file.read(READ_BYTES)
        if not read:
            return None
        at, data = self._place.offset, self._rest + read
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if not end:
            return self._overlong(at)
        values, offsets = [], []
        for line in data[:end].split(b"\n")[:-1]:
            if self._skipping:
                self._skipping = False
            else:
                values.append(line)
                offsets.append(at)
            at += len(line) + 1
        return Lines(values, offsets, self._moved(at))

    def _overlong(self, at: int) -> Lines | None:
        """No line ends yet: of one that is too long the beginning is given once, and its rest skipped."""
        if len(self._rest) < LINE_BYTES_MAX:
            return Lines((), (), self._place) if self._place else None
        value, skipped = self._rest, self._skipping
        self._rest, self._skipping = b"", True
        place = self._moved(at + len(value))
        return Lines((), (), place) if skipped else Lines((value,), (at,), place)

    def _moved(self, offset: int) -> Place:
        if self._place is None or self._file is None:
            raise RuntimeError("no file is open")
        self._place = replace(self._place, offset=offset, written_ns=os.fstat(self._file.fileno()).st_mtime_ns)
        if self._place.head < min(offset, _MARK_BYTES):
            head, mark = _mark(self._file, offset)
            self._place = replace(self._place, head=head, mark=mark)
        return self._place

    def _ended(self, now_s: float) -> Lines | None:
        """At the end of the open file: whether there is another one to go on with, and what it ended with."""
        if self._place is None or self._file is None:
            return None
        status = os.fstat(self._file.fileno())
        try:
            fresh: BinaryIO = self.path.open("rb")
        except FileNotFoundError:
            return None  # renamed, and the new one is not made yet: more may still come
        if os.fstat(fresh.fileno()).st_ino == status.st_ino or not self._was_quiet(now_s):
            fresh.close()
            return None
        last, at, skipped = self._rest, self._place.offset, self._skipping
        place = self._moved(at + len(last))
        self.close()
        self._go_on_with(fresh)
        # The place is the old log's until something of the next is read: whoever begins there finds the next by it.
        return Lines((last,), (at,), place) if last and not skipped else Lines((), (), place)

    def _was_quiet(self, now_s: float) -> bool:
        if self._quiet_since_s is None:
            self._quiet_since_s = now_s
        return now_s - self._quiet_since_s >= GRACE_S

    def _rotated_since(self) -> BinaryIO | None:
        """The log that was begun and rotated after ours, where we missed a whole one."""
        if self._place is None:
            return None
        later = []
        for path in self._siblings():
            status = path.stat()
            is_later = status.st_mtime_ns > self._place.written_ns and status.st_ino != self._place.inode
            if is_later and not self._is_read(path):
                later.append((status.st_mtime_ns, path))
        return min(later)[1].open("rb") if later else None

    def _is_read(self, path: Path) -> bool:
        """Whether it is a copy of the log that ended."""
        if self._place is None or not self._place.head:
            return False
        with path.open("rb") as file:
            return _is(file, self._place)

    def _sibling(self) -> BinaryIO | None:
        """The log of our place under another name beside it, at least as long as it was read."""
        if self._place is None:
            return None
        for path in self._siblings():
            file = path.open("rb")
            status = os.fstat(file.fileno())
            known = status.st_ino == self._place.inode or self._place.head > 0  # of nothing read, any file begins so
            if known and status.st_size >= self._place.offset and _is(file, self._place):
                return file
            file.close()
        return None

    def _siblings(self) -> list[Path]:
        """Rotated logs: `access.log.1`, `access.log-20261121`; packed ones are not read."""
        named = (path for path in self.path.parent.iterdir() if path.name.startswith(self.path.name))
        return sorted(path for path in named if _ROTATED.fullmatch(path.name[len(self.path.name) :]))[:_SIBLINGS_MAX]


def _mark(file: BinaryIO, offset: int) -> tuple[int, str]:
    """Length and hash of how the file begins, as far as it was read."""
    head = min(offset, _MARK_BYTES)
    return head, hashlib.blake2b(os.pread(file.fileno(), head, 0), digest_size=8).hexdigest()


def _is(file: BinaryIO, place: Place) -> bool:
    begins = os.pread(file.fileno(), place.head, 0)
    return len(begins) == place.head and hashlib.blake2b(begins, digest_size=8).hexdigest() == place.mark
