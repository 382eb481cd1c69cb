from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, topics, usage
from schemas import decision as d
from schemas.dead_letter import Origin, headers
from schemas.decision import Decision
from schemas.errors import BadMessageError

NOW_MS = 1_760_000_000_000
text = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
decisions = st.builds(
    Decision,
    ts_ms=st.integers(d.TS_MS_MIN, d.TS_MS_MAX),
    verdict=st.sampled_from(d.VERDICTS),
    shadow=st.none() | st.sampled_from(d.VERDICTS),
    node=text, tenant=text, ip=text, user=text, key_id=text, method=text, route=text, path=text, rule=text,
    tier=text, ua=text, country=text,
    path_hash=st.none() | st.integers(0, 2**64 - 1),
    cost=st.integers(0, d.COST_MAX),
    status=st.integers(0, 599),
    latency_ms=st.none() | st.floats(0, 1e6, width=32),
    asn=st.none() | st.integers(0, 2**32 - 1),
)  # fmt: skip


def row(**values: object) -> Decision:
    return Decision(**({"ts_ms": NOW_MS, "verdict": "allow"} | values))  # type: ignore[arg-type]


@given(st.lists(decisions, max_size=30))
def test_rows_survive_arrow_and_json_unchanged(rows: list[Decision]) -> None:
    assert codec.to_rows(codec.decode(codec.encode(codec.from_rows(rows)), topics.ARROW)) == rows
    assert codec.to_rows(codec.decode(codec.rows_to_json(rows), topics.JSON)) == rows


def test_one_json_object_is_one_decision() -> None:
    batch = codec.decode(
        b'{"ts_ms":1760000000000,"verdict":"limit","ip":"192.0.2.1"}', "application/json; charset=utf-8"
    )
    assert codec.to_rows(batch) == [row(verdict="limit", ip="192.0.2.1")]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"ts_ms":1760000000000}', "bad_value", "verdict"),
        (b'{"ts_ms":"now","verdict":"allow"}', "bad_value", "ts_ms"),
        (b'{"ts_ms":5,"verdict":"allow"}', "bad_value", "ts_ms"),
        (b'{"ts_ms":1760000000000,"verdict":"maybe"}', "bad_value", "verdict"),
        (b'{"ts_ms":1760000000000,"verdict":"allow","verdikt":"allow"}', "bad_value", "verdikt"),
        (b'{"ts_ms":1760000000000,"verdict":"allow","cost":-1}', "bad_value", "cost"),
        (b'{"ts_ms":1760000000000,"verdict":"allow","status":1000}', "bad_value", "status"),
        (b'{"ts_ms":1760000000000,"verdict":"allow","asn":-1}', "bad_value", "asn"),
        (b'{"ts_ms":1760000000000,"verdict":"allow","ua":"' + b"x" * 600 + b'"}', "too_large", "ua"),
        (b'[{"ts_ms":1760000000000,"verdict":"allow"},{"verdict":"allow"}]', "bad_value", "ts_ms"),
        (b'{"ts_ms":', "bad_json", "body"),
        (b'{"ts_ms":1760000000000,"verdict":"\xff"}', "bad_json", "body"),
        (b"\x00\x01\x02", "bad_arrow", "body"),
        (b"", "bad_arrow", "body"),
    ],
)
def test_a_bad_message_names_the_field(body: bytes, code: str, field: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        codec.decode(body, None)
    assert (caught.value.code, caught.value.field.rsplit(".", maxsplit=1)[-1]) == (code, field)


@given(st.data())
def test_damaged_arrow_is_an_error_and_never_a_crash(data: st.DataObject) -> None:
    good = codec.encode(codec.from_rows([row(ip="192.0.2.1", path="/a"), row(user="ann")]))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = (
        good[:at]
        if data.draw(st.booleans())
        else good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    )
    try:
        batch = codec.decode(bad, topics.ARROW)
    except BadMessageError:
        return
    codec.to_rows(batch)  # a flipped bit may leave a batch that is whole; then every row of it can be read


def test_a_newer_version_is_refused_by_name() -> None:
    schema = d.SCHEMA.with_metadata({d.VERSION_KEY: b"2"})
    batch = pa.RecordBatch.from_arrays(codec.from_rows([row()]).columns, schema=schema)
    with pytest.raises(BadMessageError, match="upgrade the reader") as caught:
        codec.decode(codec.encode(batch), topics.ARROW)
    assert caught.value.code == "future_version"


def test_columns_may_be_missing_or_unknown() -> None:
    table = pa.table({"ts_ms": [NOW_MS], "verdict": ["allow"], "ip": ["192.0.2.1"], "colour": ["blue"]})
    batch = codec.decode(codec.encode(table.to_batches()[0]), topics.ARROW)
    assert codec.to_rows(batch) == [row(ip="192.0.2.1")]


def test_a_missing_time_is_named() -> None:
    with pytest.raises(BadMessageError) as caught:
        codec.decode(codec.encode(pa.table({"verdict": ["allow"]}).to_batches()[0]), topics.ARROW)
    assert (caught.value.code, caught.value.field) == ("missing_field", "ts_ms")


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(BadMessageError, match="application/json"):
        codec.decode(b"{}", "text/csv")


def test_a_dead_letter_says_why_and_where_from() -> None:
    error = BadMessageError("bad_value", "ts_ms", "5 is out of range", "epoch milliseconds")
    assert dict(headers(error, Origin("floodwarden.decisions", 3, 42), None)) == {
        "code": b"bad_value",
        "field": b"ts_ms",
        "reason": b"5 is out of range",
        "fix": b"epoch milliseconds",
        "origin-topic": b"floodwarden.decisions",
        "origin-partition": b"3",
        "origin-offset": b"42",
        "content-type": b"",
    }


def test_text_hashes_are_stable_and_zero_only_for_absent() -> None:
    values = pa.array(["192.0.2.1", None, "", "192.0.2.1"]).dictionary_encode()
    hashes = codec.text_hashes(values)
    assert hashes.tolist() == [codec.text_hash("192.0.2.1"), 0, codec.text_hash(""), codec.text_hash("192.0.2.1")]
    assert hashes[0] == np.uint64(15_416_733_158_586_102_224)  # stands in keys and partitions: may never change
    assert hashes[2] != 0


def test_a_usage_block_survives_its_encoding() -> None:
    zeros = {f.name: 0 for f in usage.COUNTS}
    counted = {"kind": 0, "hash": 7, "entity": "192.0.2.1", "pane_s": NOW_MS // 1000, "n": 3}
    counts = pa.RecordBatch.from_pylist([zeros | counted], usage.COUNTS)
    flows = pa.RecordBatch.from_pylist([], usage.FLOWS)
    block = usage.Block(partition=2, start=10, end=12, ts_ms_max=NOW_MS, counts=counts, flows=flows)
    assert codec.decode_block(codec.encode_block(block)) == block


@pytest.mark.parametrize("cut", [0, 10, 60, 200])
def test_a_truncated_usage_block_is_an_error(cut: int) -> None:
    empty = usage.Block(
        0, 0, 1, 0, pa.RecordBatch.from_pylist([], usage.COUNTS), pa.RecordBatch.from_pylist([], usage.FLOWS)
    )
    with pytest.raises(BadMessageError):
        codec.decode_block(codec.encode_block(empty)[:cut])


def test_streams_that_begin_alike_are_read_alike_and_others_each_by_its_own_schema() -> None:
    rows = [Decision(ts_ms=NOW_MS, verdict="allow", ip=f"192.0.2.{i}", ua="x", status=200) for i in range(3)]
    batch = codec.from_rows(rows)
    turned = batch.select(batch.schema.names[::-1])
    columns = ("status", "ip", "ts_ms")
    for each in (batch, batch, turned, turned, batch.drop_columns(["ip"])):
        took = codec.decode_many([(codec.encode(each), topics.ARROW)] * 2, columns)
        assert took.schema.names == list(columns)
        assert took.column("ip").to_pylist() == 2 * ([r.ip for r in rows] if "ip" in each.schema.names else [None] * 3)
        assert took.column("ts_ms").to_pylist() == [NOW_MS] * 6


def test_streams_of_the_old_format_that_begin_alike_are_each_read_by_their_own_schema() -> None:
    def old(columns: dict[str, pa.Array]) -> bytes:
        made = pa.record_batch(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, made.schema, options=pa.ipc.IpcWriteOptions(use_legacy_format=True)) as writer:
            writer.write_batch(made)
        return bytes(sink.getvalue())

    ts_ms, verdict, other = pa.array([NOW_MS]), pa.array(["allow"]), pa.array([1])
    one = old({"x": other, "ts_ms": ts_ms, "verdict": verdict})
    two = old({"ts_ms": ts_ms, "verdict": verdict, "x": other})
    assert one[:16] == two[:16]
    for value in (one, two, one):
        assert codec.decode_many([(value, None)], ("ts_ms", "verdict")).num_rows == 1
