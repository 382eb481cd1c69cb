"""First sight: hard good cases that begin with a letter: a concert is off, nothing is delivered, points lapse."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Mask, case
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ITEMS, Ints, zipf


@case()
def cancelled_concert(scene: Scene) -> Rows:
    """A concert is off, and within two hours of the letter all who have tickets ask for their money.

    As many as the site has requests in seventy seconds (350 at 5 a second), three in ten behind carriers' addresses.
    In, with typos; one in eight has forgotten his password: three wrong ones, a reset, its code, in. Orders, the
    ticket's invoice, one to four messages to the assistant, which is busy for one in ten (503); then the orders again,
    two to five times, every quarter of an hour, whether it has come.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 70)), min(7200.0, 0.25 * scene.span_s)
    begins_s = scene.moment(0.2, 0.5) + lasts_s * rng.beta(1.3, 4, n)
    ip, user, ua = _somebody(scene, n, 0.3)
    signed, in_s = _signed_in(scene, begins_s, ip, user, ua, rng.permutation(n) % 8 == 0)
    opened = scripted(scene, in_s, [("orders", 6.0, 200), ("invoice", 12.0, 200)], ip=ip, user=user, ua=ua)
    opened["path"][n:] = invoice_paths(scene, orders_of(scene, user, 2))
    asks = np.repeat(np.arange(n), rng.integers(1, 5, n))
    asked_s = (
        in_s[asks] + 40 + (np.arange(len(asks)) - np.searchsorted(asks, asks)) * 30 + rng.uniform(0, 20, len(asks))
    )
    asked = scene.requests(asked_s, "assistant", ip=ip[asks], user=user[asks], ua=ua[asks])
    asked["status"] = scene.mostly(len(asks), 200, 503, 0.1)
    looks = np.repeat(np.arange(n), rng.integers(2, 6, n))
    nth = np.arange(len(looks)) - np.searchsorted(looks, looks)
    looked_s = in_s[looks] + 200 + nth * min(900.0, 0.04 * scene.span_s) + rng.uniform(-60, 60, len(looks))
    return together(signed, opened, asked, _orders(scene, looked_s, ip[looks], user[looks], ua[looks]))


@case()
def courier_strike(scene: Scene) -> Rows:
    """The couriers are on strike, and whoever waits for a parcel looks where it is all day long.

    As many as the site has requests in fifty seconds (250 at 5 a second), signed in already, over half of the run. Each
    looks at his orders six to twenty times; a third ask the assistant once to three times; a third want it sent
    elsewhere (profile), which for one in two is too late (409), and who is told so tries it once more.
    """
    rng = scene.rng
    n, begin_s, lasts_s = max(30, round(scene.requests_per_s * 50)), scene.moment(0.1, 0.35), 0.5 * scene.span_s
    ip, user, ua = _somebody(scene, n, 0.2)
    looks = np.repeat(np.arange(n), rng.integers(6, 21, n))
    parts = [_orders(scene, begin_s + rng.uniform(0, lasts_s, len(looks)), ip[looks], user[looks], ua[looks])]
    asks = np.repeat(*_some(scene, n, 1 / 3, 1, 4))
    asked_s = begin_s + rng.uniform(0, lasts_s, len(asks))
    parts.append(scene.requests(asked_s, "assistant", ip=ip[asks], user=user[asks], ua=ua[asks]))
    moves = np.flatnonzero(rng.random(n) < 1 / 3)
    moved_s, late = begin_s + rng.uniform(0, lasts_s, len(moves)), rng.permutation(len(moves)) % 2 == 0
    who = {"ip": ip[moves], "user": user[moves], "ua": ua[moves]}
    parts.append(scene.requests(moved_s, "profile", status=np.where(late, 409, 200), **who))
    who = {name: codes[late] for name, codes in who.items()}
    parts.append(scene.requests(moved_s[late] + rng.uniform(8, 60, int(late.sum())), "profile", status=409, **who))
    return together(*parts)


@case()
def lapsing_points(scene: Scene) -> Rows:
    """Points lapse at midnight, says a letter, and members who hardly ever come make vouchers of them at the last.

    As many as the site has requests in a minute (300 at 5 a second), over four hours, more and more towards the end. A
    third have forgotten their password: three wrong ones, a reset, its code, in. The balance, then a voucher for each
    five hundred points, one to six, as fast as one can press; one in ten has pressed too often (409). One in four buys
    something with them there and then.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 60)), min(14_400.0, 0.5 * scene.span_s)
    begins_s = scene.moment(0.15, 0.4) + lasts_s * rng.beta(3, 1, n)
    ip, user, ua = _somebody(scene, n, 0.2)
    signed, in_s = _signed_in(scene, begins_s, ip, user, ua, rng.permutation(n) % 3 == 0)
    seen = scene.requests(in_s + rng.gamma(2, 4, n), "balance", ip=ip, user=user, ua=ua)
    many = rng.integers(1, 7, n)
    press = np.repeat(np.arange(n), many)
    nth = np.arange(len(press)) - np.searchsorted(press, press)
    pressed_s = in_s[press] + 25 + nth * 2.2 + rng.uniform(0, 1, len(press))
    who = {"ip": ip[press], "user": user[press], "ua": ua[press]}
    pressed = scene.requests(pressed_s, "coupon", **who)
    over = np.flatnonzero(rng.permutation(n) % 10 == 0)
    over_s = in_s[over] + 26.5 + many[over] * 2.2
    again = scene.requests(over_s, "coupon", ip=ip[over], user=user[over], ua=ua[over], status=409)
    buys = np.flatnonzero(rng.permutation(n) % 4 == 0)
    steps = [("list", 0.0, 200), ("item", 30.0, 200), ("cart_add", 40.0, 200), ("checkout", 30.0, 200)]
    bought = scripted(scene, in_s[buys] + 60, [*steps, ("pay", 15.0, 200)], ip=ip[buys], user=user[buys], ua=ua[buys])
    m = len(buys)
    bought["path"][m : 2 * m] = scene.world.items[zipf(rng, m, ITEMS)]
    return together(signed, seen, pressed, again, bought)


@case()
def phishing_scare(scene: Scene) -> Rows:
    """The police warn of letters in the shop's name, and members come to see whether their accounts are still theirs.

    As many as the site has requests in seventy seconds (350 at 5 a second) within three hours. In, with typos; account,
    orders; a new password (profile), which for one in five is too short at first (422); out. In a half another device
    of theirs then tries the old one, once or twice (401), before it is told the new one; a third put the same question
    to the assistant.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 70)), min(10_800.0, 0.35 * scene.span_s)
    begins_s = scene.moment(0.2, 0.5) + lasts_s * rng.beta(1.4, 4, n)
    ip, user, ua = _somebody(scene, n, 0.2)
    signed, in_s = _signed_in(scene, begins_s, ip, user, ua, np.zeros(n, bool))
    who = {"ip": ip, "user": user, "ua": ua}
    steps = [("account", 4.0, 200), ("orders", 10.0, 200), ("profile", 40.0, 422), ("profile", 25.0, 200)]
    changed = scripted(scene, in_s, [*steps, ("logout", 12.0, 200)], **who)
    short = rng.permutation(n) % 5 == 0
    changed = changed[np.concatenate([np.ones(2 * n, bool), short, np.ones(2 * n, bool)])]
    other = np.flatnonzero(rng.permutation(n) % 2 == 0)
    phone = scene.world.browsers[12 + other % 4]
    tries = np.repeat(np.arange(len(other)), rng.integers(1, 3, len(other)))
    old_s = in_s[other] + 240 + rng.uniform(0, 60, len(other))
    tried_s = old_s[tries] + (np.arange(len(tries)) - np.searchsorted(tries, tries)) * 15.0
    at, whose = ip[other], user[other]
    old = scene.requests(tried_s, "login", ip=at[tries], user=whose[tries], ua=phone[tries], status=401)
    new = scene.requests(old_s + 60, "login", ip=at, user=whose, ua=phone)
    asks = np.flatnonzero(rng.permutation(n) % 3 == 0)
    asked = scene.requests(in_s[asks] + rng.uniform(15, 50, len(asks)), "assistant", ip=ip[asks], user=user[asks])
    asked["ua"] = ua[asks]
    return together(signed, changed, old, new, asked)


def _somebody(scene: Scene, n: int, shared: float) -> tuple[Ints, Ints, Ints]:
    """Addresses, accounts and browsers of members, a share of them behind their carriers' addresses."""
    carriers = scene.addresses(max(3, n // 15), "cgnat")
    behind = scene.rng.random(n) < shared
    ip = np.where(behind, carriers[scene.rng.integers(0, len(carriers), n)], scene.addresses(n, "home"))
    return ip, scene.accounts(n, distinct=True), scene.world.browsers[scene.rng.integers(0, 16, n)]


def _signed_in(scene: Scene, begins_s: Seconds, ip: Ints, user: Ints, ua: Ints, forgot: Mask) -> tuple[Rows, Seconds]:
    """Sign-ons with typos, or three wrong passwords, a reset and its code; and when each is in."""
    wrong = np.where(forgot, 3, typos(scene, len(ip)))
    tries = np.repeat(np.arange(len(ip)), wrong)
    nth = np.arange(len(tries)) - np.searchsorted(tries, tries)
    tried_s = begins_s[tries] + nth * 14.0 + scene.rng.uniform(0, 8, len(tries))
    failed = scene.requests(tried_s, "login", ip=ip[tries], user=user[tries], ua=ua[tries], status=401)
    who = {"ip": ip[forgot], "user": user[forgot], "ua": ua[forgot]}
    reset = scripted(scene, begins_s[forgot] + 45, [("reset", 0.0, 202), ("verify", 60.0, 200)], **who)
    in_s = begins_s + wrong * 14.0 + 5
    in_s[forgot] = np.maximum(in_s[forgot], reset["ts_ms"][int(forgot.sum()) :] / 1000 + 10)
    return together(failed, reset, scene.requests(in_s, "login", ip=ip, user=user, ua=ua)), in_s


def _orders(scene: Scene, at_s: Seconds, ip: Ints, user: Ints, ua: Ints) -> Rows:
    return scene.requests(at_s, "orders", ip=ip, user=user, ua=ua)


def _some(scene: Scene, n: int, share: float, least: int, most: int) -> tuple[Ints, Ints]:
    """Who of `n`, and how often each."""
    who = np.flatnonzero(scene.rng.random(n) < share)
    return who, scene.rng.integers(least, most, len(who))
