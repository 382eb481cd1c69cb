"""First sight: attacks on one player's lobbies, on parcels, with leaked keys that may send, and by a desk's program."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import order_paths, staff_accounts

_LOBBIES: Final = 6  # one after the other, while the attack lasts
_FELL_S: Final = 0.35  # the share of a lobby's time until everybody has left it
_MAY: Final = "/api/graphql?op={}&region={}"
_REGIONS: Final = ("eu-1", "eu-2", "us-1", "us-2", "us-3", "ap-1", "ap-2", "sa-1")
_DEAD: Final = 3  # keys that a machine tries in vain first
_BATCH: Final = 25  # devices in a list


@family(oat="OAT-015", weak=Strength(30, 2, 1800), medium=Strength(100, 12, 900), strong=Strength(300, 30, 300))
def lobby_stalking(scene: Scene, how: Strength) -> Rows:
    """Somebody who plays before an audience is followed from game to game, and every lobby he enters falls over.

    One machine asks all the time, by another player's account, where he is. Six times he is in a lobby, and within two
    seconds all the others, homes worldwide, want to enter it with tickets that are none: one in five is refused (401),
    of the others more and more find nobody (503), up to three in five. After a third of the time between two lobbies it
    is dead and they are silent; he moves on, and so do they. Nobody else's lobby is touched.

    Source: Respawn, players' protest "savetitanfall" shown in Apex Legends, 2021-07-04, and Titanfall taken off sale,
    2021-12-01, after years in which players who are watched were thrown out of their lobbies by floods.
    """
    rng, m = scene.rng, how.sources
    total, between_s = m * how.per_s * how.lasts_s, how.lasts_s / _LOBBIES
    asks_s = scene.regular(0, how.lasts_s, max(how.lasts_s / 400, 2.0 * how.lasts_s / total), 0.05)
    ip = scene.addresses(m - 1, "bot")
    watcher = {"ip": scene.addresses(1, "hosting"), "user": scene.strangers(1, "spectator")}
    who = {**watcher, "ua": np.array([scene.tool("python-requests/2.31.0")])}
    parts = [scene.requests(asks_s, "app_feed", path="/api/v2/feed?player=2214", **who)]
    a_lobby = max(m - 1, round((total - len(asks_s)) / _LOBBIES))
    for lobby in range(_LOBBIES):
        begins_s = between_s * (lobby + rng.uniform(0.1, 0.5))
        one = scene.by_turns(ip, a_lobby)
        at_s = begins_s + np.minimum(2.0, 0.05 * between_s) * rng.random(a_lobby)
        at_s += between_s * _FELL_S * rng.beta(1, 1.3, a_lobby)
        gone = (at_s - begins_s) / (between_s * _FELL_S)
        unheard, wrong = rng.random(a_lobby) < 0.6 * np.minimum(1, 2 * gone), rng.random(a_lobby) < 1 / 5
        status = np.where(wrong, 401, np.where(unheard, 503, 200))
        path = f"/queue?lobby={int(rng.integers(1 << 30)):08x}"
        parts.append(scene.requests(at_s, "queue", path=path, ip=one, ua=scene.browser(one), status=status))
    return together(*parts)


@family(oat="OAT-018", weak=Strength(2, 1.5, 2400), medium=Strength(10, 16, 900), strong=Strength(40, 60, 420))
def parcel_walk(scene: Scene, how: Strength) -> Rows:
    """Parcels are counted through; a small map tells about where each goes, and its postcode is guessed from it.

    Numbers in order, dealt out over homes worldwide. One in five is not there (404). For the others the map, then one
    to six neighbouring postcodes: wrong ones are refused (403), and in six of seven parcels one is right (200); then
    the page with name, telephone and where it may be left. Whoever's parcel it is never guesses.

    Source: Pen Test Partners, "DPD Group parcel tracking flaw" (the map beside a parcel gives its postcode away), told
    2021-09, published 2022-02.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (1 + 0.8 * (3.5 + 6 / 7))))
    first = int(rng.integers(10_000_000, 80_000_000))
    numbers = first + np.arange(n)
    begins_s = (np.arange(n) + rng.uniform(0, 0.6, n)) * 0.97 * how.lasts_s / n
    pool = scene.addresses(m, "bot")
    ip = scene.by_turns(pool, n)
    by = {"ip": ip, "ua": scene.browser(ip)}
    there = rng.permutation(n) % 5 > 0
    maps = [f"/api/graphql?op=parcelMap&parcel={one}" for one in numbers.tolist()]
    parts = [scene.requests(begins_s, "graphql", path=maps, status=np.where(there, 200, 404), **by)]
    right = there & (rng.permutation(n) % 7 > 0)
    guesses = there * rng.integers(1, 7, n)
    who = np.repeat(np.arange(n), guesses)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    step_s = min(4.0, 0.004 * how.lasts_s)
    guessed_s = begins_s[who] + step_s * (1 + nth + rng.uniform(0, 0.5, len(who)))
    codes = (10_000 + rng.integers(0, 89_000, n))[who] + nth
    asked = [f"/api/graphql?op=parcel&parcel={a}&code={b}" for a, b in zip(numbers[who], codes, strict=True)]
    fits = right[who] & (nth == guesses[who] - 1)
    whose = {name: column[who] for name, column in by.items()}
    parts.append(scene.requests(guessed_s, "graphql", path=asked, status=np.where(fits, 200, 403), **whose))
    opened = [f"/api/graphql?op=parcelDetails&parcel={one}" for one in numbers[who][fits].tolist()]
    shown = {name: column[fits] for name, column in whose.items()}
    return together(*parts, scene.requests(guessed_s[fits] + 0.6 * step_s, "graphql", path=opened, **shown))


@family(oat="OAT-017", weak=Strength(1, 2, 2400), medium=Strength(3, 40, 1200), strong=Strength(8, 96, 480))
def relay_keys(scene: Scene, how: Strength) -> Rows:
    """Customers' keys lay about somewhere, and whichever of them may send messages sends an advertisement for a fraud.

    A machine, a customer's key. Three keys that are dead first (401). With the one that is not: how much it may send,
    in eight regions within seconds, in five of which it may nothing (403); who its senders are; that the limit be
    raised (202). From then on messages and nothing else, at an even pace just below the key's limit, by regions in
    turn, of which one in forty has an address that there is not (422).

    Source: US Cybersecurity and Infrastructure Security Agency and FBI, advisory AA24-016A on Androxgh0st (keys of mail
    and message services, taken from files of settings, and their quotas asked for), 2024-01-16; B. Krebs, "Sendgrid
    under siege from hacked accounts", 2020-08-28.
    """
    rng, parts = scene.rng, []
    keys = rng.permutation(40)[: how.sources]
    opened = len(_REGIONS) + 2
    for one, ip in zip(keys.tolist(), scene.addresses(how.sources, "hosting").tolist(), strict=True):
        n = max(4, round(how.per_s * how.lasts_s) - _DEAD - opened)
        who = {"ip": np.array([ip]), "ua": np.array([scene.tool("aws-sdk-php/3.2 (Guzzle/7)")])}
        step_s = min(3.0, 0.1 * how.lasts_s / opened)
        dead = scene.world.keys.all([f"key-app-{int(rng.integers(1 << 24)):06x}" for _ in range(_DEAD)])
        tried = _MAY.format("sendingLimit", _REGIONS[0])
        parts.append(scene.requests(step_s * np.arange(3.0), "graphql", path=tried, key=dead, status=401, **who))
        alive, begin_s = {**who, "key": np.array([scene.key(f"key-app-{one:02d}")])}, 4 * step_s
        may = rng.permutation(len(_REGIONS)) < 3
        asked = [_MAY.format("sendingLimit", region) for region in _REGIONS]
        at_s = begin_s + step_s * (np.arange(len(_REGIONS)) + rng.uniform(0, 0.4, len(_REGIONS)))
        parts.append(scene.requests(at_s, "graphql", path=asked, status=np.where(may, 200, 403), **alive))
        raised_s = begin_s + step_s * np.array([8.5, 9.5])
        more = ["/api/graphql?op=listSenders", "/api/graphql?op=raiseLimit"]
        parts.append(scene.requests(raised_s, "graphql", path=more, status=np.array([200, 202]), **alive))
        sent_s = begin_s + 11 * step_s + np.arange(n) * (0.97 * how.lasts_s - begin_s - 11 * step_s) / n
        open_to = np.flatnonzero(may)[np.arange(n) % 3].tolist()
        sent = [_MAY.format("sendNotice", _REGIONS[region]) for region in open_to]
        parts.append(scene.requests(sent_s, "graphql", path=sent, status=scene.mostly(n, 200, 422, 1 / 40), **alive))
    return together(*parts)


@family(weak=Strength(1, 1, 3000), medium=Strength(2, 10, 1200), strong=Strength(4, 60, 480))
def unlock_mill(scene: Scene, how: Strength) -> Rows:
    """One of the staff is paid for letting a program run at his desk, which unlocks telephones that are not paid for.

    Signed on once. Lists of twenty-five devices are handed in from elsewhere, and worked off in their order, like a
    clock: the customer's order in the back office, and the device unlocked. One in nine may not be yet (409), and is
    unlocked in spite of it the second after. Between two lists as long a pause as a list takes; and on through lunch.

    Source: US Department of Justice, United States v. Fahd (staff of AT&T bribed, then programs at their desks, nearly
    two million telephones unlocked), sentenced 2021-09-16.
    """
    rng, m, parts = scene.rng, how.sources, []
    staff, ip = rng.permutation(staff_accounts(scene)), scene.addresses(m, "neighbour")
    for one in range(m):
        who = {"ip": ip[one : one + 1], "user": staff[one : one + 1], "ua": scene.browser(ip[one : one + 1])}
        n = max(3, round((how.per_s * how.lasts_s - 1) / (2 + 1 / 9)))
        lists = -(-n // _BATCH)
        at, nth = np.arange(n) // _BATCH, np.arange(n) % _BATCH
        begins_s = 5 + at * (how.lasts_s - 10) / lists
        at_s = begins_s + nth * (how.lasts_s - 10) / (2 * lists * min(n, _BATCH)) + rng.uniform(0, 0.05, n)
        numbers = 350_000_000_000 + rng.integers(1 << 30, size=n)
        looked = order_paths(scene, 100_000 + numbers % 60_000)
        parts.append(scene.requests(rng.uniform(0, 3, 1), "sso", **who))
        parts.append(scene.requests(at_s, "backoffice", path=looked, **who))
        early = rng.permutation(n) % 9 == 0
        done = [f"/api/graphql?op=unlockDevice&imei={number}" for number in numbers.tolist()]
        parts.append(scene.requests(at_s + 0.4, "graphql", path=done, status=np.where(early, 409, 200), **who))
        forced = [f"{path}&force=1" for path, again in zip(done, early.tolist(), strict=True) if again]
        parts.append(scene.requests(at_s[early] + 1.4, "graphql", path=forced, **who))
    return together(*parts)
