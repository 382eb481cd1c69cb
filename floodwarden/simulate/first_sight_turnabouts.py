"""First sight: hard good cases of people who do overnight what they never did: give, leave, come over, pay anew."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together
from floodwarden.simulate.world import Ints

_PLACES: Final = 150  # where nights are given
_WRITE: Final = "/api/graphql?op=writeHost"
_CODE: Final = "/api/graphql?op=sendCode"
_FRIENDS: Final = "/api/graphql?op=findFriends&block={}"
_TOP_UP: Final = "/checkout/payment?topup=1"
_DELETED: Final = "/account/profile?delete=1"
_APPS: Final = ("ShopApp/6.3.0 (Android 14)", "ShopApp/6.3.0 (Android 11)", "ShopApp/6.3.1 (iOS 18.5; iPhone14,5)")


@case()
def donated_nights(scene: Scene) -> Rows:
    """There is war in a country, and members of long standing book nights there that they will never sleep, to help.

    As many as the site has requests in forty seconds (200 at 5 a second), over half of the run, most soon after it went
    round. Each signs in, opens one to four of 150 places in that country, and takes every one: cart, checkout, payment,
    all within a minute or so. A third is refused by the bank at first, once or twice (402), one night in eight is taken
    already (409). The host of each is written to, in the same words. Later one in two looks at his orders.

    Source: Airbnb, within 48 hours 61,000 nights in Ukraine were booked by people who would not come, 2022-03-02, 03.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 40)), 0.5 * scene.span_s
    pace = min(1.0, lasts_s / 7200)
    begins_s, by = scene.moment(0.08, 0.3) + 0.9 * lasts_s * rng.beta(1.2, 2.4, n), at_home(scene, n, 0.3)
    parts = [scene.requests(begins_s, "login", **by)]
    who, nth = again(rng.integers(1, 5, n))
    whose = those(by, who)
    opened_s = begins_s[who] + (20 + nth * 150 + rng.uniform(0, 30, len(who))) * pace
    places = scene.world.items[700 + rng.integers(0, _PLACES, len(who))]
    parts.append(scene.requests(opened_s, "item", path=places, **whose))
    taken = rng.random(len(who)) < 1 / 8
    put_s = opened_s + rng.uniform(8, 20, len(who)) * pace
    parts.append(scene.requests(put_s, "cart_add", status=np.where(taken, 409, 200), **whose))
    gets = np.flatnonzero(~taken)
    steps = [("checkout", 12.0 * pace, 200), ("pay", 20.0 * pace, 200), ("graphql", 15.0 * pace, 200)]
    booked = scripted(scene, put_s[gets], steps, **those(whose, gets))
    booked["path"][2 * len(gets) :] = scene.world.paths.code(_WRITE)
    strict = rng.permutation(n) % 3 == 0
    declined, tries = again(strict[who[gets]] * rng.integers(1, 3, len(gets)))
    paid_s = booked["ts_ms"][len(gets) : 2 * len(gets)] / 1000
    before_s = paid_s[declined] - (tries + 1) * 5 * pace
    parts.append(scene.requests(before_s, "pay", status=402, **those(whose, gets[declined])))
    looks = np.arange(0, n, 2)
    later_s = begins_s[looks] + rng.uniform(0.03, 0.12, len(looks)) * lasts_s + 700 * pace
    return together(*parts, booked, scene.requests(later_s, "orders", **those(by, looks)))


@case()
def bankrupt_exports(scene: Scene) -> Rows:
    """A firm that keeps much of its members' is bankrupt, and they come, many after years, to take it and be deleted.

    As many as the site has requests in seventy seconds (350 at 5 a second), within five hours of the news. The password
    is long forgotten: one to four do not fit (401), and a half has a new one sent (202). The code comes late, and one
    in three types one that has lapsed (401). Account; all that there is of them ordered (202), asked for every forty
    seconds, three to nine times in vain (404), then fetched; deleted (PUT). One request in six of these finds nobody
    (503) and is made again. One in five comes back an hour later to see whether his account still opens (401).

    Source: Attorney General of California, consumer alert on 23andMe, 2025-03-21; the firm's petition of 2025-03-23,
    after which so many came to delete what it had that its site failed, by the press of 2025-03-24 and 25.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 70)), min(18_000.0, 0.5 * scene.span_s)
    pace = min(1.0, lasts_s / 7200)
    begins_s, by = scene.moment(0.15, 0.35) + 0.9 * lasts_s * rng.beta(1.3, 2.6, n), at_home(scene, n, 0.25)
    wrong, nth = again(rng.integers(1, 5, n))
    tried_s = begins_s[wrong] + (15 + nth * 14 + rng.uniform(0, 6, len(wrong))) * pace
    parts = [scene.requests(begins_s, "home", **by), scene.requests(tried_s, "login", status=401, **those(by, wrong))]
    lost = rng.permutation(n) % 2 == 0
    parts.append(scene.requests(begins_s[lost] + 80 * pace, "reset", status=202, **those(by, lost)))
    in_s = begins_s + np.where(lost, 240, 80) * pace
    late = rng.permutation(n) % 3 == 0
    parts.append(scene.requests(in_s[late] + 45 * pace, "verify", status=401, **those(by, late)))
    waits, nth = again(rng.integers(3, 10, n))
    ordered_s = in_s + 160 * pace
    asked_s = ordered_s[waits] + (40 + nth * 40 + rng.uniform(0, 15, len(waits))) * pace
    number = scene.world.paths.all([f"/api/v1/exports/{one}" for one in rng.integers(200_000, 900_000, n).tolist()])
    ready_s = ordered_s + (60 + np.bincount(waits) * 40) * pace
    parts += [
        scene.requests(in_s, "login", **by),
        scene.requests(in_s + 80 * pace, "verify", **by),
        scene.requests(asked_s, "exported", path=number[waits], status=404, **those(by, waits)),
    ]
    crowded = [
        scene.requests(in_s + 100 * pace, "account", **by),
        scene.requests(ordered_s, "export", status=202, **by),
        scene.requests(ready_s, "exported", path=number, **by),
        scene.requests(ready_s + 50 * pace, "profile", path=_DELETED, **by),
    ]
    for made in crowded:
        refused = made[rng.random(n) < 1 / 6]
        refused["status"] = 503
        refused["ts_ms"] -= (rng.uniform(4, 12, len(refused)) * pace * 1000).astype(np.int64)
        parts += [made, refused]
    back = rng.permutation(n) % 5 == 0
    again_s = ready_s[back] + min(3600.0, 0.15 * lasts_s)
    return together(*parts, scene.requests(again_s, "login", status=401, **those(by, back)))


@case()
def exodus_signups(scene: Scene) -> Rows:
    """Another app will hand on what it knows of its users, and they come over to this one, all within hours.

    As many as the site has requests in ninety seconds (450 at 5 a second), four in five behind a carrier's address for
    each forty of them, within four hours. The telephone registers (201); the account is made under its number (one in
    twelve has one already, 409); a code is asked for (202), two to five times, for it does not come (one in five of
    these is not even taken, 503). One in three types one that was replaced by the next (401), once or twice. Then one
    to four blocks of the address book, to see who is here, a profile, the feed; and two in three look again later.

    Source: Signal on 2021-01-07 (codes are delayed, because so many want to join); Telegram, 25 million new users in 72
    hours, 2021-01-12, both after WhatsApp's new terms.
    """
    rng = scene.rng
    n, lasts_s = max(40, round(scene.requests_per_s * 90)), min(14_400.0, 0.5 * scene.span_s)
    pace, begin_s = min(1.0, lasts_s / 7200), scene.moment(0.15, 0.4)
    by = _by_carriers(scene, n, 0.8, 40) | {"user": scene.strangers(n, "newcomer")}
    begins_s = begin_s + 0.8 * lasts_s * rng.beta(1.4, 2.6, n)
    has = rng.permutation(n) % 12 == 0
    parts = [scene.requests(begins_s, "device", status=201, **by)]
    parts.append(scene.requests(begins_s + 12 * pace, "register", status=np.where(has, 409, 200), **by))
    codes = rng.integers(2, 6, n)
    asks, nth = again(codes)
    asked_s = begins_s[asks] + (20 + nth * 75 + rng.uniform(0, 30, len(asks))) * pace
    status = scene.mostly(len(asks), 202, 503, 1 / 5)
    parts.append(scene.requests(asked_s, "graphql", path=_CODE, status=status, **those(by, asks)))
    came_s = begins_s + (20 + codes * 75 + rng.uniform(20, 120, n)) * pace
    old, nth = again((rng.permutation(n) % 3 == 0) * rng.integers(1, 3, n))
    parts.append(scene.requests(came_s[old] - (nth + 1) * 10 * pace, "verify", status=401, **those(by, old)))
    parts.append(scene.requests(came_s, "verify", **by))
    blocks, nth = again(rng.integers(1, 5, n))
    handed_s = came_s[blocks] + (15 + nth * 4 + rng.uniform(0, 2, len(blocks))) * pace
    path = scene.world.paths.all([_FRIENDS.format(one + 1) for one in range(4)])
    parts.append(scene.requests(handed_s, "graphql", path=path[nth], **those(by, blocks)))
    parts.append(scripted(scene, came_s + 40 * pace, [("profile", 0.0, 200), ("app_feed", 10.0 * pace, 200)], **by))
    looks, nth = again((rng.permutation(n) % 3 > 0) * rng.integers(1, 4, n))
    later_s = came_s[looks] + 120 * pace + (0.02 + 0.05 * nth + rng.uniform(0, 0.04, len(looks))) * lasts_s
    parts.append(scene.requests(later_s, "app_feed", **those(by, looks)))
    return together(*parts, scene.requests(later_s + 3, "graphql", path=path[0 * looks], **those(by, looks)))


@case()
def void_banknotes(scene: Scene) -> Rows:
    """From midnight on the large notes are not money any more, and who never paid by telephone begins to this evening.

    As many as the site has requests in eighty seconds (400 at 5 a second), nine in ten behind a carrier's address for
    each 45 of them, within five hours. Every second telephone is new here (201). Each signs in and loads money from a
    bank: one to six times, for the banks refuse (402) or are too slow (504) until one goes (200); one in four puts
    another card into his profile after the second. Then two to five small payments (one in nine 402). One in twelve is
    a shopkeeper, who looks at his account after each customer, 60 to 120 times, twenty to fifty seconds apart.

    Source: Prime Minister of India, notes of 500 and 1,000 rupees are void from midnight, 2016-11-08; Paytm, its
    traffic grew more than fourfold within a day, 2016-11-09.
    """
    rng = scene.rng
    n, lasts_s = max(36, round(scene.requests_per_s * 80)), min(18_000.0, 0.5 * scene.span_s)
    pace, begin_s = min(1.0, lasts_s / 9000), scene.moment(0.15, 0.4)
    by = _by_carriers(scene, n, 0.9, 45) | {"user": scene.accounts(n, distinct=True)}
    begins_s = begin_s + 0.5 * lasts_s * rng.beta(1.2, 2.4, n)
    wrong, nth = again(typos(scene, n))
    parts = [scene.requests(begins_s[wrong] - (nth + 1) * 11 * pace, "login", status=401, **those(by, wrong))]
    new = rng.permutation(n) % 2 == 0
    parts.append(scene.requests(begins_s[new] - 60 * pace, "device", status=201, **those(by, new)))
    parts.append(scene.requests(begins_s, "login", **by))
    times = rng.integers(1, 7, n)
    loads, nth = again(times)
    loaded_s = begins_s[loads] + (30 + nth * 28 + rng.uniform(0, 12, len(loads))) * pace
    status = np.where(nth == times[loads] - 1, 200, scene.mostly(len(loads), 402, 504, 0.5))
    parts.append(scene.requests(loaded_s, "pay", path=_TOP_UP, status=status, **those(by, loads)))
    other = np.flatnonzero((times > 2) & (rng.permutation(n) % 4 == 0))
    parts.append(scene.requests(begins_s[other] + 80 * pace, "profile", **those(by, other)))
    pays, nth = again(rng.integers(2, 6, n))
    paid_s = begins_s[pays] + 240 * pace + (0.02 + 0.06 * nth + rng.uniform(0, 0.05, len(pays))) * lasts_s
    declined = scene.mostly(len(pays), 200, 402, 1 / 9)
    parts.append(scene.requests(paid_s, "pay", status=declined, **those(by, pays)))
    looks, nth = again((rng.permutation(n) % 12 == 0) * rng.integers(60, 121, n))
    looked_s = begins_s[looks] + (300 + nth * 35 + rng.uniform(-7, 7, len(looks))) * pace
    return together(*parts, scene.requests(looked_s, "orders", **those(by, looks)))


def _by_carriers(scene: Scene, n: int, mobile: float, an_address: int) -> dict[str, Ints]:
    """Telephones with the app, a share of them behind carriers' addresses, so many to each; the others at home."""
    carriers = scene.addresses(max(3, n // an_address), "cgnat")
    behind = scene.rng.permutation(n) < round(mobile * n)
    ip = np.where(behind, scene.by_turns(carriers, n), scene.addresses(n, "home"))
    apps = np.array([scene.tool(name) for name in _APPS])
    return {"ip": ip, "ua": apps[scene.rng.integers(0, len(apps), n)]}
