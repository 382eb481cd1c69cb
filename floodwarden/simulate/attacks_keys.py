"""Attacks with keys and on what keys may do: free trials in turn, devices that lie, rights tried out."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ITEMS

_TEAMS: Final = ("billing", "cart", "catalog", "fraud", "ledger", "mail", "pricing", "search", "stock", "warehouse")
_PARTS: Final = ("api", "auth", "client", "common", "config", "core", "events", "models", "schemas", "utils", "worker")
_BEYOND: Final = {
    "api_stock": 0.25, "export": 0.2, "api_orders": 0.2, "telemetry": 0.1, "backoffice": 0.15, "build": 0.1,
}  # fmt: skip


@family(oat="OAT-019", weak=Strength(1, 12, 2400), medium=Strength(2, 90, 900), strong=Strength(6, 240, 420))
def trial_key_rotation(scene: Scene, how: Strength) -> Rows:
    """The catalogue is read with free trial keys in turn, twenty-five requests each: no key's quota is ever met.

    All from the same one to six machines, item by item in order, one in ten a page of the list; every key is good, and
    everything is answered.

    Source: Sysdig, "PURPLEURCHIN" (free trials used in turn), 2022-10-25; Palo Alto Unit 42, "PurpleUrchin bypasses
    CAPTCHA and steals cloud platform resources", 2023-01-05; OWASP API Security Top 10, API6:2023.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=4.0)
    n = len(at_s)
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("node-fetch/3.3.2")
    pool = max(4, n // 25)
    keys = scene.world.keys.all([f"key-trial-{one:06x}" for one in scene.rng.integers(1 << 24, size=pool).tolist()])
    walk = scene.world.api_items[(int(scene.rng.integers(ITEMS)) + np.arange(n)) % ITEMS]
    key = keys[np.arange(n) % pool]
    made = scene.requests(at_s, "api_item", path=walk, ip=ip, key=key, ua=ua, status=scene.mostly(n, 200, 404, 0.003))
    listed = scene.rng.random(n) < 0.1
    made[listed] = scene.requests(at_s, "api_items", ip=ip, key=key, ua=ua)[listed]
    return made


@family(oat="OAT-016", weak=Strength(1, 6, 2400), medium=Strength(2, 60, 900), strong=Strength(4, 200, 480))
def telemetry_forgery(scene: Scene, how: Strength) -> Rows:
    """Reports in the name of three hundred devices come from a rented machine, with the key read out of one of them.

    The firmware's own user agent, the devices' own paths, in no order, while they go on reporting themselves from their
    own addresses. Nearly all is taken; three in a hundred come too soon after the true one (409).

    Source: S. Weckert, "Google Maps Hacks" (99 telephones make a traffic jam), 2020-02-01; OWASP Automated Threat
    Handbook 1.2, OAT-016, 2018-02-15.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    paths = scene.world.paths.all([f"/api/v1/devices/{number}/telemetry" for number in range(300)])
    return scene.requests(
        at_s,
        "telemetry",
        path=paths[scene.rng.integers(0, 300, n)],
        ip=scene.by_turns(scene.addresses(how.sources, "hosting"), n),
        key=scene.key("key-fleet-0"),
        status=scene.mostly(n, 200, 409, 0.03),
        ua=scene.tool("sensor-fw/4.0.1"),
    )


@family(oat="OAT-014", weak=Strength(1, 2, 2400), medium=Strength(1, 20, 900), strong=Strength(2, 50, 480))
def scope_probing(scene: Scene, how: Strength) -> Rows:
    """A customer's key is tried on what is not its business: stock, exports, others' orders, devices, the back office.

    Nearly all of it exists and is refused (403, 401); one in twenty is not. A quarter are items, which the key is for.

    Source: OWASP API Security Top 10, API5:2023 (broken function level authorisation), 2023-06; OWASP Web Security
    Testing Guide 4.2, "Testing for Bypassing Authorization Schema", 2020-12-03.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    who = {"ip": scene.by_turns(scene.addresses(how.sources, "hosting"), n)}
    who["key"] = np.full(n, scene.key(f"key-app-{rng.integers(40):02d}"))
    ua, numbers = scene.tool("python-httpx/0.27.0"), rng.integers(1, 9000, n)
    made = scene.requests(at_s, "api_item", path=scene.world.api_items[rng.integers(0, 400, n)], ua=ua, **who)
    forms = {
        "api_stock": "/api/v1/stock/{}", "export": "/api/v1/exports", "api_orders": "/api/v1/orders?customer={}",
        "telemetry": "/api/v1/devices/{}/telemetry", "backoffice": "/backoffice/orders/{}",
        "build": "/api/v1/packages/lib-{}",
    }  # fmt: skip
    kind = np.where(rng.random(n) < 0.25, -1, rng.choice(len(_BEYOND), n, p=list(_BEYOND.values())))
    status = rng.choice([403, 401, 404, 200], n, p=[0.75, 0.12, 0.08, 0.05])
    for number, endpoint in enumerate(_BEYOND):
        texts = [forms[endpoint].format(one) for one in numbers.tolist()]
        here = kind == number
        made[here] = scene.requests(at_s, endpoint, path=texts, status=status, ua=ua, **who)[here]
    return made


@family(oat="OAT-018", weak=Strength(1, 3, 2400), medium=Strength(1, 30, 900), strong=Strength(2, 55, 480))
def package_guessing(scene: Scene, how: Strength) -> Rows:
    """With a build's leaked key the names of internal packages are guessed, to publish others under them elsewhere.

    A team, a part and an ending put together, each once; eleven in twelve are not there (404). Below the key's limit,
    with a package manager's name.

    Source: A. Birsan, "Dependency confusion: how I hacked into Apple, Microsoft and dozens of other companies",
    2021-02-09; PyTorch, the package torchtriton, 2022-12-31.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    endings = ("", "-js", "-py", "-internal", "-v2", "-sdk", "-cli", "-legacy", "-test", "-next")
    names = [f"/api/v1/packages/{team}-{part}{end}" for end in endings for team in _TEAMS for part in _PARTS]
    status = scene.mostly(n, 404, 200, 1 / 12)
    ip, key = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.key(f"key-ci-{scene.rng.integers(3)}")
    path = scene.world.paths.all([names[one % len(names)] for one in (int(scene.rng.integers(900)) + np.arange(n))])
    return scene.requests(at_s, "build", path=path, ip=ip, key=key, status=status, ua=scene.tool("npm/10.8.2"))
