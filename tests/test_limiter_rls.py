"""Envoy's rate limit service, asked by stubs that others generated from Envoy's own protocol files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import RateLimitDescriptor
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseRateLimitUnit,
)
from limiter_world import Enforcer, action, eventually
from rls_world import OK, OVER, World, headers_of, metadata_of, question, world_of

from limiter.rls import SHOULD_RATE_LIMIT

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(redis_url, tmp_path) as made:
        yield made


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


async def test_a_refused_call_takes_nothing_of_any_descriptor(world: World) -> None:
    ip, key = {"remote_address": "192.0.2.1"}, {"api_key": "s3cret"}
    for _ in range(2):
        await world.ask(key)
    answers = [await world.ask(ip, key) for _ in range(5)]
    assert [answer.overall_code for answer in answers] == [OVER] * 5
    assert (await world.ask(ip)).statuses[0].limit_remaining == 2


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
    assert (await world.ask({"remote_address": "192.0.2.7"}, hits=1)).statuses[0].limit_remaining == 2
    assert [row.cost for row in world.kept] == [2, 2, 1, 1]


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
        (question({"api_key": "k" * 100_000}), "descriptors[0].api_key"),
        (question({"user": "a\0b"}), "descriptors[0].entries[0].value"),
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


async def test_long_values_are_cut_and_long_names_hashed(world: World) -> None:
    answer = await world.ask({"user": "u" * 60_000, "user_agent": "b" * 60_000, "path": "/items/" + "1" * 60_000})
    assert answer.overall_code == OK
    (row,) = world.kept
    assert (len(row.ua or ""), len(row.path or "")) == (512, 512)
    assert (row.user or "").startswith("h-")


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


async def test_a_fault_of_ours_lets_the_request_pass_and_is_counted(world: World) -> None:
    def broken(_: object) -> bool:
        raise RuntimeError("made up")

    def value(name: str, **labels: str) -> float | None:
        return world.service.metrics.registry.get_sample_value(f"floodwarden_limiter_{name}", labels)

    world.service.publisher.offer = broken  # type: ignore[method-assign]
    assert (await world.ask({"remote_address": "192.0.2.1"})).overall_code == OK
    assert (value("check_faults_total"), value("decisions_lost_total", reason="fault")) == (0, 1)
    world.service.node.begin = broken  # type: ignore[method-assign,assignment]
    assert (await world.ask({"remote_address": "192.0.2.1"})).overall_code == OK
    assert value("check_faults_total") == 1
