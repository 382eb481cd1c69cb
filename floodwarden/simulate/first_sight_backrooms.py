"""First sight: what those do who work here: they look at whom they know, and do favours."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths, order_paths, staff_accounts
from floodwarden.simulate.world import ITEMS


@family(weak=Strength(1, 0.5, 3600), medium=Strength(1, 4, 1800), strong=Strength(3, 20, 900))
def staff_stalking(scene: Scene, how: Strength) -> Rows:
    """One of the staff cannot leave four people alone: their orders and invoices, over and over, and nobody else's.

    Signed on once from home; then bouts, in each of which he goes through all twelve orders of the four in the same
    sequence, every third with its invoice, and begins anew to see whether there is a thirteenth (404).

    Source: Gawker, then TechCrunch, on an engineer who was dismissed at Google for reading users' accounts, 2010-09-14;
    US Federal Trade Commission v. Ring (one of the staff, thousands of recordings of 81 women), 2023-05-31.
    """
    rng, parts = scene.rng, []
    ip, staff = scene.addresses(how.sources, "neighbour"), rng.permutation(staff_accounts(scene))
    for at, one in enumerate(ip.tolist()):
        n = max(12, round(how.per_s * how.lasts_s) - 1)
        who = {"ip": one, "user": int(staff[at]), "ua": int(scene.browser(ip)[at])}
        round_of, step = np.arange(n) // 17, np.arange(n) % 17
        begins_s = 10 + (how.lasts_s - 20) * (np.arange(round_of[-1] + 1) / (round_of[-1] + 1))
        at_s = begins_s[round_of] + step * min(6.0, 0.7 * how.lasts_s / (17 * len(begins_s)))
        orders = np.append(rng.integers(100_000, 160_000, 12), 160_001)
        third = step % 4 == 3
        which = np.minimum(step - step // 4, 12)
        made = scene.requests(at_s, "backoffice", path=order_paths(scene, orders[which]), **who)
        invoices = scene.requests(at_s, "invoice", path=invoice_paths(scene, orders[which]), **who)
        made[third] = invoices[third]
        made["status"][which == 12] = 404
        parts += [scene.requests(rng.uniform(0, 5, 1), "sso", **who), made]
    return together(*parts)


@family(weak=Strength(1, 1, 3000), medium=Strength(2, 8, 1200), strong=Strength(4, 40, 600))
def listing_favours(scene: Scene, how: Strength) -> Rows:
    """Somebody of the staff is paid by sellers: their rivals' items vanish, their own, taken down before, come back.

    One sign-on from home. Two in three favours: an order of a rival's, his item, deleted (200), looked at: gone (404).
    One in three: a client's item, which is not there (404), written back (200), looked at (200). Nobody else deletes.

    Source: US Attorney, Western District of Washington, six indicted for bribing Amazon's employees (accounts and
    products reinstated, rivals attacked), 2020-09-18.
    """
    rng, m = scene.rng, how.sources
    n = max(2, round(m * how.per_s * how.lasts_s / 3.67))
    ip, staff = scene.addresses(m, "neighbour"), rng.permutation(staff_accounts(scene))[:m]
    turn = np.arange(n) % m
    who = {"ip": ip[turn], "user": staff[turn], "ua": scene.browser(ip)[turn]}
    begins_s = 15 + scene.scattered(n, max(1.0, how.lasts_s - 45))
    items = scene.world.items[rng.integers(0, ITEMS, n)]
    rival = np.arange(n) % 3 != 2
    looks = order_paths(scene, rng.integers(100_000, 160_000, n))
    order = scene.requests(begins_s, "backoffice", path=looks, **who)[rival]
    before_s, after_s = begins_s + rng.uniform(4, 8, n), begins_s + rng.uniform(16, 24, n)
    before = scene.requests(before_s, "item", path=items, status=np.where(rival, 200, 404), **who)
    done = scene.requests(begins_s + rng.uniform(9, 15, n), "item_delete", path=items, **who)
    done[~rival] = scene.requests(begins_s + 12, "item_put", path=items, **who)[~rival]
    after = scene.requests(after_s, "item", path=items, status=np.where(rival, 404, 200), **who)
    signed = scene.requests(rng.uniform(0, 10, m), "sso", ip=ip, user=staff, ua=scene.browser(ip))
    return together(signed, order, before, done, after)
