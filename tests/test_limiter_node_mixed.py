"""Limits of every algorithm on one request, some served from leases and some shared, asked of two nodes at random."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis
from limiter_world import KEYS, Server, eventually, node_of
from msgspec.structs import replace

from limiter.algorithms.shape import shape_of
from limiter.algorithms.token_bucket import Bucket
from limiter.facts import who_of
from limiter.matcher import Identity
from limiter.node import Node
from limiter.policy import Limit, Per, State
from limiter.verdict import Answer, Mode, Request

pytestmark = pytest.mark.integration

DAY_US = 86_400_000_000
LONG_US = 90 * DAY_US  # nothing flows back while a test runs
LIMITS = (
    Limit("lent", Per.IP, Bucket.of(1_500, LONG_US, 1_500)),
    Limit("lent-too", Per.TENANT, Bucket.of(1_200, LONG_US, 1_200)),
    Limit("exact", Per.USER, Bucket.of(350, LONG_US, 350), lease=False),
    Limit("fixed", Per.USER, shape_of("fixed_window", 450, LONG_US)),
    Limit("log", Per.KEY, shape_of("sliding_log", 400, LONG_US)),
    Limit("counter", Per.TENANT, shape_of("sliding_counter", 1_000, LONG_US)),
    Limit("slots", Per.USER, shape_of("concurrency", 150, DAY_US)),
)


class Plain:
    """What is used of each limit by each client, counted without more ado."""

    def __init__(self) -> None:
        self.used: Counter[tuple[str, str]] = Counter()

    def buckets(self, who: Identity) -> list[tuple[Limit, str]]:
        return [(limit, name) for limit in LIMITS if (name := who_of(limit.per)(who, None)) is not None]

    def fits(self, who: Identity, cost: int) -> bool:
        return all(self.used[limit.name, name] + cost <= limit.shape.limit for limit, name in self.buckets(who))

    def take(self, who: Identity, cost: int) -> None:
        self.used.update({(limit.name, name): cost for limit, name in self.buckets(who)})


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_passes_is_what_a_plain_count_of_every_limit_lets_pass(redis_url: str, seed: int) -> None:
    chance, plain = random.Random(seed), Plain()
    held: list[tuple[Answer, str, int]] = []
    refused = 0
    clients = [
        Identity(f"10.0.0.{n % 2}", chance.choice(["k", None]), chance.choice(["u", "v", None]), chance.choice("ab"))
        for n in range(10)
    ]
    async with AsyncExitStack() as open_nodes:
        nodes = [await open_nodes.enter_async_context(node_of(redis_url, *LIMITS, nodes=2)) for _ in range(2)]
        for step in range(2_500):
            who, node, cost = chance.choice(clients), chance.choice(nodes), chance.choice([1, 1, 1, 2, 5])
            peek = chance.random() < 0.1
            answer = await node.check(Request("GET", "/", who, cost=cost, peek=peek))
            assert answer.allowed == plain.fits(who, cost), (step, answer)
            refused += not answer.allowed
            if answer.allowed and chance.random() < 0.1:
                assert await node.refund(answer)  # of a look, too: it took nothing
            elif answer.allowed and not peek:
                plain.take(who, cost)
                held += [(answer, str(who.user), cost)] if answer.slots else []
            if held and chance.random() < 0.3:
                done, user, slots = held.pop(chance.randrange(len(held)))
                assert await chance.choice(nodes).release(done)
                plain.used["slots", user] -= slots
            if step % 10 == 0:
                await asyncio.sleep(0.001)  # lots come meanwhile
        assert refused > 100
        assert nodes[0].mode is Mode.SHARED
    for limit in LIMITS:  # and what is left in Redis, now that the nodes gave back what they held
        async with node_of(redis_url, limit) as node:
            for _, name in filter(lambda key: key[0] == limit.name, tuple(plain.used)):
                field = "key_id" if limit.per == Per.KEY else str(limit.per)
                told = await node.check(Request("GET", "/", Identity(**{field: name}), peek=True))
                assert told.remaining == limit.shape.limit - plain.used[limit.name, name], (limit.name, name)


async def test_who_takes_nothing_is_given_nobody_elses_answer(redis_url: str) -> None:
    small = Limit("small", Per.USER, shape_of("fixed_window", 1, LONG_US))
    large = Limit("large", Per.IP, shape_of("sliding_log", 100, LONG_US))
    ann = Request("GET", "/", Identity("192.0.2.1", user="ann"))
    unlimited = Answer("allow", "/", "default", 1, Mode.MEMORY)
    async with node_of(redis_url, small, large) as other, node_of(redis_url, small, large) as node:
        assert (await other.check(ann)).allowed
        for n in range(98, 90, -1):
            bob = replace(ann, identity=Identity("192.0.2.1", user=f"user-{n}"))
            whole = replace(ann, identity=Identity("192.0.2.1"), peek=True)
            looked, nothing, answer, told = await asyncio.gather(
                node.check(replace(ann, peek=True)),  # the one refuses, the other has nothing to undo
                node.refund(unlimited),
                node.check(bob),
                node.check(whole),
            )
            assert (looked.allowed, nothing) == (False, True)
            assert (answer.mode, answer.allowed, answer.remaining) == (Mode.SHARED, True, 0)
            assert (told.mode, told.policy, told.remaining) == (Mode.SHARED, "large", n)


SECOND_US = 1_000_000
BUSY = (
    Limit("lent", Per.IP, Bucket.of(2_000, SECOND_US, 2_000)),
    Limit("exact", Per.USER, Bucket.of(300, SECOND_US, 300), lease=False),
    Limit("fixed", Per.USER, shape_of("fixed_window", 3_000, 10 * SECOND_US)),
    Limit("log", Per.KEY, shape_of("sliding_log", 2_000, 10 * SECOND_US)),
    Limit("queue", Per.KEY, shape_of("leaky_bucket", 500, SECOND_US, queue=100)),
    Limit("slots", Per.USER, shape_of("concurrency", 40, DAY_US)),
    Limit("tried", Per.IP, shape_of("fixed_window", 10, 10 * SECOND_US), state=State.SHADOW),
)


async def clients(node: Node, chance: random.Random, until: asyncio.Event) -> None:
    while not until.is_set():
        who = Identity("192.0.2.1", chance.choice(["k", None]), chance.choice(["u", "v", None]))
        answer = await node.check(
            Request("GET", "/", who, cost=chance.choice([None, 1, 3]), peek=chance.random() < 0.1)
        )
        if chance.random() < 0.1:
            await node.refund(answer)
        elif answer.slots:
            await asyncio.sleep(chance.random() / 100)
            await node.release(answer)
        await asyncio.sleep(chance.random() / 100)


async def test_whatever_happens_to_redis_no_check_raises_and_in_the_end_every_slot_is_free(tmp_path: Path) -> None:
    server, over = Server(tmp_path), asyncio.Event()
    try:
        async with node_of(server.url, *BUSY, redis_deadline_ms=20) as node:
            asking = [asyncio.create_task(clients(node, random.Random(n), over)) for n in range(6)]
            with redis.Redis.from_url(server.url, socket_timeout=5) as operator:
                for happens in (
                    server.pause, server.resume, operator.script_flush,
                    lambda: operator.client_kill_filter(_type="normal"),
                    lambda: operator.config_set("maxmemory", 1), lambda: operator.config_set("maxmemory", 0),
                    server.kill, server.start, server.pause, server.resume,
                ):  # fmt: skip
                    await asyncio.to_thread(happens)
                    await asyncio.sleep(0.3)
            over.set()
            assert await asyncio.gather(*asking) == [None] * 6
            assert node._metrics.registry.get_sample_value("floodwarden_limiter_check_faults_total") == 0

            async def free(user: str) -> bool:
                told = await node.check(Request("GET", "/", Identity(user=user), peek=True))
                return told.mode is Mode.SHARED and not held_in(server.url, user)

            for user in "uv":
                await eventually(lambda user=user: free(user))  # type: ignore[misc]
    finally:
        server.resume()
        server.kill()


def held_in(url: str, user: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.zcard(KEYS.limiter("concurrency:slots", user)))
