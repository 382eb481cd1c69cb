"""The gRPC service on the wire: bad bytes, deadlines, Redis away, health, start, stop; asked by gRPC's own client."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitResponse,
)
from limiter_world import Server, answering, eventually, settings
from rls_world import OK, OVER, POLICY, World, question, world_of

from floodwarden.embedded import free_port
from limiter.grpc import MESSAGE_BYTES_MAX
from limiter.rls import HEALTH_CHECK, NAME, SHOULD_RATE_LIMIT, RateLimitService, serving
from limiter.service import Service

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(redis_url, tmp_path) as made:
        yield made


async def test_bytes_that_are_no_message_and_a_huge_one_are_refused(world: World) -> None:
    async with world.channel() as channel:
        call = channel.unary_unary(SHOULD_RATE_LIMIT)
        bad = {b"\xff\xff\xff": "INVALID_ARGUMENT", b"x" * (MESSAGE_BYTES_MAX + 1): "RESOURCE_EXHAUSTED"}
        for message, code in bad.items():
            with pytest.raises(grpc.aio.AioRpcError, match=code) as told:
                await call(message, timeout=10)
            assert str(told.value.details()).startswith("message: ")
        bad_text = bytes(question({"generic_key": "wxyz"})).replace(b"wxyz", b"\xff\xfe\xff\xfe")
        with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
            await call(bad_text, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
            await channel.unary_unary(f"/{NAME}/Other")(b"", timeout=10)
        assert await call(bytes(question({"remote_address": "192.0.2.1"})), timeout=10)  # the connection lives on


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + (b"\0\0\4\3\0\0\0\0\1\0\0\0\0") * 5_000,
    ],
    ids=["http/1.1", "noise", "resets of nothing"],
)
async def test_what_is_no_grpc_is_closed_and_others_go_on(world: World, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(sent)
    try:
        while await asyncio.wait_for(reader.read(65_536), 10):
            pass
    except ConnectionResetError:
        pass
    writer.close()
    assert (await world.ask({"remote_address": "192.0.2.1"})).overall_code == OK


async def test_redis_away_is_answered_locally_within_a_clients_deadline(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        async with world_of(server.url, tmp_path, redis_deadline_ms=20) as world:
            assert (await world.ask({"remote_address": "192.0.2.1"})).overall_code == OK
            server.pause()
            async with world.channel() as channel:
                call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)
                asked = bytes(question({"remote_address": "192.0.2.2"}))
                codes = [(await call(asked, timeout=2)).overall_code for _ in range(4)]
            assert codes == [OK] * 3 + [OVER]
            server.resume()
    finally:
        server.kill()


async def test_a_client_that_waits_no_longer_harms_nobody(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        async with world_of(server.url, tmp_path, redis_deadline_ms=500) as world:
            await world.ask({"remote_address": "192.0.2.1"})
            server.pause()
            async with world.channel() as channel:
                call = channel.unary_unary(SHOULD_RATE_LIMIT)
                with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
                    await call(bytes(question({"remote_address": "192.0.2.2"})), timeout=0.05)
                server.resume()
                assert await call(bytes(question({"remote_address": "192.0.2.3"})), timeout=10)
            await eventually(lambda: len(world.kept) == 3)
    finally:
        server.kill()


async def test_health_is_told_as_gRPC_asks_for_it(world: World) -> None:  # noqa: N802 - its name
    await eventually(lambda: world.service.ready)
    async with world.channel() as channel:
        check = channel.unary_unary(HEALTH_CHECK)
        for name in ("", NAME):
            assert await check(b"\x0a" + bytes([len(name)]) + name.encode(), timeout=10) == b"\x08\x01"
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await check(b"\x0a\x01x", timeout=10)


async def test_a_stop_answers_what_is_under_way_and_says_goodbye(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        (tmp_path / "p.yaml").write_text(POLICY)
        more = {"policies": tmp_path / "p.yaml", "grpc_port": free_port(), "redis_deadline_ms": 700}
        async with Service(settings(server.url, **more)) as service:
            asked_node, finish = asyncio.Event(), service.node.finish

            async def told(begun: Any) -> Any:
                asked_node.set()
                return await finish(begun)

            async with serving(RateLimitService(service)) as port:
                channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
                call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)
                asked = bytes(question({"remote_address": "192.0.2.2"}))
                await call(asked, timeout=10)
                server.pause()
                service.node.finish = told  # type: ignore[method-assign]
                waiting = asyncio.ensure_future(call(asked, timeout=10))
                await asyncio.wait_for(asked_node.wait(), 10)
                assert not waiting.done()
            assert (await waiting).overall_code == OK
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                await call(asked, timeout=2)
            await channel.close()
    finally:
        server.resume()
        server.kill()


async def test_the_limiter_serves_both_ports_and_stops_when_asked_to(redis_url: str) -> None:
    port, grpc_port = free_port(), free_port()
    program = "from limiter.http import run; from schemas.settings import load; run(load())"
    environment = {
        "FLOODWARDEN_REDIS": redis_url,
        "FLOODWARDEN_PORT": str(port),
        "FLOODWARDEN_GRPC_PORT": str(grpc_port),
        "FLOODWARDEN_KAFKA": "127.0.0.1:1",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=os.environ | environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await answering(client)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
                call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)
                assert (await call(bytes(question({"remote_address": "192.0.2.1"})), timeout=10)).overall_code == OK
            assert 'rls_calls_total{code="OK"} 1.0' in (await client.get("/metrics")).text
            key = b'{"path": "/", "api_key": "' + b"k" * (10 << 20) + b'"}'
            refused = await client.post("/v1/check", content=key)  # heard to its end, so that the answer is, too
            assert (refused.status_code, refused.json()["field"]) == (413, "api_key")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("before", "environment", "told"),
    [
        ("import sys; sys.modules['ngh2'] = None", {}, "pip install 'floodwarden[envoy]'"),
        ("", {"FLOODWARDEN_ENVOY_DESCRIPTORS": "client=adress"}, "FLOODWARDEN_ENVOY_DESCRIPTORS: 'client=adress'"),
    ],
    ids=["the extra is missing", "a mapping nobody can take"],
)
def test_a_service_that_cannot_be_given_is_told_at_the_start(
    before: str, environment: dict[str, str], told: str
) -> None:
    program = f"{before}\nfrom floodwarden.__main__ import main; import sys; sys.argv[1:] = ['limiter']; main()"
    more = {"FLOODWARDEN_GRPC_PORT": str(free_port()), "FLOODWARDEN_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | more | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
