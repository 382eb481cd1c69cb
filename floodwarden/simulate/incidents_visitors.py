"""Hard good cases of programs that visit: previews, a gateway, price checks, assistants, robots."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS, zipf

_OPENED: Final = ("item", "list", "search", "reviews", "article", "account", "orders")
_OWN: Final = ("account", "orders")
_PURCHASE: Final = (
    ("home", 0.0, 200), ("search", 1.5, 200), ("item", 2.0, 200), ("reviews", 1.0, 200), ("item", 2.0, 200),
    ("login", 1.5, 200), ("cart_add", 1.5, 200), ("cart", 1.0, 200), ("checkout", 2.0, 200), ("pay", 3.0, 200),
)  # fmt: skip


@case()
def link_previews(scene: Scene) -> Rows:
    """A link to an article goes round a federated network, and every server of it makes a preview for itself, at once.

    As many servers as the site has requests in 80 seconds (400 at 5 a second), most within a minute, each with its own
    name and address: the article and one script; 3 % is 503. Passed on twenty and fifty minutes later, a quarter as
    many again each time.
    """
    rng = scene.rng
    n = max(40, round(scene.requests_per_s * 80))
    begin_s = scene.moment(0.2, 0.7)
    late = n // 4
    at_s = begin_s + np.concatenate(
        [rng.gamma(1.3, 14, n), 1200 + rng.gamma(1.3, 20, late), 3000 + rng.gamma(1.3, 20, late)]
    )
    ip = scene.addresses(len(at_s), "hosting")
    ua = scene.world.agents.all(
        [
            f"http.rb/5.1.1 (Mastodon/4.{2 + one % 3}.{one % 11}; +https://social{one}.example/)"
            for one in range(len(at_s))
        ]
    )
    article = scene.world.articles[int(rng.integers(40))]
    status = scene.mostly(len(at_s), 200, 503, 0.03)
    page = scene.requests(at_s, "article", path=np.full(len(at_s), article), ip=ip, ua=ua, status=status)
    got = status == 200
    script = scene.requests(
        at_s[got] + rng.uniform(0.2, 2, int(got.sum())),
        "static",
        path=scene.world.statics[:1].repeat(int(got.sum())),
        ip=ip[got],
        ua=ua[got],
    )
    return together(page, script)


@case()
def web_gateway(scene: Scene) -> Rows:
    """A firm's web gateway opens one in four of the pages that its eighty people open again, from its maker's cloud.

    One to six seconds later, from six rented machines, as a browser of fifteen years ago and without their session:
    what is their own (account, orders) answers 401, the rest as it did them. Two visits each within four hours, signed
    in, from the firm's two addresses.
    """
    rng, staff = scene.rng, 80
    who = np.repeat(np.arange(staff), 2)
    visit = Visit(
        start_s=scene.moment(0.1, 0.4) + rng.uniform(0, min(14_400.0, scene.span_s * 0.5), len(who)),
        requests=np.minimum(rng.geometric(1 / 14, len(who)) + 2, 90),
        ip=scene.addresses(2, "office")[who % 2],
        user=scene.accounts(staff, distinct=True)[who],
        ua=scene.world.browsers[rng.integers(0, 4, staff)][who],
        failures=np.full(len(who), ABSENT),
        known=np.ones(len(who), np.bool_),
    )
    opened = browse(scene, visit)
    pages = np.isin(opened["endpoint"], [ENDPOINT_CODES[name] for name in _OPENED]) & (rng.random(len(opened)) < 0.25)
    again = opened[pages].copy()
    again["ts_ms"] += rng.integers(1000, 6000, len(again))
    again["ip"] = scene.by_turns(scene.addresses(6, "hosting"), len(again))
    again["ua"] = scene.tool("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)")
    again["user"] = ABSENT
    own = np.isin(again["endpoint"], [ENDPOINT_CODES[name] for name in _OWN])
    again["status"][own] = 401
    return together(opened, again)


@case()
def merchant_checker(scene: Scene) -> Rows:
    """The search engine's shopping service compares prices through to the checkout, item after item, and never pays.

    From twelve of its own addresses, an item every twelve seconds for six hours: the page, into the cart, the cart, the
    checkout, as a guest. One in twenty-five is sold out (409) and goes no further, one in fifty is gone (404).
    """
    rng = scene.rng
    begin_s = scene.moment(0.05, 0.3)
    begins_s = begin_s + scene.steady(1 / 12, max(120.0, min(21_600.0, scene.span_s - begin_s)), shape=9.0)
    n = len(begins_s)
    ip = scene.by_turns(scene.addresses(12, "engine"), n)
    ua = scene.tool("Mozilla/5.0 (X11; Linux x86_64; Storebot-Example/1.0) AppleWebKit/537.36 Chrome/138.0.0.0")
    steps = [("item", 0.0, 200), ("cart_add", 2.5, 200), ("cart", 1.5, 200), ("checkout", 2.5, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, ua=ua)
    step, nth = np.repeat(np.arange(4), n), np.tile(np.arange(n), 4)
    made["path"][:n] = scene.world.items[(int(rng.integers(ITEMS)) + np.arange(n)) % ITEMS]
    drawn = rng.random(n)
    gone, sold_out = drawn < 0.02, (drawn >= 0.02) & (drawn < 0.06)
    made["status"][gone[nth] & (step == 0)] = 404
    made["status"][sold_out[nth] & (step == 1)] = 409
    reached = np.select([gone[nth], sold_out[nth]], [step == 0, step <= 1], True)
    return np.asarray(made[reached])


@case()
def shopping_agents(scene: Scene) -> Rows:
    """Members have their assistants shop for them: purchase after purchase from eight machines of a cloud.

    As many as the site has requests in 18 seconds (90 at 5 a second) within six hours, each for another member, the
    same browser throughout: search, two items, sign in, pay, a step in a second or two. One in twelve mistypes first
    (401), one card in twenty is declined (402).
    """
    rng = scene.rng
    n = max(24, round(scene.requests_per_s * 18))
    begins_s = scene.moment(0.1, 0.3) + rng.uniform(0, min(21_600.0, scene.span_s * 0.6), n)
    ip, user = scene.by_turns(scene.addresses(8, "hosting"), n), scene.accounts(n, distinct=True)
    ua = scene.tool("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36")
    made = scripted(scene, begins_s, _PURCHASE, ip=ip, user=user, ua=ua)
    step = np.repeat(np.arange(len(_PURCHASE)), n)
    made["user"][step < 5] = ABSENT  # not yet signed in
    wanted = zipf(rng, n, ITEMS)
    made["path"][step == 1] = scene.world.searches[wanted % len(scene.world.searches)]
    made["path"][step == 2] = scene.world.items[wanted]
    made["path"][step == 4] = scene.world.items[(wanted + 7) % ITEMS]
    made["path"][step == 3] = scene.world.reviews[wanted]
    made["status"][(step == 9) & (rng.random(len(made)) < 0.05)] = 402
    mistyped = made[(step == 5) & (rng.random(len(made)) < 1 / 12)].copy()
    mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - 900
    return together(made, mistyped)


@case()
def prelaunch_robots(scene: Scene) -> Rows:
    """The app store tries a release before anybody gets it: forty emulated telephones tap at what there is, twice.

    From ten machines of its cloud, for twenty minutes: each registers (201), gets a token, then feeds and items, a tap
    in ten seconds or so, one item in eight made up (404), and one to three sign-ins with what a robot types (401).
    """
    rng, phones = scene.rng, 40
    ip = scene.addresses(10, "hosting")[np.arange(phones) % 10]
    models = [f"ShopApp/6.2.0-rc1 (Android {11 + one % 5}; model-{one})" for one in range(phones)]
    ua, parts = scene.world.agents.all(models), []
    for begin_s in (scene.moment(0.1, 0.35), scene.moment(0.5, 0.75)):
        starts_s = begin_s + rng.uniform(0, 240, phones)
        user = scene.strangers(phones, "installation")
        registered = scene.requests(starts_s, "device", ip=ip, ua=ua, status=201)
        tokens = scene.requests(starts_s + 1.5, "token", ip=ip, user=user, ua=ua)
        taps = np.repeat(np.arange(phones), rng.integers(60, 120, phones))
        at_s = starts_s[taps] + 4 + rng.uniform(0, 900, len(taps))
        unreal = rng.random(len(taps)) < 1 / 8
        numbers = np.where(unreal, rng.integers(10**6, 10**9, len(taps)), 1 + zipf(rng, len(taps), ITEMS)).tolist()
        path = scene.world.paths.all([f"/api/v2/items/{number}" for number in numbers])
        who = {"ip": ip[taps], "user": user[taps], "ua": ua[taps]}
        made = scene.requests(at_s, "app_item", path=path, status=np.where(unreal, 404, 200), **who)
        feeds = rng.random(len(taps)) < 0.4
        made[feeds] = scene.requests(at_s, "app_feed", **who)[feeds]
        tries = np.repeat(np.arange(phones), rng.integers(1, 4, phones))
        tried_s = starts_s[tries] + rng.uniform(10, 800, len(tries))
        typed = scene.strangers(len(tries), "qwerty")
        signs = scene.requests(tried_s, "login", ip=ip[tries], user=typed, ua=ua[tries], status=401)
        parts += [registered, tokens, made, signs]
    return together(*parts)
