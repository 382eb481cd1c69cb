"""Words of 64 bits in which every bit moves every other (MurmurHash3's finaliser). Many at once: `exempt_kept`."""

from __future__ import annotations

from typing import Final

FIRST: Final = 0xFF51AFD7ED558CCD
SECOND: Final = 0xC4CEB9FE1A85EC53
_64_BITS: Final = (1 << 64) - 1


def scrambled(word: int) -> int:
    """`word`, scrambled: a bijection."""
    word = (word ^ (word >> 33)) * FIRST & _64_BITS
    word = (word ^ (word >> 33)) * SECOND & _64_BITS
    return word ^ (word >> 33)
