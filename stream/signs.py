"""Signatures that texts of an Arrow column bear: looked for in its bytes as they lie there."""

from __future__ import annotations

import pyarrow as pa

from detectors.signatures import Signs
from stream.text_bytes import lying


def borne(signs: Signs | None, values: pa.StringArray) -> dict[int, tuple[str, ...]]:
    """Names of the signatures that distinct texts bear, by their place."""
    if signs is None or not signs.signatures or not len(values):
        return {}
    return signs.borne(*lying(values), lambda at: values[at].as_py() or "")
