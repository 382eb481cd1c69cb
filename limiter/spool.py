"""Encoded batches on disk while the broker is away: a bounded queue of segment files, of one process at a time.

    cursor     acknowledged          read, not yet acknowledged           unread
               | .................. | ################################## | ==============> appended here
               segments before it are deleted; after a crash everything from here is sent again

A batch leaves the disk when the broker has acknowledged it. When the bound is reached the oldest segment goes: the
newest rows are those a running attack is seen in. Processes of one name each take a directory of their own (NAME,
NAME.1 ...) under a lock; one that starts takes what an earlier run left. Written at once, so a killed process loses
nothing; on the disk itself within a second, so a power cut loses that second. Not thread-safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limiter.segment import HEAD_BYTES, Segment, frame
from limiter.spool_directory import NOWHERE, SLOTS_MAX, Directory, Place, left, slots

SEGMENTS: Final = 16  # the bound is dropped in steps of a sixteenth
BYTES_MIN: Final = 4 << 20
SYNC_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """A batch read back. `in_doubt`: it was handed over before, and may be in the topic."""

    value: bytes
    rows: int
    ts_ms: int
    place: Place
    in_doubt: bool


class Spool:
    """Opened when first needed. `on_loss(reason, rows)` hears of what cannot be kept or read, rows where it can tell.

    `append`, `peek`, `done`, `open_left`, `tend` and `close` raise OSError when the disk refuses.
    """

    def __init__(self, root: Path, name: str, bytes_max: int, on_loss: Callable[[str, int], None]) -> None:
        self._root, self._name = root, name
        self._bytes_max = max(bytes_max, BYTES_MIN)
        self._on_loss = on_loss
        self.enabled = bytes_max > 0
        self.rows = 0  # unread
        self._directory: Directory | None = None
        self._segments: deque[Segment] = deque()
        self._last = 0  # number of the newest segment there ever was
        self._read: Place = NOWHERE
        self._doubt_until: Place = NOWHERE
        self._out: set[Place] = set()  # read or written as handed over, and not acknowledged
        self._skip: set[Place] = set()  # written as handed over: not to be read by this process
        self._ahead: Record | None = None
        self._synced_s = 0.0
        self._dirty = False

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk."""
        return sum(segment.size for segment in self._segments)

    def open_left(self) -> bool:
        """Takes over what an earlier run of this name left; True when there is any. Only while empty."""
        if not self.enabled or self._segments:
            return False
        for path in slots(self._root, self._name):
            if left(path) and (claimed := Directory.claim(path)) is not None:
                self._enter(claimed)
                self._clean()
                if self._segments:
                    return True
        return False

    def append(self, value: bytes, rows: int, ts_ms: int, *, handed: bool = False) -> Place:
        """Puts a batch at the end. `handed`: librdkafka has it too and will say so; only another run sends it again."""
        framed = frame(value, rows, ts_ms, handed=handed)
        directory = self._directory or self._open()
        while self._segments and self.size_bytes + len(framed) > self._bytes_max:
            self._drop()
        segment = self._tail(directory, len(framed))
        place = (segment.number, segment.append(framed))
        self._dirty = True
        if handed:
            self._out.add(place)
            self._skip.add(place)
        else:
            self.rows += rows
        return place

    def peek(self) -> Record | None:
        """The oldest unread batch, None when there is none."""
        while self._ahead is None:
            segment = next((s for s in self._segments if s.number >= self._read[0]), None)
            if segment is None:
                return None
            at = self._read[1] if segment.number == self._read[0] else 0
            if at < segment.size:
                self._step(segment, at)
            elif segment is self._segments[-1]:
                return None
            else:
                self._read = (segment.number + 1, 0)
        return self._ahead

    def take(self, record: Record) -> None:
        """`record`, which `peek` told of, is this process's to deliver from now on."""
        self._ahead = None
        self.rows -= record.rows
        self._out.add(record.place)
        self._read = _after(record.place, len(record.value))
        self._mark()

    def done(self, place: Place) -> None:
        """The batch is in the topic, or will never be."""
        self._out.discard(place)
        self._clean()
        acked = self._acked()
        while self._segments and self._segments[0].number < acked[0]:
            self._segments.popleft().remove()
        self._mark()

    def tend(self, now_s: float) -> None:
        """To be called now and then: brings what was written to the disk itself."""
        if self._dirty and now_s - self._synced_s >= SYNC_EVERY_S:
            self._synced_s = now_s
            self._sync()

    def close(self) -> None:
        """Syncs and lets go; what is not acknowledged is another run's."""
        try:
            self._sync()
        finally:
            self._leave()

    def _acked(self) -> Place:
        return min(self._read, min(self._out, default=self._read))

    def _mark(self) -> None:
        if self._directory is not None:
            self._directory.mark(self._acked(), self._read)

    def _clean(self) -> None:
        """Goes past what others deliver; deletes everything once there is nothing left to deliver."""
        if self.peek() is None and not self._out:
            while self._segments:
                self._segments.popleft().remove()

    def _step(self, segment: Segment, at: int) -> None:
        """Reads the frame at `at` ahead, or goes past it."""
        place = (segment.number, at)
        head = segment.head(at)
        if head is None:  # where the next one begins nobody can tell
            self._on_loss("spool_damaged", 0)
            self._read = (segment.number, segment.size)
            return
        if place in self._skip:
            self._skip.discard(place)
            self._read = _after(place, head.length)
            return
        value = segment.value(at, head)
        if value is None:
            self.rows -= head.rows
            self._on_loss("spool_damaged", head.rows)
            self._read = _after(place, head.length)
            return
        in_doubt = head.handed or place < self._doubt_until
        self._ahead = Record(value, head.rows, head.ts_ms, place, in_doubt)

    def _tail(self, directory: Directory, more: int) -> Segment:
        if not self._segments or self._segments[-1].size + more > self._bytes_max // SEGMENTS:
            if self._segments:
                self._segments[-1].sync()
            made = directory.new_segment(self._last + 1)
            self._last += 1
            self._segments.append(made)
        return self._segments[-1]

    def _drop(self) -> None:
        """The oldest segment goes; what was handed over already is not lost by that."""
        oldest = self._segments[0]
        if self._read[0] <= oldest.number:
            at = self._read[1] if self._read[0] == oldest.number else 0
            unread = (head.rows for at, head in oldest.heads(at) if (oldest.number, at) not in self._skip)
            lost = sum(unread)
            self.rows -= lost
            self._on_loss("spool_full", lost)
            self._read = (oldest.number + 1, 0)
            self._ahead = None
        self._out = {place for place in self._out if place[0] != oldest.number}
        self._skip = {place for place in self._skip if place[0] != oldest.number}
        self._segments.popleft().remove()

    def _open(self) -> Directory:
        for path in slots(self._root, self._name):
            if (claimed := Directory.claim(path)) is not None:
                self._enter(claimed)
                return claimed
        raise BlockingIOError(f"all {SLOTS_MAX} directories of {self._name} under {self._root} are in use")

    def _enter(self, directory: Directory) -> None:
        """Goes on from where the last run in a directory stood; an end that a kill tore off is counted and cut."""
        self._leave()
        self._directory = directory
        acked, self._doubt_until = directory.marked()
        self._segments = deque(directory.segments())
        self._last = max([acked[0], *(s.number for s in self._segments)])
        self._read = acked
        while self._segments and self._segments[0].number < acked[0]:
            self._segments.popleft().remove()
        for segment in self._segments:
            end = 0
            for at, head in segment.heads():
                self.rows += head.rows if (segment.number, at) >= acked else 0
                end = at + head.size
            if end < segment.size:
                self._on_loss("spool_torn", 0)
                segment.cut(end)

    def _sync(self) -> None:
        self._dirty = False
        if self._segments and self._directory is not None:
            self._segments[-1].sync()
            self._directory.sync()

    def _leave(self) -> None:
        while self._segments:
            self._segments.popleft().close()
        if self._directory is not None:
            self._directory.release()
        self._directory, self._ahead, self.rows = None, None, 0
        self._out, self._skip = set(), set()


def _after(place: Place, length: int) -> Place:
    return place[0], place[1] + HEAD_BYTES + length
