"""How evenly requests are spread over values: their entropy, from a sketch of 256 sums.

Each value has a random number a register, of the one distribution (stable, of exponent 1, skewed to the left) whose
sums weighted by shares p are distributed as one of it moved by the entropy: E exp(sum p x) = exp(-H). So H is -ln of
the registers' mean. Clifford and Cosma, A simple sketching algorithm for entropy estimation over streaming data, 2013.
Registers are sums of whole numbers: neither order nor batching changes them, and those of two streams add up.
"""

from __future__ import annotations

from math import exp, log, log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from stream.compiled import I64, mixed_word

F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]
REGISTERS: Final = 256
ERROR_BITS: Final = 0.17
"""One standard deviation of what a sketch says, whatever the entropy: sqrt(3 / 256) nats is .156 bits."""
_UNIT: Final = 1 << 12  # of a register
_INDEX_BITS: Final = 14
_MASK: Final = np.uint64((1 << _INDEX_BITS) - 1)
_A_WORD: Final = 4  # places in the table from one mixed word
_U8: Final = np.uint64(8)


def _numbers() -> I64:
    """Quantiles of the distribution in whole units: its points over a low-discrepancy sequence, of mean exp(x) 1."""
    count = 1 << _INDEX_BITS
    at = np.arange(count)
    reversed_ = np.zeros(count)
    for bit in range(_INDEX_BITS):
        reversed_ += (at >> bit & 1) / 2.0 ** (bit + 1)
    angle = np.pi * ((at + 0.5) / count - 0.5)
    waited = -np.log(reversed_ + 0.5 / count)
    left = np.pi / 2 - angle
    x = np.tan(angle) * left + np.log(waited * np.cos(angle) / left)
    whole: I64 = np.rint((x - np.log(np.exp(x).mean())) * _UNIT).astype(np.int64)
    return whole


_TABLE: Final = _numbers()


@compiled
def added(mark: np.uint32, n: np.int64, registers: I64, table: I64 = _TABLE) -> None:
    """Count `n` requests of a value by its mark (`registers` is mutated)."""
    for block in range(REGISTERS // _A_WORD):
        word = mixed_word(np.uint64(mark) << _U8 | np.uint64(block))
        for k in range(_A_WORD):
            registers[block * _A_WORD + k] += n * table[word >> np.uint64(_INDEX_BITS * k) & _MASK]


@compiled
def estimated(registers: I64, n: np.int64) -> float:
    """Entropy in bits of `n` requests by what was `added` of them; from 0 to log2(n)."""
    if n < 2:
        return 0.0
    total = 0.0
    for register in registers:
        total += exp(register / (_UNIT * n))
    return min(max(-log(total / REGISTERS) / log(2.0), 0.0), log2(n))


@compiled
def exact(marks: U32, n: I64) -> float:
    """Entropy in bits of requests by value; a value may stand several times."""
    order = np.argsort(marks)
    total, parts, here = n.sum(), 0.0, np.int64(0)
    for k in range(len(order)):
        here += n[order[k]]
        if k + 1 == len(order) or marks[order[k + 1]] != marks[order[k]]:
            parts += here * log2(here) if here else 0.0
            here = np.int64(0)
    return max(log2(total) - parts / total, 0.0) if total > 0 else 0.0
