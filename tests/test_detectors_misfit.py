"""A newcomer who is like nobody else where he is: told of, never answered; one oddity is none, nor is a crowd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import closed, flows

from detectors.artifact import NEVER, defaults
from detectors.columns import IP, KEY, Finding, Flows
from detectors.evidence import Engine
from detectors.misfit_places import Places
from detectors.misfit_visits import Asked, Visits
from detectors.misfits import Misfits
from detectors.rows import canonical

SPAN_S = 3 * 3600
LONG_S = SPAN_S + 3600  # by when it counts who is around
HOMES = np.arange(101, 107)
STRANGE, NEW = 901, 1 << 30
SIGN_ON, OFFICE = 20, 21


def people(begin_s: int = 0, span_s: int = SPAN_S, seed: int = 1) -> Flows:
    """A newcomer every six seconds at six operators, each two requests on one of seven routes."""
    g = np.random.default_rng(seed)
    n = span_s // 6
    return flows(
        2 * n,
        entity=np.tile(g.integers(1 << 20, 1 << 29, n), 2),
        t_ms=np.concatenate([at := g.integers(begin_s * 1000, (begin_s + span_s - 60) * 1000, n), at + 30_000]),
        asn=np.tile(HOMES[g.integers(0, 6, n)], 2),
        route=np.tile(g.integers(1, 8, n), 2),
    )


def staff() -> Flows:
    """Sixty who sign on and look a dozen things up, from the same operators."""
    who, nth = np.repeat(np.arange(60), 13), np.tile(np.arange(13), 60)
    at_s = who * 120 + nth * 40
    return flows(
        len(who), entity=500 + who, t_ms=at_s * 1000, asn=HOMES[who % 6], route=np.where(nth == 0, SIGN_ON, OFFICE)
    )


def visit(n: int, every_s: float, **of: object) -> Flows:
    """Somebody new in the back office, two and a half hours in."""
    at_ms = (9000 + np.arange(n) * every_s) * 1000
    return flows(n, **{"entity": NEW, "asn": STRANGE, "route": OFFICE, "t_ms": at_ms.astype(np.int64), **of})


def told(*parts: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    model = defaults()
    engine = Engine(replace(model, h=np.full_like(model.h, NEVER)))  # no family speaks
    return [one for one in closed(engine, Flows.concat(list(parts)), step_s, restart_s) if one.family == "misfit"]


def test_who_is_in_the_back_office_from_elsewhere_without_a_sign_on_for_a_lot_is_told_of_and_not_answered(
    whole: list[Finding],
) -> None:
    found = whole
    assert {(one.kind, one.entity, one.route, one.answer) for one in found} == {(IP, NEW, OFFICE, "notice")}
    assert {share.feature for share in found[-1].contributions} == {"place", "operator", "way", "amount"}
    assert sum(share.share for share in found[-1].contributions) == pytest.approx(1)
    assert len({one.pane_s for one in found}) == 1
    assert "requests in" in found[0].facts[0].sentence
    assert "as rare there" in found[0].facts[1].sentence


@pytest.mark.parametrize(
    "one",
    [
        visit(60, 10.0, asn=HOMES[0], route=np.where(np.arange(60) == 0, SIGN_ON, OFFICE)),  # as the staff do
        visit(60, 10.0, route=1),  # where everybody is
        visit(2, 10.0),
    ],
    ids=["for more", "from elsewhere", "hardly there"],
)
def test_one_oddity_is_none(one: Flows) -> None:
    assert not told(people(), staff(), one)


def test_a_key_that_was_there_before_is_known_there_and_a_new_one_is_not() -> None:
    before = visit(60, 30.0, kind=KEY, t_ms=np.arange(60) * 30_000)
    later = visit(60, 10.0, kind=KEY)
    assert not told(people(), staff(), before, later)
    assert {one.kind for one in told(people(), staff(), later)} == {KEY}


def test_an_address_with_a_history_is_not_told_of() -> None:
    history = flows(200, entity=NEW, asn=STRANGE, route=1, t_ms=np.arange(200) * 40_000)
    assert not told(people(), staff(), history, visit(60, 10.0))


def test_of_many_who_come_together_the_first_few_are_told_of_then_one_when_they_double() -> None:
    crowd = [visit(60, 10.0, entity=NEW + i) for i in range(12)]
    assert len({one.entity for one in told(people(), staff(), *crowd)}) == 5  # three, the fourth, the eighth


def looks(entity: int) -> Flows:
    """Somebody at home who looks two dozen things up without a sign-on: rare in two traits."""
    return visit(24, 30.0, entity=entity, asn=HOMES[0], t_ms=SPAN_S * 1000 + 600_000 + np.arange(24) * 30_000)


def test_some_who_are_each_a_little_odd_in_one_place_at_one_time_are_told_of() -> None:
    assert not told(people(span_s=LONG_S), staff(), looks(NEW))
    found = told(people(span_s=LONG_S), staff(), *[looks(NEW + i) for i in range(6)])
    assert found
    assert {one.answer for one in found} == {"notice"}
    assert "around" in {share.feature for share in found[-1].contributions}


def test_one_who_is_very_odd_makes_nobody_else_there_so() -> None:
    later_ms = SPAN_S * 1000 + 600_000 + np.arange(60) * 10_000
    signed_on = np.where(np.arange(24) == 0, SIGN_ON, OFFICE)
    for_more = visit(24, 30.0, entity=NEW + 1, asn=HOMES[0], route=signed_on, t_ms=later_ms[0] + np.arange(24) * 30_000)
    found = told(people(span_s=LONG_S), staff(), visit(60, 10.0, t_ms=later_ms), for_more)
    assert {one.entity for one in found} == {NEW}


@pytest.mark.parametrize(("asn", "most"), [(HOMES[np.arange(800) // 4 % 6], 0), (STRANGE, 8)], ids=["home", "abroad"])
def test_of_two_hundred_to_whom_a_new_page_is_passed_on_few_are_told_of(asn: object, most: int) -> None:
    at_ms = np.repeat(SPAN_S + 600 + np.arange(200) * 5, 4) * 1000 + np.tile(np.arange(4), 200) * 20_000
    page = flows(800, entity=np.repeat(NEW + np.arange(200), 4), asn=asn, route=30, t_ms=at_ms)
    assert len({one.entity for one in told(people(span_s=LONG_S), staff(), page)}) <= most


@pytest.fixture(scope="module")
def whole() -> list[Finding]:
    return told(people(), staff(), visit(60, 10.0))


@pytest.mark.parametrize(("step_s", "restart_s"), [(61, 0), (3600, 0), (600, 9200)])
def test_it_says_the_same_however_panes_are_batched_and_after_a_restart(
    step_s: int, restart_s: int, whole: list[Finding]
) -> None:
    assert whole
    assert told(people(), staff(), visit(60, 10.0), step_s=step_s, restart_s=restart_s) == whole


def asked(place: np.ndarray, asn: np.ndarray) -> Visits:
    n = len(place)
    hashes = np.arange(1, n + 1, dtype=np.uint64)
    row = Asked(
        hashes, hashes, place.astype(np.uint64), hashes, asn.astype(np.uint64), hashes, np.zeros(n, np.uint8),
        np.ones(n, np.bool_), np.ones(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64),
    )  # fmt: skip
    return Visits.begun(row, np.zeros(n, np.uint64), 0)


def test_an_operator_is_as_rare_as_all_that_send_no_more_and_one_never_seen_as_those_seen_once() -> None:
    places, u = Places(), np.uint64
    place = np.full(100, 7, u)
    places.begin(place)
    asn = np.concatenate([np.full(50, 1), np.full(40, 2), np.arange(10, 20)]).astype(u)  # ten of one each
    places.window(place, asn, np.ones(100))
    p = np.exp(-places.odd(asked(np.full(4, 7), np.array([1, 2, 10, 99])))[:, 1])
    assert p == pytest.approx([1.0, 0.5, 0.1, 0.1], abs=0.02)


def test_what_is_far_beyond_anything_ever_asked_there_is_rarer_the_more_it_is() -> None:
    places, n = Places(), 60
    before = asked(np.full(n, 7), np.ones(n))
    places.begin(before.place)
    before.n[:] = 10
    places.learn(before)
    later = asked(np.full(4, 7), np.ones(4))
    later.n[:] = 10, 30, 300, 4000
    usual, more, much, flood = places.odd(later)[:, 3]
    assert usual < 0.1 < more < much < flood
    assert more == pytest.approx(5)
    assert flood == pytest.approx(8)


def test_places_and_operators_are_bounded() -> None:
    places, n = Places(), 40_000
    many = np.arange(1, n + 1, dtype=np.uint64)
    places.begin(many)
    places.window(many, many, np.ones(n))
    assert (len(places.place), len(places.pair_n)) == (1024, 1024)
    places.window(np.repeat(places.place, 40), np.arange(1024 * 40, dtype=np.uint64), np.ones(1024 * 40))
    assert len(places.pair_n) == 1 << 14


def test_months_of_silence_are_no_windows_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    leapt, stepped = Misfits(), Misfits()
    rows = canonical(people())
    for one in (leapt, stepped):
        one.take(rows, np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_))
    ended: list[int] = []
    monkeypatch.setattr(leapt, "_window", lambda now_s: (ended.append(now_s), Misfits._window(leapt, now_s)))
    later = leapt.hop + 24 * 60 * 360
    leapt.until(later)
    for hop in range(stepped.hop, later + 1, 360):
        stepped.until(hop)
    assert len(ended) < 10
    assert leapt.known.born_s == stepped.known.born_s > 0
    for name, array in stepped.arrays("a").items():
        np.testing.assert_allclose(leapt.arrays("a")[name], array, rtol=1e-9, atol=1e-300, err_msg=name)
