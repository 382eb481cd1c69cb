"""Attacks from within: staff who look or let others in, a bomb left behind, accounts changed for a payday."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import STAFF, order_paths, staff_accounts
from floodwarden.simulate.world import ITEMS

_PERSONAS: Final = 6  # who sign on in one house


@family(oat="OAT-018", weak=Strength(6, 0.1, 3600), medium=Strength(20, 0.3, 2400), strong=Strength(50, 1.5, 1200))
def celebrity_snooping(scene: Scene, how: Strength) -> Rows:
    """A customer is in the news, and those who work here look at what he ordered, one after the other and most twice.

    Each at home, where nobody looks over a shoulder: three in ten sign on for it, then the same five orders, four looks
    in ten soon after the news and fewer later; between them, four in ten, is what they are paid for, other orders, each
    once.

    Source: US Department of Health and Human Services, resolution agreement with UCLA Health System (staff who looked
    at celebrities' records), 2011-07-07.
    """
    rng, m = scene.rng, how.sources
    n = max(2 * m, round(m * how.per_s * how.lasts_s))
    ip, user = scene.addresses(m, "neighbour"), rng.permutation(staff_accounts(scene))[:m]
    at_s = np.sort(how.lasts_s * rng.beta(0.9, 1.8, n))
    by = scene.by_turns(np.arange(m), n)
    order = rng.integers(100_000, 160_000, n)
    wanted = rng.integers(100_000, 160_000, 5)
    curious = rng.random(n) < 0.6
    order[curious] = wanted[rng.integers(0, 5, int(curious.sum()))]
    who = {"ip": ip[by], "user": user[by], "ua": scene.browser(ip)[by]}
    looked = scene.requests(at_s, "backoffice", path=order_paths(scene, order), **who)
    _, first = np.unique(by, return_index=True)
    on = first[rng.random(len(first)) < 0.3]
    signed = scene.requests(np.maximum(0, at_s[on] - 12), "sso", **{name: codes[on] for name, codes in who.items()})
    return together(signed, looked)


@family(weak=Strength(1, 2, 3600), medium=Strength(2, 12, 1800), strong=Strength(4, 60, 900))
def laptop_farm(scene: Scene, how: Strength) -> Rows:
    """Six of the staff live in one house, it seems: their laptops stand on its shelf, and are moved from abroad.

    They sign on one after the other, half a minute apart, all with the same browser. What keeps their sessions open is
    the same page again, to the second; one request in six is work, another order, and one in forty an export.

    Source: US Department of Justice, on a laptop farm for North Korean IT workers at more than 300 companies,
    2024-05-16.
    """
    rng, parts = scene.rng, []
    names = rng.permutation(staff_accounts(scene))
    ua = int(scene.world.browsers[3])
    for house, ip in enumerate(scene.addresses(how.sources, "neighbour").tolist()):
        for one in range(_PERSONAS):
            who = {"ip": ip, "user": int(names[house * _PERSONAS + one]), "ua": ua}
            on_s = min(30.0, 0.03 * how.lasts_s) * (one + rng.uniform(0.8, 1.2))
            every_s = _PERSONAS / how.per_s
            at_s = np.arange(on_s + 0.5 * every_s, how.lasts_s, every_s) + rng.normal(0, 0.1)
            n = len(at_s)
            order = np.full(n, int(rng.integers(100_000, 160_000)))
            work = rng.random(n) < 1 / 6
            order[work] = rng.integers(100_000, 160_000, int(work.sum()))
            at_s[work] += rng.uniform(0, 0.4 * every_s, int(work.sum()))
            made = scene.requests(at_s, "backoffice", path=order_paths(scene, order), **who)
            taken = rng.random(n) < 1 / 40
            made[taken] = scene.requests(at_s, "export", status=202, **who)[taken]
            parts += [scene.requests(np.array([on_s]), "sso", **who), made]
    return together(*parts)


@family(oat="OAT-021", weak=Strength(6, 0.2, 3600), medium=Strength(30, 0.8, 1800), strong=Strength(100, 3, 900))
def surge_collusion(scene: Scene, how: Strength) -> Rows:
    """Sellers have agreed to run short together: all set their stock to nothing at the same minute, until prices rise.

    Each with his own key, at home. Within ten seconds all of them write none; then each looks at the price, his own and
    two of the others', again and again; once it has risen, all write their stock back, and soon it begins anew. Items
    are the same every time. One write in forty is refused (409).

    Source: University of Warwick (M. Möhlmann, L. Zalmanson), on drivers who sign off together so that fares surge,
    2017-08; ABC7 (WJLA) on the same at Reagan National Airport, 2019-05-16.
    """
    rng, m = scene.rng, how.sources
    each = max(4, round(how.per_s * how.lasts_s))
    rounds = max(1, round(each / 9))
    looks = max(2, round(each / rounds) - 2)
    ip, item = scene.addresses(m, "neighbour"), rng.permutation(ITEMS)[:m]
    keys = scene.world.keys.all([f"key-seller-{one:04d}" for one in rng.permutation(9000)[:m].tolist()])
    ua = np.array([scene.tool(name) for name in ("sellerdesk/5.2", "okhttp/4.12.0", "axios/1.6.7")])[np.arange(m) % 3]
    round_s, parts, by = how.lasts_s / rounds, [], np.arange(m)
    for at in range(rounds):
        begin_s = (at + 0.03) * round_s
        who = {"ip": ip, "key": keys, "ua": ua}
        spread_s = min(10.0, 0.1 * round_s)
        for wait_s, quantity in ((0.0, "0"), (0.8 * round_s, "40")):
            wrote_s = begin_s + wait_s + rng.uniform(0, spread_s, m)
            path = [f"/api/v1/stock/{one + 1}?quantity={quantity}" for one in item.tolist()]
            status = scene.mostly(m, 200, 409, 1 / 40)
            parts.append(scene.requests(wrote_s, "api_stock", path=path, status=status, **who))
        looked = np.repeat(by, looks)
        looked_s = begin_s + rng.uniform(0.12, 0.78, len(looked)) * round_s
        seen = item[(looked + rng.integers(0, 3, len(looked))) % m]
        again = {name: codes[looked] for name, codes in who.items()}
        parts.append(scene.requests(looked_s, "api_item", path=scene.world.api_items[seen], **again))
    return together(*parts)


@family(weak=Strength(1, 3, 2400), medium=Strength(1, 60, 600), strong=Strength(2, 600, 240))
def logic_bomb(scene: Scene, how: Strength) -> Rows:
    """A program somebody left behind finds his account closed, and shuts everybody out: staff first, then members.

    It runs within, with a key of the house's. For one of the staff after the other the profile is overwritten (200) and
    the session ended; then the sessions of members are ended in the sequence of their numbers, one in six has none
    (404). Once through, it begins anew.

    Source: US Department of Justice, Northern District of Ohio, United States v. Lu (a kill switch for the day his
    account was disabled), 2025-03-07, sentenced 2025-08-21.
    """
    n = max(20, round(how.sources * how.per_s * how.lasts_s))
    at_s = np.arange(n) * how.lasts_s / n + scene.rng.uniform(0, 0.2 * how.lasts_s / n, n)
    who = {
        "ip": scene.addresses(how.sources, "office")[np.arange(n) % how.sources],
        "key": np.array([scene.key("key-batch-housekeeping")]),
        "ua": np.array([scene.tool("session-janitor/1.4 Java/17.0.9")]),
    }
    begun = min(2 * STAFF, n // 3) // 2  # of the staff
    staff, members = staff_accounts(scene)[:begun], np.arange(n - 2 * begun) % scene.clients
    user = scene.world.users.all([f"user{one:05d}" for one in members.tolist()])
    made = scene.requests(at_s, "logout", status=scene.mostly(n, 200, 404, 1 / 6), **who)
    made["user"] = np.concatenate([np.repeat(staff, 2), user])
    made["status"][: 2 * begun] = 200
    made[: 2 * begun : 2] = scene.renamed(made[: 2 * begun : 2], "profile")
    return made


@family(oat="OAT-012", weak=Strength(3, 0.4, 3600), medium=Strength(12, 4, 1200), strong=Strength(40, 12, 600))
def payout_diversion(scene: Scene, how: Strength) -> Rows:
    """On the eve of payday sellers' accounts are given another bank account, and the old one again on the day after.

    Passwords came by mail; one in nine no longer fits (401) and nothing follows. In, account, profile, the change
    confirmed by a code, out: account after account at an address, more and more of them until the hour of the payout,
    nothing in it. When it is over each is opened once more: balance, profile as it was, out.

    Source: FBI, Internet Crime Complaint Center, "Cybercriminals utilize social engineering techniques to obtain
    employee credentials to conduct payroll diversion" (I-091818-PSA), 2018-09-18.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 9))
    begins_s = how.lasts_s * 0.68 * rng.beta(3, 1.2, n)
    ip, user = scene.by_turns(scene.addresses(m, "neighbour"), n), scene.accounts(n, distinct=True)
    lapsed = rng.permutation(n) % 9 == 8
    tried = scene.requests(begins_s, "login", ip=ip, user=user, ua=scene.browser(ip))
    tried["status"] = np.where(lapsed, 401, 200)
    who = {"ip": ip[~lapsed], "user": user[~lapsed], "ua": scene.browser(ip[~lapsed])}
    steps = [("account", 3.0, 200), ("profile", 9.0, 200), ("verify", 9.0, 200), ("logout", 2.0, 200)]
    diverted = scripted(scene, begins_s[~lapsed], steps, **who)
    back_s = how.lasts_s * rng.uniform(0.86, 0.97, len(who["ip"]))
    steps = [("login", 0.0, 200), ("balance", 3.0, 200), ("profile", 7.0, 200), ("logout", 2.0, 200)]
    return together(tried, diverted, scripted(scene, back_s, steps, **who))
