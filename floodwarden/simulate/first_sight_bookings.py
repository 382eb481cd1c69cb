"""First sight: attacks on places and orders: tickets sent elsewhere or copied, and slots swapped."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, staff_accounts

_CANCEL: Final = "/api/graphql?op=cancelOrder"
_SLOTS: Final = "/items?page=1&slots=free"
_RENEWED_S: Final = 15.0  # a ticket's code on the telephone is another after so long
_SEATS: Final = 6  # an account may hold


@family(weak=Strength(2, 1.2, 3000), medium=Strength(6, 6, 1200), strong=Strength(24, 12, 600))
def diverted_tickets(scene: Scene, how: Strength) -> Rows:
    """At a contractor somebody looks into orders of tickets, and half a minute later another fetches them at his home.

    The staff's sign-on and order upon order in the back office, of which two in three are his work. For each third one
    the document with the tickets (the invoice's route) is fetched by its address, by nobody who is signed in, at one of
    few homes: twice, once to see it and once to keep it; for one in ten the buyer was faster (403).

    Source: Queens County District Attorney, 2025-03-03: two charged with the theft of 900 tickets through a contractor
    of StubHub in Jamaica, whose staff took the addresses of tickets before they were mailed to the buyers.
    """
    rng, m = scene.rng, how.sources
    inside, total = max(1, m // 3), how.sources * how.per_s * how.lasts_s
    looks = max(6, 3 * round((total - inside) / 4.85))
    pool, staff = scene.addresses(m, "bot"), rng.permutation(staff_accounts(scene))[:inside]
    by = rng.permutation(looks) % inside
    looked_s = 25 + scene.scattered(looks, max(1.0, how.lasts_s - 90))
    number = 100_000 + rng.permutation(60_000)[:looks]
    path = scene.world.paths.all([f"/backoffice/orders/{one}" for one in number.tolist()])
    ua = scene.browser(pool)
    looked = scene.requests(looked_s, "backoffice", path=path, ip=pool[by], user=staff[by], ua=ua[by])
    on_s = rng.uniform(0, 20, inside)
    on = scene.requests(on_s, "sso", ip=pool[:inside], user=staff, ua=ua[:inside])
    taken = np.arange(looks) % 3 == 2
    at = inside + rng.permutation(int(taken.sum())) % (m - inside)
    steps = [("invoice", 30.0, 200), ("invoice", 9.0, 200)]
    fetched = scripted(scene, looked_s[taken], steps, ip=pool[at], ua=ua[at])
    fetched["path"] = np.tile(invoice_paths(scene, number[taken]), 2)
    late, n = rng.permutation(len(at)) % 10 == 9, len(at)
    fetched["status"][np.tile(late, 2)] = 403
    return together(on, looked, fetched[np.concatenate([np.ones(n, bool), ~late])])


@family(weak=Strength(1, 2, 3000), medium=Strength(4, 30, 1200), strong=Strength(30, 60, 900))
def ticket_cloning(scene: Scene, how: Strength) -> Rows:
    """Tickets that may not be passed on are shown on pages elsewhere, whose code is fetched anew every fifteen seconds.

    A few machines hold the accounts of a seller of tickets, six seats each. Whenever one of his buyers opens the page
    in front of the gate, a token is asked for, then that seat's code as the app asks for it, every fifteen seconds to
    the tenth, for one to five and a half minutes: more and more of them until the doors open, then hardly any.

    Source: 404 Media (J. Koebler), "Scalpers are working with hackers to liberate Ticketmaster's 'non-transferable'
    tickets", 2024-07; AXS v. Secure.tickets and others, Central District of California, filed 2024-05.
    """
    rng, m = scene.rng, how.sources
    most = min(22, max(5, round(0.35 * how.lasts_s / _RENEWED_S)))
    seats = max(m, round(m * how.per_s * how.lasts_s / (1 + (4 + most) / 2)))
    opened_s = 0.75 * how.lasts_s * rng.beta(3.5, 1.1, seats)
    codes = rng.integers(4, most + 1, seats)
    ip = np.repeat(scene.addresses(m, "hosting"), -(-seats // m))[:seats]
    user = np.repeat(scene.strangers(-(-seats // _SEATS), "seatholder"), _SEATS)[:seats]
    ua = scene.tool("TicketApp/11.4 (iPhone; iOS 17.5)")
    tokens = scene.requests(opened_s, "token", ip=ip, user=user, ua=ua)
    seat = np.repeat(np.arange(seats), codes)
    nth = np.arange(len(seat)) - np.searchsorted(seat, seat)
    at_s = opened_s[seat] + 0.6 + nth * _RENEWED_S + rng.uniform(0, 0.1, len(seat))
    ticket = scene.world.paths.all([f"/api/v2/items/ticket-{one:08x}" for one in rng.integers(1 << 32, size=seats)])
    return together(tokens, scene.requests(at_s, "app_item", path=ticket[seat], ip=ip[seat], user=user[seat], ua=ua))


@family(oat="OAT-021", weak=Strength(4, 0.8, 3000), medium=Strength(16, 5, 1200), strong=Strength(50, 18, 600))
def slot_resale(scene: Scene, how: Strength) -> Rows:
    """Appointments that cost nothing are taken under made-up names and sold: a name goes, a buyer's takes its place.

    Three times new ones are there: within seconds programs take them (cart and checkout; one in three finds another was
    faster, 409). All the time after that, one by one as they are sold: an account is made in the buyer's name, the old
    booking is given back, and within a fifth of a second the buyer has it.

    Source: Ireland's Department of Justice on appointments of its immigration bureau, taken by programs and sold for
    tens of euros, and the High Court's hearing of it, 2018.
    """
    rng, m, releases = scene.rng, how.sources, 3
    slots = max(m, round(m * how.per_s * how.lasts_s / 6.5))
    release = np.sort(rng.permutation(slots) % releases)
    free_s = how.lasts_s * (0.02 + 0.3 * release)
    ip = scene.by_turns(scene.addresses(m, "bot"), slots)
    user, ua = scene.strangers(slots, "placeholder"), scene.browser(ip)
    taken_s = free_s + rng.gamma(2, 1.5, slots)
    lost = np.flatnonzero(rng.random(slots) < 0.5)
    who = {"ip": ip, "user": user, "ua": ua}
    missed = scene.requests(taken_s[lost] - 0.4, "cart_add", ip=ip[lost], user=user[lost], ua=ua[lost], status=409)
    taken = scripted(scene, taken_s, [("cart_add", 0.0, 200), ("checkout", 0.8, 200)], **who)
    sold_s = free_s + how.lasts_s * rng.uniform(0.02, 0.3, slots) + 20
    swap_s = sold_s + rng.uniform(5, 15, slots)
    buyer = {"ip": rng.permutation(ip), "user": scene.strangers(slots, "applicant"), "ua": scene.browser(ip)}
    made = scene.requests(sold_s, "register", ip=buyer["ip"], ua=buyer["ua"])
    back = scene.requests(swap_s, "graphql", path=_CANCEL, **who)
    had = scripted(scene, swap_s + rng.uniform(0.03, 0.1, slots), [("cart_add", 0.0, 200)], **buyer)
    kept = scene.requests(swap_s + rng.uniform(0.12, 0.2, slots), "checkout", **buyer)
    looked_s = np.repeat(how.lasts_s * (0.02 + 0.3 * np.arange(releases)), 2) - rng.uniform(0.2, 4, 2 * releases)
    at, looked_s = np.resize(ip, len(looked_s)), np.maximum(looked_s, 0)
    looked = scene.requests(looked_s, "list", path=_SLOTS, ip=at, ua=scene.browser(at))
    return together(missed, taken, made, back, had, kept, looked)
