"""First sight: hard good cases of bad luck: hail on a valley, telephones stolen at a festival, an airport shut."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import Ints

_REPORT: Final = "/api/graphql?op=reportDamage"
_PICTURE: Final = "/api/graphql?op=addPicture"
_SIGN_OUT: Final = "/api/graphql?op=signOutEverywhere"


@case()
def hailstorm_claims(scene: Scene) -> Rows:
    """Hail has fallen on a valley, and within two hours its people report what is broken, picture after picture.

    As many homes as the site has requests in forty seconds (200 at 5 a second), four in ten behind carriers' addresses,
    since the line is down. In, with typos, and one in four after three wrong passwords, a new one (reset) and its code;
    the papers (invoice), the report, then four to twenty pictures from the telephone, two to six seconds apart. One
    picture in nine is too large (413) and sent again, one in twelve is not taken (503) and pressed again at once. Two
    to four looks later on, whether anybody has read it.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 40)), min(7200.0, 0.3 * scene.span_s)
    begins_s, by = scene.moment(0.25, 0.5) + lasts_s * rng.beta(1.3, 3, n), at_home(scene, n, 0.4)
    forgot = rng.permutation(n) % 4 == 0
    parts = [mistyped(scene, begins_s, by, np.where(forgot, 3, typos(scene, n)), "login", 401)]
    new = {name: codes[forgot] for name, codes in by.items()}
    parts.append(scripted(scene, begins_s[forgot] + 4, [("reset", 0.0, 202), ("verify", 40.0, 200)], **new))
    in_s = begins_s + np.where(forgot, 200.0, 0.0)
    made = scripted(scene, in_s, [("login", 0.0, 200), ("invoice", 12.0, 200), ("graphql", 90.0, 200)], **by)
    papers = [f"/account/orders/{one}/invoice" for one in rng.integers(100_000, 160_000, n).tolist()]
    made["path"][n : 2 * n], made["path"][2 * n :] = scene.world.paths.all(papers), scene.world.paths.code(_REPORT)
    shot = np.repeat(np.arange(n), rng.integers(4, 21, n))
    gaps_s = np.cumsum(rng.uniform(2, 6, len(shot)))
    sent_s = made["ts_ms"][2 * n :][shot] / 1000 + 5 + gaps_s - gaps_s[np.searchsorted(shot, shot)]
    sends = {name: codes[shot] for name, codes in by.items()}
    parts += [made, scene.requests(sent_s, "graphql", path=_PICTURE, **sends)]
    for every, status, wait_s in ((9, 413, 1.6), (12, 503, 0.8)):
        bad = rng.permutation(len(shot)) % every == 0
        who = {name: codes[bad] for name, codes in sends.items()}
        parts.append(scene.requests(sent_s[bad] - wait_s, "graphql", path=_PICTURE, status=status, **who))
    looks = np.repeat(np.arange(n), rng.integers(2, 5, n))
    later_s = in_s[looks] + rng.uniform(900, max(1000.0, 0.2 * scene.span_s), len(looks))
    return together(*parts, scene.requests(later_s, "orders", **{name: codes[looks] for name, codes in by.items()}))


@case()
def festival_thefts(scene: Scene) -> Rows:
    """The morning after a festival: telephones were stolen, and their owners shut them out from those of friends.

    As many as the site has requests in eight seconds (40 at 5 a second) within three hours, half of them in the
    camp's network behind one address, the others behind their friends' carriers, three to a friend's telephone. One to
    three passwords from memory (401), a reset, and since its code goes to what was stolen one or two guesses (401);
    another reset, by mail, and its code. In, a new password (profile), all devices signed out, the orders and the
    telephone's invoice for the police. Then for hours the app on the stolen one asks for a token every ten minutes or
    so (401), from some carrier's address.
    """
    rng = scene.rng
    n, lasts_s = max(9, round(scene.requests_per_s * 8)), min(10_800.0, 0.35 * scene.span_s)
    friend = np.arange(n) // 3
    camp, carriers = scene.addresses(1, "office"), scene.addresses(int(friend[-1]) + 1, "cgnat")
    by = {
        "ip": np.where(friend % 2 == 0, camp[0], carriers[friend]),
        "user": scene.accounts(n, distinct=True),
        "ua": scene.world.browsers[12 + rng.integers(0, 4, int(friend[-1]) + 1)][friend],
    }
    turn_s = lasts_s * rng.random(int(friend[-1]) + 1)
    begins_s = scene.moment(0.2, 0.4) + turn_s[friend] + np.arange(n) % 3 * 480 + rng.uniform(0, 60, n)
    parts = [mistyped(scene, begins_s, by, rng.integers(1, 4, n), "login", 401)]
    resets = scripted(scene, begins_s + 10, [("reset", 0.0, 202), ("reset", 60.0, 202), ("verify", 40.0, 200)], **by)
    second_s, verified_s = (resets["ts_ms"][part * n : (part + 1) * n] / 1000 for part in (1, 2))
    parts += [resets, mistyped(scene, second_s, by, rng.integers(1, 3, n), "verify", 401)]
    steps = [("login", 0.0, 200), ("profile", 30.0, 200), ("graphql", 15.0, 200), ("orders", 20.0, 200)]
    made = scripted(scene, verified_s + 12, [*steps, ("invoice", 15.0, 200)], **by)
    made["path"][2 * n : 3 * n] = scene.world.paths.code(_SIGN_OUT)
    made["path"][4 * n :] = invoice_paths(scene, orders_of(scene, by["user"], 1))
    out_s = made["ts_ms"][2 * n : 3 * n] / 1000
    app, thieves = scene.tool("ShopApp/6.0.2 (Android 14)"), scene.addresses(max(2, n // 6), "cgnat")
    for one in range(n):
        until_s = min(scene.span_s - 300, float(out_s[one]) + rng.uniform(3600, 18_000))
        asked_s = scene.regular(float(out_s[one]) + 300, until_s, 600.0, 0.15)
        ip, user = int(thieves[one % len(thieves)]), int(by["user"][one])
        parts.append(scene.requests(asked_s, "token", ip=ip, user=user, ua=app, status=401))
    return together(*parts, made)


@case()
def stranded_travellers(scene: Scene) -> Rows:
    """Ice shuts an airport, and all who sit in it look for the few seats on trains that are left, at the same time.

    As many as the site has requests in eighty seconds (400 at 5 a second) within seventy minutes, seven in ten behind
    the airport's four addresses and the others behind carriers'. In, with typos; then round upon round, four to twelve
    of them: a search for one of the same nine towns, something that is there, into the cart, where fifteen times in
    sixteen somebody was faster (409). Who gets one pays, one in eight with a second card (402 first), and stops; who
    gets none asks the assistant one to four times.
    """
    rng = scene.rng
    n, lasts_s = max(60, round(scene.requests_per_s * 80)), min(4200.0, 0.3 * scene.span_s)
    hall, carriers = scene.addresses(4, "office"), scene.addresses(max(3, n // 20), "cgnat")
    inside = rng.random(n) < 0.7
    by = {
        "ip": np.where(inside, hall[rng.integers(0, 4, n)], carriers[rng.integers(0, len(carriers), n)]),
        "user": scene.accounts(n, distinct=True),
        "ua": scene.world.browsers[rng.integers(0, 16, n)],
    }
    begins_s = scene.moment(0.2, 0.5) + lasts_s * rng.beta(1.2, 2.5, n)
    parts = [mistyped(scene, begins_s, by, typos(scene, n), "login", 401), scene.requests(begins_s, "login", **by)]
    towns = scene.world.paths.all([f"/search?q=train+town{one}" for one in range(9)])
    rounds, going = rng.integers(4, 13, n), np.arange(n)
    goes_to, seats = rng.integers(0, 9, n), rng.integers(0, 240, 60)
    at_s = begins_s + 15
    for turn in range(int(rounds.max())):
        going = going[rounds[going] > turn]
        who = {name: codes[going] for name, codes in by.items()}
        made = scripted(scene, at_s[going], [("search", 0.0, 200), ("item", 12.0, 200), ("cart_add", 14.0, 409)], **who)
        m = len(going)
        made["path"][:m] = towns[goes_to[going]]
        made["path"][m : 2 * m] = scene.world.items[seats[rng.integers(0, 60, m)]]
        lucky = rng.random(m) < 1 / 16
        made["status"][2 * m :][lucky] = 200
        has = {name: codes[lucky] for name, codes in who.items()}
        paid = scripted(
            scene, made["ts_ms"][2 * m :][lucky] / 1000, [("checkout", 15.0, 200), ("pay", 40.0, 200)], **has
        )
        second: Ints = (rng.random(int(lucky.sum())) < 1 / 8).astype(np.int64)
        parts += [made, paid, mistyped(scene, paid["ts_ms"][len(second) :] / 1000, has, second, "pay", 402)]
        at_s[going] = made["ts_ms"][2 * m :] / 1000 + rng.uniform(10, 90, m)
        rounds[going[lucky]] = 0
    asks = np.repeat(np.flatnonzero(rounds > 0), rng.integers(1, 5, int((rounds > 0).sum())))
    nth = np.arange(len(asks)) - np.searchsorted(asks, asks)
    asked_s = at_s[asks] + 20 + nth * 45 + rng.uniform(0, 30, len(asks))
    return together(*parts, scene.requests(asked_s, "assistant", **{name: codes[asks] for name, codes in by.items()}))
