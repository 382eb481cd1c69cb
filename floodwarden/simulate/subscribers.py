"""IPv6 subscribers: one customer has a /64, 2^64 addresses, and so has an office full of people."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.attacks_login import leaked
from floodwarden.simulate.declare import Strength, case, family
from floodwarden.simulate.people import Visit, browse, typos
from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT, ITEMS


@family(oat="OAT-008", weak=Strength(1, 6, 1800), medium=Strength(1, 40, 600), strong=Strength(1, 400, 240))
def v6_rotation(scene: Scene, how: Strength) -> Rows:
    """One IPv6 subscriber tries a leaked list, each login from another address of his /64; one pair in eighty fits."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    ip = scene.subscriber(len(at_s))
    return leaked(scene, at_s, ip, np.full(len(at_s), scene.tool("python-requests/2.31.0")))


@family(oat="OAT-011", weak=Strength(1, 30, 2400), medium=Strength(1, 180, 900), strong=Strength(1, 900, 420))
def v6_scraping(scene: Scene, how: Strength) -> Rows:
    """One IPv6 subscriber walks the catalogue in order, each item from another address of his /64."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    item = (int(scene.rng.integers(ITEMS)) + np.arange(len(at_s))) % ITEMS
    status = scene.mostly(len(at_s), 200, 404, 0.003)
    ip, ua = scene.subscriber(len(at_s)), int(scene.world.browsers[1])
    return scene.requests(at_s, "item", path=scene.world.items[item], ip=ip, status=status, ua=ua)


@case()
def v6_office(scene: Scene) -> Rows:
    """Fifty colleagues behind one IPv6 /64, another address for each visit, as privacy extensions give them.

    Two or three visits each over half a day, four in five sign in, with typos; two forgot their password and try it
    five times. None of their addresses is seen twice.
    """
    rng, people = scene.rng, 50
    who = np.repeat(np.arange(people), rng.integers(2, 4, people))
    n = len(who)
    member = rng.random(people) < 0.8
    first = np.concatenate(([True], np.diff(who) != 0))
    failures = np.where(first & member[who], typos(scene, n), ABSENT)
    failures[np.flatnonzero(failures >= 0)[:2]] = 5
    visit = Visit(
        start_s=scene.moment(0.1, 0.3) + rng.uniform(0, min(14_400.0, scene.span_s * 0.5), n),
        requests=np.minimum(rng.geometric(1 / 13, n) + 1, 120),
        ip=scene.subscriber(n, "office6"),
        user=np.where(member, scene.accounts(people, distinct=True), ABSENT)[who],
        ua=scene.world.browsers[rng.integers(0, 5, people)][who],
        failures=failures,
        known=member[who] & (failures < 0),
    )
    return browse(scene, visit)
