"""A node that serves from tokens it holds, with a Redis that works, is stopped, and hears of actions."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis
from limiter_world import KEYS, Server, action, eventually, node_of, now_ms
from msgspec.structs import replace

from limiter.algorithms.token_bucket import Bucket
from limiter.attributes import Told
from limiter.matcher import Identity
from limiter.node import Node
from limiter.policy import Limit, Per
from limiter.verdict import Answer, Mode, Request

pytestmark = pytest.mark.integration

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US  # a token in 86 s: none comes while a test runs
BURST = 1_000
IP = Limit("ip", Per.IP, Bucket.of(BURST, DAY_US, BURST))
USER = Limit("user", Per.USER, Bucket.of(40, HOUR_US, 40), lease=False)
ASK = Request("GET", "/items/1", Identity(ip="192.0.2.1"))
ASK_AS_ANN = Request("GET", "/items/1", Identity(ip="192.0.2.1", user="ann"))


def taken_of(url: str, limit: Limit = IP, identity: str = "192.0.2.1") -> int:
    """Tokens that are gone from the shared bucket."""
    assert isinstance(limit.shape, Bucket)
    with redis.Redis.from_url(url) as client:
        held = client.get(KEYS.limiter(limit.name, identity))
    ahead_us = int(held) - time.time_ns() // 1000 if held else 0
    return max(0, -(-ahead_us // limit.shape.emission_us))


async def checks(node: Node, times: int, request: Request = ASK) -> list[Answer]:
    answers = []
    for _ in range(times):
        answers.append(await node.check(request))
        await asyncio.sleep(0)  # a gateway has other work between two checks; lots arrive then
    return answers


async def test_a_client_that_keeps_asking_is_served_from_memory(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        answers = await checks(node, 500)
        assert all(answer.allowed for answer in answers)
        modes = [answer.mode for answer in answers]
        assert modes[:2] == [Mode.SHARED] * 2
        assert modes.count(Mode.MEMORY) > 250  # a lot takes a round trip, and a loaded machine its time
        assert {(answer.policy, answer.limit, answer.cost) for answer in answers} == {("ip", BURST, 1)}
        # What Redis was asked for while a lot came may not be deducted yet; until it comes, the lot seems gone.
        late = modes.count(Mode.SHARED)
        over = [(answer.remaining or 0) - (BURST - n) for n, answer in enumerate(answers, 1)]
        assert over[0] == 0
        assert max(over) <= late
        assert sum(abs(each) <= late for each in over) > 400
        counted = node._metrics.registry.get_sample_value(
            "floodwarden_limiter_checks_total", {"verdict": "allow", "mode": "memory"}
        )
        assert counted == modes.count(Mode.MEMORY)


async def test_what_is_remembered_of_clients_has_a_bound_however_much_they_say(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 20)
        for n in range(100):
            assert (await checks(node, 1, replace(ASK, path=f"/{n}/" + "a" * 8_000)))[0].allowed
        await checks(node, 20)
        for n in range(100):
            told = Told({f"header:x-{at}": f"{n}" + "a" * 200 for at in range(30)})
            assert (await checks(node, 1, replace(ASK, attributes=told)))[0].allowed
        assert not any(request.attributes for request in node._local._plans)
        await checks(node, 1, replace(ASK, attributes=Told({"country": "DE"})))
        assert any(request.attributes for request in node._local._plans)
        kept = [len(request.path) for request in node._local._plans]
        assert kept
        assert max(kept) < 600


async def test_exactly_the_burst_passes_in_the_end(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        answers = await checks(node, BURST + 200)
        assert sum(answer.allowed for answer in answers) == BURST


async def test_a_node_that_stops_gives_back_what_it_holds(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 100)
        assert taken_of(redis_url) > 100
    assert taken_of(redis_url) == 100


async def test_a_node_without_work_gives_back_what_it_holds(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 100)
        await eventually(lambda: taken_of(redis_url) == 100)
        assert (await checks(node, 1))[0].mode is Mode.SHARED


async def test_a_limit_that_is_to_be_exact_asks_redis_each_time(redis_url: str) -> None:
    exact = Limit("ip", Per.IP, IP.shape, lease=False)
    async with node_of(redis_url, exact) as node:
        assert {answer.mode for answer in await checks(node, 100)} == {Mode.SHARED}
        assert taken_of(redis_url) == 100


async def test_what_an_exact_limit_refuses_takes_nothing_from_what_is_held(redis_url: str) -> None:
    async with node_of(redis_url, IP, USER) as node:
        answers = await checks(node, 100, ASK_AS_ANN)
        assert [answer.rule for answer in answers] == [None] * 40 + ["user"] * 60
    assert taken_of(redis_url) == 40


async def test_a_denial_wins_over_tokens_in_hand(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 100)
        assert node.check_local(ASK) is not None
        node._placing._overrides.put(action("deny", "ip:192.0.2.1", rule="guess/1"), now_ms())
        told = node.check_local(ASK)
        assert told is not None
        assert (told.verdict, told.rule) == ("deny", "guess/1")
        node._placing._overrides.remove("u1")
        assert (await node.check(ASK)).allowed


async def test_a_denial_ends_by_itself_also_where_it_was_remembered(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        ends_ms = now_ms() + 300
        node._placing._overrides.put(action("deny", "ip:192.0.2.1", expires_ms=ends_ms), now_ms())
        while now_ms() < ends_ms - 10:
            assert (await node.check(ASK)).verdict == "deny"
        await eventually(lambda: now_ms() > ends_ms)
        assert (await node.check(ASK)).allowed


async def test_a_throttle_takes_effect_whatever_is_held(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 200)
        node._placing._overrides.put(action("throttle", "ip:192.0.2.1", factor=0.1), now_ms())
        answers = await checks(node, 100)
        assert answers[0].limit == BURST // 10
        assert answers[0].mode is Mode.SHARED  # what is held was taken from another bucket
        passed = sum(answer.allowed for answer in answers)
        assert 60 <= passed <= 80  # the bucket is a fifth empty, and so is its tenth; a lot on its way back may miss


async def test_tokens_in_hand_are_served_while_redis_is_stopped_and_then_the_share_of_what_was_left(
    server: Server,
) -> None:
    async with node_of(server.url, IP, nodes=2, redis_deadline_ms=20) as node:
        before = sum(answer.allowed for answer in await checks(node, 300))
        server.pause()
        answers = await checks(node, 1_000)
        given = sum(answer.allowed for answer in answers)
        assert before == 300
        assert 300 < given <= BURST - before
        assert answers[0].mode is Mode.MEMORY
        assert answers[-1].mode is Mode.LOCAL
        assert node.check_local(ASK) is not None  # it knows that Redis is away: nobody waits
        server.resume()
        await eventually(lambda: node.mode is Mode.SHARED)


async def test_what_is_refunded_is_back_in_the_bucket_also_when_a_lease_served_it(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        answers = await checks(node, 100)
        assert answers[-1].mode is Mode.MEMORY
        assert await node.refund(answers[-1])
        assert await node.refund(answers[0])
    assert taken_of(redis_url) == 98


async def test_a_look_takes_nothing_and_counts_what_is_held(redis_url: str) -> None:
    async with node_of(redis_url, IP) as node:
        await checks(node, 100)
        looked = await node.check(Request("GET", "/items/1", ASK.identity, peek=True))
        assert (looked.allowed, looked.remaining) == (True, BURST - 100)
    assert taken_of(redis_url) == 100


async def test_two_nodes_admit_no_more_than_the_burst_and_no_less(redis_url: str) -> None:
    async with node_of(redis_url, IP, nodes=2) as one, node_of(redis_url, IP, nodes=2, node="n2") as other:
        answers = [answer for _ in range(700) for node in (one, other) for answer in await checks(node, 1)]
        assert sum(answer.allowed for answer in answers) == BURST
