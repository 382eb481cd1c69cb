"""Attacks on the business: stock held back, stolen cards tried."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together


@family(oat="OAT-021", weak=Strength(60, 0.5, 1800), medium=Strength(150, 1, 1200), strong=Strength(400, 2, 600))
def hoarding(scene: Scene, how: Strength) -> Rows:
    """New visitors put the same scarce thing into their carts again and again and never pay."""
    n = max(how.sources * 3, int(how.sources * how.per_s * how.lasts_s))
    hold = int(scene.world.items[int(scene.rng.integers(len(scene.world.items)))])
    who = scene.addresses(how.sources, "bot")
    first_s = scene.scattered(how.sources, how.lasts_s * 0.2)
    look = scene.requests(first_s, "item", path=np.full(len(who), hold), ip=who, ua=scene.browser(who))
    turn = scene.rng.permutation(n) % how.sources
    at_s = first_s[turn] + 3 + scene.rng.uniform(0, 1, n) * (how.lasts_s - first_s[turn] - 3)
    keep = scene.requests(at_s, "cart_add", ip=who[turn], ua=scene.browser(who[turn]))
    return together(look, keep)


@family(oat="OAT-001", weak=Strength(1, 4, 1800), medium=Strength(1, 30, 600), strong=Strength(20, 15, 420))
def card_testing(scene: Scene, how: Strength) -> Rows:
    """Stolen cards are tried with small payments; nine in ten are declined."""
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    ua = scene.browser(ip)
    status = scene.mostly(n, 402, 200, 0.1)
    pay = scene.requests(at_s, "pay", ip=ip, status=status, ua=ua)
    # A new cart now and then: a declined one is paid again with the next card.
    new = np.flatnonzero(scene.rng.random(n) < 0.2)
    cart = scene.requests(at_s[new] - scene.rng.uniform(0.5, 2, len(new)), "cart_add", ip=ip[new], ua=ua[new])
    return together(pay, cart)
