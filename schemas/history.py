"""Which addresses a key or an account is known from: what the stream tells of it, and how it travels.

A sight is an owner seen to fare well somewhere, first and last when: an account with a client
(`schemas.networks.subscriber`), a key in a network (`schemas.networks.origin`). The topic
`history` holds each partition's sights in `SLICES` records, each whole and newer than the one before, so that reading
it from its beginning gives all there is, and to read or to write one twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import arrow_stream, codec
from schemas.errors import BadMessageError

VERSION: Final = 1
VERSION_KEY: Final = b"floodwarden.history"
SLICES: Final = 16
SIGHT_BYTES: Final = 25
KEPT_S: Final = 30 * 86_400  # who was not seen for so long is not known any more
SCHEMA: Final = pa.schema(
    [
        ("kind", pa.uint8()),  # `schemas.usage.Kind`: a KEY, or a USER who signed in
        ("owner", pa.uint64()),  # hash of the key or the account
        ("subscriber", pa.uint64()),
        ("first_s", pa.uint32()),  # event time, epoch seconds
        ("last_s", pa.uint32()),
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)


@dataclass(frozen=True, slots=True)
class Sights:
    """Columns of `SCHEMA`, one row a pair."""

    kind: NDArray[np.uint8]
    owner: NDArray[np.uint64]
    subscriber: NDArray[np.uint64]
    first_s: NDArray[np.uint32]
    last_s: NDArray[np.uint32]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.owner)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def known(self, seconds: int, before_s: int) -> NDArray[np.bool_]:
        """Which are known: seen over `seconds` or longer, and first so long before `before_s`.

        What begins with an attack, or just before it, is not known for having gone on for long.
        """
        first, last = self.first_s.astype(np.int64), self.last_s.astype(np.int64)
        known: NDArray[np.bool_] = (last - first >= seconds) & (first + seconds <= before_s)
        return known

    @classmethod
    def concat(cls, parts: list[Self]) -> Self:
        """All of `parts`."""
        if not parts:
            return cls(*(np.empty(0, f.type.to_pandas_dtype()) for f in SCHEMA))
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def record_key(partition: int, part: int) -> bytes:
    """Under which slice `part` of a usage partition stands in the topic."""
    return f"{partition}:{part}".encode()


def encode(sights: Sights) -> bytes:
    """A slice as the value of its record."""
    columns = [pa.array(getattr(sights, field.name), field.type) for field in SCHEMA]
    return codec.encode(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))


def decode(value: bytes) -> Sights:
    """The inverse of `encode`. Raises `BadMessageError`, which names what is wrong."""
    table = arrow_stream.validated(arrow_stream.read(value, SCHEMA))
    arrow_stream.check_version(table.schema, VERSION_KEY, VERSION)
    for field in SCHEMA:
        if field.name not in table.column_names:
            raise BadMessageError("missing_field", field.name, "the column is missing", f"it is {field.type}")
    batch = arrow_stream.conform(table, SCHEMA, {})
    for name in SCHEMA.names:
        if batch.column(name).null_count:
            raise BadMessageError("bad_value", name, "null", "every row needs a value")
    return Sights(*(batch.column(name).to_numpy() for name in SCHEMA.names))
