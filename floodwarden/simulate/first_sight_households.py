"""First sight: hard good cases of homes: people move house, children ask to buy, a block of flats orders together."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.world import ITEMS, Ints, zipf


@case()
def moving_day(scene: Scene) -> Rows:
    """The first of October: leases begin, and members who moved give a new address from a place never seen with them.

    As many as the site has requests in half a minute (150 at 5 a second), over half of the run, at the new home or, for
    a third, where there is no line yet, behind a carrier's address. In, with typos, and for two in five a code as well;
    the account, the new address (for one in ten not known yet, 422, and written once more), the orders. Then two to
    five things for the new rooms and payment, which for one in fifteen the bank declines at first (402).
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 30)), 0.5 * scene.span_s
    begins_s = scene.moment(0.1, 0.3) + lasts_s * rng.beta(2, 2, n)
    by = at_home(scene, n, 1 / 3)
    parts = [mistyped(scene, begins_s, by, typos(scene, n), "login", 401)]
    steps = [("login", 0.0, 200), ("verify", 15.0, 200), ("account", 6.0, 200), ("profile", 40.0, 200)]
    made = scripted(scene, begins_s, [*steps, ("orders", 10.0, 200)], **by)
    asked = rng.permutation(n) % 5 < 2
    made = made[np.concatenate([np.ones(n, bool), asked, np.ones(3 * n, bool)])]
    written_s = made["ts_ms"][n + int(asked.sum()) + n :][:n] / 1000
    unknown = (rng.permutation(n) % 10 == 0).astype(np.int64)
    parts += [made, mistyped(scene, written_s, by, unknown, "profile", 422)]
    wants = np.repeat(np.arange(n), rng.integers(2, 6, n))
    nth = np.arange(len(wants)) - np.searchsorted(wants, wants)
    seen_s = begins_s[wants] + 180 + nth * 70 + rng.uniform(0, 30, len(wants))
    whose = {name: codes[wants] for name, codes in by.items()}
    parts.append(scene.requests(seen_s, "item", path=scene.world.items[zipf(rng, len(wants), ITEMS)], **whose))
    parts.append(scene.requests(seen_s + rng.uniform(8, 30, len(wants)), "cart_add", **whose))
    paid = scripted(scene, begins_s + 640, [("checkout", 0.0, 200), ("pay", 40.0, 200)], **by)
    parts.append(mistyped(scene, paid["ts_ms"][n:] / 1000, by, (rng.permutation(n) % 15 == 0) * 1, "pay", 402))
    return together(*parts, paid)


@case()
def block_orders(scene: Scene) -> Rows:
    """Blocks of flats order together: one of the house puts a link into the chat, and all of it buy the same in a row.

    A block for each request a second (5 at 5 a second), forty to seventy homes behind the two addresses of its line.
    Three times in the run: the leader puts it up (PUT); within twenty minutes all open the one thing, and eight in ten
    of them put it into a cart and pay their share without an account, one in twelve with a second card (402 first). The
    leader looks every minute at how many there are, buys nine boxes for himself and writes that it is closed; three who
    come too late are told so (409).
    """
    rng, parts = scene.rng, []
    for block in range(max(2, round(scene.requests_per_s))):
        line, homes = scene.addresses(2, "cgnat"), int(rng.integers(40, 71))
        ua = scene.world.browsers[rng.integers(0, 16, homes)]
        at = {"ip": line[np.arange(homes) % 2], "ua": ua}
        leads = {"ip": line[:1], "user": scene.accounts(1), "ua": ua[:1]}
        for turn in range(3):
            begin_s, thing = scene.span_s * (0.08 + 0.3 * turn + 0.2 * rng.random()), int(rng.integers(1, ITEMS))
            path, group = f"/items/{thing}", f"/checkout/payment?group={block * 3 + turn + 700}"
            comes_s = begin_s + 20 + np.minimum(rng.gamma(1.5, 260, homes), 1200)
            parts.append(scene.requests(np.array([begin_s, begin_s + 1500]), "item_put", path=path, **leads))
            opened = scene.requests(comes_s, "item", path=path, **at)
            buys = np.flatnonzero(rng.permutation(homes) % 5 != 0)
            by = {name: codes[buys] for name, codes in at.items()}
            bought = scripted(scene, comes_s[buys], [("cart_add", 20.0, 200), ("pay", 45.0, 200)], **by)
            bought["path"][len(buys) :] = scene.world.paths.code(group)
            second = (rng.permutation(len(buys)) % 12 == 0).astype(np.int64)
            declined = mistyped(scene, bought["ts_ms"][len(buys) :] / 1000, by, second, "pay", 402)
            declined["path"] = scene.world.paths.code(group)
            parts += [opened, bought, declined]
            parts.append(scene.requests(scene.regular(begin_s + 30, begin_s + 1500, 60.0, 0.2), "cart", **leads))
            boxes = [("cart_add", 6.0, 200)] * 9
            own = scripted(
                scene, np.array([begin_s + 1320]), [*boxes, ("checkout", 9.0, 200), ("pay", 20.0, 200)], **leads
            )
            late_s = begin_s + 1520 + rng.uniform(0, 900, 3)
            late = {name: codes[:3] for name, codes in at.items()}
            parts += [own, scene.requests(late_s, "cart_add", status=409, **late)]
    return together(*parts)


def mistyped(scene: Scene, at_s: Seconds, by: dict[str, Ints], times: Ints, endpoint: str, status: int) -> Rows:
    """What went wrong before it went right, as often as `times` says."""
    who = np.repeat(np.arange(len(at_s)), times)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    before_s = (nth + 1) * 9.0 + scene.rng.uniform(0, 5, len(who))
    whose = {name: codes[who] for name, codes in by.items()}
    return scene.requests(at_s[who] - before_s, endpoint, status=status, **whose)
