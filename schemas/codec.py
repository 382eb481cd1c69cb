"""Bytes <-> decisions and usage blocks. Whatever cannot be taken raises `BadMessageError` naming the field."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest as _xxh

from schemas import arrow_stream, items, tails, topics, usage
from schemas import decision as d
from schemas.checked import check, in_range
from schemas.decision import Decision
from schemas.errors import BadMessageError

_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # a thread per column costs more
_PLAIN: Final = pa.ipc.IpcWriteOptions()
_DECISION: Final = msgspec.json.Decoder(Decision)
_DECISIONS: Final = msgspec.json.Decoder(list[Decision])
_ENCODER: Final = msgspec.json.Encoder()
_BLOCK: Final = struct.Struct("<IqqqqI")  # version, partition, start, end, ts_ms_max, length of counts
_NO_FLOWS: Final = pa.RecordBatch.from_pylist([], schema=usage.FLOWS)
_NAMES: Final = tuple(d.SCHEMA.names)
_ABSENT: Final = {"cost": 1, "status": 0}  # of columns that are never null, what a batch without them means


def encode(batch: pa.RecordBatch, *, compress: bool = True) -> bytes:
    """`batch` as an Arrow IPC stream with its schema and version, lz4 unless told otherwise."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_LZ4 if compress else _PLAIN) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode(value: bytes, content_type: str | None) -> pa.RecordBatch:
    """Decisions of one message: a batch of `decision.SCHEMA`, checked.

    `content_type` may be missing: JSON begins with `{`, `[` or white space, which Arrow never does.
    """
    if _kind(value, content_type) == topics.JSON:
        return from_rows(rows_from_json(value))
    return decisions_from_arrow(value)


def decisions_from_arrow(value: bytes) -> pa.RecordBatch:
    """An Arrow IPC stream as a batch of `decision.SCHEMA`: columns it lacks are null, those we do not know dropped."""
    table = arrow_stream.read(value, d.SCHEMA)
    arrow_stream.check_version(table.schema, d.VERSION_KEY, d.VERSION)
    return check(arrow_stream.conform(arrow_stream.validated(table), d.SCHEMA, _ABSENT))


def decode_many(messages: Sequence[tuple[bytes, str | None]], columns: tuple[str, ...]) -> pa.RecordBatch:
    """Decisions of several messages (value, content type) in their order, only `columns`, checked once.

    Raises `BadMessageError` when any of them is bad, without telling which: then judge each by `decode`.
    """
    return decode_each(messages, columns)[0]


def decode_each(
    messages: Sequence[tuple[bytes, str | None]], columns: tuple[str, ...]
) -> tuple[pa.RecordBatch, list[int]]:
    """`decode_many`, and how many rows of it each message holds."""
    schema = pa.schema([d.SCHEMA.field(name) for name in columns])
    tables: list[pa.Table] = []
    lengths: list[int] = []
    rows: list[Decision] = []  # of JSON messages one after the other: columns are made of them together
    for value, content_type in messages:
        _sized(value)
        if _kind(value, content_type) == topics.JSON:
            found = rows_from_json(value)
            rows += found
            lengths.append(len(found))
            continue
        if rows:
            tables.append(_columns(rows, schema))
            rows = []
        tables.append(_light(value, schema))
        lengths.append(tables[-1].num_rows)
    if rows or not tables:
        tables.append(_columns(rows, schema))
    return check(arrow_stream.conform(arrow_stream.validated(pa.concat_tables(tables)), schema, _ABSENT)), lengths


def rows_from_json(value: bytes) -> list[Decision]:
    """A JSON object or array of objects as rows; types and names are checked, values by `check`."""
    try:
        if value.lstrip()[:1] == b"[":
            return _DECISIONS.decode(value)
        return [_DECISION.decode(value)]
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `$")
        where = at.rstrip("`").lstrip(".")
        named = _quoted(reason) if "field `" in reason else ""  # a missing or unknown field is named in the reason only
        field = ".".join(part for part in (where, named) if part) or "body"
        raise BadMessageError("bad_value", field, reason, "see the Decision columns in ARCHITECTURE.md") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("bad_json", "body", str(error), "send one JSON object or an array of objects") from error


def rows_to_json(rows: Sequence[Decision]) -> bytes:
    """Rows as a JSON array; absent columns are left out."""
    return _ENCODER.encode(rows)


def from_rows(rows: Sequence[Decision]) -> pa.RecordBatch:
    """Rows as a checked batch of `decision.SCHEMA`."""
    values = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else [()] * len(_NAMES)
    # Not strict: a labelled row has one more.
    columns = [_column(field, each) for field, each in zip(d.SCHEMA, values, strict=False)]
    return check(pa.RecordBatch.from_arrays(columns, schema=d.SCHEMA))


def to_rows(batch: pa.RecordBatch) -> list[Decision]:
    """A batch of `decision.SCHEMA` as rows."""
    columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in _NAMES}
    return [Decision(**dict(zip(_NAMES, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def encode_block(block: usage.Block) -> bytes:
    """A usage block as one message value: a fixed header, the counts stream, the flows stream.

    Where there are items their stream follows, and where there are hits theirs, each with its length and a mark: behind
    the end of the flows, where older readers do not look.
    """
    counts = encode(block.counts, compress=block.counts.num_rows > 64)
    head = _BLOCK.pack(usage.VERSION, block.partition, block.start, block.end, block.ts_ms_max, len(counts))
    value = head + counts + encode(block.flows, compress=block.flows.num_rows > 64)
    if block.items.num_rows:
        value += tails.tail(encode(block.items, compress=block.items.num_rows > 64), tails.ITEMS)
    if block.hits.num_rows:
        value += tails.tail(encode(block.hits, compress=block.hits.num_rows > 64), tails.HITS)
    return value


def begins(value: bytes) -> tuple[int, int] | None:
    """Which decisions partition a usage block is of, and where it starts there; None: it is none."""
    if len(value) < _BLOCK.size:
        return None
    _, partition, start, *_ = _BLOCK.unpack_from(value)
    return partition, start


def decode_block(value: bytes, *, flows: bool = True) -> usage.Block:
    """The inverse of `encode_block`; without `flows` those, items and hits are not read, and the block has none."""
    if len(value) < _BLOCK.size:
        raise BadMessageError("bad_arrow", "header", f"{len(value)} bytes", "a usage block has a 40-byte header")
    version, partition, start, end, ts_ms_max, length = _BLOCK.unpack_from(value)
    if version > usage.VERSION:
        raise BadMessageError(
            "future_version", "version", f"{version}, this worker reads up to {usage.VERSION}", "upgrade it"
        )
    view = memoryview(value)[_BLOCK.size :]
    counts, kept = _rows_of_block(view[:length], usage.COUNTS)
    if not flows:
        return usage.Block(partition, start, end, ts_ms_max, counts, _NO_FLOWS)
    rest, of_hits = tails.taken(view[length:], tails.HITS)
    rest, of_items = tails.taken(rest, tails.ITEMS)
    read, _ = _rows_of_block(rest, usage.FLOWS)
    hits = usage.NO_HITS if of_hits is None else _rows_of_block(of_hits, usage.HITS)[0]
    found = usage.NO_ITEMS if of_items is None else items.decoded(of_items, kept)
    return usage.Block(partition, start, end, ts_ms_max, counts, read, hits, found)


def _rows_of_block(value: memoryview, schema: pa.Schema) -> tuple[pa.RecordBatch, np.ndarray[Any, np.dtype[np.bool_]]]:
    """A part of a block, without rows of kinds that only a newer worker knows, and which rows it has left.

    Numbers it lacks are 0.
    """
    table = arrow_stream.validated(arrow_stream.read(value, schema))
    for name in usage.REQUIRED:
        if name not in table.column_names:
            raise BadMessageError("missing_field", name, "the column is missing", f"it is {schema.field(name).type}")
    zeros = {f.name: 0 for f in schema if not pa.types.is_dictionary(f.type)}
    batch = arrow_stream.conform(table, schema, zeros)
    for name in zeros:
        if batch.column(name).null_count:
            raise BadMessageError("bad_value", name, "null", "every row needs a value")
    if batch.num_rows:
        in_range(batch, "pane_s", d.TS_MS_MIN // 1000, d.TS_MS_MAX // 1000, "an epoch second")
    kept: np.ndarray[Any, np.dtype[np.bool_]] = batch.column("kind").to_numpy() <= max(usage.Kind)
    return batch if kept.all() else batch.filter(pa.array(kept)), kept


def text_hashes(values: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Stable 64-bit hashes of a dictionary-encoded text column, row by row; 0 for null. Hashes distinct values only."""
    table = distinct_hashes(values.dictionary)
    indices = values.indices
    if not indices.null_count:
        rows: np.ndarray[tuple[int], np.dtype[np.uint64]] = table[indices.to_numpy(zero_copy_only=False)]
        return rows
    filled = indices.fill_null(0).to_numpy(zero_copy_only=False)
    hashes = table[filled] if len(table) else np.zeros(len(filled), np.uint64)
    hashes[indices.is_null().to_numpy(zero_copy_only=False)] = 0
    return hashes


def distinct_hashes(texts: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """`text_hash` of each of `texts`, which are distinct and not null (a dictionary)."""
    return np.fromiter(map(text_hash, texts.to_pylist()), np.uint64, len(texts))


def _kind(value: bytes, content_type: str | None) -> str:
    kind = (content_type or "").partition(";")[0].strip().lower()
    if not kind:
        return topics.JSON if value[:1] in (b"{", b"[", b" ", b"\n", b"\r", b"\t") else topics.ARROW
    if kind not in (topics.JSON, topics.ARROW):
        raise BadMessageError(
            "content_type", topics.CONTENT_TYPE, f"{kind!r} is not known", f"send {topics.ARROW} or {topics.JSON}"
        )
    return kind


def _sized(value: bytes) -> None:
    if len(value) > topics.MESSAGE_BYTES_MAX:
        fix = f"send at most {topics.MESSAGE_BYTES_MAX} bytes a message"
        raise BadMessageError("too_large", "body", f"{len(value)} bytes", fix)


def _columns(rows: Sequence[Decision], schema: pa.Schema) -> pa.Table:
    """Some columns of rows, all of whose values are judged."""
    return pa.table(from_rows(rows).select(schema.names)).replace_schema_metadata(None)


def _light(value: bytes, schema: pa.Schema) -> pa.Table:
    """Some columns of one message in Arrow, its values not looked at yet."""
    table = arrow_stream.read(value, schema)
    arrow_stream.check_version(table.schema, d.VERSION_KEY, d.VERSION)
    if table.schema.equals(schema):
        return table.replace_schema_metadata(None)
    return pa.table(arrow_stream.conform(arrow_stream.validated(table), schema, _ABSENT)).replace_schema_metadata(None)


def _column(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    try:
        if pa.types.is_dictionary(field.type):
            return pa.array(values, pa.utf8()).dictionary_encode()
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise BadMessageError("bad_value", field.name, str(error), f"the column is {field.type}") from error


def _quoted(text: str) -> str:
    parts = text.split("`")
    return parts[-2] if len(parts) > 2 else ""


def text_hash(value: str | None) -> int:
    """The stable 64-bit hash of one text; 0 for None, and never 0 for a text."""
    return 0 if value is None else (_xxh(value.encode("utf-8", "surrogatepass")) or 1)
