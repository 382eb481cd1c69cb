"""Bytes that claim to be an Arrow IPC stream -> a table that is safe to touch, or `BadMessageError`. Bounded memory.

What a message may become is bounded before anything is unpacked: rows and bytes by its length. lz4 makes at most 255
bytes of one, so a short message without a zstd frame in it needs no look; of others the sizes they claim are added up.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from schemas.errors import BadMessageError

UNPACKED_BYTES_MAX: Final = 64 << 20
ROWS_MAX: Final = 1 << 20
ROWS_FLOOR: Final = 8_192
ROWS_PER_BYTE: Final = 2  # lz4 could say a million equal rows in 30 kB; no gateway does
_LZ4_RATIO: Final = 255
_ZSTD: Final = b"\x28\xb5\x2f\xfd"  # every zstd frame begins with it
_READ: Final = pa.ipc.IpcReadOptions(use_threads=False)  # a thread per column costs more than a column of one message
_LAYOUTS_MAX: Final = 64
_CONTINUES: Final = b"\xff\xff\xff\xff"
_FIX: Final = "send one Arrow IPC stream"
_U16, _I32, _I64 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<q")
_DICTIONARY, _BATCH = 2, 3  # MessageHeader
_HEADER_TYPE, _HEADER = 1, 2  # slots of Message
_DATA: Final = 1  # slot of DictionaryBatch
_BUFFERS, _COMPRESSION = 2, 3  # slots of RecordBatch


@dataclass(frozen=True, slots=True)
class _Layout:
    """How streams with a schema that was found good are read: which columns, and in which order they are wanted."""

    options: pa.ipc.IpcReadOptions
    order: list[int]


_LAYOUTS: Final[dict[tuple[bytes, tuple[str, ...]], _Layout]] = {}


def read(value: bytes | memoryview, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` that the stream has, in that order and of types we take, not yet validated."""
    place = _begins(value), tuple(schema.names)
    layout = _LAYOUTS.get(place)
    table = _unpacked(value, layout.options if layout else _READ)
    rows_max = min(ROWS_MAX, max(ROWS_FLOOR, ROWS_PER_BYTE * len(value)))
    if table.num_rows > rows_max:
        raise BadMessageError("too_large", "body", f"{table.num_rows} rows", f"at most {rows_max} in so many bytes")
    if layout:  # it has been judged: what else is asked of a table hangs on its schema alone
        return table.select(layout.order)
    try:
        names = table.column_names
    except ValueError as error:
        raise BadMessageError("bad_arrow", "body", _said(error), _FIX) from error
    if len(set(names)) < len(names):
        raise BadMessageError("bad_arrow", "schema", "a column stands in it twice", "name every column once")
    known = table.select([name for name in schema.names if name in names])
    for column in known.schema:
        if not takes(column.type):
            reason = f"the column is {str(column.type)[:80]}"
            raise BadMessageError("bad_value", column.name, reason, f"send {schema.field(column.name).type}")
    if place[0]:
        _remember(place, [names.index(name) for name in known.column_names])
    return known


def _unpacked(value: bytes | memoryview, options: pa.ipc.IpcReadOptions) -> pa.Table:
    try:
        check_size(value)
        with pa.ipc.open_stream(pa.py_buffer(value), options=options) as reader:
            return reader.read_all()
    except BadMessageError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, struct.error) as error:
        raise BadMessageError("bad_arrow", "body", _said(error), _FIX) from error


def _begins(value: bytes | memoryview) -> bytes:
    """The schema of a stream as it stands there; empty for the format of before 2020, whose length stands elsewhere."""
    if value[:4] != _CONTINUES:
        return b""
    return bytes(value[: 8 + int.from_bytes(value[4:8], "little")])


def _remember(place: tuple[bytes, tuple[str, ...]], columns: list[int]) -> None:
    """Streams that begin with the same schema have it: of the next one only these columns are unpacked."""
    if len(_LAYOUTS) >= _LAYOUTS_MAX:
        _LAYOUTS.clear()
    unpacked = sorted(columns)
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=unpacked)
    _LAYOUTS[place] = _Layout(options, [unpacked.index(column) for column in columns])


def validated(table: pa.Table) -> pa.Table:
    """`table`, when every index points into its dictionary and every text is UTF-8; nothing may touch it before."""
    try:
        table.validate(full=True)
    except (pa.ArrowException, ValueError) as error:  # a name that is no UTF-8 is a UnicodeDecodeError
        raise BadMessageError("bad_arrow", "body", _said(error), _FIX) from error
    return table


def check_version(schema: pa.Schema, key: bytes, known: int) -> None:
    """Refuses what a newer version wrote; no version at all is the first."""
    stated = (schema.metadata or {}).get(key, b"1")
    if not stated.isdigit() or len(stated) > 9 or int(stated) < 1:
        reason = f"{stated[:40]!r} is no number from 1"
        raise BadMessageError("bad_value", "version", reason, f"schema metadata {key.decode()}")
    if int(stated) > known:
        raise BadMessageError(
            "future_version", "version", f"{int(stated)}, this reads up to {known}", "upgrade the reader first"
        )


def conform(table: pa.Table, schema: pa.Schema, absent: Mapping[str, int]) -> pa.RecordBatch:
    """`table` as one batch of `schema`. What it lacks is null, or what `absent` says where null cannot stand."""
    columns: list[pa.Array] = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(_cast(table.column(field.name), field))
        elif field.name in absent:
            columns.append(pa.repeat(pa.scalar(absent[field.name]).cast(field.type), table.num_rows))
        elif field.nullable:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            raise BadMessageError("missing_field", field.name, "the column is missing", f"it is {field.type}")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    try:
        if column.type == field.type and column.num_chunks == 1:
            return column.chunk(0)
        if pa.types.is_dictionary(field.type):
            merged = (
                column.unify_dictionaries()
                if pa.types.is_dictionary(column.type)
                else column.cast(pa.utf8()).dictionary_encode()
            )
            array = merged.combine_chunks()
            array = array.chunk(0) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
            return pa.array([], field.type) if isinstance(array, pa.ChunkedArray) else array.cast(field.type)
        array = column.cast(field.type).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise BadMessageError("bad_value", field.name, _said(error), f"the column is {field.type}") from error
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def takes(kind: pa.DataType) -> bool:
    """Whether we take columns of it.

    Only of types whose values take no more room once read: not views, runs or extensions, whose values may overlap.
    """
    t = pa.types
    if t.is_dictionary(kind):
        return bool(t.is_string(kind.value_type) or t.is_large_string(kind.value_type))
    plain = t.is_string(kind) or t.is_large_string(kind) or t.is_null(kind)
    return bool(plain or t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind))


def _said(error: Exception) -> str:
    return str(error)[:400] or type(error).__name__


def check_size(value: bytes | memoryview) -> None:
    """Raises `BadMessageError` when unpacking would take more than `UNPACKED_BYTES_MAX`."""
    whole = bytes(value)
    if len(whole) * _LZ4_RATIO <= UNPACKED_BYTES_MAX and whole.rfind(_ZSTD) < 0:  # twice as fast as `in`
        return
    size = 0
    messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(whole))
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            break
        size += _unpacked_bytes(message.metadata.to_pybytes(), message.body)
        if size > max(UNPACKED_BYTES_MAX, len(whole)):
            raise BadMessageError(
                "too_large", "body", f"more than {UNPACKED_BYTES_MAX} bytes unpacked", "send it in parts"
            )


def _unpacked_bytes(head: bytes, body: pa.Buffer | None) -> int:
    """What the buffers of one IPC message say they unpack to; its flatbuffer is verified already."""
    table = _I32.unpack_from(head, 0)[0]
    kind_at, at = _slot(head, table, _HEADER_TYPE), _slot(head, table, _HEADER)
    if not at or not kind_at or body is None or head[kind_at] not in (_DICTIONARY, _BATCH):
        return 0
    batch = _follow(head, at)
    if head[kind_at] == _DICTIONARY:
        data = _slot(head, batch, _DATA)
        if not data:
            return 0
        batch = _follow(head, data)
    buffers = _slot(head, batch, _BUFFERS)
    if not buffers or not _slot(head, batch, _COMPRESSION):
        return 0
    return sum(_claimed(body, *place) for place in _places(head, _follow(head, buffers)))


def _places(head: bytes, vector: int) -> list[tuple[int, int]]:
    """Offset and length of each buffer in the body."""
    count = _I32.unpack_from(head, vector)[0]
    return [
        (_I64.unpack_from(head, vector + 4 + 16 * i)[0], _I64.unpack_from(head, vector + 12 + 16 * i)[0])
        for i in range(count)
    ]


def _claimed(body: pa.Buffer, offset: int, length: int) -> int:
    """A compressed buffer begins with the length it unpacks to; -1: it is not compressed after all."""
    if length < _I64.size or offset < 0 or offset + length > body.size:
        return 0
    claimed = int(_I64.unpack_from(memoryview(body), offset)[0])
    return claimed if claimed >= 0 else length


def _slot(head: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer table stands; 0: absent."""
    vtable = table - _I32.unpack_from(head, table)[0]
    if 4 + 2 * number >= _U16.unpack_from(head, vtable)[0]:
        return 0
    offset = _U16.unpack_from(head, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _follow(head: bytes, at: int) -> int:
    return at + int(_I32.unpack_from(head, at)[0])
