"""What automation may not do, whatever play asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import alert as make_alert

from enforcer import guardrails
from enforcer.asking import Ask
from enforcer.drafts import lifted
from enforcer.guardrails import Caps
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from enforcer.playbook import Play, Playbook, When
from enforcer.waiting import PENDING_MAX
from schemas.action import Action, ActionKind, ActionStatus, Otherwise
from schemas.alert import Alert, Answer, EntityKind, Status
from schemas.errors import FileError
from schemas.settings import Settings

NOW = 1_750_000_000_000
CONFIG = PlanConfig.of(Settings(usage_partitions=1))
TWICE = replace(CONFIG, browser_asked=2)


def alert(value: str = "203.0.113.7", **changes: Any) -> Alert:
    return make_alert(value, at_ms=NOW, **changes)


def done(told: Alert, config: PlanConfig = CONFIG) -> Action:
    (action,) = Planner(config).plan(told, NOW)
    return action


@pytest.mark.parametrize(
    ("answer", "instead"),
    [
        (Answer.DENY, ActionKind.CHALLENGE),
        (Answer.THROTTLE, ActionKind.NOTICE),
        (Answer.CHALLENGE, ActionKind.CHALLENGE),
    ],
)
def test_an_address_that_many_accounts_share_is_asked_or_told_of_and_never_shut_out(
    answer: Answer, instead: ActionKind
) -> None:
    shared, few = done(alert(answer=answer, accounts=10)), done(alert(answer=answer, accounts=9))
    assert (shared.kind, str(few.kind), few.guard) == (instead, str(answer), None)
    assert guardrails.STRENGTH[shared.kind] <= guardrails.STRENGTH[few.kind], "what is milder is no harsher"
    if instead is not few.kind:
        assert shared.guard == "shared_exit"
        assert "and no more, for 10 accounts were fine there in the last hour" in shared.reason


def test_who_comes_with_a_browser_is_asked_before_he_is_denied() -> None:
    planner, at_ms, told = Planner(TWICE), NOW, []
    for nth in range(4):
        (action,) = planner.plan(alert(answer=Answer.DENY, browser=True, uid=f"{nth}", last_ms=at_ms), at_ms)
        told.append((action.kind, action.guard, action.step))
        at_ms = action.expires_ms + 1
    asked, denied = ActionKind.CHALLENGE, ActionKind.DENY
    assert told == [(asked, "browser", 1), (asked, "browser", 2), (denied, None, 3), (denied, None, 4)]


def test_who_comes_with_a_browser_is_denied_at_once_where_that_is_set() -> None:
    never = replace(CONFIG, browser_asked=0)
    assert done(alert(answer=Answer.DENY, browser=True), never).kind is ActionKind.DENY
    assert done(alert(answer=Answer.THROTTLE, browser=True)).kind is ActionKind.THROTTLE, "a throttle is no denial"


def test_who_passed_and_was_let_through_for_a_while_is_asked_again_and_then_denied() -> None:
    planner, at_ms, told = Planner(TWICE), NOW, []
    for nth in range(3):
        (action,) = planner.plan(alert(answer=Answer.DENY, browser=True, uid=f"{nth}", last_ms=at_ms), at_ms)
        told.append(action.kind)
        allow = Action(
            uid=f"passed {nth}", kind=ActionKind.ALLOW, status=ActionStatus.ACTIVE, reason="passed", owner="api:ann",
            target=action.target, created_ms=at_ms + 5000, expires_ms=at_ms + 605_000,
        )  # fmt: skip
        (lift,) = planner.observe(allow, at_ms + 5000)
        assert (lift.uid, lift.status, lift.guard) == (action.uid, ActionStatus.LIFTED, "allowlisted")
        at_ms = max(action.expires_ms, allow.expires_ms) + 1
    assert told == [ActionKind.CHALLENGE, ActionKind.CHALLENGE, ActionKind.DENY]


def test_evidence_while_a_browser_is_asked_begins_no_new_answer() -> None:
    planner = Planner(CONFIG)
    first = alert(answer=Answer.DENY, browser=True)
    planner.plan(first, NOW)
    again = first.model_copy(update={"status": Status.UPDATE, "last_ms": NOW + 60_000})
    assert planner.plan(again, NOW + 60_000) == ()


def test_a_key_is_no_shared_exit_however_many_accounts_it_serves() -> None:
    assert done(alert("k1", kind_of=EntityKind.KEY, accounts=500)).kind is ActionKind.DENY


def test_a_client_with_a_good_history_gets_nothing_harsher_than_its_family_asks_for() -> None:
    harsh = replace(CONFIG, playbook=Playbook((Play("harsh", When(), ActionKind.DENY),)))
    told = alert(answer=Answer.THROTTLE, established=True)
    assert (done(told, harsh).kind, done(told, harsh).guard) == (ActionKind.THROTTLE, "known_good")
    assert done(told.model_copy(update={"established": False}), harsh).kind is ActionKind.DENY
    assert done(alert(established=True)).guard is None, "the family itself asks for a denial"


@pytest.mark.parametrize("value", ["127.0.0.1", "127.8.0.0/16", "::1"])
def test_loopback_is_never_touched_though_it_is_no_trusted_proxy(value: str) -> None:
    action = done(alert(value), PlanConfig.of(Settings(trusted_proxies="198.51.100.1/32")))
    assert (action.status, action.guard) == (ActionStatus.REFUSED, "loopback")


def test_our_own_proxies_are_never_touched() -> None:
    action = done(alert("198.51.100.1"), PlanConfig.of(Settings(trusted_proxies="198.51.100.0/30")))
    assert (action.status, action.guard) == (ActionStatus.REFUSED, "own_proxy")


@pytest.mark.parametrize("campaign", [None, "/login"])
def test_of_clients_with_a_good_history_only_a_small_share_is_acted_on_at_once(campaign: str | None) -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.5, 3, good_share=0.02)))
    given = {"live_clients": 5000, "good_clients": 500, "campaign": campaign}
    good = [alert(f"198.51.100.{n}", established=True, **given) for n in range(12)]
    actions = [planner.plan(each, NOW)[0] for each in good]
    assert [each.guard for each in actions] == [None] * 10 + ["good_share"] * 2
    assert actions[-1].reason.startswith("Not denied: 10 of 500 live clients with a good history are under action")
    assert planner.plan(alert("203.0.113.9", **given), NOW)[0].status is ActionStatus.ACTIVE, "others have their own"
    planner.observe(lifted(actions[0], NOW + 1, "cli:ann", "a customer"), NOW + 1)
    late = good[-1].model_copy(update={"uid": "late"})
    assert planner.plan(late, NOW + 1)[0].status is ActionStatus.ACTIVE


def test_challenges_take_nothing_of_what_may_be_denied_and_have_a_share_of_their_own() -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.05, 3)))
    asked = [
        planner.plan(alert(f"198.51.100.{n}", answer=Answer.CHALLENGE, live_clients=100), NOW)[0] for n in range(27)
    ]
    assert [each.guard for each in asked] == [None] * 25 + ["live_share"] * 2
    assert asked[-1].reason.startswith("Not challenged: 25 of 100 live clients are challenged, at most 25.")
    assert planner.plan(alert(live_clients=100), NOW)[0].kind is ActionKind.DENY


def test_however_many_take_part_in_an_attack_they_are_challenged() -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.05, 3, campaign_share=0.5)))
    given = {"live_clients": 100, "campaign": "/login"}
    asked = [planner.plan(alert(f"198.51.100.{n}", answer=Answer.CHALLENGE, **given), NOW)[0] for n in range(90)]
    assert {(each.status, each.kind) for each in asked} == {(ActionStatus.ACTIVE, ActionKind.CHALLENGE)}


def test_who_is_challenged_for_want_of_room_is_denied_once_there_is_some() -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.05, 1)))
    (denied,), told = planner.plan(alert(live_clients=20), NOW), alert("198.51.100.1", live_clients=20)
    (asked,) = planner.plan(told, NOW)
    assert (asked.kind, asked.status, asked.guard) == (ActionKind.CHALLENGE, ActionStatus.ACTIVE, "live_share")
    assert "and no more, for 1 of 20 live clients are denied or throttled, at most 1" in asked.reason
    again = told.model_copy(update={"status": Status.UPDATE, "last_ms": NOW + 1000})
    assert planner.plan(again, NOW + 1000) == (), "said once"
    planner.observe(lifted(denied, NOW + 2000, "cli:ann", "a customer"), NOW + 2000)
    (now_denied,) = planner.plan(again.model_copy(update={"last_ms": NOW + 3000}), NOW + 3000)
    assert (now_denied.kind, now_denied.guard) == (ActionKind.DENY, None)


def test_where_nobody_more_may_be_asked_either_the_denial_is_what_is_held_back() -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.05, 1)))
    told = [alert(f"198.51.100.{n}", live_clients=4) for n in range(3)]
    *_, held = [planner.plan(each, NOW)[0] for each in told]
    assert (held.status, held.kind, held.guard) == (ActionStatus.REFUSED, ActionKind.DENY, "live_share")
    again = told[-1].model_copy(update={"status": Status.UPDATE, "last_ms": NOW + 1000})
    assert planner.plan(again, NOW + 1000) == (), "said once"


def test_a_throttle_that_there_is_no_room_for_is_held_back() -> None:
    planner = Planner(replace(CONFIG, caps=Caps(10_000, 0.05, 1)))
    given = {"answer": Answer.THROTTLE, "live_clients": 20}
    planner.plan(alert(**given), NOW)
    (held,) = planner.plan(alert("198.51.100.1", **given), NOW)
    assert (held.status, held.guard) == (ActionStatus.REFUSED, "live_share")


def test_when_too_much_waits_for_a_word_no_more_is_asked_for() -> None:
    asking = Play("p", When(), ActionKind.DENY, ask=Ask(0, 60_000, Otherwise.LET_GO))
    planner = Planner(replace(CONFIG, playbook=Playbook((asking,)), caps=Caps(10_000, 1.0, 10_000)))
    told = [alert(f"198.51.{n >> 8}.{n & 255}", accounts=1) for n in range(PENDING_MAX + 1)]
    *waits, last = [planner.plan(each, NOW)[0] for each in told]
    assert {each.status for each in waits} == {ActionStatus.PENDING}
    assert (last.status, last.guard) == (ActionStatus.REFUSED, "too_many_pending")


def test_published_addresses_of_crawlers_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "googlebot.json").write_text('{"prefixes": [{"ipv4Prefix": "66.249.64.0/27"}]}')
    (tmp_path / "bingbot.txt").write_text("2001:db8:77::/48\n# theirs\n157.55.39.0/24\n")
    config = PlanConfig.of(Settings(bots=tmp_path))
    for value in ("66.249.64.9", "66.249.64.0/28", "66.249.64.0/24", "157.55.39.200", "2001:db8:77::1"):
        assert done(alert(value), config).guard == "verified_bot"
    assert "bingbot" in done(alert("157.55.39.200"), config).reason
    for value in ("66.249.64.32", "66.249.64.64/26", "157.55.40.0"):
        assert done(alert(value), config).status is ActionStatus.ACTIVE


@pytest.mark.parametrize(
    ("name", "text", "says"), [("googlebot.json", "{}", "cannot be read"), ("x.csv", "", "no ranges")]
)
def test_ranges_that_cannot_be_taken_are_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=says):
        PlanConfig.of(Settings(bots=tmp_path))
