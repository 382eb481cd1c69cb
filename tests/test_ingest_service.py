"""`floodwarden ingest` as a process, on the embedded broker and on real Kafka: nothing lost, nothing taken twice."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from outage_world import Topic
from servers import ROOT
from stream_worker import make_settings, reading
from test_stream_poison import told

from floodwarden import doctor_services
from floodwarden.embedded import free_port
from limiter.ingest.app import Ingest
from limiter.ingest.mapping_file import load
from limiter.ingest.web import PostSource, create_app
from schemas import topics
from schemas.settings import Settings

COLUMNS = (
    "columns: {ts_ms: {from: at, time: ms}, path: uri, ip: client.addr, status: code, "
    "verdict: {from: code, values: {429: limit}, otherwise: allow}}"
)


def event(number: int, **more: Any) -> dict[str, Any]:
    """The number-th event: its path says which it is."""
    code = 429 if number % 3 == 0 else 200
    client = {"addr": f"198.51.100.{number % 250}", "agent": "x" * 40}
    return {
        "at": int(time.time() * 1000),
        "uri": f"/items/{number}",
        "client": client,
        "code": code,
        "id": number,
    } | more


def encoded(*events: dict[str, Any]) -> list[bytes]:
    return [json.dumps(one).encode() for one in events]


class Running:
    """The service in a process of its own."""

    def __init__(self, settings: Settings, mapping: str, directory: Path) -> None:
        self.settings, self._log = settings, directory / "ingest.log"
        self._file = directory / "ingest.yaml"
        self._file.write_text(mapping, "utf-8")
        self.start()

    def start(self) -> None:
        names = ("kafka", "topic_prefix", "data_dir", "port")
        given = {f"FLOODWARDEN_{n.upper()}": str(getattr(self.settings, n)) for n in names}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "floodwarden", "ingest", str(self._file)],
                cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **given},
            )  # fmt: skip
        self.until(lambda: self.get("/readyz")[0] == 200)

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{self.settings.port}{path}"))

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.settings.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, text = self._ask(urllib.request.Request(url, body, named, method="POST"))
        return status, json.loads(text)

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = self.get("/metrics")[1].splitlines()
        found = [line for line in lines if line.startswith("floodwarden_ingest_" + name)]
        return sum(float(line.split()[-1]) for line in found if all(each in line for each in wanted))

    def until(self, good: Callable[[], bool], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while True:
            try:
                if good():
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(self._log.read_text("utf-8", "replace")[-6000:])
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0, self._log.read_text("utf-8", "replace")[-6000:]


@contextmanager
def running(settings: Settings, mapping: str, directory: Path) -> Iterator[Running]:
    one = Running(settings, mapping, directory)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.kill()


def foreign(settings: Settings, partitions: int = 3) -> str:
    """A topic of somebody else's, which takes large records where the broker lets it."""
    name = settings.topic_prefix + "gateway-events"
    made = NewTopic(name, partitions, 1, config={"max.message.bytes": str(24 << 20)})
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.create_topics([made])[name].result(20)
    return name


def publish(settings: Settings, name: str, values: list[bytes], partitions: int = 3) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka, "message.max.bytes": 24 << 20})
    for number, value in enumerate(values):
        producer.produce(name, value, partition=number % partitions)
        producer.poll(0)
    assert producer.flush(60) == 0


def read_back(settings: Settings, count: int) -> Topic:
    topic = Topic(settings)
    topic.read_until(lambda: len(topic.times) >= count)
    topic.close()
    return topic


@pytest.mark.integration
def test_a_foreign_topic_becomes_decisions_once_each_and_poison_goes_aside(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    name = foreign(settings)
    mapping = f"sources: {{gate: {{kafka: {{topic: {name}}}, id: id, {COLUMNS}}}}}"
    bad = {
        b'{"at": 1760000000000, "uri":': "bad_json",
        b"\x00\xff": "bad_json",
        b'{"uri":"/x","code":200}': "missing_field",
        b'{"at":5,"uri":"/x","code":200}': "bad_value",
        b'{"at":1760000000000,"client":{"addr":"nowhere"}}': "bad_value",
        b'{"at":1760000000000,"client":{"addr":{"v4":"192.0.2.1"}}}': "bad_value",
    }
    values = [*encoded(*map(event, range(3000))), *bad, *encoded(*map(event, range(2000, 3000)))]
    values += [json.dumps([event(3000), event(3001)]).encode(), b"\n".join(encoded(event(3002), event(3003)))]
    values.append(b'{"pad":"' + b"x" * (10 << 20) + b'"}')
    with running(settings, mapping, tmp_path) as one, reading(settings, topics.DEAD_LETTER) as dead:
        publish(settings, name, values)
        one.until(lambda: one.metric("records_total") == 4000 + 4 + len(bad) + 1)
        one.until(lambda: one.metric("decisions_total", source="gate") == 3004)
        topic = read_back(settings, 3004)
        assert set(topic.times) == set(range(3004))
        assert topic.repeated() == 0
        assert one.metric("duplicates_total") == 1000
        letters = told(dead, len(bad) + 1)
        for value, code in bad.items():
            assert letters[value]["code"] == code, value
            assert (letters[value]["origin-topic"], letters[value]["origin-source"]) == (name, "gate")
        (large,) = (headers for headers in letters.values() if "cut-from" in headers)
        assert (large["code"], large["cut-from"]) == ("too_large", str(len(values[-1])))
        assert one.metric("dead_letters_total", source="gate") == len(bad) + 1
        one.until(lambda: one.metric("lag") == 0)

        one.stop()
        one.start()
        publish(settings, name, encoded(event(4000)))
        one.until(lambda: one.metric("decisions_total") == 1)
        assert one.metric("records_total") == 1, "what was committed is not read again"


@pytest.mark.integration
def test_of_a_foreign_topic_nothing_is_lost_when_the_service_is_killed_in_mid_load(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    name = foreign(settings)
    total = 60_000
    with running(settings, f"sources: {{gate: {{kafka: {{topic: {name}}}, {COLUMNS}}}}}", tmp_path) as one:
        for begin in range(0, total, 20_000):
            publish(settings, name, encoded(*map(event, range(begin, begin + 20_000))))
            one.until(lambda: one.metric("records_total") > 4_000)
            one.kill()
            one.start()
        one.until(lambda: one.metric("lag") == 0 and one.metric("waiting") == 0, 90)
        topic = read_back(settings, total)
        assert set(topic.times) == set(range(total)), "at least once"
        assert topic.repeated() <= 3 * 9 * 4_000, "and again only what was under way at a kill"


@pytest.mark.integration
def test_files_are_followed_through_rotation_and_a_kill(
    embedded_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(embedded_address, topic_prefix, tmp_path)
    logs = tmp_path / "logs"
    logs.mkdir()
    first = logs / "access.json"
    first.write_bytes(b"\n".join(encoded(*map(event, range(500)))) + b"\nnonsense\n")
    with running(settings, f"sources: {{web: {{files: {logs}/*.json, id: id, {COLUMNS}}}}}", tmp_path) as one:
        one.until(lambda: one.metric("decisions_total") == 500)
        (logs / "late.json").write_bytes(b"\n".join(encoded(*map(event, range(500, 600)))) + b"\n")
        with first.open("ab") as file:
            file.write(b"\n".join(encoded(*map(event, range(600, 700)))) + b"\n")
        first.rename(logs / "access.json.1")
        first.write_bytes(b"\n".join(encoded(*map(event, range(700, 900)))) + b"\n")
        one.until(lambda: one.metric("decisions_total") == 900)
        state = settings.data_dir / "ingest" / "web.json"
        one.until(lambda: json.loads(state.read_bytes())[str(first)]["offset"] == first.stat().st_size)
        one.kill()
        with first.open("ab") as file:
            file.write(b"\n".join(encoded(*map(event, range(900, 1000)))) + b"\n")
        first.rename(logs / "access.json.2")
        first.write_bytes(b"\n".join(encoded(*map(event, range(1000, 1100)))) + b"\n")
        one.start()
        one.until(lambda: one.metric("decisions_total") == 200)
        topic = read_back(settings, 1100)
        assert set(topic.times) == set(range(1100))
        assert topic.repeated() == 0
        with reading(settings, topics.DEAD_LETTER) as dead:
            ((value, headers),) = told(dead, 1).items()
            assert (value, headers["origin-topic"]) == (b"nonsense", str(first))
            assert int(headers["origin-offset"]) > 0


@pytest.mark.integration
def test_what_is_posted_is_in_the_topic_before_it_is_answered(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    mapping = f"sources: {{post: {{http: true, id: id, {COLUMNS}}}, log: {{http: true, format: combined}}}}"
    with running(settings, mapping, tmp_path) as one:
        to = "/v1/ingest/post"
        assert one.post(to, *encoded(event(0))) == (202, {"accepted": 1, "duplicates": 0})
        many = json.dumps([event(n) for n in range(100)]).encode()
        assert one.post(to, gzip.compress(many), content_encoding="gzip") == (202, {"accepted": 99, "duplicates": 1})
        lines = b"\n".join(encoded(event(100), event(101)))
        assert one.post(to, lines, content_type="application/x-ndjson")[1]["accepted"] == 2
        status, answer = one.post(to, json.dumps([event(102), {"uri": "/x"}]).encode())
        assert (status, answer["accepted"], answer["rejected"]) == (422, 1, 1)
        assert answer["errors"][0]["field"] == "ts_ms"
        assert read_back(settings, 103).times.keys() == set(range(103))

        line = b'192.0.2.7 - - [09/Oct/2025:10:53:20 +0200] "GET /items/103 HTTP/1.1" 200 12 "-" "curl/8"\n'
        assert one.post("/v1/ingest/log", line + b"nonsense\n")[1]["accepted"] == 1
        for path, body, headers, code in (
            ("/v1/ingest/nobody", b"{}", {}, 404),
            (to, b"", {}, 422),
            (to, b"x" * (9 << 20), {}, 413),
            (to, gzip.compress(b" " * (64 << 20)), {"content_encoding": "gzip"}, 413),
            (to, gzip.compress(many)[:-20], {"content_encoding": "gzip"}, 400),
            (to, many, {"content_encoding": "br"}, 400),
        ):
            assert one.post(path, body, **headers)[0] == code, (path, body[:20], code)
        assert one.get("/healthz") == (200, "ok\n")
        one.kill()
        one.start()
        known = {"accepted": 0, "duplicates": 100}
        assert one.post(to, many) == (202, known), "what was answered before kill -9 is known after it"
        assert one.post(to, encoded(event(104))[0])[1]["accepted"] == 1
        assert one.post("/v1/ingest/log", line)[1]["accepted"] == 1
        (check,) = doctor_services.ingest(settings.model_copy(update={"ingest": tmp_path / "ingest.yaml"}))
        assert (check.level, check.seen[:40]) == ("ok", "post, log: 2 decisions since it began, 0")
        one.stop()


async def test_without_a_broker_a_post_is_told_to_come_again_and_the_service_still_ends(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text(f"sources: {{post: {{http: true, id: id, {COLUMNS}}}}}", "utf-8")
    settings = Settings(kafka=f"127.0.0.1:{free_port()}", data_dir=tmp_path, publish_patience_ms=200)
    ingest = Ingest(settings, load(file))
    ingest.start()
    posts = {name: PostSource(post.intake, patience_s=0.3) for name, post in ingest.posts.items()}
    app = create_app(posts, ingest.metrics.registry, ingest.why_not_ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest") as client:
        answer = await client.post("/v1/ingest/post", content=encoded(event(1))[0])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await client.get("/readyz")).status_code == 503
        again = await client.post("/v1/ingest/post", content=encoded(event(1))[0])
        assert again.status_code == 503, "a repeat of what has not arrived is not accepted either"
        assert (await client.get("/healthz")).status_code == 200
    ingest.stop()
