"""First sight: hard good cases of machines among people: pumps on a leap day, a poll's tablets."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, again, one_client, together
from floodwarden.simulate.world import Ints

_PUMPS: Final = 4  # at a station
_FAILS: Final = 5  # in a row, until a terminal starts anew
_PUMP: Final = "PumpPay/4.2 (Linux; armv7l)"
_BOOKS: Final = 6  # in a polling place
_BOOK: Final = "PollBook/2.4 (iPadOS 13.3)"
_SINCE: Final = "/api/v1/exports/checked-in?place={}"


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
