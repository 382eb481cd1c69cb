"""A usage partition as a worker holds it: what waits for its pipeline, and when to look at open panes early."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from stream.blocks import Message
from stream.pipeline import Pipeline

PEEK_SHARE: Final = 4  # after a step that peeked, so many times its length without; while there is time, much less
PEEK_SHARE_IDLE: Final = 0.5
BUSY_MESSAGES: Final = (
    8  # a step of so many came late already: what costs the throughput less goes before looking early
)
TICK_S: Final = 0.2
LOOK_MS_MAX: Final = 1000  # between two looks, by the clock of who looks
PACE_S: Final = 2.0  # over so long it is seen how fast event time goes
CATCHING_UP: Final = 1.5  # so much faster than the clock: panes close before a look at them would tell anybody


@dataclass(slots=True)
class Awake:
    """A clock in milliseconds that goes on while somebody looks, and stands while nobody does.

    Who was stopped, or took long over something else, has not seen that a partition was silent meanwhile.
    """

    ms: int = 0
    _looked_ms: int | None = None

    def look(self, now_ms: int) -> int:
        """Somebody looks, at `now_ms` by the machine's clock: the time by this one."""
        if self._looked_ms is not None:
            self.ms += min(max(0, now_ms - self._looked_ms), LOOK_MS_MAX)
        self._looked_ms = now_ms
        return self.ms


@dataclass(slots=True)
class Held:
    """A usage partition: its pipeline, the next offset, and when what is due."""

    partition: int
    pipeline: Pipeline
    next: int
    waiting: list[tuple[int, bytes]] = field(default_factory=list)
    awake: Awake = field(default_factory=Awake)
    peek_due_s: float = 0.0
    tick_due_s: float = 0.0
    busy: bool = False
    stepped_s: float = 0.0
    paced: tuple[float, int] = (0.0, 0)  # the clock and event time, some seconds ago
    catching_up: bool = False

    def take(self, message: Message) -> bool:
        """Take a message where it is the one that is due; False where something that could be read lies before it."""
        due = self.due
        if message.offset > due and (message.follows is None or message.follows > due):
            return False
        if message.offset >= due:
            self.waiting.append((message.offset, message.value))
        return True

    @property
    def due(self) -> int:
        """Offset of the message it waits for."""
        return self.waiting[-1][0] + 1 if self.waiting else self.next

    def rest(self, began_s: float, messages: int, *, peeked: bool) -> None:
        """A step of `messages` is over: how soon to look at open panes again depends on how long it took."""
        now_s = time.perf_counter()
        self.tick_due_s = now_s + TICK_S
        self.busy = messages >= BUSY_MESSAGES if messages else self.busy
        if messages:
            self.pace(now_s)
        if peeked:
            self.peek_due_s = now_s + (PEEK_SHARE if self.busy else PEEK_SHARE_IDLE) * (now_s - began_s)

    def looks(self, now_s: float) -> bool:
        """Whether it is time to look at open panes early."""
        return now_s >= self.peek_due_s and not (self.catching_up and now_s - self.stepped_s < PACE_S / 2)

    def pace(self, now_s: float) -> None:
        """A step is over: does event time run ahead of the clock, because there is much to catch up with?"""
        self.stepped_s = now_s
        then_s, then_ms = self.paced
        if now_s - then_s >= PACE_S:
            now_ms = self.pipeline.progress.newest_ms
            self.catching_up = then_ms > 0 and now_ms - then_ms > CATCHING_UP * 1000 * (now_s - then_s)
            self.paced = now_s, now_ms
