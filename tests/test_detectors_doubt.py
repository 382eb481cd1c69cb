"""What speaks for a client whom evidence would deny: accounts beside him, errors of others, what he finds, his pace."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, brute_force, flows, site

from detectors import artifact, doubt
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, OK, Finding, Flows
from detectors.credential import KEYED
from detectors.cusum import Track
from detectors.evidence import Engine

ROOM = 9_700
STATIC = 6
AT_MS = 4_000_000


def answers(*parts: Flows, of: int, family: str, step_s: int = 5400, for_s: int = 5400) -> list[Finding]:
    """What is told of address `of` by a family, in order."""
    engine, found = Engine(artifact.load()), []
    everybody = Flows.concat([site(3), *parts])
    for begin_s in range(T0_S, T0_S + for_s, step_s):
        here = (everybody.pane_s >= begin_s) & (everybody.pane_s < begin_s + step_s)
        found += engine.close(everybody.take(here), begin_s + step_s)
    return [one for one in found if one.family == family and one.kind == 0 and one.entity == of]


def signed_in(accounts: int, entity: int = ROOM) -> Flows:
    """Pages that accounts at one address were shown."""
    return flows(
        accounts, entity=entity, user=60_000 + np.arange(accounts), path=STATIC, route=STATIC, outcome=OK,
        t_ms=AT_MS - 200_000 + np.arange(accounts) * 1000,
    )  # fmt: skip


def old_scripts(entity: int, at_ms: int, n: int = 8, user: int = 0) -> Flows:
    """A page that was open before a deploy asks for scripts that are gone."""
    return flows(
        n, entity=entity, t_ms=at_ms + np.arange(n) * 40, route=STATIC, path=88_000 + np.arange(n), user=user,
        outcome=CLIENT_ERROR,
    )  # fmt: skip


@pytest.mark.parametrize("step_s", [5400, 30])
def test_where_a_class_signs_in_its_failures_are_asked_about_and_the_same_from_a_stranger_are_denied(
    step_s: int,
) -> None:
    tries = brute_force(AT_MS / 1000, n=14, every_ms=3000, entity=ROOM)
    assert answers(tries, of=ROOM, family="guess", step_s=step_s)[-1].answer == "deny"
    found = answers(tries, signed_in(18), of=ROOM, family="guess", step_s=step_s)
    assert {one.answer for one in found} == {"challenge"}
    assert any("18 accounts are signed in" in fact.sentence for fact in found[0].facts)


def closed(accounts: int, every_ms: int, n: int, first_user: int = 60_000) -> Flows:
    """Apps at one address whose accounts are refused, one after the other, again and again."""
    return flows(
        n, entity=ROOM, t_ms=AT_MS + np.arange(n) * every_ms, path=LOGIN_ROUTE, route=LOGIN_ROUTE, login=True,
        user=first_user + np.arange(n) % accounts, outcome=AUTH_FAILED,
    )  # fmt: skip


@pytest.mark.parametrize("step_s", [20_000, 30])
def test_of_a_firm_whose_accounts_are_closed_people_are_told_for_hours_and_nobody_is_denied(step_s: int) -> None:
    found = answers(signed_in(9), closed(9, 12_000, 900), of=ROOM, family="guess", step_s=step_s, for_s=20_000)
    assert {one.answer for one in found} == {"notice"}
    (said,) = {fact.sentence for one in found[:1] for fact in one.facts if fact.name == "ended"}
    assert "accounts that were signed in at the address fail there now" in said


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([closed(9, 12_000, 300)], "none of them was here"),
        ([signed_in(2), closed(2, 15_000, 200)], "each every 30 s: somebody tries"),
        ([signed_in(9), closed(9, 2_000, 300)], "each every 18 s: somebody tries"),
        ([signed_in(9), closed(9, 12_000, 100), closed(9, 13_000, 90, first_user=70_000)], "others fail as well"),
        ([signed_in(9, entity=ROOM + 1), closed(9, 12_000, 300)], "they were elsewhere"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_whose_failures_are_not_those_of_sessions_that_ended_is_denied(parts: list[Flows], why: str) -> None:
    assert answers(*parts, of=ROOM, family="guess", for_s=20_000)[-1].answer == "deny", why


def test_two_accounts_are_no_firm() -> None:
    guess = next(family for family in artifact.load().families if family.name == "guess")
    track = Track(marks=40, first_ms=0, last_mark_ms=40 * 60_000)
    two, three = (doubt.Beside(accounts=9, fell=fell, strange=0, pages=0, missed=0) for fell in (2, 3))
    assert doubt.ended(guess, track, three)
    assert not doubt.ended(guess, track, two)


WITH_A_KEY = 1 << KEYED


def asked_for(fails: int, tags: int = WITH_A_KEY) -> Flows:
    """Accounts that a machine asks to be signed in and are not, one after the other."""
    return flows(
        fails, entity=ROOM, t_ms=AT_MS + np.arange(fails) * 4000, path=LOGIN_ROUTE, route=LOGIN_ROUTE, login=True,
        user=90_000 + np.arange(fails), outcome=AUTH_FAILED, tags=tags,
    )  # fmt: skip


@pytest.mark.parametrize("step_s", [5400, 30])
def test_a_program_with_a_key_that_asks_for_people_is_told_of_until_it_fails_more_than_they_do(step_s: int) -> None:
    def last(*parts: Flows) -> str:
        return answers(*parts, of=ROOM, family="guess", step_s=step_s)[-1].answer

    assert last(asked_for(16)) == "notice"
    assert last(asked_for(30)) == "deny"
    assert last(asked_for(16, tags=0)) == "deny"
    found = answers(signed_in(20), asked_for(40), of=ROOM, family="guess", step_s=step_s)
    assert {one.answer for one in found} == {"notice"}
    assert any("20 accounts are signed in there" in fact.sentence for one in found for fact in one.facts)
    assert last(signed_in(20), asked_for(90)) != "notice"


def test_of_many_addresses_each_has_two_failures_for_an_account_that_it_signed_in_and_no_more() -> None:
    guess = next(family for family in artifact.load().families if family.name == "guess")
    seen, tags = doubt.Beside(accounts=3, fell=0, strange=0, pages=0, missed=0), np.array([WITH_A_KEY], np.uint64)
    assert doubt.for_others(guess, Track(marks=6), seen, tags, alone=False)
    assert not doubt.for_others(guess, Track(marks=7), seen, tags, alone=False)
    assert not doubt.for_others(guess, Track(marks=6), seen, np.zeros(1, np.uint64), alone=False)


def test_one_account_of_his_own_does_not_free_who_tries_a_list() -> None:
    found = answers(brute_force(AT_MS / 1000, n=14, every_ms=3000, entity=ROOM), signed_in(1), of=ROOM, family="guess")
    assert found[-1].answer == "deny"


def test_accounts_that_were_there_hours_ago_speak_for_nobody() -> None:
    engine = Engine(artifact.load())
    engine.close(signed_in(18), T0_S + 4000)
    held = int(engine.entities.c.accounts.max())
    later = flows(1, entity=ROOM, t_ms=AT_MS + 5 * 3600_000)
    engine.close(later, T0_S + 4000 + 5 * 3600 + 1)
    assert held == 18
    engine.close(flows(1, entity=ROOM, t_ms=AT_MS + 6 * 3600_000), T0_S + 4000 + 6 * 3600 + 1)
    assert int(engine.entities.c.accounts.max()) < held


@pytest.mark.parametrize("step_s", [5400, 30])
def test_errors_that_others_meet_as_well_deny_nobody(step_s: int) -> None:
    deploy = [old_scripts(9_800 + one, AT_MS + one * 20_000) for one in range(12)]
    alone = answers(deploy[0], of=9_800, family="probe", step_s=step_s)
    assert [one.answer for one in alone] == ["deny"]
    last = answers(*deploy, of=9_811, family="probe", step_s=step_s)
    assert [one.answer for one in last] == ["challenge"]
    assert any("others met the same errors" in fact.sentence for fact in last[0].facts)


def test_who_is_signed_in_and_meets_no_more_errors_than_a_page_has_parts_is_asked() -> None:
    few = answers(old_scripts(ROOM, AT_MS, user=77), of=ROOM, family="probe")
    assert [one.answer for one in few] == ["challenge"]
    many = answers(old_scripts(ROOM, AT_MS, n=40, user=77), of=ROOM, family="probe")
    assert many[-1].answer == "deny"


def test_a_refused_name_is_nobody_signed_in() -> None:
    tried = flows(
        8, entity=ROOM, t_ms=AT_MS + np.arange(8) * 500, route=STATIC, path=88_000 + np.arange(8), outcome=AUTH_FAILED,
        user=50_000 + np.arange(8),
    )  # fmt: skip
    assert answers(tried, of=ROOM, family="probe")[-1].answer == "deny"
    assert LOGIN_ROUTE != STATIC


READ = (np.arange(8)[:, None] * 1000 + 1000 + np.arange(1, 31)).ravel()  # that people of the site read
NOBODYS = 910_000 + np.arange(len(READ))  # that nobody ever asked for


def asks(pages: np.ndarray, errors: int, *, entity: int = ROOM, every_ms: int = 700, at_ms: int = AT_MS) -> Flows:
    """A machine that finds `pages`, and then as many links that are dead."""
    n = len(pages) + errors
    path = np.concatenate([pages, 820_000 + np.arange(errors)])
    outcome = np.where(np.arange(n) < len(pages), OK, CLIENT_ERROR)
    return flows(n, entity=entity, t_ms=at_ms + np.arange(n) * every_ms, path=path, outcome=outcome)


@pytest.mark.parametrize(
    ("found", "answer", "step_s"), [(14, "notice", 5400), (14, "notice", 30), (4, "challenge", 5400), (3, "deny", 5400)]
)
def test_who_finds_pages_that_others_read_follows_links_though_many_are_dead(
    found: int, answer: str, step_s: int
) -> None:
    told = answers(asks(READ[:found], 14), of=ROOM, family="probe", step_s=step_s)[-1]
    assert told.answer == answer
    assert any("as who follows old links" in fact.sentence for fact in told.facts) == (answer != "deny")


def test_what_nobody_else_asked_for_is_no_link_though_it_is_there() -> None:
    assert answers(asks(NOBODYS[:40], 14), of=ROOM, family="probe")[-1].answer == "deny"


def test_one_page_read_over_and_over_is_one() -> None:
    assert answers(asks(np.repeat(READ[:1], 40), 14), of=ROOM, family="probe")[-1].answer == "deny"


def test_who_goes_on_beyond_what_he_found_is_asked_and_then_denied() -> None:
    found = answers(asks(READ[:10], 60), of=ROOM, family="probe")
    order = ["notice", "challenge", "deny"]
    said = [order.index(one.answer) for one in found]
    assert said == sorted(said)
    assert {one.answer for one in found} == set(order)


def test_errors_that_come_as_slowly_as_by_hand_are_asked_about_and_faster_ones_denied() -> None:
    slow = answers(asks(READ[:0], 20, every_ms=6_000), of=ROOM, family="probe")
    assert {one.answer for one in slow} == {"challenge"}
    assert "as when somebody types" in slow[-1].facts[-1].sentence
    assert answers(asks(READ[:0], 20, every_ms=4_000), of=ROOM, family="probe")[-1].answer == "deny"


def test_nobody_has_patience_to_type_a_list() -> None:
    found = answers(asks(READ[:0], 220, every_ms=6_000), of=ROOM, family="probe")
    assert found[0].answer == "challenge"
    assert found[-1].answer == "deny"


def test_pages_found_hours_ago_speak_for_nobody() -> None:
    engine = Engine(artifact.load())
    engine.close(Flows.concat([site(3), asks(READ[:60], 0)]), T0_S + 5400)
    held = int(engine.entities.c.pages.max())
    for hour in (2, 3, 4):
        engine.close(flows(1, entity=ROOM, t_ms=hour * 3600_000), T0_S + hour * 3600 + 1)
    assert held >= 60
    assert int(engine.entities.c.pages.max()) <= held // 4


def expired_apps(every_s: float, accounts: int = 9, tries: int = 3) -> Flows:
    """Apps at one address whose accounts have ended, one after the other: each tries thrice within seconds."""
    n = accounts * tries
    at_ms = AT_MS + (np.arange(n) // tries * every_s * 1000 + np.arange(n) % tries * 2000).astype(np.int64)
    return flows(
        n, entity=ROOM, t_ms=at_ms, route=LOGIN_ROUTE, path=LOGIN_ROUTE, login=True,
        user=60_000 + np.arange(n) // tries, outcome=AUTH_FAILED,
    )  # fmt: skip


@pytest.mark.parametrize("step_s", [20_000, 30])
@pytest.mark.parametrize(("every_s", "answer"), [(1080, "notice"), (60, "deny")])
def test_of_a_failed_login_in_five_minutes_people_are_told_and_nobody_is_denied(
    step_s: int, every_s: int, answer: str
) -> None:
    found = answers(expired_apps(every_s), of=ROOM, family="guess", step_s=step_s, for_s=20_000)
    assert {one.answer for one in found} == {answer}
    said = [fact.sentence for fact in found[-1].facts if fact.name == "slow"]
    told = ["one failure in 6 min: nothing a denial would have to stop, so people are told"]
    assert said == (told if answer == "notice" else [])
