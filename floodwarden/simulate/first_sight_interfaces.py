"""First sight: hard good cases at the interface: numbers too long, everything twice, small pages, lost tokens."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ENDPOINT_CODES, ITEMS

_LONG: Final = 40_000_000_000_000_000  # here a double has but every eighth whole number
_WAITS_S: Final = (5.0, 15.0)


@case()
def rounded_numbers(scene: Scene) -> Rows:
    """Orders get longer numbers, and programs that cannot count so far ask for orders that there are not.

    A customer for each 250 accounts, whose program takes numbers for fractions; it looks at the newest of his own
    orders every forty seconds. From one moment on numbers have seventeen digits: seven in eight come out as another one
    beside it, which nobody has (404), and are tried twice more, after five seconds and after fifteen. One by one they
    are mended, the first within an hour, the last after five.
    """
    rng, customers = scene.rng, max(4, scene.clients // 250)
    longer_s, longest_s = scene.moment(0.15, 0.4), min(18_000.0, 0.5 * scene.span_s)
    mended_s = longer_s + np.geomspace(longest_s / 6, longest_s, customers)
    parts = []
    for number, ip in enumerate(scene.addresses(customers, "office").tolist()):
        at_s = scene.regular(0, scene.span_s, 40.0, 0.25)
        new = at_s > longer_s
        order = np.where(new, _LONG + (at_s * 1000).astype(np.int64), 300_000 + (at_s / 7).astype(np.int64))
        order += rng.integers(0, 8, len(at_s))
        rounded = np.where(at_s < mended_s[number], order.astype(np.float64).astype(np.int64), order)
        wrong = rounded != order
        path = scene.world.paths.all([f"/api/v1/orders?number={one}" for one in rounded.tolist()])
        who = {
            "ip": ip,
            "key": scene.key(f"key-node-{number:03d}"),
            "ua": scene.tool("shop-orders-js/3.4 node/20.11.1"),
        }
        parts.append(scene.requests(at_s, "api_orders", path=path, status=np.where(wrong, 404, 200), **who))
        again_s = (at_s[wrong][:, None] + np.array(_WAITS_S)).ravel()
        parts.append(scene.requests(again_s, "api_orders", path=np.repeat(path[wrong], 2), status=404, **who))
    return together(*parts)


@case()
def shadowed_requests(scene: Scene) -> Rows:
    """A partner has his new system live through what the old one does: for some hours each request comes twice.

    His two machines read items and write stock, one request for seventeen of people's. For three eighths of the run
    what they ask comes again within a tenth of a second, from four machines nobody has seen, at a hosting company, with
    his key: the same to the letter. What was written just before is not written again (409).
    """
    rng = scene.rng
    at_s = scene.steady(0.06 * scene.requests_per_s, scene.span_s, shape=2.0)
    n, writes = len(at_s), rng.random(len(at_s)) < 0.25
    item = rng.integers(0, ITEMS, n)
    made = scene.requests(
        at_s,
        "api_item",
        path=np.where(writes, scene.world.stock[item], scene.world.api_items[item]),
        ip=scene.by_turns(scene.addresses(2, "partner"), n),
        key=scene.key("key-batch-wholesale"),
        ua=scene.tool("wholesale-gateway/4.18"),
    )
    made["endpoint"][writes] = ENDPOINT_CODES["api_stock"]
    begin_s = scene.moment(0.2, 0.45)
    twice = (at_s > begin_s) & (at_s < begin_s + 0.375 * scene.span_s)
    again = made[twice].copy()
    again["ts_ms"] += rng.integers(8, 100, len(again))
    again["ip"] = scene.by_turns(scene.addresses(4, "hosting"), len(again))
    again["ua"] = scene.tool("wholesale-gateway/5.0-rc2")
    again["status"] = np.where(writes[twice], 409, 200)
    return together(made, again)


@case()
def smaller_pages(scene: Scene) -> Rows:
    """A new release of a library that customers read our lists with takes ten items at a time, not a hundred any more.

    A customer for each hundred accounts reads his six hundred items every twenty minutes, six pages. Within four hours
    of the release one program after the other is built anew, and then it is sixty pages, four a second. Two in five
    find out and put it back, an hour or two later; the others find that it works.
    """
    rng, customers = scene.rng, max(5, scene.clients // 100)
    release_s, spread_s = scene.moment(0.1, 0.3), min(14_400.0, 0.4 * scene.span_s)
    parts = []
    for number, ip in enumerate(scene.addresses(customers, "office").tolist()):
        built_s = release_s + rng.uniform(0, spread_s)
        back_s = built_s + rng.uniform(0.25, 0.5) * spread_s if number % 5 < 2 else scene.span_s
        first = int(rng.integers(0, 54)) * 100
        who = {"ip": ip, "key": scene.key(f"key-list-{number:03d}")}
        for round_s in scene.regular(0, scene.span_s, 1200.0, 0.02).tolist():
            size = 10 if built_s < round_s < back_s else 100
            pages = 600 // size
            at_s = round_s + np.cumsum(rng.gamma(5, 0.05, pages))
            path = [f"/api/v1/items?offset={first + size * page}&limit={size}" for page in range(pages)]
            ua = scene.tool(f"shop-client-python/{'6.0.0' if size == 10 else '5.9.2'}")
            parts.append(scene.requests(at_s, "api_items", path=path, ua=ua, **who))
    return together(*parts)


@case()
def token_each_time(scene: Scene) -> Rows:
    """A vendor's connector forgets its token as soon as it has it, and asks for another one before every request.

    A customer for each four hundred accounts has it: a request every twenty seconds, a token every hour. From one
    night's release on there is a token to each request, and one time in forty two of them, as two threads want one at
    once. Five hours later at the most there is a better one, which all have within twenty minutes.
    """
    rng, customers = scene.rng, max(4, scene.clients // 400)
    begin_s, lasts_s = scene.moment(0.15, 0.4), min(18_000.0, 0.5 * scene.span_s)
    parts = []
    for number, ip in enumerate(scene.addresses(customers, "office").tolist()):
        at_s = scene.regular(1, scene.span_s, 20.0, 0.15)
        mended_s = begin_s + lasts_s - rng.uniform(0, min(1200.0, 0.1 * lasts_s))
        sick = (at_s > begin_s) & (at_s < mended_s)
        twice = sick & (rng.random(len(at_s)) < 1 / 40)
        hourly = np.append(True, np.diff(at_s // 3600) > 0)
        token_s = np.concatenate([at_s[sick | hourly] - rng.uniform(0.1, 0.4), at_s[twice] - 0.05])
        who = {
            "ip": ip,
            "key": scene.key(f"key-connector-{number:02d}"),
            "ua": scene.tool("erp-connect/8.2 (.NET 8.0)"),
        }
        parts.append(scene.requests(token_s, "token", **who))
        read = np.arange(len(at_s)) % 3 > 0
        parts.append(scene.requests(at_s[~read], "api_orders", **who))
        path = scene.world.api_items[rng.integers(0, 500, int(read.sum()))]
        parts.append(scene.requests(at_s[read], "api_item", path=path, **who))
    return together(*parts)
