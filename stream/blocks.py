"""Recorded blocks: which decisions make the next block is written down before anything of it is sent.

    decisions p   | a .............. b |    1. commit "the next block is [a, b)"
    usage 0..U      [a,b)  [a,b)  ...       2. send the block to every usage partition, wait until acknowledged
    after a crash                           3. whoever owns p next reads (a, b) and redoes exactly [a, b)

so that a block is wholly new or wholly repeated.

The record is a committed offset of a topic that holds no messages, `a << 16 | length`, because every broker keeps
committed offsets and only some keep the text that may stand beside them. Beside it stand the block's terms: how far
event time had come before it, and how much of it is taken. See docs/adr/0005 and 0022.

What a block becomes must fit into a message. One that does not has been sent by nobody, for everybody sees so before
anything of it is sent: it is recorded anew, shorter, or where it is of one message, thinner. See docs/adr/0056.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

LENGTH_BITS: Final = 16
LENGTH_MAX: Final = (1 << LENGTH_BITS) - 1
MESSAGES_MAX: Final = 1024
BYTES_MAX: Final = 8 << 20
BYTES_MIN: Final = 256 << 10
ROOM: Final = 0.75  # of what a message of usage may have: so much a new block may take
NOTHING: Final = b"[]"  # a message without decisions
LEVEL_BITS: Final = 8


def intent(start: int, end: int) -> int:
    """Block [start, end) as the offset that records it."""
    if not 0 < end - start <= LENGTH_MAX:
        raise ValueError(f"a block has 1 to {LENGTH_MAX} messages, not {end - start}")
    return start << LENGTH_BITS | end - start


def recorded(offset: int) -> tuple[int, int]:
    """The block [start, end) that an offset records."""
    start = offset >> LENGTH_BITS
    return start, start + (offset & LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a block depends on beside its messages.

    `ts_ms_max`: the newest event time of its partition before it (0: none). `level`: how much of it is taken, as
    `stream.sampling` counts (0: all).
    """

    ts_ms_max: int = 0
    level: int = 0

    @property
    def offset(self) -> int:
        """The terms as the offset that records them."""
        return self.ts_ms_max << LEVEL_BITS | self.level

    @classmethod
    def recorded(cls, offset: int) -> Terms:
        """The terms that an offset records."""
        return cls(offset >> LEVEL_BITS, offset & ((1 << LEVEL_BITS) - 1))


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a decisions partition as it came.

    The log holds no message in [`follows`, `offset`), transaction markers apart; None: that is not known. `stamp_ms` is
    when the broker appended it (`by_broker`) or its producer made it, `sent_ms` when its producer's clock said it was
    sent; None where not stated.
    """

    offset: int
    value: bytes
    content_type: str | None
    follows: int | None = None
    stamp_ms: int | None = None
    by_broker: bool = False
    sent_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A block about to be written: the messages of [start, end), and the terms."""

    start: int
    end: int
    messages: tuple[Message, ...]
    terms: Terms = Terms()
    redone: bool = False

    @property
    def bytes(self) -> int:
        """Of its messages."""
        return sum(len(message.value) for message in self.messages)

    def fits(self, share: float) -> bool:
        """Whether it can be sent, given the share of a message that it takes. Who made it first may have known less."""
        return share <= (1 if self.redone else ROOM)


@dataclass(slots=True)
class Size:
    """How many bytes of decisions a block may have: the larger, the less a decision costs, and its usage must fit.

    Made-up identities become more bytes than they came in, ordinary ones fewer; which of both is seen when it is made.
    """

    bytes_max: int = BYTES_MAX

    def made(self, blocks: Iterable[tuple[int, float]]) -> None:
        """Blocks of so many bytes of decisions have taken such shares of what a message may have.

        The next ones are so large that the worst of these would take half of its room.
        """
        worst = min((d * ROOM / (2 * share) for d, share in blocks if d >= BYTES_MIN // 2), default=self.bytes_max)
        self.bytes_max = min(BYTES_MAX, max(BYTES_MIN, int(worst)))


class Offered(Enum):
    """What became of an offered message: kept, seen before, or not yet due (fetch again from `Lease.due`)."""

    KEPT = "kept"
    REPEATED = "repeated"
    EARLY = "early"


@dataclass(slots=True)
class Lease:
    """One decisions partition as one generation of the group holds it.

    `next` is where the next block begins; `redo` where it must end, when its record was found and not made here.
    `terms` are those of the next block: its level is the one it was recorded with, or the least it may have.
    `bytes_max`: what was too much of it before.
    """

    partition: int
    generation: int
    next: int
    redo: int | None = None
    terms: Terms = Terms()
    bytes_max: int = BYTES_MAX
    pending: deque[Message] = field(default_factory=deque)
    skipped: int = 0

    @property
    def due(self) -> int:
        """Offset of the message it waits for."""
        return self.pending[-1].offset + 1 if self.pending else self.next

    def offer(self, message: Message) -> Offered:
        """Take a message when it is the one that is due: nothing that could be read lies before it.

        Offsets without messages (transaction markers, aborted transactions) are counted in `skipped`.
        """
        due = self.due
        if message.offset < due:
            return Offered.REPEATED
        if message.offset > due:
            if message.follows is None or message.follows > due:
                return Offered.EARLY
            self.skipped += message.offset - due
            ends = range(due + LENGTH_MAX, message.offset + 1, LENGTH_MAX)  # a block cannot be longer
            self.pending.extend(Message(end - 1, NOTHING, None) for end in ends)
        self.pending.append(message)
        return Offered.KEPT

    def cut(self, level: int = 0, bytes_max: int = BYTES_MAX) -> Cut | None:
        """The next block, when it can be written: bounded in messages and bytes; None while there is none.

        A new one is taken at `level`, one that is redone at the level it was recorded with.
        """
        if self.redo is not None:
            if self.due < self.redo:
                return None
            messages = tuple(m for m in self.pending if m.offset < self.redo)
            return Cut(self.next, self.redo, messages, self.terms, redone=True)
        messages = self._bounded(min(bytes_max, self.bytes_max))
        terms = Terms(self.terms.ts_ms_max, max(level, self.terms.level))
        return Cut(self.next, messages[-1].offset + 1, messages, terms) if messages else None

    def made(self, cut: Cut, ts_ms_max: int) -> None:
        """The block is as it will be sent. The next one begins behind it, and is recorded once it is acknowledged."""
        self.next, self.redo, self.terms = cut.end, None, Terms(max(self.terms.ts_ms_max, ts_ms_max))
        self.bytes_max = BYTES_MAX
        while self.pending and self.pending[0].offset < cut.end:
            self.pending.popleft()

    def too_large(self, cut: Cut) -> None:
        """What the block became does not fit, and nothing of it was sent: the next cut has less of it."""
        self.redo = None
        if len(cut.messages) > 1:
            self.bytes_max = cut.bytes // 2
        else:
            self.terms = Terms(self.terms.ts_ms_max, cut.terms.level + 1)

    def truncated(self, earliest: int) -> int:
        """The log now begins at `earliest`: how many offsets are gone that this lease, still empty, needed.

        Messages without rows stand for what is gone, so that the chain of blocks stays whole.
        """
        ends = {earliest} if self.redo is None else {earliest, min(self.redo, earliest)}
        ends |= set(range(self.next + LENGTH_MAX, earliest, LENGTH_MAX))
        self.pending.extend(Message(end - 1, NOTHING, None) for end in sorted(ends) if end > self.next)
        return max(0, earliest - self.next)

    def _bounded(self, bytes_max: int) -> tuple[Message, ...]:
        taken: list[Message] = []
        size = 0
        for message in self.pending:
            size += len(message.value)
            too_long = message.offset - self.next >= LENGTH_MAX
            if taken and (size > bytes_max or len(taken) == MESSAGES_MAX or too_long):
                break
            taken.append(message)
        return tuple(taken)
