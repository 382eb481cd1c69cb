"""A memory with a bound that is forgotten whole when it is full, and freed a little at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
FREED_AT_ONCE: Final = 2  # so what was forgotten is gone before as much is remembered again


class Memo(Generic[K, V]):
    """At most `most` entries; `get` is a dict's. Freeing 20,000 at once would stop every check for 20 ms."""

    __slots__ = ("_entries", "_forgotten", "_most", "get")

    def __init__(self, most: int) -> None:
        self._most = most
        self._forgotten: list[dict[K, V]] = []
        self._begin()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def put(self, key: K, value: V) -> None:
        """Remembers `value`."""
        if len(self._entries) >= self._most:
            self.forget()
        self._entries[key] = value
        if self._forgotten:
            self._free()

    def forget(self) -> None:
        """Nothing is known any more."""
        if self._entries:
            self._forgotten.append(self._entries)
            self._begin()

    def _begin(self) -> None:
        self._entries: dict[K, V] = {}
        self.get = self._entries.get

    def _free(self) -> None:
        last = self._forgotten[-1]
        for _ in range(min(FREED_AT_ONCE, len(last))):
            last.popitem()
        if not last:
            self._forgotten.pop()
