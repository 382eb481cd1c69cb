"""One request on its way through an adapter: judged, passed on or refused, and its row published once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from limiter import answers
from limiter.question import Question
from limiter.rows import completed, row
from limiter.verdict import Answer, Slot
from schemas.decision import Decision


class Rows(Protocol):
    """Where rows go. `offer` never blocks and never raises; False: there is no room."""

    def offer(self, decision: Decision) -> bool:
        """Takes one row."""
        ...


class Silence:
    """Rows of a limiter that publishes nothing."""

    def offer(self, _decision: Decision) -> bool:
        """Forgets it."""
        return True


@dataclass(frozen=True, slots=True)
class Arrived:
    """When a request did: epoch milliseconds for its row, and by the clock that measures latency (seconds)."""

    ts_ms: int
    at: float

    @classmethod
    def now(cls) -> Arrived:
        """By this machine's clocks."""
        return cls(time.time_ns() // 1_000_000, time.perf_counter())


class Passage:
    """An answered question. `refusal` is what the client gets instead of the application's response; None: pass it on.

    The first status told completes the row, so its latency is the time to the first byte; a refusal has told its own.
    `delay_s`: pass it on, but only after so long.
    """

    def __init__(self, asked: Question, answer: Answer, rows: Rows, node: str, arrived: Arrived) -> None:
        self.answer = answer
        self._began = arrived.at
        self._slots = answer.slots
        self._rows = rows
        self._told = False
        self.row = row(asked.request, answer, arrived.ts_ms, node)
        self.refusal: answers.Refusal | None = None
        if not answer.allowed:
            self.refusal = answers.refusal(answer)
        elif asked.fault is not None:
            self.refusal = answers.malformed(asked.fault, asked.status)
        if self.refusal is not None:
            self.tell(self.refusal.status)

    @property
    def delay_s(self) -> float:
        """How long to wait before passing it on."""
        return (self.answer.delay_ms or 0) / 1000

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What to add to the application's response."""
        return answers.headers(self.answer)

    def slots(self) -> list[Slot]:
        """What is to be released, now that the request is done; only the first call has it."""
        slots, self._slots = self._slots, []
        return slots

    def tell(self, status: int) -> None:
        """The application answered with `status`; 0: it never did. Only the first call counts."""
        if self._told:
            return
        self._told = True
        self.row = completed(self.row, status, (time.perf_counter() - self._began) * 1000)
        self._rows.offer(self.row)
