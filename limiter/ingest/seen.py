"""Which events were taken before: the ids of the last many, forgotten half at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xxhash import xxh3_64_intdigest


def marks(ids: Sequence[Any]) -> list[int]:
    """For each id 64 bits that are the same in every process; 0 for None, no id."""
    try:
        return list(map(xxh3_64_intdigest, map(str.encode, ids)))
    except (TypeError, UnicodeEncodeError):  # numbers, or none
        return [0 if one is None else xxh3_64_intdigest(str(one).encode("utf-8", "surrogatepass")) for one in ids]


class Seen:
    """Remembers the last `kept` to `2 * kept` events by their marks, about 100 bytes each; at first those of `known`.

    `known` is older ones and younger ones, as two sets of at most `kept`.
    """

    def __init__(self, kept: int, known: tuple[Iterable[int], Iterable[int]] = ((), ())) -> None:
        self._kept = kept
        self._old, self._young = set(known[0]), set(known[1])

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def fresh(self, given: Sequence[int]) -> list[bool]:
        """For each mark whether it is new; 0 always is. It is remembered from here on."""
        distinct = set(given)
        if len(distinct) == len(given) and 0 not in distinct and self._holds_none_of(distinct):
            self._make_room(len(distinct))
            self._young |= distinct
            return [True] * len(given)
        return [not mark or self._add(mark) for mark in given]

    def _holds_none_of(self, distinct: set[int]) -> bool:
        return distinct.isdisjoint(self._young) and distinct.isdisjoint(self._old)

    def _make_room(self, count: int) -> None:
        if len(self._young) + count > self._kept:
            self._old, self._young = self._young, set()

    def _add(self, mark: int) -> bool:
        if mark in self._young or mark in self._old:
            return False
        self._make_room(1)
        self._young.add(mark)
        return True
