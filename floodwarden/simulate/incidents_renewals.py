"""Hard good cases of what is new: telephones, bank cards, an interface under test, a bookkeeper's cloud."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, zipf

_CONTRACT: Final = (
    ("token", 401), ("token", 200), ("api_items", 200), ("api_items", 400), ("api_item", 200), ("api_item", 404),
    ("api_item", 405), ("api_orders", 403), ("api_orders", 200), ("api_stock", 422), ("api_stock", 409),
    ("api_stock", 200), ("graphql", 400), ("graphql", 200), ("export", 403), ("exported", 404), ("device", 422),
    ("telemetry", 401), ("telemetry", 413), ("suggest", 200),
)  # fmt: skip
_BILLING: Final = "billing-runner/2.4 (subscriptions)"


@case()
def contract_tests(scene: Scene) -> Rows:
    """Fifteen partners' builds check on every change that the interface still says no where it said it would.

    In the afternoon each some four builds, on one of forty rented runners, with a key for tests: the same
    twenty requests in the same sequence, three times over, within a minute; thirteen of the twenty are meant to be
    refused: 400, 401, 403, 404, 405, 409, 413, 422.
    """
    rng, partners = scene.rng, 15
    begin_s, lasts_s = scene.moment(0.15, 0.4), scene.span_s * 0.5
    pool, parts = scene.addresses(40, "hosting"), []
    endpoints, answers = zip(*_CONTRACT, strict=True)
    for partner in range(partners):
        key = scene.world.keys.all([f"key-contract-{partner:02d}"])
        ua = np.array([scene.tool(f"pact-verifier/{4 + partner % 3}.0")])
        for build_s in (begin_s + scene.scattered(int(rng.integers(3, 6)), lasts_s)).tolist():
            ip = pool[rng.integers(0, 40, 1)]
            for step, (endpoint, status) in enumerate(zip(endpoints * 3, answers * 3, strict=True)):
                at_s = np.array([build_s + step * 0.8 + rng.uniform(0, 0.5)])
                parts.append(scene.requests(at_s, endpoint, ip=ip, key=key, ua=ua, status=np.array([status])))
    return together(*parts)


@case()
def bookkeeping_cloud(scene: Scene) -> Rows:
    """On the first of the month a bookkeeping service fetches what its customers ordered here, customer after customer.

    A customer for each twenty accounts, three at once from four machines of its cloud, each with his own key: a token,
    his orders page by page (three to twelve), a report that is not ready twice (202), and its file. One customer in
    twelve has left and told nobody: his key is refused (401) three times, and it goes on to the next.
    """
    rng, customers = scene.rng, max(10, scene.clients // 20)
    begin_s, ip = scene.moment(0.1, 0.5), scene.addresses(4, "hosting")
    ua, parts = np.array([scene.tool("BookKeeper-Connect/6.1 (+https://books.example/bot)")]), []
    gone = rng.permutation(customers) % 12 == 0
    free_s = [begin_s, begin_s + 4, begin_s + 9]
    for one in range(customers):
        lane = int(np.argmin(free_s))
        start_s = free_s[lane]
        key = scene.world.keys.all([f"key-books-{one:03d}"])
        who = {"ip": ip[rng.integers(0, 4, 1)], "key": key, "ua": ua}
        if gone[one]:
            parts.append(scene.requests(start_s + np.array([0.0, 2.0, 6.0]), "token", status=np.full(3, 401), **who))
            free_s[lane] = start_s + 8
            continue
        pages = int(rng.integers(3, 13))
        read_s = start_s + 1 + np.cumsum(rng.gamma(4, 0.25, pages))
        listed = [f"/api/v1/orders?page={page}" for page in range(1, pages + 1)]
        parts.append(scene.requests(np.array([start_s]), "token", **who))
        parts.append(scene.requests(read_s, "api_orders", path=listed, **who))
        ends_s, file = float(read_s[-1]), f"/api/v1/exports/{int(rng.integers(1, 99_999))}"
        parts.append(scene.requests(np.array([ends_s + 1]), "export", status=np.array([202]), **who))
        looks_s, status = ends_s + np.array([4.0, 9.0, 19.0]), np.array([202, 202, 200])
        parts.append(scene.requests(looks_s, "exported", path=file, status=status, **who))
        free_s[lane] = ends_s + 21
    return together(*parts)


@case()
def new_telephones(scene: Scene) -> Rows:
    """A new telephone comes out on a Friday, and its buyers' apps wake up on it with tokens that are not for it.

    As many as the site has requests in half a minute (150 at 5 a second) over an afternoon. The app as it was restored
    asks for a token three to eight times within half a minute (401) before its owner looks; in, with typos, the code,
    the device (201), the feed, four to twelve items. Hours later, or as late as it can be, the old one asks for a token
    twice, behind the carrier, and is told that it is over (401).
    """
    rng = scene.rng
    n, lasts_s = max(20, round(scene.requests_per_s * 30)), min(18_000.0, 0.4 * scene.span_s)
    begins_s = scene.moment(0.1, 0.35) + lasts_s * rng.beta(1.5, 1.5, n)
    carriers = scene.addresses(max(3, n // 10), "cgnat")
    ip, user = scene.addresses(n, "home"), scene.accounts(n, distinct=True)
    new, old = scene.tool("ShopApp/6.0 (Pixel 11; Android 17)"), scene.tool("ShopApp/5.8 (Android 12)")
    wakes = np.repeat(np.arange(n), rng.integers(3, 9, n))
    woke_s = begins_s[wakes] + rng.uniform(0, 30, len(wakes))
    parts = [scene.requests(woke_s, "token", ip=ip[wakes], user=user[wakes], ua=new, status=401)]
    wrong = typos(scene, n)
    tries = np.repeat(np.arange(n), wrong)
    tried_s = begins_s[tries] + 60 + (np.arange(len(tries)) - np.searchsorted(tries, tries)) * 12.0
    parts.append(scene.requests(tried_s, "login", ip=ip[tries], user=user[tries], ua=new, status=401))
    steps = [("login", 6.0, 200), ("verify", 20.0, 200), ("device", 4.0, 201), ("token", 1.0, 200)]
    in_s = begins_s + 60 + wrong * 12.0
    parts.append(scripted(scene, in_s, [*steps, ("app_feed", 1.0, 200)], ip=ip, user=user, ua=new))
    reads = np.repeat(np.arange(n), rng.integers(4, 13, n))
    read_s = in_s[reads] + 60 + rng.uniform(0, 400, len(reads))
    path = scene.world.paths.all([f"/api/v2/items/{one + 1}" for one in zipf(rng, len(reads), ITEMS).tolist()])
    parts.append(scene.requests(read_s, "app_item", path=path, ip=ip[reads], user=user[reads], ua=new))
    later_s = in_s + min(7200.0, 0.15 * scene.span_s) * rng.uniform(0.5, 1.5, n)
    at = carriers[rng.integers(0, len(carriers), n)]
    parts.append(scripted(scene, later_s, [("token", 0.0, 401), ("token", 5.0, 401)], ip=at, user=user, ua=old))
    return together(*parts)


@case()
def reissued_cards(scene: Scene) -> Rows:
    """A bank has replaced its cards, and in the night in which subscriptions are charged one in four is declined.

    The shop's own billing charges as many accounts as the site has requests in 160 seconds (800 at 5 a second), two a
    second, from one address with its key: 402 for a quarter, each tried again after one hour and after three, or as far
    apart as there is time. Then the letters go out, and four in five of those come over the next hours: in, with typos,
    the new card (profile; one in six mistypes it, 402), and pay.
    """
    rng = scene.rng
    declined = max(20, round(scene.requests_per_s * 40))
    n, hour_s = 4 * declined, min(3600.0, 0.08 * scene.span_s)
    begin_s, user = scene.moment(0.1, 0.3), scene.accounts(n, distinct=True)
    refused = rng.permutation(n) % 4 == 0
    charged_s = begin_s + np.cumsum(rng.uniform(0.3, 0.7, n))
    by = {
        "ip": scene.addresses(1, "partner")[0],
        "key": scene.key("key-batch-billing"),
        "ua": scene.tool(_BILLING),
    }
    parts = [scene.requests(charged_s, "pay", user=user, status=np.where(refused, 402, 200), **by)]
    for hours in (1.0, 3.0):
        again_s = begin_s + hours * hour_s + np.cumsum(rng.uniform(0.3, 0.7, declined))
        parts.append(scene.requests(again_s, "pay", user=user[refused], status=402, **by))
    comes = np.flatnonzero(refused)[rng.permutation(declined) % 5 != 0]
    m, wrong = len(comes), typos(scene, len(comes))
    ip, ua, user = scene.addresses(m, "home"), scene.world.browsers[rng.integers(0, 16, m)], user[comes]
    come_s = begin_s + 3 * hour_s + declined + min(14_400.0, 0.35 * scene.span_s) * rng.beta(1.5, 4, m)
    tries = np.repeat(np.arange(m), wrong)
    tried_s = come_s[tries] + (np.arange(len(tries)) - np.searchsorted(tries, tries)) * 12.0
    parts.append(scene.requests(tried_s, "login", ip=ip[tries], user=user[tries], ua=ua[tries], status=401))
    steps = [("login", 3.0, 200), ("profile", 40.0, 402), ("profile", 25.0, 200), ("pay", 10.0, 200)]
    made = scripted(scene, come_s + 12.0 * wrong, steps, ip=ip, user=user, ua=ua)
    mistyped = rng.permutation(m) % 6 == 0
    return together(*parts, made[np.concatenate([np.ones(m, bool), mistyped, np.ones(2 * m, bool)])])
