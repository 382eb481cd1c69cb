"""Hard good cases of people who shop: codes tried for them, a wedding list, new terms, a Monday's tabs."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ABSENT, ITEMS, zipf

_REGISTRY = "/items?registry=anna-and-jon"
_TERMS = "/blog/new-terms"


@case()
def coupon_extensions(scene: Scene) -> Rows:
    """On a weekend of discounts shoppers' browsers try codes for them: up to two dozen at a checkout, each in no time.

    As many shoppers as the site has requests in 20 seconds (100 at 5 a second) over six hours, three in five signed in.
    Each looks round, fills the cart, and then the helper in the browser tries eight to twenty-four public codes, half a
    second each: 404, or 409 for those that have run out; for one shopper in five the last is good. Four in five pay.
    """
    rng = scene.rng
    n = max(20, round(scene.requests_per_s * 20))
    begins_s = scene.moment(0.1, 0.3) + rng.uniform(0, min(21_600.0, 0.5 * scene.span_s), n)
    ip, ua = scene.addresses(n, "home"), scene.world.browsers[rng.integers(0, 16, n)]
    user = np.where(rng.random(n) < 0.6, scene.accounts(n, distinct=True), ABSENT)
    many = rng.geometric(1 / 8, n) + 2
    seen = browse(scene, Visit(begins_s, many, ip, user, ua, failures=np.full(n, ABSENT), known=user != ABSENT))
    filled_s = begins_s + 240 + rng.uniform(0, 120, n)
    filled = scripted(scene, filled_s, [("cart_add", 0.0, 200), ("cart", 8.0, 200)], ip=ip, user=user, ua=ua)
    tries = rng.integers(8, 25, n)
    which = np.repeat(np.arange(n), tries)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    tried_s = filled_s[which] + 30 + nth * 0.5 + rng.uniform(0, 0.2, len(which))
    good = (rng.permutation(n) % 5 == 0)[which] & (nth == tries[which] - 1)
    status = np.where(good, 200, scene.mostly(len(which), 404, 409, 0.2))
    tried = scene.requests(tried_s, "coupon", ip=ip[which], user=user[which], ua=ua[which], status=status)
    buys = np.flatnonzero(rng.random(n) < 0.8)
    steps = [("checkout", 15.0, 200), ("pay", 30.0, 200)]
    paid = scripted(scene, filled_s[buys] + 50, steps, ip=ip[buys], user=user[buys], ua=ua[buys])
    return together(seen, filled, tried, paid)


@case()
def gift_registry(scene: Scene) -> Rows:
    """A wedding's guests get the link to the couple's list on one evening, and find that others were faster.

    A hundred and ten guests, half within an hour of the mail, the rest over four; none has an account, a third come
    from the carriers' shared addresses. Each opens the same list two or three times and two to five of its forty-five
    things; what somebody has given already is not to be had (409), at first nothing, towards the end most, and the next
    is tried. Paid as guests.
    """
    rng, n = scene.rng, 110
    mail_s, lasts_s = scene.moment(0.2, 0.6), min(14_400.0, 0.35 * scene.span_s)
    comes_s = np.sort(mail_s + np.where(rng.random(n) < 0.5, rng.uniform(0, 0.25, n), rng.uniform(0, 1, n)) * lasts_s)
    shared = scene.addresses(9, "cgnat")
    ip = np.where(rng.random(n) < 1 / 3, shared[rng.integers(0, 9, n)], scene.addresses(n, "crowd"))
    ua, wanted = scene.world.browsers[rng.integers(0, 16, n)], rng.permutation(ITEMS)[:45]
    looks = np.repeat(np.arange(n), rng.integers(2, 4, n))
    looked_s = comes_s[looks] + rng.uniform(0, 400, len(looks))
    listed = scene.requests(looked_s, "list", path=_REGISTRY, ip=ip[looks], ua=ua[looks])
    opens = np.repeat(np.arange(n), rng.integers(2, 6, n))
    opened_s = comes_s[opens] + 20 + rng.uniform(0, 380, len(opens))
    things = scene.world.items[wanted[rng.integers(0, 45, len(opens))]]
    opened = scene.requests(opened_s, "item", path=things, ip=ip[opens], ua=ua[opens])
    failures = np.minimum(rng.poisson(4 * (np.arange(n) / n) ** 2), 6)
    tries = np.repeat(np.arange(n), failures)
    tried_s = comes_s[tries] + 400 + rng.uniform(0, 150, len(tries))
    given = scene.requests(tried_s, "cart_add", ip=ip[tries], ua=ua[tries], status=409)
    steps = [("cart_add", 0.0, 200), ("checkout", 25.0, 200), ("pay", 60.0, 200)]
    return together(listed, opened, given, scripted(scene, comes_s + 560, steps, ip=ip, ua=ua))


@case()
def new_terms(scene: Scene) -> Rows:
    """The law wants new terms, and from one minute on nobody goes further (403) before he has agreed to them.

    As many members as the site has requests in 40 seconds (200 at 5 a second) come within three hours. Each meets 403
    once to three times at his account, orders or checkout, opens the same page of terms, and agrees (profile); after
    that all is as ever: orders, an invoice, and half look round. One in twelve will not, and signs out.
    """
    rng = scene.rng
    n = max(30, round(scene.requests_per_s * 40))
    begins_s = scene.moment(0.2, 0.5) + np.sort(rng.gamma(1.3, 0.25, n).clip(0, 1) * min(10_800.0, 0.4 * scene.span_s))
    ip, user = scene.addresses(n, "home"), scene.accounts(n, distinct=True)
    ua = scene.world.browsers[user % 16]
    meets = np.repeat(np.arange(n), rng.integers(1, 4, n))
    met_s, where = begins_s[meets] + rng.uniform(0, 25, len(meets)), rng.integers(0, 3, len(meets))
    who = {"ip": ip[meets], "user": user[meets], "ua": ua[meets]}
    met = scene.requests(met_s, "account", status=403, **who)
    for number, endpoint in ((1, "orders"), (2, "checkout")):
        met[where == number] = scene.requests(met_s, endpoint, status=403, **who)[where == number]
    read = scene.requests(begins_s + 30, "article", path=_TERMS, ip=ip, user=user, ua=ua)
    agrees = rng.permutation(n) % 12 != 0
    yes, no = np.flatnonzero(agrees), np.flatnonzero(~agrees)
    steps = [("profile", 30.0, 200), ("orders", 6.0, 200), ("invoice", 10.0, 200)]
    went_on = scripted(scene, begins_s[yes] + 35, steps, ip=ip[yes], user=user[yes], ua=ua[yes])
    went_on["path"][2 * len(yes) :] = invoice_paths(scene, orders_of(scene, user[yes], 0))
    left = scene.requests(begins_s[no] + 60, "logout", ip=ip[no], user=user[no], ua=ua[no])
    stay = yes[rng.random(len(yes)) < 0.5]
    many = rng.geometric(1 / 7, len(stay)) + 1
    visit = Visit(
        begins_s[stay] + 120, many, ip[stay], user[stay], ua[stay], np.full(len(stay), ABSENT), np.ones(len(stay), bool)
    )
    return together(met, read, went_on, left, browse(scene, visit))


@case()
def monday_tabs(scene: Scene) -> Rows:
    """Monday at nine the lids go up: every tab left open on Friday loads itself anew, all in the same second.

    As many people as the site has requests in half a minute (150 at 5 a second) within ten minutes, half of them at six
    offices. Four to twelve tabs each within a second and a half: items, searches, a list, and one or two pages of the
    account, whose session is over (401). What is not changed is 304. Four in five sign in again, with typos, and open
    the account.
    """
    rng = scene.rng
    n = max(24, round(scene.requests_per_s * 30))
    begins_s = scene.moment(0.25, 0.6) + rng.gamma(2, 110, n).clip(0, 600)
    offices = scene.addresses(6, "office")
    ip = np.where(rng.random(n) < 0.5, offices[rng.integers(0, 6, n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 12, n)]
    tabs = np.repeat(np.arange(n), rng.integers(3, 11, n))
    at_s, kind = begins_s[tabs] + rng.uniform(0, 1.5, len(tabs)), rng.random(len(tabs))
    who = {"ip": ip[tabs], "ua": ua[tabs], "status": scene.mostly(len(tabs), 200, 304, 0.4)}
    popular = zipf(rng, len(tabs), ITEMS)
    made = scene.requests(at_s, "item", path=scene.world.items[popular], **who)
    for low, endpoint, path in (
        (0.6, "search", scene.world.searches[popular % len(scene.world.searches)]),
        (0.85, "list", scene.world.lists[popular % 60]),
    ):
        made[kind > low] = scene.requests(at_s, endpoint, path=path, **who)[kind > low]
    own = np.repeat(np.arange(n), rng.integers(1, 3, n))
    own_s = begins_s[own] + rng.uniform(0, 1.5, len(own))
    over = scene.requests(own_s, "account", ip=ip[own], ua=ua[own], status=401)
    orders = rng.random(len(own)) < 0.5
    over[orders] = scene.requests(own_s, "orders", ip=ip[own], ua=ua[own], status=401)[orders]
    back = np.flatnonzero(rng.random(n) < 0.8)
    tries = np.repeat(back, typos(scene, len(back)))
    wrong_s = begins_s[tries] + rng.uniform(10, 60, len(tries))
    wrong = scene.requests(wrong_s, "login", ip=ip[tries], user=user[tries], ua=ua[tries], status=401)
    steps = [("login", 20.0, 200), ("account", 2.0, 200)]
    return together(
        made, over, wrong, scripted(scene, begins_s[back] + 60, steps, ip=ip[back], user=user[back], ua=ua[back])
    )
