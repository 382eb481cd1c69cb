"""First sight: schemes of many hands: a receipt for all, accounts for the quota, orders grabbed, a form flooded."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import staff_accounts

_RECEIPTS: Final = 3
_CRACKED: Final = "ShopApp/5.9.4-mod (Android 14; unlocked)"
_DRIVER: Final = "DriverApp/3.8 (Android 14)"
_SHORTCUT: Final = "BackgroundShortcutRunner/1146 CFNetwork/1240.0.4 Darwin/20.6.0"
_FORM: Final = "/api/graphql?op=submitTip"
_CLERKS: Final = 3  # to a branch


@family(weak=Strength(12, 0.4, 3000), medium=Strength(80, 1.5, 1200), strong=Strength(300, 4, 600))
def shared_receipt(scene: Scene, how: Strength) -> Rows:
    """One receipt pays for everybody: an app that somebody altered hands in what was bought once, as its owner's own.

    Telephones at good clients' carriers, more and more of them, with a version of the app that the shop never made. A
    token; then, now and then, a payment with one of the same three receipts, and two looks at what it opened. From
    three quarters of the time on the receipts are known: 409, tried three times in a row, and nothing opens.

    Source: Apple, on in-app purchases validated against A. Borodin's server, 2012-07-13, and its notice to developers,
    "In-app purchase receipt validation on iOS", 2012-07.
    """
    rng, m = scene.rng, how.sources
    ip, user = scene.addresses(m, "sim"), scene.accounts(m, distinct=True)
    ua, known_s = scene.tool(_CRACKED), 0.75 * how.lasts_s
    came_s = 0.6 * how.lasts_s * rng.beta(1.6, 1.2, m)
    tokens = scene.requests(came_s, "token", ip=ip, user=user, ua=ua)
    who = np.repeat(np.arange(m), 1 + rng.poisson(max(0.1, (how.per_s * how.lasts_s - 1) / 3 - 1), m))
    at_s = came_s[who] + rng.uniform(0.02, 1.0, len(who)) * np.maximum(0.97 * how.lasts_s - came_s[who], 1.0)
    path = scene.world.paths.all([f"/checkout/payment?receipt={one:012x}" for one in rng.integers(1 << 48, size=3)])
    receipt = path[rng.integers(0, _RECEIPTS, len(who))]
    late = at_s > known_s
    parts = [tokens, scene.requests(at_s, "pay", path=receipt, ip=ip[who], user=user[who], ua=ua)]
    parts[1]["status"][late] = 409
    for again in (1, 2):
        more_s = at_s + again * 2.5 + rng.uniform(0, 1, len(who))
        tried = scene.requests(more_s[late], "pay", path=receipt[late], ip=ip[who[late]], user=user[who[late]], ua=ua)
        tried["status"] = 409
        opened = scene.requests(more_s[~late], "app_item", ip=ip[who[~late]], user=user[who[~late]], ua=ua)
        opened["path"] = scene.world.paths.all([f"/api/v2/items/{one}" for one in rng.integers(1, 40, len(opened))])
        parts += [tried, opened]
    return together(*parts)


@family(weak=Strength(1, 1.5, 3600), medium=Strength(3, 10, 1200), strong=Strength(10, 45, 600))
def sales_quota(scene: Scene, how: Strength) -> Rows:
    """Branches must open so many accounts a day, and their clerks open them for customers who have not asked for any.

    Three clerks behind a branch's address sign on. Each customer is looked up in the back office, and half a minute
    later, less when time is short, there is another account in his name (one in ten has got one already, 409), whose
    address and code are written at once (profile). None of them is ever signed on to. Three times as many in the last
    third before closing as in the first.

    Source: US Consumer Financial Protection Bureau, consent order against Wells Fargo Bank, 2016-09-08: 1.5 million
    deposit accounts and half a million credit cards that may not have been asked for.
    """
    rng, m = scene.rng, how.sources
    clerks = staff_accounts(scene)[rng.permutation(60)[: m * _CLERKS]]
    n = max(m, round((m * how.per_s * how.lasts_s - len(clerks)) / 2.9))
    pool, spare_s = scene.addresses(m, "office"), min(30.0, 0.02 * how.lasts_s)
    branch = np.repeat(np.arange(m), _CLERKS)[: len(clerks)]
    ua = scene.world.browsers[rng.integers(0, 4, len(clerks))]
    on = scene.requests(rng.uniform(0, 0.02 * how.lasts_s, len(clerks)), "sso", ip=pool[branch], user=clerks, ua=ua)
    begins_s = how.lasts_s * (0.03 + 0.87 * np.sort(rng.beta(1.8, 1.05, n)))
    by = rng.permutation(n) % len(clerks)
    path = scene.world.paths.all([f"/backoffice/orders/{one}" for one in rng.permutation(60_000)[:n] + 100_000])
    who = {"ip": pool[branch[by]], "user": clerks[by], "ua": ua[by]}
    looked = scene.requests(begins_s, "backoffice", path=path, **who)
    made_s = begins_s + spare_s * rng.uniform(0.7, 1.3, n)
    had = rng.permutation(n) % 10 == 9
    made = scene.requests(made_s, "register", status=np.where(had, 409, 200), **who)
    new = {"ip": who["ip"][~had], "user": scene.strangers(int((~had).sum()), "unasked"), "ua": who["ua"][~had]}
    filled = scene.requests(made_s[~had] + spare_s * rng.uniform(0.3, 0.8, int((~had).sum())), "profile", **new)
    return together(on, looked, made, filled)


@family(oat="OAT-005", weak=Strength(2, 8, 1200), medium=Strength(10, 30, 900), strong=Strength(40, 75, 420))
def batch_grabbers(scene: Scene, how: Strength) -> Rows:
    """Drivers are offered tours by the app, and some have a program that takes every good one before a thumb can move.

    An account each at good clients' carriers: a token, then the feed, over and over, as fast as it answers. Whenever
    there is an offer all of them reach for it within a fifth of a second; one has it (200, confirmed at once), the
    others are told so (409), and on it goes.

    Source: CNBC (A. Palmer), "Amazon Flex drivers are using bots to cheat their way to getting more work", 2020-02-09;
    Bloomberg (S. Soper), telephones hung in trees to be offered more, 2020-09-01.
    """
    rng, m = scene.rng, how.sources
    per_driver = how.per_s * how.lasts_s
    offers = max(2, round(0.15 * per_driver))
    ip, user, ua = scene.addresses(m, "sim"), scene.strangers(m, "driver"), scene.tool(_DRIVER)
    came_s = rng.uniform(0, 4, m)
    parts = [scene.requests(came_s, "token", ip=ip, user=user, ua=ua)]
    for number in range(m):
        at_s = came_s[number] + 1 + scene.steady(0.85 * how.per_s, how.lasts_s - 6, shape=8.0)
        parts.append(scene.requests(at_s, "app_feed", ip=int(ip[number]), user=int(user[number]), ua=ua))
    offered_s = np.repeat(6 + scene.scattered(offers, max(1.0, how.lasts_s - 8)), m)
    who = np.tile(np.arange(m), offers)
    reached_s = offered_s + rng.uniform(0.03, 0.2, len(who))
    first = reached_s.reshape(offers, m).argmin(axis=1)
    status = np.full(len(who), 409)
    status[np.arange(offers) * m + first] = 200
    parts.append(scene.requests(reached_s, "cart_add", ip=ip[who], user=user[who], ua=ua, status=status))
    had_s = reached_s.reshape(offers, m).min(axis=1) + rng.uniform(0.1, 0.4, offers)
    parts.append(scene.requests(had_s, "checkout", ip=ip[first], user=user[first], ua=ua))
    return together(*parts)


@family(oat="OAT-015", weak=Strength(40, 0.4, 3000), medium=Strength(250, 2, 1200), strong=Strength(800, 6, 480))
def shortcut_protest(scene: Scene, how: Strength) -> Rows:
    """People who loathe a page where others can be reported drown it in made-up ones, by hand and by a little script.

    Half of them open the page and send one to four reports. The other half have a script on the telephone that somebody
    passed round, and send one every few seconds until they put it down. The more of them, the more is not taken (503,
    up to three in ten); from seven tenths of the time on those from abroad, a half, are refused (403) and go on.

    Source: The Guardian, "TikTok users flood Texas abortion whistleblower site with Shrek memes, fake reports and
    porn", 2021-09-03, and Motherboard on the shortcut for telephones that filled its form, 2021-09-02.
    """
    rng, m, each = scene.rng, how.sources, how.per_s * how.lasts_s
    ip = rng.permutation(np.concatenate([scene.addresses(m // 2, "neighbour"), scene.addresses(m - m // 2, "sim")]))
    script = np.arange(m) % 2 == 0
    begins_s = 0.75 * how.lasts_s * rng.beta(1.5, 1.2, m)
    times = np.where(script, 3 + rng.poisson(max(1.0, 2 * each - 6.5), m), rng.integers(1, 5, m))
    gap_s = np.where(script, min(6.0, 0.35 * how.lasts_s / max(1.0, 2 * each)), min(50.0, 0.05 * how.lasts_s))
    hands = np.flatnonzero(~script)
    page = scene.requests(begins_s[hands], "article", path="/blog/report-somebody", ip=ip[hands])
    page["ua"] = scene.browser(ip[hands])
    who = np.repeat(np.arange(m), times)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = begins_s[who] + (nth + rng.uniform(0.4, 1.0, len(who))) * gap_s[who]
    ua = np.where(script, scene.tool(_SHORTCUT), scene.browser(ip))
    full = 0.3 * np.clip(at_s / (0.7 * how.lasts_s), 0, 1)
    status = np.where(rng.random(len(who)) < full, 503, 200)
    abroad = rng.random(m) < 0.5
    status[(at_s > 0.7 * how.lasts_s) & abroad[who]] = 403
    return together(page, scene.requests(at_s, "graphql", path=_FORM, ip=ip[who], ua=ua[who], status=status))
