"""Hard good cases of people: offices, shared networks, sales, mails, and everybody at the door at once."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Mask, case, change
from floodwarden.simulate.people import Visit, browse, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Ints


@case()
def new_office(scene: Scene) -> Rows:
    """Sixty people move in behind one address nobody has seen; all come within half an hour and sign in.

    Sixty people, two to four visits each in three hours; four in five have accounts, seven make one. Two mistype
    their password a dozen times between them.
    """
    rng, people = scene.rng, 60
    opens_s = scene.moment(0.15, 0.5)
    who = np.repeat(np.arange(people), rng.integers(2, 5, people))
    first = np.concatenate(([True], np.diff(who) != 0))
    begins_s = opens_s + np.where(first, rng.gamma(3, 300, len(who)), rng.uniform(1800, 10_800, len(who)))
    accounts = scene.accounts(people, distinct=True)
    member = rng.random(people) < 0.8
    failures = np.where(first & member[who], typos(scene, len(who)), ABSENT)
    failures[np.flatnonzero(failures >= 0)[:2]] = 6
    ip = np.full(len(who), scene.addresses(1, "office")[0])
    ua = scene.world.browsers[rng.integers(0, 5, people)][who]
    made = browse(
        scene, _visits(scene, begins_s, ip, np.where(member, accounts[np.arange(people)], ABSENT)[who], ua, failures)
    )
    joins_s = opens_s + rng.gamma(3, 500, 7)
    newcomers = scripted(
        scene, joins_s, [("home", 0, 200), ("register", 25, 200), ("account", 4, 200), ("profile", 30, 200)],
        ip=int(ip[0]), user=scene.strangers(7, "colleague"), ua=int(ua[0]),
    )  # fmt: skip
    newcomers["user"][: 2 * len(joins_s)] = ABSENT
    return together(made, newcomers)


@case()
def newsletter(scene: Scene) -> Rows:
    """A mailing with a dead link: hundreds click on it within minutes, then a corrected one goes out.

    As many readers as the site has requests in two minutes (600 at 5 a second), half of them known. For 25 minutes
    they get 404, one in three tries again, most go to the front page. Twelve mail gateways test the link 10 to 40 times
    each.
    """
    rng = scene.rng
    sent_s, dead_s = scene.moment(0.3, 0.6), 1500.0
    n = max(40, round(scene.requests_per_s * 120))
    click_s = sent_s + np.minimum(rng.gamma(1.1, 420, n), 7200)
    lost = click_s < sent_s + dead_s
    ip = scene.addresses(n, "crowd")
    user = np.where(rng.random(n) < 0.5, scene.accounts(n), ABSENT)
    ua = scene.browser(ip)
    again = lost & (rng.random(n) < 0.33)
    times = np.concatenate([click_s[lost], click_s[again] + rng.uniform(3, 20, int(again.sum()))])
    who = np.concatenate([np.flatnonzero(lost), np.flatnonzero(again)])
    slug = "/blog/autumn-colection?utm_source=mail&utm_campaign=41"
    missed = scene.requests(times, "article", path=slug, ip=ip[who], user=user[who], ua=ua[who], status=404)
    found = np.flatnonzero(~lost)
    live = scene.requests(
        click_s[found],
        "article",
        path=slug.replace("colection", "collection"),
        ip=ip[found],
        user=user[found],
        ua=ua[found],
    )
    stay = np.flatnonzero(rng.random(n) < np.where(lost, 0.6, 0.8))
    after = browse(
        scene, _visits(scene, click_s[stay] + rng.uniform(4, 40, len(stay)), ip[stay], user[stay], ua[stay], None, 6)
    )
    gateways = scene.addresses(12, "office")
    tests = np.repeat(np.arange(12), rng.integers(10, 41, 12))
    tested = scene.requests(
        sent_s + rng.gamma(2, 25, len(tests)),
        "article",
        path=slug,
        ip=gateways[tests],
        ua=scene.tool("Mozilla/5.0 (compatible; LinkGuard/3)"),
        status=404,
    )
    return together(missed, live, after, tested)


@case()
def flash_sale(scene: Scene) -> Rows:
    """A limited sale at a fixed minute: everybody reloads the page, then all press the button, and most get nothing.

    As many people as the site has requests in a minute (300 at 5 a second). They reload every 3 to 12 seconds for up to
    ten minutes, one in twenty with a plug-in twice a second (and gets 429). At the minute each tries its cart 1 to 8
    times: 409 sold out, 503 overload, one in six succeeds and pays. Most are members, signed in since they came.
    """
    rng = scene.rng
    on_sale_s, n = scene.moment(0.4, 0.7), max(30, round(scene.requests_per_s * 60))
    begins_s = on_sale_s - np.minimum(rng.gamma(1.5, 120, n), 600)
    ip = scene.addresses(n, "crowd")
    user = np.where(rng.random(n) < 0.8, scene.accounts(n, distinct=True), ABSENT)
    ua = scene.browser(ip)
    every_s = np.where(rng.random(n) < 0.05, 0.5, rng.uniform(3, 12, n))
    ends_s = on_sale_s + rng.uniform(5, 120, n)
    reloads = np.maximum(((ends_s - begins_s) / every_s).astype(np.int64), 1)
    who = np.repeat(np.arange(n), reloads)
    at_s = begins_s[who] + rng.random(len(who)) * (ends_s - begins_s)[who]
    item = int(scene.by_turns(scene.world.items, 1)[0])
    busy = (at_s > on_sale_s - 10) & (at_s < on_sale_s + 60) & (rng.random(len(who)) < 0.08)
    seen = scene.requests(
        at_s,
        "item",
        path=np.full(len(who), item),
        ip=ip[who],
        user=user[who],
        ua=ua[who],
        status=np.where(busy, 503, 200),
    )
    tries = np.repeat(np.arange(n), rng.integers(1, 9, n))
    pressed_s = on_sale_s + rng.gamma(1.2, 14, len(tries))
    answer = rng.choice([409, 503], len(tries), p=[0.8, 0.2])
    winner = rng.random(n) < 1 / 6
    last = np.concatenate((np.diff(tries) != 0, [True]))
    answer[last & winner[tries]] = 200
    carts = scene.requests(pressed_s, "cart_add", ip=ip[tries], user=user[tries], ua=ua[tries], status=answer)
    won = np.flatnonzero(last & winner[tries])
    steps = [("cart", 1.5, 200), ("checkout", 12, 200), ("pay", 25, 200)]
    paid = scripted(scene, pressed_s[won], steps, ip=ip[tries[won]], user=user[tries[won]], ua=ua[tries[won]])
    return together(seen, carts, paid)


@case()
def stadium_wifi(scene: Scene) -> Rows:
    """A match: a thousand guests behind two addresses for two hours, most of them in the break.

    As many guests as the site has requests in 200 seconds (1,000 at 5 a second); half come in the fifteen minutes of
    the break, and the limit of an address refuses some. One in four signs in, with typos.
    """
    rng = scene.rng
    kick_off_s, n = scene.moment(0.2, 0.5), max(30, round(scene.requests_per_s * 200))
    at_break = rng.random(n) < 0.5
    begins_s = kick_off_s + np.where(at_break, rng.uniform(2700, 3600, n), rng.uniform(0, 6600, n))
    ip = scene.by_turns(scene.addresses(2, "cgnat"), n)
    member = rng.random(n) < 0.25
    failures = np.where(member, typos(scene, n), ABSENT)
    ua = scene.world.browsers[rng.integers(12, 16, n)]
    user = np.where(member, scene.accounts(n, distinct=True), ABSENT)
    return browse(scene, _visits(scene, begins_s, ip, user, ua, failures, 9))


@case()
def forced_reset(scene: Scene) -> Rows:
    """After a leak elsewhere a fifth of the members is told to choose a new password; their old one no longer fits.

    A fifth of the accounts, most in the first hour after the mail, each from its home: one to three failed logins,
    a reset, a failed login with the code of an older mail now and then, then in.
    """
    rng = scene.rng
    mail_s, n = scene.moment(0.2, 0.6), max(12, scene.clients // 5)
    begins_s = mail_s + np.minimum(rng.gamma(1.2, 1500, n), 10_800)
    ip = scene.addresses(n, "home")
    who = {"ip": ip, "user": scene.accounts(n, distinct=True), "ua": scene.browser(ip)}
    old = rng.integers(1, 4, n)
    parts = []
    for failures in (1, 2, 3):
        mine = np.flatnonzero(old == failures)
        steps = [("home", 0.0, 200), *[("login", 9.0, 401)] * failures, ("reset", 20.0, 202)]
        steps += [("login", 90.0, 401)] if failures == 2 else []
        steps += [("login", 60.0, 200), ("account", 3.0, 200), ("orders", 20.0, 200)]
        parts.append(scripted(scene, begins_s[mine], steps, **{name: codes[mine] for name, codes in who.items()}))
    return together(*parts)


@change()
def app_update(scene: Scene, made: Rows) -> Mask:
    """A new version of the app spreads over a third of all visitors: a new name, new routes, and a call too many.

    Within two hours. Their pages come from `/api/v2/` now, under an agent nobody has seen. For the first hour one
    request in twelve goes to `/api/v2/promo`, which is not there (404), and one in fifty is refused as malformed (400).
    """
    rng = scene.rng
    begin_ms = int(scene.moment(0.2, 0.4) * 1000)
    addresses = int(made["ip"].max()) + 1
    updates = rng.random(addresses) < 1 / 3
    at_ms = begin_ms + (rng.beta(2, 3, addresses) * min(7_200_000, scene.span_s * 300)).astype(np.int64)
    page = np.isin(made["endpoint"], [ENDPOINT_CODES[name] for name in ("item", "list", "search", "reviews", "home")])
    plain = (made["label"] == 0) & (made["key"] == ABSENT) & (made["status"] == 200) & page
    touched = plain & updates[made["ip"]] & (made["ts_ms"] >= at_ms[made["ip"]])
    rows = np.flatnonzero(touched)
    texts = scene.world.paths.all([f"/api/v2/items/{number}" for number in range(1, len(scene.world.items) + 1)])
    made["endpoint"][rows], made["path"][rows] = (
        ENDPOINT_CODES["app_item"],
        texts[rng.integers(0, len(texts), len(rows))],
    )
    feed = rows[rng.random(len(rows)) < 0.4]
    made["endpoint"][feed], made["path"][feed] = ENDPOINT_CODES["app_feed"], scene.world.fixed("app_feed")
    unfixed = rows[made["ts_ms"][rows] < begin_ms + 3_600_000]
    drawn = rng.random(len(unfixed))
    gone, malformed = unfixed[drawn < 1 / 12], unfixed[(drawn > 0.5) & (drawn < 0.52)]
    made["endpoint"][gone], made["path"][gone] = ENDPOINT_CODES["missing"], scene.world.paths.code("/api/v2/promo")
    made["status"][gone], made["status"][malformed] = 404, 400
    agents = scene.world.agents.all(
        [f"ShopApp/6.0.0 ({system})" for system in ("Android 15", "Android 14", "iOS 18.5")]
    )
    made["ua"][rows] = agents[made["ip"][rows] % len(agents)]
    return np.asarray(touched)


@change()
def carrier_switch(scene: Scene, made: Rows) -> Mask:
    """A provider puts its customers behind a few shared addresses at once, and who was signed in is thrown out.

    A sixth of the visitors from home, one new address for every 250 of the site's members (eight at 2,000). The first
    request after it fails (401, a token renewed).
    """
    begin_ms = int(scene.moment(0.3, 0.7) * 1000)
    provider = np.array(scene.world.asns) == 64_498
    touched = (made["label"] == 0) & (made["key"] == ABSENT) & provider[made["ip"]] & (made["ts_ms"] >= begin_ms)
    rows = np.flatnonzero(touched)
    rows = rows[np.argsort(made["ts_ms"][rows], kind="stable")]
    _, first = np.unique(made["ip"][rows], return_index=True)
    known = rows[first][made["user"][rows[first]] != ABSENT]
    made["endpoint"][known], made["path"][known] = ENDPOINT_CODES["token"], scene.world.fixed("token")
    made["status"][known] = 401
    pool = scene.addresses(max(3, scene.clients // 250), "cgnat")
    made["ip"][rows] = pool[made["ip"][rows] * 7919 % len(pool)]
    return np.asarray(touched)


def _visits(
    scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints, failures: Ints | None, requests: float = 13
) -> Visit:
    """Visits of people, signed in from the start where there is an account and nothing said of failures."""
    n = len(start_s)
    return Visit(
        start_s=start_s,
        requests=np.minimum(scene.rng.geometric(1 / requests, n) + 1, 120),
        ip=ip,
        user=user,
        ua=ua,
        failures=np.full(n, ABSENT) if failures is None else failures,
        known=user != ABSENT if failures is None else (user != ABSENT) & (failures < 0),
    )
