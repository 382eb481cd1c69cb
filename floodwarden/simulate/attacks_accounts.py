"""Attacks on accounts, keys and the codes that are sent to people."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS

_SIGN_UP: Final = (
    ("home", 0.0, 200), ("register", 6.0, 200), ("account", 2.0, 200), ("profile", 4.0, 200), ("coupon", 5.0, 200),
)  # fmt: skip
_HARVEST: Final = (
    ("login", 0.0, 200), ("account", 6.0, 200), ("orders", 8.0, 200), ("orders", 5.0, 200), ("orders", 5.0, 200),
    ("logout", 7.0, 200),
)  # fmt: skip


@family(oat="OAT-019", weak=Strength(60, 0.25, 2400), medium=Strength(80, 1.5, 1200), strong=Strength(40, 20, 600))
def fake_accounts(scene: Scene, how: Strength) -> Rows:
    """Accounts are made in series, each fills its profile in and takes the welcome coupon.

    Two an address from homes worldwide, or forty from rented machines. One in eight is refused first (422, the check
    for humans not passed), one in thirty finds its name taken (409); both try again at once.

    Source: OWASP Automated Threat Handbook 1.2, OAT-019, 2018-02-15; Microsoft, "Bold action against fraud: disrupting
    Storm-1152", 2023-12: 750 million accounts made to be sold.
    """
    rng = scene.rng
    n = max(3, int(how.sources * how.per_s * how.lasts_s / (len(_SIGN_UP) + 0.16)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 15))
    ip = scene.by_turns(scene.addresses(how.sources, "hosting" if how.per_minute >= 10 else "bot"), n)
    ua = scene.browser(ip)
    made = scripted(scene, begins_s, _SIGN_UP, ip=ip, ua=ua)
    made["user"][2 * n :] = np.tile(scene.strangers(n, "fresh"), len(_SIGN_UP) - 2)
    again = np.flatnonzero(rng.random(n) < 0.16)
    refused_s = (made["ts_ms"][n : 2 * n][again] / 1000) - rng.uniform(1, 3, len(again))
    answer = scene.mostly(len(again), 422, 409, 0.2)
    return together(made, scene.requests(refused_s, "register", ip=ip[again], ua=ua[again], status=answer))


@family(oat="OAT-007", weak=Strength(24, 1, 2400), medium=Strength(8, 20, 900), strong=Strength(1, 900, 300))
def key_guessing(scene: Scene, how: Strength) -> Rows:
    """API keys are guessed, another one at every request; one in fifteen hundred is a customer's, and is used at once.

    No key comes twice, so no limit of a key bites. With the key that fits, thirty orders and items are read, one a
    second, and the guessing goes on.

    Source: OWASP API Security Top 10, API2:2023 (broken authentication: brute force of tokens), 2023-06.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ua = scene.tool("Go-http-client/1.1")
    guesses = scene.rng.integers(1 << 48, size=n).tolist()
    key = scene.world.keys.all([f"key-{guess:012x}" for guess in guesses])
    fits = np.flatnonzero(scene.rng.random(n) < 1 / 1500)
    theirs = scene.world.keys.all([f"key-app-{number:02d}" for number in scene.rng.integers(0, 40, len(fits))])
    status = np.full(n, 401)
    key[fits], status[fits] = theirs, 200
    tries = scene.requests(at_s, "api_orders", ip=ip, key=key, status=status, ua=ua)
    read_s = (at_s[fits][:, None] + 1 + np.cumsum(scene.rng.gamma(3, 1 / 3, (len(fits), 30)), axis=1)).ravel()
    item = scene.world.api_items[scene.rng.integers(0, ITEMS, len(read_s))]
    who, what = np.repeat(ip[fits], 30), np.repeat(theirs, 30)
    return together(tries, scene.requests(read_s, "api_item", path=item, ip=who, key=what, ua=ua))


@family(oat="OAT-008", weak=Strength(60, 0.1, 3000), medium=Strength(250, 0.4, 1500), strong=Strength(400, 1.5, 900))
def account_harvest(scene: Scene, how: Strength) -> Rows:
    """Pairs known to fit, a home address for one to five accounts: in, the orders page by page, out again.

    Nine in ten logins succeed at the first try; the rest have been changed since, and nothing follows. One account in
    twenty-five orders something with the stored card.

    Source: 23andMe, filing with the SEC of 2023-12-01: 14,000 accounts by reused passwords, and
    millions of profiles read through them; Roku, 2024-04-12: 576,000 accounts, fewer than 400 used to order;
    OWASP OAT-008.
    """
    rng = scene.rng
    n = max(3, int(how.sources * how.per_s * how.lasts_s / len(_HARVEST)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 30))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    user = scene.accounts(n, distinct=True)
    made = scripted(scene, begins_s, _HARVEST, ip=ip, user=user, ua=scene.browser(ip))
    stale = rng.random(n) < 0.08
    made["status"][:n][stale] = 401
    kept = made[~np.concatenate([np.zeros(n, bool), np.tile(stale, len(_HARVEST) - 1)])]
    buys = np.flatnonzero(~stale & (rng.random(n) < 0.04))
    steps = [("cart_add", 2.0, 200), ("checkout", 4.0, 200), ("pay", 3.0, 200)]
    ordered = scripted(scene, begins_s[buys] + 12, steps, ip=ip[buys], user=user[buys], ua=scene.browser(ip[buys]))
    return together(kept, ordered)


@family(weak=Strength(30, 0.2, 2400), medium=Strength(60, 2, 1200), strong=Strength(150, 8, 600))
def sms_pumping(scene: Scene, how: Strength) -> Rows:
    """Reset codes are sent to telephone numbers one after the other, of a block that pays for each; none is ever used.

    The numbers are neighbours and never come twice; one in fifteen is refused as no number (422). The address changes
    every few requests, and no address goes on to anything else.

    Source: Twilio, "What is SMS pumping fraud and how to stop it", 2024-04-10; OWASP API Security Top 10, API4:2023,
    first scenario, 2023-06.
    """
    n = max(3, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    first = 99_900_000_000 + int(scene.rng.integers(1000)) * 100_000  # +999 is no country's
    numbers = scene.world.users.all([f"+{first + number}" for number in range(n)])
    status = scene.mostly(n, 202, 422, 1 / 15)
    return scene.requests(at_s, "reset", ip=ip, user=numbers, status=status, ua=scene.browser(ip))
