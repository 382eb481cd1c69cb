"""From the decision with which the evidence suffices to the denial in force at every limiter, over many brute forces.

Real services as processes (two limiters, a stream worker, an enforcer) on Apache Kafka where it is found, else on the
embedded broker. Background logins and reads go on all the while. Beside it: a bare Kafka hop and a Redis PING, each
taken in the same run, because the way holds four hops (decisions, usage, alerts, actions) and one feed.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from servers import kafka, why_no_kafka

from floodwarden import embedded
from floodwarden.leash import Leash
from floodwarden.supervisor import Service, Supervisor, environment
from floodwarden.topics import ensure_topics
from schemas.settings import Settings, load

ATTACKS = 24
ATTACK_PER_S = 30
GAP_S = 1.0  # between the beginnings of two attacks
GOOD_PER_S = 60
TICK_S = 1 / 30
READY_S = 90
SETTLE_S = 10
HOPS = 100


def run() -> dict[str, Any]:
    """p50, p99 and the worst, in milliseconds of event time to the last limiter's acknowledgement."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        leash = stack.enter_context(Leash())
        real = why_no_kafka() is None
        broker = stack.enter_context(kafka(directory)).address if real else stack.enter_context(embedded.broker(leash))
        url = stack.enter_context(embedded.redis(leash))
        settings = load(
            kafka=broker, redis=url, data_dir=directory, known_nodes=2, live_share_max=0.5, log_level="warning"
        )
        ensure_topics(settings)
        supervisor = Supervisor(leash, directory)
        stack.callback(supervisor.stop)
        addresses = _start(supervisor, settings)
        _attack(addresses["limiter-1"], addresses["limiter-2"])
        took = _took(addresses["enforcer"])
        peers = {"kafka_hop_p50": _hop_ms(settings), "redis_ping_p50": _ping_ms(url)}
    ours = {"p50": _at(took, 0.5), "p99": _at(took, 0.99), "max": max(took)}
    return {
        "name": "time_to_enforce",
        "unit": "ms",
        "ours": ours["p50"],
        "ours_p99": ours["p99"],
        "ours_max": ours["max"],
        "attacks": ATTACKS,
        "enforced": len(took),
        "broker": "Apache Kafka" if real else "embedded",
        "peers": peers,
        "limit": "four Kafka hops, a publisher that waits up to 50 ms for company, one Redis feed; two limiters",
        "ratios": {name: round(ours["p50"] / figure, 2) for name, figure in peers.items()},
    }


def _start(supervisor: Supervisor, settings: Settings) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for name, program in (("stream",) * 2, ("enforcer",) * 2, ("limiter-1", "limiter"), ("limiter-2", "limiter")):
        port = embedded.free_port()
        addresses[name] = f"127.0.0.1:{port}"
        values = environment(settings, port=port, node=name)
        supervisor.start(Service(name, "floodwarden", (program,), values, addresses[name]))
    deadline = time.monotonic() + READY_S
    for name, address in addresses.items():
        while not _answers(f"http://{address}/readyz"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not ready:\n{supervisor.log(name)}")
            time.sleep(0.1)
    return addresses


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _attack(*limiters: str) -> None:
    """Gateways report decisions in small batches: good clients throughout, and one guesser after the other."""
    rng = random.Random(1)
    began = time.monotonic()
    owed = {"good": 0.0, "bad": 0.0}
    last = began
    while (at := time.monotonic() - began) < ATTACKS * GAP_S + 3:
        now = time.monotonic()
        owed["good"] += (now - last) * GOOD_PER_S
        # Each guesser tries for a little over one gap, so that two overlap for a moment.
        guessers = [n for n in range(ATTACKS) if 2 + n * GAP_S <= at < 2 + n * GAP_S + GAP_S * 1.2]
        owed["bad"] += (now - last) * ATTACK_PER_S
        last = now
        rows = [_good(rng) for _ in range(int(owed["good"]))]
        owed["good"] %= 1
        tries = int(owed["bad"])
        owed["bad"] %= 1
        rows += [_guess(rng, n) for n in guessers for _ in range(tries)]
        if rows:
            _post(limiters[rng.randrange(len(limiters))], rows)
        time.sleep(TICK_S)


def _good(rng: random.Random) -> dict[str, Any]:
    ip = f"192.0.2.{rng.randrange(200)}"
    if rng.random() < 0.1:
        return _row(ip, "POST", "/login", 401 if rng.random() < 0.05 else 200, user=f"u{ip}")
    return _row(ip, "GET", "/items/{id}", 200, path=f"/items/{rng.randrange(30)}")


def _guess(rng: random.Random, n: int) -> dict[str, Any]:
    return _row(f"203.0.113.{n}", "POST", "/login", 401, user=f"victim{rng.randrange(10_000)}")


def _row(ip: str, method: str, route: str, status: int, **more: Any) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    return {"ts_ms": now_ms, "verdict": "allow", "ip": ip, "method": method, "route": route, "path": route,
            "status": status, "node": "gateway"} | more  # fmt: skip


def _post(address: str, rows: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(
        f"http://{address}/v1/decisions", json.dumps(rows).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        answer.read()


def _took(enforcer: str) -> list[float]:
    deadline = time.monotonic() + SETTLE_S
    while True:
        with urllib.request.urlopen(f"http://{enforcer}/v1/enforcements", timeout=5) as answer:
            rows = json.load(answer)["enforcements"]
        took = {
            r["target"]: float(r["created_ms"] + max(r["ack_ms"].values()) - r["crossed_ms"])
            for r in rows
            if r["kind"] == "deny" and r.get("crossed_ms") and len(r["ack_ms"]) == 2
        }
        if len(took) >= ATTACKS or time.monotonic() > deadline:
            if not took:
                raise RuntimeError(f"no attack was answered; the enforcer knows of {len(rows)} actions")
            return sorted(took.values())
        time.sleep(0.2)


def _hop_ms(settings: Settings) -> float:
    topic = settings.topic_prefix + "dead-letter"
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "hop", "fetch.wait.max.ms": 20})
    consumer.assign([TopicPartition(topic, 0, 0)])
    took = []
    for _ in range(HOPS):
        began = time.perf_counter()
        producer.produce(topic, b"x", partition=0)
        producer.poll(0)
        while (message := consumer.poll(10)) is None or message.error():
            pass
        took.append((time.perf_counter() - began) * 1000)
    consumer.close()
    producer.flush(5)
    return _at(sorted(took), 0.5)


def _ping_ms(url: str) -> float:
    took = []
    with redis.Redis.from_url(url) as client:
        for _ in range(HOPS):
            began = time.perf_counter()
            client.ping()
            took.append((time.perf_counter() - began) * 1000)
    return _at(sorted(took), 0.5)


def _at(taken: list[float], share: float) -> float:
    return round(sorted(taken)[min(len(taken) - 1, int(len(taken) * share))], 3)
