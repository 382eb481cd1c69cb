"""What a mapping means, and what it is told when it means nothing: one source, records in, decisions out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import ROOT

from limiter.errors import PolicyError
from limiter.ingest import mapping_file
from limiter.ingest.fields import RECORD_BYTES_MAX, Fields
from limiter.ingest.located import Located
from limiter.ingest.mapping import Path as FieldPath
from limiter.ingest.mapping import Source
from limiter.ingest.metrics import Metrics
from limiter.ingest.reader import Read, reader
from limiter.ingest.seen import Seen, marks
from limiter.ingest.taken import TakenIds
from schemas import codec
from schemas.checked import check
from schemas.decision import SCHEMA, Decision
from schemas.errors import BadMessageError

NOW_MS = 1_760_000_000_123
MINIMAL = "ts_ms: {from: at, time: ms}, verdict: {constant: allow}"


def source(tmp_path: Path, columns: str, more: str = "") -> Source:
    file = tmp_path / "ingest.yaml"
    file.write_text(f"sources:\n  one:\n    http: true\n    columns: {{{columns}}}\n{more}", "utf-8")
    (found,) = mapping_file.load(file)
    return found


def read(made: Source, *records: object) -> Read:
    values = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    return reader(made, lambda key: "h:" + key).read(values)


def rows(found: Read) -> list[Decision]:
    return [row for batch in found.batches for row in codec.to_rows(batch)]


def refused(found: Read) -> list[tuple[int, str, str]]:
    return [(at, error.code, error.field) for at, _, error in found.bad]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("time: ms", NOW_MS),
        ("time: ms", str(NOW_MS)),
        ("time: s", NOW_MS / 1000),
        ("time: s", f"{NOW_MS / 1000:.3f}"),
        ("time: us", NOW_MS * 1000 + 7),
        ("time: ns", NOW_MS * 1_000_000 + 7),
        ("time: iso", "2025-10-09T08:53:20.123Z"),
        ("time: iso", "2025-10-09T10:53:20.123456789+02:00"),
        ("time: iso, zone: Europe/Berlin", "2025-10-09 10:53:20.123"),
        ("time: iso, zone: UTC", "2025-10-09T10:53:20.123+02:00"),
    ],
)
def test_an_instant_is_read_as_its_source_writes_it(tmp_path: Path, how: str, said: object) -> None:
    made = source(tmp_path, f"ts_ms: {{from: at, {how}}}, verdict: {{constant: allow}}")
    assert [row.ts_ms for row in rows(read(made, {"at": said}))] == [NOW_MS]


def test_the_time_of_a_common_log_counts_whole_seconds(tmp_path: Path) -> None:
    made = source(tmp_path, "ts_ms: {from: at, time: clf}, verdict: {constant: allow}")
    found = read(made, {"at": "09/Oct/2025:10:53:20 +0200"}, {"at": "yesterday"})
    assert [row.ts_ms for row in rows(found)] == [NOW_MS - 123]
    assert refused(found) == [(1, "bad_value", "ts_ms")]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("time: iso", "2025-10-09T08:53:20"),
        ("time: iso", NOW_MS),
        ("time: iso", "9999-01-01T00:00:00Z"),
        ("time: ms", "soon"),
        ("time: ms", True),
        ("time: ms", 10**30),
        ("time: ms", NOW_MS / 1000),
        ("time: s", 1e300),
        ("time: s", NOW_MS),
    ],
)
def test_an_instant_that_is_none_is_refused_alone(tmp_path: Path, how: str, said: object) -> None:
    made = source(tmp_path, f"ts_ms: {{from: at, {how}}}, verdict: {{constant: allow}}")
    good = {"time: iso": "2025-10-09T08:53:20.123Z", "time: s": NOW_MS / 1000}.get(how, NOW_MS)
    found = read(made, {"at": good}, {"at": said}, {"at": good})
    assert [row.ts_ms for row in rows(found)] == [NOW_MS, NOW_MS]
    assert refused(found) == [(1, "bad_value", "ts_ms")]


@pytest.mark.parametrize(
    ("unit", "said", "ms"),
    [("s", 0.25, 250.0), ("s", "0.25", 250.0), ("us", 1500, 1.5), ("ns", 2_000_000, 2.0), ("duration", "0.035s", 35.0),
     ("ms", "-", None), ("ms", None, None)],
)  # fmt: skip
def test_a_length_of_time_is_in_milliseconds_whatever_its_unit(
    tmp_path: Path, unit: str, said: object, ms: float | None
) -> None:
    made = source(tmp_path, MINIMAL + f", latency_ms: {{from: took, unit: {unit}}}")
    (row,) = rows(read(made, {"at": NOW_MS, "took": said}))
    assert row.latency_ms == pytest.approx(ms)


def test_values_are_translated_and_the_first_that_says_something_decides(tmp_path: Path) -> None:
    flags = "{from: flags, values: {RL: limit, UAEX: deny}}"
    verdict = f"verdict: [{flags}, {{from: status, values: {{429: limit}}, otherwise: allow}}]"
    made = source(tmp_path, "ts_ms: {from: at, time: ms}, " + verdict)
    said = [{"flags": "RL", "status": 200}, {"flags": "-", "status": 429}, {"flags": "XX"}, {"status": "429"}, {}]
    found = rows(read(made, *({"at": NOW_MS} | one for one in said)))
    assert [row.verdict for row in found] == ["limit", "limit", "allow", "limit", "allow"]


def test_a_verdict_nobody_named_is_refused_with_what_was_said(tmp_path: Path) -> None:
    made = source(tmp_path, "ts_ms: {from: at, time: ms}, verdict: {from: outcome, values: {OK: allow}}")
    found = read(made, {"at": NOW_MS, "outcome": "BLOCK"}, {"at": NOW_MS})
    assert refused(found) == [(0, "bad_value", "verdict"), (1, "missing_field", "verdict")]
    assert "'BLOCK'" in found.bad[0][2].reason
    assert "values:" in found.bad[0][2].fix


def test_a_client_s_address_key_and_path_are_made_as_our_own_limiter_makes_them(tmp_path: Path) -> None:
    made = source(
        tmp_path,
        MINIMAL + ", ip: {from: [xff, peer], hop: 1}, key_id: key, path: uri, method: verb, user: who, status: code",
    )
    (row,) = rows(
        read(
            made,
            {"at": NOW_MS, "xff": "10.0.0.1, [2001:DB8::1]:443", "peer": "192.0.2.9", "key": "s3cret", "verb": "get",
             "uri": "/users/4711?token=abc", "who": "-", "code": "200"},
        )
    )  # fmt: skip
    assert (row.ip, row.key_id, row.method) == ("2001:db8::1", "h:s3cret", "GET")
    assert (row.path, row.route, row.user, row.status) == ("/users/4711?token=***", "/users/{id}", None, 200)
    (other,) = rows(read(made, {"at": NOW_MS, "xff": "", "peer": "192.0.2.9:5678"}))
    assert (other.ip, other.status, other.cost) == ("192.0.2.9", 0, 1)
    assert refused(read(made, {"at": NOW_MS, "peer": "localhost"})) == [(0, "bad_value", "ip")]


def test_a_key_id_that_is_no_secret_stays_as_it_is(tmp_path: Path) -> None:
    made = source(tmp_path, MINIMAL + ", key_id: {from: key, hash: false}, cost: {from: units, otherwise: 3}")
    assert [(r.key_id, r.cost) for r in rows(read(made, {"at": NOW_MS, "key": 17}))] == [("17", 3)]


def test_fields_are_found_by_dots_and_by_pointers_and_null_objects_hold_none(tmp_path: Path) -> None:
    made = source(
        tmp_path, MINIMAL + ", ua: request.headers.user-agent, tenant: /labels/app.io~1name, user: request.user"
    )
    said = {"request": {"headers": {"user-agent": "curl"}, "user": "ann"}, "labels": {"app.io/name": "shop"}}
    found = rows(read(made, said | {"at": NOW_MS}, {"at": NOW_MS, "request": None}, {"at": NOW_MS, "request": {}}))
    assert [(r.ua, r.tenant, r.user) for r in found] == [("curl", "shop", "ann"), (None,) * 3, (None,) * 3]
    wrong = read(made, {"at": NOW_MS, "request": {"user": {"id": 1}}})
    assert refused(wrong) == [(0, "bad_value", "request.user")]
    assert "request.user.NAME" in wrong.bad[0][2].fix


def test_a_record_is_an_object_an_array_or_one_a_line(tmp_path: Path) -> None:
    made = source(tmp_path, MINIMAL + ", user: u")
    one, two = {"at": NOW_MS, "u": "a"}, {"at": NOW_MS, "u": "b"}
    lines = json.dumps(one).encode() + b"\r\n\n" + json.dumps(two).encode() + b"\n"
    found = read(made, one, json.dumps([one, two, {"u": "bad"}, 7]).encode(), lines, json.dumps(two, indent=1).encode())
    assert [row.user for row in rows(found)] == ["a", "a", "b", "a", "b", "b"]
    assert sorted(refused(found)) == [(1, "bad_value", "body"), (1, "missing_field", "ts_ms")]
    assert {value for _, value, _ in found.bad} == {b"7", b'{"u": "bad"}'}, "of an array, only what is bad goes aside"


LARGE = b'{"at":1760000000000,"x":"' + b"x" * RECORD_BYTES_MAX + b'"}'


@pytest.mark.parametrize(
    ("value", "code"),
    [(b"", "bad_json"), (b"\x00", "bad_json"), (b'{"at":', "bad_json"), (b"[" * 100_000, "bad_json"),
     (b'{"x":' * 100_000, "bad_json"), (b'{"at":"\xff"}', "bad_json"), (b'"text"', "bad_value"),
     (b" " * (RECORD_BYTES_MAX + 1), "too_large"), (LARGE, "too_large"), (b'{"at":' + b"9" * 5000 + b"}", "bad_value")],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_record_that_is_none_is_put_aside_and_its_neighbours_taken(tmp_path: Path, value: bytes, code: str) -> None:
    good = {"at": NOW_MS}
    found = read(source(tmp_path, MINIMAL), good, value, good)
    assert len(rows(found)) == 2
    assert [(at, given, error.code) for at, given, error in found.bad] == [(1, value, code)]


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["at", "ip", "s", "lat", "x"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Source:
    columns = (
        "ts_ms: [{from: at, time: s}, {from: s, time: iso}], "
        "verdict: {from: s, values: {429: limit}, otherwise: allow}, "
        "ip: ip, status: s, latency_ms: {from: lat, unit: duration}, cost: lat, asn: s, path: x.at, user: x.ip, "
        "country: at, method: s, key_id: ip, weight: at"
    )
    return source(tmp_path_factory.mktemp("messy"), columns, "    id: [x.s, lat]\n")


@given(st.lists(anything, max_size=8), st.booleans())
def test_of_any_records_each_is_a_checked_row_a_repeat_or_an_error(
    messy: Source,
    records: list[Any],
    one_by_one: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    values = [msgspec.json.encode(record) for record in records]
    made = reader(messy, lambda key: key)
    parts = [[value] for value in values] if one_by_one else [values]
    found = [made.read(part) for part in parts]
    taken = sum(len(rows(one)) for one in found)
    for one in found:
        for batch in one.batches:
            check(batch)
        for _, _, error in one.bad:
            assert isinstance(error, BadMessageError)
            assert error.field
    expected = sum(len(record) if isinstance(record, list) else 1 for record in records)
    assert taken + sum(len(one.bad) + one.duplicates for one in found) == expected


@given(st.lists(anything, max_size=6))
def test_records_read_together_are_what_they_are_read_alone(messy: Source, records: list[Any]) -> None:
    values = [msgspec.json.encode(record) for record in records]
    whole = reader(messy, lambda key: key)
    alone = reader(messy, lambda key: key)
    together = whole.read(values)
    each = [alone.read([value]) for value in values]
    assert rows(together) == [row for one in each for row in rows(one)]
    assert len(together.bad) == sum(len(one.bad) for one in each)
    assert together.duplicates == sum(one.duplicates for one in each)


def test_an_event_is_taken_once_by_the_first_id_it_has(tmp_path: Path) -> None:
    made = source(tmp_path, MINIMAL + ", user: u", "    id: [id, old_id]\n    ids_kept: 1000\n")
    found = read(
        made,
        *({"at": NOW_MS, "u": f"u{i}", "id": i % 3} for i in range(6)),
        {"at": NOW_MS, "u": "x", "old_id": 1},
        {"at": NOW_MS, "u": "y"},
        {"at": NOW_MS, "u": "z"},
        {"u": "bad", "id": 77},
    )
    assert [row.user for row in rows(found)] == ["u0", "u1", "u2", "y", "z"]
    assert (found.duplicates, len(found.bad)) == (4, 1)


@given(st.lists(st.integers(0, 60), max_size=300), st.integers(1, 20))
def test_the_last_ids_are_known_and_no_new_one_is_held_back(ids: list[int], kept: int) -> None:
    seen, told = Seen(kept), []
    for at in range(0, len(ids), 7):
        told += seen.fresh(marks(ids[at : at + 7]))
        assert len(seen) <= 2 * kept + 14
    for at, (one, fresh) in enumerate(zip(ids, told, strict=True)):
        before = ids[:at]
        assert fresh or one in before
        newest = list(dict.fromkeys(reversed(before)))[:kept]
        if one in newest[: max(0, kept - 7)]:
            assert not fresh


def test_marks_are_of_texts_and_numbers_alike_and_none_is_no_event() -> None:
    assert marks(["a", "b"]) == marks(["a", "b", 7])[:2]
    assert marks([7, None, "\ud800"])[:2] == [marks(["7"])[0], 0]
    assert Seen(9).fresh([0, 0]) == [True, True]


def test_what_the_broker_has_is_known_to_the_next_process_within_its_bound(tmp_path: Path) -> None:
    metrics = Metrics()
    taken = TakenIds(tmp_path, "gate", 100, metrics)
    assert taken.known() == ([], [])
    for first in range(1, 1000, 30):
        taken.keep([0, *range(first, first + 30)])
        with (tmp_path / "ingest/gate.ids").open("ab") as file:
            file.write(b"torn")
    older, younger = TakenIds(tmp_path, "gate", 100, metrics).known()
    assert (older + younger)[-1] == 1020
    assert older + younger == list(range(1020 - len(older + younger) + 1, 1021))
    assert 100 <= len(older + younger) <= 300
    assert not metrics.registry.get_sample_value("floodwarden_ingest_position_errors_total", {"source": "gate"})
    (tmp_path / "file").touch()
    TakenIds(tmp_path / "file", "gate", 100, metrics).keep([1])
    assert metrics.registry.get_sample_value("floodwarden_ingest_position_errors_total", {"source": "gate"}) == 1


def test_records_named_as_ours_need_no_mapping_and_a_misspelt_field_is_found(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text("sources: {ours: {http: true}}", "utf-8")
    (made,) = mapping_file.load(file)
    row = Decision(ts_ms=NOW_MS, verdict="deny", ip="192.0.2.1", key_id="k1", route="/a", path="/a/b", weight=2)
    found = read(made, codec.rows_to_json([row]), b'{"ts_ms":1760000000123,"verdict":"deny","verdikt":"x"}')
    assert rows(found) == [row]
    assert refused(found) == [(1, "bad_value", "verdikt")]


def test_lines_of_a_log_are_read_as_replay_reads_them_with_constants_beside(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    more = "columns: {node: {constant: web-1}, tenant: {constant: shop}}"
    file.write_text(f"sources: {{web: {{files: /var/log/a.log, format: combined, {more}}}}}", "utf-8")
    (made,) = mapping_file.load(file)
    line = b'192.0.2.7 - ann [09/Oct/2025:10:53:20 +0200] "POST /login HTTP/1.1" 401 12 "-" "curl/8"'
    found = read(made, line, b"", b"nonsense", b"x" * 100_000)
    (row,) = rows(found)
    assert (row.ip, row.user, row.status, row.node, row.tenant) == ("192.0.2.7", "ann", 401, "web-1", "shop")
    assert refused(found) == [(2, "bad_line", "line"), (3, "too_large", "line")]


def test_where_a_client_is_is_filled_in_where_its_source_does_not_say(tmp_path: Path) -> None:
    made = source(tmp_path, MINIMAL + ", ip: addr, country: land, asn: net")
    known = {"203.0.113.7": {"country": "DE", "asn": "64500"}, "203.0.113.8": {"country": "FR"}}
    events = [
        {"addr": "203.0.113.7"},
        {"addr": "203.0.113.7", "land": "AT", "net": 64_501},
        {"addr": "203.0.113.8"},
        {"addr": "192.0.2.1"},
        {},
    ]
    inner = reader(made, lambda key: key)
    found = Located(inner, lambda ip: known.get(ip or "", {})).read(
        [json.dumps({"at": NOW_MS} | event).encode() for event in events]
    )
    assert [(row.country, row.asn) for row in rows(found)] == [
        ("DE", 64_500), ("AT", 64_501), ("FR", None), (None, None), (None, None),
    ]  # fmt: skip
    assert [batch.schema for batch in found.batches] == [SCHEMA]


def test_a_table_is_read_by_the_header_that_the_mapping_says(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text('sources: {t: {files: /a.tsv, format: tsv, header: "host\\ttime\\tstatus\\tpath"}}', "utf-8")
    (made,) = mapping_file.load(file)
    (row,) = rows(read(made, b"192.0.2.7\t1760000000\t429\t/a"))
    assert (row.ip, row.verdict, row.ts_ms) == ("192.0.2.7", "limit", 1_760_000_000_000)


WRONG = [
    ("sources: {}", "sources", "1 to 100"),
    ("", "file", "example.yaml"),
    ("sources: {A B: {http: true}}", "sources.A B", "lower-case"),
    ("sources: {a: {}}", "sources.a", "one of `kafka`"),
    ("sources: {a: {http: true, files: /a}}", "sources.a", "one of `kafka`"),
    ("sources: {a: {http: perhaps}}", "a.http", "true"),
    ("sources: {a: {files: logs/a.json}}", "a.files", "whole path"),
    ("sources: {a: {kafka: {topic: 'a b'}}}", "kafka.topic", "letters"),
    ("sources: {a: {kafka: {topic: t, options: {enable.auto.commit: true}}}}", "enable.auto.commit", "ours"),
    ("sources: {a: {http: true, format: xml}}", "a.format", "combined"),
    ("sources: {a: {http: true, format: tsv}}", "sources.a", "columns"),
    ("sources: {a: {http: true, begin: now}}", "a.begin", "latest"),
    ("sources: {a: {http: true, format: combined, id: x}}", "a.id", "leave it out"),
    ("sources: {a: {http: true, ids_kept: 0}}", "a.ids_kept", "whole number"),
    ("sources: {a: {http: true, columns: {verdict: {constant: allow}}}}", "a.columns", "ts_ms: {from"),
    ("sources: {a: {http: true, columns: {ts_ms: {from: t, time: s}}}}", "a.columns", "otherwise: allow"),
    ("sources: {a: {http: true, columns: {ts_ms: t}}}", "columns.ts_ms", "time: iso"),
    ("sources: {a: {http: true, columns: {ts_ms: {from: t}}}}", "columns.ts_ms", "time: iso"),
    ("sources: {a: {http: true, columns: {ts_ms: {from: t, time: days}}}}", "ts_ms.time", "iso, clf"),
    ("sources: {a: {http: true, columns: {ts_ms: {from: t, time: iso, zone: Mars}}}}", "ts_ms.zone", "Europe/Berlin"),
    ("sources: {a: {http: true, columns: {verdict: allow}}}", "columns.verdict", "{constant: allow}"),
    ("sources: {a: {http: true, columns: {verdict: {from: s, values: {1: block}}}}}", "values.1", "challenge"),
    ("sources: {a: {http: true, columns: {verdikt: x}}}", "columns.verdikt", "did you mean `verdict`"),
    ("sources: {a: {http: true, columns: {ip: {from: a, unit: s}}}}", "ip.unit", "leave it out"),
    ("sources: {a: {http: true, columns: {ip: {from: a, constant: b}}}}", "columns.ip", "{from: FIELD}"),
    ("sources: {a: {http: true, columns: {ip: 'a..b'}}}", "columns.ip", "dots"),
    ("sources: {a: {http: true, columns: {ip: 'a[0]'}}}", "columns.ip", "only fields of objects"),
    ("sources: {a: {http: true, columns: {ip: a, user: a.b}}}", "a.columns", "inside"),
    ("sources: {a: {http: true, columns: {cost: {constant: much}}}}", "cost.constant", "int32"),
    ("sources: {a: {http: true, format: nginx, columns: {ip: addr}}}", "columns.ip", "constant"),
    ("sources: [a]", "sources", "name: value"),
    ("sources: {a: {http: true}, b: }", "sources.b", "name: value"),
]


@pytest.mark.parametrize(("text", "field", "fix"), WRONG, ids=[text[:60] for text, _, _ in WRONG])
def test_what_is_wrong_with_a_mapping_is_told_with_field_and_fix(
    tmp_path: Path, text: str, field: str, fix: str
) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text(text, "utf-8")
    errors = mapping_file.examine(file).errors
    assert any(error.field.endswith(field) and fix in error.fix for error in errors), [str(e) for e in errors]
    with pytest.raises(PolicyError):
        mapping_file.load(file)


def test_everything_wrong_with_a_mapping_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text(
        "sources:\n  a: {http: true, columns: {ip: a..b, colour: x}}\n  b: {}\n  c: {http: true}\n", "utf-8"
    )
    found = mapping_file.examine(file)
    assert [one.name for one in found.sources] == ["c"]
    assert sorted(error.field.rpartition(".")[2] for error in found.errors) == [
        "b",
        "colour",
        "columns",
        "columns",
        "ip",
    ]
    assert [error.line for error in found.errors] == [2, 2, 2, 2, 3]


def test_the_example_can_be_taken() -> None:
    found = mapping_file.examine(ROOT / "deploy" / "ingest" / "example.yaml")
    assert (found.errors, len(found.sources)) == ([], 5)


def test_a_deep_field_is_reached_and_its_neighbours_skipped() -> None:
    paths: list[FieldPath] = [("a", "b", "c"), ("a", "x"), ("d",)]
    fields = Fields(paths)
    found = fields.records([b'{"a":{"b":{"c":1,"z":[{}]},"x":"y"},"q":{"d":2}}', b'{"d":3,"a":{"b":null}}'])
    assert (list(found.places), found.bad) == ([0, 1], [])
    assert fields.columns(found.records) == {("a", "b", "c"): [1, None], ("a", "x"): ["y", None], ("d",): [None, 3]}
