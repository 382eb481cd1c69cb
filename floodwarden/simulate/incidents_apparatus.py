"""Hard good cases of what stands about: old tablets, dashboards at home, scanners, a live spreadsheet."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, Ints, zipf

_LISTED: Final = 320
_LOCKED_AFTER: Final = 12
_TABLET: Final = "ShopApp/4.1.0 (iOS 12.5)"
_TELEPHONES: Final = ("ShopApp/5.9.4 (iOS 18.5)", "ShopApp/5.9.4 (Android 14)", "ShopApp/5.9.3 (Android 15)")


@case()
def old_tablets(scene: Scene) -> Rows:
    """Members changed their password, and an old tablet of theirs keeps on signing in with the last one.

    Forty homes; the app tries every five, ten or fifteen minutes, as its timer says (401), until somebody notices after
    some hours and types the new one. For one in five the account is locked for half an hour after a dozen (423).
    Meanwhile the family's telephones, which know the new one, open the app from the same address four to eight times a
    day: a token, the feed, two to seven items.
    """
    rng, homes = scene.rng, 40
    ip, user = scene.addresses(homes, "home"), scene.accounts(homes, distinct=True)
    ua, parts = np.array([scene.tool(_TABLET)]), []
    starts_s = rng.uniform(0, 0.3, homes) * scene.span_s
    for home in range(homes):
        noticed_s = float(starts_s[home] + rng.uniform(0.2, 0.65) * scene.span_s)
        every_s = float(rng.choice([300.0, 600.0, 900.0]))
        at_s = scene.regular(starts_s[home], noticed_s, every_s, 0.02)
        nth, lock = np.arange(len(at_s)), max(1, round(1800 / every_s))
        locked = (nth >= _LOCKED_AFTER) & ((nth - _LOCKED_AFTER) % (_LOCKED_AFTER + lock) < lock) & (home % 5 == 0)
        who = {"ip": ip[home : home + 1], "user": user[home : home + 1], "ua": ua}
        parts.append(scene.requests(at_s, "login", status=np.where(locked, 423, 401), **who))
        parts.append(scene.requests(np.array([noticed_s + 20]), "login", **who))
        parts.append(scene.requests(noticed_s + 25 + rng.uniform(0, 60, 3), "app_feed", **who))
    return together(*parts, _app(scene, ip, user))


@case()
def home_dashboards(scene: Scene) -> Rows:
    """Thirty members have a screen in the kitchen that shows where their parcel is: their own orders, day and night.

    A program for houses at each home asks for the orders every five minutes, under the member's account, with a token
    every hour. An update in the evening brings a mistake for twelve of them: the token is not renewed, and for an hour
    the orders are asked for every half minute (401), until it is put right.
    """
    rng, homes = scene.rng, 30
    ip, user = scene.addresses(homes, "home"), scene.accounts(homes, distinct=True)
    ua, parts = np.array([scene.tool("HomeAssistant/2026.1.0 aiohttp/3.11.11 Python/3.13")]), []
    wrong_s, lasts_s = scene.moment(0.4, 0.7), min(3600.0, 0.15 * scene.span_s)
    for home in range(homes):
        who = {"ip": ip[home : home + 1], "user": user[home : home + 1], "ua": ua}
        at_s = scene.regular(0, scene.span_s, 300.0, 0.02)
        if home < 12:
            begin_s = wrong_s + float(rng.uniform(0, 240))
            usual = (at_s < begin_s) | (at_s >= begin_s + lasts_s)
            failed_s, at_s = scene.regular(begin_s, begin_s + lasts_s, 30.0, 0.02), at_s[usual]
            parts.append(scene.requests(failed_s, "orders", status=401, **who))
        tokens_s = scene.regular(0, scene.span_s, 3600.0, 0.01)
        parts += [scene.requests(at_s, "orders", **who), scene.requests(tokens_s, "token", **who)]
    return together(*parts)


@case()
def stocktaking_night(scene: Scene) -> Rows:
    """Stock is taken after closing: six scanners in three shops beep along the shelves, and each beep is a question.

    For three hours, with the chain's key, from the shops' three addresses: an item every ten seconds or so, shelf by
    shelf, one in fourteen misread or of another shop (404) and scanned again; after every third the counted stock is
    written (one in forty meets a sale, 409).
    """
    rng, lasts_s = scene.rng, min(10_800.0, 0.4 * scene.span_s)
    begin_s, shops = scene.moment(0.1, 0.5), scene.addresses(3, "office")
    key, ua, parts = scene.key("key-batch-chain"), scene.tool("StockScan/2.7 (TC52; Android 11)"), []
    for scanner in range(6):
        at_s = begin_s + rng.uniform(0, 120) + scene.steady(0.1, lasts_s, shape=2.5)
        n = len(at_s)
        item = (int(rng.integers(ITEMS)) + np.arange(n)) % ITEMS
        misread = rng.random(n) < 1 / 14
        codes = np.where(misread, rng.integers(10**6, 10**7, n), item + 1).tolist()
        who = {"ip": int(shops[scanner % 3]), "key": key, "ua": ua}
        path = [f"/api/v1/items/{code}" for code in codes]
        parts.append(scene.requests(at_s, "api_item", path=path, status=np.where(misread, 404, 200), **who))
        again_s, again = at_s[misread] + rng.uniform(1, 3, int(misread.sum())), scene.world.api_items[item[misread]]
        parts.append(scene.requests(again_s, "api_item", path=again, **who))
        third = np.arange(n) % 3 == 2
        status, stock = scene.mostly(int(third.sum()), 200, 409, 1 / 40), scene.world.stock[item[third]]
        parts.append(scene.requests(at_s[third] + 4, "api_stock", path=stock, status=status, **who))
    return together(*parts)


@case()
def live_spreadsheet(scene: Scene) -> Rows:
    """A club keeps prices in a shared spreadsheet: every hour its maker's cloud fetches all 320 pages at once.

    Within half a minute, from twelve rented machines that say what they are, always the same items; five in a hundred
    are gone (404), and nobody takes them out. When a member opens the sheet all of it is fetched again, eight times a
    day.
    """
    rng = scene.rng
    pool, ua = scene.addresses(12, "hosting"), scene.tool("Mozilla/5.0 (compatible; SheetFetcher; apps-spreadsheets)")
    item, gone = scene.world.items[rng.permutation(ITEMS)[:_LISTED]], rng.random(_LISTED) < 0.05
    hourly_s = scene.regular(0, scene.span_s, 3600.0, 0.0)
    opened_s = scene.scattered(max(2, round(scene.span_s / 86_400 * 8)), scene.span_s)
    begins_s = np.concatenate([hourly_s, opened_s])
    at_s = (begins_s[:, None] + rng.uniform(0, 30, (len(begins_s), _LISTED))).ravel()
    path, status = np.tile(item, len(begins_s)), np.tile(np.where(gone, 404, 200), len(begins_s))
    return scene.requests(at_s, "item", path=path, ip=scene.by_turns(pool, len(at_s)), status=status, ua=ua)


def _app(scene: Scene, ip: Ints, user: Ints) -> Rows:
    """The app as telephones in these homes use it, each under its account."""
    rng, days = scene.rng, scene.span_s / 86_400
    times = np.maximum(1, np.round(days * rng.uniform(4, 8, len(ip)))).astype(np.int64)
    opens = np.repeat(np.arange(len(ip)), times)
    begins_s = rng.uniform(0, 0.97 * scene.span_s, len(opens))
    ua = scene.world.agents.all(_TELEPHONES)[(opens + rng.integers(0, 2, len(opens))) % len(_TELEPHONES)]
    who = {"ip": ip[opens], "user": user[opens], "ua": ua}
    came = scripted(scene, begins_s, [("token", 0.0, 200), ("app_feed", 1.5, 200)], **who)
    reads = np.repeat(np.arange(len(opens)), rng.integers(2, 8, len(opens)))
    read_s = begins_s[reads] + 6 + rng.uniform(0, 200, len(reads))
    path = [f"/api/v2/items/{item + 1}" for item in zipf(rng, len(reads), ITEMS).tolist()]
    return together(
        came, scene.requests(read_s, "app_item", path=path, **{n: codes[reads] for n, codes in who.items()})
    )
