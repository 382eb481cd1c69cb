"""Hard good cases of organisations: a hospital's shifts, two firms become one, presents, one account."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, Ints

_PRESENTS = (4021, 377, 1905)


@case()
def hospital_shifts(scene: Scene) -> Rows:
    """A hospital's wards order what they need at nine terminals behind one address: in, two things, out, the next one.

    Three shifts of seventy, all of whom sign in within twenty-five minutes of its beginning and twice to six times
    later, at whatever terminal is free; one in nine mistypes the password (401) first. Each looks at the orders, puts
    one to three things into the cart and signs out.
    """
    rng, people = scene.rng, 70
    ip = int(scene.addresses(1, "office")[0])
    terminals = scene.world.agents.all(
        [f"Mozilla/5.0 (Windows NT 10.0) WardTerminal/{unit} Edge/138.0" for unit in range(9)]
    )
    user, shift_s, parts = scene.strangers(3 * people, "nurse"), min(28_800.0, scene.span_s * 0.3), []
    for shift in range(3):
        begin_s = scene.span_s * 0.03 + shift * shift_s
        later = np.repeat(np.arange(people), rng.integers(2, 7, people))
        who = np.concatenate([np.arange(people), later])
        begins_s = begin_s + np.concatenate(
            [np.minimum(rng.gamma(3, 180, people), 1500), rng.uniform(0.1, 0.95, len(later)) * shift_s]
        )
        n, staff = len(who), user[shift * people + who]
        steps = [("login", 0.0, 200), ("orders", 6.0, 200), *[("cart_add", 9.0, 200)] * 3, ("logout", 8.0, 200)]
        made = scripted(scene, begins_s, steps, ip=ip, user=staff, ua=terminals[rng.integers(0, 9, n)])
        things = rng.integers(1, 4, n)
        more = np.concatenate([np.ones(3 * n, bool), things > 1, things > 2, np.ones(n, bool)])
        mistyped = made[:n][rng.random(n) < 1 / 9].copy()
        mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - rng.integers(3000, 12_000, len(mistyped))
        parts += [made[more], mistyped]
    return together(*parts)


@case()
def company_merger(scene: Scene) -> Rows:
    """Two firms become one, and the people of one give their accounts the new address: in, profile, code, out.

    As many people as the site has requests in half a minute (150 at 5 a second), most within an hour of the mail that
    asks for it, four in five behind the firm's two addresses and the rest at home. They sign in with typos, change the
    profile (one in twelve has it refused first, 400), confirm it with a code (one in eight wrong, 401), and leave.
    """
    rng = scene.rng
    mail_s, n = scene.moment(0.2, 0.6), max(24, round(scene.requests_per_s * 30))
    begins_s = mail_s + np.minimum(rng.gamma(1.2, 1500, n), 9000)
    ip = np.where(rng.random(n) < 0.8, scene.addresses(2, "office")[np.arange(n) % 2], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 4, n)]
    steps = [("login", 0.0, 200), ("account", 4.0, 200), ("profile", 40.0, 200), ("verify", 30.0, 200)]
    made = scripted(scene, begins_s, [*steps, ("logout", 15.0, 200)], ip=ip, user=user, ua=ua)
    parts = [made]
    for step, status, times in (
        (0, 401, typos(scene, n)),
        (2, 400, (rng.random(n) < 1 / 12).astype(np.int64)),
        (3, 401, (rng.random(n) < 1 / 8).astype(np.int64)),
    ):
        wrong = made[step * n : (step + 1) * n][np.repeat(np.arange(n), times)].copy()
        wrong["status"], wrong["ts_ms"] = status, wrong["ts_ms"] - rng.integers(4000, 20_000, len(wrong))
        parts.append(wrong)
    return together(*parts)


@case()
def corporate_gifts(scene: Scene) -> Rows:
    """Before Christmas eight firms send presents to their customers: an account, thirty to ninety addresses each.

    For each present the item (one of three), cart, the receiver's address into the profile, checkout and payment, a
    minute or so, from the firm's office, for an hour or two. Once the firm's bank finds it too much and declines three
    to seven times (402) until somebody has called.
    """
    rng, parts = scene.rng, []
    offices, users = scene.addresses(8, "office"), scene.strangers(8, "firm")
    for firm in range(8):
        n, begin_s = int(rng.integers(30, 91)), scene.moment(0.1, 0.45)
        at_s = begin_s + 60 + np.cumsum(rng.gamma(6, 12, n))
        declines = int(rng.integers(3, 8))
        stopped = int(rng.integers(n // 3, n - 5))
        at_s[stopped + 1 :] += 900  # the call to the bank
        ip, user, ua = int(offices[firm]), int(users[firm]), int(scene.browser(offices)[firm])
        steps = [("item", 0.0, 200), ("cart_add", 5.0, 200), ("profile", 18.0, 200), ("checkout", 7.0, 200)]
        made = scripted(scene, at_s, [*steps, ("pay", 9.0, 200)], ip=ip, user=user, ua=ua)
        made["path"][:n] = scene.world.items[np.array(_PRESENTS)[rng.integers(0, 3, n)]]
        paid_ms = made["ts_ms"][4 * n + stopped]
        made["ts_ms"][4 * n + stopped] += 800_000
        tried_s = paid_ms / 1000 + np.arange(declines) * 70.0 + rng.uniform(0, 40, declines)
        parts += [
            scene.requests(np.array([begin_s]), "login", ip=ip, user=user, ua=ua),
            made,
            scene.requests(tried_s, "pay", ip=ip, user=user, ua=ua, status=402),
        ]
    return together(*parts)


@case()
def helpers_login(scene: Scene) -> Rows:
    """Forty helpers of a food bank order on collecting day with one account between them, from telephones everywhere.

    Five hours. The password is read out: a third mistype it once to three times (401). Each looks at the orders every
    ten minutes or so and adds what his shop lacks. In the middle somebody has a new password sent (202), all are thrown
    out, try the old one once or twice (401) and sign in with the new one within a quarter of an hour.
    """
    rng, helpers = scene.rng, 40
    begin_s, lasts_s = scene.moment(0.1, 0.4), min(18_000.0, scene.span_s * 0.5)
    shared = scene.addresses(10, "cgnat")
    ip = np.where(np.arange(helpers) < 25, shared[np.arange(helpers) % 10], scene.addresses(helpers, "home"))
    user, ua = int(scene.strangers(1, "foodbank")[0]), scene.world.browsers[rng.integers(12, 16, helpers)]
    reset_s = begin_s + 0.5 * lasts_s
    comes_s = begin_s + np.minimum(rng.gamma(2, 300, helpers), 0.2 * lasts_s)
    back_s = reset_s + 60 + rng.uniform(0, 840, helpers)
    mistyped = np.where(rng.random(helpers) < 1 / 3, rng.integers(1, 4, helpers), 0)
    parts = [scene.requests(np.array([reset_s]), "reset", ip=int(ip[0]), user=user, ua=int(ua[0]), status=202)]
    for signed_s, wrong in ((comes_s, mistyped), (back_s, rng.integers(1, 3, helpers))):
        who = np.repeat(np.arange(helpers), wrong)
        wrong_s = signed_s[who] - rng.uniform(4, 40, len(who))
        parts.append(scene.requests(wrong_s, "login", ip=ip[who], user=user, ua=ua[who], status=401))
        parts.append(scene.requests(signed_s, "login", ip=ip, user=user, ua=ua))
    looks = np.repeat(np.arange(helpers), rng.integers(25, 45, helpers))
    at_s = comes_s[looks] + 20 + rng.random(len(looks)) * (begin_s + lasts_s - comes_s - 20)[looks]
    out = (at_s > reset_s) & (at_s < back_s[looks])
    looks, at_s = looks[~out], at_s[~out]
    seen = scene.requests(at_s, "orders", ip=ip[looks], user=user, ua=ua[looks])
    adds = np.flatnonzero(rng.random(len(looks)) < 0.6)
    by: Ints = looks[adds]
    items = scene.world.items[rng.integers(0, ITEMS, len(adds))]
    opened = scene.requests(at_s[adds] + 15, "item", path=items, ip=ip[by], user=user, ua=ua[by])
    added = scene.requests(at_s[adds] + 30, "cart_add", ip=ip[by], user=user, ua=ua[by])
    return together(*parts, seen, opened, added)
