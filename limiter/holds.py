"""Whether automation is stopped, as far as a node has heard. Pure."""

from __future__ import annotations


class Holds:
    """The holds in force. `until_ms`: so long no automatic answer counts, 0 where none stands."""

    def __init__(self) -> None:
        self.until_ms = 0
        self._ends_ms: dict[str, int] = {}
        self._unmarked: set[str] = set()  # those that the snapshot which is being read has not told of

    def put(self, uid: str, ends_ms: int) -> None:
        """One stands until then."""
        self._ends_ms[uid] = ends_ms
        self._unmarked.discard(uid)
        self.until_ms = max(self._ends_ms.values())

    def remove(self, uid: str) -> bool:
        """One is over; whether it was known."""
        if self._ends_ms.pop(uid, None) is None:
            return False
        self._unmarked.discard(uid)
        self.until_ms = max(self._ends_ms.values(), default=0)
        return True

    def mark(self) -> None:
        """A snapshot begins."""
        self._unmarked = set(self._ends_ms)

    def settle(self) -> bool:
        """It is read: forget what it did not tell of; whether there was any."""
        return sum(self.remove(uid) for uid in tuple(self._unmarked)) > 0
