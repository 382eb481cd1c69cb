"""Our own traces: decisions as JSONL or Arrow IPC files, with the column `label` where they were simulated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import codec
from schemas.decision import SCHEMA, TEXT_COLUMNS, VERSION_KEY, Decision
from schemas.errors import BadMessageError

LABEL: Final = "label"
ARROW_MAGIC: Final = b"ARROW1"
_NAMES: Final = tuple(SCHEMA.names)


class Labelled(NamedTuple):
    """Decisions and, row by row, what they truly were."""

    batch: pa.RecordBatch
    labels: NDArray[np.object_]


def is_attack(labels: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which rows belong to an attack."""
    return np.fromiter((label.startswith("attack/") for label in labels), np.bool_, len(labels))


class LabelledDecision(Decision, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A decision and what it truly was: empty, `benign/CASE` or `attack/FAMILY/STRENGTH/INCIDENT`."""

    label: str = ""


_LINE: Final = msgspec.json.Decoder(LabelledDecision)
_LINES: Final = msgspec.json.Decoder(list[LabelledDecision])
_ENCODER: Final = msgspec.json.Encoder()
# Text stands plain in a file: an IPC file may not replace a column's dictionary between batches.
_FILE_SCHEMA: Final = pa.schema(
    [*(pa.field(f.name, pa.utf8() if f.name in TEXT_COLUMNS else f.type) for f in SCHEMA), (LABEL, pa.utf8())],
    metadata=SCHEMA.metadata,
)


def rows_of_line(line: bytes) -> list[LabelledDecision]:
    """The rows of one JSONL line: an object, or an array of them.

    Raises:
        BadMessageError: naming what is wrong with it.
    """
    try:
        return _LINES.decode(line) if line.lstrip()[:1] == b"[" else [_LINE.decode(line)]
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `$")
        raise BadMessageError("bad_value", at.rstrip("`").lstrip(".") or "row", reason) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessageError("bad_json", "line", "not JSON") from error


def labelled(rows: Sequence[Decision]) -> Labelled:
    """Rows as a checked batch and their labels; rows without one count as ordinary good traffic."""
    labels = np.array([row.label if isinstance(row, LabelledDecision) else "" for row in rows], object)
    return Labelled(codec.from_rows(rows), labels)


def write_jsonl(parts: Iterable[Labelled], file: IO[bytes]) -> Iterator[int]:
    """Write each part, a row a line; gives back after each how many rows it had."""
    for batch, labels in parts:
        file.write(_ENCODER.encode_lines(list(labelled_rows(batch, labels))))
        yield batch.num_rows


def labelled_rows(batch: pa.RecordBatch, labels: NDArray[np.object_]) -> Iterator[LabelledDecision]:
    """A batch as rows with their labels."""
    columns: list[list[Any]] = [batch.column(name).to_pylist() for name in _NAMES]
    names = (*_NAMES, LABEL)
    for row in zip(*columns, labels.tolist(), strict=True):
        yield LabelledDecision(**dict(zip(names, row, strict=True)))


def write_arrow(parts: Iterable[Labelled], file: IO[bytes]) -> Iterator[int]:
    """Write each part as one batch of an Arrow IPC file; gives back after each how many rows it had."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(file, _FILE_SCHEMA, options=options) as writer:
        for batch, labels in parts:
            columns = [batch.column(name).cast(_FILE_SCHEMA.field(name).type) for name in _NAMES]
            columns.append(pa.array(labels.tolist(), pa.utf8()))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_FILE_SCHEMA))
            yield batch.num_rows


def read_arrow(file: IO[bytes]) -> Iterator[Labelled]:
    """Batches of an Arrow IPC file; columns it lacks are null, those we do not know are dropped.

    Raises:
        BadMessageError: the file is damaged, made by a newer version, or a value is none we take.
    """
    try:
        reader = pa.ipc.open_file(file)
        stated = (reader.schema.metadata or {}).get(VERSION_KEY)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if LABEL in batch.schema.names:
                told = np.array([text or "" for text in batch.column(LABEL).to_pylist()], object)
            else:
                told = np.full(batch.num_rows, "", object)
            kept = [name for name in _NAMES if name in batch.schema.names]
            plain = batch.select(kept).replace_schema_metadata({VERSION_KEY: stated} if stated else None)
            yield Labelled(codec.decode(codec.encode(plain, compress=False), None), told)
    except pa.ArrowException as error:
        raise BadMessageError("bad_arrow", "file", str(error) or type(error).__name__) from error
