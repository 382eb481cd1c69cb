"""First sight: attacks on what machines hand each other: notices in a circle, codes led astray, files left open."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths, orders_of

_EVENTS: Final = 40  # that go round
_SERVICES: Final = ("ParcelNote-Events/2.8", "FulfilHub-Webhooks/4.1 (+https://fulfil.example)")
_REDIRECTS: Final = (
    "https://evil.example/", "//evil.example", "https://shop.example@evil.example", "https://shop.example.evil.example",
    "https://evil.example%23.shop.example", "https://shop.example/../go?to=evil.example", "javascript:fetch()",
    "https://shop.example%0d%0aLocation:evil.example", "shopapp://callback.evil", "https://shop.example/logout?next=",
)  # fmt: skip
_SCRIPTS: Final = ("python-requests/2.32.3", "Wget/1.24.5", "curl/8.7.1", "aria2/1.37.0")


@family(oat="OAT-015", weak=Strength(2, 10, 1800), medium=Strength(8, 30, 900), strong=Strength(30, 80, 420))
def callback_loop(scene: Scene, how: Strength) -> Rows:
    """Somebody has two services tell each other, through our hooks, of what the other told: the same events go round.

    Both are real, and post from their own networks under their own names, by turns. Each answer makes the next notice,
    and now and then two: slowly at first, then ever faster, until nothing more gets through (503, one in eight in the
    last third). Forty events and no forty-first.

    Source: Y. Pan and C. Rossow (CISPA), advisory on application-layer loop attacks between two servers, 2024-03-19.
    """
    rng, m = scene.rng, how.sources
    n = max(2 * _EVENTS, round(m * how.per_s * how.lasts_s))
    grown = np.linspace(0, 1, n) ** 0.4  # most of it late
    at_s = np.sort(how.lasts_s * np.clip(grown + rng.normal(0, 0.004, n), 0, 1))
    turn, names = np.arange(n) % m, np.array([scene.tool(name) for name in _SERVICES])
    events = [f"/hooks/payments?event=evt_{one:06x}" for one in rng.integers(1 << 24, size=_EVENTS).tolist()]
    path = scene.world.paths.all(events)[np.arange(n) // 2 % _EVENTS]
    late = (np.arange(n) > 2 * n / 3) & (rng.random(n) < 1 / 8) & (m > 2)
    status = np.where(late, 503, 200)
    ip = scene.addresses(m, "partner")
    return scene.requests(at_s, "callback", path=path, ip=ip[turn], ua=names[turn % 2], status=status)


@family(oat="OAT-008", weak=Strength(1, 2, 2400), medium=Strength(2, 20, 1200), strong=Strength(5, 90, 480))
def redirect_stealing(scene: Scene, how: Strength) -> Rows:
    """Where may a sign-on lead back to? One wording for elsewhere is let through, and members' codes arrive there.

    A quarter of the requests are tokens asked for with an address that is not ours, written in ever other ways (400);
    the last one is taken (200). Then members follow a link: each one's code is handed in for a token, account, orders
    and an invoice follow within seconds; one code in six was handed in by its owner before (400).

    Source: Salt Labs (A. Carmel), "Traveling with OAuth: account takeover on Booking.com", 2023-03-02.
    """
    rng, m = scene.rng, how.sources
    total = m * how.per_s * how.lasts_s
    tries, n = max(5, round(total / 4)), max(3, round(0.75 * total / 3.5))
    found_s = 0.3 * how.lasts_s
    ip, ua = scene.addresses(m, "hosting"), scene.tool("Go-http-client/1.1")
    tried_s = scene.scattered(tries, found_s)
    asked = [f"/api/token?redirect_uri={_REDIRECTS[one % len(_REDIRECTS)]}{one // len(_REDIRECTS) or ''}"
             for one in range(tries)]  # fmt: skip
    status = np.where(np.arange(tries) == tries - 1, 200, 400)
    tried = scene.requests(tried_s, "token", path=asked, ip=scene.by_turns(ip, tries), ua=ua, status=status)
    begins_s = found_s + scene.scattered(n, max(1.0, how.lasts_s - found_s - 12))
    user, spent = scene.accounts(n, distinct=True), rng.permutation(n) % 6 == 0
    who = {"ip": ip[np.arange(n) % m], "user": user, "ua": np.full(n, ua)}
    code = scene.requests(begins_s, "token", path=asked[-1], status=np.where(spent, 400, 200), **who)
    parts, at_s, fits = [tried, code], begins_s[~spent], {name: codes[~spent] for name, codes in who.items()}
    for endpoint in ("account", "orders", "invoice"):
        at_s = at_s + rng.uniform(0.4, 2.0, len(at_s))
        path = invoice_paths(scene, orders_of(scene, fits["user"], 0)) if endpoint == "invoice" else None
        parts.append(scene.requests(at_s, endpoint, path=path, **fits))
    return together(*parts)


@family(oat="OAT-011", weak=Strength(12, 0.2, 2400), medium=Strength(80, 0.8, 1200), strong=Strength(400, 4, 600))
def open_bucket_raid(scene: Scene, how: Strength) -> Rows:
    """Files of customers lie open, a forum finds them, and everybody there runs the same ten lines to take them along.

    Each from home with one of four tools, from the first file on in the same sequence, without a key, until he has
    enough; two in five do it anew from the start. Half come in the first sixth of the time. At last it is closed, and
    the last tenth of it is refused (403).

    Source: 404 Media, "Women dating safety app 'Tea' breached, users' IDs posted to 4chan" (a storage bucket without a
    password), 2025-07-25.
    """
    rng, m = scene.rng, how.sources
    n = max(2 * m, round(m * how.per_s * how.lasts_s))
    share = rng.gamma(1.0, 1.0, m) + 0.3
    each = np.maximum(1, np.round(share / share.sum() * n)).astype(int)
    by = np.repeat(np.arange(m), each)
    nth = np.arange(len(by)) - np.repeat(np.cumsum(each) - each, each)
    twice = rng.permutation(m) % 5 < 2
    file = np.where(twice[by], nth % np.maximum(1, (each[by] + 1) // 2), nth)
    begins_s = 0.9 * how.lasts_s * rng.beta(0.7, 2.2, m)
    wait_s = (0.97 * how.lasts_s - begins_s) / each * rng.uniform(0.4, 1.0, m)
    at_s = begins_s[by] + (nth + rng.uniform(0, 0.6, len(by))) * wait_s[by]
    paths = scene.world.paths.all([f"/api/v1/exports/verification-{one:06d}.jpg" for one in range(int(file.max()) + 1)])
    ua = np.array([scene.tool(name) for name in _SCRIPTS])[rng.integers(0, len(_SCRIPTS), m)]
    status = np.where(at_s > np.quantile(at_s, 0.9), 403, 200)
    return scene.requests(
        at_s, "exported", path=paths[file], ip=scene.addresses(m, "bot")[by], ua=ua[by], status=status
    )


@family(oat="OAT-018", weak=Strength(2, 1.5, 2400), medium=Strength(5, 20, 900), strong=Strength(12, 100, 420))
def backup_fetching(scene: Scene, how: Strength) -> Rows:
    """Customers' backups of their devices' settings are kept here under the serial number, and the number is enough.

    Rented machines count serial numbers up, each a stretch of its own. Eight in nine have no backup (404); where there
    is one, it is fetched (200), and at once the two that were made before it. No key, no account, nothing else.

    Source: SonicWall, "MySonicWall cloud backup file incident" (the interface of backups tried number by number),
    2025-09-17, and its update with Mandiant (every customer's), 2025-10-08.
    """
    rng, m = scene.rng, how.sources
    tries = max(9, round(m * how.per_s * how.lasts_s / (1 + 2 / 9)))
    at_s, turn = scene.scattered(tries, max(1.0, how.lasts_s - 5)), np.arange(tries) % m
    serial = (rng.integers(1 << 30, 1 << 38, m)[turn] + np.arange(tries) // m).tolist()
    kept, ua = rng.permutation(tries) % 9 == 0, scene.tool("Go-http-client/2.0")
    ip = scene.addresses(m, "hosting")[turn]
    names = [f"/api/v1/exports/settings-{one:010X}" for one in serial]
    parts = [scene.requests(at_s, "exported", path=names, ip=ip, ua=ua, status=np.where(kept, 200, 404))]
    found = [name for name, there in zip(names, kept.tolist(), strict=True) if there]
    for before in (1, 2):
        again_s = at_s[kept] + before * rng.uniform(0.6, 1.4, len(found))
        older = [f"{name}?version=-{before}" for name in found]
        parts.append(scene.requests(again_s, "exported", path=older, ip=ip[kept], ua=ua))
    return together(*parts)
