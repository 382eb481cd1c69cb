"""First sight: what is found out by asking the same thing often: a cipher, a memory, a name, a short link."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import Ints

_BLOCK: Final = 16  # bytes
_FORGED: Final = 0.97
_PUBLISHED: Final = 0.6
_SHARES: Final = 1 / 40
_SIGNS: Final = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_RESULTS: Final = tuple(
    form.format(month, year)
    for month, year in (("march", "26"), ("mar", "2026"), ("03", "2026"), ("q1", "2026"))
    for form in (
        "/blog/results-{1}-{0}.pdf", "/blog/results-{0}-{1}.pdf", "/blog/{1}-{0}-results.pdf",
        "/blog/{0}-{1}-report.pdf", "/blog/annual-report-{0}-{1}.pdf", "/blog/press-release-{0}-{1}.pdf",
    )
)  # fmt: skip


@family(oat="OAT-014", weak=Strength(1, 12, 2400), medium=Strength(2, 90, 900), strong=Strength(6, 110, 480))
def padding_oracle(scene: Scene, how: Strength) -> Rows:
    """A link with something encrypted in it is changed byte by byte; how the server says no tells what stands there.

    To a report, by nobody's key: up to 256 tries for a byte, all refused for their padding (400), until one is right
    and refused for what it says (403); sixteen bytes, the next block. No link twice. In the last three hundredths of
    the time the attacker has made links of his own, and gets reports with them (200).

    Source: J. Rizzo and T. Duong, "Practical padding oracle attacks", Black Hat Europe, 2010-04; Microsoft, MS10-070
    (ASP.NET, in use when it was mended), 2010-09-28.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=8.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ends = np.cumsum(rng.integers(1, 257, n // 8 + 2))  # a byte each
    byte = np.searchsorted(ends, np.arange(n), side="right")
    fits = np.isin(np.arange(n), ends - 1)
    begun = np.concatenate([[0], ends])[byte]
    report, block = int(rng.integers(1000, 90_000)), rng.integers(1 << 48, size=n // 8 + 2).tolist()
    asked = [
        f"/api/v1/exports/{report}?t={block[one // _BLOCK]:012x}{one % _BLOCK:02x}{tried:02x}"
        for one, tried in zip(byte.tolist(), (np.arange(n) - begun).tolist(), strict=True)
    ]
    path, status = scene.world.paths.all(asked), np.where(fits, 403, 400)
    own = np.flatnonzero(at_s > how.lasts_s * _FORGED)
    path[own] = scene.world.paths.all(
        [f"/api/v1/exports/{report + one}?t={one:016x}" for one in range(1, len(own) + 1)]
    )
    status[own] = 200
    return scene.requests(at_s, "exported", path=path, status=status, ip=ip, ua=scene.tool("python-requests/2.31.0"))


@family(oat="OAT-014", weak=Strength(2, 6, 1800), medium=Strength(4, 45, 900), strong=Strength(8, 100, 420))
def memory_bleed(scene: Scene, how: Strength) -> Rows:
    """The staff's sign-on answers a form without a name with what lies in its memory, and is sent it over and over.

    Half of the machines do nothing else: an empty form, 200 each time, nobody named. In one answer out of twenty-five a
    customer's session stands; the other half of the machines goes on with it, without any sign-in: account, orders, and
    the telephone of the profile changed.

    Source: Mandiant, "Remediation for Citrix NetScaler ADC and Gateway vulnerability (CVE-2023-4966)" (Citrix Bleed),
    2023-10-17; US CISA on CVE-2025-5777 (the second of its kind, in use), 2025-07-10.
    """
    n = max(8, int(how.sources * how.per_s * how.lasts_s))
    found = max(1, round(n / 28))
    bleeds = max(1, how.sources // 2)
    at_s = scene.steady((n - 3 * found) / how.lasts_s, how.lasts_s, shape=10.0)
    ip = scene.by_turns(scene.addresses(bleeds, "hosting"), len(at_s))
    bled = scene.requests(at_s, "sso", ip=ip, ua=scene.tool("curl/8.5.0"))
    begins_s = scene.scattered(found, max(1.0, how.lasts_s - 60)) + 30
    at = scene.addresses(how.sources - bleeds, "bot")[np.arange(found) % max(1, how.sources - bleeds)]
    steps = [("account", 0.0, 200), ("orders", 3.0, 200), ("profile", 6.0, 200)]
    who = {"ip": at, "user": scene.accounts(found, distinct=True), "ua": scene.browser(at)}
    return together(bled, scripted(scene, begins_s, steps, **who))


@family(oat="OAT-018", weak=Strength(2, 3, 1800), medium=Strength(8, 12, 900), strong=Strength(24, 60, 300))
def embargo_guessing(scene: Scene, how: Strength) -> Rows:
    """Whoever reads the firm's results a minute before the others earns by it: where they will lie is asked beforehand.

    Twenty-four ways to write this quarter's name as the last one's was, over and over, by rivals who know nothing of
    each other, each with his own clock: all 404. After six tenths of the time one is there (200), though nothing leads
    to it yet; each takes it once or twice and is gone.

    Source: UK Office for Budget Responsibility, report on the early release of its outlook of November 2025 (asked for
    since early morning, and read by 32 addresses before its time), 2025-12-01; Twitter's results of the first quarter,
    found early by Selerity, 2015-04-28.
    """
    rng, rivals = scene.rng, how.sources
    n = max(rivals, int(rivals * how.per_s * how.lasts_s))
    opens_s = how.lasts_s * _PUBLISHED
    each = n // rivals
    asked_s = (rng.random((rivals, 1)) + np.arange(each)) * (opens_s / (each + 1))
    at_s = (asked_s + rng.normal(0, 0.1, asked_s.shape)).ravel()
    who = np.repeat(np.arange(rivals), each)
    ip = scene.addresses(rivals, "hosting")
    agents = scene.world.agents.all([f"newswire-fetch/{one % 7}.{one}" for one in range(rivals)])
    paths: Ints = scene.world.paths.all(_RESULTS)
    path = paths[np.tile(np.arange(each), rivals) % len(paths)]
    guessed = scene.requests(at_s, "article", path=path, status=404, ip=ip[who], ua=agents[who])
    takes = np.repeat(np.arange(rivals), rng.integers(1, 3, rivals))
    taken_s = opens_s + rng.uniform(0, len(paths) * opens_s / (each + 1), len(takes)) % (how.lasts_s - opens_s)
    right = scene.world.paths.code(_RESULTS[-1])
    return together(
        guessed, scene.requests(taken_s, "article", path=np.full(len(takes), right), ip=ip[takes], ua=agents[takes])
    )


@family(oat="OAT-018", weak=Strength(3, 2, 2400), medium=Strength(20, 12, 900), strong=Strength(60, 40, 300))
def short_link_scan(scene: Scene, how: Strength) -> Rows:
    """Short links to what people share with each other are made up, six signs each, and what is there is read.

    No link twice; one in forty leads somewhere (302), and the cart or list behind it is opened at once, as its friends
    would (200). The rest is 404. Rented machines and homes, a library's name, no page of the shop.

    Source: M. Georgiev and V. Shmatikov, "Gone in six characters: short URLs considered harmful for cloud services",
    2016-04-14.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s / (1 + _SHARES), how.lasts_s)
    n, half = len(at_s), how.sources // 2
    pool = np.concatenate([scene.addresses(half, "hosting"), scene.addresses(how.sources - half, "bot")])
    ip, ua = scene.by_turns(pool, n), scene.tool("aiohttp/3.9.1")
    links = ["".join(_SIGNS[one] for one in signs) for signs in rng.integers(0, len(_SIGNS), (n, 6)).tolist()]
    status = scene.mostly(n, 404, 302, _SHARES)
    there = np.flatnonzero(status == 302)
    asked = scene.requests(at_s, "missing", path=[f"/s/{one}" for one in links], status=status, ip=ip, ua=ua)
    opened = [f"/cart?share={links[one]}" for one in there.tolist()]
    return together(asked, scene.requests(at_s[there] + 0.3, "cart", path=opened, ip=ip[there], ua=ua))
