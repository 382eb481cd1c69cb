"""First sight: hard good cases of people with one reason to come: refuge, a bill to share, a last day."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, zipf

_CANCEL: Final = "/api/graphql?op=cancelContract"


@case()
def reception_centre(scene: Scene) -> Rows:
    """People who fled are given a voucher for clothes each, and helpers make them accounts, one after the other.

    As many as the site has requests in half a minute (150 at 5 a second) within five hours, behind the centre's one
    address: six in ten at the helpers' four computers in turn, with a minute between them, the others on telephones of
    their own. An account (for one in six the name does not fit the form, 422, once or twice), the code, for one in five
    mistyped (401), the profile with the same address for all, the voucher (one in twelve is another's, 409, and the
    right one follows), a list, three to seven items into the cart, checkout, out; nobody pays anything.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 30)), min(18_000.0, 0.55 * scene.span_s)
    begin_s, ip = scene.moment(0.1, 0.35), int(scene.addresses(1, "office")[0])
    helped = rng.permutation(n) % 5 < 3
    desk = np.cumsum(helped) % 4
    queue_s = (np.cumsum(helped) // 4) * lasts_s / (helped.sum() / 4 + 1)
    begins_s = begin_s + np.where(helped, queue_s + rng.uniform(0, 30, n), lasts_s * rng.random(n))
    own = scene.world.browsers[12 + rng.integers(0, 4, n)]
    by = {
        "ip": np.full(n, ip),
        "user": scene.strangers(n, "arrived"),
        "ua": np.where(helped, scene.world.browsers[desk], own),
    }
    pace = np.minimum(1.0, lasts_s / (helped.sum() / 4 + 1) / 430)
    steps = [("register", 50.0, 200), ("verify", 40.0, 200), ("profile", 40.0, 200), ("coupon", 25.0, 200)]
    steps += [("list", 8.0, 200), *[("cart_add", 22.0, 200)] * 7, ("checkout", 30.0, 200), ("logout", 8.0, 200)]
    made = scripted(scene, begins_s, [(step, wait_s * pace, status) for step, wait_s, status in steps], **by)
    parts = []
    for part, every, status, endpoint in ((0, 6, 422, "register"), (1, 5, 401, "verify"), (3, 12, 409, "coupon")):
        times = np.where(rng.permutation(n) % every == 0, 1, 0)
        if endpoint == "register":
            times *= rng.integers(1, 3, n)
        at_s = made["ts_ms"][part * n : (part + 1) * n] / 1000
        parts.append(mistyped(scene, at_s, by, times, endpoint, status))
    wants, step = rng.integers(3, 8, n), np.repeat(np.arange(len(steps)), n)
    return together(*parts, made[(step < 5) | (step > 11) | (step - 5 < np.tile(wants, len(steps)))])


@case()
def shared_bills(scene: Scene) -> Rows:
    """Friends rent a house for a week together, and each pays his share of the one bill by the link that goes round.

    As many groups as the site has requests in six seconds (30 at 5 a second), six to fourteen friends each, on a Sunday
    evening. One looks for a house, some items, and books it; within three hours the others, who have no account here,
    open it and pay at the same link, one in four after a reminder in the end; one card in eight is declined (402), and
    of those one in three a second time. Whoever booked looks four to twenty times at who has paid.
    """
    rng, parts = scene.rng, []
    lasts_s, begin_s = min(10_800.0, 0.4 * scene.span_s), scene.moment(0.15, 0.4)
    for group in range(max(5, round(scene.requests_per_s * 6))):
        friends, at_s = int(rng.integers(6, 15)), begin_s + 0.3 * lasts_s * rng.random()
        house, bill = f"/items/{int(rng.integers(1, ITEMS))}", f"/checkout/payment?share={group * 7919 + 40_031:x}"
        booker = {
            "ip": scene.addresses(1, "home"),
            "user": scene.accounts(1),
            "ua": scene.world.browsers[group % 16 : group % 16 + 1],
        }
        steps = [("search", 0.0, 200), *[("item", 40.0, 200)] * 5, ("cart_add", 30.0, 200), ("checkout", 40.0, 200)]
        booked = scripted(scene, np.array([at_s]), steps, **booker)
        booked["path"][1:5] = scene.world.items[zipf(rng, 4, ITEMS)]
        booked["path"][5] = scene.world.paths.code(house)
        mobile = rng.random(friends) < 0.4
        ip = np.where(mobile, scene.addresses(friends, "cgnat"), scene.addresses(friends, "home"))
        by = {"ip": ip, "ua": scene.world.browsers[rng.integers(0, 16, friends)]}
        late = rng.permutation(friends) % 4 == 0
        comes_s = (
            at_s + 300 + lasts_s * np.where(late, 0.55 + 0.1 * rng.random(friends), 0.35 * rng.beta(1, 3, friends))
        )
        opened = scene.requests(comes_s, "item", path=house, **by)
        paid_s = comes_s + rng.uniform(60, 400, friends)
        declined = rng.random(friends) < 1 / 8
        times = np.where(declined, 1 + (rng.random(friends) < 1 / 3), 0)
        failed = mistyped(scene, paid_s, by, times, "pay", 402)
        failed["path"] = scene.world.paths.code(bill)
        looks = int(rng.integers(4, 21))
        looked_s = at_s + 300 + 0.66 * lasts_s * np.sort(rng.random(looks))
        parts += [booked, opened, failed, scene.requests(paid_s, "pay", path=bill, **by)]
        parts.append(scene.requests(looked_s, "orders", **booker))
    return together(*parts)


@case()
def switching_deadline(scene: Scene) -> Rows:
    """The thirtieth of November: whoever wants another insurance for his car says so today, and tries what it costs.

    As many as the site has requests in a minute (300 at 5 a second), over six hours, most of them late. A guide, then
    eight to thirty quotes, some eighteen seconds apart, each with one thing in the form changed. Three in ten make up
    their minds: an account (one in ten has one already, 409, and signs in), the profile, checkout, and their old
    contract is ended, which for those who come after the last minute is refused (410), twice over.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 60)), min(21_600.0, 0.55 * scene.span_s)
    begin_s = scene.moment(0.1, 0.3)
    begins_s, last_s = begin_s + 0.93 * lasts_s * rng.beta(3, 1, n), begin_s + lasts_s
    mobile = rng.random(n) < 0.2
    ip = np.where(
        mobile, scene.addresses(max(3, n // 15), "cgnat")[np.arange(n) % max(3, n // 15)], scene.addresses(n, "home")
    )
    by = {"ip": ip, "ua": scene.world.browsers[rng.integers(0, 16, n)]}
    parts = [scene.requests(begins_s, "article", path="/blog/change-your-insurance", **by)]
    who = np.repeat(np.arange(n), rng.integers(8, 31, n))
    gaps_s = np.cumsum(rng.gamma(4, 4.4, len(who)))
    first = np.searchsorted(who, who)
    quoted_s = begins_s[who] + 60 + gaps_s - gaps_s[first]
    changed, kept = rng.integers(0, 3, len(who)), []
    for field, most in enumerate((31, 5, 9)):
        anew = (changed == field) | (first == np.arange(len(who)))
        kept.append(rng.integers(1, most, len(who))[np.maximum.accumulate(anew * np.arange(len(who)))].tolist())
    forms = [f"/api/graphql?op=quote&km={a}&garage={b}&excess={c}" for a, b, c in zip(*kept, strict=True)]
    parts.append(scene.requests(quoted_s, "graphql", path=forms, **{name: codes[who] for name, codes in by.items()}))
    ends_s = np.array([quoted_s[who == one].max() for one in range(n)])
    switch = rng.permutation(n) % 10 < 3
    m, taken = int(switch.sum()), rng.permutation(int(switch.sum())) % 10 == 0
    signs = {name: codes[switch] for name, codes in by.items()}
    at_s = ends_s[switch] + rng.uniform(30, 120, m)
    parts.append(scene.requests(at_s, "register", status=np.where(taken, 409, 200), **signs))
    signs["user"] = np.where(taken, scene.accounts(m, distinct=True), scene.strangers(m, "driver"))
    old = {name: codes[taken] for name, codes in signs.items()}
    parts.append(scene.requests(at_s[taken] + rng.uniform(15, 40, int(taken.sum())), "login", **old))
    steps = [("profile", 60.0, 200), ("checkout", 50.0, 200), ("graphql", 30.0, 200)]
    made = scripted(scene, at_s + 40, steps, **signs)
    made["path"][2 * m :] = scene.world.paths.code(_CANCEL)
    late = made["ts_ms"][2 * m :] / 1000 > last_s
    made["status"][2 * m :][late] = 410
    again_s = made["ts_ms"][2 * m :][late] / 1000 + rng.uniform(8, 30, int(late.sum()))
    tried = scene.requests(again_s, "graphql", path=_CANCEL, status=410, **{k: v[late] for k, v in signs.items()})
    return together(*parts, made, tried)
