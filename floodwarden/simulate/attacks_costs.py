"""Attacks on the business and on what serving it costs."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.attacks_reading import held
from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import Ints


@family(oat="OAT-002", weak=Strength(20, 0.3, 2400), medium=Strength(40, 2, 900), strong=Strength(5, 60, 420))
def gift_codes(scene: Scene, how: Strength) -> Rows:
    """Codes of gift cards are guessed against a full cart; three in a thousand are worth something.

    An address puts something into its cart, then asks code after code; some dozens of homes a few each, or five
    rented machines one a second.

    Source: OWASP Automated Threat Handbook 1.2, OAT-002, 2018-02-15; PerimeterX (I. Raz), "How to prevent fraud from
    brute force online coupon and gift card attacks", 2017-03-20.
    """
    at_s, ip = held(scene, how, "hosting" if how.per_minute >= 30 else "bot")
    status = scene.mostly(len(at_s), 404, 200, 0.003)
    guesses = scene.requests(at_s, "coupon", ip=ip, status=status, ua=scene.browser(ip))
    begun, first = np.unique(ip, return_index=True)
    cart_s = np.minimum.reduceat(at_s, np.sort(first)) - scene.rng.uniform(2, 9, len(begun))
    filled = scene.requests(cart_s, "cart_add", ip=ip[np.sort(first)], ua=scene.browser(ip[np.sort(first)]))
    return together(filled, guesses)


@family(oat="OAT-005", weak=Strength(15, 1, 1800), medium=Strength(40, 6, 900), strong=Strength(80, 20, 480))
def scalping(scene: Scene, how: Strength) -> Rows:
    """One item is watched until it is on sale, then bought within seconds by all the bots, three times each.

    Every request names another browser. Before the sale the item answers 404; it comes after six tenths of the time,
    is sold out half a minute later (409), and the watching goes on.

    Source: OWASP Automated Threat Handbook 1.2, OAT-005, 2018-02-15; Akamai blog, "Managing hype events to delight
    customers, not bot operators", read 2026-11; Fastly blog, "Taming shoe bots: it's no small feat", read 2026-11.
    """
    rng = scene.rng
    who = scene.addresses(how.sources, "bot")
    n = max(how.sources * 2, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    on_sale_s = how.lasts_s * 0.6
    item = int(scene.by_turns(scene.world.items, 1)[0])
    status = np.where(at_s < on_sale_s, 404, 200)
    watched = scene.requests(at_s, "item", path=np.full(n, item), ip=scene.by_turns(who, n), status=status)
    buyers = np.repeat(who, 3)
    begins_s = on_sale_s + rng.gamma(2, 4, len(buyers))
    late = begins_s > on_sale_s + 12
    bought = scripted(
        scene, begins_s[~late], [("cart_add", 0, 200), ("checkout", 0.6, 200), ("pay", 1.1, 200)], ip=buyers[~late]
    )
    declined = (bought["status"] == 200) & (np.arange(len(bought)) >= 2 * int((~late).sum()))
    bought["status"][declined & (rng.random(len(bought)) < 0.12)] = 402
    sold_out = scene.requests(begins_s[late], "cart_add", ip=buyers[late], status=409)
    made = together(watched, bought, sold_out)
    made["ua"] = _any_browser(scene, len(made))
    return made


@family(oat="OAT-015", weak=Strength(60, 6, 1200), medium=Strength(120, 24, 600), strong=Strength(200, 90, 180))
def cache_busting(scene: Scene, how: Strength) -> Rows:
    """Pages and scripts with made-up parameters, never the same address twice, so that nothing comes out of a cache.

    Each machine stays below the site's limit of an address. One in ten asks for a made-up page (404); the more there
    are, the more time out (up to 30 % 503 and 504).

    Source: Microsoft Security Response Center, "Microsoft response to layer 7 distributed denial of service (DDoS)
    attacks" (Storm-1359: cache bypass), 2023-06-16; OWASP OAT-015.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    ip = scene.by_turns(
        np.concatenate([scene.addresses(how.sources // 2, "hosting"), scene.addresses(how.sources // 2, "bot")]), n
    )
    names, values = (rng.integers(1 << 40, size=n).tolist() for _ in range(2))
    busy = min(0.3, n / how.lasts_s / 1000)
    status = rng.choice([200, 503, 504], n, p=[1 - busy, busy * 0.7, busy * 0.3])
    kinds = rng.choice(4, n, p=[0.35, 0.35, 0.2, 0.1])
    made = scene.requests(at_s, "home", path=_texts("/?{:x}={:x}", names, values), ip=ip, status=status)
    for kind, endpoint, form in (
        (1, "list", "/items?{:x}={:x}"),
        (2, "static", "/static/app.js?{:x}={:x}"),
        (3, "missing", "/{:x}/{:x}"),
    ):
        here = kinds == kind
        texts = _texts(form, np.array(names)[here].tolist(), np.array(values)[here].tolist())
        answer = 404 if endpoint == "missing" else status[here]
        made[here] = scene.requests(at_s[here], endpoint, path=texts, ip=ip[here], status=answer)
    made["ua"] = scene.browser(made["ip"]) if how.per_minute < 60 else _any_browser(scene, n)
    return made


@family(oat="OAT-015", weak=Strength(2, 3, 1800), medium=Strength(4, 15, 900), strong=Strength(8, 60, 420))
def costly_search(scene: Scene, how: Strength) -> Rows:
    """Searches made to be dear: wildcards, pages far down, five hundred results each, seconds of database time apiece.

    Few requests, all answered, a hundred times as slow as people's; up to one in five times out (504).

    Source: OWASP API Security Top 10, API4:2023 (unrestricted resource consumption), 2023-06.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    letters, pages = rng.integers(97, 123, (n, 2)).tolist(), rng.integers(400, 9000, n).tolist()
    asked = [
        f"/search?q=*{chr(a)}*{chr(b)}*&sort=price&page={page}&size=500"
        for (a, b), page in zip(letters, pages, strict=True)
    ]
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    status = scene.mostly(n, 200, 504, min(0.2, n / how.lasts_s / 40))
    return scene.requests(at_s, "search_deep", path=asked, ip=ip, status=status, ua=scene.browser(ip))


def _texts(form: str, *parts: list[int]) -> list[str]:
    return [form.format(*each) for each in zip(*parts, strict=True)]


def _any_browser(scene: Scene, n: int) -> Ints:
    """Another browser at every request, of three hundred that a library makes up."""
    agents = [
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{build}.0 Safari/537.36"
        for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
        for version in range(118, 138)
        for build in range(6100, 6105)
    ]
    return scene.world.agents.all(agents)[scene.rng.integers(0, len(agents), n)]
