"""Plays that ask for a brownout: when an alert asks, what the controller makes of it, who takes it back."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import World, eventually, now_ms
from enforcer_world import alert as make_alert
from hypothesis import given
from hypothesis import strategies as st
from test_enforcer_leader import QUICK, Upstream, brownouts

from enforcer import brownout, command, relief
from enforcer.brownout import LEVELS, Health, Load, Rules, State
from enforcer.drafts import lifted
from enforcer.ladder import Ladder
from enforcer.ledger import Ledger
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig, ladder_of
from enforcer.playbook_file import Reading, examine, load
from floodwarden.doctor_brownout import brownout as doctor
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, EntityKind, Severity, Status
from schemas.errors import FileError
from schemas.settings import Settings

NOON = 1_750_000_000_000
MINUTE = 60_000
SETTINGS = Settings(usage_partitions=1)
RULES = Rules(seconds_max=1200, rest_s=300)
STORM = """
version: 1
plays:
  - name: login-storm
    when: { about: route, severity: critical }
    do: [brownout, page]
    level: 2
    for: 10m
"""


def storm(at_ms: int = NOON, **changes: Any) -> Alert:
    kind = {"kind_of": EntityKind.ROUTE, "severity": Severity.CRITICAL, "uid": "storm"}
    return make_alert("/login", at_ms=at_ms, **(kind | changes))


def read(directory: Path, text: str) -> Reading:
    path = directory / "p.yaml"
    path.write_text(text, "utf-8")
    return examine(path, ladder_of(SETTINGS))


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    return Planner(replace(PlanConfig.of(SETTINGS), playbook=read(tmp_path, STORM).playbook))


def test_an_alert_asks_once_and_again_when_it_goes_on_as_its_time_runs_out(planner: Planner) -> None:
    (noted,) = planner.plan(storm(severity=Severity.HIGH, uid="other", kind_of=EntityKind.TENANT), NOON)
    assert noted.level is None, "no play is for it"
    (asked,) = planner.plan(storm(), NOON)
    assert (asked.kind, asked.status, asked.level, asked.page) == (ActionKind.NOTICE, ActionStatus.ACTIVE, 2, True)
    assert (asked.play, asked.expires_ms) == ("login-storm", NOON + 10 * MINUTE)
    assert asked.reason.startswith("Asked for brownout level 2 for 10 min: 6 failed logins")
    assert planner.plan(storm(), NOON + 1000) == (), "told again"
    assert planner.plan(storm(NOON + MINUTE, status=Status.UPDATE), NOON + MINUTE) == (), "it stands"
    (again,) = planner.plan(storm(NOON + 10 * MINUTE, status=Status.UPDATE), NOON + 10 * MINUTE)
    assert (again.step, again.uid != asked.uid) == (2, True)
    assert planner.plan(storm(status=Status.CLOSED), NOON + 11 * MINUTE) == ()


def test_what_a_person_takes_back_is_not_asked_for_again_and_what_is_withdrawn_may_be(planner: Planner) -> None:
    (asked,) = planner.plan(storm(), NOON)
    (gone,) = planner.plan(storm(status=Status.WITHDRAWN), NOON + 1000)
    assert (gone.uid, gone.status) == (asked.uid, ActionStatus.LIFTED)
    (again,) = planner.plan(storm(NOON + 2000, status=Status.UPDATE), NOON + 2000)
    planner.observe(lifted(again, NOON + 3000, "cli:ann", "a sale"), NOON + 3000)
    assert planner.plan(storm(NOON + MINUTE, status=Status.UPDATE), NOON + MINUTE) == ()


def test_nothing_is_asked_for_while_automation_is_stopped_or_tries_dry_or_comes_late(tmp_path: Path) -> None:
    config = replace(PlanConfig.of(SETTINGS), playbook=read(tmp_path, STORM).playbook)
    stopped = Planner(config)
    stopped.observe(hold(), NOON)
    for planner, guard, at_ms in (
        (stopped, "stopped", NOON),
        (Planner(replace(config, dry_run=True)), "dry_run", NOON),
        (Planner(config), "stale", NOON + 11 * MINUTE),
    ):
        (held,) = planner.plan(storm(), at_ms)
        assert (held.status, held.guard) == (ActionStatus.REFUSED, guard)
        assert held.reason.startswith("Not asked for brownout level 2: ")
        assert planner.plan(storm(), at_ms) == ()


def hold() -> Action:
    everything = Target(kind=TargetKind.GLOBAL, value="*")
    return Action(
        uid="hold", kind=ActionKind.HOLD, status=ActionStatus.ACTIVE, target=everything, reason="enough",
        owner="cli:ann", created_ms=NOON - 1000, expires_ms=NOON + 10 * MINUTE,
    )  # fmt: skip


def test_the_ledger_knows_a_demand_until_it_ends_and_limiters_are_not_told(planner: Planner) -> None:
    (asked,) = planner.plan(storm(), NOON)
    ledger = Ledger(Ladder(4.0, 1, 86_400))
    assert ledger.fold(asked.uid, asked, 0, 0).change is None
    assert ledger.demands(NOON) == [asked]
    assert not [*ledger.in_force()]
    assert ledger.demands(asked.expires_ms) == []
    ledger.fold(asked.uid, lifted(asked, NOON, "cli:ann", "no"), 0, 1)
    assert ledger.demands(NOON) == []


def test_a_demand_is_gone_up_to_level_by_level_held_and_left_by_quarters() -> None:
    state, seen = State(changed_ms=NOON), []
    for second in range(700):
        asked = 2 if second < 600 else 0
        state = brownout.step(state, Load.CALM, NOON + second * 1000, RULES, asked)
        seen.append(state.quarter)
    assert seen[0] == 4, "at once"
    assert seen[RULES.dwell_s] == 8, "no sooner than a level may change"
    assert set(seen[RULES.dwell_s : 600]) == {8}
    assert seen[600] == 7
    assert seen[-1] == 0


def test_no_demand_goes_beyond_the_highest_level_or_over_the_deadline_or_into_the_rest() -> None:
    rules = replace(RULES, level_max=1)
    state, levels = State(changed_ms=NOON), []
    for second in range(rules.seconds_max + rules.rest_s):
        state = brownout.step(state, Load.CALM, NOON + second * 1000, rules, 4)
        levels.append(state.level)
    assert max(levels) == 1
    assert levels[rules.seconds_max] == 0
    over = levels.index(0)
    assert set(levels[over : over + rules.rest_s]) == {0}
    state = brownout.cleared(State(quarter=4, begun_ms=NOON), NOON, rules)
    assert brownout.step(state, Load.CALM, NOON + 1000, rules, 4).quarter == 0


SPELLS = st.lists(st.tuples(st.sampled_from(Load), st.integers(0, LEVELS), st.integers(1, 150)), max_size=40)


@given(SPELLS)
def test_whatever_is_asked_for_levels_rise_by_steps_no_level_is_left_below_it_and_every_brownout_ends(
    spells: list[tuple[Load, int, int]],
) -> None:
    state, at_ms, count = State(changed_ms=NOON), NOON, 0
    for heard, asked, seconds in spells:
        for _ in range(seconds):
            at_ms += 1000
            before, state = state, brownout.step(state, heard, at_ms, RULES, asked)
            assert state.level <= before.level + (2 if heard is Load.FAR else 1)
            if state.quarter > before.quarter:
                assert heard in (Load.FAR, Load.OVER) or before.quarter < 4 * asked
                assert at_ms - before.changed_ms >= RULES.dwell_s * 1000 or not before.quarter
            if state.quarter:
                assert at_ms - (state.begun_ms or 0) < RULES.seconds_max * 1000
            count = 0 if state.begun_ms != before.begun_ms else count + (state.quarter != before.quarter)
            assert count <= RULES.changes_max


def test_a_brownout_says_what_asked_for_it(planner: Planner) -> None:
    (asked,) = planner.plan(storm(), NOON)
    (made,) = relief.needed(State(quarter=8, begun_ms=NOON), (), Health(), RULES, NOON, asked)
    assert made.reason.startswith("login-storm asks for level 2 (Asked for brownout level 2")
    assert (made.play, made.alert_uid) == ("login-storm", None)
    assert {"errors", "failures"} <= {each.name for each in made.evidence}


@pytest.mark.parametrize(
    ("play", "says"),
    [
        ("do: brownout, for: 10m", "add `level: 2`"),
        ("do: brownout, level: 2", "add `for: 10m`"),
        ("do: brownout, level: 5, for: 10m", "a whole number from 1 to 4"),
        ("do: brownout, level: 2, for: 2d", "longer than a day"),
        ("do: brownout, level: 2, for: 10m, canary: {share: 0.1, watch: 30s}", "plays[0].canary: beside"),
        ("do: brownout, level: 2, for: 10m, spare: {addresses: [192.0.2.1]}", "plays[0].spare: beside"),
        ("do: [deny, brownout], level: 2, for: 10m", "`page` beside it or alone"),
        ("do: deny, level: 2", "plays[0].level: beside `do: deny`"),
    ],
)
def test_a_play_that_asks_for_what_is_none_names_the_fix(tmp_path: Path, play: str, says: str) -> None:
    found = read(tmp_path, f"version: 1\nplays:\n  - {{name: p, {play}}}\n")
    with pytest.raises(FileError) as error:
        load(tmp_path / "p.yaml", ladder_of(SETTINGS))
    assert says in str(error.value)
    assert len(found.errors) == 1


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (None, "is `off`"),
        (Rules(acts=False), "is `observe`"),
        (Rules(level_max=1), "asks for level 2, and gets 1"),
        (Rules(seconds_max=300), "asks for 600 s, and gets 300"),
    ],
)
def test_a_play_that_asks_for_more_than_brownouts_give_is_doubted(
    tmp_path: Path, rules: Rules | None, says: str
) -> None:
    found = read(tmp_path, STORM)
    (doubt,) = found.unmet(rules)
    assert says in doubt.reason
    assert doubt.line == 4
    assert found.unmet(Rules()) == []


@pytest.mark.integration
def test_an_alert_begins_a_brownout_by_the_leader_and_who_clears_it_takes_the_demand_back(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    rules, plays = tmp_path / "brownout.yaml", tmp_path / "plays.yaml"
    rules.write_text(QUICK, "utf-8")
    plays.write_text(STORM, "utf-8")
    world = World(embedded_address, redis_url, topic_prefix, brownout=str(rules), playbooks=plays)
    with world.enforcer(), Upstream(world).telling():
        world.send(storm(now_ms()))
        (found,) = eventually(lambda: [each for each in brownouts(world) if each["level"] == 2], 100)
        assert found["reason"].startswith("login-storm asks for level 2")
        well = eventually(lambda: (told := doctor(world.settings)).level == "ok" and told)
        assert re.search(r"level 2; the leader hears of \d+\S* requests a second, \d+ ms each", well.seen)
        command.brownout_clear(world.settings, "ann", "a sale")
        demands = eventually(lambda: [a for a in world.actions() if a.kind == "notice" and a.ended_by], 100)
        assert {(a.status, a.ended_by, a.ended_reason) for a in demands} == {
            (ActionStatus.LIFTED, "cli:ann", "the brownout was ended: a sale")
        }
        assert not brownouts(world)
