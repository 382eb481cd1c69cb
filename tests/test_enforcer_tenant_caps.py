"""Caps of one tenant: an attack on it leaves answers a minute for the others, and its good clients are not shut out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from enforcer_world import alert as make_alert

from enforcer import records
from enforcer.drafts import lifted
from enforcer.guardrails import Caps
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert
from schemas.settings import Settings

NOW = 1_750_000_000_000
MINUTE = 60_000


def planner(**caps: Any) -> Planner:
    given = {"per_minute": 1000, "share": 0.1, "floor": 2, "campaign_share": 0.5, "tenant_share": 1.0} | caps
    return Planner(replace(PlanConfig.of(Settings(usage_partitions=1)), caps=Caps(**given)))


def told(count: int, tenant: str | None, first: int = 0, **changes: Any) -> list[Alert]:
    given = {"at_ms": NOW, "live_clients": 1000, "tenant": tenant, "tenant_clients": 50 if tenant else 0}
    return [make_alert(f"203.0.113.{first + n}", **(given | changes)) for n in range(count)]


def answers(at: Planner, alerts: list[Alert], now_ms: int = NOW) -> list[Action]:
    return [action for one in alerts for action in at.plan(one, now_ms)]


def denied(actions: list[Action]) -> int:
    return sum((each.status, each.kind) == (ActionStatus.ACTIVE, ActionKind.DENY) for each in actions)


def test_of_one_tenants_clients_a_share_may_be_under_action_and_the_others_have_theirs() -> None:
    at = planner()
    acme = answers(at, told(8, "acme"))
    assert denied(acme) == 5, "a tenth of its fifty"
    assert {a.guard for a in acme[5:]} == {"tenant_live_share"}
    assert {a.kind for a in acme[5:]} == {ActionKind.CHALLENGE}
    assert ", and no more, for 5 of acme's 50 live clients are denied or throttled, at most 5:" in acme[-1].reason
    assert denied(answers(at, told(8, "other", 100))) == 5
    assert denied(answers(at, told(8, None, 200))) == 8, "who is nobody's alone counts in the whole"
    at.observe(lifted(acme[0], NOW + 1, "cli:ann", "a customer"), NOW + 1)
    assert denied(answers(at, told(2, "acme", 50), NOW + 1)) == 1


def test_an_attack_of_many_on_a_tenant_is_answered_up_to_half_of_its_clients() -> None:
    assert denied(answers(planner(), told(40, "acme", campaign="/login"))) == 25


def test_a_tenant_of_unknown_size_gets_what_a_small_site_gets() -> None:
    assert denied(answers(planner(), told(8, "acme", tenant_clients=0))) == 2


def test_one_tenants_answers_a_minute_leave_the_others_theirs() -> None:
    at = planner(per_minute=10, tenant_share=0.5, share=1.0)
    acme = answers(at, told(8, "acme"))
    assert denied(acme) == 5
    assert {a.guard for a in acme[5:]} == {"tenant_actions_per_minute"}
    assert denied(answers(at, told(8, "other", 100))) == 5, "and then the whole is used up"
    later = told(8, "acme", 50, at_ms=NOW + MINUTE + 1)
    assert denied(answers(at, later, NOW + MINUTE + 1)) == 5


def test_who_takes_over_knows_what_each_tenant_has() -> None:
    first, second = planner(), planner()
    for action in answers(first, told(5, "acme")):
        second.observe(records.action(records.encode(action)), NOW)
    assert {a.guard for a in answers(second, told(1, "acme", 50))} == {"tenant_live_share"}


def test_words_of_before_have_no_tenant_and_are_read() -> None:
    (alert,) = told(1, None)
    plain = alert.model_dump_json(exclude={"tenant", "tenant_clients"}).encode()
    assert records.alert(plain) == alert
    (action,) = answers(planner(), [alert])
    assert records.action(action.model_dump_json(exclude={"tenant"}).encode()) == action
