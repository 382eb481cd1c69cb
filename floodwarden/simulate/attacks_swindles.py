"""Attacks that cheat the shop: paid refunds, orders for others' customers, made-up people, freebies."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ABSENT, ITEMS, Ints, zipf

_TALK: Final = 6
_ROUNDS: Final = 4
_DROPS: Final = 4
_UNITS: Final = 6
_MAILBOX: Final = "katrinholdsworth"  # sixteen letters, so fifteen places for a dot


@family(weak=Strength(2, 0.5, 3000), medium=Strength(6, 5, 1200), strong=Strength(15, 20, 480))
def refund_service(scene: Scene, how: Strength) -> Rows:
    """Customers hand their accounts to people who get refunds for a share: nothing came, says one after the other.

    Sign on, orders, the invoice of the last, six messages to the assistant, out; an account once, account after account
    at an address. Some mistype the password they were given; one message in twelve is not taken (422).

    Source: Amazon v. REKK, Western District of Washington, 2023-12-07: refunds sold for thirty per cent of the price.
    """
    steps = [("login", 0.0, 200), ("orders", 5.0, 200), ("invoice", 8.0, 200), *[("assistant", 20.0, 200)] * _TALK]
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_TALK + 4.2)))
    begins_s = 30 + scene.scattered(n, max(1.0, how.lasts_s - 190))
    ip = scene.by_turns(scene.addresses(how.sources, "neighbour"), n)
    user, ua = scene.accounts(n, distinct=True), scene.browser(ip)
    made = scripted(scene, begins_s, [*steps, ("logout", 15.0, 200)], ip=ip, user=user, ua=ua)
    made["path"][2 * n : 3 * n] = invoice_paths(scene, orders_of(scene, user, 0))
    made["status"][3 * n : (3 + _TALK) * n] = scene.mostly(_TALK * n, 200, 422, 1 / 12)
    mistyped = np.repeat(np.arange(n), typos(scene, n))
    wrong_s = begins_s[mistyped] - scene.rng.uniform(3, 25, len(mistyped))
    wrong = scene.requests(wrong_s, "login", ip=ip[mistyped], user=user[mistyped], ua=ua[mistyped], status=401)
    return together(made, wrong)


@family(oat="OAT-012", weak=Strength(1, 1.5, 3000), medium=Strength(5, 8, 1200), strong=Strength(15, 20, 480))
def triangulation(scene: Scene, how: Strength) -> Rows:
    """A seller elsewhere sells what he does not have, and orders it here for his customers with other people's cards.

    An account an address, at home in this country; for each order he searches, opens the one item, which is mostly one
    that sells, puts it into the cart, writes another address into the profile, and pays. One card in five is declined
    (402), and the next one is taken.

    Source: B. Krebs, "How carders can use eBay as a virtual ATM", 2015-11: more than forty such orders in three weeks
    at one shop; N. Kollars, "Confessions of an Nespresso money mule", DEF CON 27, 2019-08.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round((m * how.per_s * how.lasts_s - 2 * m) / 6.2))
    begins_s, turn = 20 + scene.scattered(n, max(1.0, how.lasts_s - 80)), rng.permutation(n) % m
    ip, user = scene.addresses(m, "neighbour"), scene.strangers(m, "reseller")
    who = {"ip": ip[turn], "user": user[turn], "ua": scene.browser(ip)[turn]}
    came_s = rng.uniform(0, 8, m)
    came = scripted(scene, came_s, [("login", 0.0, 200), ("account", 3.0, 200)], ip=ip, user=user, ua=scene.browser(ip))
    steps = [("search", 0.0, 200), ("item", 4.0, 200), ("cart_add", 6.0, 200), ("profile", 12.0, 200)]
    made = scripted(scene, begins_s, [*steps, ("checkout", 8.0, 200), ("pay", 10.0, 200)], **who)
    made["path"][:n] = scene.world.searches[zipf(rng, n, len(scene.world.searches))]
    made["path"][n : 2 * n] = scene.world.items[zipf(rng, n, ITEMS, 1.6)]
    declined = made[5 * n :][rng.random(n) < 0.2].copy()
    declined["status"], declined["ts_ms"] = 402, declined["ts_ms"] - rng.integers(2000, 6000, len(declined))
    return together(came, made, declined)


@family(oat="OAT-019", weak=Strength(4, 0.4, 3000), medium=Strength(20, 2, 1200), strong=Strength(60, 8, 480))
def synthetic_credit(scene: Scene, how: Strength) -> Rows:
    """People who do not exist ask to pay later: name, birthday and address are changed until the credit check agrees.

    All have one mailbox, with its dots in other places. Each makes an account, fills the cart, and changes the profile
    before each of four checkouts, of which three are refused (403); for one in four the last is granted and the order
    goes through, for the others it is refused as well.

    Source: Federal Reserve, "Synthetic identity fraud in the U.S. payment system", 2019-07; Agari, "BEC actors
    exploiting Gmail dot accounts for fun and profit" (48 applications for credit cards), 2019-02.
    """
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (3.25 + 2 * _ROUNDS)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 100))
    ip = scene.by_turns(scene.addresses(how.sources, "neighbour"), n)
    steps = [("home", 0.0, 200), ("register", 12.0, 200), ("cart_add", 8.0, 200)]
    steps += [("profile", 9.0, 200), ("checkout", 6.0, 403)] * _ROUNDS
    made = scripted(scene, begins_s, [*steps, ("pay", 8.0, 200)], ip=ip, user=_dotted(scene, n), ua=scene.browser(ip))
    made["user"][: 2 * n] = ABSENT
    granted, last = scene.rng.permutation(n) % 4 == 0, (len(steps) - 1) * n
    made["status"][last : last + n][granted] = 200
    return np.asarray(made[np.concatenate([np.ones(last + n, bool), granted])])


@family(oat="OAT-005", weak=Strength(10, 1, 2400), medium=Strength(30, 6, 900), strong=Strength(80, 24, 420))
def freebie_bots(scene: Scene, how: Strength) -> Rows:
    """Every list is read page by page for a price that is a mistake; what has one is bought by the dozen at once.

    The lists' pages in order, round and round, from homes worldwide, and no item is opened. Four times one is found:
    within some seconds accounts of theirs put six of it each into a cart, check out and pay; who comes later than ten
    seconds after it was found is told that the price has changed (409).

    Source: Kasada on "freebie bots", 2022-11, and its holiday report, 2022-12: 250 shops, 100,000 products worth 3.4
    million dollars within a month, 40,000 of them over Thanksgiving for 134 dollars.
    """
    rng, total = scene.rng, how.sources * how.per_s * how.lasts_s
    n = max(how.sources, round(0.7 * total))
    at_s, pool = scene.scattered(n, how.lasts_s), scene.addresses(how.sources, "bot")
    ip, pages = scene.by_turns(pool, n), scene.world.lists
    page = pages[(int(rng.integers(len(pages))) + np.arange(n)) % len(pages)]
    watched = scene.requests(at_s, "list", path=page, ip=ip, ua=scene.browser(ip))
    buyers = max(2, round(0.3 * total / _DROPS / (_UNITS + 2)))
    after_s = rng.gamma(1.5, 3, _DROPS * buyers)
    found_s = np.repeat(how.lasts_s * (np.arange(_DROPS) + rng.uniform(0.3, 0.7, _DROPS)) / _DROPS, buyers)
    who = scene.by_turns(pool, len(found_s))
    steps = [*[("cart_add", 0.3, 200)] * _UNITS, ("checkout", 0.8, 200), ("pay", 1.2, 200)]
    user = scene.strangers(len(found_s), "deal")
    made = scripted(scene, found_s + after_s, steps, ip=who, user=user, ua=scene.browser(who))
    late, step = np.tile(after_s > 10, len(steps)), np.repeat(np.arange(len(steps)), len(found_s))
    made["status"][late & (step == 0)] = 409
    return together(watched, made[~late | (step == 0)])


def _dotted(scene: Scene, n: int) -> Ints:
    """One mailbox written in `n` ways, for its provider takes no notice of dots."""
    places = scene.rng.permutation(1 << len(_MAILBOX) - 1)[:n].tolist()
    return scene.world.users.all(
        ["".join(c + "." * (number >> place & 1) for place, c in enumerate(_MAILBOX)) for number in places]
    )
