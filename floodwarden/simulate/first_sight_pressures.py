"""First sight: attacks that work by pressing somebody: orders to his door, one star for money, a voice that coaches."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Mask, Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ITEMS, Ints

_WITHDRAW: Final = "/api/graphql?op=deleteReview"
_FIRST, _SECOND = 6, 12  # reviews in a wave
_CARDS: Final = (517, 518, 519)  # items that are gift cards


@family(oat="OAT-021", weak=Strength(25, 0.12, 3600), medium=Strength(150, 0.5, 1200), strong=Strength(500, 1.5, 600))
def doorstep_orders(scene: Scene, how: Strength) -> Rows:
    """Somebody's address is posted where people loathe him, and strangers order to his door what he is to pay for.

    Guests at home, three in ten through tunnels, most soon after the post and again after a second one: one of the same
    twelve things, the same street and number typed into the form (suggest), cart, checkout on delivery, never paid. One
    does it once, another ten times. From three quarters of the time on that address is refused (403), and is tried
    in another spelling (403).

    Source: US Attorney, District of Massachusetts, six former employees of eBay charged (a funeral wreath, live
    cockroaches, pizzas at night to a couple in Natick), 2020-06-15.
    """
    rng, m, lasts_s, hidden = scene.rng, how.sources, how.lasts_s, 3 * how.sources // 10
    n = max(m, round(m * how.per_s * lasts_s / 4.25))
    ip = rng.permutation(np.concatenate([scene.addresses(m - hidden, "neighbour"), scene.addresses(hidden, "tunnel6")]))
    eager = rng.dirichlet(np.full(m, 0.7))
    who = np.concatenate([np.arange(m), rng.choice(m, n - m, p=eager)])
    second = rng.random(n) < 0.35
    begins_s = np.where(second, 0.5 * lasts_s + 0.43 * lasts_s * rng.beta(1.4, 2, n), 0.6 * lasts_s * rng.beta(1, 3, n))
    pace = min(1.0, lasts_s / 900)
    steps = [("item", 0.0, 200), ("suggest", 14 * pace, 200), ("cart_add", 6 * pace, 200), ("checkout", 15 * pace, 200)]
    by = {"ip": ip[who], "ua": scene.browser(ip)[who]}
    made = scripted(scene, begins_s, steps, **by)
    house = int(rng.integers(2, 90))
    made["path"][:n] = scene.world.items[rng.permutation(ITEMS)[:12][rng.integers(0, 12, n)]]
    made["path"][n : 2 * n] = scene.world.paths.code(f"/api/v1/suggest?address=rosenweg+{house}")
    ordered = made[3 * n :]
    late = ordered["ts_ms"] > 750 * lasts_s
    ordered["status"][late] = 403
    again = {name: codes[late] for name, codes in by.items()}
    steps = [("suggest", 12 * pace, 200), ("checkout", 8 * pace, 403)]
    tried = scripted(scene, ordered["ts_ms"][late] / 1000, steps, **again)
    tried["path"][: len(tried) // 2] = scene.world.paths.code(f"/api/v1/suggest?address=rosenweg+{house}a")
    return together(made, tried)


@family(oat="OAT-016", weak=Strength(8, 0.3, 3600), medium=Strength(30, 3, 1200), strong=Strength(100, 9, 600))
def review_extortion(scene: Scene, how: Strength) -> Rows:
    """A seller gets six reviews of one star and a letter: who pays is rid of them, who does not gets twelve more.

    Homes all over the world, each review by an account made for it: in, the item, and the review half a minute later,
    one in ten taken for spam (403). Then nothing, for a third of the time. For one target in two each account comes
    back, in the order in which they wrote, and withdraws; for the others there are twelve new ones. Then the next.

    Source: New York Times (C. Morales), "Restaurants face an extortion threat: a bad rating on Google" (75 dollars in a
    gift card, or one star a day), 2022-07-11; The Times, 2022-07-12.
    """
    rng, m, lasts_s = scene.rng, how.sources, how.lasts_s
    targets = 2 * max(1, round(m * how.per_s * lasts_s / 83))
    ip = scene.addresses(m, "bot")
    path = rng.permutation(ITEMS)[:targets]
    begins_s = 0.42 * lasts_s * (np.arange(targets) + rng.random(targets)) / targets
    pays = rng.permutation(targets) % 2 == 0
    name = scene.strangers(targets * (_FIRST + _SECOND), "diner")
    target = np.repeat(np.arange(targets), _FIRST)
    wrote_s = begins_s[target] + 0.13 * lasts_s * rng.random(len(target))
    at, user = scene.by_turns(ip, len(target)), name[: len(target)]
    first, taken = _one_star(scene, wrote_s, path[target], at, user)
    back = taken & pays[target]
    back_s = wrote_s[back] + 0.36 * lasts_s
    by = {"ip": at[back], "user": user[back], "ua": scene.browser(at)[back]}
    gone = scripted(scene, back_s, [("login", 0.0, 200), ("graphql", min(9.0, 0.01 * lasts_s), 200)], **by)
    gone["path"][int(back.sum()) :] = scene.world.paths.code(_WITHDRAW)
    target = np.repeat(np.flatnonzero(~pays), _SECOND)
    more_s = begins_s[target] + lasts_s * rng.uniform(0.36, 0.52, len(target))
    more, _ = _one_star(scene, more_s, path[target], scene.by_turns(ip, len(target)), name[-len(target) :])
    return together(first, gone, more)


@family(oat="OAT-012", weak=Strength(6, 0.4, 3600), medium=Strength(30, 1, 2400), strong=Strength(240, 1.4, 2400))
def coached_purchases(scene: Scene, how: Strength) -> Rows:
    """Somebody on the telephone says he is the police, and old people buy gift cards for him and read him the numbers.

    Members at home, of every ten addresses nine, with passwords typed wrong once or twice: in, a gift card, and one
    after the other of it, each cart, checkout, paid; for one in four the card is declined (402) and another does it. A
    minute and a half after each payment the desk that calls, a tenth of the addresses and far away, asks after the new
    card's balance (200) and redeems it.

    Source: US Federal Trade Commission, "Scammers prefer gift cards, but not just any card will do", 2021-12-08; FBI,
    Elder Fraud Report 2023 (tech support, the government's name), 2024-04.
    """
    rng, m, lasts_s = scene.rng, how.sources, how.lasts_s
    desks = max(1, m // 10)
    n = m - desks
    times = max(2, round((m * how.per_s * lasts_s / n - 2.7) / 5.25))
    ip, desk = scene.addresses(n, "neighbour"), scene.addresses(desks, "bot")
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 16, n)]
    every_s = 0.5 * lasts_s / times
    pace = min(1.0, every_s / 180)
    begins_s = 0.42 * lasts_s * rng.random(n)
    wrong = np.repeat(np.arange(n), rng.permutation(n) % 3)[: 2 * n // 3]
    wrong_s = begins_s[wrong] - rng.uniform(4, 20, len(wrong)) * pace
    failed = scene.requests(wrong_s, "login", ip=ip[wrong], user=user[wrong], ua=ua[wrong], status=401)
    opened = scripted(scene, begins_s, [("login", 0.0, 200), ("item", 20 * pace, 200)], ip=ip, user=user, ua=ua)
    opened["path"][n:] = scene.world.items[np.array(_CARDS)[rng.integers(0, 3, n)]]
    who, nth = np.repeat(np.arange(n), times), np.tile(np.arange(times), n)
    buys_s = begins_s[who] + 40 * pace + (nth + 0.3 * rng.random(len(who))) * every_s
    by = {"ip": ip[who], "user": user[who], "ua": ua[who]}
    bought = scripted(scene, buys_s, [("cart_add", 0.0, 200), ("checkout", 20 * pace, 200)], **by)
    declined = rng.permutation(len(who)) % 4 == 0
    paid_s = bought["ts_ms"][len(who) :] / 1000 + rng.uniform(20, 40, len(who)) * pace
    paid = scene.requests(paid_s, "pay", status=np.where(declined, 402, 200), **by)
    other = {name: codes[declined] for name, codes in by.items()}
    paid_s[declined] += rng.uniform(25, 50, int(declined.sum())) * pace
    again = scene.requests(paid_s[declined], "pay", **other)
    at = who % desks
    asked_s = paid_s + rng.uniform(70, 110, len(who)) * pace
    asked = scene.requests(asked_s, "balance", ip=desk[at], ua=scene.browser(desk)[at])
    mule = scene.strangers(desks, "redeemer")[at]
    spent_s = asked_s + rng.uniform(5, 20, len(who)) * pace
    spent = scene.requests(spent_s, "coupon", ip=desk[at], user=mule, ua=scene.browser(desk)[at])
    return together(failed, opened, bought, paid, again, asked, spent)


def _one_star(scene: Scene, at_s: Seconds, item: Ints, ip: Ints, user: Ints) -> tuple[Rows, Mask]:
    """In, the item, a review of it; and which of them are taken."""
    n, pace = len(at_s), min(1.0, scene.span_s / 900)
    steps = [("login", 0.0, 200), ("item", 6 * pace, 200), ("review", 24 * pace, 200)]
    made = scripted(scene, at_s, steps, ip=ip, user=user, ua=scene.browser(ip))
    made["path"][n : 2 * n], made["path"][2 * n :] = scene.world.items[item], scene.world.reviews[item]
    taken = scene.rng.permutation(n) % 10 != 0
    made["status"][2 * n :][~taken] = 403
    return made, taken
