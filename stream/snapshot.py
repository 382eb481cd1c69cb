"""Named arrays and byte strings as one byte string and back; nothing in it is ever executed.

    magic | length of the index | index: name, type, shape, place of each array | the arrays as they lie in memory

One copy of everything and nothing else: what it was made of may change at once, while it is written.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.errors import SnapshotError

Arrays = dict[str, NDArray[Any]]
_MAGIC: Final = b"fwarray1"
_HEAD: Final = struct.Struct("<8sQ")
_ALIGNED: Final = 64
_TYPES: Final = "biuf"


class _Place(msgspec.Struct, array_like=True):
    name: str
    type: str
    shape: tuple[int, ...]
    at: int


_INDEX: Final = msgspec.msgpack.Decoder(list[_Place])


def pack(arrays: Mapping[str, NDArray[np.generic]], words: Mapping[str, bytes]) -> memoryview:
    """Arrays (numbers and truth values) and words, copied."""
    named = {f"a.{k}": v for k, v in arrays.items()} | {f"w.{k}": np.frombuffer(v, np.uint8) for k, v in words.items()}
    places, at = [], 0
    for name, array in named.items():
        places.append(_Place(name, array.dtype.str, array.shape, at))
        at += _padded(array.nbytes)
    index = msgspec.msgpack.encode(places)
    begin = _padded(_HEAD.size + len(index))
    out = np.empty(begin + at, np.uint8)
    out[: _HEAD.size] = np.frombuffer(_HEAD.pack(_MAGIC, len(index)), np.uint8)
    out[_HEAD.size : _HEAD.size + len(index)] = np.frombuffer(index, np.uint8)
    for place, array in zip(places, named.values(), strict=True):
        _at(out, begin, place)[...] = array
    return out.data


def unpack(data: bytes | memoryview) -> tuple[Arrays, dict[str, bytes]]:
    """The inverse of `pack`; raises `SnapshotError` when damaged."""
    held = np.frombuffer(data, np.uint8)
    try:
        magic, length = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise SnapshotError("not one of this version")
        places = _INDEX.decode(held[_HEAD.size : _HEAD.size + length].tobytes())
        begin = _padded(_HEAD.size + length)
        named = {place.name: _at(held, begin, place).copy() for place in places}
    except (ValueError, TypeError, struct.error, msgspec.MsgspecError) as error:
        raise SnapshotError(f"damaged: {error}") from error
    return under(named, "a."), {name: array.tobytes() for name, array in under(named, "w.").items()}


def under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Those whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _at(held: NDArray[np.uint8], begin: int, place: _Place) -> NDArray[Any]:
    """Where an array stands; raises `ValueError` where it cannot stand there."""
    kind = np.dtype(place.type)
    if kind.kind not in _TYPES:
        raise ValueError(f"{place.name} is of type {place.type}")
    size = int(np.prod(place.shape, dtype=np.int64)) * kind.itemsize
    return held[begin + place.at : begin + place.at + size].view(kind).reshape(place.shape)


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
