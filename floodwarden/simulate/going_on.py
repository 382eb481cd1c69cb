"""How far traffic that is being simulated has come, in words, now and then: where nobody sees a bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from floodwarden.report_text import span_words

EVERY_S: Final = 30.0


@dataclass(slots=True)
class GoingOn:
    """Hears of rows as they are written, and says something every `EVERY_S` at most. It is handed its clock.

    `lasts_s` is how long all of it takes at its speed; None: as long as making it does.
    """

    say: Callable[[str], None]
    clock_s: Callable[[], float]
    lasts_s: float | None
    _rows: int = 0
    _begun_s: float = 0.0
    _said_s: float = 0.0

    def begin(self, to: str) -> None:
        """Say what is going to happen."""
        self._begun_s = self._said_s = self.clock_s()
        if self.lasts_s is not None:
            self.say(f"traffic to {to} for {span_words(round(self.lasts_s * 1000))}; Ctrl-C ends it")

    def heard(self, rows: int) -> None:
        """So many more were written."""
        self._rows += rows
        now_s = self.clock_s()
        if now_s - self._said_s < EVERY_S:
            return
        self._said_s = now_s
        took = span_words(round((now_s - self._begun_s) * 1000))
        of = f" of {span_words(round(self.lasts_s * 1000))}" if self.lasts_s is not None else ""
        self.say(f"{self._rows:,} decisions, {took}{of}")
