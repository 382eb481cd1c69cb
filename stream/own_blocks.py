"""Blocks that this worker made and will read itself: what was encoded here is not decoded again.

The topic alone says what is read, and in which order. A message stands for a block kept here only where it is that
block's, byte for byte; then decoding it would give the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from schemas import codec
from schemas.usage import Block

BYTES_MAX: Final = 192 << 20


class OwnBlocks:
    """At most `bytes_max` of blocks; while there is no room for another, it is decoded when it comes.

    Called from the threads of combine and of detect.
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._wanted: frozenset[int] = frozenset()
        self._held: dict[tuple[int, tuple[int, int] | None], tuple[bytes, Block, int]] = {}
        self._lock = threading.Lock()

    def want(self, partitions: Iterable[int]) -> None:
        """The usage partitions read here from now on; what was kept is forgotten."""
        with self._lock:
            self._wanted = frozenset(partitions)
            self._held, self._bytes = {}, 0

    def keep(self, partition: int, block: Block, value: bytes) -> None:
        """A block for a usage partition, about to be written as `value`."""
        place = partition, (block.partition, block.start)
        with self._lock:
            self._take(place)  # of one that was made anew, shorter
            size = held_bytes(block) // max(1, len(self._wanted))  # they are slices of one
            if partition in self._wanted and self._bytes + size <= self._bytes_max:
                self._held[place] = value, block, size
                self._bytes += size

    def read(self, partition: int, value: bytes) -> Block:
        """The block that a message of a usage partition holds; raises `BadMessageError` where it holds none."""
        with self._lock:
            found = self._take((partition, codec.begins(value)))
        return found[1] if found and found[0] == value else codec.decode_block(value)

    def _take(self, place: tuple[int, tuple[int, int] | None]) -> tuple[bytes, Block, int] | None:
        found = self._held.pop(place, None)
        if found:
            self._bytes -= found[2]
        return found


def held_bytes(block: Block) -> int:
    """What a block takes in memory, with those of other partitions that it is cut from."""
    return sum(int(part.get_total_buffer_size()) for part in (block.counts, block.flows, block.hits, block.items))
