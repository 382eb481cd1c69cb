"""Attacks on the trade: cards, gift cards, votes, and the messages that say somebody paid."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT


@family(oat="OAT-010", weak=Strength(100, 0.15, 2400), medium=Strength(300, 0.5, 1200), strong=Strength(600, 2, 480))
def bin_enumeration(scene: Scene, how: Strength) -> Rows:
    """Card numbers of one bank are made up and tried by guests with a cheap item: four cards to a cart, then gone.

    From homes, a cart or a few each. Of the tries 71 in a hundred are declined (402), 23 fail the check of their digits
    or code (422), 3 are refused as a risk (403), 3 are taken.

    Source: Visa Payment Fraud Disruption, Biannual Threats Report, 2024-03 (enumeration, some 1.1 billion dollars a
    year); OWASP Automated Threat Handbook 1.2, OAT-010, 2018-02-15.
    """
    rng, tries = scene.rng, 4
    carts = max(2, int(how.sources * how.per_s * how.lasts_s / (tries + 3)))
    begins_s = scene.scattered(carts, max(1.0, how.lasts_s - 40))
    who = scene.addresses(how.sources, "bot")
    ip = who[np.arange(carts) % how.sources] if carts >= how.sources else scene.by_turns(who, carts)
    steps = [("item", 0.0, 200), ("cart_add", 2.0, 200), ("checkout", 3.0, 200), *[("pay", 5.0, 402)] * tries]
    made = scripted(scene, begins_s, steps, ip=ip, ua=scene.browser(ip))
    cheap = scene.world.items[rng.integers(0, 60, carts)]
    made["path"][:carts] = cheap
    paid = np.arange(len(made)) >= 3 * carts
    answers = rng.choice([402, 422, 403, 200], int(paid.sum()), p=[0.71, 0.23, 0.03, 0.03])
    made["status"][paid] = answers
    return made


@family(oat="OAT-010", weak=Strength(10, 0.5, 2400), medium=Strength(100, 2, 900), strong=Strength(400, 6, 300))
def balance_checks(scene: Scene, how: Strength) -> Rows:
    """Numbers of gift cards are run through the page that tells what is left on one; one in eighty is a card.

    No cart and no other page; from rented machines and the mobile networks of the world, another phone's user agent
    every few requests.

    Source: Distil Networks (A. Westelius), GiftGhostBot: a thousand shops, 1.7 million numbers an hour, seen since
    2017-02-26, told 2017-03-24.
    """
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    half = how.sources // 2
    pool = np.concatenate([scene.addresses(half, "hosting"), scene.addresses(how.sources - half, "bot")])
    ip, at_s = scene.by_turns(pool, n), scene.scattered(n, how.lasts_s)
    phones = scene.world.agents.all(
        [
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 1{v}_{m} like Mac OS X) Safari/604.1"
            for v in range(5, 9)
            for m in range(6)
        ]
    )
    status = scene.mostly(n, 404, 200, 1 / 80)
    return scene.requests(at_s, "balance", ip=ip, status=status, ua=phones[np.arange(n) // 4 % len(phones)])


@family(oat="OAT-016", weak=Strength(30, 0.1, 3000), medium=Strength(120, 0.5, 1200), strong=Strength(300, 2, 480))
def vote_stuffing(scene: Scene, how: Strength) -> Rows:
    """Accounts made long ago for it sign in one after the other, look at one item, praise it, and vote praise up.

    Each account once, an address for one or a few: login, item, reviews, two votes, in half of the cases a review. One
    vote in thirty has been given before (409).

    Source: Amazon v. administrators of 10,000 Facebook groups that sold reviews, 2022-07-19; US Federal Trade
    Commission, final rule on fake reviews, 2024-08-14; OWASP OAT-016.
    """
    rng, steps = scene.rng, 5.5
    n = max(2, int(how.sources * how.per_s * how.lasts_s / steps))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 40))
    who = scene.addresses(how.sources, "bot")
    ip = scene.by_turns(who, n)
    item = int(rng.integers(len(scene.world.items)))
    path = [("login", 0.0, 200), ("item", 4.0, 200), ("reviews", 6.0, 200), ("vote", 5.0, 200), ("vote", 3.0, 200)]
    path += [("review", 12.0, 200)]
    made = scripted(scene, begins_s, path, ip=ip, user=scene.strangers(n, "member"), ua=scene.browser(ip))
    step = np.repeat(np.arange(len(path)), n)
    made["path"][step == 1], made["path"][step == 2] = scene.world.items[item], scene.world.reviews[item]
    votes = scene.world.paths.all([f"/reviews/{item}{number}/vote" for number in range(4)])
    voted = (step == 3) | (step == 4)
    made["path"][voted] = votes[rng.integers(0, 4, int(voted.sum()))]
    made["status"][voted & (rng.random(len(made)) < 1 / 30)] = 409
    return np.asarray(made[(step < 5) | np.tile(rng.random(n) < 0.5, len(path))])


@family(weak=Strength(2, 1, 2400), medium=Strength(4, 20, 600), strong=Strength(30, 60, 300))
def forged_callbacks(scene: Scene, how: Strength) -> Rows:
    """Somebody posts what the payment provider would post: this order is paid, in the hope that nobody checks.

    With the provider's user agent, from rented machines; 88 in a hundred fail the signature (401), ten are no message
    at all (400), two are taken, being old ones sent again (200).

    Source: securityscanner.dev, 1,542 of some 6,000 web applications took a payment message without a signature,
    2026-05-05; CVE-2026-9189 (payment messages taken for other orders).
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    status = scene.rng.choice([401, 400, 200], n, p=[0.88, 0.1, 0.02])
    user = np.full(n, ABSENT)
    return together(
        scene.requests(at_s, "callback", ip=ip, user=user, status=status, ua=scene.tool("PayBridge-Hooks/2.1"))
    )
