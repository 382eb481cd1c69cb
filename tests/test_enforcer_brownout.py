"""The controller on simulated sites: it neither flaps nor stays, and what it writes is what it wants."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer import brownout, brownout_file, relief
from enforcer.brownout import LEVELS, QUARTERS, Health, Load, Rules, State
from enforcer.health import Gauge, Sums
from enforcer.leadership import BELIEVED_S, Leadership
from schemas.action import Action, ActionStatus
from schemas.errors import FileError

SHIPPED = Path(__file__).parent.parent / "deploy/brownout.yaml"
RULES = Rules(seconds_max=1200, rest_s=300)
START_MS = 1_700_000_000_000
ADMITTED = (1.0, 0.8, 0.6, 0.35, 0.1)


@dataclass
class Site:
    """A queue before a server: `capacity` a second, at most `room` waiting, the rest fails. Told `delay_s` late."""

    capacity: float
    delay_s: int
    noise: float
    chance: random.Random
    room: float = 2_000
    waiting: float = 0.0

    def __post_init__(self) -> None:
        self._told = deque([Sums()] * self.delay_s)

    def second(self, demand: float, quarter: int) -> Sums:
        level, part = -(-quarter // QUARTERS), (quarter % QUARTERS or QUARTERS) / QUARTERS
        admit = ADMITTED[level] + (ADMITTED[level - 1] - ADMITTED[level]) * (1 - part) if quarter else 1.0
        arrived = demand * admit * (1 + self.noise * self.chance.uniform(-1, 1))
        waited = self.waiting
        done = min(self.capacity, self.waiting + arrived)
        self.waiting = min(self.room, self.waiting + arrived - done)
        failed = max(0.0, waited + arrived - done - self.room)
        latency_ms = 40 * (1 + 10 * self.waiting / self.capacity) * (1 + self.noise * self.chance.uniform(-1, 1))
        self._told.append(Sums(int(done + failed), int(failed), latency_ms * done, int(done)))
        return self._told.popleft()


def run(site: Site, demands: list[float], rules: Rules = RULES) -> list[State]:
    """The controller's state in each second."""
    gauge, state, states = Gauge(rules), State(changed_ms=START_MS), []
    for second, demand in enumerate(demands):
        now_ms = START_MS + second * 1000
        gauge.add(site.second(demand, state.quarter), now_ms)
        health = gauge.health(now_ms)
        load = health.load(rules)
        state = brownout.step(state, load, now_ms, rules)
        if not state.quarter:
            gauge.learn(health, load)
        states.append(state)
    return states


def changes(states: list[State]) -> int:
    return sum(one.quarter != other.quarter for one, other in pairwise(states))


SITES = st.builds(
    Site, st.floats(100, 5_000), st.integers(0, 5), st.floats(0, 0.25), st.integers(0, 10**6).map(random.Random)
)


@settings(max_examples=25)
@given(SITES, st.floats(1.3, 8), st.integers(30, 1500))
def test_an_overload_is_answered_without_flapping_and_all_is_as_before_when_it_is_over(
    site: Site, times: float, lasts_s: int
) -> None:
    calm = [site.capacity * 0.5] * 60
    after = [site.capacity * 0.4] * (RULES.seconds_max + RULES.rest_s + 60)
    states = run(site, calm + [site.capacity * times] * lasts_s + after)
    assert max(state.level for state in states[: 60 + 30]) >= 1, "an overload is seen within half a minute"
    assert states[-1].quarter == 0
    assert changes(states) <= RULES.changes_max
    for begun_ms in {state.begun_ms for state in states if state.quarter}:
        held = [at for at, state in enumerate(states) if state.begun_ms == begun_ms and state.quarter]
        assert held[-1] - held[0] < RULES.seconds_max


@settings(max_examples=15)
@given(SITES, st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 120)), min_size=1, max_size=10))
def test_a_site_that_can_take_what_comes_is_left_alone(site: Site, spells: list[tuple[float, int]]) -> None:
    demands = [site.capacity * share for share, seconds in spells for _ in range(seconds)]
    assert changes(run(site, [site.capacity * 0.5] * 60 + demands)) == 0


@given(st.lists(st.tuples(st.sampled_from(Load), st.integers(1, 200)), max_size=60))
def test_however_a_site_behaves_levels_rise_by_one_or_two_where_it_is_far_too_much_and_every_brownout_ends(
    spells: list[tuple[Load, int]],
) -> None:
    state, now_ms, count = State(changed_ms=START_MS), START_MS, 0
    for load, seconds in spells:
        for _ in range(seconds):
            now_ms += 1000
            before, state = state, brownout.step(state, load, now_ms, RULES)
            assert state.level <= before.level + (2 if load is Load.FAR else 1)
            assert before.quarter - state.quarter <= 1
            if state.quarter > before.quarter:
                assert load in (Load.FAR, Load.OVER)
                assert state.part == 1
            if state.quarter:
                assert now_ms - (state.begun_ms or 0) < RULES.seconds_max * 1000
            count = 0 if state.begun_ms != before.begun_ms else count + (state.quarter != before.quarter)
            assert count <= RULES.changes_max


def test_each_way_back_that_fails_makes_the_next_one_wait_twice_as_long() -> None:
    state = State(quarter=4, begun_ms=START_MS, changed_ms=START_MS, falling=False)
    waits, now_ms = [], START_MS
    for _ in range(3):
        began_ms = now_ms
        while not state.falling:
            now_ms += 1000
            state = brownout.step(state, Load.CALM, now_ms, RULES)
        waits.append(now_ms - began_ms)
        while state.falling:
            now_ms += 1000
            state = brownout.step(state, Load.OVER, now_ms, RULES)
        assert state.quarter == 4
    assert [round(wait / 30_000) for wait in waits] == [1, 2, 4]


def test_two_levels_at_once_are_taken_only_as_far_as_rules_and_deadline_let_them() -> None:
    after_s = RULES.enter_s

    def risen(level: int, rules: Rules, begun_s: int = 0) -> int:
        state = State(quarter=QUARTERS * level, begun_ms=START_MS - begun_s * 1000 if level else None)
        for second in range(after_s + rules.dwell_s + 1):
            state = brownout.step(state, Load.FAR, START_MS + second * 1000, rules)
            if state.level != level:
                return state.level
        return level

    assert [risen(level, RULES) for level in range(5)] == [2, 3, 4, 4, 4]
    assert risen(0, replace(RULES, level_max=1)) == 1
    # 90 s are left: eight quarters can be given back in them, and nine.
    assert risen(1, RULES, RULES.seconds_max - 90 - after_s - RULES.dwell_s) == 2


def test_who_ends_it_by_hand_is_not_contradicted_for_a_while() -> None:
    state = brownout.cleared(State(quarter=8, begun_ms=START_MS), START_MS, RULES)
    for second in range(RULES.rest_s):
        state = brownout.step(state, Load.OVER, START_MS + second * 1000, RULES)
        assert state.quarter == 0
    assert brownout.step(state, Load.OVER, START_MS + RULES.rest_s * 1000, RULES).level == 1


@pytest.mark.parametrize(
    ("health", "load"),
    [
        (Health(49, errors=1.0), Load.UNKNOWN),
        (Health(100, errors=0.2), Load.OVER),
        (Health(100, errors=0.39), Load.OVER),
        (Health(100, errors=0.4), Load.FAR),
        (Health(100, errors=0.05, latency_ms=120, usual_ms=20), Load.FAR),
        (Health(100, errors=0.1), Load.BETWEEN),
        (Health(100, errors=0.05, latency_ms=60, usual_ms=20), Load.OVER),
        (Health(100, errors=0.05, latency_ms=30, usual_ms=20), Load.CALM),
        (Health(100, latency_ms=19, usual_ms=1), Load.CALM),  # too quick to matter, however much slower
        (Health(100, latency_ms=900, usual_ms=None), Load.CALM),  # what is usual is not known yet
        (Health(100, latency_ms=49, usual_ms=10), Load.CALM),
        (Health(60, 5.0, latency_ms=112, usual_ms=28), Load.BETWEEN),  # 12 a second: one that took 5 s
        (Health(149, 5.0, latency_ms=112, usual_ms=28), Load.BETWEEN),
        (Health(150, 5.0, latency_ms=112, usual_ms=28), Load.OVER),
        (Health(500, 5.0, latency_ms=112, usual_ms=28, timed=60), Load.BETWEEN),  # of the others nobody knows
        (Health(60, 5.0, errors=0.2, latency_ms=112, usual_ms=28), Load.OVER),
        (Health(60, 5.0, latency_ms=30, usual_ms=28), Load.CALM),
    ],
)
def test_health_is_held_against_marks_that_lie_apart(health: Health, load: Load) -> None:
    assert health.load(RULES) is load


@settings(max_examples=20)
@given(st.integers(1, 24), st.floats(500, 20_000), st.integers(0, 10**6).map(random.Random))
def test_a_slow_answer_now_and_then_is_no_overload_of_a_site_that_few_ask(
    per_second: int, slow_ms: float, chance: random.Random
) -> None:
    gauge, state = Gauge(RULES), State(changed_ms=START_MS)
    for second in range(600):
        now_ms = START_MS + second * 1000
        asked = chance.randint(per_second // 2, per_second + per_second // 5)
        took_ms = [slow_ms if chance.random() < 1 / 500 else chance.uniform(10, 46) for _ in range(asked)]
        gauge.add(Sums(asked, 0, sum(took_ms), asked), now_ms)
        health = gauge.health(now_ms)
        load = health.load(RULES)
        state = brownout.step(state, load, now_ms, RULES)
        gauge.learn(health, load)
        assert not state.quarter, (second, health)


def test_a_brownout_does_not_end_because_it_turns_so_many_away_that_latency_says_little() -> None:
    state = State(quarter=12, begun_ms=START_MS, changed_ms=START_MS)
    shed = Health(100, 5.0, latency_ms=300, usual_ms=50)
    for second in range(RULES.calm_s * 3):
        state = brownout.step(state, shed.load(RULES), START_MS + second * 1000, RULES)
    assert state.quarter == 12


def test_how_many_wait_is_told_by_how_much_longer_all_take() -> None:
    assert Health(100, latency_ms=200, usual_ms=50, concurrent=40).queue == 30
    assert Health(100, latency_ms=50, usual_ms=50, concurrent=40).queue == 0


HEALTH = Health(500, 5.0, 0.31, 240.0, 50.0, 96.0)
AT_2 = State(quarter=8, begun_ms=START_MS - 60_000, changed_ms=START_MS, failures=1)


def test_what_is_wanted_is_written_once_renewed_in_time_and_taken_back() -> None:
    (made,) = relief.needed(AT_2, (), HEALTH, RULES, START_MS)
    assert (made.level, made.factor, made.owner, made.rule) == (2, None, "auto", "brownout/1")
    assert made.reason == "31.0% of requests fail; they take 240 ms, 4.8 times the usual; 96 at once"
    assert made.expires_ms - made.created_ms == relief.STANDS_S * 1000
    assert relief.needed(AT_2, [made], HEALTH, RULES, START_MS + 20_000) == ()
    renewed, ended = relief.needed(AT_2, [made], HEALTH, RULES, START_MS + 40_000)
    assert (renewed.level, ended.uid, ended.status) == (2, made.uid, ActionStatus.LIFTED)
    down, ended = relief.needed(replace(AT_2, quarter=7, falling=True), [renewed], HEALTH, RULES, START_MS + 41_000)
    assert (down.level, down.factor, ended.uid) == (2, 0.75, renewed.uid)
    assert [a.status for a in relief.needed(State(), [down], HEALTH, RULES, START_MS + 42_000)] == [ActionStatus.LIFTED]


def test_what_a_leader_of_before_writes_late_is_ended_and_what_people_set_is_not() -> None:
    (made,) = relief.needed(AT_2, (), HEALTH, RULES, START_MS)
    stale = made.model_copy(update={"uid": "stale", "level": 4, "created_ms": START_MS + 500})
    people = made.model_copy(update={"uid": "ann", "owner": "cli:ann"})
    assert [a.uid for a in relief.needed(AT_2, [made, stale, people], HEALTH, RULES, START_MS + 1000)] == ["stale"]


@given(st.integers(1, LEVELS * QUARTERS), st.integers(0, 9))
def test_the_next_leader_goes_on_where_the_last_one_stood(quarter: int, failures: int) -> None:
    state = replace(AT_2, quarter=quarter, failures=failures)
    (made,) = relief.needed(state, (), HEALTH, RULES, START_MS)
    made = Action.model_validate_json(made.model_dump_json())
    resumed, usual_ms = relief.resume(made, START_MS + 9_000)
    assert (resumed.quarter, resumed.begun_ms, resumed.failures) == (quarter, state.begun_ms, failures)
    assert usual_ms == 50.0


def test_a_leader_who_was_away_for_longer_than_it_may_be_knows_that_before_it_acts() -> None:
    now_s = 100.0
    leadership = Leadership(lambda: now_s)
    assert not leadership.held
    leadership.assigned([1])
    assert not leadership.held
    assert not leadership.due
    leadership.assigned([0, 1])
    assert leadership.due
    assert not leadership.held, "owning is not enough: the broker has taken nothing yet"
    leadership.proven(now_s)
    assert leadership.held
    now_s += BELIEVED_S
    assert not leadership.held
    leadership.proven(now_s)
    leadership.revoked()
    assert not leadership.held


def test_the_shipped_file_says_what_holds_without_one() -> None:
    assert brownout_file.load(str(SHIPPED)) == brownout_file.load("auto") == Rules()
    assert brownout_file.load("observe") == Rules(acts=False)
    assert brownout_file.load("off") is None


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("mode: on", 2, "brownout.mode", "one of auto, observe, off"),
        ("level_mx: 2", 2, "brownout.level_mx", "did you mean `level_max`?"),
        ("calm_seconds: 2m", 2, "brownout.calm_seconds", "a whole number from 5 to 3600"),
        ("enter: { errors: 20 }", 2, "brownout.enter.errors", "a number from 0.001 to 1"),
        ("enter: { errors: 0.2 }", 2, "brownout.enter.errors", "add `leave: { errors: ... }`"),
        ("enter: { errors: 0.2 }\nleave: { errors: 0.3 }", 3, "brownout.leave.errors", "is not below the 0.2"),
        ("enter: { errors: 0.2 }\nleave: { latency: 2 }", 3, "brownout.leave.latency", "is of no mark of `enter`"),
        ("leave: { errors: 0.1 }", 2, "brownout.leave", "add `enter`"),
        ("seconds_max: 100", 2, "brownout.seconds_max", "at least 190"),
    ],
)
def test_rules_that_cannot_be_taken_name_the_line_the_field_and_the_fix(
    text: str, line: int, field: str, says: str
) -> None:
    with pytest.raises(FileError) as found:
        brownout_file.parse(f"version: 1\n{text}\n".encode(), "b.yaml")
    assert (found.value.line, found.value.field) == (line, field)
    assert says in str(found.value)
