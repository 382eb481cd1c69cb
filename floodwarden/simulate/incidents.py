"""Hard good cases that come now and then: nobody means harm, and much of it looks like it."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Mask, case, change
from floodwarden.simulate.people import Visit, browse, daily
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS


@case(usual=True)
def carrier_churn(scene: Scene) -> Rows:
    """Members on the move: the carrier gives them another address every minute or two."""
    rng, world = scene.rng, scene.world
    n = max(3, round(scene.span_s * scene.requests_per_s * 0.03 / 14))
    member = scene.accounts(n)
    pool = scene.addresses(max(60, n // 4), "mobile")
    visit = Visit(
        start_s=daily(scene, n, scene.start_ms),
        requests=rng.geometric(1 / 14, n) + 2,
        ip=np.arange(n),
        user=member,
        ua=world.browsers[member % len(world.browsers)],
        failures=np.where(rng.random(n) < 0.3, 0, ABSENT),
        known=np.ones(n, bool),
    )
    made = browse(scene, visit)
    stretch = made["ts_ms"] // int(rng.integers(60_000, 150_000))  # an address lasts so long
    made["ip"] = pool[(made["ip"] * 7919 + stretch * 104_729) % len(pool)]
    return made


@case()
def new_partner(scene: Scene) -> Rows:
    """A key of this morning walks the whole catalogue at five a second, from a network never seen."""
    begin_s = scene.moment(0.3, 0.5)
    at_s = begin_s + scene.steady(5.0, min(3600.0, scene.span_s * 0.3), shape=6.0)
    n = len(at_s)
    path = scene.world.api_items[np.arange(n) % ITEMS]
    ip = scene.addresses(1, "office")
    key, ua = scene.key("key-batch-newcomer"), scene.tool("partner-import/0.9")
    status = scene.mostly(n, 200, 404, 0.01)
    return scene.requests(at_s, "api_item", path=path, ip=int(ip[0]), key=key, ua=ua, status=status)


@change()
def failed_deploy(scene: Scene, made: Rows) -> Mask:
    """For twelve minutes half of all carts answer 500 and every script of the page is missing."""
    begin_ms = int(scene.moment(0.2, 0.8) * 1000)
    during = (made["ts_ms"] >= begin_ms) & (made["ts_ms"] < begin_ms + 720_000)
    scripts = during & (made["endpoint"] == ENDPOINT_CODES["static"])
    carts = np.isin(made["endpoint"], [ENDPOINT_CODES[name] for name in ("cart", "cart_add", "checkout")])
    broken = during & carts & (scene.rng.random(len(made)) < 0.5)
    made["status"][scripts], made["status"][broken] = 404, 500
    return np.asarray(scripts | broken)


@case()
def expired_token(scene: Scene) -> Rows:
    """An app's installations find their token expired at once, and try again until it is renewed."""
    rng, n = scene.rng, 80
    begin_s, fixed_s = scene.moment(0.4, 0.6), 1500.0
    users = scene.strangers(n, "installation")
    ua = scene.tool("warehouse-app/5.3.1")
    made = []
    for number, ip in enumerate(scene.addresses(n, "office")):
        usual = scene.regular(0, scene.span_s, 120.0, 0.2)
        path = scene.world.stock[rng.integers(0, 300, len(usual))]
        lost = (usual >= begin_s) & (usual < begin_s + fixed_s)
        ok = np.where(lost, 401, 200)
        made.append(
            scene.requests(usual, "api_stock", path=path, ip=int(ip), user=int(users[number]), ua=ua, status=ok)
        )
        # It asks for a new one ever more rarely, up to once a minute, until the server takes it.
        tries_s = begin_s + np.cumsum(np.minimum(2.0 ** np.arange(40), 60) * rng.uniform(0.7, 1.3, 40))
        tries_s = np.append(tries_s[tries_s < begin_s + fixed_s], begin_s + fixed_s + rng.uniform(0, 60))
        answer = np.where(np.arange(len(tries_s)) == len(tries_s) - 1, 200, 401)
        made.append(scene.requests(tries_s, "token", ip=int(ip), user=int(users[number]), ua=ua, status=answer))
    return together(*made)
