"""First sight: attacks by those who work with the shop: couriers, an engineer; and at its kiosk."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths

_CARDS: Final = 25  # bought with one test account, before the next
_OUT_OF_IT: Final = (
    "/cgi/print?dialog=1", "/help/../", "/downloads", "/admin", "/settings/network", "/terminal", "/C:/", "/service",
)  # fmt: skip


@family(oat="OAT-005", weak=Strength(3, 6, 1800), medium=Strength(15, 20, 900), strong=Strength(60, 90, 480))
def shift_grabbing(scene: Scene, how: Strength) -> Rows:
    """Couriers let a program choose their tours: it asks all the time what there is, and takes it at once.

    A courier's account and a telephone each, at good clients' carriers, under the courier app's name of two years ago:
    the feed, up to ninety times a minute and for hours. Every minute or so there is a tour: all take it within a fifth
    of a second; one in twelve gets it (200), the others are too late (409).

    Source: CNBC (A. Palmer), "Amazon Flex drivers are using bots to cheat their way to getting more work", 2020-02-09.
    """
    rng, m = scene.rng, how.sources
    tours_s = np.arange(0.5, 1.0 + how.lasts_s // 60) * 60 + rng.uniform(-20, 20, 1 + int(how.lasts_s // 60))
    tours_s = tours_s[tours_s < how.lasts_s - 2]
    takes = m * len(tours_s) * (how.per_minute > 10)
    every_s = how.lasts_s * m / max(1.0, m * how.per_s * how.lasts_s - takes - m)
    ip, user = scene.addresses(m, "sim"), scene.strangers(m, "courier")
    ua, parts = scene.tool("CourierApp/3.2.0 (Android 9)"), []
    for one in range(m):
        who = {"ip": ip[one : one + 1], "user": user[one : one + 1], "ua": np.array([ua])}
        asked_s = scene.regular(1.0, how.lasts_s, every_s, 0.06)
        first = scene.requests(np.array([max(0.0, float(asked_s.min()) - 0.5)]), "token", **who)
        parts += [first, scene.requests(asked_s, "app_feed", **who)]
    if not len(tours_s):
        return together(*parts)
    tour, by = np.repeat(np.arange(len(tours_s)), m), np.tile(np.arange(m), len(tours_s))
    if how.per_minute <= 10:  # seldom looks, seldom sees one in time
        seen = rng.random(len(tour)) < 0.25
        tour, by = tour[seen], by[seen]
    taken_s = tours_s[tour] + rng.uniform(0.05, 0.2, len(tour))
    status = np.where(rng.random(len(tour)) < 1 / 12, 200, 409)
    parts.append(scene.requests(taken_s, "checkout", ip=ip[by], user=user[by], ua=ua, status=status))
    return together(*parts)


@family(oat="OAT-012", weak=Strength(1, 1.5, 3000), medium=Strength(2, 15, 1200), strong=Strength(6, 60, 480))
def tester_cashout(scene: Scene, how: Strength) -> Rows:
    """An engineer buys gift cards with the accounts that the shop tests itself with, and which nobody ever charges.

    From a rented machine: the same item into the cart, checkout, paid (always 200), the card's balance; purchase after
    purchase, twenty-five to an account and then its orders with all the codes, then the next account.

    Source: US Attorney, Western District of Washington, United States v. Kvashuk (ten million dollars of gift cards by
    test accounts at Microsoft), 2020-02-25, sentenced 2020-11-09.
    """
    rng, m = scene.rng, how.sources
    n = max(2 * m, round(m * how.per_s * how.lasts_s / 4.04))
    ip = scene.addresses(m, "hosting")
    turn, nth = np.arange(n) % m, np.arange(n) // m
    account = turn + m * (nth // _CARDS)
    user = scene.world.users.all([f"e2e-test-{one:03d}" for one in range(int(account.max()) + 1)])[account]
    begins_s = (nth + rng.uniform(0, 0.15, n)) * (how.lasts_s - 8) / (nth[-1] + 1)
    who = {"ip": ip[turn], "user": user, "ua": scene.browser(ip)[turn]}
    gap_s = min(2.0, 0.2 * how.lasts_s / (nth[-1] + 1))
    steps = ("cart_add", "checkout", "pay", "balance")
    parts = [scene.requests(begins_s + gap_s * at, step, **who) for at, step in enumerate(steps)]
    full = nth % _CARDS == _CARDS - 1
    codes = scene.requests(begins_s + 4 * gap_s, "orders", **who)[full]
    return together(*parts, codes)


@family(oat="OAT-018", weak=Strength(1, 1, 1800), medium=Strength(2, 10, 900), strong=Strength(8, 40, 420))
def kiosk_breakout(scene: Scene, how: Strength) -> Rows:
    """Somebody stands at a shop's kiosk until it lets him out, and types dashes where it wants an order's number.

    From the shop's own address, under the kiosk's name, nobody signed on. One request in six seeks a way out: eight
    pages that are not there (404). Dashes list orders, page after page (200), and of each page he opens four invoices,
    nine in ten of which are given. At every kiosk the same.

    Source: Pentagrid, on a hotel chain's check-in terminals (six dashes list bookings and rooms' codes), 2024-04-02.
    """
    rng, m = scene.rng, how.sources
    ua, parts = scene.tool("ShopKiosk/3.1 (Windows NT 10.0; Touch) Chrome/109.0.0.0"), []
    for ip in scene.addresses(m, "office").tolist():
        n = max(6, round(how.per_s * how.lasts_s))
        ways, pages = max(1, n // 6), max(1, (n - n // 6) // 5)
        who = {"ip": ip, "ua": ua}
        out_s = scene.scattered(ways, 0.25 * how.lasts_s)
        way = [_OUT_OF_IT[one % len(_OUT_OF_IT)] for one in range(ways)]
        parts.append(scene.requests(out_s, "missing", path=way, status=404, **who))
        listed_s = how.lasts_s * (0.25 + 0.73 * (np.arange(pages) + rng.uniform(0, 0.2, pages)) / pages)
        dashes = [f"/account/orders?number=------&page={page}" for page in range(1, pages + 1)]
        parts.append(scene.requests(listed_s, "orders", path=dashes, **who))
        each = np.repeat(np.arange(pages), 4)
        step_s = 0.15 * 0.73 * how.lasts_s / pages
        opened_s = listed_s[each] + np.tile(np.arange(1, 5), pages) * step_s + rng.uniform(0, 0.5 * step_s, 4 * pages)
        numbers = 159_000 - 4 * each - np.tile(np.arange(4), pages)
        status = scene.mostly(4 * pages, 200, 404, 0.1)
        parts.append(scene.requests(opened_s, "invoice", path=invoice_paths(scene, numbers), status=status, **who))
    return together(*parts)
