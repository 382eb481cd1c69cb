"""What nobody could take, as people meet it: listed, looked at, and sent again once its reader takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from servers import ROOT
from stream_worker import batch, make_settings, reading

from floodwarden.dissect import dissect
from schemas import codec, dead_letter, topics
from schemas.dead_letter import Letter, Origin, Retried
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings

NOW_MS = 1_760_000_000_000
ROWS = [Decision(ts_ms=NOW_MS + i, verdict="allow", ip=f"192.0.2.{i}", path="/a?token=x") for i in range(3)]
GOOD = batch(ROWS)
MAPPING = """
sources:
  edge: {kafka: {topic: t}, columns: {ts_ms: {from: at, time: ms}, path: path, verdict: {constant: allow}}}
"""
FUTURE = BadMessageError("future_version", "version", "2, this reads up to 1", "upgrade the reader first")
BAD = BadMessageError("bad_arrow", "body", "ends early", "send one Arrow IPC stream")


def test_a_letter_read_back_says_what_was_written() -> None:
    value, headers = dead_letter.letter(b"x", BAD, Origin("edge.log", 0, 42, "nginx"), None)
    read = dead_letter.read(value, headers)
    assert read == Letter(b"x", "bad_arrow", "body", "ends early", BAD.fix, Origin("edge.log", 0, 42, "nginx"), None, 0)


def test_of_ten_megabytes_a_letter_keeps_what_fits_and_says_so() -> None:
    value, headers = dead_letter.letter(b"x" * 10_000_000, BAD, Origin("t", 0, 1), topics.JSON)
    assert len(value) + sum(len(k) + len(v) for k, v in headers) < topics.MESSAGE_BYTES_MAX
    read = dead_letter.read(value, headers)
    assert isinstance(read, Letter)
    assert read.cut_from == 10_000_000


def test_headers_of_anybody_are_read_as_far_as_they_go() -> None:
    odd = [("code", b"\xff"), ("origin-offset", b"9" * 5000), ("cut-from", b"-1"), ("origin-partition", None)]
    read = dead_letter.read(b"", odd)
    assert isinstance(read, Letter)
    assert (read.origin, read.cut_from) == (Origin("", 0, 0), 0)
    assert dead_letter.read(b"", [("retried", b"x:y")]) == Retried(0, 0, "", Origin("", 0, 0))


def test_bytes_are_decoded_as_far_as_possible() -> None:
    cut = dissect(GOOD[:-200])
    assert (cut.form, bool(cut.ends), "ts_ms" in cut.about["columns"]) == ("arrow", True, True)
    whole = dissect(GOOD)
    assert (whole.about["rows"], whole.rows[0]["ip"], whole.ends) == (3, "192.0.2.0", "")
    assert dissect(b'[{"ts_ms":5},{"ts_ms":6}]').rows == [{"ts_ms": 5}, {"ts_ms": 6}]
    broken = dissect(b'{"ts_ms":5,"verdict":')
    assert (broken.form, broken.text) == ("json", '{"ts_ms":5,"verdict":')
    assert dissect(b"\x00\x9f\xff").hexdump == ["00000000  00 9f ff" + " " * 41 + "..."]
    assert dissect(b"").text == ""
    nested = dissect(codec.encode(pa.record_batch({"ip": pa.array(["x"]), "deep": pa.array([[1]])})))
    assert (nested.rows, nested.about["columns"]["deep"]) == ([{"ip": "x"}], "list<item: int64>")


@dataclass
class Post:
    """A broker with letters in its dead-letter topic, and the command line pointed at it."""

    settings: Settings
    mapping: Path

    def put(self, value: bytes, error: BadMessageError, origin: Origin, content_type: str | None) -> None:
        producer = Producer({"bootstrap.servers": self.settings.kafka})
        value, headers = dead_letter.letter(value, error, origin, content_type)
        producer.produce(self.settings.topic(topics.DEAD_LETTER), value, headers=headers)
        assert producer.flush(20) == 0

    def run(self, *arguments: str, code: int = 0) -> str:
        given = {f"FLOODWARDEN_{n.upper()}": str(getattr(self.settings, n)) for n in ("kafka", "topic_prefix")}
        given |= {"FLOODWARDEN_INGEST": str(self.mapping)} if self.mapping.exists() else {}
        told = subprocess.run(
            [sys.executable, "-m", "floodwarden", "dead-letter", *arguments],
            capture_output=True,
            timeout=90,
            check=False,
            cwd=ROOT,
            env={**os.environ, **given, "COLUMNS": "200"},
        )
        assert told.returncode == code, told.stderr.decode()
        return told.stdout.decode()

    def objects(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*arguments, "--json", code=code).splitlines()]

    def decisions(self, count: int) -> list[tuple[bytes, str | None]]:
        found = []
        with reading(self.settings, topics.DECISIONS) as consumer:
            while len(found) < count:
                (message,) = consumer.consume(1, 20) or [None]
                assert message is not None, f"{len(found)} of {count} messages"
                headers = dict(message.headers() or ())
                found.append((message.value(), headers.get(topics.CONTENT_TYPE)))
        return found


@contextmanager
def post(broker: str, prefix: str, directory: Path) -> Iterator[Post]:
    made = Post(make_settings(broker, prefix, directory), directory / "ingest.yaml")
    decisions = made.settings.topic(topics.DECISIONS)
    made.put(GOOD, FUTURE, Origin(decisions, 3, 7), topics.ARROW)  # of a version this reader has learned by now
    made.put(GOOD[:200], BAD, Origin(decisions, 1, 8), topics.ARROW)
    made.put(b"x" * 2_000_000, BAD, Origin(decisions, 1, 9), None)
    made.put(codec.rows_to_json(ROWS), FUTURE, Origin("/v1/decisions", 0, 0), topics.JSON)
    mapped = b'{"at":1760000000000,"path":"/mapped"}'  # by a mapping that has been mended since
    made.put(mapped, BAD, Origin("gateway.events", 0, 5, "edge"), topics.JSON)
    yield made


@pytest.mark.integration
def test_letters_are_listed_shown_and_sent_again_once(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    with post(broker, topic_prefix, tmp_path) as made:
        assert [one["letter"] for one in made.objects("list")] == ["0:0", "0:1", "0:2", "0:3", "0:4"]
        assert [one["letter"] for one in made.objects("list", "--reason", "future_version")] == ["0:0", "0:3"]
        assert [one["origin"]["source"] for one in made.objects("list", "--topic", "edge")] == ["edge"]
        assert made.objects("list", "--until", "1h") == []
        assert "ends early" in made.run("list", "--since", "1h")

        (shown,) = made.objects("show", "1")
        assert (shown["code"], shown["now"]["taken"], shown["decoded"]["form"]) == ("bad_arrow", False, "arrow")
        assert "decoding stops" in made.run("show", "0:1")
        (large,) = made.objects("show", "0:2")
        assert (large["bytes"], large["cut"]) == (2_000_000, True)

        would = made.objects("retry", "--all", "--dry-run", code=1)
        assert [one["state"] for one in would] == ["would_send", "left", "left", "would_send", "left"]
        assert made.objects("list")[0]["retried"] is None, "a dry run changes nothing"

        sent = made.objects("retry", "--all", "--by", "ann", code=1)
        assert [one["state"] for one in sent] == ["sent", "left", "left", "sent", "left"]
        found = dict(made.decisions(2))
        assert found.pop(GOOD) == topics.ARROW.encode()
        ((value, _),) = found.items()
        assert [row.path for row in codec.to_rows(codec.decode(value, None))] == ["/a?token=***"] * 3

        noted = made.objects("list")
        assert noted[0]["retried"]["by"] == "ann"
        assert noted[0]["retried"]["topic"] == made.settings.topic(topics.DECISIONS)
        (unmapped,) = made.objects("retry", "--topic", "edge", code=1)
        assert "FLOODWARDEN_INGEST" in unmapped["why_not"]
        made.mapping.write_text(MAPPING, "utf-8")
        assert made.objects("retry", "--topic", "edge")[0]["state"] == "sent"
        rows = [row for value, _ in made.decisions(3) for row in codec.to_rows(codec.decode(value, None))]
        assert "/mapped" in {row.path for row in rows}
        (again,) = made.objects("retry", "0:0", code=1)
        assert "--again" in again["why_not"]
        assert made.objects("retry", "0:0", "--again")[0]["state"] == "sent"


@pytest.mark.integration
def test_what_is_not_there_is_said(embedded_address: str, topic_prefix: str, tmp_path: Path) -> None:
    made = Post(make_settings(embedded_address, topic_prefix, tmp_path), tmp_path / "none.yaml")
    assert "no dead letters" in made.run("list")
    made.run("show", "0:5", code=1)
    made.run("show", "five", code=1)
    made.run("retry", code=2)
    made.run("retry", "0:9", code=1)
