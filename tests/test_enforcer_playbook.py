"""Playbooks: which play is for which alert, what it then does, and how a file of them is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import alert as make_alert
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ladder import Ladder, Rung
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig, ladder_of
from enforcer.playbook import OBSERVE, Playbook
from enforcer.playbook_file import Reading, built_in, examine, load
from enforcer.playbook_watch import PlaybookWatch
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert, Answer, EntityKind, Severity
from schemas.errors import FileError
from schemas.exempt import ExemptBy
from schemas.settings import Settings

SETTINGS = Settings(usage_partitions=1)
LADDER = ladder_of(SETTINGS)
NIGHT = 1_750_028_400_000  # 2025-06-15T23:00Z, a Sunday
NOON = NIGHT - 11 * 3_600_000
HOUR = 3_600_000


def alert(value: str = "203.0.113.7", at_ms: int = NOON, **changes: Any) -> Alert:
    return make_alert(value, at_ms=at_ms, **changes)


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(plays: str, head: str = "version: 1\nplays:\n") -> Reading:
        path = tmp_path / "p.yaml"
        path.write_text(head + plays)
        return examine(path, LADDER)

    return read


def book(found: Reading) -> Playbook:
    assert not found.errors, found.errors
    return found.playbook


def done(playbook: Playbook, told: Alert, now_ms: int = NOON) -> Action:
    (action,) = Planner(replace(PlanConfig.of(SETTINGS), playbook=playbook)).plan(told, now_ms)
    return action


@pytest.mark.parametrize("answer", list(Answer))
def test_the_built_in_playbook_does_what_the_family_asks_for(answer: Answer) -> None:
    action = done(built_in(), alert(answer=answer))
    assert (str(action.kind), action.play) == (str(answer), "observe" if answer is Answer.NOTICE else str(answer))


@given(st.sampled_from(list(EntityKind)), st.sampled_from(list(Answer)), st.sampled_from(list(Severity)))
def test_the_built_in_playbook_has_a_play_for_every_client_and_for_no_group(
    kind: EntityKind, answer: Answer, severity: Severity
) -> None:
    play = built_in().play(alert(kind_of=kind, answer=answer, severity=severity), NOON)
    assert (play is OBSERVE) == (kind not in {EntityKind.IP, EntityKind.KEY, EntityKind.USER})


WHEN = [
    ("alert: [gue*, probe]", {}, {"kind": "sweep"}, "alert gue* or probe; this one is sweep"),
    ("severity: high", {}, {"severity": Severity.MEDIUM}, "severity high; the alert's is medium"),
    ("confidence: 0.9", {}, {"score": 0.8}, "confidence 0.9; the alert's is 0.8"),
    ("about: key", {"kind_of": EntityKind.KEY}, {}, "about key; the alert is about ip"),
    ("asks: [deny, throttle]", {}, {"answer": Answer.CHALLENGE}, "asks deny or throttle; the alert asks for challenge"),
    ('route: "/login*"', {"route": "/login/{id}"}, {}, "route /login*; the alert names none"),
    ('behaviour: "http:scan*"', {"behaviour": "http:scan/wp"}, {}, "behaviour http:scan*; the alert is a case of none"),
    ("hours: mon-sun 10:00-14:00 UTC", {}, {"at_ms": NIGHT}, "hours; it is another time"),
]


@pytest.mark.parametrize(("words", "fits", "does_not", "why"), WHEN)
def test_every_word_of_when_tells_alerts_apart_and_says_why(
    read: Any, words: str, fits: dict[str, Any], does_not: dict[str, Any], why: str
) -> None:
    playbook = book(read(f"  - name: p\n    when: {{{words}}}\n    do: challenge\n"))
    told, other = alert(**fits), alert(**does_not)
    assert playbook.play(told, told.last_ms).name == "p"
    assert playbook.play(other, other.last_ms).name != "p"
    assert playbook.tried(other, other.last_ms)[0][1] == why


def test_the_first_play_that_is_for_an_alert_decides_and_the_built_in_ones_come_last(read: Any) -> None:
    plays = "  - {name: a, when: {alert: probe}, do: observe}\n  - {name: b, do: throttle, when: {asks: deny}}\n"
    playbook = book(read(plays))
    assert [playbook.play(each, NOON).name for each in (alert(kind="probe"), alert())] == ["a", "b"]
    assert playbook.play(alert(answer=Answer.CHALLENGE), NOON).name == "challenge"
    alone = book(read("  - {name: a, when: {alert: probe}, do: deny}\n", "version: 1\nbuiltin: no\nplays:\n"))
    assert alone.play(alert(), NOON) is OBSERVE
    assert (done(alone, alert()).kind, done(alone, alert()).play) == (ActionKind.NOTICE, None)


def test_a_play_says_what_how_much_where_how_long_and_whom_not(read: Any) -> None:
    playbook = book(read(
        "  - name: partners\n    do: [throttle, page]\n    for: 30m\n    factor: 0.25\n    scope: entity\n"
        "    when: {about: key}\n    spare: {addresses: [192.0.2.0/24, 198.51.100.7]}\n"
    ))  # fmt: skip
    action = done(playbook, alert("k1", kind_of=EntityKind.KEY, route="/login"))
    assert (action.kind, action.factor, action.route, action.page) == (ActionKind.THROTTLE, 0.25, None, True)
    assert action.expires_ms - action.created_ms == 1_800_000
    assert action.exempt is not None
    assert (action.exempt.by, action.exempt.networks) == (ExemptBy.IP, ("192.0.2.0/24",))
    assert action.play == "partners"
    assert action.reason.startswith("Throttled for 30 min: ")


def test_an_answer_of_a_play_is_given_once_and_serves_the_next_alert_of_the_same_play(read: Any) -> None:
    playbook = book(read("  - {name: p, do: challenge, spare: {addresses: [192.0.2.1]}, when: {about: key}}\n"))
    planner = Planner(replace(PlanConfig.of(SETTINGS), playbook=playbook))
    told = alert("k1", kind_of=EntityKind.KEY)
    assert len(planner.plan(told, NOON)) == 1
    assert planner.plan(told, NOON + 1) == ()
    assert planner.plan(told.model_copy(update={"uid": "another"}), NOON + 2) == ()


def test_a_route_is_challenged_only_where_the_known_good_are_left_alone(read: Any, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("# from our records\nalice 198.51.100.7\nbob smith 2001:db8::1\n")
    playbook = book(read("  - {name: p, do: challenge, when: {about: route}, spare: {pairs_in: good.txt}}\n"))
    action = done(playbook, alert("/login", kind_of=EntityKind.ROUTE, route="/login"))
    assert (action.kind, action.target.key, action.route) == (ActionKind.CHALLENGE, "route:/login", None)
    assert action.exempt is not None
    assert action.exempt.by is ExemptBy.USER_IP


def test_another_playbook_is_asked_from_now_on_and_what_stands_goes_on(read: Any) -> None:
    planner = Planner(PlanConfig.of(SETTINGS))
    (denied,) = planner.plan(alert(), NOON)
    planner.use(book(read("  - {name: soft, do: challenge}\n")))
    assert planner.plan(alert(), NOON + 10) == ()
    (challenged,) = planner.plan(alert("203.0.113.8"), NOON + 10)
    assert (denied.status, challenged.kind) == (ActionStatus.ACTIVE, ActionKind.CHALLENGE)


BAD = [
    ("  - {do: deny}\n", "playbook.plays[0]", "has no `name`"),
    ("  - {name: a, do: deni}\n", "playbook.plays[0].do", "did you mean `deny`?"),
    ("  - {name: a, do: [deny, throttle]}\n", "playbook.plays[0].do", "says deny, throttle"),
    ("  - {name: a, do: deny, for: soon}\n", "playbook.plays[0].for", "write 90s, 10m, 6h or 1d"),
    ("  - {name: a, do: deny, for: 0s}\n", "playbook.plays[0].for", "no length of time"),
    ("  - {name: a, do: deny, factor: 0.5}\n", "playbook.plays[0].factor", "only a throttle has a factor"),
    ("  - {name: a, do: throttle, factor: 2}\n", "playbook.plays[0].factor", "a number from 0 to 1"),
    ("  - {name: a, do: deny, scope: site}\n", "playbook.plays[0].scope", "one of route, entity"),
    ("  - {name: a, do: deny, when: {severty: high}}\n", "playbook.plays[0].when.severty", "mean `severity`?"),
    ("  - {name: a, do: deny, when: {severity: hihg}}\n", "playbook.plays[0].when.severity", "did you mean `high`?"),
    ("  - {name: a, do: deny, when: {hours: always}}\n", "playbook.plays[0].when.hours", "mon-fri 08:00-18:00"),
    ("  - {name: a, do: deny, when: {about: [ip, planet]}}\n", "playbook.plays[0].when.about[1]", "is not known"),
    ("  - {name: a, do: deny, when: {about: global}}\n", "playbook.plays[0]", "which is everybody there"),
    ("  - {name: a, do: challenge, when: {about: route}}\n", "playbook.plays[0]", "answers everybody on a route"),
    ("  - {name: a, do: deny, spare: {addresses: [x]}}\n", "playbook.plays[0].spare", "does not appear to be"),
    ("  - {name: a, do: deny, spare: {pairs_in: gone.txt}}\n", "playbook.plays[0].spare", "gone.txt"),
    ("  - {name: a, do: deny, ladder: {floor: 0}}\n", "playbook.plays[0].ladder.floor", "a whole number from 1"),
    ("  - {name: a, do: deny}\n  - {name: a, do: deny}\n", "playbook.plays[1]", "'a' is taken by the play at line 3"),
]


@pytest.mark.parametrize(("plays", "field", "says"), BAD)
def test_what_is_wrong_is_named_with_file_line_field_and_fix_and_nothing_is_taken(
    read: Any, plays: str, field: str, says: str
) -> None:
    found = read(plays)
    (error,) = found.errors
    assert error.field == field
    assert error.file.endswith("p.yaml")
    assert error.line >= 3
    assert says in str(error)
    assert error.fix
    with pytest.raises(FileError, match=r"p\.yaml:\d"):
        load(Path(error.file), LADDER)


def test_all_that_is_wrong_is_told_at_once(read: Any) -> None:
    found = read("  - {name: a, do: deni}\n  - {name: b, do: deny}\n  - {name: c, do: deny, for: x}\n")
    assert [error.line for error in found.errors] == [3, 5]


def test_a_play_that_never_decides_is_doubted(read: Any) -> None:
    found = read(
        "  - {name: wide, do: challenge, when: {severity: medium}}\n"
        "  - {name: lost, do: deny, when: {severity: high, alert: guess}}\n"
        "  - {name: fine, do: deny, when: {severity: low}}\n"
    )
    (doubt,) = found.doubts()
    assert (doubt.line, doubt.reason) == (4, "'lost' never decides: 'wide' before it is for the same alerts")


CONDITIONS = st.fixed_dictionaries({}, optional={
    "alert": st.sampled_from(["guess", "probe", "g*"]), "about": st.sampled_from(["ip", "key", "[ip, key]"]),
    "asks": st.sampled_from(["deny", "[deny, throttle]"]), "severity": st.sampled_from(["low", "high"]),
    "confidence": st.sampled_from(["0.5", "0.99"]),
})  # fmt: skip
ALERTS = st.builds(
    alert, kind_of=st.sampled_from([EntityKind.IP, EntityKind.KEY]), kind=st.sampled_from(["guess", "sweep"]),
    answer=st.sampled_from(list(Answer)), severity=st.sampled_from(list(Severity)), score=st.sampled_from([0.4, 1]),
)  # fmt: skip


@given(CONDITIONS, CONDITIONS, st.lists(ALERTS, min_size=1, max_size=20))
def test_a_play_that_covers_another_is_for_every_alert_that_the_other_is_for(
    tmp_path_factory: pytest.TempPathFactory, wide: dict[str, str], narrow: dict[str, str], alerts: Iterable[Alert]
) -> None:
    path = tmp_path_factory.getbasetemp() / "covers.yaml"
    rows = (f"  - {{name: p{n}, do: deny, when: {_flow(when)}}}\n" for n, when in enumerate((wide, narrow)))
    path.write_text("version: 1\nplays:\n" + "".join(rows))
    one, two = (play.when for play, _ in examine(path, LADDER).plays)
    if one.covers(two):
        assert not any(one.against(each, NOON) for each in alerts if not two.against(each, NOON))


def _flow(when: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in when.items()) + "}"


LADDERS = st.builds(
    Ladder, factor=st.floats(1, 10), quiet_ms=st.integers(1, 10 * HOUR), seconds_max=st.integers(1, 100_000),
    penalty=st.integers(1, 10), floor=st.integers(1, 20), hold_ms=st.integers(0, 5 * HOUR),
)  # fmt: skip


@given(LADDERS, st.lists(st.integers(0, 40 * HOUR), max_size=30), st.integers(1, 5000))
def test_on_any_ladder_offenders_climb_by_the_penalty_to_the_floor_and_come_down_by_the_decay(
    ladder: Ladder, pauses_ms: list[int], base_seconds: int
) -> None:
    rung, now_ms, lengths = None, NOON, dict[int, int]()
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        step = ladder.step(rung, now_ms)
        seconds = ladder.seconds(base_seconds, step)
        assert 1 <= step <= max(1, ladder.floor)
        assert 1 <= seconds <= ladder.seconds_max
        if rung is not None and now_ms >= rung.until_ms:
            quiet_ms = now_ms - rung.until_ms
            if quiet_ms < ladder.hold_ms + ladder.quiet_ms:
                assert step == min(ladder.floor, rung.step + ladder.penalty), "nothing is forgiven yet"
            if now_ms >= ladder.forgotten_ms(rung.step, rung.until_ms):
                assert step == 1, "all is forgiven"
        lengths[step] = seconds
        rung = Rung(str(now_ms), step, now_ms + seconds * 1000)
    assert [lengths[step] for step in sorted(lengths)] == sorted(lengths.values()), "a higher rung is no shorter"


def test_a_play_has_a_ladder_of_its_own_and_the_ledger_remembers_as_long_as_the_slowest(read: Any) -> None:
    playbook = book(read(
        "  - {name: p, do: deny, for: 1m,\n"
        "     ladder: {factor: 2, penalty: 2, floor: 4, decay: 2d, hold: 1h, longest: 1h}}\n"
    ))  # fmt: skip
    config = replace(PlanConfig.of(SETTINGS), playbook=playbook)
    planner, now_ms, lengths = Planner(config), NOON, []
    for n in range(4):
        (action,) = planner.plan(alert(uid=f"a{n}", at_ms=now_ms), now_ms)
        lengths.append((action.expires_ms - action.created_ms) // 60_000)
        now_ms = action.expires_ms
    assert lengths == [1, 4, 8, 8]
    assert (config.memory.quiet_ms, config.memory.hold_ms) == (48 * HOUR, HOUR)


def test_a_changed_file_is_taken_whole_and_a_malformed_one_not_at_all(tmp_path: Path) -> None:
    path, pairs, taken = tmp_path / "p.yaml", tmp_path / "good.txt", list[Playbook]()
    watch = PlaybookWatch(path, LADDER, taken.append)

    def names(text: str) -> list[str]:
        """The first play of each playbook taken, once the file says `text`."""
        path.write_text("version: 1\nplays:\n" + text)
        asyncio.run(watch.look())
        return [playbook.plays[0].name for playbook in taken]

    pairs.write_text("alice 198.51.100.7\n")
    assert names("  - {name: a, do: observe}\n") == ["a"]
    asyncio.run(watch.look())
    assert len(taken) == 1, "nothing changed"
    assert names("  - {name: b, do: challenge}\n  - {name: c, do: nothing}\n") == ["a"]
    route = "{name: d, do: challenge, when: {about: route}, spare: {pairs_in: good.txt}}"
    assert names(f"  - {route}\n") == ["a", "d"]
    pairs.write_text("alice 198.51.100.7\nbob 198.51.100.8\n")
    asyncio.run(watch.look())
    assert len(taken) == 3, "a file that it names changed"
    assert taken[1].plays[0].spare != taken[2].plays[0].spare
    path.unlink()
    asyncio.run(watch.look())
    assert len(taken) == 3
