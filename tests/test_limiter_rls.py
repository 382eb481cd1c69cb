"""Envoy's rate limit service, asked by stubs that others generated from Envoy's own protocol files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import RateLimitDescriptor, RateLimitDescriptorEntry
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
    RateLimitResponseRateLimitUnit,
    RateLimitServiceAsyncStub,
)
from grpclib.client import Channel
from limiter_world import Enforcer, Server, action, eventually, settings
from servers import free_port

from limiter.grpc import MESSAGE_BYTES_MAX
from limiter.rls import HEALTH_CHECK, NAME, SHOULD_RATE_LIMIT, RateLimitService, serving
from limiter.service import Service
from schemas.decision import Decision

pytestmark = pytest.mark.integration

POLICY = """
version: 1
name: test
routes: [ "/items/{id}", "POST /login" ]
limits:
  - { name: ip, per: ip, rate: 3/h, burst: 3 }
  - { name: key, per: key, rate: 2/h, burst: 2 }
brownout:
  levels:
    1: { factor: 0.34 }
"""
OK, OVER = RateLimitResponseCode.OK, RateLimitResponseCode.OVER_LIMIT
Entries = dict[str, str]


@dataclass
class World:
    """A service that answers on `port`; `kept` are the rows it published."""

    service: Service
    port: int
    kept: list[Decision]

    async def ask(self, *descriptors: Entries, hits: int = 0, each: list[int] | None = None) -> RateLimitResponse:
        """What grpclib and the stubs of envoy-data-plane make of the answer."""
        channel = Channel("127.0.0.1", self.port)
        try:
            stub = RateLimitServiceAsyncStub(channel)
            return await asyncio.wait_for(stub.should_rate_limit(question(*descriptors, hits=hits, each=each)), 10)
        finally:
            channel.close()

    def channel(self) -> grpc.aio.Channel:
        """gRPC's own client."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")


def question(*descriptors: Entries, hits: int = 0, each: list[int] | None = None) -> RateLimitRequest:
    found = [
        RateLimitDescriptor(
            entries=[RateLimitDescriptorEntry(key=key, value=value) for key, value in entries.items()],
            hits_addend=each[at] if each else None,
        )
        for at, entries in enumerate(descriptors)
    ]
    return RateLimitRequest(domain="shop", descriptors=found, hits_addend=hits)


@asynccontextmanager
async def world_of(redis_url: str, tmp_path: Path, **more: object) -> AsyncIterator[World]:
    (tmp_path / "p.yaml").write_text(POLICY)
    fields = {"policies": tmp_path / "p.yaml", "grpc_port": free_port()} | more
    async with Service(settings(redis_url, **fields)) as service:
        kept: list[Decision] = []
        service.publisher.offer = lambda row: kept.append(row) or True  # type: ignore[method-assign,func-returns-value]
        async with serving(RateLimitService(service)) as port:
            yield World(service, port, kept)


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(redis_url, tmp_path) as made:
        yield made


def headers_of(answer: RateLimitResponse) -> dict[str, str]:
    return {header.key: header.value for header in answer.response_headers_to_add}


def metadata_of(answer: RateLimitResponse) -> dict[str, Any]:
    assert answer.dynamic_metadata is not None
    return {
        name: value.string_value if value.string_value is not None else value.number_value
        for name, value in answer.dynamic_metadata.fields.items()
    }


async def test_a_descriptor_is_a_request_with_its_limit_told(world: World) -> None:
    answer = await world.ask({"remote_address": "192.0.2.1", "path": "/items/9?token=s3cret", ":method": "POST"})
    assert answer.overall_code == OK
    (status,) = answer.statuses
    assert status.current_limit is not None
    assert status.duration_until_reset is not None
    assert (status.code, status.limit_remaining, status.duration_until_reset.total_seconds()) == (OK, 2, 1200)
    told = status.current_limit
    assert (told.name, told.requests_per_unit, told.unit) == ("ip", 3, RateLimitResponseRateLimitUnit.HOUR)
    assert headers_of(answer) == {"ratelimit-policy": '"ip";q=3;w=3600', "ratelimit": '"ip";r=2;t=1200'}
    assert answer.raw_body == b""
    (row,) = world.kept
    assert (row.verdict, row.ip, row.method, row.route) == ("allow", "192.0.2.1", "POST", "/items/{id}")
    assert (row.path, row.status) == ("/items/9?token=***", 0)


async def test_the_request_over_the_limit_is_a_problem_with_a_wait(world: World) -> None:
    answers = [await world.ask({"remote_address": "192.0.2.1", "path": "/items/1"}) for _ in range(4)]
    assert [answer.overall_code for answer in answers] == [OK] * 3 + [OVER]
    told = headers_of(answers[3])
    assert told["content-type"] == "application/problem+json"
    assert 1190 <= int(told["retry-after"]) <= 1200
    problem = json.loads(answers[3].raw_body)
    assert (problem["status"], problem["violated-policies"]) == (429, ["ip"])
    assert problem["type"].endswith("#quota-exceeded")
    assert metadata_of(answers[3]) == {
        "verdict": "limit",
        "status": 429,
        "rule": "ip",
        "policy": "ip",
        "reason": "quota-exceeded",
    }
    assert [row.verdict for row in world.kept] == ["allow"] * 3 + ["limit"]


async def test_descriptors_are_judged_each_for_itself_and_told_in_one_row(world: World) -> None:
    key = {"api_key": "s3cret", "path": "/items/1"}
    for _ in range(2):
        await world.ask(key)
    answer = await world.ask({"remote_address": "192.0.2.1", "user": "ann"}, key, {"generic_key": "slow"})
    assert answer.overall_code == OVER
    assert [status.code for status in answer.statuses] == [OK, OVER, OK]
    assert answer.statuses[2].current_limit is None
    assert "key" in headers_of(answer)["ratelimit-policy"]
    assert len(world.kept) == 3
    row = world.kept[2]
    assert (row.verdict, row.rule, row.ip, row.user, row.route) == ("limit", "key", "192.0.2.1", "ann", "/items/{id}")
    assert row.key_id is not None
    assert len(row.key_id) == 16


async def test_a_denial_and_a_challenge_reach_envoy_as_metadata(world: World, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:192.0.2.1", "a"), action("challenge", "ip:192.0.2.2", "b"))
    await eventually(lambda: len(world.service.overrides) == 2)
    denied = await world.ask({"remote_address": "192.0.2.1"})
    challenged = await world.ask({"remote_address": "192.0.2.2"})
    assert denied.overall_code == challenged.overall_code == OVER
    assert json.loads(denied.raw_body)["type"].endswith("#abnormal-usage-detected")
    assert (metadata_of(denied)["verdict"], metadata_of(denied)["status"]) == ("deny", 403)
    assert metadata_of(challenged)["verdict"] == "challenge"
    assert headers_of(challenged)["floodwarden-challenge"] == "required"
    assert [row.verdict for row in world.kept] == ["deny", "challenge"]


async def test_a_brownout_lowers_what_envoy_is_told(world: World, redis_url: str) -> None:
    Enforcer(redis_url).create(1, action("brownout", "global:*", "b", level=1))
    await eventually(lambda: len(world.service.overrides) == 1)
    answers = [await world.ask({"remote_address": "192.0.2.1"}) for _ in range(2)]
    assert [answer.overall_code for answer in answers] == [OK, OVER]
    assert json.loads(answers[1].raw_body)["type"].endswith("#temporary-reduced-capacity")


async def test_hits_are_the_cost_and_a_descriptors_own_win(world: World) -> None:
    ip = {"remote_address": "192.0.2.1"}
    assert (await world.ask(ip, hits=2)).statuses[0].limit_remaining == 1
    assert (await world.ask(ip, hits=2)).overall_code == OVER
    assert (await world.ask(ip, hits=2, each=[1])).statuses[0].limit_remaining == 0
    assert (await world.ask({"remote_address": "192.0.2.7"}, each=[0])).statuses[0].limit_remaining == 3
    assert [row.cost for row in world.kept] == [2, 2, 1, 0]


async def test_keys_may_be_given_a_meaning(redis_url: str, tmp_path: Path) -> None:
    mapping = "client=ip, account=tenant, plan=descriptor:plan"
    async with world_of(redis_url, tmp_path, envoy_descriptors=mapping) as world:
        answer = await world.ask({"client": "192.0.2.9", "account": "acme", "plan": "gold"})
        assert answer.statuses[0].limit_remaining == 2
        assert (world.kept[0].ip, world.kept[0].tenant, world.kept[0].path) == ("192.0.2.9", "acme", None)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (RateLimitRequest(domain="", descriptors=[RateLimitDescriptor()]), "domain"),
        (RateLimitRequest(domain="shop"), "descriptors"),
        (question(*[{"generic_key": "a"}] * 65), "descriptors"),
        (question({"remote_address": "192.0.2.1"}, {"remote_address": "nowhere"}), "descriptors[1]"),
        (question({"generic_key": "a", "no name": "b"}), "descriptors[0].entries[1].key"),
        (question({f"k{n}": "a" for n in range(65)}), "descriptors[0].entries"),
        (question({"country": "Germany"}), "descriptors[0].attributes.country"),
        (question({"key_id": "k" * 65}), "descriptors[0].key_id"),
        (question({"generic_key": "a"}, hits=1_000_001), "hits_addend"),
        (question({"generic_key": "a"}, each=[1 << 40]), "descriptors[0].hits_addend"),
    ],
)
async def test_a_question_nobody_can_take_names_the_field(world: World, asked: RateLimitRequest, field: str) -> None:
    async with world.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await channel.unary_unary(SHOULD_RATE_LIMIT)(bytes(asked), timeout=10)
    assert told.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(told.value.details()).startswith(f"{field}: ")
    assert world.kept == []


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


async def test_long_values_are_cut(world: World) -> None:
    answer = await world.ask({"user": "u" * 60_000, "user_agent": "b" * 60_000, "path": "/items/" + "1" * 60_000})
    assert answer.overall_code == OK
    (row,) = world.kept
    assert (len(row.user or ""), len(row.ua or ""), len(row.path or "")) == (256, 512, 512)


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


async def test_many_at_once_get_exactly_what_the_limit_has(redis_url: str, tmp_path: Path) -> None:
    async with world_of(redis_url, tmp_path) as world:
        async with world.channel() as channel:
            call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)

            async def client(number: int) -> list[int]:
                asked = bytes(question({"remote_address": f"192.0.2.{number % 4}"}))
                return [int((await call(asked, timeout=20)).overall_code) for _ in range(10)]

            codes = await asyncio.gather(*(client(number) for number in range(16)))
        assert sum(each.count(int(OK)) for each in codes) == 4 * 3
        assert len(world.kept) == 160


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


async def test_a_fault_of_ours_lets_the_request_pass_and_is_counted(world: World) -> None:
    def broken(_: object) -> bool:
        raise RuntimeError("made up")

    world.service.publisher.offer = broken  # type: ignore[method-assign]
    assert (await world.ask({"remote_address": "192.0.2.1"})).overall_code == OK
    counted = world.service.metrics.registry.get_sample_value("floodwarden_limiter_check_faults_total")
    assert counted == 1


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
            async with serving(RateLimitService(service)) as port:
                channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
                call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)
                asked = bytes(question({"remote_address": "192.0.2.2"}))
                await call(asked, timeout=10)
                server.pause()
                waiting = asyncio.ensure_future(call(asked, timeout=10))
                seen = service.metrics.registry.get_sample_value
                await eventually(lambda: len(service.node._shared._line._asked) == 1)
                assert seen("floodwarden_limiter_rls_calls_total", {"code": "OK"}) == 1
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

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, within_s=30)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
                call = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.parse)
                assert (await call(bytes(question({"remote_address": "192.0.2.1"})), timeout=10)).overall_code == OK
            assert 'rls_calls_total{code="OK"} 1.0' in (await client.get("/metrics")).text
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
