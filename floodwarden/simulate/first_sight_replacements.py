"""First sight: hard good cases of what is replaced: passwords; and goods sent back."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_COMPLAINTS: Final = 3


@case()
def passkey_campaign(scene: Scene) -> Rows:
    """The shop asks its members to sign on with their devices from now on, and some hundreds try it on one day.

    As many as the site has requests in fifty seconds (250 at 5 a second) over two fifths of the run. In, a device is
    registered (201), then it is tried: old telephones fail up to three times (401), and one member in six gives it up
    after the third. Who succeeds signs out, and on again with it, without a password; a half register a second device
    right away, behind their carrier's address.
    """
    rng = scene.rng
    n = max(30, round(scene.requests_per_s * 50))
    begins_s = scene.moment(0.1, 0.4) + rng.uniform(0, 0.4 * scene.span_s, n)
    ip, carriers = scene.addresses(n, "home"), scene.addresses(max(3, n // 15), "cgnat")
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 16, n)]
    stops = rng.permutation(n) % 6 == 0
    fails = np.where(stops, 3, rng.choice(4, n, p=[0.6, 0.2, 0.12, 0.08]))
    begun = scripted(scene, begins_s, [("login", 0.0, 200), ("device", 25.0, 201)], ip=ip, user=user, ua=ua)
    there_s = begun["ts_ms"][n:] / 1000
    tries = np.repeat(np.arange(n), fails)
    tried_s = there_s[tries] + 6 + (np.arange(len(tries)) - np.searchsorted(tries, tries)) * 11.0
    who = {"ip": ip[tries], "user": user[tries], "ua": ua[tries]}
    failed = scene.requests(tried_s + rng.uniform(0, 4, len(tries)), "verify", status=401, **who)
    goes = np.flatnonzero(~stops)
    steps = [("verify", 3.0, 200), ("logout", 20.0, 200), ("token", 8.0, 200), ("account", 2.0, 200)]
    on_s = there_s[goes] + 6 + fails[goes] * 11.0
    went = scripted(scene, on_s, steps, ip=ip[goes], user=user[goes], ua=ua[goes])
    also = np.flatnonzero(~stops & (rng.random(n) < 0.5))
    phone = {"ip": carriers[rng.integers(0, len(carriers), len(also))], "user": user[also]}
    steps = [("login", 0.0, 200), ("device", 15.0, 201), ("verify", 9.0, 200)]
    second = scripted(scene, there_s[also] + 120, steps, ua=scene.world.browsers[12 + also % 4], **phone)
    return together(begun, failed, went, second)


@case()
def consumer_testers(scene: Scene) -> Rows:
    """A consumers' association tests shops as it has tested others: bought under made-up names, complained, sent back.

    Twelve testers at home, three to five accounts each, one after the other, over half of the run. Each account is made
    for it, reads the terms, opens the same nine items in the same order and puts each into the cart, pays, takes the
    order back after a while, asks the assistant three times the same, and looks twice whether the money has come.
    """
    rng, testers = scene.rng, 12
    many = rng.integers(3, 6, testers)
    who = np.repeat(np.arange(testers), many)
    n, every_s = len(who), 0.5 * scene.span_s / 5
    nth = np.arange(n) - np.searchsorted(who, who)
    begins_s = (scene.moment(0.05, 0.2) + rng.uniform(0, 600, testers))[who] + nth * every_s
    begins_s += rng.uniform(0, 0.15 * every_s, n)
    ip, user = scene.addresses(testers, "home")[who], scene.strangers(n, "tester")
    ua = scene.world.browsers[rng.integers(0, 16, testers)][who]
    things, pace = rng.permutation(900)[:9], min(1.0, every_s / 900)
    joined = scripted(scene, begins_s, [("register", 0.0, 200), ("article", 30 * pace, 200)], ip=ip, ua=ua)
    joined["path"][n:] = scene.world.paths.code("/blog/terms-of-sale")
    steps = [*[("item", 25 * pace, 200), ("cart_add", 8 * pace, 200)] * 9, ("checkout", 30 * pace, 200)]
    bought = scripted(scene, begins_s + 60 * pace, [*steps, ("pay", 40 * pace, 200)], ip=ip, user=user, ua=ua)
    for number, thing in enumerate(things.tolist()):
        bought["path"][2 * number * n : (2 * number + 1) * n] = scene.world.items[thing]
    steps = [("graphql", 0.0, 200), *[("assistant", 35 * pace, 200)] * _COMPLAINTS, *[("orders", 120 * pace, 200)] * 2]
    back = scripted(scene, begins_s + 0.75 * every_s + rng.uniform(0, 30, n), steps, ip=ip, user=user, ua=ua)
    back["path"][:n] = scene.world.paths.code("/api/graphql?op=cancelOrder")
    return together(joined, bought, back)
