"""`codec.text_hash` of all texts of a column at once, from their bytes as they lie in Arrow: XXH3 with 64 bits, seed 0.

Texts of up to 240 bytes, as nearly all are, take the short ways of the algorithm (Collet, the xxHash specification),
which are here as compiled loops; of longer ones the library is asked.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from detectors.compiled import compiled
from stream.compiled import I32, I64, U8, U64
from stream.text_bytes import lying

SHORT_MAX: Final = 240
_SECRET: Final[NDArray[np.uint8]] = np.array(list(bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)), np.uint8)  # fmt: skip
_P1, _P2, _P3 = (np.uint64(p) for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_RRMXMX, _AVALANCHE = np.uint64(0x9FB21C651E98DF25), np.uint64(0x165667919E3779F9)
_LOW: Final = np.uint64(0xFFFFFFFF)
_U1, _S8, _S16, _S24, _S28, _S29, _S32, _S33, _S35, _S37 = (
    np.uint64(s) for s in (1, 8, 16, 24, 28, 29, 32, 33, 35, 37)
)


def hashes(texts: pa.StringArray) -> U64:
    """The hash of each text, with a 0 behind the last. None of them is null."""
    out = np.zeros(len(texts) + 1, np.uint64)
    if not len(texts):
        return out
    data, offsets = lying(texts)
    for at in _short(data, offsets, _SECRET, out).tolist():
        out[at] = xxh3_64_intdigest(data[offsets[at] : offsets[at + 1]].tobytes()) or 1
    return out


@compiled
def _short(data: U8, offsets: I32, secret: U8, out: U64) -> I64:
    """Hashes of the short texts (into `out`, mutated); the places of the others."""
    long, many = np.empty(len(offsets) - 1, np.int64), 0
    for i in range(len(offsets) - 1):
        begin, size = int(offsets[i]), int(offsets[i + 1]) - int(offsets[i])
        if size > SHORT_MAX:
            long[many] = i
            many += 1
        elif size > 128:
            out[i] = max(_to_240(data, begin, size, secret), _U1)
        elif size > 16:
            out[i] = max(_to_128(data, begin, size, secret), _U1)
        else:
            out[i] = max(_to_16(data, begin, size, secret), _U1)
    return long[:many]


@compiled
def _word(data: U8, at: int) -> np.uint64:
    """Eight bytes, the lowest first."""
    out = np.uint64(0)
    for k in range(8):
        out |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return out


@compiled
def _half(data: U8, at: int) -> np.uint64:
    """Four bytes, the lowest first."""
    out = np.uint64(0)
    for k in range(4):
        out |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return out


@compiled
def _folded(a: np.uint64, b: np.uint64) -> np.uint64:
    """Both halves of a product of 128 bits, one over the other."""
    low, cross = (a & _LOW) * (b & _LOW), (a >> _S32) * (b & _LOW)
    other, high = (a & _LOW) * (b >> _S32), (a >> _S32) * (b >> _S32)
    middle = (low >> _S32) + (cross & _LOW) + other
    return ((cross >> _S32) + (middle >> _S32) + high) ^ (middle << _S32 | low & _LOW)


@compiled
def _mixed(data: U8, at: int, secret: U8, key: int) -> np.uint64:
    """Sixteen bytes."""
    return _folded(_word(data, at) ^ _word(secret, key), _word(data, at + 8) ^ _word(secret, key + 8))


@compiled
def _avalanche(h: np.uint64) -> np.uint64:
    h = (h ^ (h >> _S37)) * _AVALANCHE
    return h ^ (h >> _S32)


@compiled
def _turned(x: np.uint64, by: int) -> np.uint64:
    return x << np.uint64(by) | x >> np.uint64(64 - by)


@compiled
def _to_16(data: U8, at: int, size: int, secret: U8) -> np.uint64:
    if size > 8:
        low = _word(data, at) ^ _word(secret, 24) ^ _word(secret, 32)
        high = _word(data, at + size - 8) ^ _word(secret, 40) ^ _word(secret, 48)
        swapped = np.uint64(0)
        for k in range(8):
            swapped = swapped << _S8 | low >> np.uint64(8 * k) & np.uint64(255)
        return _avalanche(np.uint64(size) + swapped + high + _folded(low, high))
    if size > 3:
        h = _half(data, at + size - 4) + (_half(data, at) << _S32) ^ _word(secret, 8) ^ _word(secret, 16)
        h = (h ^ _turned(h, 49) ^ _turned(h, 24)) * _RRMXMX
        h = (h ^ ((h >> _S35) + np.uint64(size))) * _RRMXMX
        return h ^ (h >> _S28)
    if size > 0:
        first, middle, last = data[at], data[at + size // 2], data[at + size - 1]
        h = np.uint64(first) << _S16 | np.uint64(middle) << _S24 | np.uint64(last) | np.uint64(size) << _S8
        h ^= _half(secret, 0) ^ _half(secret, 4)
    else:
        h = _word(secret, 56) ^ _word(secret, 64)
    h = (h ^ (h >> _S33)) * _P2
    h = (h ^ (h >> _S29)) * _P3
    return h ^ (h >> _S32)


@compiled
def _to_128(data: U8, at: int, size: int, secret: U8) -> np.uint64:
    h = np.uint64(size) * _P1
    for k in range((size - 1) // 32, -1, -1):
        h += _mixed(data, at + 16 * k, secret, 32 * k) + _mixed(data, at + size - 16 * (k + 1), secret, 32 * k + 16)
    return _avalanche(h)


@compiled
def _to_240(data: U8, at: int, size: int, secret: U8) -> np.uint64:
    h = np.uint64(size) * _P1
    for k in range(8):
        h += _mixed(data, at + 16 * k, secret, 16 * k)
    h = _avalanche(h)
    for k in range(8, size // 16):
        h += _mixed(data, at + 16 * k, secret, 16 * (k - 8) + 3)
    return _avalanche(h + _mixed(data, at + size - 16, secret, 136 - 17))
