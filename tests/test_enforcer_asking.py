"""Answers that somebody approves first: what waits, who decides, and that it is done once whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import World, eventually, now_ms
from enforcer_world import alert as make_alert
from hypothesis import given
from hypothesis import strategies as st

from enforcer import asking, judging
from enforcer.asking import Ask
from enforcer.errors import CommandError
from enforcer.ladder import Ladder
from enforcer.ledger import Ledger
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from enforcer.playbook import Play, Playbook, When
from schemas.action import Action, ActionKind, ActionStatus, Otherwise, Target, TargetKind
from schemas.alert import Alert, EntityKind, Status
from schemas.settings import Settings

NOW = 1_750_000_000_000
MINUTE = 60_000
PENDING, ACTIVE, APPROVED, REFUSED, LIFTED = (
    ActionStatus.PENDING, ActionStatus.ACTIVE, ActionStatus.APPROVED, ActionStatus.REFUSED, ActionStatus.LIFTED,
)  # fmt: skip
CONFIG = PlanConfig.of(Settings(usage_partitions=1))


def config(otherwise: Otherwise = Otherwise.LET_GO) -> PlanConfig:
    ask = Ask(above=10, within_ms=15 * MINUTE, otherwise=otherwise)
    return replace(CONFIG, playbook=Playbook((Play("p", When(), ActionKind.DENY, ask=ask),)))


def alert(value: str = "203.0.113.7", at_ms: int = NOW, **changes: Any) -> Alert:
    return make_alert(value, at_ms=at_ms, **({"accounts": 40} | changes))


def pending(planner: Planner, told: Alert | None = None) -> Action:
    (action,) = planner.plan(told or alert(), NOW)
    assert action.status is PENDING
    return action


def test_an_answer_that_reaches_many_waits_and_one_that_reaches_few_does_not() -> None:
    planner = Planner(config())
    action = pending(planner)
    assert action.approval is not None
    assert action.approval.until_ms == NOW + 15 * MINUTE
    assert action.approval.why == "it reaches 40 clients, more than 10"
    few = (alert("203.0.113.8", accounts=10), alert("k1", kind_of=EntityKind.KEY, addresses=10))
    assert [planner.plan(each, NOW)[0].status for each in few] == [ACTIVE, ACTIVE]
    assert planner.plan(alert("k2", kind_of=EntityKind.KEY, addresses=11), NOW)[0].status is PENDING


def test_what_waits_is_asked_once_and_serves_other_alerts_on_the_same_client() -> None:
    planner = Planner(config())
    pending(planner)
    update = alert().model_copy(update={"status": Status.UPDATE, "last_ms": NOW + MINUTE})
    for told in (alert(), update, alert(uid="another")):
        assert planner.plan(told, NOW + MINUTE) == ()


@pytest.mark.parametrize("otherwise", list(Otherwise))
def test_what_nobody_decides_in_time_is_done_or_let_go_once(otherwise: Otherwise) -> None:
    planner = Planner(config(otherwise))
    action = pending(planner)
    assert planner.overdue(NOW + 15 * MINUTE - 1) == ()
    told = planner.overdue(NOW + 15 * MINUTE)
    if otherwise is Otherwise.DO:
        assert [a.status for a in told] == [ACTIVE, APPROVED]
        assert told[0].expires_ms - told[0].created_ms == action.expires_ms - action.created_ms
        assert told[0].uid == asking.name_of_done(action)
    else:
        assert [(a.status, a.uid, a.ended_by) for a in told] == [(REFUSED, action.uid, "auto")]
    assert planner.overdue(NOW + 20 * MINUTE) == ()
    later = alert().model_copy(update={"status": Status.UPDATE, "last_ms": NOW + 16 * MINUTE})
    assert planner.plan(later, NOW + 16 * MINUTE) == (), "the incident was decided"


def test_a_person_decides_and_a_no_holds_for_the_whole_incident() -> None:
    planner = Planner(config(Otherwise.DO))
    planner.observe(asking.let_go(pending(planner), NOW + 10, "cli:ann", "the university"), NOW + 10)
    assert planner.overdue(NOW + 20 * MINUTE) == ()
    later = alert().model_copy(update={"status": Status.UPDATE, "last_ms": NOW + MINUTE, "accounts": 0})
    assert planner.plan(later, NOW + MINUTE) == ()
    assert planner.plan(alert(uid="another", at_ms=NOW + MINUTE), NOW + MINUTE)[0].status is PENDING


def test_guardrails_are_asked_again_when_the_time_is_over() -> None:
    planner = Planner(config(Otherwise.DO))
    pending(planner)
    hold = Action(
        uid="h", kind=ActionKind.HOLD, status=ACTIVE, target=Target(kind=TargetKind.GLOBAL, value="*"), owner="cli:ann",
        reason="customers call", created_ms=NOW, expires_ms=NOW + 60 * MINUTE,
    )  # fmt: skip
    planner.observe(hold, NOW + 5)
    (told,) = planner.overdue(NOW + 15 * MINUTE)
    assert (told.status, told.guard) == (REFUSED, "stopped")
    assert "automation is stopped by cli:ann" in (told.ended_reason or "")


def test_a_withdrawn_alert_asks_no_more() -> None:
    planner = Planner(config(Otherwise.DO))
    action = pending(planner)
    (told,) = planner.plan(alert().model_copy(update={"status": Status.WITHDRAWN}), NOW + 5)
    assert (told.uid, told.status) == (action.uid, REFUSED)
    assert planner.overdue(NOW + 20 * MINUTE) == ()


@pytest.mark.parametrize("known_first", ["no", "done"])
def test_a_persons_no_ends_what_only_the_default_began_however_they_cross(known_first: str) -> None:
    asker, planner = Planner(config(Otherwise.DO)), Planner(config(Otherwise.DO))
    action = pending(asker)
    done, end = asker.overdue(NOW + 15 * MINUTE)
    no = asking.let_go(action, NOW + 15 * MINUTE - 5, "cli:ann", "the university")
    order = [no, done, end] if known_first == "no" else [done, end, no]
    lifts = [lift for each in (action, *order) for lift in planner.observe(each, NOW + 15 * MINUTE)]
    assert [(lift.uid, lift.status) for lift in lifts] == [(done.uid, LIFTED)]
    assert "the university" in (lifts[0].ended_reason or "")
    yes = asking.done(action, NOW, "cli:bob")
    assert Planner(config()).observe(yes, NOW) == (), "a person's yes stands"


EVENTS = st.lists(st.sampled_from(["asked", "yes", "no", "late", "tombstone"]), max_size=12)


@given(EVENTS, st.sampled_from(list(Otherwise)))
def test_whatever_order_decisions_come_in_it_is_done_at_most_once_and_waits_only_while_undecided(
    events: list[str], otherwise: Otherwise
) -> None:
    action = pending(Planner(config(otherwise)))
    yes = (asking.done(action, NOW + 5, "cli:ann"), asking.approved(action, NOW + 5, "cli:ann", "fine"))
    told = {
        "asked": (action,), "yes": yes, "no": (asking.let_go(action, NOW + 6, "cli:bob", "no"),),
        "late": asking.overdue(action, None), "tombstone": (None,),
    }  # fmt: skip
    ledger, decided = Ledger(Ladder(4, 1000, 1000)), False
    words = [(event, each) for event in events for each in told[event]]
    for offset, (word, each) in enumerate(words):
        ledger.fold(each.uid if each else action.uid, each, 0, offset)
        decided = word != "tombstone" and (decided or (each is not None and each.status in (APPROVED, REFUSED)))
        assert {a.uid for a in ledger.in_force()} <= {asking.name_of_done(action)}
        assert not (decided and ledger.pending())


@pytest.mark.integration
@pytest.mark.parametrize("word", ["approve", "reject"])
def test_what_waits_survives_kill_9_and_is_decided_by_whoever_is_asked_then(
    broker: str, redis_url: str, topic_prefix: str, tmp_path: Path, word: str
) -> None:
    path = tmp_path / "playbook.yaml"
    path.write_text(
        "version: 1\nplays:\n  - name: crowds\n    do: deny\n"
        "    approve: {above: 10, within: 10m, otherwise: let-go}\n"
        "    when: {about: ip}\n"
        "  - name: soon\n    when: {about: key}\n    do: deny\n    approve: {within: 1s, otherwise: do}\n"
    )
    world = World(broker, redis_url, topic_prefix, playbooks=path)
    with world.enforcer() as process:
        world.send(alert(at_ms=now_ms()), alert("198.51.100.1", at_ms=now_ms(), accounts=0))
        world.wait_for("198.51.100.1")
        (waits,) = eventually(lambda: judging.pending(world.settings))
        assert "203.0.113.7" not in str(world.snapshot())
        process.kill()
        process.wait(10)
    world.redis.flushall()
    with world.enforcer():
        (again,) = eventually(lambda: judging.pending(world.settings), 60)
        assert again == waits
        if word == "approve":
            result = judging.approve_pending(world.settings, waits.uid[:8], None, "no customers there", "ann")
            assert [action.status for action in result.actions] == [ACTIVE, APPROVED]
            assert world.wait_for("203.0.113.7")["owner"] == "cli:ann"
        else:
            judging.reject(world.settings, waits.uid, "the university", "ann")
        eventually(lambda: not judging.pending(world.settings))
        with pytest.raises(CommandError, match="no pending actions begin with"):
            judging.reject(world.settings, waits.uid, "too late", "bob")
        world.send(alert("k1", at_ms=now_ms(), kind_of=EntityKind.KEY))
        assert world.wait_for("k1")["owner"] == "auto", "nobody said anything for a second"
    assert len([a for a in world.actions() if a.uid == waits.uid and a.status is PENDING]) == 1
