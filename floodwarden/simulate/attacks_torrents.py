"""Floods of four shapes: volunteers with a list, carts for nobody, long questions, noise as a cover."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ITEMS, zipf

_QUESTIONS: Final = 3  # of a visitor, after a page
_THEFT: Final = 0.04


@family(oat="OAT-015", weak=Strength(30, 3, 1200), medium=Strength(120, 12, 480), strong=Strength(300, 40, 150))
def volunteer_flood(scene: Scene, how: Strength) -> Rows:
    """Volunteers' computers work through one list of eight targets, each with something made up, in the same order.

    Half of them at home, half on rented machines, a browser's name that changes with every request. Searches,
    beginnings of words, lists, sign-ins (401), new passwords (202), coupons (404), sign-ups (422), questions to
    GraphQL: what is dear and not cached. The more there are, the more fails (to three in ten: 503, 504).

    Source: Sekoia, "Following NoName057(16) DDoSia project's targets", 2023-06-29; NETSCOUT, "NoName057(16)" (campaign
    analysis), read 2026-11.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    turn = rng.permutation(n) % how.sources
    half = how.sources // 2
    ip = np.concatenate([scene.addresses(half, "neighbour"), scene.addresses(how.sources - half, "hosting")])[turn]
    ua = scene.world.browsers[rng.integers(0, len(scene.world.browsers), n)]
    order = np.empty(n, np.int64)
    order[np.lexsort((at_s, turn))] = np.arange(n)
    step = (order - np.searchsorted(np.sort(turn), turn)) % 8  # each goes through the list by itself
    drawn = rng.integers(1 << 30, size=n).tolist()
    busy = min(0.3, n / how.lasts_s / 700)
    fails, wrong = rng.random(n) < busy, rng.choice([503, 504], n, p=[0.7, 0.3])
    made = scene.requests(at_s, "home", ip=ip, ua=ua)
    for number, (endpoint, form, status) in enumerate(
        (
            ("search", "/search?q={:x}", 200), ("suggest", "/api/v1/suggest?q={:x}", 200),
            ("list", "/items?page=1&sort={:x}", 200), ("login", "", 401), ("reset", "", 202), ("coupon", "", 404),
            ("register", "", 422), ("graphql", "", 200),
        )
    ):  # fmt: skip
        here = step == number
        path = [form.format(one) for one in np.array(drawn)[here].tolist()] if form else None
        answer = np.where(fails[here], wrong[here], status)
        made[here] = scene.requests(at_s[here], endpoint, path=path, ip=ip[here], ua=ua[here], status=answer)
    return made


@family(oat="OAT-015", weak=Strength(30, 3, 1200), medium=Strength(120, 15, 480), strong=Strength(250, 45, 150))
def cart_flood(scene: Scene, how: Strength) -> Rows:
    """Carts are opened by the thousand and left: every one is a new guest, a row in the database, a session kept.

    Anything is put in, one piece, without its page ever having been opened; one in ten looks at the cart (and it is
    empty: its cookie was thrown away). Each address below its limit; the more there are, the more fails (to a quarter:
    500, 503).

    Source: Kinsta, on bot traffic and dynamic endpoints (add to cart: a thread, a query and a session each, whether a
    customer or not), 2026-06; Clare Associates on the same of a WooCommerce shop, 2018-11.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    busy = min(0.25, n / how.lasts_s / 700)
    status = rng.choice([200, 503, 500], n, p=[1 - busy, busy * 0.7, busy * 0.3])
    path = scene.world.paths.all([f"/cart/items?id={one}" for one in range(1, ITEMS + 1)])[rng.integers(0, ITEMS, n)]
    who = {"ip": ip, "ua": scene.browser(ip), "status": status}
    made = scene.requests(at_s, "cart_add", path=path, **who)
    looks = rng.random(n) < 0.1
    made[looks] = scene.requests(at_s, "cart", **who)[looks]
    return made


@family(oat="OAT-015", weak=Strength(30, 0.5, 2400), medium=Strength(100, 2, 900), strong=Strength(300, 8, 300))
def assistant_drain(scene: Scene, how: Strength) -> Rows:
    """The assistant is asked what takes it longest, by visitors who want no answer: each question is the shop's to pay.

    An item is opened, then three questions of the greatest length there is, twenty seconds apart, by nobody who is
    signed in, from homes worldwide. Most are answered (200); the more there are, the more time out (to four in ten:
    504, 503), for people as well.

    Source: OWASP Top 10 for LLM Applications, LLM10:2025 (unbounded consumption: denial of wallet), 2024-11; I.
    Shumailov and others, "Sponge examples: energy-latency attacks on neural networks", 2020-06-05.
    """
    rng = scene.rng
    visits = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_QUESTIONS + 1)))
    begins_s = scene.scattered(visits, max(1.0, how.lasts_s - 75))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), visits)
    who = {"ip": ip, "ua": scene.browser(ip)}
    busy = min(0.4, visits * _QUESTIONS / how.lasts_s / 75)
    parts = [scene.requests(begins_s, "item", path=scene.world.items[zipf(rng, visits, ITEMS)], **who)]
    for question in range(_QUESTIONS):
        at_s = begins_s + 5 + 20.0 * question + rng.uniform(0, 6, visits)
        status = rng.choice([200, 504, 503], visits, p=[1 - busy, busy * 0.7, busy * 0.3])
        parts.append(scene.requests(at_s, "assistant", status=status, **who))
    return together(*parts)


@family(oat="OAT-018", weak=Strength(30, 4, 1500), medium=Strength(120, 14, 480), strong=Strength(240, 40, 150))
def smokescreen(scene: Scene, how: Strength) -> Rows:
    """A flood that is to be seen, so that a theft is not: while everybody looks at it, accounts are read elsewhere.

    Searches by the thousand from homes worldwide, of which to a third fail (503). Meanwhile one request in twenty-five
    is another's: a few rented machines with members' stolen sessions, account, orders and two invoices each, one after
    the other, all answered (200).

    Source: The Register, "Hackers hid Carphone Warehouse breach with DDoS smokescreen" (2.4 million customers),
    2015-08-11.
    """
    rng = scene.rng
    wanted = how.sources * how.per_s * how.lasts_s
    thieves = max(2, how.sources // 40)
    n = round(wanted * (1 - _THEFT))
    ip = scene.by_turns(scene.addresses(how.sources - thieves, "bot"), n)
    busy = min(1 / 3, n / how.lasts_s / 250)
    terms = scene.world.searches[rng.integers(0, len(scene.world.searches), n)]
    status = scene.mostly(n, 200, 503, busy)
    noise = scene.requests(
        scene.scattered(n, how.lasts_s), "search", path=terms, ip=ip, ua=scene.browser(ip), status=status
    )
    victims = max(2, round(wanted * _THEFT / 4))
    begins_s = scene.scattered(victims, max(1.0, how.lasts_s - 15))
    at = scene.addresses(thieves, "hosting")[np.arange(victims) % thieves]
    user, ua = scene.accounts(victims, distinct=True), scene.browser(at)
    steps = [("account", 0.0, 200), ("orders", 2.0, 200), ("invoice", 2.5, 200), ("invoice", 2.0, 200)]
    read = scripted(scene, begins_s, steps, ip=at, user=user, ua=ua)
    for step in (2, 3):
        mine = invoice_paths(scene, orders_of(scene, user, step - 2))
        read["path"][step * victims : (step + 1) * victims] = mine
    return together(noise, read)
