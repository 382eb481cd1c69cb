"""People: sessions with think time, logins that sometimes fail, dead links, shared addresses, and flash crowds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.declare import case, within_people
from floodwarden.simulate.scene import Rows, Scene, Seconds, rows
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS, SEARCHES, Ints, World, zipf

SESSION_REQUESTS: Final = 13.0  # mean
_MIX: Final = {
    "item": 0.30, "static": 0.12, "list": 0.10, "search": 0.10, "suggest": 0.12, "reviews": 0.07, "article": 0.04,
    "home": 0.05, "cart": 0.03, "cart_add": 0.02, "account": 0.02, "orders": 0.015,
    "checkout": 0.005, "api_items": 0.01, "pay": 0.004, "coupon": 0.003, "token": 0.004, "register": 0.002,
    "review": 0.002, "profile": 0.001,
}  # fmt: skip
_FAILURES: Final = np.array([0.86, 0.095, 0.032, 0.013])  # failed attempts before a login succeeds: typos
# What people get wrong themselves: (status, share of requests).
_SLIPS: Final = {
    "pay": (402, 0.05), "coupon": (404, 0.3), "register": (409, 0.08), "token": (401, 0.01), "profile": (400, 0.05),
}  # fmt: skip

within_people("cgnat", "Many people behind one address of their carrier.")
within_people("forgetful", "Three to five failed logins, a new password asked for, then success.")


@dataclass(frozen=True, slots=True)
class Visit:
    """One array entry a session: when, from where, who (ABSENT: nobody we know), with what.

    `failures` counts those before the login at a session's second request, -1 where there is no login in it; `known`:
    logged in from the first request on. `label` is 0 for what the generator shall label itself.
    """

    start_s: Seconds
    requests: Ints
    ip: Ints
    user: Ints
    ua: Ints
    failures: Ints
    known: NDArray[np.bool_]
    label: Ints | int = 0


def visiting(scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints, failures: Ints) -> Visit:
    """Visits of some pages; signed in from the first one on where there is an account and no sign-in."""
    many = np.minimum(scene.rng.geometric(1 / 11, len(start_s)) + 1, 90)
    return Visit(start_s, many, ip, user, ua, failures=failures, known=(user != ABSENT) & (failures < 0))


def daily(scene: Scene, n: int, start_ms: int) -> Seconds:
    """`n` sorted times with the daily shape: quiet at 04:00 UTC, busiest at 20:00."""
    minutes = np.arange(0.0, scene.span_s + 60, 60.0)
    hour = (start_ms / 3_600_000 + minutes / 3600) % 24
    density = 0.62 + 0.42 * np.cos((hour - 20) / 24 * 2 * np.pi) + 0.12 * np.cos((hour - 12) / 12 * 2 * np.pi)
    grown = np.concatenate(([0.0], np.cumsum(density[:-1])))
    at_s = np.interp(np.sort(scene.rng.random(n)), grown / grown[-1], minutes)
    return np.asarray(at_s * scene.span_s / minutes[-1])


def people(scene: Scene, cases: frozenset[str]) -> Rows:
    """Everyone who browses: members and visitors, with the good cases `cgnat` and `forgetful` among them."""
    rng, world, clients = scene.rng, scene.world, scene.clients
    n = max(1, round(scene.span_s * scene.requests_per_s / SESSION_REQUESTS))
    shared = max(8, clients // 100, round(scene.requests_per_s * 3))
    cgnat = scene.addresses(shared, "cgnat")
    member_ip = np.where(rng.random(clients) < 0.8, scene.addresses(clients, "home"), scene.addresses(clients, "home6"))
    accounts = world.users.all([f"user{number:05d}" for number in range(clients)])
    member = zipf(rng, n, clients, 1.6)
    is_member = rng.random(n) < 0.55
    regular = scene.addresses(clients, "home")[zipf(rng, n, clients, 1.4)]
    stranger = np.where(rng.random(n) < 0.5, regular, scene.addresses(n, "home"))
    mobile = rng.random(n) < 0.18 if "cgnat" in cases else np.zeros(n, bool)
    ip = np.where(mobile, cgnat[rng.integers(0, shared, n)], np.where(is_member, member_ip[member], stranger))
    failures = np.where(is_member & (rng.random(n) < 0.45), typos(scene, n), ABSENT)
    forgetful = is_member & (rng.random(n) < 0.003) & ("forgetful" in cases)
    label = np.where(mobile, world.labels.code("benign/cgnat"), 0)
    visit = Visit(
        start_s=daily(scene, n, scene.start_ms),
        requests=np.minimum(rng.geometric(1 / (SESSION_REQUESTS - 1), n) + 1, 160),
        ip=ip,
        user=np.where(is_member, accounts[member], ABSENT),
        ua=world.browsers[np.where(is_member, member, ip) % len(world.browsers)],
        failures=np.where(forgetful, rng.integers(3, 6, n), failures),
        known=is_member & (failures < 0),
        label=np.where(forgetful, world.labels.code("benign/forgetful"), label),
    )
    return browse(scene, visit)


@case(usual=True)
def flash_crowd(scene: Scene) -> Rows:
    """A link goes round: within minutes many times the usual visitors, all new, on one item."""
    rng, world = scene.rng, scene.world
    length_s = min(900.0, scene.span_s * 0.25)
    n = max(20, round(scene.requests_per_s * 6 * length_s / SESSION_REQUESTS * 2))
    some = rng.random(n) < 0.12  # log in
    # Steep rise, long tail.
    begins_s = scene.moment(0.55, 0.7) + length_s * np.clip(rng.gamma(1.6, 0.16, n), 0, 1)
    visit = Visit(
        start_s=np.sort(begins_s),
        requests=np.minimum(rng.geometric(1 / 6, n) + 1, 40),
        ip=scene.addresses(n, "crowd"),
        user=np.where(some, world.users.all([f"guest{number:05d}" for number in range(n)]), ABSENT),
        ua=world.browsers[rng.integers(0, len(world.browsers), n)],
        failures=np.where(some, typos(scene, n), ABSENT),
        known=np.zeros(n, bool),
    )
    made = browse(scene, visit)
    popular = (made["endpoint"] == ENDPOINT_CODES["item"]) & (rng.random(len(made)) < 0.8)
    made["path"][popular] = world.items[4242]
    made["status"][popular] = np.where(rng.random(int(popular.sum())) < 0.015, 503, 200)
    return made


def typos(scene: Scene, n: int) -> Ints:
    """Failed attempts before a login succeeds, as people have them."""
    return scene.rng.choice(4, n, p=_FAILURES)


def browse(scene: Scene, visit: Visit) -> Rows:
    """Sessions as rows: each its requests, with think time between pages and bursts within one."""
    rng, world = scene.rng, scene.world
    requests = np.maximum(visit.requests, np.where(visit.failures >= 0, visit.failures + 4, 1))
    session = np.repeat(np.arange(len(requests)), requests)
    first = np.concatenate(([0], np.cumsum(requests)[:-1]))
    n = len(session)
    position = np.arange(n) - first[session]
    gaps = np.where(rng.random(n) < 0.42, rng.uniform(40, 420, n), rng.lognormal(8.9, 0.95, n))
    gaps[position == 0] = 0
    elapsed = np.cumsum(gaps)
    made = rows(
        n,
        ts_ms=(visit.start_s[session] * 1000 + elapsed - elapsed[first][session]).astype(np.int64),
        ip=visit.ip[session],
        ua=visit.ua[session],
        label=np.broadcast_to(visit.label, requests.shape)[session],
        user=np.where(visit.known, visit.user, ABSENT)[session],
    )
    names = list(_MIX)
    weights = np.array([_MIX[name] for name in names])
    made["endpoint"] = np.array([ENDPOINT_CODES[name] for name in names])[
        rng.choice(len(names), n, p=weights / weights.sum())
    ]
    _paths(rng, world, made)
    _mishaps(rng, world, made)
    _logins(world, made, visit, session, position)
    return made


def _paths(rng: np.random.Generator, world: World, made: Rows) -> None:
    """The path of each endpoint; popular items more often than others."""
    popular = zipf(rng, len(made), ITEMS)
    many = {
        "item": world.items[popular],
        "reviews": world.reviews[popular],
        "search": world.searches[popular % SEARCHES],
        "suggest": world.suggests[popular % SEARCHES],
        "list": world.lists[popular % 60],
        "article": world.articles[popular % len(world.articles)],
        "static": world.statics[popular % len(world.statics)],
    }
    for name in _MIX:
        here = made["endpoint"] == ENDPOINT_CODES[name]
        made["path"][here] = many[name][here] if name in many else world.fixed(name)


def _mishaps(rng: np.random.Generator, world: World, made: Rows) -> None:
    """Not modified, dead links that many follow, items that are gone, rare upstream errors."""
    chance = rng.random(len(made))
    static = made["endpoint"] == ENDPOINT_CODES["static"]
    made["status"][static & (chance < 0.3)] = 304
    item = made["endpoint"] == ENDPOINT_CODES["item"]
    made["status"][item & (chance > 0.997)] = 404
    dead = chance < 0.004
    made["endpoint"][dead] = ENDPOINT_CODES["missing"]
    made["path"][dead] = world.dead[rng.integers(0, len(world.dead), int(dead.sum()))]
    made["status"][dead] = 404
    made["status"][(chance > 0.5) & (chance < 0.5004)] = 502
    for name, (wrong, share) in _SLIPS.items():
        here = np.flatnonzero(made["endpoint"] == ENDPOINT_CODES[name])
        made["status"][here[rng.random(len(here)) < share]] = wrong


def _logins(world: World, made: Rows, visit: Visit, session: Ints, position: Ints) -> None:
    """A login from a session's second request on: its failures, then success, and the account from there on."""
    failures = visit.failures[session]
    trying = (failures >= 0) & (position >= 1)
    attempt = trying & (position <= failures + 1)
    made["user"][trying] = visit.user[session][trying]
    made["endpoint"][attempt] = ENDPOINT_CODES["login"]
    made["path"][attempt] = world.fixed("login")
    made["status"][attempt] = np.where(position == failures + 1, 200, 401)[attempt]
    lost = attempt & (failures >= 3) & (position == failures)  # gave up guessing: asks for a new password
    made["endpoint"][lost] = ENDPOINT_CODES["reset"]
    made["path"][lost] = world.fixed("reset")
    made["status"][lost] = 202


def at_home(scene: Scene, n: int, mobile: float) -> dict[str, Ints]:
    """Members, each with a browser, at an address nobody of them had, a share of them behind carriers' addresses."""
    carriers = scene.addresses(max(3, n // 15), "cgnat")
    behind = scene.rng.random(n) < mobile
    ip = np.where(behind, carriers[scene.rng.integers(0, len(carriers), n)], scene.addresses(n, "home"))
    return {
        "ip": ip,
        "user": scene.accounts(n, distinct=True),
        "ua": scene.world.browsers[scene.rng.integers(0, 16, n)],
    }
