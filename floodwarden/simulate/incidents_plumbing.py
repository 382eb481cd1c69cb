"""Hard good cases between machines: a cache, a field, a region, an autoscaler."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, daily, typos
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS, zipf

_WAITS_S: Final = (0.5, 1.5, 3.5)  # of a library that tries again


@case()
def village_cache(scene: Scene) -> Rows:
    """A village behind one satellite dish has one cache: ninety homes, one address, and all it keeps asked for anew.

    What people open comes as theirs, by their browsers, two visits a household in half a day; besides that the cache
    asks for the 300 pages and scripts it keeps, one a second in the order it got them, every hour (nine in ten 304).
    For four minutes rain takes the link: half is given up (499) and asked for again, by the cache, as soon as it is
    dry.
    """
    rng, homes = scene.rng, 90
    visits = max(homes, round(homes * 4 * scene.span_s / 86_400))
    who = np.arange(visits) % homes
    ip = int(scene.addresses(1, "office")[0])
    member = rng.random(homes) < 0.6
    browsers = scene.world.browsers[rng.integers(0, 16, homes)]
    failures = np.where(member[who] & (rng.random(visits) < 0.3), typos(scene, visits), ABSENT)
    visit = Visit(
        start_s=daily(scene, visits, scene.start_ms),
        requests=np.minimum(rng.geometric(1 / 11, visits) + 1, 90),
        ip=np.full(visits, ip),
        user=np.where(member, scene.accounts(homes, distinct=True), ABSENT)[who],
        ua=browsers[who],
        failures=failures,
        known=member[who] & (failures < 0),
    )
    people = browse(scene, visit)
    scripts = scene.world.statics
    kept = np.concatenate([scripts, scene.world.items[zipf(rng, 300 - len(scripts), 2000)]])
    rounds_s = np.arange(rng.uniform(0, 1200), scene.span_s, 3600.0)
    at_s = (rounds_s[:, None] + np.arange(len(kept)) + rng.uniform(0, 0.3, len(kept))).ravel()
    n, ua = len(at_s), scene.tool("squid/6.10 (satlink-edge)")
    status = scene.mostly(n, 304, 200, 0.1)
    path = np.tile(kept, len(rounds_s))
    asked = scene.requests(at_s, "item", path=path, ip=ip, ua=ua, status=status)
    asked["endpoint"][np.isin(path, scripts)] = ENDPOINT_CODES["static"]
    made, rain_ms = together(people, asked), int(scene.moment(0.4, 0.7) * 1000)
    wet = (made["ts_ms"] >= rain_ms) & (made["ts_ms"] < rain_ms + 240_000) & (rng.random(len(made)) < 0.5)
    made["status"][wet] = 499
    again = made[wet].copy()
    again["status"], again["ua"] = 200, ua
    again["ts_ms"] = rain_ms + 240_000 + rng.integers(0, 20_000, len(again))
    return together(made, again)


@case()
def schema_break(scene: Scene) -> Rows:
    """A release of the interface wants a field that it did not want before, and twenty customers' programs lack it.

    A request in 75 seconds each, day and night, with keys in good standing. From the release on three in four of each
    program's are refused (400), and tried again after half a second, one and a half and three and a half, in vain each
    time; one by one they are put right, the first after twenty minutes, the last after four hours.
    """
    rng, customers = scene.rng, 20
    release_s = scene.moment(0.15, 0.45)
    longest_s = min(14_400.0, scene.span_s * 0.45)
    mended_s = release_s + np.geomspace(min(1200.0, longest_s / 6), longest_s, customers)
    parts = []
    for number, ip in enumerate(scene.addresses(customers, "office").tolist()):
        at_s = scene.regular(0, scene.span_s, 75.0, 0.2)
        lacking = (at_s > release_s) & (at_s < mended_s[number]) & (rng.random(len(at_s)) < 0.75)
        who = {"ip": ip, "key": scene.key(f"key-sdk-{number:02d}"), "ua": scene.tool(f"shop-sdk-java/2.{number % 4}.0")}
        endpoint = ("graphql", "api_orders")[number % 2]
        parts.append(scene.requests(at_s, endpoint, status=np.where(lacking, 400, 200), **who))
        again_s = (at_s[lacking][:, None] + np.array(_WAITS_S)).ravel()
        parts.append(scene.requests(again_s, endpoint, status=400, **who))
    return together(*parts)


@case()
def region_failover(scene: Scene) -> Rows:
    """A cloud's region fails, and a partner's machines stand up in three other countries with the same key.

    Six machines, a request in eight seconds all told; eight minutes of silence; then six others, never seen, hand in
    what was not confirmed at four a second for ten minutes, a third of which had been taken (409), and go on as the old
    ones did. After four hours it is back where it was, within a minute.
    """
    rng = scene.rng
    fails_s, silent_s = scene.moment(0.2, 0.4), min(480.0, scene.span_s * 0.05)
    rises_s = fails_s + silent_s
    back_s = rises_s + min(14_400.0, scene.span_s * 0.4)
    catch_s = min(600.0, scene.span_s * 0.1)
    key, ua = scene.key("key-batch-marketplace"), scene.tool("marketplace-core/11.2 Java/21.0.4")
    here, there = scene.addresses(6, "partner"), scene.addresses(6, "hosting")
    usual_s = scene.steady(1 / 8, scene.span_s, shape=3.0)
    usual_s = usual_s[(usual_s < fails_s) | (usual_s > rises_s)]
    away = (usual_s > rises_s) & (usual_s < back_s)
    turn = rng.integers(0, 6, len(usual_s))
    caught_s = rises_s + scene.steady(4.0, catch_s, shape=5.0)
    at_s = np.concatenate([usual_s, caught_s])
    n, late = len(at_s), np.arange(len(at_s)) >= len(usual_s)
    ip = np.concatenate([np.where(away, there[turn], here[turn]), scene.by_turns(there, len(caught_s))])
    who = {"ip": ip, "key": np.array([key]), "ua": np.array([ua])}
    status = np.where(late & (rng.random(n) < 1 / 3), 409, 200)
    made = scene.requests(at_s, "api_stock", path=scene.world.stock[rng.integers(0, ITEMS, n)], status=status, **who)
    orders = ~late & (rng.random(n) < 0.4)
    made[orders] = scene.requests(at_s, "api_orders", **who)[orders]
    return made


@case()
def scaled_out_pods(scene: Scene) -> Rows:
    """A customer's autoscaler goes from four copies of a program to fifty, each of which reads all lists as it starts.

    One key behind three addresses. A token each, then sixty pages of items at one in two thirds of a second; after that
    a look at one item in every minute, to see whether the site is there, until an hour later most are shut down. Five
    never become ready, and are started over every minute, twelve times.
    """
    rng, copies, pages = scene.rng, 50, 60
    begin_s, lasts_s = scene.moment(0.25, 0.6), min(3600.0, scene.span_s * 0.25)
    ip, key = scene.addresses(3, "office"), scene.key("key-batch-autoscaled")
    who = {"key": np.array([key]), "ua": np.array([scene.tool("storefront-cache/5.3 Go-http-client/2.0")])}
    lists = scene.world.paths.all([f"/api/v1/items?page={page}" for page in range(1, pages + 1)])
    parts = []
    for copy in range(copies):
        starts = 1 + (12 if copy >= copies - 5 else 0)
        at, first_s = int(ip[copy % 3]), begin_s + float(rng.uniform(0, 240))
        for start in range(starts):
            start_s = first_s + 60.0 * start
            read_s = start_s + 1 + np.cumsum(rng.gamma(6, 1 / 9, pages))
            parts.append(scene.requests(np.array([start_s]), "token", ip=at, **who))
            parts.append(scene.requests(read_s, "api_items", path=lists, ip=at, **who))
        lives_s = scene.span_s if copy < 4 else begin_s + lasts_s
        probes_s = scene.regular(first_s + 60.0 * starts, lives_s, 60.0, 0.01)
        path = scene.world.api_items[:1].repeat(len(probes_s))
        parts.append(scene.requests(probes_s, "api_item", path=path, ip=at, **who))
    before_s = scene.steady(4 / 60, begin_s, shape=20.0)
    path = scene.world.api_items[:1].repeat(len(before_s))
    parts.append(scene.requests(before_s, "api_item", path=path, ip=scene.by_turns(ip, len(before_s)), **who))
    return together(*parts)
