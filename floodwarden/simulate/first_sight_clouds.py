"""First sight: hard good cases of firms' programs: functions in a cloud, carts handed back, closed accounts, a box."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS

_READS: Final = 12  # items to a function
_WRITES: Final = 2


@case()
def serverless_fanout(scene: Scene) -> Rows:
    """A customer's work is done by functions in a cloud, a new one for every piece, each with an address of its own.

    One such customer for a thousand accounts; every three hours thirty functions for each request a second that people
    make (150 at 5), one started every second. Each: a token, twelve items of its own piece, two numbers of
    stock, gone; none of their addresses comes again. One in thirty breaks off, and another one begins its piece anew.
    """
    rng, customers = scene.rng, max(1, scene.clients // 1000)
    pieces = max(20, round(30 * scene.requests_per_s))
    steps = [("token", 0.0, 200), *[("api_item", 0.35, 200)] * _READS, *[("api_stock", 0.4, 200)] * _WRITES]
    parts = []
    for customer in range(customers):
        who = {
            "key": scene.key(f"key-batch-functions-{customer}"),
            "ua": scene.tool("lambda-sync/1.12 aws-sdk-go/1.55"),
        }
        for round_s in scene.regular(0, scene.span_s - 300, min(10_800.0, 0.4 * scene.span_s), 0.01).tolist():
            breaks = np.flatnonzero(rng.permutation(pieces) % 30 == 0)
            piece = np.concatenate([np.arange(pieces), breaks])
            n = len(piece)
            begins_s = max(0.0, round_s) + rng.uniform(0, pieces, n)
            begins_s[pieces:] = begins_s[breaks] + 12
            made = scripted(scene, begins_s, steps, ip=scene.addresses(n, "hosting"), **who)
            step, at = np.repeat(np.arange(len(steps)), n), np.tile(np.arange(n), len(steps))
            item = (piece[at] * _READS + step) % ITEMS
            reads, stock = (step > 0) & (step <= _READS), step > _READS
            made["path"][reads] = scene.world.api_items[item[reads]]
            made["path"][stock] = scene.world.stock[item[stock]]
            stops = np.where(np.isin(np.arange(n), breaks), rng.integers(2, _READS, n), len(steps))
            parts.append(made[step < stops[at]])
    return together(*parts)


@case()
def punchout_carts(scene: Scene) -> Rows:
    """A firm's people choose here and order by their own system: carts are filled, handed back, and never paid.

    As many as a fifteenth of the accounts, over seven tenths of the run. Two machines of the system ask for a session
    with the firm's key; then somebody comes behind the firm's one address, under a name made for it, searches, opens
    three to nine items, puts two to five into the cart and takes it home. In the evening the machines order what was
    approved, three carts in four, one a second.
    """
    rng, n = scene.rng, max(12, scene.clients // 15)
    begins_s = np.sort(scene.span_s * rng.uniform(0.1, 0.8, n))
    machines, office = scene.addresses(2, "partner"), scene.addresses(1, "office")
    system = {
        "key": np.array([scene.key("key-batch-procurement")]),
        "ua": np.array([scene.tool("PunchOut-Gateway/5.2")]),
    }
    asked = scene.requests(begins_s, "token", ip=machines[np.arange(n) % 2], **system)
    users = scene.strangers(n, "punchout")
    browsers = scene.world.browsers[rng.integers(0, 3, n)]
    parts = [asked]
    for one in range(n):
        opens, takes = int(rng.integers(3, 10)), int(rng.integers(2, 6))
        steps = ["home", "search", *["item"] * opens, "cart_add", *["item", "cart_add"] * (takes - 1), "cart", "cart"]
        at_s = begins_s[one] + 3 + np.cumsum(rng.gamma(2, min(12.0, scene.span_s / 2000), len(steps)))
        who = {"ip": office, "user": users[one : one + 1], "ua": browsers[one : one + 1]}
        for name in sorted(set(steps)):
            here = np.array([step == name for step in steps])
            path = None
            match name:
                case "item":
                    path = scene.world.items[rng.integers(0, 1500, int(here.sum()))]
                case "search":
                    path = scene.world.searches[rng.integers(0, 900, 1)]
                case "cart":
                    path = scene.world.paths.all(["/cart", f"/cart?return=cxml-{one:05d}"])
            parts.append(scene.requests(at_s[here], name, path=path, **who))
    approved = np.flatnonzero(rng.permutation(n) % 4 > 0)
    evening_s = 0.92 * scene.span_s + np.arange(len(approved)) + rng.uniform(0, 0.3, len(approved))
    ordered = [f"/api/graphql?op=createOrder&cart=cxml-{one:05d}" for one in approved.tolist()]
    last = scene.requests(evening_s, "graphql", path=ordered, ip=machines[np.arange(len(approved)) % 2], **system)
    return together(*parts, last)


@case()
def stuck_agents(scene: Scene) -> Rows:
    """Members' assistants cannot get past a box at the checkout that wants a tick, and try it for up to an hour.

    An assistant for each 150 accounts, in browsers behind four addresses of a cloud, each at its own time with its
    member's session. An item, the cart, then the checkout (422), the cart, the checkout, eighty to two hundred times
    over, ten seconds to think between them; every ninth time it reads a page of help, every fifth the item again. At
    last it gives up, and some time later the member does it himself, at home.
    """
    rng, n = scene.rng, max(4, scene.clients // 150)
    clouds, homes = scene.addresses(4, "hosting"), scene.addresses(n, "home")
    user, items = scene.accounts(n, distinct=True), scene.world.items[rng.integers(0, 900, n)]
    help_ = scene.world.paths.code("/blog/help-checkout")
    parts = []
    for one in range(n):
        begin_s, rounds = scene.moment(0.05, 0.5), int(rng.integers(80, 201))
        every_s = min(20.0, 0.3 * scene.span_s / rounds)
        at, mine, thing = clouds[one % 4 :][:1], user[one : one + 1], items[one : one + 1]
        who = {"ip": at, "user": mine, "ua": scene.world.browsers[:1]}
        at_s = begin_s + 30 + np.cumsum(rng.gamma(6, every_s / 6, rounds))
        parts.append(scene.requests(np.array([begin_s]), "item", path=thing, **who))
        parts.append(scene.requests(np.array([begin_s + 15]), "cart_add", **who))
        parts.append(scene.requests(at_s, "checkout", status=422, **who))
        parts.append(scene.requests(at_s + 0.4 * every_s, "cart", **who))
        parts.append(scene.requests(at_s[8::9] + 0.6 * every_s, "article", path=np.full(rounds // 9, help_), **who))
        again_s = at_s[4::5] + 0.7 * every_s
        parts.append(scene.requests(again_s, "item", path=thing.repeat(len(again_s)), **who))
        home = {"ip": homes[one : one + 1], "user": mine, "ua": scene.browser(homes[one : one + 1])}
        himself_s = np.array([at_s[-1] + rng.uniform(0.05, 0.15) * scene.span_s])
        parts.append(
            scripted(scene, himself_s, [("cart", 0.0, 200), ("checkout", 40.0, 200), ("pay", 50.0, 200)], **home)
        )
    return together(*parts)
