"""A node whose limits are of every algorithm, on a Redis that works, is gone and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis
from limiter_world import Server, eventually, settings

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import ALGORITHMS, Shape
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity, Matcher
from limiter.policy import Limit, Per, Policy, Tier
from limiter.service import Service
from limiter.verdict import Answer, Mode, Request

pytestmark = pytest.mark.integration

DAY_US = 86_400_000_000  # a test that runs through midnight may fail: one in millions
TEN: dict[str, Shape] = {
    "token_bucket": Bucket(DAY_US, 10),
    "leaky_bucket": Queue(DAY_US, 9),
    "fixed_window": FixedWindow(10, 100 * DAY_US),
    "sliding_log": SlidingLog(10, DAY_US),
    "sliding_counter": SlidingCounter(10, 100 * DAY_US),
    "concurrency": Slots(10, DAY_US),
}
every = pytest.mark.parametrize("algorithm", ALGORITHMS)
IP = "192.0.2.1"


def policy(*limits: Limit) -> Policy:
    return Policy("test", limits, {"default": Tier("default")}, "default", "default")


def ask(user: str | None = None, **more: object) -> Request:
    return Request("GET", "/items/1", Identity(ip=IP, user=user), **more)  # type: ignore[arg-type]


@asynccontextmanager
async def service(url: str, *limits: Limit, **more: object) -> AsyncIterator[Service]:
    made = Service(settings(url, **more))
    made.node.use(Matcher(policy(*limits)))
    async with made:
        yield made


def passed(answers: list[Answer]) -> int:
    return sum(answer.allowed for answer in answers)


@every
async def test_exactly_as_many_pass_as_the_limit_says_whoever_of_two_nodes_is_asked(
    redis_url: str, algorithm: str
) -> None:
    limit = Limit("ip", Per.IP, TEN[algorithm])
    async with service(redis_url, limit) as one, service(redis_url, limit, node="n2") as two:
        answers = await asyncio.gather(*(each.node.check(ask()) for _ in range(30) for each in (one, two)))
    assert passed(answers) == 10
    refused = next(answer for answer in answers if not answer.allowed)
    assert (refused.limit, refused.remaining, refused.rule) == (10, 0, "ip")
    assert refused.retry_after_ms


@every
async def test_a_refusal_by_one_limit_takes_nothing_from_the_others(redis_url: str, algorithm: str) -> None:
    limits = Limit("ip", Per.IP, TEN[algorithm]), Limit("user", Per.USER, Bucket(DAY_US, 4))
    async with service(redis_url, *limits) as one:
        answers = [await one.node.check(ask("ann")) for _ in range(9)]
        assert [answer.rule for answer in answers] == [None] * 4 + ["user"] * 5
        assert passed([await one.node.check(ask()) for _ in range(9)]) == 6


@every
async def test_a_refusal_by_any_algorithm_gives_back_what_a_bucket_gave(redis_url: str, algorithm: str) -> None:
    limits = Limit("ip", Per.IP, Bucket(DAY_US, 30)), Limit("user", Per.USER, TEN[algorithm])
    async with service(redis_url, *limits) as one:
        answers = await one.node.check_many([ask("ann") for _ in range(25)])
        assert passed(answers) == 10
        assert passed(await one.node.check_many([ask() for _ in range(25)])) == 20


@every
async def test_a_peek_says_what_a_check_would_and_takes_nothing(redis_url: str, algorithm: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, TEN[algorithm])) as one:
        for left in (10, 9, 8):
            peeks = [await one.node.check(ask(peek=True)) for _ in range(3)]
            assert [(peek.allowed, peek.remaining, peek.slots) for peek in peeks] == [(True, left, [])] * 3
            await one.node.check(ask())
        assert not (await one.node.check(ask(peek=True, cost=8))).allowed
        assert (await one.node.check(ask(cost=7))).allowed
        assert not (await one.node.check(ask(peek=True))).allowed


@every
async def test_what_is_refunded_may_be_taken_again(redis_url: str, algorithm: str) -> None:
    limits = Limit("ip", Per.IP, TEN[algorithm]), Limit("user", Per.USER, Bucket(DAY_US, 10))
    async with service(redis_url, *limits) as one:
        answers = [await one.node.check(ask("ann")) for _ in range(11)]
        assert await one.node.refund(answers[10])  # refused, and took nothing
        assert await one.node.refund(answers[3])
        dear = await one.node.check(ask("ann", cost=1))
        assert dear.allowed
        assert dear.remaining == 0


@every
async def test_without_redis_a_share_of_the_limit_passes_and_is_charged_when_it_is_back(
    server: Server, algorithm: str
) -> None:
    limit = Limit("ip", Per.IP, TEN[algorithm])
    async with service(server.url, limit, redis_deadline_ms=100) as one:
        server.kill()
        answers = [await one.node.check(ask()) for _ in range(20)]
        assert {answer.mode for answer in answers} <= {Mode.LOCAL, Mode.MEMORY}
        assert 5 <= passed(answers) <= 10
        dear = await one.node.check(Request("GET", "/", Identity(ip="192.0.2.9"), cost=10))
        assert dear.allowed  # what the limit lets pass at once, a share lets pass when nothing was taken from it
        server.start()
        async with service(server.url, limit, node="n2") as two:
            await eventually(lambda: one.node.mode is Mode.SHARED)
            if algorithm != "concurrency":  # whose requests may be over before Redis could be told
                with redis.Redis.from_url(server.url) as client:
                    await eventually(lambda: client.dbsize() >= 3)  # heartbeats, and the two that took
                rest = [await two.node.check(ask()) for _ in range(12)]
                assert passed(answers) + passed(rest) <= 10 + 1  # less than a token may have flowed in


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_log", "sliding_counter"])
async def test_a_window_known_to_be_used_up_costs_redis_nothing(redis_url: str, algorithm: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, TEN[algorithm])) as one:
        first = [await one.node.check(ask()) for _ in range(11)][-1]
        with redis.Redis.from_url(redis_url) as client:
            before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            answers = await one.node.check_many([ask() for _ in range(50)])
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before
    assert {(answer.verdict, answer.mode, answer.rule) for answer in answers} == {("limit", Mode.MEMORY, "ip")}
    assert answers[0].retry_after_ms
    assert first.retry_after_ms
    assert 0 <= first.retry_after_ms - answers[0].retry_after_ms < 60_000


async def test_a_queue_answers_how_long_to_wait(redis_url: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, Queue(10_000_000, 2))) as one:
        answers = await one.node.check_many([ask() for _ in range(4)])
    assert [answer.verdict for answer in answers] == ["allow", "allow", "allow", "limit"]
    assert answers[0].delay_ms is None
    delays_ms = [answer.delay_ms or 0 for answer in answers[1:3]]
    assert 9_000 < delays_ms[0] <= 10_000
    assert 19_000 < delays_ms[1] <= 20_000


async def test_a_released_slot_is_free_at_once_and_releasing_twice_frees_one(redis_url: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, Slots(2, DAY_US))) as one, service(redis_url, node="n2") as two:
        held = [await one.node.check(ask()) for _ in range(3)]
        assert [len(answer.slots) for answer in held] == [1, 1, 0]
        assert await two.node.release(held[0].slots)  # any node may be told
        assert await one.node.release(held[0])
        again = [await one.node.check(ask()) for _ in range(2)]
        assert [answer.allowed for answer in again] == [True, False]


async def test_a_crashed_client_frees_its_slots_when_their_lease_is_over(redis_url: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, Slots(3, 1_500_000))) as one:
        assert (await one.node.check(ask(cost=3))).allowed
        refused = await one.node.check(ask())
        assert not refused.allowed
        assert refused.retry_after_ms
        assert refused.retry_after_ms <= 1_500

        async def free() -> bool:
            return (await one.node.check(ask(cost=3))).allowed

        await eventually(free)


async def test_slots_given_without_redis_are_released_in_memory(server: Server) -> None:
    async with service(server.url, Limit("ip", Per.IP, Slots(6, DAY_US)), redis_deadline_ms=100) as one:
        server.kill()
        held = [await one.node.check(ask()) for _ in range(6)]
        assert passed(held) == 3
        assert not (await one.node.check(ask())).allowed
        assert all([await one.node.release(answer) for answer in held])
        assert passed([await one.node.check(ask()) for _ in range(6)]) == 3


async def test_slots_that_redis_gave_too_late_are_free_again_when_it_answers(server: Server) -> None:
    async with service(server.url, Limit("ip", Per.IP, Slots(4, DAY_US)), redis_deadline_ms=50) as one:
        server.pause()
        late = [await one.node.check(ask()) for _ in range(4)]
        assert {answer.mode for answer in late} == {Mode.LOCAL}
        assert all([await one.node.release(answer) for answer in late])
        server.resume()

        async def whole() -> bool:
            answer = await one.node.check(ask(peek=True))
            return (answer.mode, answer.remaining) == (Mode.SHARED, 4)

        await eventually(whole)


async def test_slots_released_while_redis_does_not_answer_are_free_again_when_it_does(server: Server) -> None:
    async with service(server.url, Limit("ip", Per.IP, Slots(4, DAY_US)), redis_deadline_ms=100) as one:
        held = [await one.node.check(ask()) for _ in range(4)]
        assert [answer.mode for answer in held] == [Mode.SHARED] * 4
        server.pause()
        assert not any([await one.node.release(answer) for answer in held[:2]])
        assert not any([await one.node.refund(answer) for answer in held[2:]])
        server.resume()

        async def whole() -> bool:
            answer = await one.node.check(ask(peek=True))
            return (answer.mode, answer.remaining) == (Mode.SHARED, 4)

        await eventually(whole)


async def test_a_client_that_leaves_while_it_is_asked_about_keeps_no_slot(redis_url: str) -> None:
    async with service(redis_url, Limit("ip", Per.IP, Slots(4, DAY_US))) as one:
        for _ in range(4):
            leaving = asyncio.create_task(one.node.check(ask()))
            await asyncio.sleep(0)  # its question is on its way to Redis
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            assert leaving.cancelled()

        async def whole() -> bool:
            return (await one.node.check(ask(peek=True))).remaining == 4

        await eventually(whole)


async def test_a_limit_that_changes_its_algorithm_begins_anew(redis_url: str) -> None:
    async with service(redis_url) as one:
        for algorithm in ALGORITHMS:
            one.node.use(Matcher(policy(Limit("ip", Per.IP, TEN[algorithm]))))
            assert passed(await one.node.check_many([ask() for _ in range(12)])) == 10
