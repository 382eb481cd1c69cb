"""Hard good cases of machines: a monitor, and a partner that goes from nothing to busy in a day."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS

_JOURNEY: Final = (
    ("home", 0.0, 200), ("search", 1.5, 200), ("item", 1.5, 200), ("cart_add", 1.0, 200), ("login", 1.0, 200),
    ("account", 0.8, 200), ("logout", 0.8, 200),
)  # fmt: skip


@case()
def health_checker(scene: Scene) -> Rows:
    """A monitoring service starts: six places ask for the health page every 15 seconds, and shop every five minutes.

    Each journey is the same seven steps within ten seconds, with the same test account, and never pays. Each place also
    checks every minute that a page that is not there is not there (404). Two outages of a minute: 503 to all of it.
    """
    begin_s = scene.moment(0.05, 0.3)
    user, ua = scene.world.users.code("user-monitoring"), scene.tool("UptimeWatch/2.4 (+https://watch.example/bot)")
    parts = []
    for ip in scene.addresses(6, "office").tolist():
        parts.append(scene.requests(scene.regular(begin_s, scene.span_s, 15.0, 0.01), "health", ip=ip, ua=ua))
        absent_s = scene.regular(begin_s, scene.span_s, 60.0, 0.01)
        parts.append(scene.requests(absent_s, "missing", path="/uptime-should-be-404", status=404, ip=ip, ua=ua))
        starts_s = scene.regular(begin_s, scene.span_s - 12, 300.0, 0.02)
        parts.append(scripted(scene, starts_s, _JOURNEY, user=user, ip=ip, ua=ua))
    made = together(*parts)
    for down_s in (scene.moment(0.35, 0.6), scene.moment(0.6, 0.95)):
        down = (made["ts_ms"] >= down_s * 1000) & (made["ts_ms"] < (down_s + 60) * 1000)
        made["status"][down] = 503
    return made


@case()
def partner_ramp(scene: Scene) -> Rows:
    """A partner's new integration: an hour of trial and error by hand, load tests, then from nothing to four a second.

    Two engineers first (a hundred calls: one in three 400, 401 or 404), three load tests of two minutes at five a
    second (one in twelve 400), then live: over an hour up to four a second from three addresses, orders, items and
    stock, one in a hundred 409 or 503 and tried again.
    """
    rng = scene.rng
    begin_s, live_s = scene.moment(0.05, 0.15), scene.moment(0.4, 0.5)
    ip, key = scene.addresses(3, "partner"), scene.key("key-batch-onboarding")
    tries = 100
    tried_s = begin_s + np.cumsum(rng.lognormal(3.0, 1.0, tries))
    answer = rng.choice([200, 400, 401, 404], tries, p=[0.66, 0.14, 0.08, 0.12])
    path = scene.world.api_items[rng.integers(0, 40, tries)]
    hand = scene.requests(
        tried_s, "api_item", path=path, ip=int(ip[0]), key=key, status=answer, ua=scene.tool("curl/8.5.0")
    )
    ua = scene.tool("acme-connector/1.0.0-rc2")
    tests = []
    for number in range(3):
        at_s = scene.moment(0.2 + number * 0.05, 0.24 + number * 0.05) + scene.steady(5.0, 120.0, shape=6.0)
        status = scene.mostly(len(at_s), 200, 400, 1 / 12)
        walk = scene.world.api_items[rng.integers(0, ITEMS, len(at_s))]
        tests.append(scene.requests(at_s, "api_item", path=walk, ip=int(ip[1]), key=key, status=status, ua=ua))
    ramp_s = min(3600.0, scene.span_s * 0.2)
    grown = np.sqrt(rng.random(int(4 * ramp_s / 2))) * ramp_s  # so many a second as time has passed
    rest_s = scene.steady(4.0, max(10.0, scene.span_s - live_s - ramp_s), shape=1.5) + ramp_s
    at_s = live_s + np.concatenate([grown, rest_s])
    n = len(at_s)
    kind, where = rng.choice(3, n, p=[0.55, 0.3, 0.15]), ip[rng.integers(0, 3, n)]
    status = rng.choice([200, 409, 503], n, p=[0.99, 0.003, 0.007])
    ua = scene.tool("acme-connector/1.0.1")
    live = scene.requests(
        at_s, "api_item", path=scene.world.api_items[rng.integers(0, ITEMS, n)], ip=where, key=key, ua=ua
    )
    stock = scene.requests(
        at_s, "api_stock", path=scene.world.stock[rng.integers(0, ITEMS, n)], ip=where, key=key, ua=ua
    )
    orders = scene.requests(at_s, "api_orders", ip=where, key=key, ua=ua)
    live[kind == 1], live[kind == 2] = stock[kind == 1], orders[kind == 2]
    live["status"] = status
    again = live[status == 503].copy()
    again["status"], again["ts_ms"] = 200, again["ts_ms"] + 2000
    return together(hand, *tests, live, again)
