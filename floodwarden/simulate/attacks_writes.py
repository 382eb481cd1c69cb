"""Attacks that write with rights they should not have: skimmers, a shop wiped, others' devices."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS

_LISTED: Final = 30  # items that are deleted after each look at a list


@family(weak=Strength(1, 1, 3000), medium=Strength(1, 20, 900), strong=Strength(3, 75, 300))
def skimmer_planting(scene: Scene, how: Strength) -> Rows:
    """A script that copies card numbers is written into item after item through the interface, with a leaked key.

    What sells best first: the item is overwritten (200) and read back a few seconds later, to see whether the script is
    in it; a new token before every tenth. One in forty is not to be overwritten (403). No page else, no picture.

    Source: Sansec, "CosmicSting attack threatens 75% of Adobe Commerce stores", 2024-06-18, and on seven groups that
    wrote skimmers into more than four thousand shops with stolen keys, 2024-10.
    """
    rng = scene.rng
    n = max(2, round(how.sources * how.per_s * how.lasts_s / 2.1))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 12))
    ip = scene.addresses(how.sources, "hosting")[np.arange(n) // 10 % how.sources]
    ua, path = scene.tool("axios/1.7.9"), scene.world.items[np.arange(n) % ITEMS]
    new = np.arange(n) % 10 == 0
    return together(
        scene.requests(begins_s[new] - 1.5, "token", ip=ip[new], ua=ua),
        scene.requests(begins_s, "item_put", path=path, ip=ip, ua=ua, status=scene.mostly(n, 200, 403, 1 / 40)),
        scene.requests(begins_s + rng.uniform(3, 9, n), "item", path=path, ip=ip, ua=ua),
    )


@family(weak=Strength(1, 2, 2400), medium=Strength(1, 40, 600), strong=Strength(3, 100, 300))
def catalogue_wipe(scene: Scene, how: Strength) -> Rows:
    """With a token that lay about the shop is emptied: a page of a list is read, and all that stands on it is deleted.

    Thirty items after each page, in order; all are gone (200), but one in fifty that lies in somebody's cart (409). No
    ransom is asked for, and no page of an item is read. Several machines take a stretch each.

    Source: Kansas Hospital Association, "Meow attack is wiping internet-exposed databases", 2020-07-31; ESET, on the
    same (almost 4,000), 2020-07-28; the wiping of My Book Live drives (CVE-2021-35941), 2021-06.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n = len(at_s)
    turn, nth = np.arange(n) % how.sources, np.arange(n) // how.sources
    page, on_it = nth // (_LISTED + 1), nth % (_LISTED + 1)
    first = turn * (ITEMS // how.sources)
    who = {
        "ip": scene.addresses(how.sources, "hosting")[turn],
        "ua": np.array([scene.tool("python-requests/2.31.0")]),
    }
    path = scene.world.items[(first + page * _LISTED + on_it - 1) % ITEMS]
    made = scene.requests(at_s, "item_delete", path=path, status=scene.mostly(n, 200, 409, 0.02), **who)
    look = on_it == 0
    lists = scene.world.lists[(first // _LISTED + page) % len(scene.world.lists)]
    made[look] = scene.requests(at_s, "list", path=lists, **who)[look]
    return made


@family(weak=Strength(1, 0.8, 3000), medium=Strength(2, 10, 900), strong=Strength(5, 60, 420))
def dealer_portal(scene: Scene, how: Strength) -> Rows:
    """Somebody has himself made a dealer, and with a dealer's rights makes other people's devices his own.

    A number from a street or a box is looked up (one in twenty is not there, 404, and left), the owner's account is
    joined by one of the attacker's (201), and the device is told two things (200): four requests in half a minute,
    device after device, in no order. One dealer an address; nothing is guessed, and nearly everything is answered.

    Source: S. Curry and others, "Hacking Kia: remotely controlling cars with just a license plate", 2024-09.
    """
    rng = scene.rng
    devices = max(2, round(how.sources * how.per_s * how.lasts_s / 3.85))
    begins_s = scene.scattered(devices, max(1.0, how.lasts_s - 40))
    turn = np.arange(devices) % how.sources
    who = {
        "ip": scene.addresses(how.sources, "hosting")[turn],
        "user": scene.strangers(how.sources, "dealer")[turn],
        "ua": np.array([scene.tool("okhttp/4.12.0")]).repeat(devices),
    }
    serial = rng.permutation(90_000)[:devices].tolist()
    absent = rng.random(devices) < 0.05
    asked = [f"/api/v1/orders?serial=KX{one:07d}" for one in serial]
    parts = [scene.requests(begins_s, "api_orders", path=asked, status=np.where(absent, 404, 200), **who)]
    joined = [f"/api/v2/devices?serial=KX{one:07d}&role=owner" for one in serial]
    told = [f"/api/v1/devices/{one}/telemetry" for one in serial]
    for wait_s, endpoint, path, status in (
        (6.0, "device", joined, 201), (14.0, "telemetry", told, 200), (22.0, "telemetry", told, 200),
    ):  # fmt: skip
        at_s = begins_s + wait_s * rng.uniform(0.7, 1.3, devices)
        parts.append(scene.requests(at_s, endpoint, path=path, status=status, **who)[~absent])
    return together(*parts)
