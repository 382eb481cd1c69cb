"""Any bytes give rows or `BadMessageError`: never another error, nor more memory than a message may take."""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import arrow_stream, codec, topics, usage
from schemas import decision as d
from schemas.decision import Decision
from schemas.errors import BadMessageError

NOW_MS = 1_760_000_000_000
COLUMNS = ("ts_ms", "verdict", "ip", "path", "latency_ms", "cost", "status")
ROWS = [
    Decision(ts_ms=NOW_MS, verdict="allow", ip="192.0.2.1", path="/a", latency_ms=1.5),
    Decision(ts_ms=NOW_MS + 1, verdict="limit", user="ann", status=429),
]
COUNT = {"kind": 0, "hash": 7, "entity": "192.0.2.1", "pane_s": NOW_MS // 1000, "n": 3}
ZERO = {f.name: 0 for f in usage.COUNTS if not pa.types.is_dictionary(f.type)}
BLOCK = usage.Block(
    partition=2,
    start=10,
    end=12,
    ts_ms_max=NOW_MS,
    counts=pa.RecordBatch.from_pylist([ZERO | COUNT], usage.COUNTS),
    flows=pa.RecordBatch.from_pylist([], usage.FLOWS),
)
SEEDS = {
    "arrow": codec.encode(codec.from_rows(ROWS)),
    "arrow, plain": codec.encode(codec.from_rows(ROWS), compress=False),
    "json": codec.rows_to_json(ROWS),
    "block": codec.encode_block(BLOCK),
}


def take(value: bytes) -> None:
    """Every way bytes come in; whatever is given back is touched."""
    for content_type in (None, topics.ARROW, topics.JSON):
        for read in (
            lambda: codec.to_rows(codec.decode(value, content_type)),  # noqa: B023 - called at once
            lambda: codec.decode_many([(value, content_type)], COLUMNS).to_pylist(),  # noqa: B023
        ):
            refused(read)
    refused(lambda: codec.decode_block(value))


def refused(read: Callable[[], object]) -> BadMessageError | None:
    try:
        read()
    except BadMessageError as error:
        found = error
    else:
        return None
    assert found.code
    assert found.field
    assert found.reason
    return found


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    value = bytearray(draw(st.sampled_from(sorted(SEEDS.values()))))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(value) - 1)))
        match draw(st.sampled_from(("flip", "word", "cut", "insert", "drop"))):
            case "flip":
                value[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "word":  # lengths and offsets are words
                at -= at % 4
                word = draw(st.sampled_from((0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x8000_0000, 0x0001_0000)))
                value[at : at + 4] = struct.pack("<I", word)
            case "cut":
                del value[at:]
            case "insert":
                value[at:at] = draw(st.binary(max_size=20))
            case _:
                del value[at : at + draw(st.integers(1, 40))]
    return bytes(value)


@given(damaged())
def test_damaged_bytes_give_rows_or_a_named_error(value: bytes) -> None:
    take(value)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_rows_or_a_named_error(value: bytes) -> None:
    take(value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(d.SCHEMA.names), inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_any_json_gives_rows_or_a_named_error(value: object) -> None:
    take(msgspec.json.encode(value))


def batch(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    n = len(next(iter(columns.values())))
    given = {"ts_ms": pa.array(np.full(n, NOW_MS)), "verdict": pa.array(["allow"] * n).dictionary_encode()}
    return pa.record_batch({**given, **columns})


def packed(made: pa.RecordBatch, compression: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(made)
    return bytes(sink.getvalue())


BOMBS = {
    "zstd of zeros": lambda: packed(batch({"unknown": pa.array(np.zeros(16_000_000, np.int64))}), "zstd"),
    "lz4 of zeros": lambda: packed(batch({"unknown": pa.array(np.zeros(10_000_000, np.int64))}), "lz4"),
    "rows without bytes": lambda: packed(pa.record_batch({"ts_ms": pa.nulls(1 << 28)}), "lz4"),
    "many equal rows": lambda: packed(batch({"cost": pa.array(np.ones(900_000, np.int32))}), "lz4"),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_small_message_that_unpacks_into_a_large_one_is_refused(name: str) -> None:
    value = BOMBS[name]()
    assert len(value) < topics.MESSAGE_BYTES_MAX
    gc.collect()
    before = pa.default_memory_pool().bytes_allocated()
    error = refused(lambda: codec.decode(value, topics.ARROW))
    assert error is not None
    assert error.code == "too_large"
    error = None  # its traceback holds what was read
    gc.collect()
    assert pa.default_memory_pool().bytes_allocated() <= before + 1_000


def test_a_length_that_no_memory_holds_is_refused_before_it_is_asked_for() -> None:
    value = bytearray(packed(batch({"cost": pa.array(np.arange(50_000, dtype=np.int32))}), "zstd"))
    sizes = [at for at in range(len(value) - 8) if value[at : at + 8] == struct.pack("<q", 200_000)]
    assert sizes, "the length of the compressed column stands in front of it"
    for at in sizes:
        value[at : at + 8] = struct.pack("<q", 1 << 45)
    error = refused(lambda: codec.decode(bytes(value), topics.ARROW))
    assert error is not None
    assert error.code == "too_large"


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x"] * 3, pa.string_view()),
        pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), pa.array(["x"])),
        pa.array([["x"]] * 3),
        pa.array([{"x": 1}] * 3),
        pa.array([b"x"] * 3),
        pa.array([b"x"] * 3).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_of_a_type_whose_values_may_overlap_or_nest_is_refused(column: pa.Array) -> None:
    error = refused(lambda: codec.decode(codec.encode(batch({"ip": column})), topics.ARROW))
    assert error is not None
    assert (error.code, error.field) == ("bad_value", "ip")
    other = codec.decode(codec.encode(batch({"colour": column})), topics.ARROW)
    assert other.num_rows == 3, "what is in no column of ours is not looked at"


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"ts_ms": pa.array([NOW_MS, None])}, "ts_ms"),
        ({"verdict": pa.array(["allow", None]).dictionary_encode()}, "verdict"),
        ({"status": pa.array([200, None], pa.int16())}, "status"),
        ({"ts_ms": pa.array([NOW_MS, 5])}, "ts_ms"),
        ({"ts_ms": pa.array([NOW_MS, 2**62])}, "ts_ms"),
        ({"latency_ms": pa.array([1.0, float("inf")])}, "latency_ms"),
        ({"latency_ms": pa.array([1.0, float("nan")])}, "latency_ms"),
        ({"latency_ms": pa.array([1.0, -1.0])}, "latency_ms"),
    ],
)
def test_nulls_where_none_may_stand_and_absurd_numbers_name_their_column(
    columns: dict[str, pa.Array], field: str
) -> None:
    error = refused(lambda: codec.decode(codec.encode(batch(columns)), topics.ARROW))
    assert error is not None
    assert (error.code, error.field) == ("bad_value", field)


@pytest.mark.parametrize("version", [b"0", b"-1", b"two", b"9" * 5000, b""])
def test_a_version_that_is_no_number_is_refused(version: bytes) -> None:
    made = batch({"ip": pa.array(["192.0.2.1"])}).replace_schema_metadata({d.VERSION_KEY: version})
    error = refused(lambda: codec.decode(codec.encode(made), topics.ARROW))
    assert error is not None
    assert error.field == "version"


def test_json_nested_deeper_than_any_stack_is_refused() -> None:
    for value in (b"[" * 100_000, b'{"ts_ms":' * 100_000, b'[{"ip":' + b"[" * 100_000):
        error = refused(lambda value=value: codec.decode(value, topics.JSON))  # type: ignore[misc]
        assert error is not None


def test_a_message_as_large_as_ours_may_be_is_taken() -> None:
    n = 60_000
    rng = np.random.default_rng(1)
    made = batch({"ip": pa.array([f"198.51.{a}.{b}" for a, b in rng.integers(0, 255, (n, 2))])})
    value = codec.encode(made)
    assert len(value) > arrow_stream.UNPACKED_BYTES_MAX // 255, "so large that it is looked at before it is unpacked"
    assert codec.decode(value, topics.ARROW).num_rows == n
