"""First sight: attacks on what is played, worn and listened to: matches, address books, robbed things, royalties."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_MATCHES: Final = 40  # until a player's points are passed on
_HOPS: Final = 4  # accounts that a robbed thing goes through
_HEARD_S: Final = 31.0  # a track counts from half a minute on
_GAME: Final = "GameClient/4.2 (console; build 88121)"


@family(oat="OAT-006", weak=Strength(1, 3, 3000), medium=Strength(3, 40, 1200), strong=Strength(20, 110, 600))
def unplayed_matches(scene: Scene, how: Strength) -> Rows:
    """A program tells the game that matches were won which nobody has played, and sells the points they bring.

    A match begins and is won two seconds later, again and again, forty of them to an account, each answered well (one
    in a hundred 422); then the balance, and all of it passed to one account that collects. Account after account at a
    machine, with the name of a console.

    Source: US Department of Justice, Northern District of Texas, United States v. Clark, verdict of 2016-11-16: false
    signals of finished FIFA matches to the servers of Electronic Arts, by the thousand in seconds, 16 million dollars.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 2))
    machine, match = np.arange(n) % m, np.arange(n) // m
    turns = -(-n // m)
    account = machine * 10_000 + match // _MATCHES
    names, who = np.unique(account, return_inverse=True)
    user = scene.strangers(len(names), "player")
    ip, ua, gap_s = scene.addresses(m, "hosting"), scene.tool(_GAME), 0.97 * how.lasts_s / turns
    begins_s = match * gap_s + rng.uniform(0, 0.3 * gap_s, n)
    by = {"ip": ip[machine], "user": user[who], "ua": np.array([ua])}
    begun = scene.requests(begins_s, "graphql", path="/api/graphql?op=matchStart", **by)
    won_s = begins_s + min(2.0, 0.5 * gap_s) + rng.uniform(0, min(0.4, 0.1 * gap_s), n)
    won = scene.requests(won_s, "graphql", path="/api/graphql?op=matchWon", **by)
    won["status"] = scene.mostly(n, 200, 422, 0.01)
    lasts = np.searchsorted(who[np.argsort(who, kind="stable")], np.arange(len(names)), side="right") - 1
    ended_s = won_s[np.argsort(who, kind="stable")][lasts]
    at = {"ip": ip[names // 10_000], "user": user, "ua": ua}
    steps = [("balance", min(1.0, 0.1 * gap_s), 200), ("graphql", min(1.0, 0.1 * gap_s), 200)]
    passed = scripted(scene, ended_s, steps, **at)
    passed["path"][len(names) :] = scene.world.paths.code("/api/graphql?op=giftPoints&to=goldshop")
    return together(begun, won, passed)


@family(oat="OAT-018", weak=Strength(1, 2, 3000), medium=Strength(5, 30, 1200), strong=Strength(24, 110, 480))
def contact_upload(scene: Scene, how: Strength) -> Rows:
    """Address books that nobody has are handed in, five hundred numbers each, to learn which of them are customers'.

    An account and a device at each machine, registered for it. Block after block of one country's numbers in order, as
    the app would hand in its owner's once in its life; all are answered well, and nothing else is asked for but a token
    every ten minutes.

    Source: G. Gegenhuber and others (University of Vienna, SBA Research), "Hey there! You are using WhatsApp:
    enumerating three billion accounts", 2025-11-18: five accounts, a hundred million numbers an hour.
    """
    rng, m = scene.rng, how.sources
    ip, user, ua = scene.addresses(m, "hosting"), scene.strangers(m, "newphone"), scene.tool("ShopApp/6.0 (Android 15)")
    steps = [("register", 0.0, 200), ("device", 2.0, 201), ("token", 1.0, 200)]
    begins_s = rng.uniform(0, 0.01 * how.lasts_s, m)
    parts = [scripted(scene, begins_s, steps, ip=ip, ua=ua)]
    parts[0]["user"][m:] = np.tile(user, 2)
    for number in range(m):
        who = {"ip": ip[number], "user": user[number], "ua": ua}
        at_s = begins_s[number] + 10 + scene.steady(how.per_s, how.lasts_s - begins_s[number] - 10, shape=12.0)
        first = 151_000_000 + number * 4_000_000
        path = [f"/api/graphql?op=syncContacts&from=+49{first + 500 * block}" for block in range(len(at_s))]
        parts.append(scene.requests(at_s, "graphql", path=path, **who))
        token_s = np.arange(600.0, how.lasts_s, 600.0) + rng.uniform(0, 3)
        parts.append(scene.requests(token_s, "token", **who))
    return together(*parts)


@family(oat="OAT-012", weak=Strength(3, 0.9, 3000), medium=Strength(12, 8, 1200), strong=Strength(40, 24, 600))
def item_beaming(scene: Scene, how: Strength) -> Rows:
    """What players own is taken out of their accounts in seconds, and passed from hand to hand until nobody finds it.

    A player's session (no login): what there is (account, orders), then gift after gift, three to ten, a second apart,
    and nothing more of him. The takers sign in one after the other at other addresses: each takes it all, gives it to
    the next, and goes, four times over, within a minute and a half.

    Source: Valve, "Security and trading" (77,000 accounts taken and emptied each month, things moved through other
    accounts before their owners look), 2015-12-09.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (2 + 6.5 + 4 * _HOPS)))
    begins_s, hop_s = scene.scattered(n, max(1.0, how.lasts_s - 130)), min(20.0, how.lasts_s / 40)
    pool = scene.addresses(m, "bot")
    ip, user = scene.by_turns(pool, n), scene.accounts(n, distinct=True)
    seen = scripted(scene, begins_s, [("account", 0.0, 200), ("orders", 1.5, 200)], ip=ip, user=user)
    seen["ua"] = np.tile(scene.browser(ip), 2)
    things = rng.integers(3, 11, n)
    which = np.repeat(np.arange(n), things)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    gave_s = begins_s[which] + 5 + nth * 1.0 + rng.uniform(0, 0.3, len(which))
    gave = {"ip": ip[which], "user": user[which], "ua": scene.browser(ip)[which]}
    parts = [seen, scene.requests(gave_s, "graphql", path="/api/graphql?op=giveItem", **gave)]
    taker = scene.strangers(n * _HOPS, "holder").reshape(_HOPS, n)
    for hop in range(_HOPS):
        at = scene.by_turns(pool, n)
        steps = [("login", 2.0, 200), ("graphql", hop_s / 8, 200), ("graphql", hop_s / 8, 200), ("logout", 1.0, 200)]
        from_s = begins_s + 6 + things + hop * hop_s
        made = scripted(scene, from_s, steps, ip=at, user=taker[hop], ua=scene.browser(at))
        for step, op in ((1, "takeItems"), (2, "giveItems")):
            made["path"][step * n : (step + 1) * n] = scene.world.paths.code(f"/api/graphql?op={op}")
        parts.append(made)
    return together(*parts)


@family(oat="OAT-016", weak=Strength(2, 6, 3000), medium=Strength(8, 20, 1200), strong=Strength(40, 60, 600))
def royalty_streams(scene: Scene, how: Strength) -> Rows:
    """Songs nobody knows are played by accounts that nobody listens at, each a little, for who is paid for them.

    Four to forty paid accounts to a machine, each with its token. Track after track of one man's, a little longer than
    half a minute each, as many times the one as the other; no list, no search, no feed, day and night.

    Source: US Attorney, Southern District of New York, United States v. Smith, 2024-09-04: songs made by a machine,
    1,040 accounts at 52 cloud services, 661,440 plays a day, ten million dollars.
    """
    rng, m = scene.rng, how.sources
    accounts = max(1, round(how.per_s * _HEARD_S * 1.35))
    tracks = scene.world.paths.all([f"/api/v2/items/track-{one:06d}" for one in rng.permutation(10**6)[: 40 * m]])
    ip, user = scene.addresses(m, "hosting"), scene.strangers(m * accounts, "family")
    agents = scene.world.agents.all([f"MusicApp/8.{minor} (Linux; Android 13)" for minor in range(4)])
    machine = np.repeat(np.arange(m), accounts)
    came_s = rng.uniform(0, min(40.0, 0.1 * how.lasts_s), m * accounts)
    parts = [scene.requests(came_s, "token", ip=ip[machine], user=user, ua=agents[machine % 4])]
    plays = max(1, round(0.98 * how.per_s * how.lasts_s / accounts))
    every_s = 0.95 * how.lasts_s / plays
    who = np.repeat(np.arange(m * accounts), plays)
    at_s = came_s[who] + 2 + np.tile(np.arange(plays) * every_s, m * accounts) + rng.uniform(0, 0.2 * every_s, len(who))
    path = tracks[rng.permutation(len(who)) % len(tracks)]
    by = {"ip": ip[machine[who]], "user": user[who], "ua": agents[machine[who] % 4]}
    parts.append(scene.requests(at_s, "app_item", path=path, **by))
    return together(*parts)
