"""Attacks that end in other people's accounts: moved numbers, a back office, seats sold, an app's worm."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import orders_of, staff_accounts
from floodwarden.simulate.world import ITEMS

_HIJACKED: Final = (
    ("reset", 0.0, 202), ("verify", 40.0, 200), ("login", 15.0, 200), ("verify", 12.0, 200), ("profile", 20.0, 200),
    ("cart_add", 25.0, 200), ("checkout", 10.0, 200), ("pay", 15.0, 200),
)  # fmt: skip
_SEAT_ITEMS: Final = 6
_GROWTH: Final = 3.0  # of a worm: at the end twenty times as many an hour as in the beginning
_REVOKED: Final = 0.9  # of its time, until the app is shut out


@family(weak=Strength(2, 0.25, 3000), medium=Strength(6, 2, 1200), strong=Strength(20, 8, 480))
def number_hijack(scene: Scene, how: Strength) -> Rows:
    """Customers' telephone numbers were moved to other cards: a new password, its code, in, and all of it is theirs.

    Reset (202), code, sign-on, second factor, all right at the first try; then a new profile and a purchase, account
    after account at the same telephones. One number in five has been moved back: its code is wrong (401), and nothing
    follows.

    Source: FBI, Internet Crime Complaint Center, public service announcement on SIM swapping, 2022-02-08: 1,611
    complaints and 68 million dollars in 2021.
    """
    steps = len(_HIJACKED)
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (0.8 * steps + 0.4)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 120))
    ip = scene.by_turns(scene.addresses(how.sources, "sim"), n)
    made = scripted(scene, begins_s, _HIJACKED, ip=ip, user=scene.accounts(n, distinct=True), ua=scene.browser(ip))
    moved_back, step = np.tile(scene.rng.permutation(n) % 5 == 4, steps), np.repeat(np.arange(steps), n)
    made["status"][moved_back & (step == 1)] = 401
    return np.asarray(made[~moved_back | (step <= 1)])


@family(weak=Strength(2, 1, 2400), medium=Strength(4, 8, 900), strong=Strength(12, 25, 480))
def panel_takeover(scene: Scene, how: Strength) -> Rows:
    """One of the staff was talked out of a password: with it customers are looked up, and some of them taken over.

    From a third of its rented machines, a member of the staff each: the sign-on is wrong twice (401), then right; two
    orders of each customer are looked up. For one customer in three the other machines then have a new password sent
    (202), sign on with it and change the profile, all within a few minutes.

    Source: Twitter, update of 2020-07-18 (130 accounts, 45 of them reset); New York State Department of Financial
    Services, report on that incident, 2020-10-14.
    """
    rng = scene.rng
    desks = max(1, how.sources // 3)
    n = max(3 * how.sources, round(how.sources * how.per_s * how.lasts_s / 3) - desks)
    pool = scene.addresses(how.sources, "hosting")
    desk, others = pool[:desks], pool[desks:]
    staff = rng.permutation(staff_accounts(scene))[:desks]
    wrong_s, right_s = rng.uniform(0, 18, 2 * desks), rng.uniform(19, 25, desks)
    told = np.repeat(np.arange(desks), 2)
    failed = scene.requests(wrong_s, "sso", ip=desk[told], user=staff[told], ua=scene.browser(desk)[told], status=401)
    signed = scene.requests(right_s, "sso", ip=desk, user=staff, ua=scene.browser(desk))
    seen_s, turn = 28 + scene.scattered(n, max(1.0, how.lasts_s - 150)), rng.permutation(n) % desks
    victim = scene.accounts(n, distinct=True)
    parts = [failed, signed]
    for nth in (0, 1):
        path = [f"/backoffice/orders/{number}" for number in orders_of(scene, victim, nth).tolist()]
        who = {"ip": desk[turn], "user": staff[turn], "ua": scene.browser(desk)[turn]}
        parts.append(scene.requests(seen_s + nth * rng.uniform(3, 9, n), "backoffice", path=path, **who))
    taken = np.arange(n) % 3 == 0
    ip = scene.by_turns(others, int(taken.sum()))
    steps = [("reset", 25.0, 202), ("login", 30.0, 200), ("profile", 20.0, 200)]
    return together(*parts, scripted(scene, seen_s[taken] + 10, steps, ip=ip, user=victim[taken], ua=scene.browser(ip)))


@family(oat="OAT-008", weak=Strength(12, 0.2, 3000), medium=Strength(80, 0.5, 1500), strong=Strength(300, 2, 480))
def seat_resale(scene: Scene, how: Strength) -> Rows:
    """A member's stolen account is sold again and again: the app is opened with it all over the world at once.

    One to eight accounts, the password known; each buyer at home signs on with his own telephone, has the feed and six
    items, and comes once or twice. One in twelve mistypes what he bought first (401).

    Source: ZDNet (C. Cimpanu), "Thousands of hacked Disney+ accounts are already for sale on hacking forums",
    2019-11-16.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_SEAT_ITEMS + 2.08)))
    begins_s = 12 + scene.scattered(n, max(1.0, how.lasts_s - 110))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    phones = scene.world.agents.all(
        [f"ShopApp/5.9.4 ({system})" for system in ("Android 15", "iOS 18.5", "Android 13", "iOS 17.6", "Android 14")]
    )
    user = scene.by_turns(scene.accounts(1 + how.sources // 40, distinct=True), n)
    steps = [("login", 0.0, 200), ("app_feed", 4.0, 200), *[("app_item", 12.0, 200)] * _SEAT_ITEMS]
    made = scripted(scene, begins_s, steps, ip=ip, user=user, ua=phones[ip % len(phones)])
    read = [f"/api/v2/items/{number}" for number in rng.integers(1, ITEMS, _SEAT_ITEMS * n).tolist()]
    made["path"][2 * n :] = scene.world.paths.all(read)
    mistyped = made[:n][rng.random(n) < 1 / 12].copy()
    mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - rng.integers(4000, 11_000, len(mistyped))
    return together(made, mistyped)


@family(oat="OAT-017", weak=Strength(1, 2, 2400), medium=Strength(4, 15, 900), strong=Strength(20, 25, 480))
def consent_worm(scene: Scene, how: Strength) -> Rows:
    """An app that people allowed into their accounts writes to others in their name, and those allow it in as well.

    No password and no sign-on: from the app's machines a token, the account, and two reviews with the link, an account
    once. It grows as worms do, twenty times as fast at the end as in the beginning; one review in ten is held back
    (422). After nine tenths of the time the app is shut out, and each token is refused (401).

    Source: Google on the worm that called itself Google Docs, 2017-05-03: a million accounts within an hour.
    """
    rng, steps = scene.rng, [("token", 0.0, 200), ("account", 1.5, 200), ("review", 3.0, 200), ("review", 2.0, 200)]
    n = max(2, how.sources, round(how.sources * how.per_s * how.lasts_s / 3.3))
    span_s = max(1.0, how.lasts_s - 10)
    begins_s = np.sort(span_s * np.log1p(rng.random(n) * np.expm1(_GROWTH)) / _GROWTH)
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("ShareCart/1.0 node-fetch/3.3.2")
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.accounts(n, distinct=True), ua=ua)
    written = slice(2 * n, 4 * n)
    made["path"][written] = scene.world.reviews[rng.integers(0, ITEMS, 2 * n)]
    made["status"][written] = scene.mostly(2 * n, 200, 422, 0.1)
    refused = begins_s > _REVOKED * span_s
    made["status"][:n][refused] = 401
    return np.asarray(made[~np.concatenate([np.zeros(n, bool), np.tile(refused, 3)])])
