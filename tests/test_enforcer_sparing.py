"""Whom an answer leaves alone by what is known of keys and accounts, and how mild it is where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from enforcer_world import STOLEN_KEYS, alert

from enforcer.history import History
from enforcer.ladder import Ladder
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from enforcer.playbook_file import examine
from schemas import history as wire
from schemas.action import Action, ActionKind, Target, TargetKind
from schemas.alert import Alert, Answer, EntityKind, Status
from schemas.codec import text_hash
from schemas.errors import BadMessageError
from schemas.exempt import Known
from schemas.history import SIGHT_BYTES, SLICES, Sights
from schemas.networks import subscriber
from schemas.settings import Settings
from schemas.usage import Kind

NOW_MS = 1_800_000_000_000
NOW_S, HOUR_S = NOW_MS // 1000, 3600
PLAYS = f"""
version: 1
plays:
{STOLEN_KEYS}  - name: login-flood
    when: {{about: route, route: "/login*"}}
    do: challenge
    spare: {{pairs: history}}
"""


def sights(kind: Kind, *rows: tuple[str, str, int, int]) -> Sights:
    """(owner, address, first and last seen so many hours ago)."""
    owners, ips, first, last = zip(*rows, strict=True)
    hashes = np.array([text_hash(owner) for owner in owners], np.uint64)
    numbers = np.array([subscriber(ip) for ip in ips], np.uint64)
    seen = ((NOW_S - np.array(hours) * HOUR_S).astype(np.uint32) for hours in (first, last))
    return Sights(np.full(len(rows), kind, np.uint8), hashes, numbers, *seen)


def knowing(*parts: Sights, bytes_max: int = 1 << 20) -> History:
    history = History(HOUR_S, bytes_max, 1)
    for number, part in enumerate(parts):
        history.fold(wire.record_key(0, number), wire.encode(part))
    return history


def planner(tmp_path: Path, history: History) -> Planner:
    (tmp_path / "plays.yaml").write_text(PLAYS)
    found = examine(tmp_path / "plays.yaml", Ladder(4, 1000, 86_400))
    assert not found.errors
    config = PlanConfig.of(Settings(usage_partitions=1, live_floor=100))
    return Planner(replace(config, playbook=found.playbook), history)


def leak(**changes: object) -> Alert:
    given = {"kind": "leak", "answer": Answer.CHALLENGE, "kind_of": EntityKind.KEY, "at_ms": NOW_MS}
    return alert("k1", **given | {"established": True} | changes)


def flood() -> Alert:
    return alert("/login", kind_of=EntityKind.ROUTE, at_ms=NOW_MS, route="/login")


def spares(action: Action, ip: str, user: str | None = None) -> bool:
    exempt = action.exempt
    return exempt is not None and Known.of(exempt.by, exempt.networks, exempt.marks).spares(ip, user)


def test_a_stolen_key_is_denied_but_for_the_networks_it_is_known_from(tmp_path: Path) -> None:
    homes = sights(
        Kind.KEY, ("k1", "203.0.113.7", 50, 2), ("k1", "2001:db8::1", 9, 1), ("k1", "192.0.2.9", 1, 0),
        ("k2", "198.51.100.1", 50, 1),
    )  # fmt: skip
    (action,) = planner(tmp_path, knowing(homes)).plan(leak(), NOW_MS)
    assert (action.kind, action.guard) == (ActionKind.DENY, None), "it hits nobody who is known, so it need not be mild"
    assert spares(action, "203.0.113.200")
    assert spares(action, "2001:db8::ffff")
    assert not spares(action, "192.0.2.9"), "first seen within the hour before the attack"
    assert not spares(action, "198.51.100.1"), "another key's"
    assert "except from the 2 networks it is known from" in action.reason


def test_a_machine_with_a_history_is_not_asked_where_it_always_is_though_it_goes_on_from_there() -> None:
    answers = Planner(
        PlanConfig.of(Settings(usage_partitions=1)), knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2)))
    )
    (first,) = answers.plan(leak(kind="sweep"), NOW_MS)
    assert (first.kind, spares(first, "203.0.113.7")) == (ActionKind.CHALLENGE, True)
    assert not spares(first, "198.51.100.1"), "who else has the key is asked"
    later = leak(kind="sweep", status=Status.UPDATE, last_ms=first.created_ms + 60_000)
    assert answers.plan(later, later.last_ms) == ()


def test_a_machine_that_walks_is_only_told_of_while_nobody_knows_where_it_is() -> None:
    answers = Planner(PlanConfig.of(Settings(usage_partitions=1)), knowing())
    (told,) = answers.plan(leak(kind="sweep"), NOW_MS)
    assert (told.kind, told.guard, told.play) == (ActionKind.NOTICE, "no_history", "challenge-walkers")
    assert "it is not known yet where it comes from" in told.reason
    (asked,) = answers.plan(leak(uid="another"), NOW_MS)
    assert asked.kind is ActionKind.CHALLENGE, "what many networks have is asked"


def test_a_machine_that_walks_is_asked_once_it_is_known_where_it_is() -> None:
    history = knowing()
    answers = Planner(PlanConfig.of(Settings(usage_partitions=1)), history)
    (told,) = answers.plan(leak(kind="sweep"), NOW_MS)
    history.fold(b"0:1", wire.encode(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 0))))
    later_ms = told.expires_ms + 1000
    (asked,) = answers.plan(leak(kind="sweep", status=Status.UPDATE, last_ms=later_ms), later_ms)
    assert (asked.kind, spares(asked, "203.0.113.7")) == (ActionKind.CHALLENGE, True)
    assert not spares(asked, "198.51.100.1"), "who else has the key"


def test_a_play_may_say_that_it_answers_where_nothing_is_known(tmp_path: Path) -> None:
    when = "when: {about: key}, do: challenge"
    for unknown, kind in (("answer", ActionKind.CHALLENGE), ("observe", ActionKind.NOTICE)):
        spare = f"spare: {{addresses: history, unknown: {unknown}}}"
        (tmp_path / "plays.yaml").write_text(f"version: 1\nplays:\n  - {{name: a, {when}, {spare}}}\n")
        found = examine(tmp_path / "plays.yaml", Ladder(4, 1000, 86_400))
        assert not found.errors
        config = replace(PlanConfig.of(Settings(usage_partitions=1)), playbook=found.playbook)
        (action,) = Planner(config, knowing()).plan(leak(), NOW_MS)
        assert action.kind is kind


def test_a_new_key_that_goes_on_from_where_it_is_known_is_asked_everywhere() -> None:
    answers = Planner(
        PlanConfig.of(Settings(usage_partitions=1)), knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2)))
    )
    (first,) = answers.plan(leak(kind="sweep", established=False), NOW_MS)
    later = leak(kind="sweep", established=False, status=Status.UPDATE, last_ms=first.created_ms + 60_000)
    (everywhere,) = answers.plan(later, later.last_ms)
    assert everywhere.exempt is None


def test_evidence_that_stands_for_hours_lets_be_known_what_came_meanwhile() -> None:
    """A key whose evidence began five hours ago and sufficed now: what was there for hours is known."""
    homes = sights(Kind.KEY, ("k1", "203.0.113.7", 3, 0), ("k1", "198.51.100.1", 1, 0))
    answers = Planner(PlanConfig.of(Settings(usage_partitions=1)), knowing(homes))
    (action,) = answers.plan(leak(kind="sweep", first_ms=NOW_MS - 5 * HOUR_S * 1000), NOW_MS)
    assert spares(action, "203.0.113.7")
    assert not spares(action, "198.51.100.1"), "within the hour before the evidence sufficed"


def test_what_comes_to_be_known_meanwhile_makes_no_new_answer(tmp_path: Path) -> None:
    history = knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2)))
    answers = planner(tmp_path, history)
    (first,) = answers.plan(leak(), NOW_MS)
    history.fold(b"0:1", wire.encode(sights(Kind.KEY, ("k1", "198.51.100.7", 50, 0))))
    assert answers.plan(leak(uid="another", last_ms=NOW_MS + 4000), NOW_MS + 4000) == ()
    later_ms = first.expires_ms + 1000
    (again,) = answers.plan(leak(uid="next", last_ms=later_ms), later_ms)
    assert spares(again, "198.51.100.7"), "the next one knows it"


def test_who_goes_on_from_where_it_is_known_is_spared_no_more(tmp_path: Path) -> None:
    answers = planner(tmp_path, knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2))))
    (first,) = answers.plan(leak(), NOW_MS)
    soon, later = (leak(status=Status.UPDATE, last_ms=first.created_ms + ms) for ms in (4000, 12_000))
    assert answers.plan(soon, soon.last_ms) == ()
    (everywhere,) = answers.plan(later, later.last_ms)
    assert (everywhere.kind, everywhere.exempt) == (ActionKind.CHALLENGE, None)
    assert "it goes on from where it is known" in everywhere.reason
    again = leak(status=Status.UPDATE, last_ms=later.last_ms + 12_000)
    assert answers.plan(again, again.last_ms) == ()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ((), "it is not known yet where it comes from"),
        ((("k1", "203.0.113.7", 3, 3),), "it is not known yet where it comes from"),
        (tuple(("k1", f"10.0.{n}.1", 9, 1) for n in range(65)), "65 networks, too many to tell it by"),
    ],
)
def test_where_nothing_is_known_it_is_a_challenge_and_says_so(
    tmp_path: Path, rows: tuple[tuple[str, str, int, int], ...], why: str
) -> None:
    history = knowing(sights(Kind.KEY, *rows)) if rows else knowing()
    (action,) = planner(tmp_path, history).plan(leak(established=False), NOW_MS)
    assert (action.kind, action.guard, action.exempt) == (ActionKind.CHALLENGE, "no_history", None)
    assert why in action.reason


def test_everybody_on_a_login_route_is_challenged_but_accounts_where_they_are_known(tmp_path: Path) -> None:
    known = sights(Kind.USER, ("ann", "203.0.113.7", 50, 2), ("bob", "2001:db8::1", 50, 2), ("eve", "192.0.2.9", 1, 0))
    (action,) = planner(tmp_path, knowing(known)).plan(flood(), NOW_MS)
    assert (action.kind, action.target.key) == (ActionKind.CHALLENGE, "route:/login")
    assert spares(action, "203.0.113.7", "ann")
    assert spares(action, "2001:db8::77", "bob")
    assert not spares(action, "203.0.113.7", "bob")
    assert not spares(action, "192.0.2.9", "eve")
    assert "except 2 accounts where they are known" in action.reason


def test_a_route_is_left_alone_while_no_account_is_known(tmp_path: Path) -> None:
    (action,) = planner(tmp_path, knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2)))).plan(flood(), NOW_MS)
    assert (action.kind, action.guard) == (ActionKind.NOTICE, "no_history")
    assert "no account is known yet" in action.reason


def test_memory_is_bounded_and_the_newest_stay() -> None:
    most = 4
    rows = [("k1", f"10.0.{n}.1", 50, n) for n in range(1, 20)]
    history = knowing(sights(Kind.KEY, *rows), bytes_max=most * SIGHT_BYTES * SLICES)
    assert (len(history), history.left_out) == (most, 15)
    exempt = history.addresses(Target(kind=TargetKind.KEY, value="k1"), NOW_MS).exempt
    assert exempt is not None
    assert exempt.networks == tuple(f"10.0.{n}.0/24" for n in range(1, 5))


def test_a_slice_that_cannot_be_read_leaves_what_was_known() -> None:
    history = knowing(sights(Kind.KEY, ("k1", "203.0.113.7", 50, 2)))
    with pytest.raises(BadMessageError):
        history.fold(b"0:0", b"?")
    assert len(history) == 1


@pytest.mark.parametrize(
    ("play", "said"),
    [
        ("{name: a, do: deny, spare: {addresses: history}}", "`about: key`, `user` or both"),
        ("{name: a, when: {about: [key, ip]}, do: deny, spare: {addresses: history}}", "`about: key`, `user` or both"),
        ("{name: a, when: {about: key}, do: deny, spare: {addresses: histroy}}", "`addresses: history`"),
        ("{name: a, when: {about: key}, do: deny, spare: {pairs: history}}", "`about: route`"),
        ("{name: a, when: {about: route}, do: deny, spare: {pairs: history}}", "`do: challenge` or `throttle`"),
        ("{name: a, when: {about: route}, do: challenge, spare: {pairs: history, pairs_in: x}}", "alone"),
        ("{name: a, do: deny, spare: {addresses: [192.0.2.1], unknown: observe}}", "`addresses: history`"),
        ("{name: a, when: {about: key}, do: deny, spare: {addresses: history, unknown: deny}}", "observe, answer"),
        ("{name: a, when: {about: key}, do: deny, spare: {unknown: observe}}", "names none"),
    ],
)
def test_what_a_play_cannot_spare_is_an_error_that_says_what_it_can(tmp_path: Path, play: str, said: str) -> None:
    (tmp_path / "plays.yaml").write_text(f"version: 1\nplays:\n  - {play}\n")
    (error,) = examine(tmp_path / "plays.yaml", Ladder(4, 1000, 86_400)).errors
    assert said in str(error)
