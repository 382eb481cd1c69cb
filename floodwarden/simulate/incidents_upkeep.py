"""Hard good cases of upkeep: a deploy, a secret, clocks, a change of systems, new firmware."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS, Ints

_RETRIES_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0)  # after an attempt, until the next
_WAVES: Final = (5, 35, 160)


@case()
def stale_tabs(scene: Scene) -> Rows:
    """A deploy gives every script another name, and pages that were open before ask for the old ones, which are gone.

    As many people as the site has requests in 40 seconds (200 at 5 a second), within three hours after it, from home:
    two to five scripts within a second (404), then they load the page anew and it works; a fifth clicks on first, and
    misses as many again.
    """
    rng = scene.rng
    n = max(24, round(scene.requests_per_s * 40))
    clicks_s = scene.moment(0.2, 0.5) + np.minimum(rng.gamma(1.2, 2400, n), min(10_800.0, scene.span_s * 0.4))
    ip = scene.addresses(n, "home")
    user, ua = np.where(rng.random(n) < 0.6, scene.accounts(n, distinct=True), ABSENT), scene.browser(ip)
    old: Ints = scene.world.paths.all([f"/static/chunk-{one:02d}.8f3a1c.js" for one in range(30)])
    parts = []
    for share, wait_s in ((1.0, 0.0), (0.2, 15.0)):
        who = np.flatnonzero(rng.random(n) < share)
        each = np.repeat(who, rng.integers(2, 6, len(who)))
        at_s = clicks_s[each] + wait_s + rng.uniform(0, 1, len(each))
        path = old[rng.integers(0, len(old), len(each))]
        parts.append(scene.requests(at_s, "static", path=path, ip=ip[each], user=user[each], ua=ua[each], status=404))
    steps = [("home", 0.0, 200), ("static", 0.4, 200), ("static", 0.2, 200), ("list", 20.0, 200)]
    anew = scripted(scene, clicks_s + 20 + rng.gamma(2, 4, n), steps, ip=ip, user=user, ua=ua)
    step = np.repeat(np.arange(4), n)
    for number, path in ((1, scene.world.statics[0]), (2, scene.world.statics[1]), (3, scene.world.lists[0])):
        anew["path"][step == number] = path
    return together(*parts, anew)


@case()
def secret_rotation(scene: Scene) -> Rows:
    """The payment provider signs with a secret that the shop does not have yet: forty minutes of 401, then all of it.

    A message in six seconds from three of its machines. Each that is refused is sent again after 5 seconds,
    30, two minutes, ten, half an hour, until the shop has the secret; then every one of them is taken.
    """
    rng = scene.rng
    begin_s, lasts_s = scene.moment(0.2, 0.6), min(2400.0, scene.span_s * 0.3)
    told_s = scene.regular(0, scene.span_s, 6.0, 0.3)
    ip, ua = scene.addresses(3, "partner"), scene.tool("PayBridge-Hooks/2.1")
    machine, parts = rng.integers(0, 3, len(told_s)), []
    waits_s = iter((*_RETRIES_S, *[1800.0] * 3))
    due_s, by = told_s, ip[machine]
    while len(due_s):
        refused = (due_s >= begin_s) & (due_s < begin_s + lasts_s)
        parts.append(scene.requests(due_s, "callback", ip=by, ua=ua, status=np.where(refused, 401, 200)))
        due_s, by = due_s[refused] + next(waits_s) * rng.uniform(0.9, 1.1, int(refused.sum())), by[refused]
    return together(*parts)


@case()
def clock_skew(scene: Scene) -> Rows:
    """Two of a partner's six machines have the wrong time: for an hour and a half all that they sign is refused.

    One good key on all six, a request in fifteen seconds each: orders, items and stock. What is refused (401) is tried
    twice more within two seconds. Then the clocks are set, and everything is answered.
    """
    rng = scene.rng
    wrong_s, lasts_s = scene.moment(0.2, 0.6), min(5400.0, scene.span_s * 0.35)
    key, ua = scene.key("key-batch-signed"), scene.tool("wholesale-link/4.4 Java/17.0.9")
    parts = []
    for machine, ip in enumerate(scene.addresses(6, "partner").tolist()):
        at_s = scene.steady(1 / 15, scene.span_s, shape=4.0)
        refused = (machine < 2) & (at_s >= wrong_s) & (at_s < wrong_s + lasts_s)
        each = np.repeat(np.arange(len(at_s)), np.where(refused, 3, 1))
        nth = np.arange(len(each)) - np.searchsorted(each, each)
        tried_s, status = at_s[each] + nth * rng.uniform(0.4, 1, len(each)), np.where(refused[each], 401, 200)
        item, kind = rng.integers(0, ITEMS, len(at_s))[each], rng.integers(0, 3, len(at_s))[each]
        made = scene.requests(tried_s, "api_orders", ip=ip, key=key, ua=ua, status=status)
        for number, endpoint, paths in ((1, "api_item", scene.world.api_items), (2, "api_stock", scene.world.stock)):
            rows = scene.requests(tried_s, endpoint, path=paths[item], ip=ip, key=key, ua=ua, status=status)
            made[kind == number] = rows[kind == number]
        parts.append(made)
    return together(*parts)


@case()
def erp_cutover(scene: Scene) -> Rows:
    """A partner's new system takes over: it writes the stock of all six thousand items in order, then reads all of it.

    Ten a second with a key of that morning, from one machine in a cloud; one in a hundred meets the old system (409)
    and is written again. Then one in six seconds, as the old one did, which falls silent.
    """
    rng = scene.rng
    begin_s = scene.moment(0.3, 0.5)
    old_ip, ip = int(scene.addresses(1, "partner")[0]), int(scene.addresses(1, "hosting")[0])
    key, ua = scene.key("key-batch-erp"), scene.tool("erp-next/1.0 (stock-load)")
    stock, items = scene.world.stock, scene.world.api_items
    write_s = begin_s + np.cumsum(rng.gamma(6, 0.1 / 6, ITEMS))
    status = scene.mostly(ITEMS, 200, 409, 0.01)
    written = scene.requests(write_s, "api_stock", path=stock, ip=ip, key=key, ua=ua, status=status)
    again = written[status == 409].copy()
    again["status"], again["ts_ms"] = 200, again["ts_ms"] + 3000
    read_s = write_s[-1] + 20 + np.cumsum(rng.gamma(6, 0.1 / 6, ITEMS))
    read = scene.requests(read_s, "api_item", path=items, ip=ip, key=key, ua=ua)
    usual_s = scene.steady(1 / 6, scene.span_s, shape=4.0)
    before, after = usual_s[usual_s < write_s[0] + 300], usual_s[usual_s > read_s[-1]]
    old_key, old_ua = scene.key("key-batch-olderp"), scene.tool("erp-sync/2.9 Java/11.0.2")
    was = scene.requests(
        before, "api_stock", path=scene.by_turns(stock, len(before)), ip=old_ip, key=old_key, ua=old_ua
    )
    now = scene.requests(after, "api_stock", path=scene.by_turns(stock, len(after)), ip=ip, key=key, ua=ua)
    return together(was, written, again, read, now)


@case()
def firmware_rollout(scene: Scene) -> Rows:
    """Two hundred devices get new firmware in three waves, fetch it in four parts, and are other devices afterwards.

    Five, then 35, then 160, each wave over twenty minutes. A report every ten minutes; then four parts of the same
    package within half a minute, two minutes' silence, a registration (201; one in ten is known, 409), and reports
    under a new name. Six do not start, and fetch it anew every minute and a half for an hour.
    """
    rng, devices = scene.rng, sum(_WAVES)
    key = scene.key("key-fleet-meters")
    ip = scene.addresses(devices, "device")
    old, new = scene.tool("meter-fw/3.9.4"), scene.tool("meter-fw/4.0.0")
    waves_s = np.repeat([scene.moment(low, low + 0.05) for low in (0.1, 0.3, 0.5)], _WAVES)
    update_s = waves_s + rng.uniform(0, min(1200.0, scene.span_s * 0.1), devices)
    parts_of_it = scene.world.paths.all([f"/api/v1/packages/meter-fw-4.0.0?part={one}" for one in range(1, 5)])
    parts = []
    for device in range(devices):
        at = int(ip[device])
        stuck = device >= devices - 6
        tries_s = update_s[device] + np.arange(40 if stuck else 1) * 90.0
        fetch_s = (tries_s[:, None] + np.cumsum(rng.uniform(3, 8, (len(tries_s), 4)), 1)).ravel()
        package = np.tile(parts_of_it, len(tries_s))
        begin_s = float(fetch_s[-1]) + 120 + float(rng.uniform(0, 10))
        at_s = scene.regular(rng.uniform(0, 600), scene.span_s, 600.0, 0.05)
        silent = (at_s >= update_s[device]) & (at_s < begin_s)
        path = scene.world.paths.all([f"/api/v1/devices/{7000 + device}/telemetry"]).repeat(int((~silent).sum()))
        ua = np.where(at_s < begin_s, old, new)[~silent]
        known = 409 if rng.random() < 0.1 else 201
        parts += [
            scene.requests(fetch_s, "build", path=package, ip=at, key=key, ua=old),
            scene.requests(np.array([begin_s]), "device", ip=at, key=key, ua=new, status=known),
            scene.requests(at_s[~silent], "telemetry", path=path, ip=at, key=key, ua=ua),
        ]
    return together(*parts)
