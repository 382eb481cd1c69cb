"""First sight: good programs that read much: answers."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ENDPOINT_CODES, ITEMS, zipf


@case()
def answer_engine(scene: Scene) -> Rows:
    """People ask an assistant what to buy, and while they wait it reads a few of our pages, and names us in its answer.

    As many questions as the site has requests in three minutes (900 at 5 a second), by the hour of the day: a search
    and two to five pages, items and reviews and an article, all within a second and a half, from twenty-four rented
    machines under the assistant's name. Nobody signs in, nothing is kept: a popular item is read again for each. One
    page in twenty is made up by it (404). Two in five who asked follow the link themselves, from home.
    """
    rng, n = scene.rng, max(40, round(scene.requests_per_s * 180))
    world, asked_s = scene.world, daily(scene, n, scene.start_ms)
    pool, ua = (
        scene.addresses(24, "hosting"),
        scene.tool("Mozilla/5.0 (compatible; Assistant-User/1.0; +https://assist.example)"),
    )
    wanted = zipf(rng, n, ITEMS)
    pages = rng.integers(2, 6, n)
    who = np.repeat(np.arange(n), pages)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = asked_s[who] + 0.5 + rng.uniform(0, 1, len(who))
    near = (wanted[who] + nth // 2 * 17) % ITEMS
    made_up = rng.random(len(who)) < 0.05
    columns = {"ip": pool[rng.integers(0, 24, len(who))], "ua": np.array([ua]), "status": np.where(made_up, 404, 200)}
    path = np.where(nth % 2 == 0, world.items[near], world.reviews[near])
    path = np.where(nth == 4, world.articles[near % ARTICLES], path)
    invented = world.paths.all([f"/items/best-{one % 40}-of-2026" for one in near.tolist()])
    read = scene.requests(at_s, "item", path=np.where(made_up, invented, path), **columns)
    read["endpoint"][~made_up & (nth % 2 == 1)] = ENDPOINT_CODES["reviews"]
    read["endpoint"][~made_up & (nth == 4)] = ENDPOINT_CODES["article"]
    ip = pool[rng.integers(0, 24, n)]
    searched = scene.requests(asked_s, "search", path=world.searches[wanted % len(world.searches)], ip=ip, ua=ua)
    comes = np.flatnonzero(rng.random(n) < 0.4)
    home, come_s = scene.addresses(len(comes), "home"), asked_s[comes] + 15 + rng.gamma(2, 12, len(comes))
    mine = {"ip": home, "ua": scene.browser(home)}
    opened = scene.requests(come_s, "item", path=world.items[wanted[comes]], **mine)
    script = scene.requests(come_s + 0.3, "static", path=world.statics[:1].repeat(len(comes)), **mine)
    return together(searched, read, opened, script)
