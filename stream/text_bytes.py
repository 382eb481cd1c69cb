"""The bytes of an Arrow column of texts, as they lie there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detectors.compiled import unwritten
from stream.compiled import I32, U8


def lying(texts: pa.StringArray) -> tuple[U8, I32]:
    """Bytes, and where in them each text begins and the last one ends.

    Not to be written to, whatever they were: what came in a message cannot be, and loops would be compiled for both.
    """
    _, places, held = texts.buffers()
    offsets = unwritten(np.frombuffer(places, np.int32))[texts.offset : texts.offset + len(texts) + 1]
    return unwritten(np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8)), offsets
