"""First sight: attacks that live on other people's machinery: a model, an app, a cloud's addresses, an outage."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.world import ABSENT, Ints

_DOORS: Final = ("api_orders", "api_stock")
_GUARDED: Final = "/search?q=%3Csvg%20onload%3D1%3E"
_BEHIND: Final = (("search", 500), ("login", 200), ("missing", 200), ("backoffice", 403))  # and its rarer answer


@family(weak=Strength(5, 0.4, 3600), medium=Strength(24, 2, 1800), strong=Strength(80, 6, 900))
def assistant_mailbox(scene: Scene, how: Strength) -> Rows:
    """Computers that were broken into are told what to do through the shop's assistant, with customers' keys.

    A key to ten of them. Each has a thread of its own and looks into it by its timer, day and night: nothing but
    threads, and no page ever. A rented machine leaves an order in one after the other; at its next look the computer
    has it, hands two pieces of what came of it in, and the machine fetches them. All answered well.

    Source: Microsoft Incident Response, "SesameOp: novel backdoor uses OpenAI Assistants API for command and control",
    2025-11-03.
    """
    rng, computers = scene.rng, how.sources - 1
    total = how.sources * how.per_s * how.lasts_s
    orders = max(1, round(0.28 * total / 4))
    every_s = computers * how.lasts_s / (0.72 * total)
    threads = [f"/api/assistant?thread=thr_{one:012x}" for one in rng.integers(1 << 46, size=computers).tolist()]
    ordered = rng.permutation(orders) % computers
    ordered_s = scene.scattered(orders, max(1.0, how.lasts_s - 1.5 * every_s - 20))
    ip, master = scene.addresses(computers, "bot"), int(scene.addresses(1, "hosting")[0])
    stolen = scene.world.keys.all([f"key-app-{one:02d}" for one in rng.permutation(40)[: -(-computers // 10)].tolist()])
    key = stolen[np.arange(computers) % len(stolen)]
    drone, console = scene.tool("assistants-dotnet/2.1.0 (.NET Framework 4.8)"), scene.tool("python-httpx/0.27.2")
    parts, done_s = [], np.zeros(orders)
    for one, thread in enumerate(threads):
        looks_s = scene.regular(0, how.lasts_s, every_s, 0.08)
        parts.append(scene.requests(looks_s, "assistant", path=thread, ip=int(ip[one]), ua=drone, key=key[one]))
        mine = np.flatnonzero(ordered == one)
        if len(mine):
            at = np.searchsorted(np.sort(looks_s), ordered_s[mine])
            done_s[mine] = np.append(np.sort(looks_s), how.lasts_s - 15)[at] + rng.uniform(2, 8, len(mine))
    path = scene.world.paths.all(threads)[ordered]
    told_s, fetched_s = np.concatenate([done_s, done_s + 0.7]), np.concatenate([ordered_s, done_s + 6])
    path, who = np.tile(path, 2), {"key": np.tile(key[ordered], 2)}
    told = scene.requests(told_s, "assistant", path=path, ip=np.tile(ip[ordered], 2), ua=drone, **who)
    return together(*parts, told, scene.requests(fetched_s, "assistant", path=path, ip=master, ua=console, **who))


@family(oat="OAT-015", weak=Strength(60, 0.5, 1800), medium=Strength(400, 1.5, 900), strong=Strength(1500, 4, 480))
def push_summons(scene: Scene, how: Strength) -> Rows:
    """The key that messages to the app are sent with stood in the app, and somebody calls all telephones at once.

    The message shows nothing: each telephone wakes, takes its feed and one item of it, and sleeps again; nobody has
    touched it. Most within ten seconds, one in ten half a minute later, one in ten not at all; and again at the next
    call, to the second, eight times and more. At good clients' carriers and homes, a half signed in; the more they
    are, the more find nobody to answer them (503, to two in five).

    Source: A. Dharani, "Firebase Cloud Messaging service takeover" (keys that stood in apps, and one message to all of
    their users), 2020-08; the test messages to all of Google Hangouts' and Microsoft Teams' users, 2020-08-27.
    """
    rng, m = scene.rng, how.sources
    calls = max(2, round(how.per_s * how.lasts_s / 1.8))
    every_s = (how.lasts_s - 15) / calls
    by, nth = np.tile(np.arange(m), calls), np.repeat(np.arange(calls), m)
    kind = rng.random(len(by))
    late_s = np.where(kind > 0.9, rng.uniform(12, 32, len(by)), rng.gamma(2, 1.6, len(by)))
    reached = kind > 0.1
    at_s = np.asarray(1 + nth * every_s + np.minimum(late_s, 0.7 * every_s + 4), np.float64)[reached]
    by = by[reached]
    sims = round(0.6 * m)
    ip = np.concatenate([scene.addresses(sims, "sim"), scene.addresses(m - sims, "neighbour")])
    user = np.where(rng.random(m) < 0.5, scene.accounts(m, distinct=True), ABSENT)
    ua = np.array([scene.tool(f"ShopApp/6.{minor} (Android 15)") for minor in ("1.4", "2.0", "2.1")])[np.arange(m) % 3]
    busy = min(0.4, m / 3750) if m > 100 else 0.0
    who = {"ip": ip[by], "user": user[by], "ua": ua[by]}
    fed = scene.requests(at_s, "app_feed", status=scene.mostly(len(by), 200, 503, busy), **who)
    path = f"/api/v2/items/{int(rng.integers(1, 900))}"
    shown = scene.requests(at_s + 0.5, "app_item", path=path, status=scene.mostly(len(by), 200, 503, busy), **who)
    return together(fed, shown)


@family(oat="OAT-018", weak=Strength(40, 0.12, 3000), medium=Strength(200, 0.4, 1500), strong=Strength(900, 1.2, 600))
def address_lottery(scene: Scene, how: Strength) -> Rows:
    """Machines are rented for their addresses alone: one of them was a partner's, who forgot to tell that he moved.

    Each address knocks at two doors without a key (403 both), is given back within seconds and never comes again. One
    in fifty is still let in (200): it stays, and reads that partner's orders page by page, as fast as they are given,
    until the end.

    Source: E. Pauley and others, "Measuring and mitigating the risk of IP reuse on public clouds" (three million
    servers rented, one and a half million addresses), IEEE Symposium on Security and Privacy, 2022-05.
    """
    rng, m = scene.rng, how.sources
    winners = max(1, m // 50)
    pages = max(5, round((m * how.per_s * how.lasts_s - 2 * m) / winners))
    ip, ua = scene.addresses(m, "hosting"), scene.tool("Go-http-client/1.1")
    knocks_s = scene.scattered(m, max(1.0, how.lasts_s - 3))
    fits = rng.permutation(np.arange(m // 8, m // 2))[:winners]
    kept = np.isin(np.arange(m), fits)
    parts = []
    for nth, door in enumerate(_DOORS):
        path: Ints | None = scene.world.stock[rng.integers(0, 300, m)] if door == "api_stock" else None
        status = np.where(kept, 200, 403)
        parts.append(scene.requests(knocks_s + 0.4 * nth, door, path=path, ip=ip, ua=ua, status=status))
    for nth, one in enumerate(fits.tolist()):
        left_s = how.lasts_s - knocks_s[one] - 5
        at_s = knocks_s[one] + 4 + np.cumsum(rng.gamma(4, max(1.0, left_s) / (4 * pages), pages))
        path = scene.world.paths.all([f"/api/v1/orders?partner={nth + 11}&page={page + 1}" for page in range(pages)])
        parts.append(scene.requests(at_s, "api_orders", path=path, ip=int(ip[one]), ua=ua))
    return together(*parts)


@family(oat="OAT-014", weak=Strength(6, 1, 3600), medium=Strength(25, 4, 1800), strong=Strength(80, 18, 900))
def unguarded_hour(scene: Scene, how: Strength) -> Rows:
    """The guard before the site fails and is led around: machines that have waited for that day come in at once.

    Before it and after it they only look whether it is there: a search that it refuses (403), the same one, by a timer.
    For a third of the time it is let through (200). Then each does, from its next look on, what it came for: statements
    in searches (one in six 500), a leaked list (401), files by name (404), the back office (401).

    Source: B. Krebs, "The Cloudflare outage may be a security roadmap" (attacks on those who led their traffic around
    it), 2025-11-19.
    """
    rng, m = scene.rng, how.sources
    gone_s, back_s = 0.38 * how.lasts_s, 0.73 * how.lasts_s
    a_machine = how.per_s * how.lasts_s
    every_s = 0.65 * how.lasts_s / max(4.0, 0.25 * a_machine)
    parts = []
    for one, ip in enumerate(scene.addresses(m, "hosting").tolist()):
        looks_s = scene.regular(0, how.lasts_s, every_s, 0.05)
        open_ = (looks_s > gone_s) & (looks_s < back_s)
        begins_s = float(looks_s[open_][0]) if open_.any() else gone_s
        kept = ~open_ | (looks_s == begins_s)
        who = {"ip": np.array([ip]), "ua": np.array([scene.tool("python-requests/2.32.3")])}
        status = np.where(open_, 200, 403)[kept]
        parts.append(scene.requests(looks_s[kept], "search", path=_GUARDED, status=status, **who))
        n = max(2, round(0.75 * a_machine))
        at_s = begins_s + 0.5 + np.sort(rng.uniform(0, max(1.0, back_s - begins_s), n))
        parts.append(_let_in(scene, one % len(_BEHIND), at_s, who))
    return together(*parts)


def _let_in(scene: Scene, trade: int, at_s: Seconds, who: dict[str, Ints]) -> Rows:
    """What a machine of that trade does as long as nobody stops it."""
    rng, n = scene.rng, len(at_s)
    endpoint, rare = _BEHIND[trade]
    usual = {"search": 200, "missing": 404}.get(endpoint, 401)
    status = scene.mostly(n, usual, rare, 1 / 6 if endpoint == "search" else 1 / 80)
    match endpoint:
        case "search":
            path = [f"/search?q=1%27%20UNION%20SELECT%20{one}--" for one in rng.integers(1, 60, n).tolist()]
        case "missing":
            path = [f"/{one:05x}.bak" for one in rng.integers(1 << 20, size=n).tolist()]
        case "backoffice":
            path = [f"/backoffice/orders/{one}" for one in rng.integers(100_000, 160_000, n).tolist()]
        case _:
            return scene.requests(at_s, endpoint, status=status, user=scene.strangers(n, "leaked"), **who)
    return scene.requests(at_s, endpoint, path=path, status=status, **who)
