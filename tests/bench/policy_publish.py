"""From a policy's version being ordered to both of two limiters running it: 100 and 100,000 limits, YAML and JSONL.

`floodwarden bench policy_publish` calls `run()`; it starts a Redis, a store (SQLite) and two limiters of its own, which
answer nobody meanwhile. Each version differs from the one before in one limit. The clock starts before the version is
written to the store, and stops at the time the last limiter says that it runs it; reading the files of a directory,
judging and comparing them, which `policy apply` does before, is told beside.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from contextlib import ExitStack
from typing import Any

import redis
from limiter_process import limiter

from enforcer.policy_plan import plan
from enforcer.policy_publisher import PolicyPublisher
from enforcer.session import now_ms
from enforcer.store import database, versions
from enforcer.store.versions import Draft
from floodwarden import embedded
from floodwarden.policy_examined import examine
from schemas import sql
from schemas.keys import Keys
from schemas.policies import Files

FEW, MANY = 100, 100_000
NODES = 2
ROUNDS = {FEW: 8, MANY: 1}
WITHIN_S = 120
_FIRST = "version: 1\nlimits: [{ name: ip, per: ip, rate: 50/s }]\n"


def run() -> dict[str, Any]:
    """Milliseconds until the last of two limiters runs a version of 100 limits; of 100,000, and the parts, beside."""
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        url = stack.enter_context(embedded.redis())
        client = stack.enter_context(redis.Redis.from_url(url))
        keys = Keys()
        client.hset(keys.enforcement, mapping={"version": 0, "id": "0-0", "epoch": "bench"})  # an enforcer was here
        for _ in range(NODES):
            stack.enter_context(limiter(url, _FIRST))
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        engine = sql.engine(f"sqlite:///{directory}/store.db")
        database.upgrade(engine)
        publisher = PolicyPublisher(client, keys, now_ms)
        after = 0
        for size, form in ((FEW, "yaml"), (MANY, "yaml"), (MANY, "jsonl")):
            took: list[float] = []
            for _ in range(ROUNDS[size]):
                files = _files(size, form, after)
                draft = Draft("main", files, after, "bench", "")
                began_ms, began_s = now_ms(), time.perf_counter()
                _, order = versions.make(engine, draft, now_ms())
                publisher.publish("main", order, lambda _, made=files: made)
                figures[f"publish_{form}_{size}_ms"] = round((time.perf_counter() - began_s) * 1000, 1)
                found = publisher.converged("main", order, WITHIN_S)
                if len(found.ack_ms) != NODES or not found.whole:
                    raise AssertionError(f"{size} limits as {form}: {found}")
                took.append(max(found.ack_ms.values()) + order.at_ms - began_ms)
                after += 1
            figures[f"all_{form}_{size}_ms"] = statistics.median(took)
            figures[f"all_{form}_{size}_slowest_ms"] = max(took)
        began_s = time.perf_counter()
        if not plan(engine, "main", _files(MANY, "jsonl", after), examine).changes:
            raise AssertionError("nothing was found to change")
        figures["plan_jsonl_100000_s"] = round(time.perf_counter() - began_s, 2)
        engine.dispose()
    return {
        "name": "policy_publish",
        "unit": "ms",
        "ours": figures[f"all_yaml_{FEW}_ms"],
        "peers": figures,
        "limit": f"{NODES} limiters without traffic, Redis and store on this machine",
        "ratios": {},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _files(size: int, form: str, turn: int) -> Files:
    limits: list[dict[str, Any]] = [
        {"name": f"t{n}", "per": "ip", "rate": "50/s", "burst": 100 + turn * (n == 0), "when": {"tenant": [f"t{n}"]}}
        for n in range(size)
    ]
    lines = [json.dumps(each) for each in limits]
    if form == "jsonl":
        return {"limits.jsonl": "\n".join(lines).encode()}
    return {"limits.yaml": ("version: 1\nlimits:\n" + "".join(f"  - {line}\n" for line in lines)).encode()}
