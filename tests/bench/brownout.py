"""Good traffic served through an overload of three times a site's capacity, with the automatic brownout and without.

Twice the same: a site of finite capacity behind our middleware (its own process), a stream worker, an enforcer, a real
Redis, a broker. Paying clients, free ones and anonymous ones ask at fixed rates, whatever comes back, and wait a second
at most; what is answered 200 within it is served. Without a brownout the site queues until nobody is served in time.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from brownout_site import PER_SECOND

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from servers import kafka, why_no_kafka

from enforcer import command
from floodwarden import embedded
from floodwarden.leash import Leash
from floodwarden.supervisor import Service, Supervisor, environment
from floodwarden.topics import ensure_topics
from schemas.settings import Settings, load

CALM_S, OVERLOAD_S, STEADY_S = 12, 36, 12
PATIENCE_S = 1.0
READY_S = 240
CALM = {"paid": 20, "free": 20, "anonymous": 40}
OVERLOAD = {"paid": 60, "free": 100, "anonymous": 340}
POLICY = """
version: 1
tiers:
  anonymous: {}
  free: { users: [%s] }
  paid: { users: [%s] }
anonymous_tier: anonymous
routes: [ "/items/{id}" ]
limits: [ { name: each, per: ip, rate: 1000/s } ]
brownout:
  classes:
    - { name: anonymous, known: no }
    - { name: free, when: { tier: free } }
    - { name: paid, when: { tier: paid } }
  levels:
    1: { admit: { anonymous: 0.6 } }
    2: { admit: { anonymous: 0.25, free: 0.8 } }
    3: { admit: { anonymous: 0, free: 0.6 } }
    4: { admit: { anonymous: 0, free: 0.2, paid: 0.9 } }
"""
RULES = """
version: 1
usual_seconds: 8
dwell_seconds: 5
"""


_PATH = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent.parent)])


@dataclass
class Tally:
    """What came of the requests of a time, by class and outcome."""

    asked: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def share(self, name: str) -> float:
        """Of a class, the share that was served in time."""
        return round(self.served[name] / max(1, self.asked[name]), 4)


def run() -> dict[str, Any]:
    """Share of paying clients' requests served in time during the overload."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        leash = stack.enter_context(Leash())
        real = why_no_kafka() is None
        address = stack.enter_context(kafka(directory)).address if real else stack.enter_context(embedded.broker(leash))
        url = stack.enter_context(embedded.redis(leash))
        (directory / "policy.yaml").write_text(POLICY % (_users("free"), _users("paid")))
        (directory / "brownout.yaml").write_text(RULES)
        told = {}
        for name, mode in (("without", "off"), ("with", str(directory / "brownout.yaml"))):
            settings = load(
                kafka=address, redis=url, data_dir=directory / name, topic_prefix=f"{name}.", redis_prefix=f"{name}:",
                policies=directory / "policy.yaml", brownout=mode, log_level="warning",
            )  # fmt: skip
            with site(leash, directory / name, settings) as at:
                told[name] = asyncio.run(_traffic(at, settings))
    ours, without = told["with"]["overload"]["paid"], told["without"]["overload"]["paid"]
    return {
        "name": "brownout",
        "unit": "share of paying clients' requests served within 1 s during the overload",
        "ours": ours,
        "peers": {"without": without},
        "ratios": {"without": round(ours / without, 2)} if without else {},
        "limit": f"{OVERLOAD_S} s at {sum(OVERLOAD.values())}/s for a site that takes {PER_SECOND:.0f}/s; the first "
        "seconds of it are those in which levels rise",
        "rates": OVERLOAD,
        **told,
        "broker": "Apache Kafka" if real else "embedded",
    }


@contextmanager
def site(leash: Leash, directory: Path, settings: Settings) -> Iterator[str]:
    """Where the site listens, with all that goes with it."""
    directory.mkdir()
    ensure_topics(settings)
    supervisor = Supervisor(leash, directory)
    addresses: dict[str, str] = {}
    try:
        for name, module, arguments in (
            ("stream", "floodwarden", ("stream",)),
            ("enforcer", "floodwarden", ("enforcer",)),
            ("site", "brownout_site", ()),
        ):
            port = embedded.free_port()
            addresses[name] = f"127.0.0.1:{port}"
            values = environment(settings, port=port, node=name) | {"PYTHONPATH": _PATH}
            supervisor.start(Service(name, module, arguments, values, addresses[name]))
        deadline = time.monotonic() + READY_S
        for name, address in addresses.items():
            while not _answers(f"http://{address}/{'healthz' if name == 'site' else 'readyz'}"):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} is not ready:\n{supervisor.log(name)}")
                time.sleep(0.1)
        yield addresses["site"]
    finally:
        supervisor.stop()


async def _traffic(address: str, settings: Settings) -> dict[str, Any]:
    """The calm, then the overload: what was served of whom, and the levels of every second of it."""
    parts = {name: Tally() for name in ("calm", "overload", "steady")}
    connector = aiohttp.TCPConnector(limit=0)
    levels: list[int] = []
    async with aiohttp.ClientSession(connector=connector) as session:
        await _ask(session, address, CALM, CALM_S, [parts["calm"]])
        watching = asyncio.create_task(_levels(settings, levels))
        await _ask(session, address, OVERLOAD, OVERLOAD_S - STEADY_S, [parts["overload"]])
        await _ask(session, address, OVERLOAD, STEADY_S, [parts["overload"], parts["steady"]])
        watching.cancel()
    found: dict[str, Any] = {part: {name: tally.share(name) for name in OVERLOAD} for part, tally in parts.items()}
    return found | {"outcomes": dict(parts["overload"].outcomes), "levels": levels}


async def _levels(settings: Settings, into: list[int]) -> None:
    while True:
        action = await asyncio.to_thread(command.brownout_status, settings)
        into.append(action.level or 0 if action else 0)
        await asyncio.sleep(1)


async def _ask(
    session: aiohttp.ClientSession, address: str, rates: dict[str, int], seconds: int, tallies: list[Tally]
) -> None:
    """Requests at fixed rates, evenly mixed, whatever comes back."""
    rng = random.Random(1)
    names, weights = list(rates), list(rates.values())
    every_s = 1 / sum(weights)
    began, sent, tasks = time.monotonic(), 0, set()
    while (now := time.monotonic() - began) < seconds:
        while sent * every_s <= now:
            sent += 1
            task = asyncio.create_task(
                _one(session, address, rng.choices(names, weights)[0], rng.randrange(50), tallies)
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)


async def _one(session: aiohttp.ClientSession, address: str, name: str, number: int, tallies: list[Tally]) -> None:
    headers = {"x-forwarded-for": f"10.{len(name)}.0.{number}"}
    if name != "anonymous":
        headers["x-user"] = f"{name}-{number}"
    try:
        async with asyncio.timeout(PATIENCE_S), session.get(f"http://{address}/items/{number}", headers=headers) as got:
            outcome = _outcome(got.status, (await got.read()).decode())
    except TimeoutError:
        outcome = "too late"
    except aiohttp.ClientError as error:
        outcome = type(error).__name__
    for tally in tallies:
        tally.asked[name] += 1
        tally.served[name] += outcome == "served"
        tally.outcomes[f"{name}: {outcome}"] += 1


def _outcome(status: int, body: str) -> str:
    if status == 200:
        return "served"
    return "turned away" if "temporary-reduced-capacity" in body else str(status)


def _users(name: str) -> str:
    return ", ".join(f"{name}-{number}" for number in range(50))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
