"""Accounts taken on their way: resets foreseen or led astray, accounts made before their owner comes."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of

_GUESSES: Final = 45  # on average, between two tokens that are known
_FOLLOWED: Final = 12  # one in so many opens the link
_WAITS: Final = 6  # times a session is renewed, had it the whole time


@family(weak=Strength(1, 4, 3000), medium=Strength(3, 20, 1200), strong=Strength(10, 60, 480))
def reset_sandwich(scene: Scene, how: Strength) -> Rows:
    """A victim's reset is asked for between two of one's own, and its token must lie between those that came by mail.

    Three resets within half a second (202), then every token in between is tried (401), five to eighty-five, never the
    same twice, until one fits (200): in as the victim, profile changed, orders read. Then the next victim.

    Source: Realize Security (R. Curteis), "Sandwich attacks: exploiting UUIDv1", 2023; CVE-2016-0783 (Apache
    OpenMeetings, resets by the time of day), 2016-03.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (_GUESSES + 7)))
    ip, own = scene.addresses(m, "hosting"), scene.strangers(m, "mine")
    turn, slot_s = np.arange(n) % m, how.lasts_s * m / n
    begins_s = np.minimum(np.arange(n) // m * slot_s, how.lasts_s * 0.95) + rng.uniform(0, 0.02 * slot_s, n)
    victim, ua = scene.accounts(n, distinct=True), scene.browser(ip)
    parts = []
    for place, user in enumerate((own[turn], victim, own[turn])):
        at_s = begins_s + place * rng.uniform(0.1, 0.25, n)
        parts.append(scene.requests(at_s, "reset", ip=ip[turn], user=user, ua=ua[turn], status=202))
    guesses = rng.integers(5, 2 * _GUESSES - 4, n)
    which = np.repeat(np.arange(n), guesses)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    tried_s = begins_s[which] + 0.8 * slot_s * (0.1 + 0.9 * (nth + rng.uniform(0, 0.9, len(which))) / guesses[which])
    between = rng.integers(1 << 40, 1 << 44, n)[which] + nth
    path = [f"/api/login/verify?token={one:x}-11f1-8de9-0242ac120002" for one in between.tolist()]
    who = {"ip": ip[turn][which], "ua": ua[turn][which]}
    tries = scene.requests(tried_s, "verify", path=path, status=401, **who)
    tries["status"][np.flatnonzero(np.diff(which, append=-1))] = 200
    steps = [("login", 2.0, 200), ("profile", 4.0, 200), ("orders", 3.0, 200)]
    in_s = begins_s + 0.82 * slot_s
    return together(*parts, tries, scripted(scene, in_s, steps, ip=ip[turn], user=victim, ua=ua[turn]))


@family(weak=Strength(1, 1.5, 3600), medium=Strength(3, 15, 1500), strong=Strength(6, 60, 420))
def reset_poisoning(scene: Scene, how: Strength) -> Rows:
    """The site's own mails lead astray: resets are ordered with another host's name, and who follows one is robbed.

    Each account once, all 202; no page. Minutes later one in twelve has followed, and with his token the machine that
    asked is in at the first try: code, sign-on, account, orders, an invoice, profile.

    Source: J. Kettle, "Practical HTTP Host header attacks" (password reset poisoning), 2013-05-01.
    """
    rng, steps = scene.rng, 6
    n = max(_FOLLOWED, round(how.sources * how.per_s * how.lasts_s / (1 + steps / _FOLLOWED)))
    asked_s = scene.scattered(n, 0.7 * how.lasts_s)
    ip, user = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.accounts(n, distinct=True)
    asked = scene.requests(asked_s, "reset", ip=ip, user=user, ua=scene.browser(ip), status=202)
    followed = np.flatnonzero(rng.permutation(n) % _FOLLOWED == 0)
    k, later_s = len(followed), how.lasts_s / 14
    opened_s = np.minimum(asked_s[followed] + later_s / 2 + rng.gamma(2, later_s, len(followed)), 0.95 * how.lasts_s)
    taken = [("verify", 0.0, 200), ("login", 1.5, 200), ("account", 2.0, 200), ("orders", 2.0, 200)]
    taken += [("invoice", 2.0, 200), ("profile", 3.0, 200)]
    who = {"ip": ip[followed], "user": user[followed], "ua": scene.browser(ip)[followed]}
    made = scripted(scene, opened_s, taken, **who)
    made["path"][4 * k : 5 * k] = invoice_paths(scene, orders_of(scene, user[followed], 0))
    return together(asked, made)


@family(oat="OAT-019", weak=Strength(1, 3, 3600), medium=Strength(3, 15, 1800), strong=Strength(8, 60, 900))
def pre_hijacking(scene: Scene, how: Strength) -> Rows:
    """Accounts are made with other people's mail addresses before they come themselves, and the session is kept open.

    One in eight has one already (409). The others: sign on, a second address into the profile, then the account's page
    six times in all the time there is, so that the session never ends. One owner in fifteen comes, takes the account
    for his own and keeps a card in it: orders, cart, checkout, paid from the old session.

    Source: A. Sudhodanan and A. Paverd, "Pre-hijacked accounts", USENIX Security 2022; Microsoft Security Response
    Center, 2022-05-23: 35 of 75 popular services.
    """
    rng = scene.rng
    n = max(8, round(how.sources * how.per_s * how.lasts_s / 6.0))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 30))
    ip, user = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.strangers(n, "mail-")
    ua, known = scene.browser(ip), rng.permutation(n) % 8 == 0
    joined = scene.requests(begins_s, "register", ip=ip, ua=ua, status=np.where(known, 409, 200))
    new = np.flatnonzero(~known)
    who = {"ip": ip[new], "user": user[new], "ua": ua[new]}
    signed = scripted(scene, begins_s[new] + 2, [("login", 2.0, 200), ("profile", 5.0, 200)], **who)
    every_s = how.lasts_s / _WAITS
    renewals = np.ceil((how.lasts_s - begins_s[new]) / every_s).astype(np.int64)
    which = np.repeat(new, renewals)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    kept_s = np.minimum(begins_s[which] + 25 + nth * every_s * rng.uniform(0.97, 1.0, len(which)), how.lasts_s)
    kept = scene.requests(kept_s, "account", ip=ip[which], user=user[which], ua=ua[which])
    owned = new[: max(1, len(new) // 2)][rng.permutation(max(1, len(new) // 2)) % 7 == 0]
    robbed_s = begins_s[owned] + rng.uniform(0.3, 0.9, len(owned)) * (how.lasts_s - begins_s[owned])
    steps = [("orders", 0.0, 200), ("cart_add", 3.0, 200), ("checkout", 4.0, 200), ("pay", 4.0, 200)]
    return together(
        joined, signed, kept, scripted(scene, robbed_s, steps, ip=ip[owned], user=user[owned], ua=ua[owned])
    )


@family(weak=Strength(1, 2, 2400), medium=Strength(2, 15, 900), strong=Strength(4, 50, 420))
def mass_assignment(scene: Scene, how: Strength) -> Rows:
    """An account writes fields into its profile that are not its business, until it is one of the staff.

    Signed on from home: profile, then the account's page to see whether it stuck, and again (200, 400, 422); after
    every tenth the back office is tried (403). When six tenths of the time are over one field has stuck, and orders of
    the back office are read one after the other (200).

    Source: GitHub, "Public key security vulnerability and mitigation" (mass assignment), 2012-03-04; OWASP API Security
    Top 10, API3:2023 (broken object property level authorisation), 2023-06.
    """
    rng, m = scene.rng, how.sources
    ip, user = scene.addresses(m, "neighbour"), scene.strangers(m, "curious")
    ua, parts = scene.browser(ip), []
    for one in range(m):
        who = {name: codes[one : one + 1] for name, codes in (("ip", ip), ("user", user), ("ua", ua))}
        at_s = 5 + scene.steady(how.per_s, max(3.0, how.lasts_s - 5))
        n, stuck_s = len(at_s), 0.6 * how.lasts_s
        kind = np.arange(n) % 21  # ten pairs and a try
        written = scene.requests(at_s, "profile", status=rng.choice([200, 400, 422], n, p=[0.45, 0.3, 0.25]), **who)
        seen = scene.requests(at_s, "account", **who)
        orders = [f"/backoffice/orders/{number}" for number in rng.integers(100_000, 160_000, n).tolist()]
        staff = at_s >= stuck_s
        office = scene.requests(at_s, "backoffice", path=orders, status=np.where(staff, 200, 403), **who)
        made = np.where(kind % 2 == 0, written, seen)
        made = np.where(staff | (kind == 20), office, made)
        parts += [scene.requests(np.array([rng.uniform(0, 4)]), "login", **who), made]
    return together(*parts)
