"""Hard good cases of what works and what breaks: payments, sign-on, a proxy, tills, browsers ahead."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Mask, case, change
from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import staff_accounts
from floodwarden.simulate.world import ABSENT, ITEMS, zipf


@case()
def payment_outage(scene: Scene) -> Rows:
    """The payment provider is down for twenty-five minutes: shoppers press again and again, its messages come late.

    As many shoppers as the site has requests in 16 seconds (80 at 5 a second): each pays two to seven times in vain
    (504, 503), half come back after it and succeed. When it is up, the provider posts five hundred messages within
    three minutes from four addresses it never used; one in five has been told before (409).
    """
    rng = scene.rng
    down_s, lasts_s = scene.moment(0.25, 0.7), 1500.0
    n = max(20, round(scene.requests_per_s * 16))
    begins_s = down_s + rng.uniform(0, lasts_s * 0.8, n)
    ip = scene.addresses(n, "home")
    user, ua = np.where(rng.random(n) < 0.7, scene.accounts(n, distinct=True), ABSENT), scene.browser(ip)
    steps = [("cart", 0.0, 200), ("checkout", 15.0, 200)]
    reached = scripted(scene, begins_s, steps, ip=ip, user=user, ua=ua)
    tries = np.repeat(np.arange(n), rng.integers(2, 8, n))
    nth = np.arange(len(tries)) - np.searchsorted(tries, tries)
    tried_s = begins_s[tries] + 50 + nth * 18 + rng.uniform(0, 12, len(tries))
    status = scene.mostly(len(tries), 504, 503, 0.3)
    tried = scene.requests(tried_s, "pay", ip=ip[tries], user=user[tries], ua=ua[tries], status=status)
    back = np.flatnonzero(rng.random(n) < 0.5)
    back_s = down_s + lasts_s + rng.gamma(1.5, 400, len(back))
    steps = [("cart", 0.0, 200), ("checkout", 8.0, 200), ("pay", 25.0, 200)]
    paid = scripted(scene, back_s, steps, ip=ip[back], user=user[back], ua=ua[back])
    told_s = down_s + lasts_s + rng.uniform(0, 180, 500)
    by = scene.by_turns(scene.addresses(4, "office"), 500)
    answer = scene.mostly(500, 200, 409, 0.2)
    told = scene.requests(told_s, "callback", ip=by, ua=scene.tool("PayBridge-Hooks/2.1"), status=answer)
    return together(reached, tried, paid, told)


@case()
def sso_outage(scene: Scene) -> Rows:
    """The staff's sign-on is broken for half an hour at the start of a shift: sixty people try again and again.

    Four to fifteen times each, from the office's two addresses and from home: half of it 502, the rest 401, for it
    takes no password; a sixth are locked (423) until somebody unlocks them. Then all sign on within ten minutes and
    look up what has waited, twice as fast as on other days.
    """
    rng, users = scene.rng, staff_accounts(scene)
    n, broken_s = len(users), scene.moment(0.15, 0.6)
    ip = np.concatenate([scene.addresses(2, "office")[np.arange(40) % 2], scene.addresses(n - 40, "home")])
    ua = scene.browser(ip)
    who = np.repeat(np.arange(n), rng.integers(4, 16, n))
    at_s = broken_s + rng.gamma(1.5, 180, n)[who] + rng.uniform(0, 1200, len(who))
    status = np.where(rng.random(len(who)) < 0.5, 502, 401)
    locked = (rng.random(n) < 1 / 6)[who] & (at_s > broken_s + 600)
    tried = scene.requests(at_s, "sso", ip=ip[who], user=users[who], ua=ua[who], status=np.where(locked, 423, status))
    kept = tried[at_s < broken_s + 1800]
    works_s = broken_s + 1800 + rng.uniform(0, 600, n)
    signed = scene.requests(works_s, "sso", ip=ip, user=users, ua=ua)
    looks = np.repeat(np.arange(n), rng.integers(10, 60, n))
    looks_s = works_s[looks] + 20 + rng.uniform(0, 5400, len(looks))
    paths = [f"/backoffice/orders/{number}" for number in rng.integers(100_000, 160_000, len(looks)).tolist()]
    looked = scene.requests(looks_s, "backoffice", path=paths, ip=ip[looks], user=users[looks], ua=ua[looks])
    return together(kept, signed, looked)


@change()
def lost_forwarding(scene: Scene, made: Rows) -> Mask:
    """A change at the load balancer: for twelve minutes everybody seems to come from its own four addresses.

    All but partners' machines, which come another way. The limit of an address refuses some at the busy hours, and
    all of the site's logins come from the same four.
    """
    begin_ms = int(scene.moment(0.2, 0.8) * 1000)
    during = (made["ts_ms"] >= begin_ms) & (made["ts_ms"] < begin_ms + 720_000)
    touched = during & (made["label"] == 0)
    rows = np.flatnonzero(touched)
    balancer = scene.addresses(4, "office")
    made["ip"][rows] = balancer[made["ip"][rows] * 7919 % 4]
    return np.asarray(touched)


@case()
def store_tablets(scene: Scene) -> Rows:
    """Eight shops of the chain order for their customers at three tablets each: account after account at one address.

    An order in four minutes each shop, as long as it is open. Two in five customers are new and get an account; the
    others give their password (one in ten wrong first), are shown what they had, pay, and are signed out.
    """
    rng, shops = scene.rng, 8
    n = max(24, round(shops * scene.span_s / 240 * 0.6))
    begins_s = daily(scene, n, scene.start_ms)
    ip = scene.addresses(shops, "office")[rng.integers(0, shops, n)]
    ua = scene.world.agents.all([f"StoreTablet/3.4 (iPadOS 17.{minor})" for minor in (4, 5, 6)])[rng.integers(0, 3, n)]
    fresh = rng.random(n) < 0.4
    user = np.where(fresh, scene.strangers(n, "counter"), scene.accounts(n))
    parts = []
    for new in (True, False):
        mine = np.flatnonzero(fresh == new)
        steps = [("register" if new else "login", 0.0, 200), ("profile" if new else "orders", 15.0, 200)]
        steps += [("item", 20.0, 200), ("cart_add", 15.0, 200), ("checkout", 15.0, 200), ("pay", 20.0, 200)]
        who = {"ip": ip[mine], "user": user[mine], "ua": ua[mine]}
        made = scripted(scene, begins_s[mine], [*steps, ("logout", 10.0, 200)], **who)
        m = len(mine)
        made["path"][2 * m : 3 * m] = scene.world.items[zipf(rng, m, ITEMS)]
        if new:
            made["user"][:m] = ABSENT
        typo = np.flatnonzero(rng.random(m) < (0.0 if new else 0.1))
        failed = made[typo].copy()
        failed["status"], failed["ts_ms"] = 401, failed["ts_ms"] - 8000
        parts += [made, failed]
    return together(*parts)


@case()
def prefetch(scene: Scene) -> Rows:
    """A browser's new release loads what its user might click: eight to sixteen items within a second of each list.

    As many visits as the site has requests in 24 seconds (120 at 5 a second), over four hours, from home. Two to nine
    lists each; of the items one or two are then looked at, with their reviews.
    """
    rng = scene.rng
    n = max(20, round(scene.requests_per_s * 24))
    begins_s = scene.moment(0.1, 0.4) + rng.uniform(0, min(14_400.0, scene.span_s * 0.5), n)
    home = scene.addresses(n, "home")
    agent = scene.tool("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36")
    views = np.repeat(np.arange(n), rng.integers(2, 10, n))
    nth = np.arange(len(views)) - np.searchsorted(views, views)
    at_s = begins_s[views] + nth * 45 + rng.uniform(0, 30, len(views))
    lists = scene.world.lists[zipf(rng, len(views), 60)]
    listed = scene.requests(at_s, "list", path=lists, ip=home[views], ua=agent)
    ahead = np.repeat(np.arange(len(views)), rng.integers(8, 17, len(views)))
    items = scene.world.items[zipf(rng, len(ahead), ITEMS, 1.5)]
    loaded_s = at_s[ahead] + 0.3 + rng.uniform(0, 0.8, len(ahead))
    loaded = scene.requests(loaded_s, "item", path=items, ip=home[views][ahead], ua=agent)
    read_s = at_s + rng.uniform(5, 25, len(at_s))
    reviews = scene.world.reviews[zipf(rng, len(views), ITEMS)]
    return together(listed, loaded, scene.requests(read_s, "reviews", path=reviews, ip=home[views], ua=agent))
