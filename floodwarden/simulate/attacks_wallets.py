"""Attacks on what is worth money: a card's last digits, points, rewards for friends, lots that close."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_CODES: Final = 18  # tries of a card before the shop would take notice
_VOUCHERS: Final = 10  # to a cart
_APP: Final = "ShopApp/5.9.4 (Android 14)"


@family(oat="OAT-010", weak=Strength(4, 0.4, 3000), medium=Strength(20, 3, 1200), strong=Strength(60, 12, 480))
def card_cracking(scene: Scene, how: Strength) -> Rows:
    """The card is known but for the three digits on its back, and they are guessed: eighteen here, the rest elsewhere.

    A guest's cart and one checkout, then payment upon payment for the same thing, all declined (402), each some twenty
    seconds after the last. For one card in twelve a guess fits (200), and nothing more is asked of it. A card an
    address, then the next card.

    Source: M. A. Ali, B. Arief, M. Emms and A. van Moorsel, "Does the online card payment landscape unwittingly
    facilitate fraud?" (distributed guessing), IEEE Security & Privacy, 2016-12; OWASP OAT-010, 2018-02-15.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_CODES + 1.3)))
    wait_s = min(20.0, how.lasts_s / (2 * _CODES))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 20 - _CODES * wait_s))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    steps = [("cart_add", 0.0, 200), ("checkout", 6.0, 200), *[("pay", wait_s, 402)] * _CODES]
    made = scripted(scene, begins_s, steps, ip=ip, ua=scene.browser(ip))
    step = np.repeat(np.arange(_CODES + 2), n)
    fits = np.where(rng.permutation(n) % 12 == 0, rng.integers(0, _CODES, n), _CODES)
    last = np.tile(fits + 2, _CODES + 2)
    made["status"][step == last] = 200
    return np.asarray(made[step <= last])


@family(oat="OAT-012", weak=Strength(3, 0.5, 3000), medium=Strength(12, 4, 1200), strong=Strength(40, 12, 600))
def points_pooling(scene: Scene, how: Strength) -> Rows:
    """Points of members who hardly come are made into vouchers, and ten members' vouchers pay for one cart.

    With the app's name: a token (one in twelve has lapsed, 401, and nothing follows), what there is (balance), a
    voucher for it (coupon), member after member, an address for some of them. For each ten there is one cart of another
    account: two things, ten vouchers, checkout, nothing left to pay.

    Source: New York Attorney General v. Dunkin' Brands (stored value of 300,000 loyalty accounts), 2019-09-26, settled
    2020-09-15; OWASP Automated Threat Handbook 1.2, OAT-012, 2018-02-15.
    """
    rng = scene.rng
    n = max(_VOUCHERS, how.sources, round(how.sources * how.per_s * how.lasts_s / 4.3))
    begins_s = scene.scattered(n, max(1.0, 0.9 * how.lasts_s - 30))
    pool, ua = scene.addresses(how.sources, "bot"), scene.tool(_APP)
    ip, user = scene.by_turns(pool, n), scene.accounts(n, distinct=True)
    lapsed = rng.permutation(n) % 12 == 0
    steps = [("token", 0.0, 200), ("balance", 2.0, 200), ("coupon", 4.0, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, user=user, ua=ua)
    made["status"][:n][lapsed] = 401
    made = made[np.concatenate([np.ones(n, bool), np.tile(~lapsed, 2)])]
    full = begins_s[~lapsed][_VOUCHERS - 1 :: _VOUCHERS]
    if not len(full):
        full = begins_s[-1:]
    paid = [("cart_add", 15.0, 200), ("cart_add", 2.0, 200), *[("coupon", 1.0, 200)] * _VOUCHERS]
    paid += [("checkout", 2.0, 200), ("pay", 2.0, 200)]
    buyer = {"ip": scene.by_turns(pool, len(full)), "user": scene.strangers(len(full), "collector")}
    return together(made, scripted(scene, full, paid, ua=ua, **buyer))


@family(oat="OAT-019", weak=Strength(3, 0.3, 3000), medium=Strength(15, 2.5, 1200), strong=Strength(60, 8, 600))
def referral_ring(scene: Scene, how: Strength) -> Rows:
    """Somebody recommends the shop to himself: each friend he makes up buys once for nearly nothing, and both are paid.

    At homes of this country: the page with the friend's code, sign-up (one in ten refused first, 422), the same cheap
    item, the reward's code, checkout, paid. An old account for five addresses looks at its balance after every fifth
    friend, and at last spends all of it.

    Source: PayPal, results of the fourth quarter of 2021 (4.5 million accounts closed, made for rewards), 2022-02-01.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 6.6))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 90))
    pool = scene.addresses(m, "neighbour")
    friends = 1 + m // 5  # who recommends
    whose, turn = np.arange(n) % friends, rng.permutation(n) % m
    ip, ua = pool[turn], scene.browser(pool)[turn]
    steps = [("home", 0.0, 200), ("register", 9.0, 200), ("cart_add", 8.0, 200), ("coupon", 5.0, 200)]
    made = scripted(scene, begins_s, [*steps, ("checkout", 5.0, 200), ("pay", 8.0, 200)], ip=ip, ua=ua)
    codes = scene.world.paths.all([f"/?ref={one:07x}" for one in rng.integers(1 << 28, size=friends).tolist()])
    made["path"][:n] = codes[whose]
    made["user"][2 * n :] = np.tile(scene.strangers(n, "friend"), 4)
    again = rng.random(n) < 0.1
    refused, waited_ms = made[n : 2 * n][again].copy(), made["ts_ms"][n : 2 * n][again] - made["ts_ms"][:n][again]
    refused["status"], refused["ts_ms"] = 422, refused["ts_ms"] - (waited_ms * rng.uniform(0.2, 0.6, len(refused)))
    old, at = scene.accounts(friends, distinct=True), pool[np.arange(friends) % m]
    fifth = np.arange(n) // friends % 5 == 4
    looked_s, by = begins_s[fifth] + 45, whose[fifth]
    looked = scene.requests(looked_s, "balance", ip=at[by], user=old[by], ua=scene.browser(at)[by])
    spends_s = np.full(friends, max(1.0, how.lasts_s - 30)) + rng.uniform(0, 10, friends)
    spent = [("balance", 0.0, 200), ("cart_add", 3.0, 200), ("checkout", 4.0, 200), ("pay", 4.0, 200)]
    return together(made, refused, looked, scripted(scene, spends_s, spent, ip=at, user=old, ua=scene.browser(at)))


@family(oat="OAT-013", weak=Strength(4, 0.3, 3000), medium=Strength(20, 2, 1200), strong=Strength(60, 10, 480))
def bid_sniping(scene: Scene, how: Strength) -> Rows:
    """Lots that close at a fixed moment are bid for by programs in the last two seconds, so that nobody can answer.

    An account an address, signed on long before: half a minute or less before the end the lot is looked at once, then
    two bids within the last two seconds. The later ones are outbid (409), more than a half; whoever was last pays
    within the minute. Lot after lot, between them nothing.

    Source: OWASP Automated Threat Handbook 1.2, OAT-013 (sniping), 2018-02-15.
    """
    rng, m, every_s = scene.rng, how.sources, 180 / how.per_minute
    closes_s = np.arange(0.6 * every_s, max(every_s, how.lasts_s), every_s)
    lots = len(closes_s)
    lot, who = np.repeat(np.arange(lots), m), np.tile(np.arange(m), lots)
    ip, user = scene.addresses(m, "bot"), scene.strangers(m, "bidder")
    ua = scene.browser(ip)
    path = scene.world.items[rng.permutation(len(scene.world.items))[:lots]]
    end_s = closes_s[lot]
    by = {"ip": ip[who], "user": user[who], "ua": ua[who]}
    look_s = end_s - rng.uniform(3, min(30.0, 0.5 * every_s + 3), len(lot))
    looked = scene.requests(look_s, "item", path=path[lot], **by)
    first_s, second_s = end_s - rng.uniform(1.0, 2.0, len(lot)), end_s - rng.uniform(0.05, 0.9, len(lot))
    first = scene.requests(first_s, "cart_add", status=scene.mostly(len(lot), 200, 409, 0.35), **by)
    second = scene.requests(second_s, "cart_add", status=scene.mostly(len(lot), 200, 409, 0.8), **by)
    winner = second_s.reshape(lots, m).argmax(axis=1)
    second["status"][np.arange(lots) * m + winner] = 200
    steps = [("checkout", 10.0, 200), ("pay", 12.0, 200)]
    paid = scripted(scene, closes_s, steps, ip=ip[winner], user=user[winner], ua=ua[winner])
    return together(looked, first, second, paid)
