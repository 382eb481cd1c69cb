"""Who asks the shop for what, and when: one schedule from one seed, customers and attackers alike.

All addresses are from the ranges reserved for documentation. Everyone but the attackers is `good`, also the crowd
that follows a link to one item: hundreds of addresses nobody has seen before, which must be left alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from floodwarden.demo.shop import ITEMS, WORDS, account, password

SECONDS_MIN: Final = 12
SECONDS: Final = 30

PEOPLE: Final = 80
MACHINES: Final = 5
CROWD: Final = 400
BRUTE_PER_S: Final = 30
HAMMER_PER_S: Final = 40
MACHINE_PER_S: Final = 4

BRUTE_IP: Final = "203.0.113.66"
HAMMER_KEY: Final = "demo-key-impatient"
HAMMER_IP: Final = "203.0.113.80"
HOT_ITEM: Final = 7


@dataclass(frozen=True, slots=True)
class Client:
    """One source of requests: `good` unless it is one of the attackers; `key` is an API key or None."""

    name: str
    ip: str
    role: str  # person, machine, crowd, brute, hammer
    key: str | None = None

    @property
    def good(self) -> bool:
        """Whether any action against it is a mistake."""
        return self.role not in ("brute", "hammer")


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: when, in seconds from the start, by whom and for what; `credentials` make it a login."""

    at_s: float
    client: Client
    method: str
    path: str
    credentials: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """When each part of the story begins and ends, in seconds from the start of the traffic."""

    seconds: float
    brute_s: float
    hammer_s: float
    crowd_s: float
    crowd_end_s: float


def scene(seconds: float) -> Scene:
    """The story cut to `seconds`: a warm-up, the brute force, the hammer, then the crowd on top of both."""
    unit = seconds / SECONDS
    return Scene(seconds, 6 * unit, 9 * unit, 14 * unit, 20 * unit)


def schedule(seed: int, seconds: float) -> list[Shot]:
    """Every request of the demo in the order of its time; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    when = scene(seconds)
    shots: list[Shot] = []
    for n in range(PEOPLE):
        shots += _person(rng, n, when.seconds)
    for n in range(MACHINES):
        shots += _machine(rng, n, when.seconds)
    for n in range(CROWD):
        shots += _visitor(rng, n, when)
    shots += _brute_force(rng, when.brute_s, when.seconds)
    shots += _hammer(rng, when.hammer_s, when.seconds)
    return sorted((s for s in shots if s.at_s < when.seconds), key=lambda s: s.at_s)


def encore(seed: int, seconds: float) -> list[Shot]:
    """The attackers alone, as before, for `seconds` more: nobody goes home because he was not stopped yet."""
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    return sorted([*_brute_force(rng, 0, seconds), *_hammer(rng, 0, seconds)], key=lambda s: s.at_s)


def _person(rng: random.Random, n: int, seconds: float) -> Iterator[Shot]:
    ip = f"192.0.2.{n + 1}" if n % 4 else f"2001:db8:{n:x}::1"
    client = Client(f"person {n}", ip, "person")
    at_s = rng.uniform(0, 3)
    login_at_s = rng.uniform(1, max(2, seconds - 4)) if rng.random() < 0.5 else seconds
    yield Shot(at_s, client, "GET", "/items")
    while at_s < seconds:
        at_s += 0.4 + rng.expovariate(1 / 0.8)
        if at_s >= login_at_s:
            login_at_s = seconds
            for wrong in [*[True] * rng.choice((0, 0, 0, 1, 1, 2)), False]:
                secret = password(n)[:-1] if wrong else password(n)  # the last letter forgotten
                yield Shot(at_s, client, "POST", "/login", (account(n), secret))
                at_s += rng.uniform(1.5, 3)
            yield Shot(at_s, client, "POST", "/orders")
            continue
        yield Shot(at_s, client, "GET", _page(rng))


def _page(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.15:
        return "/items"
    if chance < 0.3:
        return f"/search?q={rng.choice(WORDS)}"
    return f"/items/{min(ITEMS, 1 + int(rng.expovariate(1 / 12)))}"  # a few items are what most people look at


def _machine(rng: random.Random, n: int, seconds: float) -> Iterator[Shot]:
    client = Client(f"machine {n}", f"198.51.100.{n + 200}", "machine", f"demo-key-{n}")
    at_s = rng.uniform(0, 0.5)
    while at_s < seconds:
        yield Shot(at_s, client, *(("POST", "/orders") if rng.random() < 0.1 else ("GET", f"/items/{n * 3 + 1}")))
        at_s += rng.uniform(0.8, 1.2) / MACHINE_PER_S


def _visitor(rng: random.Random, n: int, when: Scene) -> Iterator[Shot]:
    ip = f"198.51.100.{n % 190 + 1}" if n < 190 else f"2001:db8:{0xC000 + n:x}:1::{n:x}"
    client = Client(f"visitor {n}", ip, "crowd")
    at_s = rng.triangular(when.crowd_s, when.crowd_end_s, when.crowd_s + (when.crowd_end_s - when.crowd_s) / 3)
    yield Shot(at_s, client, "GET", f"/items/{HOT_ITEM}")
    while rng.random() < 0.35:  # some reload it
        at_s += rng.uniform(0.5, 2.5)
        yield Shot(at_s, client, "GET", f"/items/{HOT_ITEM}")


def _brute_force(rng: random.Random, at_s: float, end_s: float) -> Iterator[Shot]:
    client = Client("brute force", BRUTE_IP, "brute")
    while at_s < end_s:
        name = account(rng.randrange(PEOPLE))
        yield Shot(at_s, client, "POST", "/login", (name, f"{rng.choice(WORDS)}{rng.randrange(10_000)}"))
        at_s += rng.uniform(0.5, 1.5) / BRUTE_PER_S


def _hammer(rng: random.Random, at_s: float, end_s: float) -> Iterator[Shot]:
    client = Client("hammer", HAMMER_IP, "hammer", HAMMER_KEY)
    while at_s < end_s:
        yield Shot(at_s, client, "GET", f"/search?q={rng.choice(WORDS)}")
        at_s += rng.uniform(0.8, 1.2) / HAMMER_PER_S
