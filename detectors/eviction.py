"""Who stays when there are too many to hold: suspects, heavy hitters, regulars, then the newest.

    |-- evidence --|-- heavy --|-- regulars --|------ newest ------|........ gone
        a quarter    a quarter   half the rest           3/4 of size

Heavy is meant as Misra and Gries (Finding repeated elements, 1982) mean it, purged in bulk: every purge takes the same
off all weights, as much as the heaviest beyond a quarter of `size` has. So whoever makes more than 4/size of all
requests weighs something after every purge, whatever the stream, and stays. Who goes depends on what was fed in
alone, never on a clock or on the order in memory: ties are broken by hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Flag = NDArray[np.bool_]
ALIVE: Final = 0.5  # of the threshold: evidence from which on others who hold something of a suspect hold on to it
QUARTER: Final = 4
LEAVE: Final = 0.75  # of the bound is left after a purge, so that the next one is some way off
_TIER: Final = np.uint64(61)  # bits below it say how long ago, or how light
_DIGIT_BITS: Final = 11
_U0: Final = np.uint64(0)
_FREE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Room:
    """What may stay: so many, and where each costs something (at least 0), as many as cost `total` together."""

    count: int
    cost: I64 = field(default_factory=lambda: _FREE)
    total: int = 0


def staying(ids: U64, weight: I64, last: I64, evidence: F64, regular: Flag, size: int, room: Room) -> NDArray[np.intp]:
    """Places of those who stay, ascending: of the order in which they are worth keeping so many as there is room for.

    `weight` is mutated: see above. `last` is when each was last seen, `evidence` what stands against it as a share of
    the threshold. `size` is the bound.
    """
    quarter = max(1, size // QUARTER)
    suspects = np.flatnonzero(evidence > 0)
    if len(suspects) > quarter:
        suspects = suspects[np.lexsort((ids[suspects], -last[suspects], -evidence[suspects]))[:quarter]]
    if len(weight) > quarter:
        weight -= np.partition(weight, -quarter - 1)[-quarter - 1]
        np.maximum(weight, 0, out=weight)
    tier = np.full(len(ids), 3, np.uint8)
    tier[weight > 0] = 1
    tier[suspects] = 0
    light = np.flatnonzero((tier == 3) & regular)
    most = max(0, int(size * LEAVE) - int((tier < 3).sum())) // 2
    tier[light[foremost(_worth(last[light]), ids[light], _FREE, most, 0)]] = 2
    first = tier.astype(np.uint64) << _TIER | _worth(np.where(tier == 1, weight, last))
    return np.flatnonzero(foremost(first, ids, room.cost, room.count, room.total))


def _worth(values: I64) -> U64:
    """Numbers that are the less, the greater the values: these differ by less than 2^61."""
    worth: U64 = (values.max(initial=0) - values).astype(np.uint64)
    return worth


@compiled
def foremost(first: U64, second: U64, cost: I64, count: int, total: int) -> Flag:
    """Which rows are at the front of those sorted by `first`, then `second`, then place, without sorting them.

    `count` rows at the most, and no more than cost `total` together; no `cost`: nothing. Rows are dealt out by the
    highest digit in which they differ: all before the digit where room ends are in, and only its own are gone on with.
    """
    inside, at = np.zeros(len(first), np.bool_), np.arange(len(first))
    for keys in (first, second):
        bits = _bits(keys, at)
        while bits > 0:
            at, count, total = _dealt(keys, max(bits - _DIGIT_BITS, 0), at, cost, (count, total), inside)
            bits = _bits(keys, at)
    for i in at:
        count -= 1
        total -= cost[i] if len(cost) else 0
        if count < 0 or total < 0:
            break
        inside[i] = True
    return inside


@compiled
def _bits(keys: U64, at: I64) -> int:
    """From which bit up the keys of some rows agree; 0: in all."""
    differ, bits = _U0, 0
    for i in at:
        differ |= keys[i] ^ keys[at[0]]
    while bits < 64 and differ >> np.uint64(bits) != 0:
        bits += 1
    return bits


@compiled
def _dealt(keys: U64, low: int, at: I64, cost: I64, room: tuple[int, int], inside: Flag) -> tuple[I64, int, int]:
    """The rows `at` (mutated) of the digit from bit `low` on in which `room` ends, and what room is left for them.

    All of smaller digits are `inside` (mutated).
    """
    count, total = room
    shift, mask = np.uint64(low), np.uint64((1 << _DIGIT_BITS) - 1)
    number, taken = np.zeros(1 << _DIGIT_BITS, np.int64), np.zeros(1 << _DIGIT_BITS, np.int64)
    for i in at:
        d = np.int64(keys[i] >> shift & mask)
        number[d] += 1
        taken[d] += cost[i] if len(cost) else 0
    digit, rest = 0, 0
    while digit < len(number) and number[digit] <= count and taken[digit] <= total:
        count -= number[digit]
        total -= taken[digit]
        digit += 1
    for i in at:
        d = np.int64(keys[i] >> shift & mask)
        inside[i] |= d < digit
        if d == digit:
            at[rest] = i
            rest += 1
    return at[:rest], count, total
