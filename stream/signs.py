"""Signatures that texts of an Arrow column bear: looked for in its bytes as they lie there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detectors.signatures import Signs


def borne(signs: Signs | None, values: pa.StringArray) -> dict[int, tuple[str, ...]]:
    """Names of the signatures that distinct texts bear, by their place."""
    if signs is None or not signs.signatures or not len(values):
        return {}
    _, places, held = values.buffers()
    offsets = np.frombuffer(places, np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8)
    return signs.borne(data, offsets, lambda at: values[at].as_py() or "")
