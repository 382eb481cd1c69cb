"""The limiter inside a Python service: with threads, with a loop, behind WSGI; and whatever a client sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limiter_world import Enforcer, Server, action, now_ms
from limiter_world import settings as limiter_settings
from servers import ROOT

from limiter import AsyncLimiter, Limiter
from limiter.http import create_app
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from limiter.spool import Spool
from schemas.decision import Decision
from schemas.errors import BadMessageError, SettingsError

pytestmark = pytest.mark.integration

POLICY = """
version: 1
name: test
routes: [ "/items/{id}" ]
limits:
  - { name: ip, per: ip, rate: 3/h, burst: 3 }
  - { name: slow, per: ip, route: /slow, algorithm: concurrency, concurrent: 1, lease: 60s }
  - { name: line, per: ip, route: /line, algorithm: leaky_bucket, rate: 20/s, queue: 5 }
"""
unhurried = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Kept:
    def __init__(self) -> None:
        self.rows: list[Decision] = []

    def offer(self, decision: Decision) -> bool:
        self.rows.append(decision)
        return True


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def limiter(redis_url: str, policies: Path) -> Iterator[Limiter]:
    with Limiter(limiter_settings(redis_url, policies=policies)) as made:
        yield made


@pytest.fixture
async def awaited(redis_url: str) -> AsyncIterator[AsyncLimiter]:
    async with AsyncLimiter(limiter_settings(redis_url)) as made:
        yield made


@pytest.fixture
def rows(limiter: Limiter, monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    kept = Kept()
    monkeypatch.setattr(type(limiter._parts()[1].service), "rows", property(lambda _: kept))
    return kept.rows


# Code that waits


def test_five_lines_are_enough(redis_url: str, policies: Path) -> None:
    with Limiter.open(policies=policies, redis=redis_url, redis_deadline_ms=2000) as limiter:
        answers = [limiter.check("/items/1", ip="192.0.2.1", key="s3cret") for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True] * 3 + [False]
    assert answers[3].verdict == "limit"


async def test_and_as_many_to_await(redis_url: str, policies: Path) -> None:
    async with Limiter.open_async(policies=policies, redis=redis_url, redis_deadline_ms=2000) as limiter:
        assert isinstance(limiter, AsyncLimiter)
        answers = [await limiter.check("/items/1", ip="192.0.2.1") for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True] * 3 + [False]


def test_threads_together_get_what_one_would(limiter: Limiter) -> None:
    allowed: list[bool] = []

    def ask() -> None:
        allowed.extend(limiter.check("/items/1", ip="192.0.2.1").allowed for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(allowed) == 160
    assert sum(allowed) == 3


def test_a_row_tells_who_asked_and_a_peek_makes_none(limiter: Limiter, rows: list[Decision]) -> None:
    limiter.check("/items/9?token=s3cret", ip="192.0.2.1", key="s3cret", user="ann", peek=True)
    assert rows == []
    limiter.check("/items/9?token=s3cret", ip="192.0.2.1", key="s3cret", user="ann")
    assert (rows[0].path, rows[0].user, rows[0].ip) == ("/items/9?token=***", "ann", "192.0.2.1")
    assert rows[0].key_id is not None
    assert "s3cret" not in repr(rows)


def test_what_was_taken_is_given_back_when_asked_to(limiter: Limiter) -> None:
    first = limiter.check("/items/1", ip="192.0.2.1")
    assert limiter.refund(first)
    assert [limiter.check("/items/1", ip="192.0.2.1").allowed for _ in range(4)] == [True] * 3 + [False]
    held = limiter.check("/slow", ip="192.0.2.2")
    assert held.allowed
    assert not limiter.check("/slow", ip="192.0.2.2").allowed
    assert limiter.release(held)
    assert limiter.check("/slow", ip="192.0.2.2").allowed


@pytest.mark.parametrize(
    ("asking", "field"),
    [
        ({"ip": "192.0.2.0/24"}, "ip"),
        ({"cost": -1}, "cost"),
        ({"cost": 10**20}, "cost"),
        ({"cost": float("nan")}, "cost"),
        ({"cost": 1.5}, "cost"),
        ({"cost": "1"}, "cost"),
        ({"ip": 7}, "ip"),
        ({"key": b"bytes"}, "key"),
        ({"key": "no text: \ud800"}, "key"),
        ({"publish": False}, "publish"),
        ({"user": "a\0b"}, "user"),
        ({"attributes": {"country": 7}}, "attributes[...]"),
        ({"colour": "red"}, "colour"),
        ({"key": "k" * 10_000_000}, "key"),
        ({"key_id": "k" * 65}, "key_id"),
        ({"method": ""}, "method"),
    ],
)
def test_a_value_nobody_can_take_is_named(limiter: Limiter, asking: Any, field: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        limiter.check("/", **asking)
    assert caught.value.field == field


def test_a_setting_nobody_can_take_is_named_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match="FLOODWARDEN_REDIS"):
        Limiter.open(redis="mysql://127.0.0.1/0")


def test_without_redis_limits_are_local_and_nothing_raises(policies: Path) -> None:
    with Limiter.open(policies=policies, redis="redis://127.0.0.1:1/0") as limiter:
        answers = [limiter.check("/items/1", ip="192.0.2.1") for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True] * 3 + [False]
    assert {answer.mode for answer in answers} <= {"local", "memory"}


def test_a_caller_that_waited_long_enough_goes_on_and_holds_no_slot(policies: Path, tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        with Limiter.open(policies=policies, redis=server.url, redis_deadline_ms=30_000) as limiter:
            assert limiter.check("/slow", ip="192.0.2.1", peek=True).remaining == 1
            server.pause()
            assert limiter.check("/slow", ip="192.0.2.1").slots == []
            server.resume()
            deadline = time.monotonic() + 8
            while limiter.check("/slow", ip="192.0.2.1", peek=True).remaining != 1:
                assert time.monotonic() < deadline
    finally:
        server.resume()
        server.kill()


def test_a_forked_process_has_a_limiter_of_its_own(limiter: Limiter) -> None:
    assert limiter.check("/items/1", ip="192.0.2.1").allowed
    child = os.fork()
    if child == 0:
        try:
            allowed = [limiter.check("/items/1", ip="192.0.2.1").allowed for _ in range(3)]
            os._exit(0 if allowed == [True, True, False] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PROGRAM = """
from limiter import Limiter
limiter = Limiter.open(redis={redis!r}, kafka="127.0.0.1:1", data_dir={data!r}, publish=True)
for n in range(50):
    limiter.check("/items/1", ip=f"192.0.2.{{n}}")
"""


def test_a_process_that_ends_without_with_leaves_no_row_behind(redis_url: str, tmp_path: Path) -> None:
    program = PROGRAM.format(redis=redis_url, data=str(tmp_path))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    assert "Traceback" not in told.stderr
    (name,) = [each.name for each in (tmp_path / "spool").iterdir()]
    spool = Spool(tmp_path / "spool", name, 64 << 20, lambda _reason, _rows: None)
    spool.open_left()
    assert spool.rows == 50  # the broker is away, so they wait on disk


# WSGI


def ask(
    app: WSGIApplication, path: str = "/items/1", ip: str = "192.0.2.1", **environ: Any
) -> tuple[str, dict[str, str], bytes]:
    full: dict[str, Any] = {"PATH_INFO": path, "REMOTE_ADDR": ip, "SCRIPT_NAME": "", "QUERY_STRING": ""} | environ
    setup_testing_defaults(full)
    said: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], object]:
        said[:] = [status, dict(headers)]
        return lambda _: None

    body = app(full, start)
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return said[0], {name.lower(): value for name, value in said[1].items()}, content


def shop(_environ: Any, start: Any) -> Iterable[bytes]:
    start("404 Not Found", [("Content-Type", "text/plain")])
    return [b"nothing"]


def test_a_row_carries_what_the_wsgi_application_said(limiter: Limiter, rows: list[Decision]) -> None:
    app = limiter.middleware(validator(shop))
    status, headers, content = ask(validator(app), "/items/9", QUERY_STRING="token=s3cret")
    assert (status, content) == ("404 Not Found", b"nothing")
    assert headers["ratelimit-policy"] == '"ip";q=3;w=3600'
    (row,) = rows
    assert (row.verdict, row.status, row.route, row.path) == ("allow", 404, "/items/{id}", "/items/9?token=***")
    assert row.latency_ms is not None
    assert row.latency_ms > 0


def test_a_wsgi_client_over_its_limit_never_reaches_the_application(limiter: Limiter, rows: list[Decision]) -> None:
    app = validator(limiter.middleware(shop))
    answers = [ask(app) for _ in range(4)]
    assert [status[:3] for status, _, _ in answers] == ["404", "404", "404", "429"]
    _, headers, content = answers[3]
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["retry-after"]) > 1000
    assert b"quota-exceeded" in content
    assert (rows[3].verdict, rows[3].status) == ("limit", 429)
    assert ask(app, REQUEST_METHOD="HEAD")[2] == b""


def test_a_wsgi_client_that_is_denied_gets_403(limiter: Limiter, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:192.0.2.1", "a"), action("challenge", "ip:192.0.2.2", "b"))
    app, until = limiter.middleware(shop), now_ms() + 8000
    while ask(app)[0][:3] != "403":
        assert now_ms() < until
    status, headers, _ = ask(app, ip="192.0.2.2")
    assert (status, headers["floodwarden-challenge"]) == ("403 Forbidden", "required")


def test_a_slot_is_held_until_the_response_is_closed(limiter: Limiter) -> None:
    def slow(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        yield b"b"

    app = limiter.middleware(slow)
    environ: dict[str, Any] = {"PATH_INFO": "/slow", "REMOTE_ADDR": "192.0.2.3"}
    setup_testing_defaults(environ)
    body: Any = app(environ, lambda *_: lambda _: None)
    assert next(iter(body)) == b"a"
    assert ask(app, "/slow", "192.0.2.3")[0][:3] == "429"
    body.close()
    assert ask(app, "/slow", "192.0.2.3")[0][:3] == "200"
    assert ask(app, "/slow", "192.0.2.3")[0][:3] == "200"


def test_a_wsgi_application_that_fails_is_a_500_in_the_row_and_its_exception_its_own(
    limiter: Limiter, rows: list[Decision]
) -> None:
    def at_once(_environ: Any, _start: Any) -> Iterable[bytes]:
        raise RuntimeError("boom")

    def later(_environ: Any, _start: Any) -> Iterator[bytes]:
        raise RuntimeError("boom")
        yield b""

    for n, app in enumerate((at_once, later)):
        with pytest.raises(RuntimeError, match="boom"):
            ask(limiter.middleware(app), ip=f"192.0.2.{n}")
    assert [row.status for row in rows] == [500, 500]


def test_flask_goes_behind_it_and_health_checks_pass_unseen(limiter: Limiter, rows: list[Decision]) -> None:
    flask = Flask("shop")
    flask.add_url_rule("/items/<name>", "item", view_func=lambda name: f"item {name}")
    flask.add_url_rule("/healthz", "health", view_func=lambda: "ok")
    flask.wsgi_app = limiter.middleware(flask.wsgi_app, exempt=("/healthz",))  # type: ignore[method-assign]
    client = flask.test_client()
    answers = [client.get("/items/7") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "RateLimit" in answers[0].headers
    assert [client.get("/healthz").status_code for _ in range(5)] == [200] * 5
    assert len(rows) == 4


# Whatever a client sends


latin = st.text(st.characters(max_codepoint=255), max_size=300)
huge = st.just("/" + "a" * 10_000_000)
long = st.sampled_from(["k" * 9000, "\xff" * 9000, "a," * 9000, '"' * 9000])
header_names = [
    "x-api-key",
    "authorization",
    "x-forwarded-for",
    "forwarded",
    "x-user",
    "x-tenant",
    "user-agent",
    "cookie",
]
headers_sent = st.dictionaries(st.sampled_from(header_names), latin | long | latin.map(lambda text: "Bearer " + text))
methods = st.sampled_from(["GET", "POST", "", "G" * 500, "get", "\xff"]) | latin
taken = {200, 400, 403, 404, 414, 429, 431}


@unhurried
@given(methods, latin | huge, latin, headers_sent, st.sampled_from(["127.0.0.1", "192.0.2.1", "", "junk", "\xff"]))
def test_no_wsgi_request_makes_it_raise(
    limiter: Limiter, method: str, path: str, query: str, sent: dict[str, str], peer: str
) -> None:
    environ = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.items()}
    status, _, content = ask(limiter.middleware(shop), path, peer, REQUEST_METHOD=method, QUERY_STRING=query, **environ)
    assert int(status[:3]) in taken
    if status.startswith("4") and content and content != b"nothing" and status[:3] in ("400", "414", "431"):
        assert b'"field":' in content


peers = st.sampled_from(["127.0.0.1", "junk", None])


@unhurried
@given(methods, st.binary(max_size=300) | huge.map(str.encode), st.binary(max_size=300), headers_sent, peers)
async def test_no_asgi_request_makes_it_raise(
    awaited: AsyncLimiter, method: str, path: bytes, query: bytes, sent: dict[str, str], peer: str | None
) -> None:
    told: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"nothing"})

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": (peer, 1) if peer else None,
    }
    await awaited.middleware(app)(scope, receive, send)
    assert told[0]["status"] in taken
    if told[0]["status"] in (400, 414, 431):
        assert b'"field":' in told[1]["body"]


json_values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
fields = ["path", "method", "ip", "api_key", "key_id", "user", "tenant", "route", "tier", "cost", "ua", "policy"]
questions = st.dictionaries(st.sampled_from(fields), json_values | st.just("k" * 9000))
paths = st.sampled_from(["/v1/check", "/v1/checks", "/v1/release", "/v1/decisions"])


@unhurried
@given(paths, questions, st.binary(max_size=60), headers_sent)
async def test_no_question_over_http_is_answered_with_a_5xx(
    awaited: AsyncLimiter, path: str, question: dict[str, Any], junk: bytes, sent: dict[str, str]
) -> None:
    service = awaited.service
    service._publisher = Publisher(service.settings, Metrics())  # never started: what is offered stays in it
    transport = httpx.ASGITransport(create_app(service, owns=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        body = json.dumps({"requests": [question]} if path == "/v1/checks" else question).encode()
        for content in (body, junk, body[:-1], b"[" * 100_000):
            answer = await client.post(path, content=content)
            assert answer.status_code < 500
            if answer.status_code >= 400:
                assert answer.json()["field"]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        known = [(b"x-original-method", b"GET"), (b"x-original-uri", b"/")]
        answer = await client.get("/v1/auth", headers=[*known, *raw])
        assert answer.status_code in {204, 400, 403, 429, 431}
    service._publisher = None
