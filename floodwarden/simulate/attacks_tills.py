"""Attacks at the till: prices argued with, cards kept, stock counted by carts, a coaxed assistant."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS

# How a shop answers quantities below zero, prices of its own making, and steps in the wrong order.
_TAMPERED: Final = {
    "cart_add": (0.4, {422: 0.5, 400: 0.2, 200: 0.3}),
    "checkout": (0.35, {422: 0.45, 409: 0.25, 400: 0.15, 200: 0.15}),
    "coupon": (0.1, {422: 0.7, 200: 0.3}),
    "pay": (0.15, {422: 0.6, 400: 0.34, 200: 0.06}),
}
_CARDS: Final = 10
_QUESTIONS: Final = 10


@family(weak=Strength(1, 2, 2400), medium=Strength(2, 15, 900), strong=Strength(4, 60, 420))
def price_tampering(scene: Scene, how: Strength) -> Rows:
    """One cart is argued with until it costs nothing: minus one piece, a price of one's own, payment before checkout.

    An account and a browser an address, signed in first. Cart, checkout, coupon and payment by turns, no page in
    between; four in five are refused (422, 400, 409), and six payments in a hundred go through.

    Source: OWASP Web Security Testing Guide 4.2, "Test Business Logic Data Validation", 2020-12-03; CVE-2020-11007 (a
    shop's carts took quantities below zero), 2020-04.
    """
    rng, m = scene.rng, how.sources
    at_s = 10 + scene.steady(m * how.per_s, max(1.0, how.lasts_s - 10), shape=2.0)
    n = len(at_s)
    turn = rng.permutation(n) % m
    ip, user = scene.addresses(m, "neighbour"), scene.strangers(m, "tester")
    who = {"ip": ip[turn], "user": user[turn], "ua": scene.browser(ip)[turn]}
    made = scene.requests(at_s, "cart_add", **who)
    kind = rng.choice(len(_TAMPERED), n, p=[share for share, _ in _TAMPERED.values()])
    for number, (endpoint, (_, answers)) in enumerate(_TAMPERED.items()):
        status = rng.choice(list(answers), n, p=list(answers.values()))
        made[kind == number] = scene.requests(at_s, endpoint, status=status, **who)[kind == number]
    signed = scene.requests(rng.uniform(0, 9, m), "login", ip=ip, user=user, ua=scene.browser(ip))
    return together(signed, made)


@family(oat="OAT-001", weak=Strength(6, 0.3, 3000), medium=Strength(40, 2, 1200), strong=Strength(120, 8, 480))
def wallet_testing(scene: Scene, how: Strength) -> Rows:
    """Stolen cards are kept in profiles to see which the bank still takes: nothing is bought, and no owner is told.

    An account signs in, opens its page, and saves ten cards one after the other; 86 in a hundred are declined (402),
    ten fail the check of their digits (422), four are kept. Then the next account, from homes worldwide; no cart.

    Source: Stripe, "Protect yourself from card testing" (card setups are the preferred way, for they show on no
    statement), documentation, read 2026-11; OWASP Automated Threat Handbook 1.2, OAT-001, 2018-02-15.
    """
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_CARDS + 2)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 75))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    steps = [("login", 0.0, 200), ("account", 3.0, 200), *[("profile", 6.0, 402)] * _CARDS]
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.strangers(n, "wallet"), ua=scene.browser(ip))
    made["status"][2 * n :] = scene.rng.choice([402, 422, 200], _CARDS * n, p=[0.86, 0.1, 0.04])
    return made


@family(oat="OAT-011", weak=Strength(2, 1.5, 2400), medium=Strength(10, 12, 900), strong=Strength(30, 40, 420))
def stock_counting(scene: Scene, how: Strength) -> Rows:
    """A rival reads how much there is of what: 999 of an item into the cart, and the shop says how many are left.

    Item after item of one stretch of the catalogue, opened once and put into a cart (409, nearly always; one in
    fifteen is there in such numbers, 200); then the same items again, for the difference is what was sold. No account,
    no checkout.

    Source: Traject Data, Rainforest API, "Stock Estimation" (a shop's stock out of its shopping cart), documentation,
    read 2026-11; OWASP Automated Threat Handbook 1.2, OAT-011, 2018-02-15.
    """
    rng = scene.rng
    items = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 4))
    n = 2 * items
    at_s = np.linspace(0, max(1.0, how.lasts_s - 5), n) + rng.uniform(0, 2, n)
    ip = scene.by_turns(scene.addresses(how.sources, "bot" if how.sources > 2 else "hosting"), n)
    item = (int(rng.integers(ITEMS)) + np.arange(n) % items) % ITEMS
    who = {"ip": ip, "ua": scene.browser(ip)}
    seen = scene.requests(at_s, "item", path=scene.world.items[item], **who)
    counted = scene.requests(at_s + rng.gamma(2, 0.7, n), "cart_add", status=scene.mostly(n, 409, 200, 1 / 15), **who)
    return together(seen, counted)


@family(weak=Strength(1, 1.5, 2400), medium=Strength(4, 8, 900), strong=Strength(12, 30, 420))
def assistant_coaxing(scene: Scene, how: Strength) -> Rows:
    """The shop's assistant is talked into what it must not say or grant, and the codes it lets slip are tried.

    A new account for each conversation of ten messages, four in ten of which it does not take (422); then two codes at
    the cart, of which one in twelve is good for something. No page is opened.

    Source: the assistant of a dealer in Watsonville that sold a car for a dollar, AI Incident Database 622, 2023-12-18;
    OWASP Top 10 for LLM Applications 2025, LLM01 (prompt injection), 2024-11.
    """
    n = max(2, how.sources, round(how.sources * how.per_s * how.lasts_s / (_QUESTIONS + 3)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 160))
    ip = scene.by_turns(scene.addresses(how.sources, "bot" if how.sources > 4 else "hosting"), n)
    steps = [("register", 0.0, 200), *[("assistant", 13.0, 200)] * _QUESTIONS, *[("coupon", 10.0, 404)] * 2]
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.strangers(n, "guest"), ua=scene.browser(ip))
    made["user"][:n] = ABSENT
    talked, tried = slice(n, (1 + _QUESTIONS) * n), slice((1 + _QUESTIONS) * n, None)
    made["status"][talked] = scene.mostly(_QUESTIONS * n, 200, 422, 0.4)
    made["status"][tried] = scene.mostly(2 * n, 404, 200, 1 / 12)
    return made
