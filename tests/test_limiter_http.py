"""The two ways in: the middleware around an app, and the HTTP service."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from limiter_world import Enforcer, action, answering, eventually, settings
from servers import ROOT
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from test_limiter_places import database
from uvicorn import Config
from uvicorn.server import ServerState

from floodwarden.embedded import free_port
from limiter import wire
from limiter.asgi import RateLimitMiddleware
from limiter.http import BODY_BYTES_MAX, create_app
from limiter.service import Service
from limiter.unreadable import ProblemProtocol
from limiter.verdict import Answer, Mode
from schemas import codec
from schemas.decision import Decision

pytestmark = pytest.mark.integration

POLICY = """
version: 1
name: test
routes: [ "/items/{id}" ]
limits:
  - { name: ip, per: ip, rate: 3/h, burst: 3 }
"""
NOW_MS = 1_764_000_000_000
PROBLEM = "application/problem+json"
SLOT = {"limit": "a", "identity": "b", "id": "c", "cost": 6_000}
RELEASE = json.dumps({"slots": [SLOT] * 2}).encode()  # freed one by one: Redis would do nothing else


@pytest.fixture
async def service(redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "p.yaml").write_text(POLICY)
    places = database(tmp_path / "geo.mmdb", {"198.18.0.0/24": {"country": "DE", "asn": 64500}})
    async with Service(settings(redis_url, policies=tmp_path / "p.yaml", geoip=str(places))) as made:
        kept: list[Decision] = []
        dead: list[tuple[bytes, str, int]] = []
        made.publisher.offer = lambda row: kept.append(row) or True  # type: ignore[method-assign,func-returns-value]
        made.publisher.dead_letter = (  # type: ignore[method-assign]
            lambda value, error, origin, _kind: dead.append((value, error.field, origin.offset))
        )
        made.kept, made.dead = kept, dead  # type: ignore[attr-defined]
        yield made


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def _item(request: HttpRequest) -> Response:
    if request.path_params["id"] == "boom":
        raise RuntimeError("boom")
    return PlainTextResponse("item", 404 if request.path_params["id"] == "9" else 200)


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/items/{id}", _item), Route("/healthz", _item)])
    async with client_of(
        RateLimitMiddleware(app, service.node, service.publisher, service.settings, exempt=("/healthz",))
    ) as client:
        yield client


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(service, owns=False)) as client:
        yield client


Ask = Callable[..., Awaitable[httpx.Response]]


async def test_a_row_carries_what_the_upstream_said(shop: httpx.AsyncClient, service: Any) -> None:
    answer = await shop.get("/items/9?token=s3cret", headers={"x-forwarded-for": "192.0.2.7", "x-user": "ann"})
    assert answer.status_code == 404
    assert answer.headers["ratelimit-policy"] == '"ip";q=3;w=3600'
    assert answer.headers["ratelimit"].startswith('"ip";r=2;t=1200')
    (row,) = service.kept
    assert (row.verdict, row.status, row.route, row.path) == ("allow", 404, "/items/{id}", "/items/9?token=***")
    assert (row.ip, row.user, row.node, row.method) == ("192.0.2.7", "ann", "n1", "GET")
    assert row.latency_ms > 0


async def test_a_client_over_its_limit_gets_429_as_a_problem(shop: httpx.AsyncClient, service: Any) -> None:
    answers = [await shop.get("/items/1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[3]
    assert refused.headers["content-type"] == PROBLEM
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert refused.json()["violated-policies"] == ["ip"]
    assert 1190 <= int(refused.headers["retry-after"]) <= 1200
    assert (service.kept[3].verdict, service.kept[3].status, service.kept[3].rule) == ("limit", 429, "ip")


async def test_a_denied_client_gets_403_and_a_challenged_one_a_header(
    shop: httpx.AsyncClient, service: Any, redis_url: str
) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:192.0.2.1", "a"), action("challenge", "ip:192.0.2.2", "b"))
    await eventually(lambda: len(service.overrides) == 2)
    denied = await shop.get("/items/1", headers={"x-forwarded-for": "192.0.2.1"})
    challenged = await shop.get("/items/1", headers={"x-forwarded-for": "192.0.2.2"})
    assert denied.status_code == challenged.status_code == 403
    assert denied.json()["type"].endswith("#abnormal-usage-detected")
    assert "retry-after" in denied.headers
    assert challenged.headers["floodwarden-challenge"] == "required"
    assert [row.verdict for row in service.kept] == ["deny", "challenge"]


async def test_an_app_that_fails_is_a_500_in_the_row_and_its_exception_its_own(
    shop: httpx.AsyncClient, service: Any
) -> None:
    assert (await shop.get("/items/boom")).status_code == 500
    assert [row.status for row in service.kept] == [500]


async def test_exempt_paths_are_neither_counted_nor_published(shop: httpx.AsyncClient, service: Any) -> None:
    for _ in range(5):
        await shop.get("/healthz")
    assert service.kept == []


async def test_a_check_answers_and_publishes_once(api: httpx.AsyncClient, service: Any) -> None:
    question = {"path": "/items/1", "ip": "192.0.2.1", "api_key": "s3cret"}
    answers = [(await api.post("/v1/check", json=question)).json() for _ in range(4)]
    assert [answer["allowed"] for answer in answers] == [True] * 3 + [False]
    assert (answers[3]["status"], answers[3]["reason"]) == (429, "quota-exceeded")
    assert "retry-after" in answers[3]["headers"]
    assert len(service.kept) == 4
    assert len(service.kept[0].key_id) == 16
    assert "s3cret" not in json.dumps(answers)


async def test_a_question_goes_by_its_fields_alone_and_knows_no_outcome(
    api: httpx.AsyncClient, service: Service
) -> None:
    headers = {"x-forwarded-for": "192.0.2.7", "user-agent": "gateway/1", "x-api-key": "the gateway's own"}
    for question in ({"path": "/login"}, {"path": "/login", "ip": "192.0.2.9", "ua": "curl/8"}):
        assert (await api.post("/v1/check", json=question, headers=headers)).status_code == 200
    first, second = service.kept  # type: ignore[attr-defined]
    assert (first.ip, first.ua, first.key_id) == (None, None, None)
    assert (second.ip, second.ua, second.status) == ("192.0.2.9", "curl/8", 0)


async def test_a_check_not_published_hands_the_row_to_the_gateway(api: httpx.AsyncClient, service: Any) -> None:
    question = {"path": "/items/1", "ip": "192.0.2.1", "publish": False}
    row = (await api.post("/v1/check", json=question)).json()["decision"]
    assert service.kept == []
    done = await api.post("/v1/decisions", json=row | {"status": 404, "latency_ms": 12.5})
    assert (done.status_code, done.json()) == (202, {"accepted": 1})
    assert (service.kept[0].status, service.kept[0].route) == (404, "/items/{id}")


async def test_several_checks_are_judged_in_their_order(api: httpx.AsyncClient, service: Any) -> None:
    body = {"requests": [{"path": "/items/1", "ip": "192.0.2.1"}] * 5}
    answers = (await api.post("/v1/checks", json=body)).json()["answers"]
    assert [answer["allowed"] for answer in answers] == [True] * 3 + [False] * 2
    assert len(service.kept) == 5


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/v1/check", b"{", 400, "body"),
        ("/v1/check", b"\xff", 400, "body"),
        ("/v1/check", b"{}", 400, "path"),
        ("/v1/check", b'{"path": 7}', 400, "path"),
        ("/v1/check", b'{"path": "/", "pth": 1}', 400, "pth"),
        ("/v1/check", b'{"path": "/", "ip": "192.0.2.0/24"}', 400, "ip"),
        ("/v1/check", b'{"path": "/", "cost": -1}', 400, "cost"),
        ("/v1/check", b'{"path": "/", "cost": 99999999999999999999}', 400, "cost"),
        ("/v1/checks", b'{"requests": [{"path": "/"}, {"path": "/", "cost": -1}]}', 400, "requests[1].cost"),
        ("/v1/checks", b'{"requests": [' + b",".join([b'{"path":"/"}'] * 1001) + b"]}", 400, "requests"),
        ("/v1/check", b" " * (BODY_BYTES_MAX + 1), 413, "body"),
        ("/v1/check", b'{"path": "/", "cost": 1e400}', 400, "cost"),
        ("/v1/check", b'{"path": "/", "user": "a\\u0000b"}', 400, "user"),
        ("/v1/check", b'{"path": "/' + b"a" * 70_000 + b'"}', 400, "path"),
        ("/v1/checks", b'{"requests": [{"path": "/"}, {"path": "\\u0000"}]}', 400, "requests[1].path"),
        ("/v1/decisions", b"[" * 100_000, 400, "body"),
        ("/v1/decisions", b'[{"ts_ms":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", 400, "body"),
        ("/v1/release", RELEASE, 400, "slots"),
        ("/v1/release", b'{"slot": []}', 400, "slot"),
        ("/v1/check", b'{"path": "/", "api_key": "\xff\xfe"}', 400, "api_key"),
        ("/v1/check", b'{"path": "/", "api_key": "\\udcff"}', 400, "api_key"),
        ("/v1/check", b'{"path": "/", "\xff": 1}', 400, "body"),
        ("/v1/check", b'{"path": "/", "api_key": "' + b"k" * 10_000_000 + b'"}', 413, "api_key"),
        ("/v1/checks", b'{"requests": [{"path": "/"}, {"path": "/", "user": "\xff"}]}', 400, "requests[1].user"),
        ("/v1/check", b'{"path": "/", "attributes": {"country": "\xff"}}', 400, "attributes.country"),
        ("/v1/check", b'{"path": "/", "ua": "\xff' + b"[" * 100_000, 400, "body"),
    ],
)
async def test_a_question_nobody_can_take_is_named(
    api: httpx.AsyncClient, service: Any, path: str, body: bytes, status: int, field: str
) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["field"] == field
    assert answer.json()["fix"]
    assert service.kept == []


async def test_good_decisions_are_published_and_bad_ones_named_and_put_aside(
    api: httpx.AsyncClient, service: Any
) -> None:
    good = {"ts_ms": NOW_MS, "verdict": "allow", "path": "/a?password=s3cret"}
    body = [good, {"ts_ms": NOW_MS, "verdict": "perhaps"}, good, {"ts_ms": 5, "verdict": "allow"}]
    answer = await api.post("/v1/decisions", json=body)
    assert answer.status_code == 422
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 2)
    assert [(e["index"], e["field"]) for e in answer.json()["errors"]] == [(1, "verdict"), (3, "ts_ms")]
    assert [row.path for row in service.kept] == ["/a?password=***"] * 2
    assert [(field, offset) for _, field, offset in service.dead] == [("verdict", 1), ("ts_ms", 3)]
    assert json.loads(service.dead[0][0]) == body[1]


async def test_where_the_client_of_a_decision_made_elsewhere_is_is_filled_in_where_it_does_not_say(
    api: httpx.AsyncClient, service: Any
) -> None:
    row = {"ts_ms": NOW_MS, "verdict": "allow"}
    said = [{"ip": "198.18.0.7"}, {"ip": "198.18.0.7", "country": "AT"}, {"ip": "192.0.2.1"}, {}]
    assert (await api.post("/v1/decisions", json=[row | each for each in said])).status_code == 202
    batch = codec.from_rows([Decision(ts_ms=NOW_MS, verdict="limit", ip="198.18.0.7", asn=64501)])
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    assert (await api.post("/v1/decisions", content=codec.encode(batch), headers=headers)).status_code == 202
    assert [(kept.country, kept.asn) for kept in service.kept] == [
        ("DE", 64500), ("AT", 64500), (None, None), (None, None), ("DE", 64501),
    ]  # fmt: skip


async def test_decisions_may_come_as_arrow(api: httpx.AsyncClient, service: Any) -> None:
    batch = codec.from_rows([Decision(ts_ms=NOW_MS, verdict="limit", ip="192.0.2.1")] * 3)
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    assert (await api.post("/v1/decisions", content=codec.encode(batch), headers=headers)).json() == {"accepted": 3}
    broken = await api.post("/v1/decisions", content=codec.encode(batch)[:90], headers=headers)
    assert broken.status_code == 400
    assert broken.json()["code"] == "bad_arrow"
    assert len(service.kept) == 3
    assert len(service.dead) == 1


async def test_another_content_type_is_refused_by_name(api: httpx.AsyncClient, service: Any) -> None:
    answer = await api.post("/v1/decisions", content=b"ts,verdict", headers={"content-type": "text/csv"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "content_type"
    assert service.dead


async def test_rows_that_find_no_room_are_handed_back(api: httpx.AsyncClient, service: Any) -> None:
    service.publisher.offer = lambda _row: False
    answer = await api.post("/v1/decisions", json={"ts_ms": NOW_MS, "verdict": "allow"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


ORIGINAL = {"x-original-method": "GET", "x-original-uri": "/items/9?token=s3cret", "x-forwarded-for": "192.0.2.7"}


async def test_a_sub_request_is_answered_for_the_request_it_names(api: httpx.AsyncClient, service: Any) -> None:
    answers = [await api.get("/v1/auth", headers=ORIGINAL) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429]
    assert answers[0].headers["ratelimit"].startswith('"ip";r=2')
    assert answers[3].json()["status"] == 429
    assert "retry-after" in answers[3].headers
    assert [row.status for row in service.kept] == [0, 0, 0, 429]
    assert {(row.ip, row.route, row.path) for row in service.kept} == {
        ("192.0.2.7", "/items/{id}", "/items/9?token=***")
    }


async def test_a_proxy_that_knows_no_429_gets_403_and_the_rest_in_headers(api: httpx.AsyncClient) -> None:
    answers = [await api.get("/v1/auth?status=403", headers=ORIGINAL) for _ in range(4)]
    assert [answer.headers["x-floodwarden-status"] for answer in answers] == ["204", "204", "204", "429"]
    assert answers[3].status_code == 403
    assert json.loads(answers[3].headers["x-floodwarden-problem"]) == answers[3].json()
    bad: list[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in ORIGINAL.items()]
    bad = [*bad[:2], (b"x-forwarded-for", b"192.0.2.8"), (b"x-api-key", b"\xff")]
    malformed = await api.get("/v1/auth?status=403", headers=bad)
    assert (malformed.status_code, malformed.headers["x-floodwarden-status"]) == (403, "400")
    assert malformed.json()["field"] == "x-api-key"


async def test_a_row_left_to_the_proxy_is_complete_but_for_the_status(api: httpx.AsyncClient, service: Any) -> None:
    answer = await api.get("/v1/auth?publish=false", headers=ORIGINAL | {"user-agent": 'a "b" \\ c'})
    assert service.kept == []
    row = answer.headers["x-floodwarden-row"] + ',"status":404}'
    assert (await api.post("/v1/decisions", content=row)).status_code == 202
    assert (service.kept[0].status, service.kept[0].ip, service.kept[0].route) == (404, "192.0.2.7", "/items/{id}")
    assert service.kept[0].ua == 'a "b" \\ c'


@pytest.mark.parametrize(
    ("query", "headers", "status", "field"),
    [
        ("", {}, 400, "x-original-method"),
        ("", {"x-original-method": "GET"}, 400, "x-original-uri"),
        ("?status=200", ORIGINAL, 400, "query.status"),
        ("?colour=red", ORIGINAL, 400, "query.colour"),
        ("", ORIGINAL | {"x-original-method": "G" * 17}, 400, "method"),
        ("", ORIGINAL | {"x-original-uri": "/" + "a" * 10_000_000}, 414, "path"),
        ("", ORIGINAL | {"x-api-key": "k" * 10_000_000}, 431, "x-api-key"),
    ],
)
async def test_a_sub_request_that_is_none_is_named(
    api: httpx.AsyncClient, query: str, headers: dict[str, str], status: int, field: str
) -> None:
    answer = await api.get(f"/v1/auth{query}", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


async def test_a_stranger_s_sub_request_is_not_believed_and_not_taken_for_a_refusal(service: Any) -> None:
    transport = httpx.ASGITransport(create_app(service, owns=False), client=("198.51.100.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as stranger:
        answer = await stranger.get("/v1/auth", headers=ORIGINAL)
    assert (answer.status_code, answer.json()["field"]) == (503, "peer")
    assert service.kept == []


async def test_health_readiness_and_metrics(api: httpx.AsyncClient, service: Service) -> None:
    assert (await api.get("/healthz")).status_code == 200
    await eventually(lambda: service.ready)
    assert (await api.get("/readyz")).status_code == 200
    await api.post("/v1/check", json={"path": "/"})
    text = (await api.get("/metrics")).text
    assert 'floodwarden_limiter_checks_total{mode="memory",verdict="allow"} 1.0' in text


async def test_the_service_stops_cleanly_when_asked_to(redis_url: str) -> None:
    port = free_port()
    program = "from limiter.http import run; from schemas.settings import load; run(load())"
    environment = {"FLOODWARDEN_REDIS": redis_url, "FLOODWARDEN_PORT": str(port), "FLOODWARDEN_KAFKA": "127.0.0.1:1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=os.environ | environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await answering(client)
            assert (await client.post("/v1/check", json={"path": "/items/1", "ip": "192.0.2.1"})).json()["allowed"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("path", "body", "fix"),
    [
        ("/v1/checks", b'{"request": []}', "did you mean `requests`? one of requests"),
        ("/v1/check", b'{"path": "/", "costs": 1}', "did you mean `cost`?"),
        ("/v1/check", b'{"path": "/", "cost": 1e30}', "send `int | null`"),
        ("/v1/release", b"{}", "it has slots"),
    ],
)
async def test_the_fix_is_for_what_was_wrong(api: httpx.AsyncClient, path: str, body: bytes, fix: str) -> None:
    assert (await api.post(path, content=body)).json()["fix"].startswith(fix)


async def test_what_is_no_http_is_refused_by_a_problem_too() -> None:
    config = Config(Starlette(), log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: ProblemProtocol(config, ServerState(), {}), "127.0.0.1", 0
    )
    async with server:
        for sent in (b"POST /v1/check HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n", b"\0" * 99 + b"\r\n\r\n"):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(sent)
            head, body = (await asyncio.wait_for(reader.read(), 60)).split(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert b"\r\ncontent-type: application/problem+json\r\n" in head
            assert (json.loads(body)["field"], json.loads(body)["status"]) == ("request", 400)
            writer.close()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/check", 405), ("POST", "/v1/nothing", 404)])
async def test_what_is_not_served_is_a_problem_that_tells_what_is(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.headers["content-type"], answer.json()["field"]) == (status, PROBLEM, "path")
    assert "POST /v1/check," in answer.json()["fix"]
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize("said", ["application/json", "application/x-www-form-urlencoded", ""])
async def test_json_decisions_are_taken_as_curl_sends_them(api: httpx.AsyncClient, service: Any, said: str) -> None:
    body = json.dumps({"ts_ms": NOW_MS, "verdict": "allow", "ip": "192.0.2.1"})
    answer = await api.post(
        "/v1/decisions", content=f"\n {body}".encode(), headers={"content-type": said} if said else {}
    )
    assert (answer.status_code, [row.ip for row in service.kept]) == (202, ["192.0.2.1"])


async def test_json_that_nests_without_end_is_named_like_any_other(api: httpx.AsyncClient) -> None:
    for path in ("/v1/decisions", "/v1/check", "/v1/checks", "/v1/release"):
        answer = await api.post(path, content=b"[" * 100_000)
        assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_the_documents_name_every_field_of_a_question_and_of_an_answer() -> None:
    page = (ROOT / "docs" / "gateways.md").read_text("utf-8").partition("## HTTP check")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    told = Answer("allow", "/", "t", 1, Mode.MEMORY, **dict.fromkeys(wire.TOLD, 1))  # type: ignore[arg-type]
    assert named == {*wire.Check.__struct_fields__, *wire.reply(told, None), "slots"}
