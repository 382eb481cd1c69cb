"""The check, with a Redis that works, is stopped, is killed and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis
from limiter_world import KEYS, Enforcer, Server, action, eventually, settings

from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity
from limiter.policy import PPM, Brownout, Level, Limit, Per, Policy, Tier
from limiter.service import Service
from limiter.verdict import Mode, Reason, Request
from schemas.settings import Settings

pytestmark = pytest.mark.integration

HOUR_US = 3_600_000_000
POLICY = Policy(
    name="test",
    limits=(
        Limit("ip", Per.IP, Bucket.of(10, HOUR_US, 10)),
        Limit("user", Per.USER, Bucket.of(4, HOUR_US, 4)),
    ),
    tiers={"default": Tier("default")},
    default_tier="default",
    anonymous_tier="default",
    brownout=Brownout((Level(PPM // 2),)),
)
Start = Callable[..., Service]


def node_of(configuration: Settings, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr("limiter.service.load", lambda _: POLICY)
    return Service(configuration)


def ask(ip: str = "192.0.2.1", user: str | None = None, **more: object) -> Request:
    return Request("GET", "/items/1", Identity(ip=ip, user=user), **more)  # type: ignore[arg-type]


@pytest.fixture
async def service(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    async with node_of(settings(redis_url), monkeypatch) as made:
        yield made


async def test_exactly_the_burst_passes_however_many_ask_at_once(service: Service) -> None:
    answers = await asyncio.gather(*(service.node.check(ask()) for _ in range(50)))
    assert sum(answer.allowed for answer in answers) == 10
    refused = next(answer for answer in answers if not answer.allowed)
    assert (refused.verdict, refused.rule, refused.reason, refused.mode) == ("limit", "ip", Reason.QUOTA, Mode.SHARED)
    assert (refused.limit, refused.remaining, refused.route) == (10, 0, "/items/{id}")
    assert refused.retry_after_ms
    assert 350_000 < refused.retry_after_ms <= 360_000


async def test_a_batch_is_judged_as_the_same_checks_one_by_one(service: Service) -> None:
    answers = await service.node.check_many([ask() for _ in range(12)] + [ask("192.0.2.2")])
    assert [answer.allowed for answer in answers] == [True] * 10 + [False] * 2 + [True]


async def test_a_large_batch_is_answered_in_its_order_and_takes_once_for_each(service: Service) -> None:
    answers = await service.node.check_many([ask(f"198.51.100.{n % 10}") for n in range(140)])
    assert [answer.allowed for answer in answers] == [True] * 100 + [False] * 40
    assert {answer.mode for answer in answers} == {Mode.SHARED}


async def test_a_refusal_by_one_limit_takes_nothing_from_the_others(service: Service) -> None:
    answers = [await service.node.check(ask(user="ann")) for _ in range(9)]
    assert [answer.rule for answer in answers] == [None] * 4 + ["user"] * 5
    rest = [await service.node.check(ask()) for _ in range(8)]
    assert [answer.allowed for answer in rest] == [True] * 6 + [False] * 2


async def test_nodes_share_their_limits(service: Service, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with node_of(settings(redis_url, node="n2"), monkeypatch) as other:
        answers = [await each.node.check(ask()) for _ in range(8) for each in (service, other)]
    assert sum(answer.allowed for answer in answers) == 10


async def test_a_denial_is_answered_from_memory_with_the_time_it_ends(service: Service, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:192.0.2.1", rule="guess/1"))
    await eventually(lambda: len(service.overrides) == 1)
    answer = await service.node.check(ask())
    assert (answer.verdict, answer.rule, answer.reason) == ("deny", "guess/1", Reason.ABUSE)
    assert answer.mode is Mode.MEMORY
    assert answer.action == "u1"
    assert answer.retry_after_ms
    assert 590_000 < answer.retry_after_ms <= 600_000


async def test_a_throttle_and_a_brownout_leave_a_part_of_the_limit(service: Service, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(
        1, action("throttle", "ip:192.0.2.1", "a", factor=0.2), action("brownout", "global:*", "b", level=1)
    )
    await eventually(lambda: len(service.overrides) == 2)
    throttled = [await service.node.check(ask()) for _ in range(3)]
    assert [answer.allowed for answer in throttled] == [True, False, False]
    assert throttled[1].reason is Reason.ABUSE
    browned = [await service.node.check(ask("192.0.2.2")) for _ in range(6)]
    assert [answer.allowed for answer in browned] == [True] * 5 + [False]
    assert browned[5].reason is Reason.BROWNOUT


async def test_a_stopped_redis_costs_a_few_deadlines_then_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforcer = Enforcer(server.url)
    enforcer.create(1, action("deny", "ip:192.0.2.66"))
    configuration = settings(server.url, redis_deadline_ms=20, known_nodes=2)
    async with node_of(configuration, monkeypatch) as service:
        await eventually(lambda: len(service.overrides) == 1)
        server.pause()
        began = time.monotonic()
        answers = [await service.node.check(ask()) for _ in range(200)]
        assert time.monotonic() - began < 1.5
        assert sum(answer.allowed for answer in answers) == 5  # half of ten: two nodes share it
        assert {answer.mode for answer in answers} == {Mode.LOCAL}
        assert service.node.mode is Mode.LOCAL
        assert (await service.node.check(ask("192.0.2.66"))).verdict == "deny"
        server.resume()
        await eventually(lambda: service.node.mode is Mode.SHARED)
        enforcer.put(action("deny", "ip:192.0.2.67", "u2"))
        await eventually(lambda: len(service.overrides) == 2)
        assert (await service.node.check(ask("192.0.2.5"))).mode is Mode.SHARED


async def test_one_missed_deadline_is_answered_locally_and_the_next_check_asks_redis_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_of(settings(server.url, redis_deadline_ms=40, known_nodes=2), monkeypatch) as service:
        assert [(await service.node.check(ask())).mode for _ in range(3)] == [Mode.SHARED] * 3
        server.pause()
        missed = await asyncio.gather(*(service.node.check(ask()) for _ in range(5)))
        server.resume()
        assert {answer.mode for answer in missed} == {Mode.LOCAL}
        assert service.node.mode is Mode.SHARED
        given = 3 + sum(answer.allowed for answer in missed)
        assert 3 < given < 8  # half of what was left, not a fresh half
        rest = [await service.node.check(ask()) for _ in range(12)]
        assert Mode.SHARED in {answer.mode for answer in rest}
        assert given + sum(answer.allowed for answer in rest) <= 10


async def test_what_was_given_out_while_redis_was_away_is_charged_when_it_is_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_of(settings(server.url, redis_deadline_ms=100), monkeypatch) as service:
        server.kill()
        for _ in range(6):
            assert (await service.node.check(ask())).allowed
        server.start()
        async with node_of(settings(server.url, node="n2"), monkeypatch) as other:
            await eventually(lambda: service.node.mode is Mode.SHARED)
            with redis.Redis.from_url(server.url) as client:
                await eventually(lambda: client.exists(KEYS.limiter("ip", "192.0.2.1")) == 1)
            answers = [await other.node.check(ask()) for _ in range(8)]
            assert sum(answer.allowed for answer in answers) == 4


async def test_a_client_known_to_be_refused_costs_redis_nothing(service: Service, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(11):
            await service.node.check(ask())
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        answers = await service.node.check_many([ask() for _ in range(50)])
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before
    assert {(answer.verdict, answer.mode, answer.rule) for answer in answers} == {("limit", Mode.MEMORY, "ip")}
    assert answers[0].retry_after_ms
    assert 350_000 < answers[0].retry_after_ms <= 360_000


async def test_a_killed_redis_that_comes_back_empty_is_used_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Enforcer(server.url).create(9, action("deny", "ip:192.0.2.66"))
    async with node_of(settings(server.url, redis_deadline_ms=100), monkeypatch) as service:
        await eventually(lambda: len(service.overrides) == 1)
        server.kill()
        answers = [await service.node.check(ask(f"192.0.2.{n}")) for n in range(20)]
        assert all(answer.allowed and answer.mode is Mode.LOCAL for answer in answers)
        server.start()
        await eventually(lambda: service.node.mode is Mode.SHARED)
        assert (await service.node.check(ask("192.0.2.66"))).verdict == "deny"  # the snapshot is not back yet

        async def shared() -> bool:
            return (await service.node.check(ask("192.0.2.5"))).mode is Mode.SHARED

        await eventually(shared)
        Enforcer(server.url, epoch="two").create(1, action("deny", "ip:192.0.2.77", "z"))
        await eventually(lambda: service.feed.version == 1)
        assert (await service.node.check(ask("192.0.2.77"))).verdict == "deny"
        assert (await service.node.check(ask("192.0.2.66"))).allowed


async def test_without_any_redis_a_node_starts_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node_of(settings("redis://127.0.0.1:1/0"), monkeypatch) as service:
        answers = [await service.node.check(ask()) for _ in range(12)]
        assert sum(answer.allowed for answer in answers) == 10
        await eventually(lambda: service.ready)


async def test_a_fault_of_our_own_allows_and_is_counted(service: Service) -> None:
    answer = await service.node.check(ask(cost="seven"))
    assert answer.allowed
    assert service.metrics.registry.get_sample_value("floodwarden_limiter_check_faults_total") == 1
