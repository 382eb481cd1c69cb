"""A node and its policy: limits in shadow, lists, the default, a new policy while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from limiter_world import Enforcer, Server, action, eventually, settings

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.token_bucket import Bucket
from limiter.lists import Entry
from limiter.matcher import Identity, Matcher
from limiter.policy import PPM, Limit, Policy, State, Tier
from limiter.service import Service
from limiter.trial import Trial
from limiter.verdict import Answer, Mode, Reason, Request
from schemas.policies import Candidate

pytestmark = pytest.mark.integration
HOUR_US = 3_600_000_000


def of(tokens: int) -> Bucket:
    return Bucket.of(tokens, HOUR_US, tokens)


def matcher(*limits: Limit, allow: tuple[Entry, ...] = (), deny: tuple[Entry, ...] = ()) -> Matcher:
    return Matcher(Policy("p", limits, {"default": Tier("default")}, "default", "default", allow=allow, deny=deny))


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Service]:
    async with Service(settings(redis_url)) as made:
        yield made


async def ask(service: Service, ip: str = "192.0.2.1", **who: str) -> Answer:
    return await service.node.check(Request("GET", "/items/1", Identity(ip, **who)))


async def test_a_limit_in_shadow_says_what_it_would_have_done_and_refuses_nobody(service: Service) -> None:
    service.node.use(matcher(Limit("real", "ip", of(6)), Limit("tried", "ip", of(2), state=State.SHADOW)))
    answers = [await ask(service) for _ in range(7)]
    assert [answer.verdict for answer in answers] == ["allow"] * 6 + ["limit"]
    assert [answer.shadow for answer in answers[:6]] == ["allow"] * 2 + ["limit"] * 4
    assert {answer.shadow_rule for answer in answers[2:6]} == {"tried"}
    assert {answer.policy for answer in answers} == {"real"}


async def test_limits_in_shadow_alone_let_everything_pass(service: Service) -> None:
    service.node.use(matcher(Limit("tried", "ip", of(2), state=State.SHADOW)))
    answers = [await ask(service) for _ in range(4)]
    assert [(answer.verdict, answer.shadow) for answer in answers] == [("allow", "allow")] * 2 + [
        ("allow", "limit")
    ] * 2
    assert answers[0].policy is None


async def test_limits_in_shadow_are_told_of_while_redis_is_away(server: Server) -> None:
    async with Service(settings(server.url, redis_deadline_ms=50)) as service:
        service.node.use(matcher(Limit("tried", "ip", of(2), state=State.SHADOW)))
        server.kill()

        async def is_local() -> bool:
            await ask(service, "192.0.2.9")
            return service.node.mode is Mode.LOCAL

        await eventually(is_local)
        answers = [await ask(service) for _ in range(4)]
        assert [answer.shadow for answer in answers] == ["allow"] * 2 + ["limit"] * 2


async def test_a_refused_request_takes_nothing_from_a_limit_in_shadow(service: Service) -> None:
    service.node.use(matcher(Limit("real", "user", of(2)), Limit("tried", "ip", of(4), state=State.SHADOW)))
    await asyncio.gather(*(ask(service, user="ann") for _ in range(8)))
    rest = [await ask(service) for _ in range(3)]
    assert [answer.shadow for answer in rest] == ["allow", "allow", "limit"]


async def test_a_canary_refuses_its_share_and_tells_of_the_others(service: Service) -> None:
    service.node.use(matcher(Limit("new", "ip", of(1), state=State.CANARY, share_ppm=PPM // 2)))
    ips = [f"192.0.2.{n}" for n in range(40)]
    twice = [(await ask(service, ip), await ask(service, ip))[1] for ip in ips]
    refused = [answer for answer in twice if answer.verdict == "limit"]
    told = [answer for answer in twice if (answer.verdict, answer.shadow) == ("allow", "limit")]
    assert len(refused) + len(told) == len(ips)
    assert min(len(refused), len(told)) >= 5


async def test_the_denylist_of_a_policy_refuses_under_its_own_name(service: Service) -> None:
    service.node.use(matcher(deny=(Entry("bad-hosts", "ip", "198.51.100.0/24"),)))
    answer = await ask(service, "198.51.100.9")
    assert (answer.verdict, answer.rule, answer.reason, answer.mode) == ("deny", "bad-hosts", Reason.ABUSE, Mode.MEMORY)
    assert (await ask(service)).allowed


async def test_the_allowlist_of_a_policy_wins_over_denials_actions_and_limits(service: Service, redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "user:ann"))
    await eventually(lambda: len(service.overrides) == 1)
    everyone = Entry("all", "ip", "0.0.0.0/0")
    service.node.use(matcher(Limit("real", "ip", of(1)), allow=(Entry("staff", "user", "ann"),), deny=(everyone,)))
    answers = [await ask(service, user="ann") for _ in range(3)]
    assert {(answer.verdict, answer.rule) for answer in answers} == {("allow", "staff")}
    assert (await ask(service, user="bob")).rule == "all"


async def test_a_new_policy_holds_from_the_next_check_and_states_go_on(service: Service) -> None:
    service.node.use(matcher(Limit("real", "ip", of(2))))
    assert [(await ask(service)).allowed for _ in range(3)] == [True, True, False]
    service.node.use(matcher(Limit("other", "ip", of(1)), Limit("real", "ip", of(2))))
    assert not (await ask(service)).allowed
    service.node.use(matcher(Limit("other", "ip", of(1))))
    assert [(await ask(service)).allowed for _ in range(2)] == [True, False]


def trial(service: Service, *limits: Limit, share_ppm: int = 0, digest: str = "d") -> Trial:
    made = Trial(matcher(*limits), Candidate(2, digest * 32, share_ppm), 1)
    service.node.try_out(made)
    return made


async def verdicts(service: Service, ip: str, times: int) -> list[bool]:
    return [(await ask(service, ip)).allowed for _ in range(times)]


async def test_a_version_on_trial_says_what_it_would_say_alone_and_changes_nothing(service: Service) -> None:
    service.node.use(matcher(Limit("real", "ip", of(2))))
    tried = trial(service, Limit("real", "ip", of(4)))
    assert await verdicts(service, "192.0.2.1", 7) == [True] * 2 + [False] * 5
    found = tried.tried()
    assert (found.checks, found.refused, found.candidate_refused, found.canary_checks) == (7, 5, 3, 0)
    strict = trial(service, Limit("real", "ip", of(1)), digest="e")
    assert await verdicts(service, "192.0.2.2", 3) == [True, True, False]
    assert (strict.tried().candidate_refused, strict.tried().good, strict.tried().harmed) == (2, 0, 0)
    assert await verdicts(service, "192.0.2.3", 2) == [True, True]
    assert (strict.tried().good, strict.tried().harmed) == (1, 1)


async def test_a_canarys_clients_are_answered_by_the_version_on_trial_and_lose_nothing_of_the_other(
    service: Service,
) -> None:
    service.node.use(matcher(Limit("real", "ip", of(3))))
    tried = trial(service, Limit("real", "ip", of(1)), share_ppm=PPM)
    assert await verdicts(service, "192.0.2.1", 3) == [True, False, False]
    assert (tried.tried().refused, tried.tried().canary_checks, tried.tried().canary_refused) == (0, 3, 2)
    service.node.try_out(None)
    assert await verdicts(service, "192.0.2.1", 3) == [True, True, False], "what it was refused it did not spend"


async def test_slots_that_a_version_on_trial_gives_are_free_again_at_once_or_with_the_request(service: Service) -> None:
    service.node.use(matcher(Limit("real", "ip", of(2))))
    tried = trial(service, Limit("one", "ip", Slots(1, 60_000_000)))
    for _ in range(4):
        answer = await ask(service)
        assert await service.node.release(answer)
    assert (tried.tried().refused, tried.tried().candidate_refused) == (2, 0)
