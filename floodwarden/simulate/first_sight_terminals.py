"""First sight: hard good cases of machines among people: pumps on a leap day, a poll's tablets, a game's servers."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_signons import again, those
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import Ints

_PUMPS: Final = 4  # at a station
_FAILS: Final = 5  # in a row, until a terminal starts anew
_PUMP: Final = "PumpPay/4.2 (Linux; armv7l)"
_BOOKS: Final = 6  # in a polling place
_BOOK: Final = "PollBook/2.4 (iPadOS 13.3)"
_SINCE: Final = "/api/v1/exports/checked-in?place={}"
_LIST_S: Final = 120.0
_SERVER: Final = "RustlandDedicated/2609 (Linux)"


@case()
def leap_day_pumps(scene: Scene) -> Rows:
    """It is the 29th of February, which the terminals at petrol pumps do not know: no card is good until midnight.

    A station for each 80 accounts, four terminals behind its address, one key for all of them; a driver every six
    minutes (one payment in 25 declined, 402), a report every ten. For four tenths of the run each payment is refused
    for its date (422), as is every report: drivers try a card two to four times, every second one another card as well,
    a third at the next pump, too; half the stations hang a sheet up after a third of the time, and then four in five
    drive on. After five refusals in a row a terminal starts anew: registered (200), and a token.

    Source: RNZ and Reuters, petrol stations all over New Zealand could not take cards for more than ten hours, as their
    terminals did not know the leap day, 2024-02-29.
    """
    rng, stations = scene.rng, max(4, scene.clients // 80)
    begin_s, lasts_s = scene.moment(0.2, 0.35), 0.4 * scene.span_s
    key, ua, parts = scene.key("key-fleet-pumps"), scene.tool(_PUMP), []
    for station, ip in enumerate(scene.addresses(stations, "device").tolist()):
        who = one_client(ip, key, ua)
        comes_s = scene.scattered(max(4, round(scene.span_s / 360)), scene.span_s)
        bad = (comes_s > begin_s) & (comes_s < begin_s + lasts_s)
        sheet = (station % 2 == 0) & bad & (comes_s > begin_s + lasts_s / 3) & (rng.random(len(comes_s)) < 0.8)
        well_s, ill_s = comes_s[~bad], comes_s[bad & ~sheet]
        pump = rng.integers(0, _PUMPS, len(well_s))
        status = scene.mostly(len(well_s), 200, 402, 1 / 25)
        parts.append(scene.requests(well_s, "pay", path=_paid_at(scene, station, pump), status=status, **who))
        tried_s, pump = _tries(scene, ill_s)
        parts.append(scene.requests(tried_s, "pay", path=_paid_at(scene, station, pump), status=422, **who))
        for one in range(_PUMPS):
            anew_s = np.sort(tried_s[pump == one])[_FAILS - 1 :: _FAILS] + 20
            parts.append(scene.requests(anew_s, "device", **who))
            parts.append(scene.requests(anew_s + 4, "token", **who))
        told_s = scene.regular(0, scene.span_s, 600.0, 0.01)
        ill = (told_s > begin_s) & (told_s < begin_s + lasts_s)
        path = f"/api/v1/devices/station-{station:03d}/telemetry"
        parts.append(scene.requests(told_s, "telemetry", path=path, status=np.where(ill, 422, 200), **who))
    return together(*parts)


def _tries(scene: Scene, drivers_s: np.ndarray) -> tuple[np.ndarray, Ints]:
    """When drivers try in vain, and at which pump: one card, every second another, a third the next pump."""
    rng, n = scene.rng, len(drivers_s)
    first, second = rng.integers(2, 5, n), (rng.permutation(n) % 2 == 0) * rng.integers(1, 3, n)
    third = (rng.permutation(n) % 3 == 0) * 2
    who, nth = again(first + second + third)
    at_s = drivers_s[who] + nth * 22 + rng.uniform(0, 9, len(who))
    moved = nth >= (first + second)[who]
    return at_s, np.where(moved, (who + 1) % _PUMPS, who % _PUMPS)


def _paid_at(scene: Scene, station: int, pump: Ints) -> Ints:
    """Where a terminal's payments go."""
    return scene.world.paths.all([f"/checkout/payment?station={station}&pump={one + 1}" for one in pump.tolist()])


@case()
def pollbook_sync(scene: Scene) -> Rows:
    """On polling day voters are looked up on tablets, which are to tell each other who has voted, and cannot.

    A polling place for each 250 accounts, six tablets behind one address, one key for all, for eight hours. A voter at
    each every eight minutes: sought by name in one to four spellings (404) until he is there (200), and checked in. The
    tablets ask every four minutes who was checked in elsewhere. For two fifths of the day that takes too long (504) and
    is asked for three times more, fifteen seconds apart; every second check-in finds nobody (503), is kept, and handed
    in when it is over, four a second for a place, one in thirty of somebody who had been checked in (409).

    Source: Los Angeles County on its new vote centers of 2020-03-03: tablets that could not synchronise made voters
    wait for hours (its registrar's report, 2020).
    """
    rng, places = scene.rng, max(4, scene.clients // 250)
    begin_s, day_s = scene.moment(0.02, 0.08), min(28_800.0, 0.88 * scene.span_s)
    bad_s, over_s = begin_s + 0.3 * day_s, begin_s + 0.7 * day_s
    key, ua, parts = scene.key("key-fleet-polls"), scene.tool(_BOOK), []
    for place, ip in enumerate(scene.addresses(places, "office").tolist()):
        who = one_client(ip, key, ua)
        n = _BOOKS * max(2, round(day_s / 480))
        comes_s = begin_s + 0.99 * day_s * np.sort(rng.random(n))
        voters = rng.integers(1, 900_000, n)
        wrong, nth = again(rng.integers(0, 4, n))
        sought_s = comes_s[wrong] - (nth + 1) * 14 - rng.uniform(0, 6, len(wrong))
        other = [f"/api/v1/orders?name={one:06d}~{way}" for one, way in zip(voters[wrong].tolist(), nth, strict=True)]
        parts.append(scene.requests(sought_s, "api_orders", path=other, status=404, **who))
        found = [f"/api/v1/orders?name={one:06d}" for one in voters.tolist()]
        parts.append(scene.requests(comes_s, "api_orders", path=found, **who))
        in_s = comes_s + rng.uniform(15, 40, n)
        unheard = (in_s > bad_s) & (in_s < over_s) & (rng.permutation(n) % 2 == 0)
        path = scene.world.paths.all([f"/api/graphql?op=checkIn&voter={one}" for one in voters.tolist()])
        parts.append(scene.requests(in_s, "graphql", path=path, status=np.where(unheard, 503, 200), **who))
        kept_s = over_s + 30 + rng.uniform(0, 60) + np.arange(int(unheard.sum())) / 4
        status = scene.mostly(len(kept_s), 200, 409, 1 / 30)
        parts.append(scene.requests(kept_s, "graphql", path=path[unheard], status=status, **who))
        for _ in range(_BOOKS):
            sync_s = scene.regular(begin_s, begin_s + day_s, 240.0, 0.02)
            slow, path_of = (sync_s > bad_s) & (sync_s < over_s), _SINCE.format(place)
            parts.append(scene.requests(sync_s[~slow], "exported", path=path_of, **who))
            vain_s = (sync_s[slow, None] + 15.0 * np.arange(4)).ravel()
            parts.append(scene.requests(vain_s, "exported", path=path_of, status=504, **who))
    return together(*parts)


@case()
def wipe_day(scene: Scene) -> Rows:
    """Once a month all of a game's servers, which players rent, begin with a new world at the same minute.

    A server for each 80 accounts, at hosting companies, a key each, which the game asks us about its players: it says
    every two minutes that it is there. At the minute all are gone for eight to twenty, and register anew, thrice (201);
    then forty to ninety players come within four minutes, each with a ticket that the server has checked: one in two
    has not updated yet (401, one to four times, twenty seconds apart), one in six is still elsewhere (409), until it is
    good (200); what each owns is read after it. One server in eight is too old: for an hour it registers every minute
    in vain (400), before its players come.

    Source: Facepunch Studios, Rust: servers are wiped with each month's update, on its first Thursday at the same hour
    (general practice for years; its news of many months, 2018 to 2024).
    """
    rng, servers = scene.rng, max(6, scene.clients // 80)
    begin_s, hour_s, parts = scene.moment(0.3, 0.55), min(3600.0, 0.12 * scene.span_s), []
    ip, ua = scene.addresses(servers, "hosting"), scene.tool(_SERVER)
    for one in range(servers):
        who = one_client(int(ip[one]), scene.key(f"key-app-server-{one:03d}"), ua)
        anew_s = begin_s + hour_s * rng.uniform(8, 20) / 60 * np.array([0.4, 0.75, 1.0])
        if one % 8 == 3:
            vain_s = scene.regular(anew_s[2] + 30, anew_s[2] + hour_s, 60.0, 0.03)
            parts.append(scene.requests(vain_s, "device", status=400, **who))
            anew_s = anew_s + 1.05 * hour_s
        parts.append(scene.requests(anew_s, "device", status=201, **who))
        told_s = scene.regular(0, scene.span_s, _LIST_S, 0.01)
        told_s = told_s[(told_s < begin_s) | (told_s > anew_s[2])]
        path = f"/api/v1/devices/server-{one:03d}/telemetry"
        parts += [scene.requests(told_s, "telemetry", path=path, **who), _players(scene, float(anew_s[2]) + 5, who)]
    return together(*parts)


def _players(scene: Scene, opens_s: float, who: dict[str, Ints]) -> Rows:
    """All who want to be on one server, as it asks us about them."""
    rng, n = scene.rng, int(scene.rng.integers(40, 91))
    user = {"user": scene.strangers(n, "player")}
    comes_s = opens_s + 240 * rng.beta(1.1, 2.5, n)
    old, nth = again((rng.permutation(n) % 2 == 0) * rng.integers(1, 5, n))
    parts = [scene.requests(comes_s[old] + nth * 20, "token", status=401, **those(user, old), **who)]
    good_s = comes_s + np.bincount(old, minlength=n) * 20
    away = rng.permutation(n) % 6 == 0
    parts.append(scene.requests(good_s[away], "token", status=409, **those(user, away), **who))
    good_s[away] += rng.uniform(15, 30, int(away.sum()))
    parts.append(scene.requests(good_s, "token", **user, **who))
    return together(*parts, scene.requests(good_s + rng.uniform(0.2, 2, n), "api_orders", **user, **who))


def one_client(ip: int, key: int, ua: int) -> dict[str, Ints]:
    """Columns of requests that all come from one address, with one key and one name."""
    return {"ip": np.array([ip]), "key": np.array([key]), "ua": np.array([ua])}
