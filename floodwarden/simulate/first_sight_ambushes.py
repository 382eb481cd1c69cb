"""First sight: attacks of those who wait and pretend: over invoices, loads, deposits of cents, and lots."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths
from floodwarden.simulate.world import Ints

_WORDS: Final = ("invoice", "payment", "iban", "overdue", "transfer")
_VISITS: Final = 4  # to one account, before it is struck
_RULE: Final = "/account/profile?rule=forward"
_STRIKE: Final = (("writeCustomer", 0.0), ("writeCustomer", 0.4), ("hideThread", 0.6))
_BIDS: Final = 12  # for loads, from one account
_BANKS: Final = 6  # linked to one account
_RING: Final = 4  # accounts of one seller
_LOTS: Final = 8  # of his


@family(weak=Strength(2, 0.6, 3600), medium=Strength(6, 6, 1200), strong=Strength(20, 24, 600))
def invoice_ambush(scene: Scene, how: Strength) -> Rows:
    """Firms' accounts are read by somebody else for days, who in the right moment asks for the money in their name.

    No password is wrong. A visit: in, five searches for words of money in the account's orders, three invoices. At the
    first one a rule is made that letters go elsewhere as well (PUT); four visits an account, account after account,
    each always from the same machine. In the last seventh of the time each is struck: two customers are written to, and
    what was written is hidden.

    Source: Microsoft Threat Intelligence, "From cookie theft to BEC" (finance letters are searched for, rules hide the
    answers), 2022-07-12; FBI, Internet Crime Complaint Center, "Business email compromise: the $55 billion scam",
    2024-09-11.
    """
    rng, m = scene.rng, how.sources
    visits = max(m, round(m * how.per_s * how.lasts_s / (4 + len(_WORDS) + len(_STRIKE) / _VISITS + 1 / _VISITS)))
    n = max(m, -(-visits // _VISITS))
    pool, victims = scene.addresses(m, "hosting"), scene.accounts(n, distinct=True)
    account, visit = np.arange(visits) % n, np.arange(visits) // n
    by = {"ip": pool[account % m], "user": victims[account], "ua": scene.browser(pool)[account % m]}
    begins_s = (np.arange(visits) + rng.uniform(0, 0.3, visits)) * 0.82 * how.lasts_s / visits
    step_s = min(7.0, 0.003 * how.lasts_s)
    parts = [scene.requests(begins_s, "login", **by)]
    for nth, word in enumerate(_WORDS):
        sought_s = begins_s + step_s * (nth + 1 + rng.uniform(0, 0.5, visits))
        parts.append(scene.requests(sought_s, "orders", path=f"/account/orders?search={word}", **by))
    for nth in range(3):
        read_s = begins_s + step_s * (len(_WORDS) + 1.5 + nth + rng.uniform(0, 0.5, visits))
        path = invoice_paths(scene, rng.integers(100_000, 160_000, visits))
        parts.append(scene.requests(read_s, "invoice", path=path, **by))
    first = {name: codes[visit == 0] for name, codes in by.items()}
    parts.append(scene.requests(begins_s[visit == 0] + step_s * 10.5, "profile", path=_RULE, **first))
    struck_s = how.lasts_s * (0.86 + 0.12 * rng.random(len(first["ip"])))
    for op, wait in _STRIKE:
        at_s = struck_s + wait * min(60.0, 0.03 * how.lasts_s)
        parts.append(scene.requests(at_s, "graphql", path=f"/api/graphql?op={op}", **first))
    return together(*parts)


@family(weak=Strength(1, 2, 2400), medium=Strength(4, 15, 1200), strong=Strength(15, 40, 600))
def cargo_diversion(scene: Scene, how: Strength) -> Rows:
    """With hauliers' own accounts, taken from their computers, somebody bids for loads that he will drive elsewhere.

    In at the first try, from a tunnel; the account's telephone is made another one (PUT); three loads that the haulier
    had are given back. Two pages of loads, and twelve bids within a minute: one in five is accepted (200), the others
    were quicker (409). Each load that is won is put up anew under the same account for somebody else to drive (201).
    Then the next haulier; none is come back to.

    Source: Proofpoint, "Remote access, real cargo: cybercriminals targeting trucking and logistics" (stolen accounts of
    load boards, bookings deleted, dispatchers' telephones replaced), 2025-11-03.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (8 + _BIDS + _BIDS / 5)))
    turn, pool = np.arange(n) % m, scene.addresses(m, "tunnel6")
    by = {"ip": pool[turn], "user": scene.accounts(n, distinct=True), "ua": scene.browser(pool)[turn]}
    pace = min(1.0, how.lasts_s / 300)
    begins_s = (np.arange(n) + rng.uniform(0, 0.4, n)) * max(0.1, how.lasts_s - 125 * pace) / n
    parts = [scene.requests(begins_s, "login", **by), scene.requests(begins_s + 8 * pace, "profile", **by)]
    for nth in range(3):
        given = scene.world.paths.all([f"/api/graphql?op=releaseLoad&load={one}" for one in _loads(scene, n)])
        parts.append(scene.requests(begins_s + (16 + 3 * nth) * pace, "graphql", path=given, **by))
    for nth in range(2):
        page = scene.world.lists[rng.integers(0, 30, n)]
        parts.append(scene.requests(begins_s + (30 + 6 * nth) * pace, "list", path=page, **by))
    who = np.repeat(np.arange(n), _BIDS)
    bid_s = begins_s[who] + (45 + np.tile(np.arange(_BIDS), n) * 4.5 + rng.uniform(0, 3, len(who))) * pace
    load = _loads(scene, len(who))
    wins = rng.random(len(who)) < 1 / 5
    bids = [f"/api/graphql?op=bidLoad&load={one}" for one in load]
    whose = {name: codes[who] for name, codes in by.items()}
    parts.append(scene.requests(bid_s, "graphql", path=bids, status=np.where(wins, 200, 409), **whose))
    put_up = [f"/api/graphql?op=postLoad&load={one}" for one, won in zip(load, wins.tolist(), strict=True) if won]
    again = {name: codes[wins] for name, codes in whose.items()}
    posted_s = bid_s[wins] + rng.uniform(5, 15, int(wins.sum())) * pace
    return together(*parts, scene.requests(posted_s, "graphql", path=put_up, status=201, **again))


def _loads(scene: Scene, n: int) -> list[int]:
    """Numbers of loads, by chance."""
    return list(scene.rng.integers(500_000, 800_000, n).tolist())


@family(oat="OAT-019", weak=Strength(2, 0.8, 3600), medium=Strength(8, 8, 1200), strong=Strength(30, 30, 480))
def micro_deposits(scene: Scene, how: Strength) -> Rows:
    """Who links a bank account is sent two sums of cents, to prove that it is his, and somebody lives on the cents.

    Accounts made by a program, some after the other at each home. Six bank accounts are linked to each (202; one in ten
    is known here already, 409); when the cents have come, a quarter of the time later, the sums are told, always right
    (200), and the bank account is taken away again, so that the next may come. No account does anything else.

    Source: United States v. Largent, Eastern District of California (58,000 accounts made by a script for their
    deposits of cents), 2008-05, sentenced 2009; Nacha, rule on micro-entries (whoever sends them must watch for such
    misuse), in force 2022-09-16 and 2023-03-17.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (1 + _BANKS * 2.8)))
    turn, pool = np.arange(n) % m, scene.addresses(m, "bot")
    by = {"ip": pool[turn], "user": scene.strangers(n, "saver"), "ua": scene.browser(pool)[turn]}
    begins_s = (np.arange(n) + rng.uniform(0, 0.5, n)) * 0.65 * how.lasts_s / n
    step_s = min(12.0, 0.01 * how.lasts_s)
    who, nth = np.repeat(np.arange(n), _BANKS), np.tile(np.arange(_BANKS), n)
    linked_s = begins_s[who] + step_s * (1 + nth + rng.uniform(0, 0.4, len(who)))
    known, whose = rng.random(len(who)) < 0.1, {name: codes[who] for name, codes in by.items()}
    link = {"path": scene.world.paths.all([f"/api/graphql?op=linkBank&nth={one}" for one in nth.tolist()])}
    parts = [scene.requests(begins_s, "register", **by)]
    parts.append(scene.requests(linked_s, "graphql", status=np.where(known, 409, 202), **link, **whose))
    told = {name: codes[~known] for name, codes in whose.items()}
    told_s = linked_s[~known] + 0.25 * how.lasts_s
    parts.append(scene.requests(told_s, "verify", path="/api/login/verify?op=amounts", **told))
    return together(*parts, scene.requests(told_s + 0.4 * step_s, "graphql", path="/api/graphql?op=unlinkBank", **told))


@family(weak=Strength(3, 0.5, 3600), medium=Strength(10, 4, 1800), strong=Strength(30, 16, 600))
def shill_bidding(scene: Scene, how: Strength) -> Rows:
    """Sellers bid for their own lots under other names, so that whoever truly wants them has to pay more.

    Three to four accounts a seller, each at a home of its own, and eight lots, one after the other. They bid by turns,
    in small steps, every second time after a look at the lot; one bid in eight comes too late (409). Nothing in the
    last tenth of a lot's time, for they do not want it; one bid in six is taken back when nobody else has gone along.
    They bid for no other lots, win none and pay never.

    Source: P. Barrett, fined by Bradford Crown Court for bidding for his own goods on eBay, 2010-07-05.
    """
    rng, m = scene.rng, how.sources
    ip, user = scene.addresses(m, "neighbour"), scene.strangers(m, "collector")
    ua, parts = scene.browser(ip), []
    for ring in np.array_split(np.arange(m), -(-m // _RING)):
        n = max(len(ring), round(len(ring) * how.per_s * how.lasts_s / (1 + 1 / 2 + 1 / 6)))
        lots = max(1, min(_LOTS, n // 6))
        lot, nth = np.sort(np.arange(n) % lots), np.arange(n)
        within = (nth - np.searchsorted(lot, lot)) / np.bincount(lot)[lot]
        at_s = how.lasts_s * (lot + 0.9 * within + rng.uniform(0, 0.02, n)) / lots
        numbers = rng.integers(10_000, 90_000, lots)[lot].tolist()
        one = ring[nth % len(ring)]
        by = {"ip": ip[one], "user": user[one], "ua": ua[one]}
        amounts = (40 + 120 * within + rng.integers(1, 3, n)).astype(int).tolist()
        bids = [f"/api/graphql?op=bid&lot={a}&amount={b}" for a, b in zip(numbers, amounts, strict=True)]
        parts.append(scene.requests(at_s, "graphql", path=bids, status=scene.mostly(n, 200, 409, 1 / 8), **by))
        looks, back = nth % 2 == 0, nth % 6 == 5
        before_s = at_s[looks] - min(9.0, 0.02 * how.lasts_s / lots)
        path = scene.world.items[np.array(numbers, np.int64)[looks] % 6000]
        parts.append(scene.requests(before_s, "item", path=path, **_of(by, looks)))
        taken = [f"/api/graphql?op=retractBid&lot={a}" for a, gone in zip(numbers, back.tolist(), strict=True) if gone]
        back_s = at_s[back] + 0.05 * how.lasts_s / lots
        parts.append(scene.requests(back_s, "graphql", path=taken, **_of(by, back)))
    return together(*parts)


def _of(by: dict[str, Ints], which: np.ndarray) -> dict[str, Ints]:
    return {name: codes[which] for name, codes in by.items()}
