"""Hard good cases of people who want the same at once: students, gifts, votes, bargains, codes."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, daily, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ABSENT, Ints


@case()
def university_enrolment(scene: Scene) -> Rows:
    """First day of term: hundreds of students behind three addresses make accounts for the student discount.

    As many as the site has requests in a minute (300 at 5 a second), within an hour and a half of a lecture in which it
    was told. One form in six is faulty first (422), one in twelve finds that the student has an account (409) and signs
    in; then profile and coupon, and half look round.
    """
    rng = scene.rng
    told_s, n = scene.moment(0.2, 0.6), max(30, round(scene.requests_per_s * 60))
    begins_s = told_s + np.minimum(rng.gamma(1.3, 900, n), 5400)
    ip, ua = scene.addresses(3, "cgnat")[rng.integers(0, 3, n)], scene.browser(rng.permutation(n))
    has, faulty = rng.random(n) < 1 / 12, rng.random(n) < 1 / 6
    user = scene.strangers(n, "student")
    opened = scene.requests(begins_s, "home", ip=ip, ua=ua)
    sent_s = begins_s + 40 + rng.gamma(3, 15, n)
    wrong = scene.requests(
        sent_s[faulty] - rng.uniform(12, 30, int(faulty.sum())), "register", ip=ip[faulty], status=422
    )
    wrong["ua"] = ua[faulty]
    sent = scene.requests(sent_s, "register", ip=ip, ua=ua, status=np.where(has, 409, 200))
    signs = np.flatnonzero(has)
    signed = scene.requests(sent_s[signs] + 20, "login", ip=ip[signs], user=user[signs], ua=ua[signs])
    steps = [("account", 30.0, 200), ("profile", 25.0, 200), ("coupon", 40.0, 200)]
    inside = scripted(scene, sent_s, steps, ip=ip, user=user, ua=ua)
    stay = np.flatnonzero(rng.random(n) < 0.5)
    look = browse(scene, _visits(scene, sent_s[stay] + 120, ip[stay], user[stay], ua[stay], requests=9))
    return together(opened, wrong, sent, signed, inside, look)


@case()
def gift_morning(scene: Scene) -> Rows:
    """The morning after Christmas: hundreds try the number of their gift card, scratched free and hard to read.

    As many as the site has requests in a minute (300 at 5 a second), over three hours, each from home; nearly half get
    the number wrong, once to four times (404), then a look at the balance, and two in three spend it at once.
    """
    rng = scene.rng
    begins_s = scene.moment(0.2, 0.5) + rng.beta(2, 3, max(30, round(scene.requests_per_s * 60))) * 10_800
    n = len(begins_s)
    ip = np.where(rng.random(n) < 0.8, scene.addresses(n, "home"), scene.addresses(n, "home6"))
    ua = scene.browser(ip)
    misread = np.where(rng.random(n) < 0.45, rng.integers(1, 5, n), 0)
    parts = []
    for times in range(5):
        mine = np.flatnonzero(misread == times)
        steps = [("home", 0.0, 200), *[("balance", 22.0, 404)] * times, ("balance", 25.0, 200)]
        parts.append(scripted(scene, begins_s[mine], steps, ip=ip[mine], ua=ua[mine]))
    spends = np.flatnonzero(rng.random(n) < 2 / 3)
    who = {"ip": ip[spends], "ua": ua[spends]}
    later_s = begins_s[spends] + 130
    steps = [("item", 30.0, 200), ("cart_add", 40.0, 200), ("coupon", 30.0, 200), ("checkout", 20.0, 200)]
    spent = scripted(scene, later_s, [*steps, ("pay", 20.0, 200)], **who)
    m = len(spends)
    spent["path"][:m] = scene.world.items[rng.integers(0, 900, m)]
    slips = np.flatnonzero(rng.random(m) < 0.3)
    again = scene.requests(later_s[slips] + 75, "coupon", ip=who["ip"][slips], ua=who["ua"][slips], status=404)
    return together(*parts, spent, again)


@case()
def club_vote(scene: Scene) -> Rows:
    """A sports club asks its members to vote for its shirt: within two hours all come for one item and vote once.

    As many as the site has requests in 50 seconds (250 at 5 a second), a fifth of them in the club house behind one
    address. Three in five make an account for it, the rest sign in, with typos; one in eight votes again (409).
    """
    rng = scene.rng
    asked_s, n = scene.moment(0.25, 0.65), max(30, round(scene.requests_per_s * 50))
    begins_s = asked_s + np.minimum(rng.gamma(1.2, 1500, n), 7200)
    ip = np.where(rng.random(n) < 0.2, scene.addresses(1, "office")[0], scene.addresses(n, "crowd"))
    ua, item = scene.world.browsers[rng.integers(0, 16, n)], int(rng.integers(500, 3000))
    fresh = rng.random(n) < 0.6
    user = np.where(fresh, scene.strangers(n, "clubmember"), scene.accounts(n, distinct=True))
    votes = scene.world.paths.all([f"/reviews/{item}7/vote", f"/reviews/{item}9/vote"])
    parts = []
    for new in (True, False):
        mine = np.flatnonzero(fresh == new)
        steps = [("item", 0.0, 200), ("register" if new else "login", 45.0, 200), ("reviews", 15.0, 200)]
        m, who = len(mine), {"ip": ip[mine], "ua": ua[mine]}
        made = scripted(scene, begins_s[mine], [*steps, ("vote", 12.0, 200), ("vote", 20.0, 409)], **who)
        made["path"][:m], made["path"][2 * m : 3 * m] = scene.world.items[item], scene.world.reviews[item]
        made["path"][3 * m : 4 * m], made["path"][4 * m :] = votes[0], votes[rng.integers(0, 2, m)]
        made["user"][(2 if new else 1) * m :] = np.tile(user[mine], 3 if new else 4)
        again = rng.random(m) < 1 / 8
        typo = np.flatnonzero(rng.random(m) < 0.14) if not new else np.arange(0)
        failed = made[m + typo].copy()
        failed["status"], failed["ts_ms"] = 401, failed["ts_ms"] - rng.integers(5000, 20_000, len(typo))
        parts += [made[np.concatenate([np.ones(4 * m, bool), again])], failed]
    return together(*parts)


@case()
def late_codes(scene: Scene) -> Rows:
    """The provider of messages is slow for forty minutes: codes come when they have lapsed, and people ask for more.

    As many members as the site has requests in 16 seconds (80 at 5 a second). Each signs in well, tries one to three
    codes that are too old (401), signs in again for another, up to four times, and is let in in the end.
    """
    rng = scene.rng
    slow_s, n = scene.moment(0.2, 0.7), max(20, round(scene.requests_per_s * 16))
    begins_s = slow_s + rng.uniform(0, 2400, n)
    shared = scene.addresses(max(3, n // 9), "cgnat")
    ip = np.where(rng.random(n) < 0.7, scene.addresses(n, "home"), shared[rng.integers(0, len(shared), n)])
    user, ua = scene.accounts(n, distinct=True), scene.browser(rng.permutation(n))
    rounds, parts = rng.integers(1, 5, n), []
    for times in range(1, 5):
        mine = np.flatnonzero(rounds == times)
        steps: list[tuple[str, float, int]] = []
        for nth in range(times):
            steps += [("login", 30.0 if nth else 0.0, 200), *[("verify", 40.0, 401)] * int(rng.integers(1, 4))]
        steps += [("login", 60.0, 200), ("verify", 80.0, 200), ("account", 3.0, 200)]
        parts.append(scripted(scene, begins_s[mine], steps, ip=ip[mine], user=user[mine], ua=ua[mine]))
    stay = np.flatnonzero(rng.random(n) < 0.6)
    look = browse(scene, _visits(scene, begins_s[stay] + 900, ip[stay], user[stay], ua[stay], requests=8))
    return together(*parts, look)


@case()
def price_mistake(scene: Scene) -> Rows:
    """An item stands in the shop at a tenth of its price, and a forum of bargains finds it.

    As many as the site has requests in 70 seconds (350 at 5 a second), within twenty-five minutes. They put it into the
    cart once to six times, a third make an account, pay (one in nine declined), and look every two minutes whether the
    order stands; after that the item is sold out (409).
    """
    rng = scene.rng
    found_s, n = scene.moment(0.3, 0.7), max(30, round(scene.requests_per_s * 70))
    begins_s = found_s + np.minimum(rng.gamma(1.6, 260, n), 1500)
    ip, ua = scene.addresses(n, "crowd"), scene.world.browsers[rng.integers(0, 16, n)]
    user, item = scene.strangers(n, "bargain"), int(scene.world.items[3107])
    seen = scene.requests(begins_s, "item", path=np.full(n, item), ip=ip, ua=ua)
    times = np.repeat(np.arange(n), rng.integers(1, 7, n))
    late = begins_s > found_s + 900
    carts_s = begins_s[times] + rng.uniform(4, 60, len(times))
    carts = scene.requests(carts_s, "cart_add", ip=ip[times], ua=ua[times], status=np.where(late[times], 409, 200))
    buys = np.flatnonzero(~late & (rng.random(n) < 0.75))
    m, who = len(buys), {"ip": ip[buys], "ua": ua[buys]}
    steps = [("register", 70.0, 200), ("checkout", 30.0, 200), ("pay", 35.0, 200)]
    bought = scripted(scene, begins_s[buys], steps, **who)
    bought["user"][m:] = np.tile(user[buys], 2)
    bought["status"][2 * m :] = scene.mostly(m, 200, 402, 1 / 9)
    has = np.concatenate([rng.random(m) < 1 / 3, np.ones(2 * m, bool)])  # the others had one, and are signed in
    looks = np.repeat(buys, rng.integers(3, 14, m))
    nth = np.arange(len(looks)) - np.searchsorted(looks, looks)
    looks_s = begins_s[looks] + 160 + nth * 120 + rng.uniform(-25, 25, len(looks))
    orders = scene.requests(looks_s, "orders", ip=ip[looks], user=user[looks], ua=ua[looks])
    return together(seen, carts, bought[has], orders)


@case()
def privacy_relay(scene: Scene) -> Rows:
    """People whose browser hides them behind a relay: two of forty rented addresses each, another at every visit.

    As many visits as the site has requests in 50 seconds (250 at 5 a second), spread over the whole run as people are.
    Half have an account and sign in, with typos; within a visit pages come by the one address and by the other.
    """
    rng = scene.rng
    n = max(20, round(scene.requests_per_s * 50))
    member = rng.random(n) < 0.5
    failures = np.where(member, typos(scene, n), ABSENT)
    visit = Visit(
        start_s=daily(scene, n, scene.start_ms),
        requests=np.minimum(rng.geometric(1 / 12, n) + 1, 120),
        ip=np.arange(n),
        user=np.where(member, scene.accounts(n), ABSENT),
        ua=scene.world.browsers[rng.integers(4, 8, n)],
        failures=failures,
        known=np.zeros(n, bool),
    )
    made = browse(scene, visit)
    pool = scene.addresses(40, "hosting")
    other = rng.random(len(made)) < 0.35
    made["ip"] = pool[(made["ip"] * 7919 + np.where(other, 13, 0)) % len(pool)]
    return made


def _visits(scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints, *, requests: float) -> Visit:
    """Visits of people who are signed in already."""
    n = len(start_s)
    many = np.minimum(scene.rng.geometric(1 / requests, n) + 1, 80)
    return Visit(start_s, many, ip, user, ua, failures=np.full(n, ABSENT), known=user != ABSENT)
