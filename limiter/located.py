"""Where clients are, for rows that do not say: country and network by the operator's own databases. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from limiter.attributes import asn_of
from schemas.decision import Decision

Known = Callable[[str | None], Mapping[str, str]]
"""`country` and `asn` of an address, as far as they are known: `limiter.places`."""
_NAMES: Final = ("country", "asn")


def located_row(decision: Decision, known: Known) -> Decision:
    """`decision` with what is known of its address where it does not say itself."""
    if decision.country is not None and decision.asn is not None:
        return decision
    place = known(decision.ip)
    if not place:
        return decision
    country = place.get("country") if decision.country is None else decision.country
    asn = asn_of(place) if decision.asn is None else decision.asn
    return msgspec.structs.replace(decision, country=country, asn=asn)


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
