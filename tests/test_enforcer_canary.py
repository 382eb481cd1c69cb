"""A play tried on a few first: who is answered, who waits, what widens it and what takes all of it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import World, eventually, now_ms
from enforcer_world import alert as make_alert
from hypothesis import given
from hypothesis import strategies as st

from enforcer import command, judging
from enforcer.canary import CODE, REST_MS, Canary, Sample
from enforcer.drafts import lifted
from enforcer.guardrails import Caps
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from enforcer.playbook import Play, Playbook, When
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert, Status
from schemas.settings import Settings

NOW = 1_750_000_000_000
WATCH = 30_000
ACTIVE, PENDING, LIFTED, REFUSED = (
    ActionStatus.ACTIVE, ActionStatus.PENDING, ActionStatus.LIFTED, ActionStatus.REFUSED,
)  # fmt: skip
PLAY = Play("p", When(), ActionKind.DENY, canary=Canary(0.2, WATCH))
CONFIG = replace(
    PlanConfig.of(Settings(usage_partitions=1)), playbook=Playbook((PLAY,)), caps=Caps(10_000, 1.0, 10_000)
)
CALM = Sample(NOW - 1000, 100.0, 0.01, 40.0)


def alert(n: int, at_ms: int = NOW, **changes: Any) -> Alert:
    return make_alert(f"198.51.{n // 250}.{n % 250}", at_ms=at_ms, **changes)


def wave(planner: Planner, count: int = 200) -> list[Action]:
    planner.hear(CALM)
    return [planner.plan(alert(n), NOW + n)[0] for n in range(count)]


def after(ms: int, **changes: Any) -> Sample:
    return replace(CALM, at_ms=NOW + ms, **changes)


def of(actions: Any, status: ActionStatus) -> list[Action]:
    return [action for action in actions if action.status is status]


def test_the_first_and_a_share_are_answered_and_the_rest_waits_until_it_was_watched() -> None:
    planner = Planner(CONFIG)
    begun = wave(planner)
    assert begun[0].status is ACTIVE
    assert 20 <= len(of(begun, ACTIVE)) <= 60, "a fifth of 200, by hash"
    assert {a.approval.until_ms for a in of(begun, PENDING) if a.approval} == {NOW + WATCH}
    assert {a.guard for a in of(begun, PENDING)} == {CODE}
    planner.hear(after(5000))
    told = planner.overdue(NOW + WATCH)
    assert len(of(told, ACTIVE)) == len(of(begun, PENDING))
    assert planner.plan(alert(900), NOW + WATCH + 1)[0].status is ACTIVE, "widened"


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        ({"errors": 0.05}, "5.0% of requests fail, 1.0% before"),
        ({"latency_ms": 90.0}, "requests take 90 ms, 40 before"),
        ({"rate": 50.0}, "50 requests a second are let in, 100 before"),
    ],
)
def test_when_good_traffic_suffers_all_of_it_is_rolled_back_and_the_play_rests(
    worse: dict[str, Any], says: str
) -> None:
    planner = Planner(CONFIG)
    begun = wave(planner)
    assert planner.hear(after(4000)) == ()
    told = planner.hear(after(5000, **worse))
    assert {a.uid for a in of(told, LIFTED)} == {a.uid for a in of(begun, ACTIVE)}
    assert {a.uid for a in of(told, REFUSED)} == {a.uid for a in of(begun, PENDING)}
    assert all(says in (a.ended_reason or "") and a.guard == CODE for a in told)
    assert planner.overdue(NOW + WATCH) == ()
    (refused,) = planner.plan(alert(900), NOW + WATCH)
    assert (refused.status, refused.guard) == (REFUSED, CODE)
    later = NOW + 5000 + REST_MS
    assert planner.plan(alert(901, later), later)[0].status is ACTIVE, "tried anew"


@pytest.mark.parametrize("heard", [(), (after(2000, rate=0.0),), (after(-500),)])
def test_who_hears_nothing_of_good_traffic_does_not_widen(heard: tuple[Sample, ...]) -> None:
    planner = Planner(CONFIG)
    begun = wave(planner)
    for sample in heard:
        planner.hear(sample)
    told = planner.overdue(NOW + WATCH)
    assert {a.uid for a in of(told, REFUSED)} == {a.uid for a in of(begun, PENDING)} == {a.uid for a in told}
    assert all("nothing was heard" in (a.ended_reason or "") for a in told)


def test_a_person_who_takes_one_answer_back_takes_all_of_them_back_also_where_others_gave_them() -> None:
    planner, other = Planner(CONFIG), Planner(CONFIG)
    begun = wave(planner)
    for action in begun:
        assert other.observe(action, NOW + 500) == ()
    undone = lifted(begun[0], NOW + 900, "cli:ann", "a customer calls")
    for each in (planner, other):
        told = each.observe(undone, NOW + 1000)
        assert len(told) == len(begun) - 1
        assert {a.status for a in told} == {LIFTED, REFUSED}
        assert "cli:ann took an answer back: a customer calls" in (told[0].ended_reason or "")
        assert each.plan(alert(900), NOW + 1100)[0].guard == CODE


def test_a_stop_and_a_withdrawn_alert_are_no_complaints() -> None:
    planner = Planner(CONFIG)
    begun = wave(planner, 10)
    withdrawn = planner.plan(alert(0).model_copy(update={"status": Status.WITHDRAWN}), NOW + 50)
    assert [a.uid for a in withdrawn] == [begun[0].uid]
    assert planner.observe(lifted(begun[0], NOW + 60, "auto", "on the allowlist"), NOW + 60) == ()
    planner.hear(after(5000))
    assert of(planner.overdue(NOW + WATCH), ACTIVE)


def test_an_enforcer_started_anew_goes_on_with_the_wave() -> None:
    planner, heir = Planner(CONFIG), Planner(CONFIG)
    begun = wave(planner)
    for action in reversed(begun):  # as partitions are read: in no order
        heir.observe(action, NOW + 1000, replayed=True)
    heir.hear(after(2000))
    heir.hear(after(3000))
    ours = heir.plan(alert(900), NOW + 3000)[0]
    assert ours.status is (ACTIVE if PLAY.canary and PLAY.canary.takes("p", ours.target) else PENDING)
    assert len(of(heir.overdue(NOW + WATCH), ACTIVE)) >= len(of(begun, PENDING))


def test_who_does_not_lead_has_what_comes_later_wait_for_the_word_of_who_does() -> None:
    leader, other = Planner(CONFIG), Planner(CONFIG)
    leader.hear(CALM)
    (first,) = other.plan(alert(0), NOW)
    leader.observe(first, NOW)
    leader.hear(after(5000))
    late = NOW + WATCH + 5
    targets = [first.target.model_copy(update={"value": f"198.51.0.{n}"}) for n in range(1, 30)]
    numbers = [n for n, target in enumerate(targets, 1) if not Canary(0.2, WATCH).takes("p", target)]
    (waits,) = other.plan(alert(numbers[0], late), late)
    assert waits.status is PENDING
    leader.observe(waits, late)
    done, approved = leader.overdue(late + WATCH)
    for action in (done, approved):
        other.observe(action, late + WATCH)
    assert other.plan(alert(numbers[1], late + WATCH), late + WATCH)[0].status is ACTIVE, "and knows from then on"


STEPS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 20_000), st.sampled_from(["", "fine", "bad", "undo"])), max_size=40
)


@given(STEPS, st.floats(0.01, 0.9))
def test_however_it_goes_nobody_but_the_share_is_answered_before_it_was_watched(
    steps: list[tuple[int, int, str]], share: float
) -> None:
    canary = Canary(share, WATCH)
    planner = Planner(replace(CONFIG, playbook=Playbook((replace(PLAY, canary=canary),))))
    now, standing, firsts, watched = NOW, dict[str, Action](), 0, False
    planner.hear(CALM)
    for n, wait_ms, event in steps:
        now += wait_ms
        told = [*planner.overdue(now), *planner.plan(alert(n, now, uid=f"{n}-{now}"), now)]
        watched = watched or now >= NOW + WATCH
        if event in ("fine", "bad"):
            told += planner.hear(Sample(now, 100.0, 0.01 if event == "fine" else 0.5, 40.0))
        if event == "undo" and standing:
            told += planner.observe(lifted(next(iter(standing.values())), now, "cli:ann", "no"), now)
        for action in told:
            if action.status is ACTIVE:
                standing[action.uid] = action
                firsts += not watched and not canary.takes("p", action.target)
            elif action.status is LIFTED:
                standing.pop(action.uid, None)
    assert firsts <= 1, "only the first of a wave is answered out of turn"


@pytest.mark.integration
def test_undoing_one_answer_of_a_canary_takes_all_of_them_back_on_a_real_broker(
    broker: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "playbook.yaml"
    path.write_text("version: 1\nplays:\n  - {name: p, do: deny, canary: {share: 0.3, watch: 10m}}\n")
    world = World(broker, redis_url, topic_prefix, playbooks=path)
    with world.enforcer():
        world.send(*(alert(n, now_ms()) for n in range(20)))
        eventually(lambda: len(world.snapshot()) + len(judging.pending(world.settings)) == 20, 60)
        assert 1 <= len(world.snapshot()) < 20
        command.undo(world.settings, next(iter(world.snapshot())), "ann", "a customer calls")
        eventually(lambda: not world.snapshot() and not judging.pending(world.settings), 60)
        assert {a.guard for a in world.actions() if a.ended_by == "auto"} == {CODE}
