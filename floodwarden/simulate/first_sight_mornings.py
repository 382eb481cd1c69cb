"""First sight: hard good cases of an hour that all wait for: results, a calendar's door, doses."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of

_DOOR: Final = "/blog/advent-door-7"
_SLOTS: Final = "/items?category=appointments&free=1"


@case()
def results_morning(scene: Scene) -> Rows:
    """Examination results are to be had from eight on, and everybody has had the page open since twenty minutes before.

    As many as the site has requests in a minute (300 at 5 a second), a half on telephones behind their carriers'
    addresses. Signed in, they load the page of results two to eight times before it is there (404); at the full minute
    all at once, every two to five seconds, and for a minute and a half most get 503; then it is there, and its paper
    (an invoice's route) with it. Four in five sign out.
    """
    rng = scene.rng
    hour_s, n = scene.moment(0.3, 0.7), max(30, round(scene.requests_per_s * 60))
    shared = scene.addresses(max(4, n // 12), "cgnat")
    ip = np.where(rng.random(n) < 0.5, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 16, n)]
    come_s = hour_s - rng.uniform(420, 1200, n)
    came = scene.requests(come_s, "login", ip=ip, user=user, ua=ua)
    early = np.repeat(np.arange(n), rng.integers(2, 9, n))
    early_s = rng.uniform(come_s[early] + 5, hour_s - 3)
    parts = [came, scene.requests(early_s, "orders", ip=ip[early], user=user[early], ua=ua[early], status=404)]
    served_s = hour_s + np.where(rng.random(n) < 0.15, rng.uniform(0, 8, n), rng.uniform(8, 90, n))
    at_s, left = hour_s + rng.uniform(0, 4, n), np.arange(n)
    while len(left):
        status = np.where(at_s[left] < served_s[left], 503, 200)
        parts.append(scene.requests(at_s[left], "orders", ip=ip[left], user=user[left], ua=ua[left], status=status))
        left = left[status == 503]
        at_s[left] += rng.uniform(2, 5, len(left))
    paper = scene.requests(at_s + rng.gamma(2, 4, n), "invoice", ip=ip, user=user, ua=ua)
    paper["path"] = invoice_paths(scene, orders_of(scene, user, 1))
    goes = np.flatnonzero(rng.permutation(n) % 5 != 0)
    out = scene.requests(at_s[goes] + rng.uniform(60, 300, len(goes)), "logout", ip=ip[goes], user=user[goes])
    out["ua"] = ua[goes]
    return together(*parts, paper, out)


@case()
def advent_doors(scene: Scene) -> Rows:
    """Each morning of December a door of the calendar opens: one page, one code for all, one item, the children too.

    As many homes as the site has requests in eighty seconds (400 at 5 a second), most within half an hour. The same
    page and its picture, in, the same code as everybody (200); in one home in three a child's or two children's account
    after it, out and in, from the same browser; one in six tries it a second time (409), and one home in five buys it.
    """
    rng = scene.rng
    opens_s, n = scene.moment(0.2, 0.6), max(30, round(scene.requests_per_s * 80))
    begins_s = opens_s + np.minimum(rng.gamma(1.2, 700, n), 5400)
    ip, ua = scene.addresses(n, "home"), scene.world.browsers[rng.integers(0, 16, n)]
    steps = [("article", 0.0, 200), ("static", 0.5, 200)]
    seen = scripted(scene, begins_s, steps, ip=ip, ua=ua)
    seen["path"] = np.repeat(scene.world.paths.all([_DOOR, "/static/advent-7.js"]), n)
    members = np.where(rng.random(n) < 1 / 3, rng.integers(2, 4, n), 1)
    home = np.repeat(np.arange(n), members)
    nth = np.arange(len(home)) - np.searchsorted(home, home)
    user = scene.accounts(len(home), distinct=True)
    comes_s = begins_s[home] + 12 + nth * 75.0
    who = {"ip": ip[home], "user": user, "ua": ua[home]}
    steps = [("login", 0.0, 200), ("item", 8.0, 200), ("coupon", 10.0, 200), ("coupon", 9.0, 409), ("logout", 6.0, 200)]
    made, each = scripted(scene, comes_s, steps, **who), len(home)
    made["path"][each : 2 * each] = scene.world.items[707]
    stays = nth == members[home] - 1
    kept = np.ones((len(steps), each), bool)
    kept[3], kept[4] = rng.random(each) < 1 / 6, ~stays
    buys = np.flatnonzero(stays)[rng.permutation(n) % 5 == 0]
    steps = [("cart_add", 40.0, 200), ("checkout", 20.0, 200), ("pay", 30.0, 200)]
    bought = scripted(scene, comes_s[buys] + 40, steps, **{name: codes[buys] for name, codes in who.items()})
    return together(seen, made[kept.ravel()], bought)


@case()
def appointment_helpers(scene: Scene) -> Rows:
    """Appointments for a vaccine are hard to get, and helpers who are good at it get them for the old, one by one.

    As many helpers at home as the site has requests in four seconds (20 at 5 a second), with eight to twenty-five
    people each on their lists, over four hours or half the time there is. For each: an account in the person's name,
    the profile, then the page of what is free every six to fifteen seconds until there is something; two in three of
    what they reach for is gone (409). Booked, out, and the next, in the same browser.
    """
    rng = scene.rng
    helpers, lasts_s = max(5, round(scene.requests_per_s * 4)), min(14_400.0, 0.5 * scene.span_s)
    begins_s = scene.moment(0.1, 0.35) + rng.uniform(0, 600, helpers)
    ip, ua = scene.addresses(helpers, "home"), scene.world.browsers[rng.integers(0, 16, helpers)]
    parts = []
    for number in range(helpers):
        people = int(rng.integers(8, 26))
        each_s, user = lasts_s / people, scene.strangers(people, "grandparent")
        for nth in range(people):
            by = {"ip": ip[number], "ua": ua[number]}
            at_s = begins_s[number] + nth * each_s
            parts.append(scene.requests(np.array([at_s]), "register", **by))
            looks_s = np.arange(at_s + 60, at_s + max(90.0, 0.8 * each_s), 10.0)
            looks_s += rng.uniform(-2, 2.5, len(looks_s))
            by["user"] = user[nth]
            filled = scene.requests(np.array([at_s + 45.0]), "profile", **by)
            looked = scene.requests(looks_s, "list", path=_SLOTS, **by)
            tries = min(len(looks_s), int(rng.geometric(1 / 3)))
            tried_s = np.sort(rng.choice(looks_s[:-1], tries - 1, replace=False)) + 2.5
            gone = scene.requests(tried_s, "cart_add", status=409, **by)
            steps = [("cart_add", 2.0, 200), ("checkout", 9.0, 200), ("logout", 5.0, 200)]
            parts += [filled, looked, gone, scripted(scene, looks_s[-1:], steps, **by)]
    return together(*parts)
