"""Hard good cases of programs: a backfill, a message that sticks, a clock, a recrawl, a loop, a class."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ITEMS


@case()
def backfill(scene: Scene) -> Rows:
    """A customer fills his new database: two years of his orders, day after day, page after page, with his own key.

    Three requests in two seconds for an hour and a quarter, from a server of his that has never called; a fifth of the
    days had no orders (404), one request in two hundred times out (504) and is made again.
    """
    begin_s = scene.moment(0.2, 0.7)
    at_s = begin_s + scene.steady(1.5, max(60.0, min(4500.0, scene.span_s - begin_s)), shape=9.0)
    n = len(at_s)
    day, page = np.arange(n) // 9, np.arange(n) % 9 + 1
    path = [f"/api/v1/orders?day={2024 + d // 365}-{d % 365 + 1:03d}&page={p}" for d, p in zip(day, page, strict=True)]
    empty = np.isin(day, np.flatnonzero(scene.rng.random(int(day[-1]) + 1) < 0.2))
    status = np.where(empty, 404, scene.mostly(n, 200, 504, 0.005))
    ip, ua = int(scene.addresses(1, "office")[0]), scene.tool("dlt/1.4 python-requests/2.32")
    made = scene.requests(at_s, "api_orders", path=path, ip=ip, key=scene.key("key-app-21"), ua=ua, status=status)
    made = made[~empty | (page == 1)]  # an empty day has no second page
    again = made[made["status"] == 504].copy()
    again["status"], again["ts_ms"] = 200, again["ts_ms"] + 5000
    return together(made, again)


@case()
def poison_message(scene: Scene) -> Rows:
    """A partner's queue has three messages in it that cannot be worked off, and its program tries them forever.

    For three hours the same three items' stock is refused (409, 422) every two seconds, with a good key from the
    machine it always used; then somebody throws them away, and six hundred that waited behind go through in three
    minutes.
    """
    rng = scene.rng
    begin_s, stuck_s = scene.moment(0.1, 0.5), min(10_800.0, scene.span_s * 0.4)
    ip, key = int(scene.addresses(1, "office")[0]), scene.key("key-batch-depot")
    ua = scene.tool("depot-sync/8.1 Java/21.0.2")
    usual_s = scene.regular(0, scene.span_s, 12.0, 0.3)
    usual_s = usual_s[(usual_s < begin_s) | (usual_s > begin_s + stuck_s + 180)]
    stuck_at_s = scene.regular(begin_s, begin_s + stuck_s, 2.0, 0.05)
    late_s = begin_s + stuck_s + rng.uniform(0, 180, 600)
    stock = scene.world.stock
    stuck = stock[np.array([4711, 812, 5003])][np.arange(len(stuck_at_s)) % 3]
    refusal = np.array([409, 422, 409])[np.arange(len(stuck_at_s)) % 3]
    return together(
        scene.requests(usual_s, "api_stock", path=scene.by_turns(stock, len(usual_s)), ip=ip, key=key, ua=ua),
        scene.requests(stuck_at_s, "api_stock", path=stuck, ip=ip, key=key, ua=ua, status=refusal),
        scene.requests(late_s, "api_stock", path=scene.by_turns(stock, 600), ip=ip, key=key, ua=ua),
    )


@case()
def clock_change(scene: Scene) -> Rows:
    """Clocks are set back: what customers' programs do at three they do at three again, all in the same second.

    Six for each request a second of the site (thirty at 5), each 60 to 180 items at three a second from its server,
    twice, an hour apart; after 110 they wait until their key's minute is over.
    """
    rng, customers = scene.rng, max(6, round(scene.requests_per_s * 6))
    hour_s = scene.moment(0.15, 0.5) // 3600 * 3600
    again_s = min(3600.0, scene.span_s * 0.3)
    parts = []
    for number, ip in enumerate(scene.addresses(customers, "office").tolist()):
        key, ua = scene.key(f"key-nightly-{number:02d}"), scene.tool(f"cron-export/{number % 3}.4")
        n, first = int(rng.integers(60, 181)), int(rng.integers(ITEMS))
        path = scene.world.api_items[(first + np.arange(n)) % ITEMS]
        for run_s in (hour_s, hour_s + again_s):
            waits_s = np.arange(n) // 110 * 45.0
            at_s = run_s + rng.uniform(0, 0.9) + np.cumsum(rng.gamma(5, 1 / 15, n)) + waits_s
            parts.append(scene.requests(at_s, "api_item", path=path, ip=ip, key=key, ua=ua))
    return together(*parts)


@case()
def recrawl(scene: Scene) -> Rows:
    """The search engine reads the whole site anew: forty of its addresses, four pages a second, for two hours.

    Its own network and name. Lists, items, reviews and articles, and old addresses of pages that it remembers and that
    are gone (one in nine, 404 and 410); now and then it slows down for ten minutes after a 503.
    """
    rng, world = scene.rng, scene.world
    begin_s = scene.moment(0.15, 0.6)
    at_s = scene.steady(4.0, max(60.0, min(7200.0, scene.span_s - begin_s)), shape=4.0)
    slowed = (at_s % 2400 > 1500) & (at_s % 2400 < 2100) & (rng.random(len(at_s)) < 0.75)
    at_s = begin_s + at_s[~slowed]
    n = len(at_s)
    ip, ua = scene.by_turns(scene.addresses(40, "engine"), n), scene.tool(ENGINE)
    walk = (int(rng.integers(ITEMS)) + np.arange(n)) % ITEMS
    made = scene.requests(at_s, "item", path=world.items[walk], ip=ip, ua=ua, status=scene.mostly(n, 200, 503, 0.002))
    kind = rng.choice(5, n, p=[0.45, 0.14, 0.15, 0.15, 0.11])
    gone = [f"/blog/{2012 + one % 9}/{one:04d}" for one in rng.integers(0, 4000, n).tolist()]
    for number, endpoint, path, status in (
        (1, "list", world.lists[np.arange(n) % len(world.lists)], 200),
        (2, "reviews", world.reviews[walk], 200),
        (3, "article", world.articles[np.arange(n) % ARTICLES], 200),
        (4, "missing", world.paths.all(gone), 404),
    ):
        here = kind == number
        made[here] = scene.requests(at_s, endpoint, path=path, ip=ip, ua=ua, status=status)[here]
    made["status"][(kind == 4) & (rng.random(n) < 0.2)] = 410
    return made


@case()
def app_loop(scene: Scene) -> Rows:
    """A release of the app with a mistake in it asks for its feed every two seconds, as long as it is open.

    As many telephones as the site has requests in 12 seconds (60 at 5 a second), for three quarters of an hour, until
    the server tells it to stop (410, and it does): open for two to twenty minutes each, signed in, half of them on IPv6
    and half behind their carrier.
    """
    rng = scene.rng
    begin_s, n = scene.moment(0.25, 0.75), max(15, round(scene.requests_per_s * 12))
    opens_s = begin_s + rng.uniform(0, 2000, n)
    six = rng.random(n) < 0.5
    ip = np.where(six, scene.addresses(n, "home6"), scene.by_turns(scene.addresses(max(4, n // 6), "cgnat"), n))
    user = scene.accounts(n, distinct=True)
    ua = scene.world.agents.all(["ShopApp/6.1.0 (Android 15)", "ShopApp/6.1.0 (iOS 18.5)"])[rng.integers(0, 2, n)]
    times = np.maximum(3, (rng.uniform(120, 1200, n) / 2).astype(np.int64))
    who = np.repeat(np.arange(n), times)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = opens_s[who] + nth * 2.0 + rng.uniform(0, 0.3, len(who))
    stopped = at_s > begin_s + 2700
    first = np.concatenate(([True], np.diff(who) != 0)) | np.concatenate(([False], np.diff(stopped.astype(int)) == 1))
    keep = ~stopped | first
    status = np.where(stopped, 410, 200)
    return np.asarray(scene.requests(at_s, "app_feed", ip=ip[who], user=user[who], ua=ua[who], status=status)[keep])


@case()
def coding_course(scene: Scene) -> Rows:
    """Thirty beginners learn to use an interface with one key between them, from a school and from some homes.

    Two hours and a half. One call in three is wrong in one of the ways there are (400, 401, 404, 405), by hand, by
    curl, by a first program; five of them forget to wait in their loop and ask for one item two hundred times in half a
    minute.
    """
    rng, pupils = scene.rng, 30
    begin_s, lasts_s = scene.moment(0.2, 0.6), min(9000.0, scene.span_s * 0.35)
    at = np.concatenate([np.full(20, scene.addresses(1, "office")[0]), scene.addresses(pupils - 20, "home")])
    key = scene.key("key-app-course")
    tools = np.array([scene.tool(name) for name in ("curl/8.5.0", "python-requests/2.31.0", "PostmanRuntime/7.39")])
    n = pupils * 70
    who, at_s = rng.integers(0, pupils, n), begin_s + scene.scattered(n, lasts_s)
    status = rng.choice([200, 400, 401, 404, 405], n, p=[0.66, 0.14, 0.06, 0.1, 0.04])
    asked = {"ip": at[who], "key": np.full(n, key), "ua": tools[rng.integers(0, 3, n)], "status": status}
    made = scene.requests(at_s, "api_item", path=scene.world.api_items[rng.integers(0, 30, n)], **asked)
    kind = rng.choice(3, n, p=[0.6, 0.25, 0.15])
    lists, orders = scene.requests(at_s, "api_items", **asked), scene.requests(at_s, "api_orders", **asked)
    made[kind == 1], made[kind == 2] = lists[kind == 1], orders[kind == 2]
    loops_s = begin_s + np.repeat(rng.uniform(0.3, 1, 5) * lasts_s, 200) + np.tile(np.arange(200) * 0.15, 5)
    same = scene.world.api_items[1:2].repeat(1000)
    by = at[np.repeat(rng.integers(0, pupils, 5), 200)]
    return together(made, scene.requests(loops_s, "api_item", path=same, ip=by, key=key, ua=int(tools[1])))
