"""Hard good cases of programs: a new key, a load test, a month's end, prices compared, outages over."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.services import invoice_paths
from floodwarden.simulate.world import ITEMS, Ints


@case()
def key_migration(scene: Scene) -> Rows:
    """A partner moves to a new key and new machines: for an hour and a half both ask for everything, then one stops.

    Two requests in three seconds of items, orders and stock from two machines with the old key; then the same from
    three machines in a cloud with the new one as well. The old key is revoked, and a forgotten job goes on asking with
    it every half minute to the end (401).
    """
    moves_s = scene.moment(0.25, 0.4)
    ends_s = moves_s + min(5400.0, scene.span_s * 0.3)
    old_ip, new_ip = scene.addresses(2, "partner"), scene.addresses(3, "hosting")
    old, new = scene.key("key-batch-legacy"), scene.key("key-batch-renewed")
    old_ua, new_ua = scene.tool("erp-sync/2.9 Java/11.0.2"), scene.tool("erp-sync/3.0 Go-http-client/2.0")
    before = _partner(scene, scene.steady(0.7, ends_s, shape=5.0), old_ip, old, old_ua)
    after = _partner(
        scene, moves_s + scene.steady(0.7, max(60.0, scene.span_s - moves_s), shape=5.0), new_ip, new, new_ua
    )
    forgotten_s = scene.regular(ends_s, scene.span_s, 30.0, 0.02)
    lost = scene.requests(forgotten_s, "api_orders", ip=int(old_ip[0]), key=old, ua=old_ua, status=401)
    return together(before, after, lost)


@case()
def load_test(scene: Scene) -> Rows:
    """A customer tests, as announced, what the interface bears: a dozen rented machines, up in steps, twenty minutes.

    Two to eighteen requests a second with a partner's key, four steps of five minutes, then nothing; at the last step
    one in sixty is 503.
    """
    rng = scene.rng
    begin_s, step_s = scene.moment(0.2, 0.7), min(300.0, scene.span_s * 0.05)
    ip, key = scene.addresses(12, "hosting"), scene.key("key-batch-loadtest")
    ua, parts = scene.tool("k6/0.52.0 (https://k6.example/)"), []
    for step, per_s in enumerate((2.0, 6.0, 12.0, 18.0)):
        at_s = begin_s + step * step_s + scene.steady(per_s, step_s, shape=1.2)
        n = len(at_s)
        where, status = ip[rng.integers(0, len(ip), n)], scene.mostly(n, 200, 503, 1 / 60 if step == 3 else 0.0)
        path = scene.world.api_items[rng.integers(0, 200, n)]
        made = scene.requests(at_s, "api_item", path=path, ip=where, key=key, ua=ua, status=status)
        asked = rng.random(n) < 0.3
        listed = scene.requests(at_s, "api_items", ip=where, key=key, ua=ua, status=status)
        made[asked] = listed[asked]
        parts.append(made)
    return together(*parts)


@case()
def month_end(scene: Scene) -> Rows:
    """The month is closed: thirty bookkeepers order their firm's list and fetch their own invoices one after the other.

    Within two hours, forty to a hundred and fifty invoices each with a button that fetches all of them, one in a second
    or two, from their offices; one in two hundred is missing (404).
    """
    rng, firms = scene.rng, 30
    begins_s = scene.moment(0.2, 0.5) + np.minimum(rng.gamma(2, 1500, firms), 7200)
    ip, user = scene.addresses(firms, "office"), scene.strangers(firms, "firm")
    ua, parts = scene.browser(ip), []
    for firm in range(firms):
        one = slice(firm, firm + 1)
        who = {"ip": ip[one], "user": user[one], "ua": ua[one]}
        n = int(rng.integers(40, 151))
        first = 100_000 + int(rng.integers(40_000))
        numbers = first + np.cumsum(rng.integers(1, 90, n))
        at_s = begins_s[firm] + 60 + np.cumsum(rng.gamma(6, 1.4 / 6, n))
        status = scene.mostly(n, 200, 404, 0.005)
        start_s = np.array([float(begins_s[firm])])
        parts += [
            scene.requests(start_s, "login", **who),
            scene.requests(start_s + 9, "orders", **who),
            scene.requests(start_s + 30, "export", status=202, **who),
            scene.requests(start_s + 50, "exported", path="/api/v1/exports/51200", **who),
            scene.requests(at_s, "invoice", path=invoice_paths(scene, numbers), status=status, **who),
        ]
    return together(*parts)


@case()
def price_comparison(scene: Scene) -> Rows:
    """A price comparison the shop wants to be in begins to read it: five machines, no key, an item a second.

    It asks for robots.txt first, keeps a second between two requests, names itself, and takes 304 and 404 (one in
    fifty) as they come. Nobody signed anything; it brings a tenth of the sales.
    """
    begin_s = scene.moment(0.2, 0.4)
    ip, ua = scene.addresses(5, "office"), scene.tool("PriceLens/1.7 (+https://lens.example/shops)")
    at_s = begin_s + 5 + scene.steady(1.0, max(60.0, min(10_800.0, scene.span_s - begin_s)), shape=12.0)
    n = len(at_s)
    path = scene.world.items[(int(scene.rng.integers(ITEMS)) + np.arange(n)) % ITEMS]
    status = scene.rng.choice([200, 304, 404], n, p=[0.9, 0.08, 0.02])
    robots = scene.requests(np.full(5, begin_s), "missing", path="/robots.txt", ip=ip, ua=ua, status=404)
    return together(robots, scene.requests(at_s, "item", path=path, ip=ip[np.arange(n) % 5], ua=ua, status=status))


@case()
def retry_storm(scene: Scene) -> Rows:
    """An outage of four minutes ends: a hundred tills, which asked again every second or two, hand in what they kept.

    Each its own address and account, a request in three minutes on ordinary days; 503 to all of it meanwhile, and none
    waits longer for it; then twenty to fifty sales each within half a minute, and as before.
    """
    rng, tills = scene.rng, 100
    begin_s, down_s = scene.moment(0.3, 0.7), 240.0
    ip, user = scene.addresses(tills, "device"), scene.strangers(tills, "till")
    ua, parts = scene.tool("till-firmware/7.2"), []
    for till in range(tills):
        usual = scene.regular(0, scene.span_s, 180.0, 0.15)
        usual = usual[(usual < begin_s) | (usual > begin_s + down_s + 60)]
        tries = begin_s + np.cumsum(rng.uniform(0.8, 2.2, 320))
        tries = tries[tries < begin_s + down_s]
        kept = begin_s + down_s + rng.uniform(0, 30, int(rng.integers(20, 51)))
        for at_s, status in ((usual, 200), (tries, 503), (kept, 200)):
            path = scene.world.stock[rng.integers(0, 500, len(at_s))]
            parts.append(
                scene.requests(
                    at_s, "api_stock", path=path, ip=int(ip[till]), user=int(user[till]), ua=ua, status=status
                )
            )
    return together(*parts)


@case()
def power_cut(scene: Scene) -> Rows:
    """Power comes back in a valley: 250 devices behind one key start within a minute and report all that they kept.

    A report every five minutes each, for twenty minutes none at all; then each registers and hands in five to twelve
    reports at once, beyond the key's limit, and again what was refused a minute later.
    """
    rng, devices = scene.rng, 250
    back_s, dark_s = scene.moment(0.4, 0.8), min(1200.0, scene.span_s * 0.2)
    key, ua = scene.key("key-fleet-valley"), scene.tool("meter-fw/2.3.0")
    ip, parts = scene.addresses(devices, "device"), []
    paths = scene.world.paths.all([f"/api/v1/devices/{5000 + number}/telemetry" for number in range(devices)])
    starts_s = back_s + rng.uniform(0, 45, devices)
    for device in range(devices):
        usual = scene.regular(0, scene.span_s, 300.0, 0.1)
        usual = usual[(usual < back_s - dark_s) | (usual > back_s + 150)]
        n = int(rng.integers(5, 13))
        kept = starts_s[device] + 4 + np.cumsum(rng.uniform(0.3, 2, n))
        again = kept[rng.random(n) < 0.6] + rng.uniform(55, 75)
        at_s: Seconds = np.concatenate([usual, kept, again])
        parts.append(
            scene.requests(
                at_s, "telemetry", path=paths[device : device + 1].repeat(len(at_s)), ip=int(ip[device]), key=key, ua=ua
            )
        )
    parts.append(scene.requests(starts_s, "device", ip=ip, key=key, ua=ua, status=201))
    return together(*parts)


def _partner(scene: Scene, at_s: Seconds, ip: Ints, key: int, ua: int) -> Rows:
    """A partner's requests: items, stock, and the list of orders."""
    n, rng = len(at_s), scene.rng
    by = ip[rng.integers(0, len(ip), n)]
    item, stocked = scene.world.api_items[rng.integers(0, ITEMS, n)], scene.world.stock[rng.integers(0, ITEMS, n)]
    made = scene.requests(at_s, "api_item", path=item, ip=by, key=key, ua=ua)
    stock = scene.requests(at_s, "api_stock", path=stocked, ip=by, key=key, ua=ua)
    orders = scene.requests(at_s, "api_orders", ip=by, key=key, ua=ua)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    made[kind == 1], made[kind == 2] = stock[kind == 1], orders[kind == 2]
    return made
