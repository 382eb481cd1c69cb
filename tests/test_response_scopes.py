"""From a command to a limiter's answer, by way of the topic, the enforcer and Redis: just what the scope says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from enforcer_world import World

from enforcer import command
from enforcer.scope import Scope, changes
from enforcer.session import Result
from limiter.matcher import Identity
from limiter.service import Service
from limiter.verdict import Request
from schemas.settings import Settings

pytestmark = pytest.mark.integration
POLICY = """
version: 1
name: scopes
limits:
  - {name: ip, per: ip, rate: 100/d, burst: 100}
  - {name: search, per: key, route: /search, rate: 40/d, burst: 40}
tiers:
  gold: {factor: 1, keys: [k-gold]}
  free: {factor: 1}
default_tier: free
anonymous_tier: free
brownout:
  levels:
    1: {factor: 0.5}
"""
Say = Callable[[Settings], Result]


@pytest.fixture
def world(broker: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[World]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    made = World(broker, redis_url, topic_prefix, policies=policy, redis_deadline_ms=2000, node="n1")
    with made.enforcer():
        yield made


@pytest.fixture
async def service(world: World) -> AsyncIterator[Service]:
    async with Service(world.settings) as made:
        await asyncio.wait_for(made.feed.contacted.wait(), 10)
        yield made


def ask(
    ip: str = "192.0.2.7", key: str | None = None, path: str = "/items/1", user: str | None = None, **attributes: str
) -> Request:
    tenant = attributes.pop("tenant", None)
    return Request("GET", path, Identity(ip, key, user, tenant), attributes=attributes or None)


def deny(kind: str, value: str, scope: Scope | None = None, *, challenge: bool = False) -> Say:
    return lambda settings: command.deny_add(
        settings, kind, value, 60, "test", "ann", scope=scope or Scope(), challenge=challenge
    )


def throttle(kind: str, value: str, *words: object, scope: Scope | None = None) -> Say:
    wanted = changes(*words)  # type: ignore[arg-type]
    return lambda settings: command.throttle_add(
        settings, kind, value, 60, "test", "ann", wanted, scope=scope or Scope()
    )


class Answers:
    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings

    async def says(self, say: Say, refused: list[Request], passed: list[Request]) -> None:
        """While the command is in force just `refused` are refused; undone, nobody is."""
        result = await asyncio.to_thread(say, self.settings)
        assert result.ack_ms.keys() == {"n1"}
        assert [r for r in refused if (await self.service.node.check(r)).verdict not in ("deny", "challenge")] == []
        assert [r for r in passed if not (await self.service.node.check(r)).allowed] == []
        for action in result.actions:
            await asyncio.to_thread(command.undo, self.settings, action.uid, "ann")
        assert [r for r in refused if not (await self.service.node.check(r)).allowed] == []

    async def limit(self, say: Say, request: Request) -> int | None:
        """The limit `request` meets while the command is in force; undone, it is the policy's again."""
        before = (await self.service.node.check(request)).limit
        result = await asyncio.to_thread(say, self.settings)
        found = (await self.service.node.check(request)).limit
        for action in result.actions:
            await asyncio.to_thread(command.undo, self.settings, action.uid, "ann")
        assert (await self.service.node.check(request)).limit == before
        return found


async def test_a_denial_or_challenge_reaches_what_its_scope_says_and_no_further(
    service: Service, world: World, tmp_path: Path
) -> None:
    answers = Answers(service, world.settings)
    login = Scope(route="/login")
    await answers.says(deny("ip", "192.0.2.7"), [ask(), ask(path="/login")], [ask("192.0.2.8")])
    await answers.says(deny("ip", "192.0.2.7", login), [ask(path="/login")], [ask(), ask("192.0.2.8", path="/login")])
    await answers.says(deny("ip", "192.0.2.0/24"), [ask("192.0.2.200")], [ask("192.0.3.1"), ask("2001:db8::1")])
    await answers.says(deny("ip", "2001:db8::/64"), [ask("2001:db8::7")], [ask("2001:db8:0:1::7"), ask()])
    await answers.says(deny("user", "ann"), [ask(user="ann")], [ask(user="bob"), ask()])
    await answers.says(deny("tenant", "acme"), [ask(tenant="acme")], [ask(tenant="other"), ask()])
    await answers.says(deny("route", "/login"), [ask(path="/login")], [ask()])
    await answers.says(deny("asn", "AS64500"), [ask(asn="64500")], [ask(asn="64501"), ask()])
    await answers.says(deny("country", "de"), [ask(country="DE")], [ask(country="FR"), ask()])
    await answers.says(deny("global", "*", Scope(tier="gold")), [ask(key="k-gold")], [ask(key="k2"), ask()])

    known = Scope.of(None, None, ["198.51.100.7", "203.0.113.0/24", "2001:db8::1"])
    at_home = [ask("198.51.100.7", "k1"), ask("203.0.113.9", "k1"), ask("2001:db8::99", "k1"), ask()]
    await answers.says(deny("key", "k1", known), [ask("198.51.100.8", "k1"), ask("2001:db8:1::1", "k1")], at_home)
    await answers.says(deny("user", "ann", known), [ask(user="ann")], [ask("198.51.100.7", user="ann"), ask()])

    pairs = tmp_path / "known-good.txt"
    pairs.write_text("# since Monday\nann 192.0.2.7\nbob\t192.0.2.8\n\n")
    good = [ask(user="ann", path="/login"), ask("192.0.2.8", user="bob", path="/login"), ask()]
    strangers = [ask(user="bob", path="/login"), ask("192.0.2.9", user="ann", path="/login"), ask(path="/login")]
    await answers.says(deny("route", "/login", Scope.of(None, None, (), pairs), challenge=True), strangers, good)


async def test_a_throttle_changes_just_the_limits_it_means(service: Service, world: World) -> None:
    answers = Answers(service, world.settings)
    search, other = ask("192.0.2.20", "k1", "/search"), ask("192.0.2.21", "k1")
    assert await answers.limit(throttle("key", "k1", 0.5, None, []), search) == 20
    assert await answers.limit(throttle("key", "k1", 0.5, None, [], None), other) == 50
    assert await answers.limit(throttle("key", "k1", None, None, ["search=10/d"], 10), search) == 10
    assert await answers.limit(throttle("key", "k1", None, None, ["search=10/d"], 10), other) == 100
    assert await answers.limit(throttle("key", "k2", 0.5, None, []), search) == 40
    assert await answers.limit(throttle("global", "*", None, "5/d", [], 5), other) == 5
    assert await answers.limit(throttle("global", "*", 0.5, None, [], scope=Scope(tier="gold")), other) == 100
    assert await answers.limit(throttle("global", "*", 0.5, None, [], scope=Scope(tier="free")), other) == 50
    assert await answers.limit(throttle("key", "k1", 0.1, None, [], scope=Scope(route="/search")), other) == 100
    assert await answers.limit(throttle("key", "k1", 2.0, None, ["ip"]), other) == 200

    def brownout(settings: Settings) -> Result:
        return command.brownout_set(settings, 1, 60, "test", "ann", scope=Scope(tier="free"))

    assert await answers.limit(brownout, other) == 50
    assert await answers.limit(brownout, ask("192.0.2.22", "k-gold")) == 100


async def test_who_passed_a_challenge_goes_on_wherever_the_challenge_came_from_and_nobody_else_does(
    service: Service, world: World
) -> None:
    passed, other = (ask(f"192.0.2.{n}", path="/login", tenant="acme") for n in (7, 8))
    for say in (deny("route", "/login", challenge=True), deny("tenant", "acme", challenge=True)):
        standing = await asyncio.to_thread(say, world.settings)
        assert [(await service.node.check(each)).verdict for each in (passed, other)] == ["challenge"] * 2
        lifted = await asyncio.to_thread(
            command.allow_add, world.settings, "ip", "192.0.2.7", 60, "passed the captcha", "ann"
        )
        assert [(await service.node.check(each)).verdict for each in (passed, other)] == ["allow", "challenge"]
        for action in (*lifted.actions, *standing.actions):
            await asyncio.to_thread(command.undo, world.settings, action.uid, "ann")
