"""Bytes nobody could take, decoded as far as possible, for a person to look at. Never raises on what they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas import arrow_stream
from schemas.errors import BadMessageError

ROWS_SHOWN: Final = 5
BYTES_SHOWN: Final = 256
TEXT_SHOWN: Final = 2_000
_BLOCK_HEAD: Final = struct.Struct("<IqqqqI")
_IPC_START: Final = b"\xff\xff\xff\xff"


@dataclass(slots=True)
class Found:
    """What the bytes are: `form` json, arrow, usage-block, text or binary; `ends` says where decoding had to stop."""

    form: str
    about: dict[str, Any] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=list)
    ends: str = ""
    text: str = ""
    hexdump: list[str] = field(default_factory=list)


def dissect(value: bytes) -> Found:
    """`value`, by what it looks like and not by what its headers say."""
    if value.startswith(_IPC_START):
        return _arrow(value)
    if value[:4] in (b"\x01\0\0\0", b"\x02\0\0\0") and value[_BLOCK_HEAD.size :].startswith(_IPC_START):
        return _block(value)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        return Found("binary", ends=str(error), hexdump=list(_hexdump(value)))
    if value.lstrip()[:1] in (b"{", b"["):
        return _json(value, text)
    if not text.isprintable() and not text.strip():
        return Found("binary", hexdump=list(_hexdump(value)))
    return Found("text", text=text[:TEXT_SHOWN])


def _json(value: bytes, text: str) -> Found:
    try:
        made = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Found("json", ends=str(error), text=text[:TEXT_SHOWN])
    rows = made if isinstance(made, list) else [made]
    return Found("json", {"rows": len(rows)}, rows[:ROWS_SHOWN])


def _block(value: bytes) -> Found:
    version, partition, start, end, ts_ms_max, length = _BLOCK_HEAD.unpack_from(value)
    counts = _arrow(value[_BLOCK_HEAD.size : _BLOCK_HEAD.size + length])
    head = {"version": version, "partition": partition, "start": start, "end": end, "ts_ms_max": ts_ms_max}
    return Found("usage-block", head | counts.about, counts.rows, counts.ends, hexdump=counts.hexdump)


def _arrow(value: bytes) -> Found:
    found = Found("arrow")
    rows = batches = 0
    try:
        arrow_stream.check_size(value)
        with pa.ipc.open_stream(pa.py_buffer(value)) as reader:
            found.about["columns"] = {field.name: str(field.type) for field in reader.schema}
            found.about["metadata"] = {
                key.decode("utf-8", "replace"): said.decode("utf-8", "replace")
                for key, said in (reader.schema.metadata or {}).items()
            }
            for batch in reader:
                batches, rows = batches + 1, rows + batch.num_rows
                if len(found.rows) < ROWS_SHOWN:
                    found.rows += _rows(batch, ROWS_SHOWN - len(found.rows))
    except (pa.ArrowException, OSError, ValueError, MemoryError, struct.error) as error:
        found.ends = str(error)[:400] or type(error).__name__
        found.hexdump = list(_hexdump(value))
    found.about |= {"batches": batches, "rows": rows}
    return found


def _rows(batch: pa.RecordBatch, most: int) -> list[Any]:
    try:
        batch.validate(full=True)
        # A value of another type may be far larger than its bytes.
        plain = [field.name for field in batch.schema if arrow_stream.takes(field.type)]
        return list(batch.select(plain).slice(0, most).to_pylist())
    except (pa.ArrowException, ValueError) as error:
        raise BadMessageError("bad_arrow", "body", str(error)) from error


def _hexdump(value: bytes) -> Iterator[str]:
    for at in range(0, min(len(value), BYTES_SHOWN), 16):
        part = value[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{at:08x}  {part.hex(' '):<47}  {shown}"
