"""Attacks by many who look like visitors: copied pages, planted links, hidden visits, orders for nobody."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, Ints

_CANCEL: Final = "/api/graphql?op=cancelOrder"
_ORDERS: Final = 8  # until an account is refused
_SHIFTS: Final = 5  # machines of a lane, one after the other
_CLONED: Final = ("app", "theme", "cart", "vendor")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_PARTNER: Final = "/?partner=bargain-widget-4417&click={:08x}"
_NUMBER: Final = "/search?q=Call+us+now+%2B1-888-555-01{:02d}+24%2F7+support+no+results+found+try+calling&gclid={:07x}"
_SPENT: Final = 0.7  # share of the time after which the rival's money is
_SHOWN: Final = 5


@family(oat="OAT-021", weak=Strength(3, 0.8, 3000), medium=Strength(10, 8, 1200), strong=Strength(30, 24, 600))
def phantom_orders(scene: Scene, how: Strength) -> Rows:
    """A rival's people order what is paid for at the door, and take it back when it is about to be sent.

    At homes of this country: an item, two pieces into the cart, checkout, no payment. Five minutes later, or as much as
    there is time, it is taken back; one order in three never is, and goes out in vain. An account orders eight times,
    is then refused twice (403), and another is made.

    Source: CNNMoney, "Uber's dirty tricks quantified: rival counts 5,560 canceled rides" (Lyft), 2014-08; Uber v.
    Ola, Delhi High Court, 2016-03 (400,000 bookings taken back).
    """
    rng, m = scene.rng, how.sources
    accounts = max(m, round(m * how.per_s * how.lasts_s / (_ORDERS * (3 + 2 / 3) + 3)))
    ip, pool = _dealt(scene, m, accounts)
    user, last_s = scene.strangers(accounts, "doorstep"), min(300.0, 0.15 * how.lasts_s)
    turns = -(-accounts // m)
    turn_s = 0.85 * (how.lasts_s - last_s) / turns
    begins_s = np.arange(accounts) // m * turn_s + rng.uniform(0, 0.05 * turn_s, accounts)
    ua = scene.browser(pool)[np.arange(accounts) % m]
    made = scene.requests(begins_s, "register", ip=ip, ua=ua)
    order = np.repeat(np.arange(accounts), _ORDERS)
    at_s = begins_s[order] + turn_s * (0.05 + 0.8 * (np.tile(np.arange(_ORDERS), accounts) / _ORDERS))
    at_s += rng.uniform(0, 0.05 * turn_s, len(at_s))
    who, wait_s = {"ip": ip[order], "user": user[order], "ua": ua[order]}, min(6.0, turn_s / 60)
    steps = [("item", 0.0, 200), ("cart_add", wait_s, 200), ("checkout", wait_s, 200)]
    ordered = scripted(scene, at_s, steps, **who)
    ordered["path"][: len(order)] = scene.world.items[rng.integers(0, 1200, len(order))]
    back = rng.permutation(len(order)) % 3 != 0
    back_s = at_s[back] + 3 * wait_s + last_s * rng.uniform(0.85, 1.0, int(back.sum()))
    undone = scene.requests(back_s, "graphql", path=_CANCEL, **{name: codes[back] for name, codes in who.items()})
    refused_s = np.repeat(begins_s + 0.92 * turn_s, 2) + np.tile([0.0, 0.03 * turn_s], accounts)
    who = {name: np.repeat(codes, 2) for name, codes in (("ip", ip), ("user", user), ("ua", ua))}
    return together(made, ordered, undone, scene.requests(refused_s, "checkout", status=403, **who))


@family(oat="OAT-011", weak=Strength(10, 2.4, 2500), medium=Strength(40, 3, 1200), strong=Strength(120, 6, 600))
def thread_reading(scene: Scene, how: Strength) -> Rows:
    """All that people wrote is read for a model; whoever is shut out is followed by another who reads on from there.

    Reviews only, each item's from its first page to its twelfth, by some rented machines side by side. After a fifth of
    the time each is shut out: three requests end in 403, the third is its last, and a machine never seen goes on at the
    very page. Five times over. Another browser's name a machine, robots.txt never.

    Source: Reddit v. Anthropic, Superior Court of California, San Francisco (more than 100,000 visits after it had said
    that it had stopped), 2025-06-04; Reddit v. SerpApi and others, Southern District of New York, 2025-10-22.
    """
    rng = scene.rng
    lanes = max(1, how.sources // _SHIFTS)
    shift_s = how.lasts_s / _SHIFTS
    per_s = how.sources * how.per_s / lanes
    pool = scene.addresses(lanes * _SHIFTS, "hosting")
    parts = []
    for lane in range(lanes):
        read, first = 0, int(rng.integers(ITEMS))
        for shift in range(_SHIFTS):
            at_s = shift * shift_s + scene.steady(per_s, shift_s - 2, shape=4.0)
            n = len(at_s)
            status = np.where(np.arange(n) >= n - 3, 403, 200)
            nth = np.minimum(read + np.arange(n), read + n - 3)  # the page it is refused is tried three times
            path = [f"/items/{(first + one // 12) % ITEMS + 1}/reviews?page={one % 12 + 1}" for one in nth.tolist()]
            ip = int(pool[shift * lanes + lane])
            ua = int(scene.world.browsers[int(rng.integers(16))])
            parts.append(scene.requests(at_s, "reviews", path=path, ip=ip, ua=ua, status=status))
            read += n - 3
    return together(*parts)


@family(weak=Strength(40, 0.09, 3600), medium=Strength(300, 0.22, 1200), strong=Strength(1500, 1, 240))
def cloned_site(scene: Scene, how: Strength) -> Rows:
    """The shop's front is copied to another address, and those who are led there still fetch its scripts from here.

    At first one machine takes sixty pages and scripts in a minute, by a copying program. Then people at good providers,
    each once: four scripts within a second, all new to them (200), and no page around them. One in twenty types his
    password there, and minutes later a rented machine signs in with it (200) and opens the account.

    Source: Thinkst Canary, "Defending against the attack of the clone[d website]s!" (copies go on loading what belongs
    to the original), 2024-01.
    """
    rng, victims = scene.rng, how.sources - 2
    copier, thief = scene.addresses(2, "hosting").tolist()
    copied_s = np.sort(rng.uniform(0, min(60.0, how.lasts_s * 0.2), 60))
    pages: Ints = rng.permutation(np.concatenate([scene.world.items[:54], scene.world.statics]))
    copied = scene.requests(copied_s, "item", path=pages, ip=copier, ua=scene.tool("HTTrack/3.49 (Windows)"))
    script = np.isin(pages, scene.world.statics)
    copied[script] = scene.requests(copied_s, "static", path=pages, ip=copier, ua=scene.tool("HTTrack/3.49 (Windows)"))[
        script
    ]
    comes_s = how.lasts_s * (0.25 + 0.7 * rng.beta(1.2, 2, victims))
    who = np.repeat(np.arange(victims), len(_CLONED))
    ip = scene.addresses(victims, "neighbour")[who]
    ua = scene.world.browsers[rng.integers(0, 16, victims)][who]
    fetched_s = comes_s[who] + rng.uniform(0, 1, len(who))
    path = scene.world.paths.all([f"/static/{name}.js" for name in _CLONED])[np.arange(len(who)) % len(_CLONED)]
    fetched = scene.requests(fetched_s, "static", path=path, ip=ip, ua=ua)
    robbed = np.flatnonzero(rng.random(victims) < 0.05)[: max(1, victims // 12)]
    robbed = robbed if len(robbed) else np.array([0])
    mine = {"ip": thief, "user": scene.accounts(len(robbed), distinct=True), "ua": int(scene.world.browsers[0])}
    used_s = np.minimum(comes_s[robbed] + rng.uniform(60, 240, len(robbed)), how.lasts_s + 60)
    entered = scene.requests(used_s, "login", **mine)
    return together(copied, fetched, entered, scene.requests(used_s + 4, "account", **mine))


@family(oat="OAT-015", weak=Strength(80, 2, 1500), medium=Strength(300, 6, 900), strong=Strength(800, 15, 240))
def nonsense_agents(scene: Scene, how: Strength) -> Rows:
    """Telephones with a wallpaper or a ringtone too many ask for one page; each one's name is the alphabet, shuffled.

    They are at good clients' carriers, and there are ever more of them: half join in the last three tenths of the time.
    The first list, nothing else; each six times a minute when it is weak, forty-five times when it is strong. The more
    there are, the more fails (to three in ten: 503).

    Source: Akamai, Cloudflare, Flashpoint, Google, RiskIQ and others, "The WireX botnet: how industry collaboration
    disrupted a DDoS attack" (300 apps, telephones in a hundred countries), 2017-08-28.
    """
    rng, phones = scene.rng, how.sources
    n = max(2 * phones, int(phones * how.per_s * how.lasts_s))
    joins_s = np.sort(how.lasts_s * np.sqrt(rng.random(phones)))
    joins_s[0] = 0.0
    at_s = how.lasts_s * np.cbrt(rng.random(n))
    there = np.maximum(1, np.searchsorted(joins_s, at_s))
    which = (rng.random(n) * there).astype(np.int64)
    which[:phones], at_s[:phones] = np.arange(phones), joins_s  # each comes when it joins
    names = ["".join(_LETTERS[one] for one in rng.permutation(26)) for _ in range(phones)]
    ip, ua = scene.addresses(phones, "sim")[which], scene.world.agents.all(names)[which]
    status = scene.mostly(n, 200, 503, min(0.3, n / how.lasts_s / 600))
    return scene.requests(at_s, "list", path=scene.world.lists[:1].repeat(n), ip=ip, ua=ua, status=status)


@family(oat="OAT-003", weak=Strength(60, 0.05, 2400), medium=Strength(500, 0.15, 1200), strong=Strength(2000, 0.5, 300))
def cookie_stuffing(scene: Scene, how: Strength) -> Rows:
    """People who read something else have our front page opened behind it, with a partner's name, so that he is paid.

    By their own browsers, at good clients' providers: the front page with one partner's name and a click's number, two
    or three times an hour's reading; no script, no second page, for nobody sees it. Should one of them buy within a
    month, a share goes to the partner.

    Source: US Attorney, Northern District of California, on S. Hogan and B. Dunning, eBay's two largest affiliates,
    indicted 2010-06-24, sentenced 2014.
    """
    rng, people = scene.rng, how.sources
    n = max(people, round(people * how.per_s * how.lasts_s))
    who = np.concatenate([np.arange(people), rng.integers(0, people, n - people)])
    at_s, ip = rng.uniform(0, how.lasts_s, n), scene.addresses(people, "neighbour")[who]
    ua = scene.world.browsers[rng.integers(0, 16, people)][who]
    asked = [_PARTNER.format(click) for click in rng.choice(1 << 24, n, replace=False).tolist()]
    return scene.requests(at_s, "home", path=asked, ip=ip, ua=ua)


@family(weak=Strength(40, 0.05, 3000), medium=Strength(300, 0.12, 1200), strong=Strength(1500, 0.5, 300))
def planted_number(scene: Scene, how: Strength) -> Rows:
    """Advertisements lead to our own search page, which shows what was asked: "call us", and a swindler's number.

    At first a rented machine tries a dozen wordings. Then people come, at good clients' providers, each by a click: a
    search for that sentence, which finds nothing, and a script; a third load it again, for they did not expect it; none
    looks at an item. The number changes after a while.

    Source: Malwarebytes, "Scammers hijack websites of Bank of America, Netflix, Microsoft, and more to insert fake
    phone number", 2025-06-18.
    """
    rng, people = scene.rng, how.sources - 1
    tried_s = np.sort(rng.uniform(0, how.lasts_s * 0.1, 12))
    tried = [_NUMBER.format(number, number) for number in range(12)]
    trier = int(scene.addresses(1, "hosting")[0])
    trials = scene.requests(tried_s, "search", path=tried, ip=trier, ua=int(scene.world.browsers[0]))
    comes_s = how.lasts_s * (0.12 + 0.83 * np.sort(rng.random(people)))
    number = 20 + (comes_s / how.lasts_s * 4).astype(np.int64)
    clicks = rng.choice(1 << 24, people, replace=False)
    asked = [_NUMBER.format(one, click) for one, click in zip(number.tolist(), clicks.tolist(), strict=True)]
    path = scene.world.paths.all(asked)
    ip, ua = scene.addresses(people, "neighbour"), scene.world.browsers[rng.integers(0, 16, people)]
    again = np.flatnonzero(rng.random(people) < 1 / 3)
    again_s = comes_s[again] + 4 + rng.gamma(2, 6, len(again))
    return together(
        trials,
        scene.requests(comes_s, "search", path=path, ip=ip, ua=ua),
        scene.requests(comes_s + 0.4, "static", path=scene.world.statics[:1].repeat(people), ip=ip, ua=ua),
        scene.requests(again_s, "search", path=path[again], ip=ip[again], ua=ua[again]),
    )


@family(oat="OAT-003", weak=Strength(2, 1, 2400), medium=Strength(6, 8, 900), strong=Strength(15, 40, 300))
def sponsored_drain(scene: Scene, how: Strength) -> Rows:
    """A rival pays for five items to stand first in our search; they are clicked until his money for the day is gone.

    A search for the word he pays for, and two seconds later the first of what is shown, with a click's number; the next
    search. Rented exits by turns, and one office at a good provider. After seven tenths of the time
    nothing is shown any more: then one search in ten is still made, to see whether it is, and no item.

    Source: Satmodo v. Whenever Communications, Southern District of California (a rival's clicks on advertisements),
    2017-04; Google Ads, "About invalid clicks", documentation, read 2026-11.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s))
    spent_s = how.lasts_s * _SPENT
    pairs = round(n / 2.1)
    waits = max(1, round(n - 2 * pairs))
    begins_s = np.sort(rng.uniform(0, max(0.5, spent_s - 4), pairs))
    pool = np.concatenate([scene.addresses(1, "neighbour"), scene.addresses(how.sources - 1, "hosting")])
    ip = scene.by_turns(pool, pairs)
    shown: Ints = 1 + rng.permutation(ITEMS)[:_SHOWN]
    which = rng.integers(0, _SHOWN, pairs)
    term = scene.world.searches[int(rng.integers(60))]
    clicked = [
        f"/items/{item}?sponsored={click:06x}"
        for item, click in zip(shown[which].tolist(), rng.choice(1 << 22, pairs, replace=False).tolist(), strict=True)
    ]
    after_s = spent_s + scene.scattered(waits, how.lasts_s - spent_s)
    at = scene.by_turns(pool, waits)
    return together(
        scene.requests(begins_s, "search", path=np.full(pairs, term), ip=ip, ua=scene.browser(ip)),
        scene.requests(begins_s + rng.uniform(1.2, 3.0, pairs), "item", path=clicked, ip=ip, ua=scene.browser(ip)),
        scene.requests(after_s, "search", path=np.full(waits, term), ip=at, ua=scene.browser(at)),
    )


def _dealt(scene: Scene, m: int, n: int) -> tuple[Ints, Ints]:
    """Addresses of homes in turn, one an account, and those there are."""
    pool = scene.addresses(m, "neighbour")
    return pool[np.arange(n) % m], pool
