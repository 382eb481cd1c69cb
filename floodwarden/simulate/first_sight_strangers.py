"""First sight: attacks by who writes to strangers: to new sellers, the lonely, a hotel's guests, to who argues."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Mask, Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, Ints

_MESSAGE: Final = "/api/graphql?op=sendMessage"
_WRITES: Final = 12  # messages until an account is closed
_PROFILES: Final = 12  # of people who are not, at one desk
_AUTHORS: Final = 11  # other reviews of one writer, on average


@family(oat="OAT-017", weak=Strength(2, 1.8, 3000), medium=Strength(8, 15, 1200), strong=Strength(25, 60, 600))
def listing_vultures(scene: Scene, how: Strength) -> Rows:
    """Who offers something for the first time is written to within seconds, by a buyer who wants to pay elsewhere.

    The newest list, again and again, at each address. Each new thing is opened once, by one of them, in the order of
    their numbers, and its seller gets a message three to eight seconds later. An account writes twelve, is then closed
    (403), and the next one signs in at the same address.

    Source: Group-IB on Classiscam (40 groups on classified advertisements in Europe, 6.5 million dollars in a year),
    2021-01-14.
    """
    rng, m, total = scene.rng, how.sources, how.sources * how.per_s * how.lasts_s
    n = max(m, round(0.6 * total / (2 + 2 / _WRITES)))
    pool, ua = scene.addresses(m, "bot"), scene.world.browsers[rng.integers(0, 16, m)]
    polls_s = scene.scattered(max(m, round(0.4 * total)), how.lasts_s)
    turn = np.arange(len(polls_s)) % m
    polled = scene.requests(polls_s, "list", path="/items?sort=newest", ip=pool[turn], ua=ua[turn])
    new_s = scene.scattered(n, max(1.0, how.lasts_s - 20))
    path = scene.world.paths.all([f"/items/{ITEMS + 60_000 + number}" for number in range(n)])
    at, nth = np.arange(n) % m, np.arange(n) // m
    accounts = scene.strangers(m * (-(-n // m) // _WRITES + 1), "buyer").reshape(m, -1)
    who = {"ip": pool[at], "user": accounts[at, nth // _WRITES], "ua": ua[at]}
    opened = scene.requests(new_s, "item", path=path, **who)
    wrote = scene.requests(new_s + rng.uniform(3, 8, n), "graphql", path=_MESSAGE, **who)
    closed = np.flatnonzero(nth % _WRITES == _WRITES - 1)
    last = {name: codes[closed] for name, codes in who.items()}
    refused = scene.requests(new_s[closed] + rng.uniform(8, 10, len(closed)), "graphql", path=_MESSAGE, **last)
    refused["status"] = 403
    last["user"] = accounts[at[closed], nth[closed] // _WRITES + 1]
    return together(polled, opened, wrote, refused, scene.requests(new_s[closed] + 12, "login", **last))


@family(weak=Strength(1, 3, 3000), medium=Strength(5, 24, 1200), strong=Strength(20, 75, 600))
def romance_desk(scene: Scene, how: Strength) -> Rows:
    """Behind one address a dozen charming people write to the lonely, in turn, and all of them stop for lunch at once.

    A token, the feed, the messages that came, one to five answers, and the next of the twelve; after the last the first
    again. One turn in fifteen ends with 403, for somebody has complained: then a new profile is made in its place. For
    an eighth of the time, at all addresses at once, there is nothing.

    Source: United Nations Human Rights Office, "Online scam operations and trafficking into forced criminality in
    Southeast Asia" (compounds where people are made to do so in shifts), 2023-08-29.
    """
    rng, m = scene.rng, how.sources
    turns = max(1, round(how.per_s * how.lasts_s / 6.13))
    desk, nth = np.repeat(np.arange(m), turns), np.tile(np.arange(turns), m)
    n, every_s = len(desk), 0.83 * how.lasts_s / turns
    begins_s = (nth + rng.uniform(0, 0.2, n)) * every_s
    begins_s += np.where(begins_s > 0.42 * how.lasts_s, 0.125 * how.lasts_s, 0.0)
    gone = rng.random(n) < 1 / 15
    seat, names = nth % _PROFILES, scene.strangers(m * _PROFILES + int(gone.sum()), "lovely")
    user = _replaced(desk * _PROFILES + seat, gone, names)
    pool = scene.addresses(m, "bot")
    ip, ua, pace_s = pool[desk], scene.tool("ShopApp/6.0 (Android 12; SM-A125F)"), 0.04 * every_s
    steps = [("token", 0.0, 200), ("app_feed", pace_s, 200), ("graphql", pace_s, 200)]
    came = scripted(scene, begins_s, steps, ip=ip, user=user, ua=ua)
    came["path"][2 * n :] = scene.world.paths.code("/api/graphql?op=inbox")
    writes = np.repeat(np.arange(n), rng.integers(1, 6, n))
    at = np.arange(len(writes)) - np.searchsorted(writes, writes)
    wrote_s = begins_s[writes] + every_s * (0.35 + 0.09 * at) + rng.uniform(0, 0.05 * every_s, len(writes))
    wrote = scene.requests(wrote_s, "graphql", path=_MESSAGE, ip=ip[writes], user=user[writes], ua=ua)
    wrote["status"][gone[writes] & np.append(writes[1:] != writes[:-1], True)] = 403
    anew = scripted(scene, begins_s[gone] + 0.85 * every_s, [("register", 0.0, 200), ("profile", pace_s, 200)], ua=ua)
    anew["ip"] = np.tile(ip[gone], 2)
    anew["user"][int(gone.sum()) :] = names[m * _PROFILES :]
    return together(came, wrote, anew)


@family(weak=Strength(1, 2.4, 3000), medium=Strength(3, 24, 1200), strong=Strength(16, 50, 600))
def guest_messages(scene: Scene, how: Strength) -> Rows:
    """With a hotel's own sign-on its guests are told by message, in the hotel's name, that their card must be checked.

    Hotel after hotel, an account each, taken off an infected computer: in, one in six with a code; the bookings, two to
    four pages; then a message to every one of twenty to forty guests, evenly, each once; one in 25 has no such booking
    any more (404).

    Source: Secureworks, "Vidar infostealer steals Booking.com credentials in fraud scam", 2023-11-30.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 34.2))
    hotel_s = 0.95 * how.lasts_s / -(-n // m)
    ip, user, parts = scene.addresses(m, "hosting"), scene.strangers(n, "hotel"), []
    for number in range(n):
        who = {"ip": ip[number % m], "user": user[number], "ua": scene.browser(ip)[number % m]}
        begin_s = number // m * hotel_s + rng.uniform(0, 0.1 * hotel_s)
        parts.append(scene.requests(np.array([begin_s]), "login", **who))
        if number % 6 == 5:
            parts.append(scene.requests(np.array([begin_s + 0.03 * hotel_s]), "verify", **who))
        pages, guests = int(rng.integers(2, 5)), int(rng.integers(20, 41))
        pages_s = np.linspace(begin_s + 0.06 * hotel_s, begin_s + 0.15 * hotel_s, pages)
        path = [f"/api/v1/orders?property={4000 + number}&page={page}" for page in range(1, pages + 1)]
        parts.append(scene.requests(pages_s, "api_orders", path=path, **who))
        told_s = np.linspace(begin_s + 0.2 * hotel_s, begin_s + 0.85 * hotel_s, guests) + rng.uniform(0, 0.3, guests)
        booking = rng.integers(10**8, 10**9, guests)
        path = [f"/api/graphql?op=messageGuest&booking={one}" for one in booking.tolist()]
        told = scene.requests(told_s, "graphql", path=path, **who)
        told["status"] = scene.mostly(guests, 200, 404, 1 / 25)
        parts.append(told)
    return together(*parts)


@family(oat="OAT-016", weak=Strength(3, 0.9, 3000), medium=Strength(10, 8, 1200), strong=Strength(40, 30, 600))
def persuasion_bots(scene: Scene, how: Strength) -> Rows:
    """A language model argues under reviews, after it has read everything that whom it answers has ever written.

    Accounts that pass for people, one to a home, each signed on once. A thread; then six to sixteen other reviews by
    one of its writers within seconds; a pause, as long as an answer takes to be made; the answer (one in twenty is not
    taken, 422); and, later, a look at what came of it. Another thread and another writer each time.

    Source: moderators of Reddit's r/changemyview on an experiment of the University of Zurich without leave (13
    accounts, 1,700 comments, made to fit what a model had made out of the writers' history), 2025-04-26.
    """
    rng, m = scene.rng, how.sources
    answers = max(1, round((how.per_s * how.lasts_s - 1) / (3 + _AUTHORS)))
    who, nth = np.repeat(np.arange(m), answers), np.tile(np.arange(answers), m)
    n, every_s = m * answers, 0.9 * how.lasts_s / answers
    begins_s = 8 + (nth + rng.uniform(0, 0.25, n)) * every_s
    ip, user = scene.addresses(m, "neighbour"), scene.strangers(m, "debater")
    by = {"ip": ip[who], "user": user[who], "ua": scene.browser(ip)[who]}
    signed = scene.requests(rng.uniform(0, 6, m), "login", ip=ip, user=user, ua=scene.browser(ip))
    thread = scene.world.reviews[rng.integers(0, ITEMS, n)]
    read = scene.requests(begins_s, "reviews", path=thread, **by)
    many = rng.integers(6, 2 * _AUTHORS - 5, n)
    other = np.repeat(np.arange(n), many)
    at = np.arange(len(other)) - np.searchsorted(other, other)
    other_s = begins_s[other] + 1.5 + at * 0.6 + rng.uniform(0, 0.4, len(other))
    author = scene.world.paths.all([f"/items/{one}/reviews?author={one * 7919 % 90_001}" for one in range(1, 9001)])
    past = author[rng.integers(0, len(author), len(other))]
    history = scene.requests(other_s, "reviews", path=past, **{name: codes[other] for name, codes in by.items()})
    answered_s = begins_s + 1.5 + many * 0.6 + np.minimum(rng.uniform(12, 40, n), 0.5 * every_s)
    wrote = scene.requests(answered_s, "review", path=thread, status=scene.mostly(n, 200, 422, 0.05), **by)
    later_s = answered_s + min(300.0, 0.08 * how.lasts_s) * rng.uniform(0.8, 1.2, n)
    return together(signed, read, history, wrote, scene.requests(later_s, "reviews", path=thread, **by))


def _replaced(seat: Ints, gone: Mask, names: Ints) -> Ints:
    """Whose turn it is at each seat: after a turn after which somebody is gone, the next of the names that are left."""
    left = names[len(names) - int(gone.sum()) :]
    sits: dict[int, int] = {}
    next_one = iter(left.tolist())
    user = np.empty(len(seat), np.int64)
    for turn, (place, over) in enumerate(zip(seat.tolist(), gone.tolist(), strict=True)):
        user[turn] = sits.setdefault(place, int(names[place]))
        if over:
            sits[place] = next(next_one)
    return user
