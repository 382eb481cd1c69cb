"""Attacks on how the site works inside: calls made for them, times measured, caches, SQL, a shell."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene

_PORTS: Final = (22, 80, 443, 2375, 3306, 5432, 6379, 8080, 9200, 27017)
_INSIDE: Final = ("169.254.169.254/latest/meta-data/", "localhost:8500/v1/agent/self", "127.0.0.1:9000/")
_HIDDEN: Final = (
    "debug", "admin", "internal", "proxy", "host", "callback", "template", "preview", "trace", "nocache", "lang", "env",
    "backend", "origin", "tenant", "source", "view", "mode", "test", "beta", "export", "include", "fields", "format",
)  # fmt: skip
_MEASURED: Final = 20  # times each pair
_POLLS: Final = 20
_BITS: Final = 7  # of a character
_BURST: Final = 8


@family(oat="OAT-014", weak=Strength(1, 1, 2400), medium=Strength(1, 20, 900), strong=Strength(2, 50, 420))
def ssrf_probing(scene: Scene, how: Strength) -> Rows:
    """With a customer's key exports are ordered whose notice is to go to machines inside: the site scans itself.

    Metadata service first, then address after address of the inner network with ten ports each, never the same twice.
    Refused as malformed (422) a half, answered late because nobody is there (504) a fifth, taken (202) a quarter.

    Source: OWASP API Security Top 10, API7:2023 (server-side request forgery), 2023-06; US Department of Justice,
    complaint on the Capital One intrusion (credentials from the metadata service), 2019-07-29.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    net, first = int(rng.integers(256)), int(rng.integers(5, 60))
    hosts = [divmod(one, len(_PORTS)) for one in range(n)]
    targets = [f"10.{net}.{(first + host) // 250}.{(first + host) % 250 + 1}:{_PORTS[port]}/" for host, port in hosts]
    asked = [f"/api/v1/exports?notify=http://{target}" for target in [*_INSIDE, *targets][:n]]
    status = rng.choice([422, 202, 504, 500], n, p=[0.5, 0.25, 0.2, 0.05])
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("Go-http-client/2.0")
    key = scene.key(f"key-app-{rng.integers(40):02d}")
    return scene.requests(at_s, "export", path=asked, ip=ip, key=key, status=status, ua=ua)


@family(oat="OAT-014", weak=Strength(1, 6, 2400), medium=Strength(2, 40, 900), strong=Strength(4, 110, 420))
def timing_pairs(scene: Scene, how: Strength) -> Rows:
    """Two searches in one packet, one with a parameter nobody knows of: which is answered first, twenty times each.

    The next word after forty requests. All is answered 200, for what tells is the time; a term that is there, a
    library's name, no page.

    Source: J. Kettle (PortSwigger), "Listen to the whispers: web timing attacks that actually work", 2024-08-07; D.
    Mayer and J. Sandin, "Time trial: racing towards practical remote timing attacks", 2014-08-07.
    """
    rng = scene.rng
    pairs_s = scene.steady(how.sources * how.per_s / 2, how.lasts_s)
    n, term = len(pairs_s), int(rng.integers(100))
    words = [divmod(one // _MEASURED, len(_HIDDEN)) for one in range(n)]
    asked = [f"/search?q=term{term}&{_HIDDEN[word]}{version or ''}=1" for version, word in words]
    plain, secret = np.full(n, scene.world.searches[term]), scene.world.paths.all(asked)
    either = rng.random(n) < 0.5  # which of the two is written first
    path = np.stack([np.where(either, plain, secret), np.where(either, secret, plain)], axis=1)
    ip = scene.addresses(how.sources, "hosting")[np.arange(n) % how.sources].repeat(2)
    return scene.requests(pairs_s.repeat(2), "search", path=path.ravel(), ip=ip, ua=scene.tool("turbo/2024.7"))


@family(oat="OAT-014", weak=Strength(1, 1.5, 2400), medium=Strength(2, 20, 900), strong=Strength(6, 80, 420))
def cache_deception(scene: Scene, how: Strength) -> Rows:
    """Pages of accounts are asked for as if they were scripts or pictures, until a victim's own lies in the cache.

    Nobody is signed in. Each bait's address is another, and is asked twenty times, six seconds apart: 401 every time,
    or once in five baits 200 at the last, when somebody has followed the link.

    Source: O. Gil, "Web cache deception attack", Black Hat USA, 2017-07; S. A. Mirheidari and others, "Cached and
    confused: web cache deception in the wild", USENIX Security 2020.
    """
    rng = scene.rng
    baits = max(3, int(how.sources * how.per_s * how.lasts_s) // _POLLS)
    bait, nth = np.repeat(np.arange(baits), _POLLS), np.tile(np.arange(_POLLS), baits)
    begins_s = scene.scattered(baits, max(1.0, how.lasts_s - 6.0 * _POLLS))
    at_s = begins_s[bait] + nth * 6.0 + rng.uniform(0, 1.5, len(bait))
    fallen = (rng.random(baits) < 0.2)[bait] & (nth == _POLLS - 1)
    names = [f"{one:08x}.{('css', 'js', 'png')[one % 3]}" for one in rng.integers(1 << 32, size=baits).tolist()]
    ip = scene.addresses(how.sources, "hosting")[np.argsort(np.argsort(at_s)) % how.sources]
    who, ua = {"ip": ip, "status": np.where(fallen, 200, 401)}, scene.browser(ip)
    own = scene.world.paths.all([f"/account/{name}" for name in names])[bait]
    made = scene.requests(at_s, "account", path=own, ua=ua, **who)
    orders = bait % 2 == 1
    path = scene.world.paths.all([f"/account/orders/{name}" for name in names])[bait]
    made[orders] = scene.requests(at_s, "orders", path=path, ua=ua, **who)[orders]
    return made


@family(oat="OAT-014", weak=Strength(1, 5, 2400), medium=Strength(1, 60, 900), strong=Strength(3, 115, 420))
def blind_sql(scene: Scene, how: Strength) -> Rows:
    """A search that lets SQL through is asked for a table, seven yes-or-no questions a letter, one after the other.

    Every address of a page comes once. Yes takes two seconds and a half, no a few hundredths: a half is slow; one in
    fifty is an error (500). The careful one has a browser's name, the strong one its tool's.

    Source: Group-IB, "Dead end job: ResumeLooters infect websites in APAC through SQL injection and XSS attacks" (65
    sites, with sqlmap), 2024-02-06; OWASP Web Security Testing Guide 4.2, "Testing for SQL Injection", 2020-12-03.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n, term = len(at_s), int(rng.integers(100))
    letters = [divmod(one, _BITS) for one in range(n)]
    asked = [
        f"/search?q=term{term}'+AND+IF(ORD(MID((SELECT+email+FROM+users+LIMIT+{letter // 24},1),{letter % 24 + 1},1))"
        f"%26{1 << bit},SLEEP(2),0)--+"
        for letter, bit in letters
    ]
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ua = np.full(n, scene.tool("sqlmap/1.8.4#stable (https://sqlmap.org)")) if how.sources > 1 else scene.browser(ip)
    path, status = scene.world.paths.all(asked), scene.mostly(n, 200, 500, 0.02)
    made = scene.requests(at_s, "search", path=path, ip=ip, ua=ua, status=status)
    yes = rng.random(n) < 0.5
    made[yes] = scene.requests(at_s, "search_deep", path=path, ip=ip, ua=ua, status=status)[yes]
    return made


@family(oat="OAT-014", weak=Strength(1, 0.8, 3000), medium=Strength(3, 8, 1200), strong=Strength(8, 60, 420))
def web_shell(scene: Scene, how: Strength) -> Rows:
    """A file left behind after a break-in takes commands, one a request, and nobody else ever asks for it.

    Up to eight within a minute as somebody types them, then nothing for a while, from exits that change; one browser's
    name throughout. All is answered (200), one in fifteen fails (500).

    Source: US National Security Agency and Australian Signals Directorate, "Detect and prevent web shell malware",
    2020-04-22; MITRE ATT&CK T1505.003; Microsoft, "HAFNIUM targeting Exchange Servers", 2021-03-02.
    """
    rng = scene.rng
    n = max(3, int(how.sources * how.per_s * how.lasts_s))
    bout, nth = np.arange(n) // _BURST, np.arange(n) % _BURST
    begins_s = scene.scattered(int(bout[-1]) + 1, max(1.0, how.lasts_s - 60))
    at_s = begins_s[bout] + nth * 5.5 + rng.uniform(0, 4, n)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    asked = [f"/uploads/thumb_8841.php?c={one:016x}" for one in rng.integers(1 << 62, size=n).tolist()]
    status, ua = scene.mostly(n, 200, 500, 1 / 15), int(scene.world.browsers[4])
    return scene.requests(at_s, "missing", path=asked, ip=ip, ua=ua, status=status)
