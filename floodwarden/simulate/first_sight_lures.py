"""First sight: advertising and search engines abused: doorways."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Rows, Scene, together

_BRANDS: Final = ("tokei", "saifu", "kutsu", "baggu", "sangurasu", "nekkuresu", "kooto", "sunika")


@family(weak=Strength(100, 0.05, 2400), medium=Strength(700, 0.13, 900), strong=Strength(3000, 0.4, 300))
def doorway_pages(scene: Scene, how: Strength) -> Rows:
    """Somebody got into the server and put up thousands of pages of his own: the engine reads them, people are led on.

    Pages that nothing here leads to, in another language, for goods we do not sell: the search engine's machines get
    each once (200), by links that stand elsewhere. Whoever finds one there and comes, from homes worldwide, is sent on
    to another shop at once (302), and asks for nothing else. A rented machine looks now and then whether both is so.

    Source: Cisco Talos, "DragonRank, a Chinese-speaking SEO manipulator service provider", 2024-09-10; ESET,
    "GhostRedirector poisons Windows servers: backdoors with a side of potatoes", 2025-09-04.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s))
    engines = min(20, max(4, how.sources // 100))
    found = how.sources - engines - 1
    reads, looks = max(8, n - found - 8), 4
    pages = scene.world.paths.all(
        [f"/shop/{_BRANDS[one % len(_BRANDS)]}-{one * 7919 % 1_000_003}.html" for one in range(reads)]
    )
    read_s = scene.scattered(reads, how.lasts_s)
    engine = scene.by_turns(scene.addresses(engines, "engine"), reads)
    agent = scene.tool(ENGINE)
    crawled = scene.requests(read_s, "missing", path=pages, ip=engine, ua=agent)
    ip = scene.addresses(found, "bot")
    comes_s = how.lasts_s * np.sqrt(rng.random(found))  # more, the more of it the engine has
    led = scene.requests(
        comes_s, "missing", path=pages[rng.integers(0, reads, found)], ip=ip, ua=scene.browser(ip), status=302
    )
    look_s = np.repeat(scene.scattered(looks, how.lasts_s), 2) + np.tile([0.0, 1.0], looks)
    as_engine = np.tile([True, False], looks)
    looked = scene.requests(
        look_s,
        "missing",
        path=pages[rng.integers(0, reads, looks)].repeat(2),
        ip=int(scene.addresses(1, "hosting")[0]),
        ua=np.where(as_engine, agent, scene.world.browsers[0]),
        status=np.where(as_engine, 200, 302),
    )
    return together(crawled, led, looked)
