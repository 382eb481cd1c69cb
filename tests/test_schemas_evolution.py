"""Rolling upgrades: an old reader takes what a new writer adds, a new reader what an old writer lacks.

What an old reader must not leave out of account raises the version; then it refuses the message, by name.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from enforcer import records
from limiter import orders
from schemas import action, alert, arrow_stream, codec, topics, usage
from schemas import decision as d
from schemas.action import Action
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.errors import BadMessageError

NOW_MS = 1_760_000_000_000
ALERT: dict[str, Any] = {
    "uid": "a1", "status": "open", "kind": "guess", "severity": "high", "answer": "deny",
    "entity": {"kind": "ip", "value": "192.0.2.1"}, "first_ms": NOW_MS, "last_ms": NOW_MS, "crossed_ms": NOW_MS,
    "score": 0.9, "summary": "8 failed logins",
}  # fmt: skip
ACTION: dict[str, Any] = {
    "uid": "x1", "kind": "deny", "status": "active", "target": {"kind": "ip", "value": "192.0.2.1"},
    "reason": "guessing", "owner": "auto", "created_ms": NOW_MS, "expires_ms": NOW_MS + 600_000,
}  # fmt: skip
# Version 1 as it was first written. A name may join one of these lists only if a reader that does not know it may go on
# without: a field that narrows an action or makes an alert mean something else raises VERSION instead.
ALERT_1 = (
    "v uid status kind severity answer entity route first_ms last_ms crossed_ms crossed_after score rule model "
    "live_clients accounts addresses established summary evidence contributions behaviour ids avoid campaign tenant "
    "tenant_clients good_clients browser"
)
ACTION_1 = (
    "v uid version kind status target route tier exempt limit factor rate level reason guard play page approval "
    "rule model evidence alert_uid campaign owner step created_ms expires_ms crossed_ms ended_ms ended_by ended_reason "
    "tenant established"
)


def body(fields: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(fields | more).encode()


def block(counts: list[dict[str, Any]], schema: pa.Schema = usage.COUNTS) -> bytes:
    rows = pa.RecordBatch.from_pylist(counts, schema)
    return codec.encode_block(usage.Block(0, 1, 2, NOW_MS, rows, pa.RecordBatch.from_pylist([], usage.FLOWS)))


def count(**more: Any) -> dict[str, Any]:
    zeros = {f.name: 0 for f in usage.COUNTS if not pa.types.is_dictionary(f.type)}
    return zeros | {"kind": 0, "hash": 7, "entity": "192.0.2.1", "pane_s": NOW_MS // 1000, "n": 3} | more


def test_a_batch_with_an_added_column_is_read_without_it() -> None:
    row = Decision(ts_ms=NOW_MS, verdict="limit", ip="192.0.2.1", weight=3)
    batch = codec.from_rows([row]).append_column("mood", pa.array([{"deep": [1]}]))
    assert codec.to_rows(codec.decode(codec.encode(batch), topics.ARROW)) == [row]
    assert codec.decode_many([(codec.encode(batch), None)], ("ts_ms", "ip", "weight")).to_pylist() == [
        {"ts_ms": NOW_MS, "ip": "192.0.2.1", "weight": 3}
    ]


def test_a_batch_of_before_a_column_was_added_is_read_with_nulls() -> None:
    first = ("ts_ms", "verdict", "ip", "status")
    batch = codec.from_rows([Decision(ts_ms=NOW_MS, verdict="allow", ip="192.0.2.1", status=200)]).select(first)
    old = codec.encode(batch)
    assert codec.to_rows(codec.decode(old, None)) == [
        Decision(ts_ms=NOW_MS, verdict="allow", ip="192.0.2.1", status=200)
    ]
    new = codec.rows_to_json([Decision(ts_ms=NOW_MS, verdict="allow", weight=2)])
    both = codec.decode_many([(old, None), (new, None)], ("ts_ms", "weight", "cost"))
    assert both.column("weight").to_pylist() == [None, 2]
    assert both.column("cost").to_pylist() == [1, 1]


def test_every_column_of_a_decision_but_time_and_verdict_may_be_missing() -> None:
    batch = codec.from_rows([Decision(ts_ms=NOW_MS, verdict="allow")])
    for name in d.SCHEMA.names[2:]:
        left = codec.encode(batch.select([other for other in d.SCHEMA.names if other != name]))
        assert codec.to_rows(codec.decode(left, None)) == [Decision(ts_ms=NOW_MS, verdict="allow")]


def test_a_usage_block_with_an_added_column_or_a_new_kind_is_read_without_them() -> None:
    schema = usage.COUNTS.append(pa.field("distinct_planets", pa.int64()))
    found = codec.decode_block(block([count(distinct_planets=4), count(kind=200, n=9)], schema))
    assert found.counts.schema.equals(usage.COUNTS)
    assert found.counts.to_pylist() == [count()], "what it cannot name it does not count under another name"


def test_a_usage_block_of_before_a_measure_was_added_counts_zero_of_it() -> None:
    old = pa.schema([f for f in usage.COUNTS if f.name not in ("cost", "flows_dropped")], usage.COUNTS.metadata)
    found = codec.decode_block(block([count(cost=5)], old))
    assert found.counts.to_pylist() == [count(cost=0)]


ITEM = {"row": 0, "what": 3, "item": 99}


def with_items(counts: list[dict[str, Any]], *items: dict[str, Any], schema: pa.Schema = usage.ITEMS) -> bytes:
    rows, flows = pa.RecordBatch.from_pylist(counts, usage.COUNTS), pa.RecordBatch.from_pylist([], usage.FLOWS)
    return codec.encode_block(
        usage.Block(0, 1, 2, NOW_MS, rows, flows, items=pa.RecordBatch.from_pylist(items, schema))
    )


def test_who_does_not_know_items_reads_a_block_as_it_was_before_them() -> None:
    value, before = with_items([count()], ITEM), block([count()])
    flows = memoryview(value)[40 + int.from_bytes(value[36:40], "little") :]
    assert value.startswith(before)
    assert arrow_stream.read(flows, usage.FLOWS).num_rows == 0, "bytes behind the stream are not looked at"
    assert codec.decode_block(before).items == usage.NO_ITEMS


def test_items_of_a_new_kind_or_of_what_is_new_are_left_out_and_the_others_keep_their_rows() -> None:
    items = [ITEM, ITEM | {"row": 1}, ITEM | {"row": 2}, ITEM | {"what": 6}, ITEM | {"what": 255}, ITEM | {"what": 167}]
    found = codec.decode_block(with_items([count(), count(kind=200), count(hash=8)], *items))
    assert found.counts.column("hash").to_pylist() == [7, 8]
    assert found.items.to_pylist() == [ITEM, ITEM | {"row": 1}, ITEM | {"what": 167}]


def test_items_of_no_row_without_a_column_or_cut_short_are_refused() -> None:
    left = pa.schema([f for f in usage.ITEMS if f.name != "what"], usage.ITEMS.metadata)
    whole = with_items([count()], ITEM)
    for value in (
        with_items([count()], ITEM | {"row": 1}),
        with_items([count()], {"row": 0, "item": 9}, schema=left),
        with_items([count()], ITEM | {"item": None}),
        whole[:-8] + (1 << 30).to_bytes(4, "little") + whole[-4:],
        whole[:-8] + (40).to_bytes(4, "little") + whole[-4:],
    ):
        with pytest.raises(BadMessageError):
            codec.decode_block(value)


@pytest.mark.parametrize("name", usage.REQUIRED)
def test_a_usage_block_without_what_names_its_rows_is_refused(name: str) -> None:
    left = pa.schema([f for f in usage.COUNTS if f.name != name], usage.COUNTS.metadata)
    with pytest.raises(BadMessageError) as caught:
        codec.decode_block(block([count()], left))
    assert (caught.value.code, caught.value.field) == ("missing_field", name)


@pytest.mark.parametrize("name", ["kind", "n", "latency_ms_sum", "pane_s"])
def test_a_null_among_the_numbers_of_a_usage_block_is_refused(name: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        codec.decode_block(block([count(**{name: None})]))
    assert (caught.value.code, caught.value.field) == ("bad_value", name)


@pytest.mark.parametrize("pane_s", [-1, 0, 2**60])
def test_an_absurd_time_in_a_usage_block_is_refused(pane_s: int) -> None:
    with pytest.raises(BadMessageError, match="pane_s"):
        codec.decode_block(block([count(pane_s=pane_s)]))


def test_an_alert_with_added_fields_is_read_without_them() -> None:
    entity = {"kind": "ip", "value": "192.0.2.1", "planet": "mars"}
    assert records.alert(body(ALERT, mood="grim", entity=entity)) == records.alert(body(ALERT))


def test_an_alert_of_before_fields_were_added_is_read_with_what_they_are_when_absent() -> None:
    found = records.alert(body(ALERT))
    assert (found.live_clients, found.route, found.evidence) == (0, None, ())


def test_an_action_with_added_fields_is_read_without_them_by_enforcer_and_limiter() -> None:
    added = body(ACTION, mood="grim", target={"kind": "ip", "value": "192.0.2.1", "planet": "mars"})
    assert records.action(added) == records.action(body(ACTION))
    assert orders.decoded(added) == orders.decoded(body(ACTION))
    narrowed = body(ACTION, route="/login", factor=0.5, kind="throttle", mood="grim")
    assert orders.decoded(narrowed).route == "/login"
    (one, two) = orders.decoded_lines(added + b"\n" + narrowed)
    assert isinstance(one, orders.Order)
    assert isinstance(two, orders.Order)


def test_a_newer_version_is_refused_by_every_reader_and_the_rest_of_its_batch_taken() -> None:
    for read, newest, fields in (
        (records.alert, alert.VERSION, ALERT),
        (records.action, action.VERSION, ACTION),
        (orders.decoded, action.VERSION, ACTION),
    ):
        with pytest.raises(BadMessageError) as caught:
            read(body(fields, v=newest + 1))
        assert (caught.value.code, caught.value.field) == ("future_version", "v")
    newer, known = orders.decoded_lines(body(ACTION, v=action.VERSION + 1) + b"\n" + body(ACTION))
    assert isinstance(newer, BadMessageError)
    assert isinstance(known, orders.Order)


def test_whoever_adds_a_field_says_whether_old_readers_may_go_on_without_it() -> None:
    assert (alert.VERSION, action.VERSION) == (1, 1)
    assert set(Alert.model_fields) == set(ALERT_1.split())
    assert set(Action.model_fields) == set(ACTION_1.split())
