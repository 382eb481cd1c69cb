"""Attacks on what is said and found: somebody silenced, sales made up, suggestions bent, old accounts."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS

_TARGETS: Final = 25
_VOTES: Final = 8
_BRAND: Final = ("veltrano", "veltrano refund", "veltrano fraud")
_WARMED: Final = (
    ("login", 0.0, 200), ("home", 3.0, 200), ("list", 5.0, 200), ("item", 6.0, 200), ("item", 6.0, 200),
    ("vote", 4.0, 200), ("logout", 5.0, 200),
)  # fmt: skip


@family(oat="OAT-016", weak=Strength(10, 0.2, 3000), medium=Strength(60, 1, 1200), strong=Strength(200, 4, 480))
def pile_on(scene: Scene, how: Strength) -> Rows:
    """Somebody is to be silenced: accounts sign in one after the other and vote down all that one person has written.

    Twenty-five reviews of his, of as many items; an account opens one and votes on eight, a few seconds each, and goes.
    Half of the addresses are worldwide, half in this country. After six tenths of the time a third of the reviews is
    hidden, and voted on all the same (404).

    Source: Meta, Adversarial Threat Report, 2021-12-01 (mass reporting: hundreds or thousands of complaints against one
    target; brigading).
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_VOTES + 2)))
    begins_s, half = scene.scattered(n, max(1.0, how.lasts_s - 60)), how.sources // 2
    pool = np.concatenate([scene.addresses(half, "bot"), scene.addresses(how.sources - half, "neighbour")])
    ip = scene.by_turns(pool, n)
    steps = [("login", 0.0, 200), ("reviews", 5.0, 200), *[("vote", 4.0, 200)] * _VOTES]
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.strangers(n, "voice"), ua=scene.browser(ip))
    items, numbers = rng.permutation(ITEMS)[:_TARGETS], rng.permutation(9000)[:_TARGETS]
    votes = scene.world.paths.all([f"/reviews/{number + 1}/vote" for number in numbers.tolist()])
    target = np.argsort(rng.random((n, _TARGETS)), axis=1)[:, :_VOTES].T.ravel()
    made["path"][n : 2 * n] = scene.world.reviews[items[target[:n]]]
    made["path"][2 * n :] = votes[target]
    hidden = (target < _TARGETS // 3) & (made["ts_ms"][2 * n :] > 600 * how.lasts_s)
    made["status"][2 * n :][hidden] = 404
    return made


@family(oat="OAT-016", weak=Strength(12, 0.2, 3000), medium=Strength(80, 0.8, 1200), strong=Strength(250, 3, 480))
def brushing(scene: Scene, how: Strength) -> Rows:
    """A seller buys from himself through hired hands, so that his six items rise: each pays, and praises at once.

    An account comes once, from home: sign on, one of two searches, two items of other sellers for the look of it, then
    one of the six, cart, checkout, paid. Four in five write a review of it within a minute, long before any parcel
    could have come.

    Source: H. Xu and others on 11,000 shops that had orders faked, told by Internet Retailer, 2015-04-16; Alibaba v.
    Shatui, Hangzhou, 2016-12.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 8.8))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 150))
    ip = scene.by_turns(scene.addresses(how.sources, "neighbour"), n)
    steps = [("login", 0.0, 200), ("search", 8.0, 200), *[("item", 12.0, 200)] * 3, ("cart_add", 10.0, 200)]
    steps += [("checkout", 8.0, 200), ("pay", 20.0, 200), ("review", 25.0, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.strangers(n, "shopper"), ua=scene.browser(ip))
    searches, own = rng.permutation(scene.world.searches)[:2], rng.permutation(ITEMS)[:6]
    bought = own[rng.integers(0, len(own), n)]
    made["path"][n : 2 * n] = searches[rng.integers(0, 2, n)]
    made["path"][2 * n : 4 * n] = scene.world.items[rng.integers(0, ITEMS, 2 * n)]
    made["path"][4 * n : 5 * n], made["path"][8 * n :] = scene.world.items[bought], scene.world.reviews[bought]
    return np.asarray(made[np.concatenate([np.ones(8 * n, bool), rng.random(n) < 0.8])])


@family(oat="OAT-016", weak=Strength(60, 0.1, 3000), medium=Strength(300, 0.5, 1200), strong=Strength(800, 2, 480))
def suggestion_poisoning(scene: Scene, how: Strength) -> Rows:
    """The search box is to suggest a rival's name with a bad word: three phrases are typed and searched for en masse.

    Three beginnings of the phrase in the box, then the search; every other time one of four items is opened. From
    dozens to hundreds of homes worldwide, no account, no script, and nothing else.

    Source: P. Wang and others, "Game of missuggestions: semantic analysis of search-autocomplete manipulations", NDSS
    2018-02 (383,000 suggestions at three search engines).
    """
    rng, typed = scene.rng, 3
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (typed + 1.5)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 20))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    steps = [*[("suggest", 0.8, 200)] * typed, ("search", 1.5, 200), ("item", 5.0, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, ua=scene.browser(ip))
    phrase = rng.integers(0, len(_BRAND), n)
    for nth, letters in enumerate((3, 5, 8)):
        box = scene.world.paths.all([f"/api/v1/suggest?q={text[:letters]}" for text in _BRAND])
        made["path"][nth * n : (nth + 1) * n] = box[phrase]
    asked = scene.world.paths.all([f"/search?q={text.replace(' ', '+')}" for text in _BRAND])
    made["path"][typed * n : (typed + 1) * n] = asked[phrase]
    made["path"][(typed + 1) * n :] = scene.world.items[rng.permutation(ITEMS)[:4]][rng.integers(0, 4, n)]
    return np.asarray(made[np.concatenate([np.ones((typed + 1) * n, bool), rng.random(n) < 0.5])])


@family(weak=Strength(3, 0.6, 3000), medium=Strength(15, 4, 1200), strong=Strength(40, 18, 480))
def account_warming(scene: Scene, how: Strength) -> Rows:
    """Accounts are kept warm until they are sold or used: each signs in, looks, votes, goes, like the one before it.

    The same seven steps at the same pace in every visit, an account once and another browser for each, account after
    account at an address of somebody's home. All of it is answered well.

    Source: Kasada, 2022 Holiday Bad Bot Report, 2022-12 (fake accounts are made early, to be well aged at the sales);
    F5 Labs, "Fake Account Creation Bots", part 2, 2023-10-12.
    """
    rng, steps, m = scene.rng, len(_WARMED), how.sources
    each = max(2, round(how.per_s * how.lasts_s / steps))  # accounts of an address
    n = m * each
    slot_s = how.lasts_s / each
    turn = np.repeat(np.arange(m), each)
    begins_s = np.tile(np.arange(each), m) * slot_s + rng.uniform(0, max(0.5, slot_s - 35), m)[turn]
    ip, user = scene.addresses(m, "neighbour")[turn], scene.strangers(n, "patron")
    ua = scene.world.browsers[rng.integers(0, len(scene.world.browsers), n)]
    parts, at_s = [], begins_s
    for endpoint, wait_s, status in _WARMED:
        at_s = at_s + wait_s * rng.normal(1, 0.05, n)
        parts.append(scene.requests(at_s, endpoint, ip=ip, user=user, ua=ua, status=status))
    parts[2]["path"] = scene.world.lists[rng.integers(0, 60, n)]
    for item in (3, 4):
        parts[item]["path"] = scene.world.items[rng.integers(0, ITEMS, n)]
    parts[5]["path"] = scene.world.paths.all([f"/reviews/{one}/vote" for one in rng.integers(1, 9000, n).tolist()])
    return together(*parts)
