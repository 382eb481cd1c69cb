"""How far each bouncer has been told: by its key, its address and its kind, since several may share a key. Bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

PULLS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Puller:
    """Who asks: the name of its key, where from, what it calls itself, and the store's name of the key."""

    name: str
    address: str
    agent: str
    key_id: str = ""


@dataclass(slots=True)
class Pull:
    """`told`: the position after its last answer; `before`: after the one before that."""

    told: int
    before: int
    at_ms: int
    pulls: int


class Pulls:
    """Positions of bouncers in the log of changes; the longest silent one goes when there are too many."""

    def __init__(self) -> None:
        self._pulls: OrderedDict[Puller, Pull] = OrderedDict()

    def ask(self, puller: Puller, position: int, now_ms: int, *, afresh: bool) -> int | None:
        """From where to tell `puller`, which is told up to `position` now; None: it starts with an empty memory.

        An answer may be lost on its way, so each change is told twice: from the answer before the last one on. Who is
        not known here (we are new, or it was silent for too long) is told from 0.
        """
        known = self._pulls.get(puller)
        start = None if afresh else 0 if known is None else known.before
        before = position if afresh else 0 if known is None else known.told
        self._pulls[puller] = Pull(position, before, now_ms, 1 + (known.pulls if known else 0))
        self._pulls.move_to_end(puller)
        if len(self._pulls) > PULLS_MAX:
            self._pulls.popitem(last=False)
        return start

    def seen(self) -> list[tuple[Puller, Pull]]:
        """Who asked, the latest last."""
        return list(self._pulls.items())
