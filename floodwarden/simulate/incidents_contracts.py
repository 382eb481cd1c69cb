"""Hard good cases by contract or by law: a penetration test, an audit, a library, a chain."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths
from floodwarden.simulate.world import ARTICLES, ITEMS

_GUESSED: Final = ("admin", "backup.zip", ".env", "phpinfo.php", "api/v0/users", "server-status", "old/", "console/")


@case()
def announced_pentest(scene: Scene) -> Rows:
    """A firm that was hired tests the site as announced: what attackers try is tried, at a request a second.

    From its two addresses, which the operator put on the allowlist before (`world.INVITED`), with the contract's number
    as its user agent, in two bouts of forty minutes: pages that are not there (404, 403), quotation marks in searches
    (400, 500), methods that are not meant (405), two test accounts' passwords, ten a minute (401), and what one of them
    may see of the other (403, and once in fifty 200: the finding).
    """
    rng = scene.rng
    ip, user = scene.addresses(2, "invited"), scene.world.users.all(["pentest-a", "pentest-b"])
    ua, parts = scene.tool("RedCell-Assessment/3.2 (contract PT-2026-014; soc@redcell.example)"), []
    bout_s = min(2400.0, scene.span_s * 0.15)
    for begin_s in (scene.moment(0.15, 0.3), scene.moment(0.55, 0.7)):
        for machine in range(2):
            at_s = begin_s + scene.steady(1.0, bout_s, shape=8.0)
            n = len(at_s)
            who = {"ip": ip[machine : machine + 1], "ua": np.array([ua])}
            words = [f"/{_GUESSED[one % 8]}?v={one}" for one in range(n)]
            made = scene.requests(at_s, "missing", path=words, status=rng.choice([404, 403], n, p=[0.93, 0.07]), **who)
            kind = rng.choice(5, n, p=[0.5, 0.15, 0.1, 0.17, 0.08])
            quotes = [f"/search?q=term{one % 40}'%20AND%20{one}={one}--" for one in range(n)]
            refused = scene.requests(at_s, "account", user=int(user[0]), status=scene.mostly(n, 403, 200, 0.02), **who)
            tried = scene.requests(at_s, "login", user=user[np.arange(n) % 2], status=401, **who)
            odd = rng.choice([400, 200, 500], n, p=[0.5, 0.47, 0.03])
            asked = scene.requests(at_s, "search", path=quotes, status=odd, **who)
            verbs = scene.requests(at_s, "item_delete", path=scene.world.items[:1].repeat(n), status=405, **who)
            for number, rows in ((1, asked), (2, verbs), (3, tried), (4, refused)):
                made[kind == number] = rows[kind == number]
            parts.append(made)
    return together(*parts)


@case()
def auditors_sample(scene: Scene) -> Rows:
    """The year is audited: three auditors sign on from their office and look every fiftieth order up, with its invoice.

    Numbers that ascend, a stretch each, an order in twelve seconds and its invoice (one in a hundred is missing, 404)
    four seconds later, 400 orders each, with a break after 200; accounts that nobody has seen before this morning.
    """
    rng, auditors, orders = scene.rng, 3, 400
    begin_s = scene.moment(0.1, 0.4)
    pace_s = min(12.0, scene.span_s * 0.45 / orders)
    ip = int(scene.addresses(1, "office")[0])
    user = scene.world.users.all([f"audit-2026-{one}" for one in range(auditors)])
    ua = scene.world.browsers[[0, 0, 3]]
    on_s = begin_s + rng.uniform(0, 60, auditors)
    parts = [scene.requests(on_s, "sso", ip=ip, user=user, ua=ua)]
    for auditor in range(auditors):
        number = 100_000 + 20_000 * auditor + 50 * np.arange(orders)
        waits_s = np.where(np.arange(orders) == orders // 2, 60 * pace_s, 0.0)
        at_s = on_s[auditor] + 40 + np.cumsum(rng.gamma(5, pace_s / 5, orders) + waits_s)
        who = {"ip": ip, "user": int(user[auditor]), "ua": int(ua[auditor])}
        looked = [f"/backoffice/orders/{one}" for one in number.tolist()]
        status = scene.mostly(orders, 200, 404, 0.01)
        parts.append(scene.requests(at_s, "backoffice", path=looked, **who))
        invoices = invoice_paths(scene, number)
        parts.append(scene.requests(at_s + pace_s / 3, "invoice", path=invoices, status=status, **who))
    return together(*parts)


@case()
def legal_deposit(scene: Scene) -> Rows:
    """The national library keeps a copy of everything that is published here, as the law asks it to, twice a year.

    Four of its addresses under its own name, two pages a second for an hour and a half, robots.txt first and then not
    minded: articles, items, their reviews, lists, every script anew with each, and links of years ago (one in twelve,
    404 or 410).
    """
    rng, world = scene.rng, scene.world
    begin_s = scene.moment(0.2, 0.6)
    ip, ua = scene.addresses(4, "office"), scene.tool("Mozilla/5.0 (compatible; heritrix/3.4 +https://library.example)")
    at_s = begin_s + 4 + scene.steady(2.0, max(60.0, min(5400.0, scene.span_s * 0.35)), shape=6.0)
    n = len(at_s)
    who = {"ip": ip[np.arange(n) % 4], "ua": np.array([ua])}
    walk = (int(rng.integers(ITEMS)) + np.arange(n) // 2) % ITEMS
    old = [f"/blog/{2009 + one % 12}/{one:05d}.html" for one in rng.integers(0, 90_000, n).tolist()]
    made = scene.requests(at_s, "item", path=world.items[walk], **who)
    kind = rng.choice(6, n, p=[0.3, 0.14, 0.14, 0.06, 0.28, 0.08])
    for number, endpoint, path, status in (
        (1, "article", world.articles[np.arange(n) % ARTICLES], 200),
        (2, "reviews", world.reviews[walk], 200),
        (3, "list", world.lists[np.arange(n) % len(world.lists)], 200),
        (4, "static", world.statics[np.arange(n) % len(world.statics)], 200),
        (5, "missing", world.paths.all(old), np.where(rng.random(n) < 0.2, 410, 404)),
    ):
        here = kind == number
        made[here] = scene.requests(at_s, endpoint, path=path, status=status, **who)[here]
    robots = scene.requests(np.full(4, begin_s), "missing", path="/robots.txt", ip=ip, ua=ua, status=404)
    return together(robots, made)


@case()
def branch_onboarding(scene: Scene) -> Rows:
    """A chain's three hundred branches are to order for themselves: its head office makes all their accounts by script.

    One address, one after the other in the order of their numbers, four seconds each: signed up (one in thirty is there
    already, 409), signed in, profile filled in. Then each branch comes from where it is, within five hours: asks for a
    password of its own (202), signs in with it, a fifth mistype it once (401), looks at its account and its orders.
    """
    rng, branches = scene.rng, 300
    begin_s, pace_s = scene.moment(0.1, 0.3), min(4.0, scene.span_s * 0.2 / branches)
    office = int(scene.addresses(1, "office")[0])
    user = scene.world.users.all([f"branch{number:04d}" for number in range(branches)])
    made_s = begin_s + np.cumsum(rng.gamma(6, pace_s / 6, branches))
    ua = scene.tool("branch-import/1.0 python-requests/2.32")
    known = rng.random(branches) < 1 / 30
    parts = [scene.requests(made_s, "register", ip=office, ua=ua, status=np.where(known, 409, 201))]
    for wait_s, endpoint in ((0.25, "login"), (0.5, "profile")):
        parts.append(scene.requests(made_s + wait_s * pace_s, endpoint, ip=office, user=user, ua=ua))
    ip = scene.addresses(branches, "home")
    comes_s = made_s[-1] + 600 + rng.uniform(0, min(18_000.0, scene.span_s * 0.35), branches)
    who = {"ip": ip, "user": user, "ua": scene.browser(ip)}
    parts.append(scene.requests(comes_s, "reset", status=202, **who))
    wrong = rng.random(branches) < 0.2
    in_s = comes_s + 60 + rng.gamma(2, 40, branches)
    parts.append(scene.requests(in_s - 12, "login", status=401, **who)[wrong])
    for wait_s, endpoint in ((0.0, "login"), (4.0, "account"), (20.0, "orders")):
        parts.append(scene.requests(in_s + wait_s, endpoint, **who))
    return together(*parts)
