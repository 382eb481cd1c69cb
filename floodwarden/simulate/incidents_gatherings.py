"""Hard good cases of many who want the same at once: a telethon, election night, television, an outcry."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ABSENT, Ints

_RESULTS = "/blog/election-results"


@case()
def charity_evening(scene: Scene) -> Rows:
    """A telethon asks for gifts, six times in two hours: hundreds give a small sum as guests, and go.

    As many people as the site has requests in a minute (300 at 5 a second), each within eight minutes of a call, a
    third of them behind their carrier's addresses. The one item, cart, checkout, paid; one card in seven is declined
    (402) and tried again, or another is; a fifth give again at once.
    """
    rng = scene.rng
    begin_s, n = scene.moment(0.2, 0.6), max(30, round(scene.requests_per_s * 60))
    call, apart_s = rng.integers(0, 6, n), min(1200.0, scene.span_s * 0.05)
    begins_s: Seconds = np.asarray(begin_s + call * apart_s + np.minimum(rng.gamma(1.5, 80, n), 480), np.float64)
    shared = scene.addresses(max(4, n // 20), "cgnat")
    ip = np.where(rng.random(n) < 1 / 3, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "crowd"))
    ua = scene.world.browsers[rng.integers(0, 16, n)]
    first = [("item", 0.0, 200), ("cart_add", 15.0, 200), ("checkout", 12.0, 200), ("pay", 40.0, 200)]
    made = scripted(scene, begins_s, first, ip=ip, ua=ua)
    made["path"][:n] = scene.world.items[2718]
    declined = made[3 * n :][rng.random(n) < 1 / 7].copy()
    declined["status"], declined["ts_ms"] = 402, declined["ts_ms"] - rng.integers(8000, 30_000, len(declined))
    more = np.flatnonzero(rng.random(n) < 0.2)
    then_s = made["ts_ms"][3 * n :][more] / 1000 + 10
    again = scripted(scene, then_s, first[1:], ip=ip[more], ua=ua[more])
    return together(made, declined, again)


@case()
def election_night(scene: Scene) -> Rows:
    """Results come in: hundreds leave one page open that loads itself anew, until the count is over.

    As many readers as the site has requests in 80 seconds (400 at 5 a second), two in three of them there when the
    first figures come, and sixty more in a town hall behind one address. The page comes every 30 or 60 seconds,
    like clocks, for up to forty minutes; half is unchanged (304), and in the first two minutes one in ten fails (503).
    """
    rng, hall = scene.rng, 60
    closes_s, n = scene.moment(0.3, 0.7), max(30, round(scene.requests_per_s * 80)) + hall
    early = rng.random(n) < 2 / 3
    comes_s = closes_s + np.where(early, rng.gamma(1.5, 30, n), rng.uniform(0, 2700, n))
    ip = scene.addresses(n, "crowd")
    ip[-hall:] = scene.addresses(1, "office")[0]
    ua, every_s = scene.world.browsers[rng.integers(0, 16, n)], np.where(rng.random(n) < 0.5, 30.0, 60.0)
    stays = np.maximum(2, (rng.uniform(300, 2400, n) / every_s).astype(np.int64))
    who = np.repeat(np.arange(n), stays)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = comes_s[who] + nth * every_s[who] + rng.normal(0, 0.3, len(who))
    status = np.where((nth > 0) & (rng.random(len(who)) < 0.5), 304, 200)
    status[(at_s < closes_s + 120) & (rng.random(len(who)) < 0.1)] = 503
    return scene.requests(at_s, "article", path=_RESULTS, ip=ip[who], ua=ua[who], status=status)


@case()
def tv_mention(scene: Scene) -> Rows:
    """A presenter names a thing: within four minutes hundreds type the same word, in five spellings, and look for it.

    As many as the site has requests in 70 seconds (350 at 5 a second), from home and from their sofas' telephones.
    Each types two to five beginnings, a third misspell it first and search again, nearly all open the one item; a third
    look round.
    """
    rng = scene.rng
    said_s, n = scene.moment(0.25, 0.75), max(30, round(scene.requests_per_s * 70))
    begins_s = said_s + np.minimum(rng.gamma(2, 45, n), 240)
    shared = scene.addresses(max(4, n // 15), "cgnat")
    ip = np.where(rng.random(n) < 0.4, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "crowd"))
    ua = scene.world.browsers[rng.integers(0, 16, n)]
    spellings = ("silikomart", "silicomart", "silikomard", "silikonmart", "silicomard")
    wrong = rng.random(n) < 1 / 3
    spelt = np.where(wrong, rng.integers(1, 5, n), 0)
    typed = np.repeat(np.arange(n), rng.integers(2, 6, n))
    nth = np.arange(len(typed)) - np.searchsorted(typed, typed)
    box = [f"/api/v1/suggest?q={spellings[s][: 3 + k]}" for s, k in zip(spelt[typed], nth, strict=True)]
    typed_s = begins_s[typed] + nth * rng.uniform(0.5, 1.5, len(typed))
    who = {"ip": ip[typed], "ua": ua[typed]}
    parts = [scene.requests(typed_s, "suggest", path=box, **who)]
    asked = scene.world.paths.all([f"/search?q={spelling}" for spelling in spellings])
    again = np.flatnonzero(wrong)
    for asks, path, wait_s in ((np.arange(n), asked[spelt], 9.0), (again, asked[np.zeros_like(again)], 20.0)):
        at_s = begins_s[asks] + wait_s + rng.uniform(0, 4, len(asks))
        parts.append(scene.requests(at_s, "search", path=path, ip=ip[asks], ua=ua[asks]))
    finds = np.flatnonzero(rng.random(n) < 0.9)
    found_s = begins_s[finds] + 27 + rng.gamma(2, 4, len(finds))
    parts.append(scene.requests(found_s, "item", path="/items/1618", ip=ip[finds], ua=ua[finds]))
    stay = np.flatnonzero(rng.random(n) < 1 / 3)
    user = np.full(len(stay), ABSENT)
    return together(*parts, browse(scene, _visits(scene, begins_s[stay] + 70, ip[stay], user, ua[stay])))


@case()
def review_storm(scene: Scene) -> Rows:
    """A well-known customer was treated badly: within three hours hundreds write what they think under one item.

    As many as the site has requests in 40 seconds (200 at 5 a second), all angry and all real. Two in five make an
    account for it, the others sign in, with typos; they read the reviews, praise two to four angry ones, and write
    one, of which a quarter is held back (422) and written anew.
    """
    rng = scene.rng
    told_s, n = scene.moment(0.2, 0.6), max(30, round(scene.requests_per_s * 40))
    begins_s = told_s + np.minimum(rng.gamma(1.3, 2200, n), 10_800)
    ip, ua = scene.addresses(n, "crowd"), scene.world.browsers[rng.integers(0, 16, n)]
    fresh, item = rng.random(n) < 0.4, int(rng.integers(300, 4000))
    user = np.where(fresh, scene.strangers(n, "upset"), scene.accounts(n, distinct=True))
    seen = scene.requests(begins_s, "item", path=f"/items/{item}", ip=ip, ua=ua)
    known_s = begins_s + 40 + rng.gamma(2, 20, n)
    joined = scene.requests(known_s[fresh], "register", ip=ip[fresh], ua=ua[fresh])
    failures = np.where(fresh, 0, typos(scene, n))
    tries = np.concatenate([np.flatnonzero(~fresh), np.repeat(np.arange(n), failures)])
    right = np.arange(len(tries)) < int((~fresh).sum())
    tried_s = known_s[tries] - np.where(right, 0.0, rng.uniform(4, 35, len(tries)))
    who = {"ip": ip[tries], "user": user[tries], "ua": ua[tries]}
    signed = scene.requests(tried_s, "login", status=np.where(right, 200, 401), **who)
    mine = {"ip": ip, "user": user, "ua": ua}
    reviews = f"/items/{item}/reviews"
    read = scene.requests(known_s + 8, "reviews", path=reviews, **mine)
    praises = np.repeat(np.arange(n), rng.integers(2, 5, n))
    votes = scene.world.paths.all([f"/reviews/{item}{nth}/vote" for nth in range(30)])
    who = {"ip": ip[praises], "user": user[praises], "ua": ua[praises]}
    praised_s = known_s[praises] + 12 + rng.uniform(0, 90, len(praises))
    praised = scene.requests(praised_s, "vote", path=votes[rng.integers(0, 30, len(praises))], **who)
    held = rng.random(n) < 0.25
    wrote_s = known_s + 120 + rng.gamma(2, 50, n)
    wrote = scene.requests(wrote_s, "review", path=reviews, status=np.where(held, 422, 200), **mine)
    anew = wrote[held].copy()
    anew["status"], anew["ts_ms"] = 200, anew["ts_ms"] + rng.integers(30_000, 120_000, len(anew))
    return together(seen, joined, signed, read, praised, wrote, anew)


def _visits(scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints) -> Visit:
    """Visits of some pages, signed in already where there is an account."""
    n = len(start_s)
    many = np.minimum(scene.rng.geometric(1 / 7, n) + 1, 60)
    return Visit(start_s, many, ip, user, ua, failures=np.full(n, ABSENT), known=user != ABSENT)
