"""Hard good cases of jobs: runs beside each other, nightly tests, a month again, a race of prices."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ABSENT

_RUNS_MAX: Final = 10
_PAGES: Final = 240
_TESTED: Final = (
    ("home", 0.0, 200), ("register", 1.5, 200), ("login", 1.0, 401), ("login", 0.8, 200), ("search", 1.0, 200),
    ("item", 0.8, 200), ("cart_add", 0.8, 200), ("coupon", 0.6, 404), ("checkout", 1.0, 200), ("pay", 1.0, 402),
    ("pay", 1.0, 402), ("pay", 1.0, 200), ("orders", 0.8, 200), ("logout", 0.5, 200),
)  # fmt: skip
_BROWSERS: Final = 24


@case()
def overlapping_jobs(scene: Scene) -> Rows:
    """A customer's job begins every five minutes whether the last has ended or not, and one day it takes longer.

    All his orders, 240 pages, the same again in every run, with his own key from one machine. Three runs take four
    minutes each; from then on one takes twice as long, and as much once more for every other that is under way, so
    that within two hours ten run side by side, all on the same pages, three in a hundred too late (504). Somebody stops
    them, and the run after that is alone.
    """
    rng, at_s = scene.rng, scene.moment(0.15, 0.4)
    ends_s: list[float] = []
    times: list[Seconds] = []
    while (beside := sum(1 for end_s in ends_s if end_s > at_s)) < _RUNS_MAX:
        every_s = 1.0 if len(ends_s) < 3 else 2.0 * (1 + beside)
        times.append(at_s + np.cumsum(rng.gamma(6, every_s / 6, _PAGES)))
        ends_s.append(float(times[-1][-1]))
        at_s += 300.0
    begun = [one[one < at_s] for one in times]  # until all are stopped
    begun.append(at_s + 900 + np.cumsum(rng.gamma(6, 1 / 6, _PAGES)))
    pages = [f"/api/v1/orders?page={number + 1}" for one in begun for number in range(len(one))]
    all_s = np.concatenate(begun)
    made = scene.requests(all_s, "api_orders", path=pages, ip=int(scene.addresses(1, "partner")[0]))
    made["key"], made["ua"] = scene.key("key-batch-crm"), scene.tool("crm-nightly/1.8 python-requests/2.31.0")
    slow = (all_s >= times[3][0]) & (all_s < at_s)
    made["status"][slow & (rng.random(len(all_s)) < 0.03)] = 504
    return made


@case()
def nightly_tests(scene: Scene) -> Rows:
    """The shop tests itself: every two hours two dozen browsers without a screen sign up, fail, buy and go.

    From eight rented machines, all within three minutes: an account of its own each, a wrong password on purpose (401),
    the right one, a coupon that is none (404), two of the bank's test cards that decline (402) and one that does not.
    The same accounts' names as ever, with another number.
    """
    rng = scene.rng
    pool, ua = scene.addresses(8, "hosting"), scene.tool("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/138.0.0.0")
    first_s = scene.moment(0.02, 0.1)
    runs_s: Seconds = np.arange(first_s, max(first_s + 1, scene.span_s - 300), min(7200.0, scene.span_s / 3))
    begins_s = (runs_s[:, None] + rng.uniform(0, 140, (len(runs_s), _BROWSERS))).ravel()
    n = len(begins_s)
    user = scene.strangers(n, "e2e-checkout-")
    made = scripted(scene, begins_s, _TESTED, ip=pool[np.arange(n) % 8], user=user, ua=ua)
    step = np.repeat(np.arange(len(_TESTED)), n)
    made["user"][step < 2] = ABSENT
    made["path"][step == 4] = scene.world.searches[7]
    made["path"][step == 5] = scene.world.items[41]
    return made


@case()
def settlement_replay(scene: Scene) -> Rows:
    """The payment provider moves house, and to be sure sends all messages of the month once more.

    3,600 of them within twenty minutes, three a second, from two addresses nobody has seen, under a new version's name;
    three in four are known here (409), the others had been lost and are taken (200). From then on one in twenty
    seconds, as ever.
    """
    rng = scene.rng
    begin_s, ip = scene.moment(0.3, 0.7), scene.addresses(2, "partner")
    again_s = begin_s + np.cumsum(rng.gamma(4, 1 / 12, 3600))
    ua, known = scene.tool("PayBridge-Hooks/3.0"), scene.mostly(3600, 409, 200, 0.25)
    sent = scene.requests(again_s, "callback", ip=ip[np.arange(3600) % 2], ua=ua, status=known)
    usual_s = scene.regular(begin_s, scene.span_s, 20.0, 0.3)
    usual = scene.requests(usual_s, "callback", ip=ip[np.arange(len(usual_s)) % 2], ua=ua)
    return together(sent, usual)


@case()
def repricing_race(scene: Scene) -> Rows:
    """Twelve sellers' programs undercut each other: who is no longer the cheapest writes again, within seconds.

    Twenty-five things that several have. For forty minutes each is read by the next seller two to six seconds after it
    was written and written again half a second later, seller after seller, until one gives up; one write in twenty-five
    is too late (409). Each with a key and a machine of its own, and at other times one thing to read in five minutes.
    """
    rng, sellers = scene.rng, 12
    ip = scene.addresses(sellers, "partner")
    keys = scene.world.keys.all([f"key-batch-seller-{one:02d}" for one in range(sellers)])
    ua = scene.world.agents.all([f"repricer-{one % 3}/2.{one} okhttp/4.12.0" for one in range(sellers)])
    things, begin_s = rng.permutation(len(scene.world.stock))[:25], scene.moment(0.2, 0.6)
    parts = []
    for thing in things.tolist():
        rivals = rng.permutation(sellers)[: int(rng.integers(3, 6))]
        rounds = int(rng.integers(20, 90))
        who = rivals[np.arange(rounds) % len(rivals)]
        read_s = begin_s + rng.uniform(0, 1800) + np.cumsum(rng.uniform(2, 6, rounds))
        by = {"ip": ip[who], "key": keys[who], "ua": ua[who]}
        parts.append(scene.requests(read_s, "api_item", path=scene.world.api_items[np.full(rounds, thing)], **by))
        status, path = scene.mostly(rounds, 200, 409, 0.04), scene.world.stock[np.full(rounds, thing)]
        parts.append(scene.requests(read_s + 0.5, "api_stock", path=path, status=status, **by))
    for seller in range(sellers):
        at_s = scene.regular(0, scene.span_s, 300.0, 0.1)
        path = scene.world.api_items[things[np.arange(len(at_s)) % len(things)]]
        who_is = {"ip": int(ip[seller]), "key": int(keys[seller]), "ua": int(ua[seller])}
        parts.append(scene.requests(at_s, "api_item", path=path, **who_is))
    return together(*parts)
