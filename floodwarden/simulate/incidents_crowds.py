"""Hard good cases of people: a launch, an exam, a message to every phone, Monday, readers, a help desk."""

from __future__ import annotations

import heapq

import numpy as np

from floodwarden.simulate.declare import Mask, case
from floodwarden.simulate.people import Visit, browse
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ABSENT, Ints

_LOGINS_A_MINUTE = 30  # the site's limit of an address


@case()
def waiting_room(scene: Scene) -> Rows:
    """A launch with a waiting room: everybody's page asks for its place every fifteen seconds, until it is let in.

    As many people as the site has requests in 80 seconds (400 at 5 a second), all within ten minutes, let in one after
    the other over forty. The page asks by itself, so hundreds keep time like clocks; then they look and a third buys.
    """
    rng = scene.rng
    opens_s, n = scene.moment(0.3, 0.6), max(30, round(scene.requests_per_s * 80))
    comes_s = opens_s + rng.gamma(1.6, 110, n)
    waits_s = 30 + (2400 - 30) * np.sort(rng.random(n)) ** 1.4 * 0.6
    ip, ua = scene.addresses(n, "crowd"), scene.browser(np.arange(n))
    user = np.where(rng.random(n) < 0.6, scene.accounts(n, distinct=True), ABSENT)
    asks = np.maximum(1, (waits_s / 15).astype(np.int64))
    who = np.repeat(np.arange(n), asks)
    nth = np.arange(len(who)) - np.repeat(np.cumsum(asks) - asks, asks)
    at_s = comes_s[who] + nth * 15 + rng.normal(0, 0.15, len(who))
    waited = scene.requests(at_s, "queue", ip=ip[who], user=user[who], ua=ua[who])
    in_s = comes_s + waits_s + 2
    looked = browse(scene, _visits(scene, in_s, ip, user, ua, requests=6))
    buys = np.flatnonzero(rng.random(n) < 1 / 3)
    steps = [("cart_add", 40.0, 200), ("cart", 3.0, 200), ("checkout", 15.0, 200), ("pay", 30.0, 200)]
    bought = scripted(scene, in_s[buys], steps, ip=ip[buys], user=user[buys], ua=ua[buys])
    return together(waited, looked, bought)


@case()
def exam_start(scene: Scene) -> Rows:
    """An exam begins at the full minute: hundreds of pupils sign in at once behind three addresses of their schools.

    As many pupils as the site has requests in 36 seconds (180 at 5 a second). More than the limit lets in: who is
    refused (429) tries again after 5 to 25 seconds until it fits, one in ten mistypes first. Then each opens the same
    two pages and little else for an hour.
    """
    rng = scene.rng
    begins_s, n = scene.moment(0.2, 0.6) // 60 * 60, max(24, round(scene.requests_per_s * 36))
    ip = scene.addresses(3, "office")[np.arange(n) % 3]
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 3, n)]
    tries_s, who, status = _let_in(scene, begins_s + rng.gamma(2, 12, n), np.arange(n) % 3, rng.random(n) < 0.1)
    signed = scene.requests(tries_s, "login", ip=ip[who], user=user[who], ua=ua[who], status=status)
    inside_s = np.zeros(n)
    inside_s[who] = tries_s  # in order: the last try is the one let in
    opened = scripted(
        scene, inside_s + 2, [("article", 3, 200), ("static", 1, 200), ("account", 5, 200)], ip=ip, user=user, ua=ua
    )
    reads = np.repeat(np.arange(n), rng.integers(2, 7, n))
    read_s = inside_s[reads] + rng.uniform(60, 3600, len(reads))
    page = scene.requests(
        read_s, "article", path=scene.world.articles[7:8].repeat(len(reads)), ip=ip[reads], user=user[reads],
        ua=ua[reads],
    )  # fmt: skip
    return together(signed, opened, page)


@case()
def push_burst(scene: Scene) -> Rows:
    """A message goes to every phone: within two minutes a crowd of members opens the app, on the same item.

    As many as the site has requests in two minutes (600 at 5 a second), behind one carrier address for every dozen. The
    app renews its token first (one in thirty has to sign in anew), then feed and item; two in five look round.
    """
    rng = scene.rng
    sent_s, n = scene.moment(0.25, 0.75), max(30, round(scene.requests_per_s * 120))
    begins_s = sent_s + rng.gamma(1.5, 40, n)
    ip = scene.by_turns(scene.addresses(max(4, n // 12), "cgnat"), n)
    user = scene.accounts(n, distinct=True)
    ua = scene.world.agents.all([f"ShopApp/5.9.4 ({system})" for system in ("Android 15", "iOS 18.5", "Android 13")])[
        rng.integers(0, 3, n)
    ]
    item = scene.world.paths.code("/api/v2/items/17")
    steps = [("token", 0.0, 200), ("app_feed", 0.8, 200), ("app_item", 2.5, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, user=user, ua=ua)
    made["path"][2 * n :] = item
    lapsed = np.flatnonzero(rng.random(n) < 1 / 30)
    made["status"][lapsed] = 401
    again = scene.requests(begins_s[lapsed] + 20, "login", ip=ip[lapsed], user=user[lapsed], ua=ua[lapsed])
    stay = np.flatnonzero(rng.random(n) < 0.4)
    round_s = begins_s[stay] + rng.uniform(5, 40, len(stay))
    return together(made, again, browse(scene, _visits(scene, round_s, ip[stay], user[stay], ua[stay], requests=8)))


@case()
def remote_monday(scene: Scene) -> Rows:
    """Monday at nine, all at home: a customer's 220 buyers sign in through the two exits of their company's tunnel.

    Within half an hour. Their passwords were renewed on Friday: a third fails once to three times with the old one,
    eight are locked (423) and ask for a new one. Then a working morning from the same two addresses.
    """
    rng, n = scene.rng, 220
    begins_s = scene.moment(0.15, 0.5) + np.minimum(rng.gamma(3, 300, n), 3000)
    ip = scene.addresses(2, "office")[np.arange(n) % 2]
    user, ua = scene.strangers(n, "buyer"), scene.world.browsers[rng.integers(0, 4, n)]
    fails = np.where(rng.random(n) < 1 / 3, rng.integers(1, 4, n), 0)
    fails[:8] = 5
    parts = []
    for count in np.unique(fails).tolist():
        mine = np.flatnonzero(fails == count)
        steps = [("login", 4.0, 401)] * min(count, 4)
        steps += [("login", 12.0, 423), ("reset", 40.0, 202)] if count == 5 else []
        steps += [("login", 60.0 if count == 5 else 9.0, 200), ("account", 2.0, 200)]
        parts.append(scripted(scene, begins_s[mine], steps, ip=ip[mine], user=user[mine], ua=ua[mine]))
    again = np.repeat(np.arange(n), 2)
    later_s = begins_s[again] + 200 + rng.uniform(0, 9000, len(again))
    work = browse(scene, _visits(scene, later_s, ip[again], user[again], ua[again], requests=11))
    return together(*parts, work)


@case()
def translation_proxy(scene: Scene) -> Rows:
    """Readers abroad come through a translator's four machines at a hosting company, for two hours after an article.

    As many sessions as the site has requests in 30 seconds (150 at 5 a second). The translator passes each reader's
    browser on with its own name behind it; nobody signs in.
    """
    rng = scene.rng
    n = max(20, round(scene.requests_per_s * 30))
    begins_s = scene.moment(0.2, 0.6) + np.minimum(rng.gamma(1.3, 2200, n), 7200)
    ip = scene.by_turns(scene.addresses(4, "hosting"), n)
    named = [f"{text},gzip(translate.example)" for text in (scene.world.agents.texts[b] for b in scene.world.browsers)]
    ua = scene.world.agents.all(named)[rng.integers(0, len(named), n)]
    return browse(scene, _visits(scene, begins_s, ip, np.full(n, ABSENT), ua, requests=9))


@case()
def support_desk(scene: Scene) -> Rows:
    """Parcels are late: twenty-five agents behind one address look into one customer's account after the other.

    For two hours, a customer every four minutes each, in the customer's name: account, orders, the invoice; for a third
    a new password is sent, for one in ten the address is changed.
    """
    rng, agents = scene.rng, 25
    span_s = min(7200.0, scene.span_s * 0.4)
    n = round(agents * span_s / 240)
    begins_s = scene.moment(0.2, 0.5) + scene.scattered(n, span_s)
    ip, ua = int(scene.addresses(1, "office")[0]), int(scene.world.browsers[0])
    user = np.resize(scene.accounts(min(n, scene.clients), distinct=True), n)
    steps = [("account", 0.0, 200), ("orders", 6.0, 200), ("invoice", 20.0, 200), ("reset", 50.0, 202)]
    made = scripted(scene, begins_s, [*steps, ("profile", 30.0, 200)], ip=ip, user=user, ua=ua)
    made["path"][2 * n : 3 * n] = invoice_paths(scene, orders_of(scene, user, 0))
    step = np.repeat(np.arange(5), n)
    needed = np.select([step < 3, step == 3], [1.0, 1 / 3], 0.1)
    return np.asarray(made[rng.random(len(made)) < needed])


def _let_in(scene: Scene, first_s: Seconds, door: Ints, mistypes: Mask) -> tuple[Seconds, Ints, Ints]:
    """Attempts of each at its door, in order, with who and status, until the door's limit of a minute lets it in."""
    waiting = [(at_s, who) for who, at_s in enumerate(first_s.tolist())]
    heapq.heapify(waiting)
    passed: dict[tuple[int, int], int] = {}
    wrong, tried = mistypes.copy(), []
    while waiting:
        at_s, who = heapq.heappop(waiting)
        minute = (int(door[who]), (scene.start_ms + int(at_s * 1000)) // 60_000)
        passed[minute] = passed.get(minute, 0) + 1
        refused = passed[minute] > _LOGINS_A_MINUTE
        tried.append((at_s, who, 401 if wrong[who] and not refused else 200))
        if refused or wrong[who]:
            wrong[who] &= refused
            heapq.heappush(waiting, (at_s + float(scene.rng.uniform(5, 25)), who))
    at, whose, status = (np.array(column) for column in zip(*tried, strict=True))
    return at, whose, status


def _visits(scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints, *, requests: float) -> Visit:
    """Visits of people who are signed in where they have an account."""
    n = len(start_s)
    many = np.minimum(scene.rng.geometric(1 / requests, n) + 1, 80)
    return Visit(start_s, many, ip, user, ua, failures=np.full(n, ABSENT), known=user != ABSENT)
