from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from floodwarden.formats import FormatError, Rejects, detect, read
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.sinks import write
from schemas import codec, routes
from schemas.decision import Decision
from schemas.privacy import masked
from schemas.templates import OTHER, Templates, route_of

AT = "[17/May/2015:10:05:03 +0000]"
AT_MS = 1_431_857_103_000
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("no recorded logs beside the repository")
    return DATA


def rows_in(path: Path, rejects: Rejects | None = None, form: str | None = None) -> list[Decision]:
    rejects = Rejects() if rejects is None else rejects
    return [row for batch, _ in read([path], form=form, rejects=rejects) for row in codec.to_rows(batch)]


def one(tmp_path: Path, line: str) -> Decision:
    log = tmp_path / "access.log"
    log.write_text(line + "\n", encoding="utf-8")
    (row,) = rows_in(log, form="combined")
    return row


def test_a_combined_line_gives_who_what_when_and_how_it_ended(tmp_path: Path) -> None:
    row = one(tmp_path, f'203.0.113.7 - bob {AT} "GET /items/42?page=2 HTTP/1.1" 200 5 "-" "curl/8.5"')
    assert row == Decision(
        ts_ms=AT_MS, verdict="allow", ip="203.0.113.7", user="bob", method="GET", route="/items/{id}",
        path="/items/42?page=2", status=200, ua="curl/8.5",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "ip", "path"),
    [
        (f'2001:db8::7 - - {AT} "GET / HTTP/2.0" 200 1 "" ""', "2001:db8::7", "/"),
        (f'shop.example 203.0.113.7 - - {AT} "GET /a HTTP/1.1" 200 1', "203.0.113.7", "/a"),
        (f'shop.example:443 203.0.113.7 - - {AT} "GET /a HTTP/1.1" 200 1', "203.0.113.7", "/a"),
        (f'Jul  8 11:07:07 host nginx[28]: 203.0.113.7 - - {AT} "GET /a HTTP/1.1" 200 1 "-" "x"', "203.0.113.7", "/a"),
        (f'203.0.113.7 - John Doe {AT} "GET /a HTTP/1.1" 200 1', "203.0.113.7", "/a"),
        (f'203.0.113.7 - - {AT} "GET /a\\"b HTTP/1.1" 200 1 "-" "say \\"hi\\""', "203.0.113.7", '/a\\"b'),
        (f'203.0.113.7 - - {AT} "-" 408 0 "-" "-"', "203.0.113.7", "-"),
        (f'203.0.113.7 - - {AT} "" 400 0 "-" "-"', "203.0.113.7", ""),
        (f'203.0.113.7 - - {AT} "\\x16\\x03\\x01" 400 226 "-" "-"', "203.0.113.7", "\\x16\\x03\\x01"),
        (f'203.0.113.7 - - {AT} "GET /a b HTTP/1.1" 200 1', "203.0.113.7", "/a b"),
        (f'203.0.113.7 - - {AT} "GET /a" 200 -', "203.0.113.7", "/a"),
        (f'203.0.113.7 - - {AT} "CONNECT a.example:25 HTTP/1.1" 400 1 "-" "-" "-"', "203.0.113.7", "a.example:25"),
    ],
)  # fmt: skip
def test_odd_lines_are_still_requests(tmp_path: Path, line: str, ip: str, path: str) -> None:
    row = one(tmp_path, line)
    assert (row.ts_ms, row.ip, row.path) == (AT_MS, ip, path)


def test_a_zone_moves_the_time_and_a_limited_answer_is_a_limit(tmp_path: Path) -> None:
    row = one(tmp_path, '203.0.113.7 - - [17/May/2015:06:05:03 -0400] "GET / HTTP/1.1" 429 1')
    assert (row.ts_ms, row.verdict, row.status) == (AT_MS, "limit", 429)


def test_an_error_line_of_nginx_tells_of_a_failed_login_or_a_limit(tmp_path: Path) -> None:
    tail = 'client: 203.0.113.7, server: _, request: "GET /x HTTP/1.1", host: "a"'
    failed = one(tmp_path, f'2015/05/17 10:05:03 [error] 19#19: *17 user "foo" was not found in "/h", {tail}')
    assert (failed.ts_ms, failed.user, failed.status) == (AT_MS, "foo", 401)
    assert routes.is_login(failed.route, failed.method, ())
    limited = one(tmp_path, f'2015/05/17 10:05:03 [error] 19#19: *4 limiting requests, excess: 5.4 by zone "z", {tail}')
    assert (limited.verdict, limited.status) == ("limit", 429)


def test_bad_lines_are_counted_with_their_number_and_reason_and_the_good_ones_kept(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    good = f'203.0.113.7 - - {AT} "GET / HTTP/1.1" 200 1'
    log.write_bytes(
        "\n".join([
            good, "what is this", good.replace("17/May", "99/Foo"), "", good.replace("2015", "1820"),
            good + "x" * 70_000, good,
        ]).encode() + b"\n\xff\xfe\x00\n"
    )  # fmt: skip
    rejects = Rejects()
    assert len(rows_in(log, rejects)) == 2
    assert rejects.by_reason == {
        "not an access log line": 2, "bad time": 1, "time before 1980 or after 2100": 1, "line too long": 1,
    }  # fmt: skip
    assert [(reject.line, reject.reason) for reject in rejects.samples][:2] == [
        (2, "not an access log line"),
        (3, "bad time"),
    ]


def test_a_table_is_read_by_its_header(tmp_path: Path) -> None:
    table = tmp_path / "log.tsv"
    table.write_text("host\tlogname\ttime\tmethod\turl\tresponse\tbytes\n"
                     "a.example.com\t-\t1431857103\tGET\t/x\t404\t1\n"
                     "b.example.com\t-\tnoon\tGET\t/x\t200\t1\n")  # fmt: skip
    rejects = Rejects()
    (row,) = rows_in(table, rejects)
    assert (row.ip, row.ts_ms, row.path, row.status, row.user) == ("a.example.com", AT_MS, "/x", 404, None)
    assert [(r.line, r.reason) for r in rejects.samples] == [(3, "bad time")]


def test_json_lines_are_decisions_with_or_without_labels_and_bad_ones_name_the_field(tmp_path: Path) -> None:
    lines = [
        {"ts_ms": AT_MS, "verdict": "allow", "ip": "203.0.113.7", "label": "attack/hammer/weak/1"},
        {"ts_ms": AT_MS, "verdict": "maybe"},
        {"ts_ms": AT_MS, "verdict": "allow", "colour": "red"},
        {"ts_ms": 5, "verdict": "allow"},
        {"ts_ms": AT_MS + 1, "verdict": "deny"},
    ]
    trace = tmp_path / "trace.jsonl.gz"
    trace.write_bytes(gzip.compress("\n".join([*map(json.dumps, lines), "{"]).encode()))
    rejects = Rejects()
    ((batch, labels),) = read([trace], rejects=rejects)
    assert batch.column("verdict").to_pylist() == ["allow", "deny"]
    assert labels.tolist() == ["attack/hammer/weak/1", ""]
    assert rejects.total == 4
    assert any(reason.startswith("ts_ms") for reason in rejects.by_reason)


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz", "trace.arrow"])
def test_a_written_trace_reads_back_as_it_was_simulated(tmp_path: Path, name: str) -> None:
    config = SimulationConfig(seed=5, duration_s=300, batch_rows=1000)
    total = write(config, str(tmp_path / name))
    rejects = Rejects()
    wanted = [
        (row, label)
        for batch, labels in simulate(config)
        for row, label in zip(codec.to_rows(batch), labels, strict=True)
    ]
    got = [(row, label) for batch, labels in read([tmp_path / name], rejects=rejects)
           for row, label in zip(codec.to_rows(batch), labels, strict=True)]  # fmt: skip
    assert len(got) == total == len(wanted)
    assert got == wanted
    assert not rejects.total


def test_lines_out_of_order_and_several_files_come_out_by_time(tmp_path: Path) -> None:
    def log(name: str, seconds: list[int]) -> Path:
        path = tmp_path / name
        path.write_text("".join(
            f'203.0.113.7 - - [17/May/2015:10:{s // 60:02d}:{s % 60:02d} +0000] "GET /{name} HTTP/1.1" 200 1\n'
            for s in seconds
        ))  # fmt: skip
        return path

    parts = read([log("one", [3, 1, 2, 700, 650]), log("two", [0, 5, 690])], rejects=Rejects())
    times = [row.ts_ms // 1000 for batch, _ in parts for row in codec.to_rows(batch)]
    assert len(times) == 8
    assert times == sorted(times)


def test_standard_input_may_be_a_compressed_log(tmp_path: Path) -> None:
    log = gzip.compress(f'203.0.113.7 - - {AT} "GET / HTTP/1.1" 200 1\n'.encode() * 3)
    script = "from floodwarden.formats import *; print(sum(p.batch.num_rows for p in read(['-'], rejects=Rejects())))"
    done = subprocess.run([sys.executable, "-c", script], input=log, capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == b"3"


def test_a_file_of_no_known_format_says_what_to_do(tmp_path: Path) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("roses are red\nviolets are blue\n")
    with pytest.raises(FormatError, match="--format"):
        rows_in(poem)
    with pytest.raises(FormatError, match="cannot be read"):
        rows_in(tmp_path / "absent.log")
    damaged = tmp_path / "trace.arrow"
    damaged.write_bytes(b"ARROW1\0\0" + b"x" * 100)
    with pytest.raises(FormatError):
        rows_in(damaged)
    assert detect(b"", "empty") == "combined"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/users/4711/orders?x=1", "/users/{id}/orders"),
        ("/a/550e8400-e29b-41d4-a716-446655440000", "/a/{id}"),
        ("/img/deep/down/logo.PNG?v=3", "/img/*.png"),
        ("/.env", "/.env"),
        ("/wp-login.php", "/wp-login.php"),
        ("/a/b/c/d/e", "/a/b/c/**"),
        ("http://evil.example/x", "/x"),
        ("foo.example:25", "{malformed}"),
        ("*", "*"),
    ],
)
def test_a_path_without_a_route_gets_a_template(path: str, route: str) -> None:
    assert route_of(path) == route


def test_made_up_words_cannot_make_templates_without_end() -> None:
    templates = Templates(routes_max=8)
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = {templates(f"/{a}{b}/x") for a in letters for b in letters}
    assert len(made) <= 11
    assert OTHER in made


def test_secrets_in_a_query_are_masked_and_paths_cut_at_a_whole_character() -> None:
    assert masked("/a?user=bob&api_key=k&token=t&page=2") == "/a?user=bob&api_key=***&token=***&page=2"
    assert len(masked("/" + "ü" * 900).encode()) <= 512


@pytest.mark.parametrize(("name", "rows"), [("apache_logs", 10_000), ("nasa_19950801.tsv", 30_969)])
def test_recorded_logs_are_read_whole(data: Path, name: str, rows: int) -> None:
    rejects = Rejects()
    assert len(rows_in(data / name, rejects)) == rows
    assert not rejects.total
