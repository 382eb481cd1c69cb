"""An IPv6 subscriber who takes another address for each request, from his decisions to every place that refuses him."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from enforcer_world import World, eventually
from stream_worker import batch, make_settings, send, worker

from limiter.limiter import Limiter
from schemas.decision import Decision

pytestmark = pytest.mark.integration
KEY = "0123456789abcdef0123456789abcdef"
MINE, NEXT = "2001:db8:7:1", "2001:db8:7:2"
LISTS = {
    "nginx-deny": f"deny {MINE}::/64;",
    "haproxy-map": f"{MINE}::/64 ban",
    "ipset": f"add floodwarden-v6-new {MINE}::/64 -exist",
}


def login(number: int, at_ms: int) -> Decision:
    return Decision(
        ts_ms=at_ms, verdict="allow", node="gw", ip=f"{MINE}:{number:x}::{7 * number:x}", user=f"user{number}",
        method="POST", route="/api/login", path="/api/login", status=401, ua="curl/8.5.0", asn=64500,
    )  # fmt: skip


def test_a_subscriber_who_rotates_is_denied_by_his_64_everywhere_and_his_neighbour_nowhere(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    few = {"usage_partitions": 1, "decisions_partitions": 1}
    world = World(embedded_address, redis_url, topic_prefix, bouncer_keys=f"edge={KEY}", bouncer_scoped=True, **few)
    stream = make_settings(embedded_address, topic_prefix, tmp_path, **few)
    given = {"redis_prefix": world.settings.redis_prefix, "kafka": "127.0.0.1:1", "node": "limiter-1"}
    with (
        world.enforcer(),
        worker(stream, tmp_path),
        Limiter.open(redis=redis_url, redis_deadline_ms=2000, **given) as limiter,
    ):
        assert limiter.check("/api/login", method="POST", ip=f"{MINE}::1").allowed
        now_ms = time.time_ns() // 1_000_000
        send(stream, [batch([login(number, now_ms - 2000 + 20 * number) for number in range(1, 41)])])
        found = world.wait_for(f"{MINE}::/64", within_s=100)
        assert (found["target"]["kind"], found["kind"], found["route"]) == ("ip", "deny", "/api/login")
        (seen,) = (each for each in found["evidence"] if each["name"] == "addresses")
        assert seen["value"] >= 3
        assert f"{MINE}:" in seen["sentence"]

        def refused() -> bool:
            return not limiter.check("/api/login", method="POST", ip=f"{MINE}:dead:beef::5").allowed

        eventually(refused, 100)
        assert limiter.check("/api/login", method="POST", ip=f"{NEXT}::1").allowed
        assert limiter.check("/items", method="GET", ip=f"{MINE}::1").allowed, "answered where he guesses"

        (told,) = world.get("/v1/decisions/stream?startup=true", KEY).json()["new"]
        assert (told["scope"], told["type"], told["value"]) == ("Range", "ban", f"{MINE}::/64")
        assert [one["value"] for one in world.get(f"/v1/decisions?ip={MINE}:9::9", KEY).json()] == [f"{MINE}::/64"]
        assert world.get(f"/v1/decisions?ip={NEXT}:9::9", KEY).json() is None
        for name, line in LISTS.items():
            assert line in world.get(f"/v1/lists/{name}", KEY).text.splitlines(), name
