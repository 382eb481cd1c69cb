"""First sight: attacks from a foothold: keys that grow back, memory, one token for all tenants."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths, orders_of

_DOORS: Final = ("/actuator", "/actuator/env", "/jolokia", "/management", "/heapdump", "/actuator/heapdump")
_LEFT: Final = "/management/heapdump"
_HEADS: Final = 8  # keys in a row, each made with the one before
_TENANT_STEPS: Final = (("account", 2.0), ("orders", 2.0), ("invoice", 1.5), ("invoice", 1.0), ("export", 3.0))


@family(oat="OAT-011", weak=Strength(1, 2, 2400), medium=Strength(2, 20, 1200), strong=Strength(4, 100, 480))
def key_hydra(scene: Scene, how: Strength) -> Rows:
    """A customer's stolen key is revoked, and it does not help: with it another was made, and with that the next.

    Orders, page by page. A third of the way into its life each key makes its heir (201). When it is revoked, three or
    four more requests are refused (401), and seconds later the heir goes on at the next page; eight in a row.

    Source: Cloudflare, "Thanksgiving 2023 security incident" (one token and three service accounts were not rotated),
    2024-02-01; CrowdStrike, "How adversaries can persist with AWS user federation", 2023-01.
    """
    rng, parts = scene.rng, []
    customers = rng.permutation(40)[: how.sources]
    for one, ip in zip(customers.tolist(), scene.addresses(how.sources, "hosting").tolist(), strict=True):
        n = max(3 * _HEADS, round(how.per_s * how.lasts_s))
        at_s = np.arange(n) * how.lasts_s / n + rng.uniform(0, 0.6 * how.lasts_s / n, n)
        heads = max(2, min(_HEADS, n // 8))
        age = np.arange(n) * heads / n  # whole part: which key
        names = [f"key-app-{one:02d}"] + [f"key-app-{one:02d}-{rng.integers(1 << 24):06x}" for _ in range(heads - 1)]
        key = scene.world.keys.all(names)[age.astype(int)]
        pages = [f"/api/v1/orders?page={page}" for page in range(1, n + 1)]
        who = {"ip": ip, "key": key, "ua": scene.tool("curl/8.5.0")}
        made = scene.requests(at_s, "api_orders", path=pages, **who)
        for head in range(heads - 1):
            mine = np.flatnonzero(age.astype(int) == head)
            heir = mine[len(mine) // 3]
            made[heir : heir + 1] = scene.renamed(made[heir : heir + 1], "token")
            made["status"][heir] = 201
            made["status"][mine[-int(min(3 + head % 2, len(mine) // 3)) :]] = 401
        parts.append(made)
    return together(*parts)


@family(oat="OAT-014", weak=Strength(1, 1.5, 2400), medium=Strength(2, 15, 1200), strong=Strength(6, 60, 420))
def heap_dumps(scene: Scene, how: Strength) -> Rows:
    """The server gives its memory away to whoever asks: what lies in it just then are others' sessions, and they fit.

    Five doors are tried in vain (404), the sixth was left open (200). From then on: the memory, and half a minute later
    two accounts that were in it, their page and their orders, nobody signed on; one session in five has ended (401).
    Then the memory again, for it has changed.

    Source: Wired (M. Lee), "How the Signal knockoff app TeleMessage got hacked in 20 minutes" (heap dumps), 2025-05-18.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round((m * how.per_s * how.lasts_s - len(_DOORS)) / 4.8))
    pool, ua = scene.addresses(m, "hosting"), scene.tool("curl/8.5.0")
    find_s = min(60.0, 0.1 * how.lasts_s)
    doors_s, first = np.sort(rng.uniform(0, find_s, len(_DOORS))), int(pool[0])
    tried = scene.requests(doors_s, "missing", path=_DOORS, ip=first, ua=ua, status=404)
    begins_s = find_s + scene.scattered(n, max(1.0, how.lasts_s - find_s - 40))
    ip = scene.by_turns(pool, n)
    dumped = scene.requests(begins_s, "missing", path=_LEFT, ip=ip, ua=ua)
    two = np.repeat(np.arange(n), 2)
    who = {"ip": ip[two], "user": scene.accounts(2 * n), "ua": scene.browser(ip)[two]}
    used_s = begins_s[two] + min(25.0, 0.1 * how.lasts_s) + rng.uniform(0, 6, 2 * n)
    ended = rng.random(2 * n) < 0.2
    account = scene.requests(used_s, "account", status=np.where(ended, 401, 200), **who)
    orders = scene.requests(used_s + rng.uniform(1, 3, 2 * n), "orders", **who)[~ended]
    return together(tried, dumped, account, orders)


@family(oat="OAT-018", weak=Strength(1, 2, 2400), medium=Strength(2, 20, 1200), strong=Strength(4, 110, 420))
def tenant_hopping(scene: Scene, how: Strength) -> Rows:
    """Signed on at a firm of one's own, one asks for a token at every other firm here; some do not look who asks.

    Firm after firm, five in six say no (403). Where one says yes: as its own administrator, account, orders, two
    invoices, an export; then the next firm. Each firm is asked once.

    Source: Descope, "nOAuth: how Microsoft OAuth misconfiguration can lead to full account takeover", 2023-06-20;
    D. Mollema, CVE-2025-55241 (one token for the administrator of every tenant), 2025-09-17.
    """
    rng, m = scene.rng, how.sources
    n = max(6, round(m * how.per_s * how.lasts_s / (1 + len(_TENANT_STEPS) / 6)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 20))
    turn, firm = np.arange(n) % m, 1000 + rng.permutation(9000)[:n]
    pool, own = scene.addresses(m, "hosting"), scene.strangers(m, "tenant")
    ip, ua, opens = pool[turn], scene.browser(pool)[turn], rng.permutation(n) % 6 == 0
    asked = [f"/api/token?tenant={one}" for one in firm.tolist()]
    status = np.where(opens, 200, 403)
    parts = [scene.requests(begins_s, "token", path=asked, ip=ip, user=own[turn], ua=ua, status=status)]
    at_s, heads = begins_s[opens], scene.world.users.all([f"firm{one}-admin" for one in firm[opens].tolist()])
    for nth, (endpoint, wait_s) in enumerate(_TENANT_STEPS):
        at_s = at_s + rng.gamma(4, wait_s / 4, len(at_s))
        path = invoice_paths(scene, orders_of(scene, heads, nth)) if endpoint == "invoice" else None
        done = 202 if endpoint == "export" else 200
        parts.append(scene.requests(at_s, endpoint, path=path, ip=ip[opens], user=heads, ua=ua[opens], status=done))
    return together(*parts)
