"""First sight: attacks on what is owed to whom: credit run up, an order brought forty times, a house let thrice."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import order_paths, staff_accounts
from floodwarden.simulate.world import ABSENT, ITEMS, Ints

_CANCEL: Final = "/api/graphql?op=cancelBooking"
_TELL: Final = "/api/graphql?op=sendMessage"
_DRIVER: Final = "DriverApp/4.2 (Android 14)"
_SMALL, _LARGE, _DECLINED = 2, 6, 2  # orders of an account
_TIMES: Final = 40  # an order is delivered before the next one
_NAMES: Final = 3  # under which each house is let


@family(oat="OAT-012", weak=Strength(4, 0.6, 3600), medium=Strength(15, 4, 1500), strong=Strength(50, 12, 600))
def bust_out(scene: Scene, how: Strength) -> Rows:
    """People who do not exist buy little and pay for it, ask for more credit, and all run it up on the same night.

    Accounts of one to four to a home, each with a browser of its own: two small orders, at the same distance for each
    and all paid; then more credit is asked for (one in eight is told to wait, 409). At three quarters of the time they
    sign in once more, within an eighth of it: six of the same eight dear things, one after the other, until two
    payments are declined (402). None of them ever comes again.

    Source: US Attorney, District of New Jersey, eighteen charged (7,000 made-up people, their credit pumped up by small
    payments and run up, 200 million dollars), 2013-02-05.
    """
    rng, m, lasts_s = scene.rng, how.sources, how.lasts_s
    dear, each = _LARGE + _DECLINED, 5 * _SMALL + 3 + 3 * (_LARGE + _DECLINED)
    n = max(m, round(m * how.per_s * lasts_s / each))
    by = {
        "ip": scene.addresses(m, "neighbour")[np.arange(n) % m],
        "user": scene.strangers(n, "member"),
        "ua": scene.world.browsers[rng.integers(0, 16, n)],
    }
    cheap, costly = rng.permutation(ITEMS)[:200], rng.permutation(ITEMS)[:8]
    pace, parts = min(1.0, lasts_s / 1200), []
    due_s = 0.25 * lasts_s * rng.random(n)
    steps = [
        ("login", 0.0, 200),
        ("item", 8.0, 200),
        ("cart_add", 12.0, 200),
        ("checkout", 10.0, 200),
        ("pay", 9.0, 200),
    ]
    for month in range(_SMALL):
        begins_s = due_s + 0.3 * lasts_s * month + rng.uniform(0, 0.01 * lasts_s, n)
        made = scripted(scene, begins_s, [(step, wait_s * pace, status) for step, wait_s, status in steps], **by)
        made["path"][n : 2 * n] = scene.world.items[cheap[rng.integers(0, len(cheap), n)]]
        parts.append(made)
    asked = scene.requests(lasts_s * rng.uniform(0.62, 0.72, n), "graphql", path="/api/graphql?op=raiseLimit", **by)
    asked["status"] = np.where(rng.permutation(n) % 8 == 7, 409, 200)
    begins_s, wait_s = lasts_s * rng.uniform(0.75, 0.875, n), min(9.0, 0.06 * lasts_s / (3 * dear))
    steps = [("login", 0.0, 200), ("item", wait_s, 200)]
    for number in range(dear):
        steps += [
            ("cart_add", wait_s, 200),
            ("checkout", wait_s, 200),
            ("pay", wait_s, 200 if number < _LARGE else 402),
        ]
    run_up = scripted(scene, begins_s, steps, **by)
    run_up["path"][n : 2 * n] = scene.world.items[costly[rng.integers(0, 8, n)]]
    return together(*parts, asked, run_up)


@family(weak=Strength(3, 0.6, 3600), medium=Strength(8, 4, 1200), strong=Strength(24, 15, 600))
def redelivered_orders(scene: Scene, how: Strength) -> Rows:
    """An order is brought, set back to not brought by somebody with a desk, and brought again, forty times over.

    For each of the staff, at home, up to three drivers with telephones at good clients' carriers. Somebody made up
    orders and pays. The one at the desk opens the order and gives it to a driver (one in 25 times it is held, 409); the
    driver says it is delivered; the desk sets it back. The drivers take turns, and one time in five look at what they
    have earned. After forty times there is another order.

    Source: US Attorney, Northern District of California, on a driver's plea (orders at DoorDash given again and again
    with an employee's password, 2.5 million dollars in 2020 and 2021), 2025-05-13.
    """
    rng, m, lasts_s = scene.rng, how.sources, how.lasts_s
    desks = max(1, m // 4)
    desk, phone = scene.addresses(desks, "neighbour"), scene.addresses(m - desks, "sim")
    staff, driver = staff_accounts(scene)[rng.permutation(60)[:desks]], scene.strangers(m - desks, "driver")
    loops = max(len(phone) // desks + 1, round((m * how.per_s * lasts_s / desks - 1) / 4.28))
    cycle_s, number = 0.95 * lasts_s / loops, np.arange(loops)
    app, parts = scene.tool(_DRIVER), []
    for cell in range(desks):
        mine = np.arange(cell, len(phone), desks)
        turn = mine[number % len(mine)]
        orders = 100_000 + rng.permutation(60_000)[: loops // _TIMES + 1]
        order = orders[number // _TIMES]
        at_s = 0.03 * lasts_s + number * cycle_s + rng.uniform(0, 0.1 * cycle_s, loops)
        here = slice(cell, cell + 1)
        sits = {"ip": desk[here], "user": staff[here], "ua": scene.browser(desk)[here]}
        drives = {"ip": phone[turn], "user": driver[turn], "ua": np.full(loops, app)}
        parts.append(scene.requests(np.array([0.01 * lasts_s * rng.random()]), "sso", **sits))
        parts.append(scene.requests(at_s, "backoffice", path=order_paths(scene, order), **sits))
        held, done = scene.mostly(loops, 200, 409, 0.04), np.full(loops, 200)
        for part, operation, who, status in ((0.15, "assignOrder", sits, held), (0.4, "orderDelivered", drives, done),
                                             (0.65, "reopenOrder", sits, done)):  # fmt: skip
            path = [f"/api/graphql?op={operation}&order={one}" for one in order.tolist()]
            done_s = at_s + (part + rng.uniform(0, 0.2, loops)) * cycle_s
            parts.append(scene.requests(done_s, "graphql", path=path, status=status, **who))
        fifth = number % 5 == 4
        earned = scene.requests(at_s + 0.9 * cycle_s, "balance", **drives)[fifth]
        places_s = at_s[::_TIMES] - 0.02 * lasts_s
        buyer = {"ip": phone[mine[:1]], "user": scene.strangers(len(places_s), "eater")}
        steps = [("cart_add", 0.0, 200), ("checkout", 0.004 * lasts_s, 200), ("pay", 0.004 * lasts_s, 200)]
        parts += [earned, scripted(scene, places_s, steps, ua=int(scene.world.browsers[12]), **buyer)]
    return together(*parts)


@family(oat="OAT-021", weak=Strength(1, 2, 3600), medium=Strength(3, 20, 1200), strong=Strength(10, 60, 600))
def double_letting(scene: Scene, how: Strength) -> Rows:
    """One house is let under three hosts' names, and whoever pays less than another is told that a pipe has burst.

    From one home for all its hosts: a token and the bookings of each of the three names; the one with the best booking
    raises the price of its listing (PUT), the two others cancel theirs and write to their guests, minutes before these
    arrive. One time in five somebody has complained: a message is refused (403), and there is a new host with the same
    house (an account, a profile, the listing written twice). Then the next house.

    Source: Vice (A. Conti), "I accidentally uncovered a nationwide scam on Airbnb", 2019-10-31; US Attorney, Central
    District of California, two charged (10,000 bookings of some hundred houses), 2024-01-04.
    """
    rng, m, lasts_s = scene.rng, how.sources, how.lasts_s
    n = max(2 * m, round(m * how.per_s * lasts_s / 11.8))
    home, nth = np.arange(n) % m, np.arange(n) // m
    every_s = 0.95 * lasts_s / (nth[-1] + 1)
    begins_s, unit_s = nth * every_s + rng.uniform(0, 0.1 * every_s, n), 0.8 * min(240.0, every_s)
    best, closed = rng.integers(0, _NAMES, n), rng.permutation(n) % 5 == 0
    ip, first = scene.addresses(m, "neighbour"), int(rng.integers(0, ITEMS // 2))
    shared = {"ip": ip[home], "ua": scene.browser(ip)[home]}
    losers = [(best + 1) % _NAMES, (best + 2) % _NAMES]
    old, new = _hosts(scene, home, np.where(closed, losers[0], ABSENT))
    house = first + (home * 12 + nth % 12) * _NAMES
    parts = []
    for slot in range(_NAMES):
        who = {"user": old[:, slot], **shared}
        parts.append(scene.requests(begins_s + 0.1 * slot * unit_s, "token", **who))
        parts.append(scene.requests(begins_s + (0.1 * slot + 0.04) * unit_s, "api_orders", **who))
    raised_s, path = begins_s + 0.4 * unit_s, scene.world.items[(house + best) % ITEMS]
    parts.append(scene.requests(raised_s, "item_put", path=path, user=old[np.arange(n), best], **shared))
    for turn, loser in enumerate(losers):
        who, told = {"user": old[np.arange(n), loser], **shared}, np.full(n, 200)
        told[closed & (turn == 0)] = 403
        at_s = begins_s + (0.5 + 0.12 * turn) * unit_s
        parts.append(scene.requests(at_s, "graphql", path=_CANCEL, **who))
        parts.append(scene.requests(at_s + 0.06 * unit_s, "graphql", path=_TELL, status=told, **who))
    who = {name: codes[closed] for name, codes in {"user": new, **shared}.items()}
    for part, endpoint in ((0.78, "register"), (0.85, "profile"), (0.91, "item_put"), (0.96, "item_put")):
        made = scene.requests((begins_s + part * unit_s)[closed], endpoint, **who)
        if endpoint == "item_put":
            made["path"] = scene.world.items[(house + losers[0] + ITEMS // 2)[closed] % ITEMS]
        parts.append(made)
    return together(*parts)


def _hosts(scene: Scene, home: Ints, closed: Ints) -> tuple[Ints, Ints]:
    """The accounts of each home's names at each turn, and who comes in place of the one that is `closed`, if one is."""
    gone = closed[:, None] == np.arange(_NAMES)
    before = np.zeros(gone.shape, np.int64)
    for one in np.unique(home).tolist():
        mine = home == one
        before[mine] = np.cumsum(gone[mine], axis=0) - gone[mine]
    most = int(before.max()) + 2
    names = scene.strangers((int(home.max()) + 1) * _NAMES * most, "host").reshape(-1, _NAMES, most)
    old = names[home[:, None], np.arange(_NAMES), before]
    slot = np.maximum(closed, 0)
    return old, names[home, slot, before[np.arange(len(home)), slot] + 1]
