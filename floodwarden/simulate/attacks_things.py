"""Attacks on what is kept, and by what is out there: stock, devices, a page as a sign."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.world import ITEMS, zipf


@family(weak=Strength(1, 3, 2400), medium=Strength(1, 60, 600), strong=Strength(3, 380, 300))
def stock_sabotage(scene: Scene, how: Strength) -> Rows:
    """Somebody who has left sets the stock of one item after the other to nothing, with the partner's key he knew.

    From his home, what sells best first, each item once, below the key's limit; nearly all is taken (200), one in 150
    meets the true job (409). Nothing is read, before or after.

    Source: US Attorney, Northern District of California, former Cisco engineer (456 virtual machines deleted after he
    had left), 2020-08-26; and a bank's former cloud engineer (repositories deleted), sentenced 2023-12.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    return scene.requests(
        at_s,
        "api_stock",
        path=scene.world.stock[np.arange(n) % ITEMS],
        ip=scene.by_turns(scene.addresses(how.sources, "neighbour"), n),
        key=scene.key(f"key-batch-{1 + 2 * int(scene.rng.integers(2))}"),
        status=scene.mostly(n, 200, 409, 1 / 150),
        ua=scene.tool("curl/8.5.0"),
    )


@family(oat="OAT-018", weak=Strength(1, 2, 2400), medium=Strength(3, 25, 900), strong=Strength(10, 90, 420))
def serial_claiming(scene: Scene, how: Strength) -> Rows:
    """Devices are claimed that others own or will buy: serial number after serial number, as the factory counts.

    With the app's name, each address under an account of its own and with a stretch of numbers of its own. Seven in ten
    were never built (404), a quarter has its owner (409), one in twenty is the attacker's from now on (201).

    Source: SEC Consult, "Millions of Xiongmai video surveillance devices can be hacked via cloud feature" (cloud
    identifiers that can be counted), 2018-10-09.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    turn = np.arange(n) % how.sources
    first = rng.integers(1 << 20, 1 << 24, how.sources)
    serial = (first[turn] + np.arange(n) // how.sources).tolist()
    return scene.requests(
        at_s,
        "device",
        path=[f"/api/v2/devices?serial=SG4{one:09d}" for one in serial],
        ip=scene.addresses(how.sources, "bot")[turn],
        user=scene.strangers(how.sources, "owner")[turn],
        status=rng.choice([404, 409, 201], n, p=[0.7, 0.25, 0.05]),
        ua=scene.tool("ShopApp/5.9.4 (Android 13)"),
    )


@family(weak=Strength(60, 0.02, 3600), medium=Strength(300, 0.05, 3600), strong=Strength(1500, 0.1, 2400))
def dead_drop(scene: Scene, how: Strength) -> Rows:
    """Infected computers all over the world read the reviews of one item: in one of them stands whom to obey next.

    Each by its own timer, every ten minutes when it is strong and every fifty when it is weak, under a browser's name
    of years ago; the page alone, always answered (200), and of an item that hardly anybody wants.

    Source: MITRE ATT&CK T1102.001 (dead drop resolver); Darktrace, "A surge of Vidar" (profiles on social media say
    where its server is), 2023-02-09.
    """
    rng, every_s = scene.rng, 1 / how.per_s
    ip = scene.addresses(how.sources, "bot")
    who = np.arange(how.sources)
    first_s = rng.uniform(0, min(every_s, how.lasts_s), how.sources)
    times: list[Seconds] = [first_s]
    whose = [who]
    while (times[-1] < how.lasts_s - every_s).any():
        again = times[-1] < how.lasts_s - every_s
        whose.append(whose[-1][again])
        times.append(times[-1][again] + every_s * rng.uniform(0.97, 1.03, int(again.sum())))
    unwanted = ITEMS - 1 - int(zipf(rng, 1, ITEMS // 4)[0])
    path = scene.world.reviews[unwanted : unwanted + 1]
    ua = scene.tool("Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 Chrome/49.0.2623.112 Safari/537.36")
    parts = [
        scene.requests(at_s, "reviews", path=path.repeat(len(at_s)), ip=ip[by], ua=ua)
        for at_s, by in zip(times, whose, strict=True)
    ]
    return together(*parts)
