"""First sight: hard good cases of many behind one address: a flight, a school, the gates of a stadium."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, scripted, those, together
from floodwarden.simulate.world import ABSENT, ITEMS, Ints, zipf

_CHROMEBOOK: Final = (
    "Mozilla/5.0 (X11; CrOS x86_64 16181.61.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36"
)
_CLASSES: Final = 8
_SLIPS: Final = np.array([0.5, 0.2, 0.15, 0.1, 0.05])  # first passwords read wrongly off a slip of paper
_SCANNERS: Final = 24


@case()
def flight_codes(scene: Scene) -> Rows:
    """Aircraft have free wireless now, and codes by text message do not come to telephones in the air.

    A flight for each 250 accounts, two and a half hours, a dozen to two dozen of its passengers here, all behind one
    address of the satellite's, and half-way all behind another. A half are known and signed in at once; the others are
    asked for a code, have it sent two to four times over, and every second types an older one once or twice (401). One
    in five has it by mail and gets in; the others look at things as nobody, and sign in once they have landed, at a
    carrier's address. Each looks at four to twelve things.

    Source: Delta Air Lines, free wireless for all from 2023-02-01 on, told 2023-01-05.
    """
    rng, flights = scene.rng, max(2, scene.clients // 250)
    aboard = np.repeat(np.arange(flights), rng.integers(12, 25, flights))
    n, lasts_s = len(aboard), min(9000.0, 0.35 * scene.span_s)
    pace = min(1.0, lasts_s / 9000)
    begin_s = (scene.span_s * rng.uniform(0.03, 0.5, flights))[aboard]
    comes_s = begin_s + lasts_s * (0.04 + 0.75 * rng.beta(1, 1.5, n))
    beams, member = scene.addresses(2 * flights, "mobile"), scene.accounts(n, distinct=True)
    ua = scene.world.browsers[np.r_[4:8, 12:16][rng.integers(0, 8, n)]]
    turns_s = begin_s + lasts_s * rng.uniform(0.45, 0.6, flights)[aboard]
    known = rng.permutation(n) % 2 == 0
    asked = np.flatnonzero(~known)
    by_mail = asked[rng.permutation(len(asked)) % 5 == 0]

    def on_board(who: Ints, at_s: Seconds, endpoint: str, status: int, user: Ints, path: Ints | None = None) -> Rows:
        ip = beams[2 * aboard[who] + (at_s > turns_s[who])]
        return scene.requests(at_s, endpoint, path=path, ip=ip, ua=ua[who], user=user, status=status)

    signs = np.flatnonzero(known)
    parts = [on_board(signs, comes_s[signs], "login", 200, member[signs])]
    sent, nth = again(rng.integers(2, 5, len(asked)))
    sent_s = comes_s[asked][sent] + (nth * 105 + rng.uniform(0, 45, len(sent))) * pace
    parts.append(on_board(asked[sent], sent_s, "login", 200, member[asked[sent]]))
    guess = asked[rng.permutation(len(asked)) % 2 == 0]
    old, nth = again(rng.integers(1, 3, len(guess)))
    old_s = comes_s[guess][old] + (130 + nth * 90 + rng.uniform(0, 40, len(old))) * pace
    parts.append(on_board(guess[old], old_s, "verify", 401, member[guess[old]]))
    parts.append(on_board(by_mail, comes_s[by_mail] + 520 * pace, "verify", 200, member[by_mail]))
    looks, nth = again(rng.integers(4, 13, n))
    seen_s = comes_s[looks] + (np.where(known, 20, 560)[looks] + nth * 40 + rng.uniform(0, 25, len(looks))) * pace
    named = np.where(known | np.isin(np.arange(n), by_mail), member, ABSENT)
    items = scene.world.items[zipf(rng, len(looks), ITEMS)]
    parts.append(on_board(looks, seen_s, "item", 200, named[looks], items))
    late = np.setdiff1d(asked, by_mail)
    carriers = scene.addresses(max(3, len(late) // 8), "cgnat")
    landed = {"ip": carriers[rng.integers(0, len(carriers), len(late))], "user": member[late], "ua": ua[late]}
    down_s = begin_s[late] + lasts_s + rng.uniform(300, 1500, len(late)) * pace
    return together(
        *parts, scripted(scene, down_s, [("login", 0.0, 200), ("verify", 25.0, 200), ("cart", 9.0, 200)], **landed)
    )


@case()
def district_passwords(scene: Scene) -> Rows:
    """All pupils of a district must choose new passwords, at school, class after class, with a first one off a slip.

    A school for each two hundred accounts, one address each, eight classes of eighteen to twenty-eight within four
    hours, at the same kind of computer. A half read their slip wrongly, once to four times (401); who does so four
    times is locked out (423) until the teacher has it reset (202). In; a new password, for one in four too short at
    first (400, once or twice), out, and in with the new one, which one in five mistypes (401).

    Source: Los Angeles Unified School District, passwords of 540,000 pupils and 70,000 employees changed at its own
    sites, group after group, after an extortion, 2022-09-06.
    """
    rng, schools = scene.rng, max(3, scene.clients // 200)
    lasts_s, begin_s = min(14_400.0, 0.5 * scene.span_s), scene.moment(0.1, 0.4)
    school = np.repeat(np.arange(schools), _CLASSES)
    starts_s = begin_s + lasts_s * (np.tile(np.arange(_CLASSES), schools) + rng.uniform(0, 0.3, len(school))) / _CLASSES
    sits, _ = again(rng.integers(18, 29, len(school)))
    n, pace = len(sits), min(1.0, lasts_s / 14_400)
    by = {
        "ip": scene.addresses(schools, "office")[school][sits],
        "user": scene.strangers(n, "pupil"),
        "ua": np.full(n, scene.tool(_CHROMEBOOK)),
    }
    at_s = starts_s[sits] + (90 + rng.uniform(0, 300, n)) * pace
    wrong = rng.choice(5, n, p=_SLIPS)
    parts = [mistyped(scene, at_s, by, wrong, "login", 401)]
    locked = np.flatnonzero(wrong == 4)
    parts.append(
        scripted(scene, at_s[locked] + 8, [("login", 0.0, 423), ("reset", 60.0 * pace, 202)], **those(by, locked))
    )
    in_s = at_s + np.where(wrong == 4, 240 * pace, 5)
    made = scripted(scene, in_s, [("login", 0.0, 200), ("profile", 70.0 * pace, 200)], **by)
    chosen_s = made["ts_ms"][n:] / 1000
    parts.append(mistyped(scene, chosen_s, by, (rng.permutation(n) % 4 == 0) * rng.integers(1, 3, n), "profile", 400))
    anew_s = chosen_s + rng.uniform(30, 60, n) * pace
    parts.append(mistyped(scene, anew_s, by, (rng.permutation(n) % 5 == 0) * 1, "login", 401))
    parts.append(scene.requests(chosen_s + 8 * pace, "logout", **by))
    return together(*parts, made, scripted(scene, anew_s, [("login", 0.0, 200), ("home", 3.0, 200)], **by))


@case()
def gate_scanners(scene: Scene) -> Rows:
    """A final: tickets are read at the gates by two dozen scanners behind the stadium's two lines, with one key.

    As many tickets as the site has requests in two hundred seconds (1,000 at 5 a second) within seventy minutes, most
    of them late. One in twenty-five was not activated (404) and is read two to five times, at two scanners; every
    second of these is let in in the end. One in forty is read once more after it (409). For a tenth of the time the
    lines are dead: scanners open by their list, and afterwards hand in at a dozen a second whom they let in.

    Source: the Champions League's final at the Stade de France, 2022-05-28: "40,000 fake tickets? It was really 2,589"
    (The New York Times); by the fans' lawyers true ones among them that had not been activated (AFP, 2022-05-31).
    """
    rng = scene.rng
    n, lasts_s = max(100, round(scene.requests_per_s * 200)), min(4200.0, 0.4 * scene.span_s)
    begin_s, lines = scene.moment(0.2, 0.5), scene.addresses(2, "office")
    at_s, gate = begin_s + lasts_s * rng.beta(3, 1.4, n), rng.integers(0, _SCANNERS, n)
    ticket = rng.integers(1 << 40, size=n)
    inert, twice = rng.permutation(n) % 25 == 0, rng.permutation(n) % 40 == 1
    dead_s, back_s = begin_s + 0.6 * lasts_s, begin_s + 0.7 * lasts_s
    kept = (at_s > dead_s) & (at_s < back_s)
    who, nth = again(np.where(inert & ~kept, rng.integers(2, 6, n), 0))
    vain_s, vain_gate = at_s[who] + nth * rng.uniform(6, 14, len(who)), (gate[who] + (nth > 2)) % _SCANNERS
    goes_in = ~inert | (rng.permutation(n) % 2 == 0)
    let, double = np.flatnonzero(~kept & goes_in), np.flatnonzero(~kept & goes_in & twice)
    let_s = at_s + np.where(inert, 120.0, 0.0)
    handed = np.flatnonzero(kept)
    handed_s = back_s + np.arange(len(handed)) / 12
    parts = []
    for op, some, some_s, at, status in (
        ("admit", who, vain_s, vain_gate, 404),
        ("admit", let, let_s[let], gate[let], 200),
        ("admit", double, let_s[double] + rng.uniform(1, 6, len(double)), gate[double], 409),
        ("admitted", handed, handed_s, gate[handed], 200),
    ):
        path = [f"/api/graphql?op={op}&ticket={one:010x}&gate={by}"
                for one, by in zip(ticket[some].tolist(), at.tolist(), strict=True)]  # fmt: skip
        reader = {"key": scene.key("key-fleet-gates"), "ua": scene.tool("GateScan/4.1.2 (TC52; Android 11)")}
        parts.append(scene.requests(some_s, "graphql", path=path, ip=lines[at % 2], status=status, **reader))
    return together(*parts)
