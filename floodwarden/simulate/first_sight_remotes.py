"""First sight: attacks by what was handed out: a dealer's remote control, boxes that earn, room for things."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import order_paths

_ROOM: Final = 8  # boxes to a room
_SINGERS: Final = ("tupac-shakur", "ludwig-van", "edith-piaf", "bob-dylan")
_LEFT: Final = 150  # things to an account
_NAMES: Final = ("andi", "budi", "citra", "dewi", "eka", "fajar")
_DISHES: Final = ("sate", "rendang", "soto", "gudeg", "pempek", "rawon", "tempe", "lapis")


@family(weak=Strength(1, 1.2, 3600), medium=Strength(1, 8, 1800), strong=Strength(2, 40, 900))
def immobilised_cars(scene: Scene, how: Strength) -> Rows:
    """A dealer's man was dismissed, and with a colleague's password he switches sold cars off, and has them hoot.

    From his home. His own sign-on is closed (401), the colleague's is not. Then customer after customer, as the list
    has them: the contract is opened, the car's starter switched off (one in fifteen cannot be reached, 404), and every
    fourth owner gets a singer's name. In the last third of the time all of them hoot, in the same sequence.

    Source: Wired (K. Poulsen), "Hacker disables more than 100 cars remotely" (a dismissed clerk of a dealer in Austin,
    with a colleague's account), 2010-03-17.
    """
    rng, m = scene.rng, how.sources
    cars = max(4, round((m * how.per_s * how.lasts_s - 2 * m) / 3.25))
    ip, staff = scene.addresses(m, "neighbour"), rng.permutation(60)[: m + 1].tolist()
    own, borrowed = (scene.world.users.code(f"staff{one:03d}") for one in (staff[0], staff[1]))
    ua = scene.browser(ip)
    tried = scene.requests(rng.uniform(0, 5, m), "sso", ip=ip, user=own, ua=ua, status=401)
    fitted = scene.requests(15 + rng.uniform(0, 15, m), "sso", ip=ip, user=borrowed, ua=ua)
    begins_s = 35 + np.arange(cars) * max(1.0, 0.62 * how.lasts_s - 40) / cars + rng.uniform(0, 1.0, cars)
    at = ip[np.arange(cars) % m]
    who = {"ip": at, "user": np.full(cars, borrowed), "ua": scene.browser(at)}
    serial = np.sort(rng.integers(1 << 30, size=cars)).tolist()
    deaf = rng.permutation(cars) % 15 == 14
    opened = scene.requests(begins_s, "backoffice", path=order_paths(scene, 120_000 + np.arange(cars)), **who)
    parts = [tried, fitted, opened]
    for to, at_s in (
        ("starter-off", begins_s + rng.uniform(0.3, 0.9, cars)),
        ("horn", how.lasts_s * 2 / 3 + (np.arange(cars) + rng.uniform(0, 0.5, cars)) * 0.32 * how.lasts_s / cars),
    ):
        path = [f"/api/v2/devices?vin=WFX{one:010d}&set={to}" for one in serial]
        parts.append(scene.requests(at_s, "device", path=path, status=np.where(deaf, 404, 200), **who))
    renamed = np.arange(cars) % 4 == 3
    name = [f"/account/profile?customer={one}&name={_SINGERS[one % len(_SINGERS)]}" for one in range(cars)]
    profiles = scene.requests(begins_s + 1.0, "profile", path=name, **who)
    return together(*parts, profiles[renamed])


@family(weak=Strength(2, 3, 3600), medium=Strength(8, 15, 1800), strong=Strength(30, 40, 900))
def faked_witnesses(scene: Scene, how: Strength) -> Rows:
    """Boxes are paid for the places they cover: eight in one room say that they hear each other all over the town.

    A room is one home's address. One box calls, and within two seconds all seven others have heard it, each some
    kilometres away: always the same eight, by turns, as long as it is let. One report in twenty is too good to be
    true (422). A box in earnest has an address of its own, and is heard by one or two, now and then.

    Source: Helium, "IoT denylist evolution" (boxes of one place entered as many places, on a list since the vote of
    2022-01-13), 2023-08-07.
    """
    rng, rooms = scene.rng, how.sources
    rounds = max(1, round(how.per_s * how.lasts_s / _ROOM))
    every_s = (how.lasts_s - 3) / rounds
    room, turn = np.repeat(np.arange(rooms), rounds * _ROOM), np.tile(np.repeat(np.arange(rounds), _ROOM), rooms)
    late = np.tile(np.arange(_ROOM), rooms * rounds)  # 0 is who calls
    begins_s = (turn + rng.uniform(0, 0.3, rooms * rounds)[room * rounds + turn]) * every_s
    at_s = begins_s + np.where(late, rng.uniform(0.3, 2.0, len(late)), 0.0)
    box, caller = (room * _ROOM + (turn + late) % _ROOM).tolist(), (room * _ROOM + turn % _ROOM).tolist()
    far = np.round(rng.uniform(2, 14, (_ROOM, _ROOM)), 1).tolist()
    path = [
        f"/api/v1/devices/hs-{one:05d}/telemetry?"
        + ("beacon=1" if one == other else f"heard={other:05d}&km={far[one % _ROOM][other % _ROOM]}")
        for one, other in zip(box, caller, strict=True)
    ]
    return scene.requests(
        at_s,
        "telemetry",
        path=path,
        ip=scene.addresses(rooms, "neighbour")[room],
        key=scene.key("key-fleet-hotspots"),
        status=np.where(late > 0, scene.mostly(len(late), 200, 422, 1 / 20), 200),
        ua=scene.tool("hotspot-fw/2023.02.1 (packet-forwarder)"),
    )


@family(oat="OAT-017", weak=Strength(1, 2, 3600), medium=Strength(4, 12, 1800), strong=Strength(20, 60, 900))
def junk_listings(scene: Scene, how: Strength) -> Rows:
    """Made-up accounts publish things that are nothing, like clocks, each of which leans on the one before.

    An account to a rented machine: signed up, then thing after thing under a name of two words and a number (201), one
    name in twenty is taken (409) and comes with another number at once, and every tenth time an older thing is
    published anew (200). After 150 the next account is made. Nobody ever looks at any of it; who is leant upon by many
    is paid.

    Source: Amazon Web Services, "Amazon Inspector detects over 150,000 malicious packages linked to token farming
    campaign", 2025-11-13.
    """
    rng, m = scene.rng, how.sources
    total = max(12, round(how.per_s * how.lasts_s))
    ip, ua = scene.addresses(m, "hosting"), scene.tool("axios/1.7.9 (auto-publish)")
    parts = []
    for one in range(m):
        n = round(total / 1.057)  # without sign-ups and names that were taken
        at_s = (np.arange(n) + 0.5 + rng.normal(0, 0.03, n)) * (how.lasts_s - 2) / n
        accounts = scene.strangers(-(-n // _LEFT), "publisher")
        owner = np.arange(n) // _LEFT
        anew, taken = np.arange(n) % 10 == 9, np.arange(n) % 20 == 3
        names = [f"{_NAMES[first]}-{_DISHES[second]}{number}" for first, second, number in
                 zip(*(rng.integers(0, most, n).tolist() for most in (6, 8, 100_000)), strict=True)]  # fmt: skip
        before = [names[max(0, at - 1)] for at in range(n)]
        things = [
            f"/items/{names[at - 5] if anew[at] else names[at]}?needs={before[at]}" + ("&version=2" if anew[at] else "")
            for at in range(n)
        ]
        who = {"ip": ip[one : one + 1], "ua": np.array([ua])}
        status = np.where(anew, 200, 201)
        parts.append(scene.requests(at_s, "item_put", path=things, user=accounts[owner], status=status, **who))
        refused = [f"/items/{names[at][:-2]}?needs={before[at]}" for at in np.flatnonzero(taken).tolist()]
        early_s, same = at_s[taken] - 0.3, accounts[owner][taken]
        parts.append(scene.requests(early_s, "item_put", path=refused, user=same, status=409, **who))
        parts.append(scene.requests(at_s[::_LEFT] - 0.6, "register", **who))
    return together(*parts)
