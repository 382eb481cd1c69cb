"""Where clients are, for rows whose source did not say: country and network by the operator's own databases. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from limiter.ingest.reader import Read, Reader

Known = Callable[[str | None], Mapping[str, str]]
"""`country` and `asn` of an address, as far as they are known: `limiter.places`."""
_NAMES: Final = ("country", "asn")


class Located:
    """A reader whose batches say where clients are; what the source says goes before."""

    def __init__(self, reader: Reader, known: Known) -> None:
        self._reader = reader
        self._known = known

    def read(self, values: Sequence[bytes]) -> Read:
        """Decisions of `values` in their order. Never raises on what they hold."""
        found = self._reader.read(values)
        return replace(found, batches=[located(batch, self._known) for batch in found.batches])


def located(batch: pa.RecordBatch, known: Known) -> pa.RecordBatch:
    """`batch` with what is known of each distinct address where its own column is null."""
    missing = [name for name in _NAMES if batch.column(name).null_count]
    addresses = batch.column("ip")
    if not missing or addresses.null_count == len(addresses):
        return batch
    places = [known(text) for text in addresses.dictionary.to_pylist()]
    for name in missing:
        at = batch.schema.get_field_index(name)
        plain = pa.uint32() if name == "asn" else pa.utf8()
        said = [place.get(name) for place in places]
        values = pa.array([int(text) if text is not None else None for text in said] if name == "asn" else said, plain)
        whole = pc.coalesce(batch.column(at).cast(plain), values.take(addresses.indices))
        kind = batch.schema.field(at)
        column = whole if kind.type == plain else whole.dictionary_encode().cast(kind.type)
        batch = batch.set_column(at, kind, column)
    return batch
