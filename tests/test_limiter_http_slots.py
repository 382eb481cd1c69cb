"""Queues, slots and peeks through the two ways in: the middleware and the HTTP service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from limiter_world import Server, eventually, settings
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limiter.asgi import RateLimitMiddleware
from limiter.http import create_app
from limiter.passage import Silence
from limiter.service import Service

pytestmark = pytest.mark.integration

POLICY = """
version: 1
limits:
  - { name: queue, per: ip, route: /queue, algorithm: leaky_bucket, rate: 5/s, queue: 2 }
  - { name: slots, per: ip, route: /slots, algorithm: concurrency, concurrent: 2, lease: 1h }
"""


class Shop:
    """An app whose responses end when they are told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.busy = 0
        self.tidying = asyncio.Event()
        self.served_at: dict[int, float] = {}

    async def slots(self, request: HttpRequest) -> Response:
        self.busy += 1
        try:
            await self.open.wait()
        finally:
            self.busy -= 1
        if "boom" in request.query_params:
            raise RuntimeError("boom")
        return PlainTextResponse("done", background=BackgroundTask(self.tidying.wait))

    async def queue(self, request: HttpRequest) -> Response:
        self.served_at[int(request.query_params["n"])] = time.monotonic()
        return PlainTextResponse("done")


@pytest.fixture
async def service(redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "p.yaml").write_text(POLICY)
    async with Service(settings(redis_url, policies=tmp_path / "p.yaml")) as made:
        yield made


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def client(service: Service, shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/slots", shop.slots), Route("/queue", shop.queue)])
    guarded = RateLimitMiddleware(app, service.node, Silence(), service.settings)
    transport = httpx.ASGITransport(guarded, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(service, owns=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


async def test_the_middleware_holds_queued_requests_back_and_refuses_when_the_queue_is_full(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    asked_at = time.monotonic()
    answers = await asyncio.gather(*(client.get(f"/queue?n={n}") for n in range(20)))
    assert {answer.status_code for answer in answers} == {200, 429}
    delays_s = [int(each.headers.get("floodwarden-delay-ms", 0)) / 1000 for each in answers]
    assert 0.2 < max(delays_s) <= 0.4
    for n, served_at in shop.served_at.items():
        assert served_at - asked_at >= delays_s[n]


async def test_a_slot_is_held_until_the_response_ends_and_not_for_what_the_app_does_after(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    held = [asyncio.create_task(client.get("/slots")) for _ in range(2)]
    await eventually(lambda: shop.busy == 2)
    refused = await client.get("/slots")
    assert refused.status_code == 429
    assert refused.headers["ratelimit"].startswith('"slots";r=0;')
    shop.open.set()
    await eventually(lambda: shop.busy == 0)

    async def free() -> bool:
        task = asyncio.create_task(client.get("/slots"))
        await asyncio.sleep(0.05)
        if not task.done():  # let in, its background task is not over
            held.append(task)
            return True
        return False

    await eventually(free)
    shop.tidying.set()
    answers = await asyncio.gather(*held)
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("end", ["boom", "gone"])
async def test_an_app_that_fails_and_a_client_that_leaves_free_their_slots(
    client: httpx.AsyncClient, shop: Shop, service: Service, end: str
) -> None:
    app = client._transport.app  # type: ignore[attr-defined]
    tasks = []

    async def asked() -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(_: MutableMapping[str, Any]) -> None: ...

        scope = {"type": "http", "method": "GET", "path": "/slots", "query_string": end.encode(), "headers": []}
        await app(scope | {"client": ("192.0.2.1", 1)}, receive, send)

    tasks = [asyncio.create_task(asked()) for _ in range(2)]
    await eventually(lambda: shop.busy == 2)
    if end == "boom":
        shop.open.set()
    else:
        for task in tasks:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, RuntimeError | asyncio.CancelledError) for result in results)

    async def free() -> bool:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(service, owns=False)), base_url="http://test"
        ) as api:
            question = {"path": "/slots", "ip": "192.0.2.1", "peek": True}
            return bool((await api.post("/v1/check", json=question)).json()["remaining"] == 2)

    await eventually(free)


async def test_a_gateway_is_told_the_delay(api: httpx.AsyncClient) -> None:
    body = {"requests": [{"path": "/queue", "ip": "192.0.2.1"}] * 9}
    answers = (await api.post("/v1/checks", json=body)).json()["answers"]
    assert not answers[8]["allowed"]
    assert "delay_ms" not in answers[0]
    assert 0 < answers[1]["delay_ms"] <= 200
    assert answers[1]["headers"]["floodwarden-delay-ms"] == str(answers[1]["delay_ms"])


async def test_a_gateway_releases_the_slots_it_was_given(api: httpx.AsyncClient) -> None:
    question = {"path": "/slots", "ip": "192.0.2.1"}
    answers = [(await api.post("/v1/check", json=question)).json() for _ in range(3)]
    assert [answer["allowed"] for answer in answers] == [True, True, False]
    assert "slots" not in answers[2]
    for _ in range(2):  # again does no harm
        done = await api.post("/v1/release", json={"slots": answers[0]["slots"]})
        assert (done.status_code, done.json()) == (200, {"released": 1})
    answers = [(await api.post("/v1/check", json=question)).json() for _ in range(2)]
    assert [answer["allowed"] for answer in answers] == [True, False]


async def test_a_slot_of_a_limit_that_does_not_exist_is_named_and_the_others_are_released(
    api: httpx.AsyncClient,
) -> None:
    question = {"path": "/slots", "ip": "192.0.2.3"}
    held = [(await api.post("/v1/check", json=question)).json()["slots"][0] for _ in range(2)]
    done = await api.post("/v1/release", json={"slots": [held[0], held[0] | {"limit": "slot"}, held[1]]})
    problem = done.json()
    assert (done.status_code, done.headers["content-type"]) == (404, "application/problem+json")
    assert (problem["field"], problem["released"], bool(problem["fix"])) == ("slots[1].limit", 2, True)
    assert (await api.post("/v1/check", json=question)).json()["allowed"]


async def test_a_request_that_costs_nothing_holds_no_slot(api: httpx.AsyncClient) -> None:
    answer = (await api.post("/v1/check", json={"path": "/slots", "ip": "192.0.2.9", "cost": 0})).json()
    assert answer["allowed"]
    assert "slots" not in answer


async def test_a_peek_takes_nothing_and_publishes_nothing(api: httpx.AsyncClient, service: Service) -> None:
    kept: list[object] = []
    service.publisher.offer = lambda row: kept.append(row) or True  # type: ignore[method-assign,func-returns-value]
    question = {"path": "/slots", "ip": "192.0.2.1", "peek": True}
    answers = [(await api.post("/v1/check", json=question)).json() for _ in range(5)]
    assert {(answer["allowed"], answer["remaining"]) for answer in answers} == {(True, 2)}
    assert "decision" not in (await api.post("/v1/check", json=question | {"publish": False})).json()
    assert kept == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slots": [{"limit": "slots"}]}, "slots[0].identity"),
        ({"slots": [{"limit": "slots", "identity": "a", "id": "b", "cost": 0}]}, "slots[0].cost"),
        ({"slots": [{"limit": "slots", "identity": "a" * 1100, "id": "b"}]}, "slots[0].identity"),
        ({"slots": [{"limit": "slots", "identity": "a", "id": "b"}] * 1001}, "slots"),
        ({"slot": []}, "slot"),
    ],
)
async def test_slots_nobody_can_take_are_named(api: httpx.AsyncClient, body: object, field: str) -> None:
    answer = await api.post("/v1/release", json=body)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert answer.json()["fix"]


async def test_when_redis_cannot_be_told_the_gateway_is(tmp_path: Path) -> None:
    server = Server(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY)
    async with Service(settings(server.url, policies=tmp_path / "p.yaml", redis_deadline_ms=100)) as service:
        transport = httpx.ASGITransport(create_app(service, owns=False))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as api:
            held = (await api.post("/v1/check", json={"path": "/slots", "ip": "192.0.2.1"})).json()["slots"]
            server.kill()
            answer = await api.post("/v1/release", json={"slots": held})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
