"""Which events were taken before: the ids of the last many, forgotten half at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class Seen:
    """Remembers the last `kept` to `2 * kept` ids by 64-bit hash, about 100 bytes each."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def fresh(self, ids: Iterable[object]) -> list[bool]:
        """For each id whether it is new; None, no id, always is. It is remembered from here on."""
        given = list(ids)
        marks = list(map(hash, given))
        distinct = set(marks)
        if len(distinct) == len(marks) and None not in given and self._holds_none_of(distinct):
            self._make_room(len(distinct))
            self._young |= distinct
            return [True] * len(marks)
        return [one is None or self._add(mark) for one, mark in zip(given, marks, strict=True)]

    def _holds_none_of(self, marks: set[int]) -> bool:
        return marks.isdisjoint(self._young) and marks.isdisjoint(self._old)

    def _make_room(self, count: int) -> None:
        if len(self._young) + count > self._kept:
            self._old, self._young = self._young, set()

    def _add(self, mark: int) -> bool:
        if mark in self._young or mark in self._old:
            return False
        self._make_room(1)
        self._young.add(mark)
        return True
