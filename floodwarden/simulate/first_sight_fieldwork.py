"""First sight: hard good cases out there: heat pumps, and shelf labels."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS


@case()
def demand_response(scene: Scene) -> Rows:
    """The grid is short of power: a utility switches its customers' heat pumps off for an hour, all at once, twice.

    A heat pump for each ten accounts, a report in ten minutes each from its own address. From two machines of the
    utility, with its key: each pump told within twenty seconds, and each says within half a minute that it obeyed; one
    in fifty is not reached (404) and told twice more. After the hour all of it the other way round.
    """
    rng, pumps = scene.rng, max(20, scene.clients // 10)
    ip, fleet = scene.addresses(pumps, "device"), scene.key("key-fleet-pumps")
    ua, told_ua = scene.tool("heatpump-fw/1.9.2"), scene.tool("grid-flex/4.0 Java/21.0.4")
    own = scene.world.paths.all([f"/api/v1/devices/{7000 + one}/telemetry" for one in range(pumps)])
    desk, key, parts = scene.addresses(2, "partner"), scene.key("key-batch-utility"), []
    for one in range(pumps):
        at_s = scene.regular(0, scene.span_s, 600.0, 0.05)
        path = own[one : one + 1].repeat(len(at_s))
        parts.append(scene.requests(at_s, "telemetry", path=path, ip=int(ip[one]), key=fleet, ua=ua))
    lasts_s = min(3600.0, scene.span_s * 0.15)
    for first_s in (scene.moment(0.15, 0.25), scene.moment(0.55, 0.65)):
        for begin_s, to in ((first_s, "off"), (first_s + lasts_s, "on")):
            at_s = begin_s + np.sort(rng.uniform(0, 20, pumps))
            deaf = rng.random(pumps) < 1 / 50
            path = scene.world.paths.all([f"/api/v2/devices?serial=HP{one:06d}&set={to}" for one in range(pumps)])
            by = {"key": np.full(pumps, key), "ua": np.full(pumps, told_ua), "ip": desk[np.arange(pumps) % 2]}
            status = np.where(deaf, 404, 200)
            parts.append(scene.requests(at_s, "device", path=path, status=status, **by))
            for wait_s in (30.0, 60.0):
                again = {name: codes[deaf] for name, codes in by.items()}
                tried = scene.requests(at_s[deaf] + wait_s, "device", path=path[deaf], status=status[deaf], **again)
                parts.append(tried)
            said_s = at_s[~deaf] + rng.gamma(3, 4.0, int((~deaf).sum()))
            parts.append(scene.requests(said_s, "telemetry", path=own[~deaf], ip=ip[~deaf], key=fleet, ua=ua))
    return together(*parts)


@case()
def shelf_labels(scene: Scene) -> Rows:
    """Shops have electronic labels on their shelves, and before they open each reads what everything costs today.

    A shop for each 250 accounts, its gateway, a key for all: fifteen hundred items as the shelves stand, two a second,
    seven in eight unchanged (304), and after each twenty-five a report that the labels show it. At noon forty prices
    are lowered, and within a minute all shops read those.
    """
    rng, shops, labels = scene.rng, max(2, scene.clients // 250), 1500
    opens_s, noon_s = scene.moment(0.1, 0.3), scene.moment(0.6, 0.8)
    ip, ua = scene.addresses(shops, "office"), scene.tool("shelf-gateway/2.2 (esl)")
    key, parts = scene.key("key-fleet-shelves"), []
    lowered = rng.permutation(ITEMS)[:40]
    for shop in range(shops):
        who = {"ip": int(ip[shop]), "key": key, "ua": ua}
        first = int(rng.integers(0, ITEMS))
        item = scene.world.api_items[(first + np.arange(labels)) % ITEMS]
        at_s = opens_s + rng.uniform(0, 600) + np.cumsum(rng.gamma(6, 1 / 12, labels))
        status = scene.mostly(labels, 304, 200, 1 / 8)
        shown = at_s[24::25] + 0.2
        own = f"/api/v1/devices/shelf-{shop}/telemetry"
        parts.append(scene.requests(at_s, "api_item", path=item, status=status, **who))
        parts.append(scene.requests(shown, "telemetry", path=own, **who))
        sale_s = noon_s + rng.uniform(0, 60, len(lowered))
        parts.append(scene.requests(sale_s, "api_item", path=scene.world.api_items[lowered], **who))
    return together(*parts)
