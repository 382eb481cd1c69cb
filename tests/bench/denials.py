"""What a million denials cost a node: bytes each, a look-up beside an empty node's and a dict's, and loading them.

`floodwarden bench denials` calls `run()`; it starts a Redis of its own. Memory is resident memory, grown. Look-ups are
of addresses that are not denied, which is nearly all a node sees, each a new one; passes are taken in turn.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import redis as sync_redis
from redis.asyncio import Redis

from floodwarden import embedded
from limiter.feed import Feed
from limiter.matcher import Identity, Matcher
from limiter.metrics import Metrics
from limiter.orders import Order, decoded
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.policy import DEFAULT
from limiter.verdict import Request
from schemas.keys import Keys

MILLION = 1_000_000
ASKED = 50_000
PASSES = 5
NETWORKS = (24, 20, 28)
NOW_MS = time.time_ns() // 1_000_000
_KEYS = Keys("bench:")


@dataclass(frozen=True, slots=True)
class Held:
    """What the peer holds for a denial: an object a client, as a limiter without `limiter.entries` would."""

    uid: str
    kind: str
    rule: str
    expires_ms: int


def run() -> dict[str, Any]:
    """Nanoseconds of a look-up, bytes of a denial, seconds of loading; and the longest a check waited meanwhile."""
    figures: dict[str, float] = {}
    holding = {count: _overrides(count, figures) for count in (0, 1, 100_000, MILLION)}
    plain = _plain_dict(figures)
    asked = [Identity(ip=_address(0x60000000 + n * 7919), key_id=f"k{n}") for n in range(ASKED)]
    probes: dict[str, Callable[[Identity], object]] = {
        f"judge_{count}_ns": (lambda one, o=held: o.judge(one, "/items/{id}", NOW_MS))
        for count, held in holding.items()
    }
    for count in (0, MILLION):
        place = Placing(Matcher(DEFAULT), holding[count]).place
        probes[f"place_{count}_ns"] = lambda one, p=place: p(Request("GET", "/items/1", one), NOW_MS)
    probes["dict_get_ns"] = lambda one, held=plain: held.get(one.ip or "")
    figures |= _in_turn(probes, asked)
    figures |= _networks(holding[MILLION], asked)
    del holding, plain
    gc.collect()
    with embedded.redis() as url:
        figures |= asyncio.run(_load(url))
    return {
        "name": "denials",
        "unit": "ns",
        "ours": figures[f"judge_{MILLION}_ns"],
        "peers": figures,
        "limit": "one process; addresses alone, then networks of three lengths as well",
        "ratios": _ratios(figures),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _ratios(figures: dict[str, float]) -> dict[str, float]:
    million = figures[f"judge_{MILLION}_ns"]
    return {
        "judge_million_to_100_thousand": round(million / figures["judge_100000_ns"], 2),
        "judge_million_to_one_denial": round(million / figures["judge_1_ns"], 2),
        "place_million_to_none": round(figures[f"place_{MILLION}_ns"] / figures["place_0_ns"], 2),
        "bytes_to_an_object_each": round(figures["bytes_each"] / figures["object_bytes_each"], 2),
    }


def _order(n: int, target: str, kind: str = "ip") -> bytes:
    uid = f"{n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"
    return (
        f'{{"v":1,"uid":"{uid}","version":{n},"kind":"deny","status":"active","target":{{"kind":"{kind}","value":"{target}"}},'
        f'"route":null,"tier":null,"exempt":null,"limit":null,"factor":null,"rate":null,"level":null,'
        f'"reason":"Denied for 10 min: 8 failed logins in 1 s; good clients\' logins here fail up to 19 % of the time",'
        f'"rule":"guess/{n % 20}","model":"2026-11","evidence":[],"alert_uid":"{uid[::-1]}","owner":"auto","step":1,'
        f'"created_ms":{NOW_MS},"expires_ms":{NOW_MS + 3_600_000 + n},"crossed_ms":{NOW_MS},"ended_ms":null,'
        f'"ended_by":null,"ended_reason":null}}'
    ).encode()


def _address(number: int) -> str:
    return str(ip_address(number))


def _denied(count: int) -> Iterator[Order]:
    for n in range(count):
        yield decoded(_order(n, _address(0x0B000000 + n * 37)))


def _overrides(count: int, figures: dict[str, float]) -> Overrides:
    made, before, began = Overrides(), _resident(), time.perf_counter()
    for one in _denied(count):
        made.put(one, NOW_MS)
    if count == MILLION:
        figures["bytes_each"] = round((_resident() - before) / count, 1)
        figures["put_us"] = round((time.perf_counter() - began) / count * 1e6, 2)
    return made


def _plain_dict(figures: dict[str, float]) -> dict[str, Held]:
    before = _resident()
    made = {one.target.value: Held(one.uid, str(one.kind), str(one.rule), one.expires_ms) for one in _denied(MILLION)}
    figures["object_bytes_each"] = round((_resident() - before) / MILLION, 1)
    return made


def _networks(held: Overrides, asked: list[Identity]) -> dict[str, float]:
    for n in range(30_000):
        length = NETWORKS[n % len(NETWORKS)]
        network = f"{_address((0xB0000000 + n * 4096) >> (32 - length) << (32 - length))}/{length}"
        held.put(decoded(_order(MILLION + n, network)), NOW_MS)
    return _in_turn({"judge_with_networks_ns": lambda one: held.judge(one, "/items/{id}", NOW_MS)}, asked)


def _in_turn(probes: dict[str, Callable[[Identity], object]], asked: list[Identity]) -> dict[str, float]:
    """The best pass of each, so that what else the machine does counts least."""
    best = dict.fromkeys(probes, float("inf"))
    for _ in range(PASSES):
        for name, probe in probes.items():
            fresh = [Identity(f"{one.ip}", one.key_id) for one in asked]  # a request brings its own text
            began = time.perf_counter()
            for one in fresh:
                probe(one)
            best[name] = min(best[name], (time.perf_counter() - began) / len(fresh) * 1e9)
    return {name: round(ns, 1) for name, ns in best.items()}


async def _load(url: str) -> dict[str, float]:
    with sync_redis.Redis.from_url(url) as client:
        client.hset(_KEYS.enforcement, mapping={"version": 1, "id": "0-0", "epoch": "bench"})
        for first in range(0, MILLION, 5_000):
            rows = ((n, _order(n, _address(0x0B000000 + n * 37))) for n in range(first, first + 5_000))
            client.hset(_KEYS.enforcement, mapping={f"{n:032x}": body for n, body in rows})
    overrides, follower = Overrides(), Redis.from_url(url)
    quiet = await _waits(lambda: True, 1_000)
    feed = Feed(follower, _KEYS, "bench", overrides, Metrics(), lambda: time.time_ns() // 1_000_000)
    began = time.perf_counter()
    feed.start()
    loading = await _waits(lambda: not feed.contacted.is_set(), 1_000_000)
    took_s = time.perf_counter() - began
    assert len(overrides) == MILLION
    await feed.aclose()
    await follower.aclose()
    return {
        "load_seconds": round(took_s, 1),
        **{f"wait_while_loading_{label}_ms": _at(loading, share) for label, share in _SHARES},
        **{f"wait_while_idle_{label}_ms": _at(quiet, share) for label, share in _SHARES},
    }


_SHARES = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))


async def _waits(goes_on: Callable[[], bool], at_most: int) -> list[float]:
    """How much later than asked a task of the same loop has its turn, as a check would; milliseconds."""
    found = []
    while goes_on() and len(found) < at_most:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        found.append((time.perf_counter() - began) * 1000 - 1)
    return found


def _at(taken: list[float], share: float) -> float:
    return round(sorted(taken)[min(len(taken) - 1, int(len(taken) * share))], 3)


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
