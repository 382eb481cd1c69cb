"""Named arrays and byte strings as one byte string and back; nothing in it is ever executed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import SnapshotError

Arrays = dict[str, NDArray[Any]]


def pack(arrays: Mapping[str, NDArray[np.generic]], words: Mapping[str, bytes]) -> bytes:
    """A zip of .npy files, uncompressed; byte strings stand in it as arrays of bytes."""
    sink = io.BytesIO()
    named = {f"a.{k}": v for k, v in arrays.items()} | {f"w.{k}": np.frombuffer(v, np.uint8) for k, v in words.items()}
    np.savez(sink, allow_pickle=False, **named)
    return sink.getvalue()


def unpack(data: bytes) -> tuple[Arrays, dict[str, bytes]]:
    """The inverse of `pack`; raises `SnapshotError` when damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            named = {name: held[name] for name in held.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SnapshotError(f"damaged: {error}") from error
    return under(named, "a."), {name: array.tobytes() for name, array in under(named, "w.").items()}


def under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Those whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
