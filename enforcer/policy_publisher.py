"""Brings the version of a policy that holds to Redis, and hears from the nodes which run it.

Anyone may publish, any number of times: an order that is there already, or is older than what is there, changes
nothing. So a command publishes what it has just written, and every enforcer whatever Redis lacks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis

from enforcer.acknowledgements import live
from enforcer.canary import Sample
from enforcer.rollout import Seen
from enforcer.writer import FEED_MAX
from schemas import policies
from schemas.keys import Keys
from schemas.policies import Files, Order, Tried, Word

KEPT_S: Final = 3_600  # files of a version that holds no more, for nodes that are just reading them
_POLL_S: Final = 0.01
_SUMMED: Final = tuple(field for field in Tried.__struct_fields__ if field not in ("serial", "routes"))
_SCRIPT: Final = (Path(__file__).parent / "policy.lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far an order has come: by node when it ran there, in ms after the order; who refused it, and who is silent.

    Times are of the nodes' clocks.
    """

    ack_ms: dict[str, int]
    refused: dict[str, str]
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every live node runs it."""
        return not self.missing and not self.refused

    @property
    def all_ms(self) -> int | None:
        """How long it took until the last node ran it; None while one does not, and where there is none."""
        return max(self.ack_ms.values()) if self.ack_ms and self.whole else None


class PolicyPublisher:
    """One Redis. Raises `redis.RedisError` whenever Redis does not answer."""

    def __init__(self, client: Redis, keys: Keys, clock_ms: Callable[[], int]) -> None:
        """`client` answers in bytes."""
        self._redis: Any = client
        self._keys = keys
        self._clock_ms = clock_ms
        self._script = client.register_script(_SCRIPT)

    def publish(self, name: str, order: Order, files: Callable[[int], Files]) -> str:
        """Have limiters take `order`: `done`, `same` or `stale`. Which `files` Redis lacks is asked by version."""
        place = self._keys.policy(name)
        before = self._redis.get(place)
        for digest, version in order.versions.items():
            body = self._keys.policy(name, digest)
            if not self._redis.persist(body) and not self._redis.exists(body):
                packed = {file: policies.packed(data) for file, data in files(version).items()}
                self._redis.hset(body, mapping=packed)
        args: list[bytes | str | int] = [policies.encode(order), order.serial, name, self._clock_ms(), FEED_MAX]
        what: bytes = self._script(keys=[place, self._keys.enforcement, self._keys.feed], args=args)
        if what == b"done" and before is not None:
            for gone in policies.order(before).versions.keys() - order.versions.keys():
                self._redis.expire(self._keys.policy(name, gone), KEPT_S)
        if what == b"done" and order.candidate is None:
            self._redis.delete(self._keys.policy_trial(name))
        return what.decode()

    def holds(self, name: str, order: Order) -> bool:
        """Whether Redis has `order`, or a later one, and its files."""
        value = self._redis.get(self._keys.policy(name))
        if value is None:
            return False
        held = policies.order(value)
        if held.serial > order.serial:
            return True
        kept = [self._redis.ttl(self._keys.policy(name, digest)) == -1 for digest in order.versions]
        return held == order and all(kept)

    def convergence(self, name: str, order: Order) -> Convergence:
        """Which of the live nodes run `order` now. Nodes of another policy are not counted."""
        return judge(name, order, *self._heard())

    def _heard(self) -> tuple[dict[str, Word], tuple[str, ...]]:
        """What nodes said last, and which of them live."""
        beats = {node.decode(): int(at) for node, at in self._redis.hgetall(self._keys.nodes).items() if at.isdigit()}
        said = self._redis.hgetall(self._keys.policy_acks)
        words = {node.decode(): found for node, value in said.items() if (found := policies.word(value)) is not None}
        return words, live(beats, self._clock_ms())

    def seen(self, name: str, order: Order) -> Seen:
        """What the live nodes saw of the candidate of `order` since it was ordered, and how the site does."""
        words, nodes = self._heard()
        told = self._redis.hgetall(self._keys.policy_trial(name))
        tried = {node.decode(): found for node, value in told.items() if (found := policies.tried(value)) is not None}
        health = self._redis.get(self._keys.health)
        return sum_up(name, order, words, nodes, tried, sample(health) if health else None)

    def converged(self, name: str, order: Order, within_s: float) -> Convergence:
        """As soon as every live node has run or refused `order`, or when `within_s` is over."""
        deadline = time.monotonic() + within_s
        while (found := self.convergence(name, order)).missing and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


def sample(health: bytes) -> Sample | None:
    """How the site does, as the leading enforcer says it; None where nobody asks it for anything."""
    found = json.loads(health)
    if not found["requests_per_second"]:
        return None
    return Sample(found["at_ms"], found["requests_per_second"], found["errors"], found["latency_ms"])


def sum_up(
    name: str, order: Order, words: Mapping[str, Word], nodes: tuple[str, ...], tried: Mapping[str, Tried],
    health: Sample | None,
) -> Seen:  # fmt: skip
    """What the live `nodes` of the policy saw, together: a client of several of them counts at each."""
    ours = [node for node in nodes if node not in words or words[node].name == name]
    parts = [tried[node] for node in ours if node in tried and tried[node].serial == order.serial]
    routes: dict[str, tuple[int, int, int]] = {}
    for part in parts:
        for route, row in part.routes.items():
            before = routes.get(route, (0, 0, 0))
            routes[route] = (before[0] + row[0], before[1] + row[1], before[2] + row[2])
    refused = [
        (node, words[node].candidate_refused)
        for node in ours
        if node in words and words[node].serial == order.serial and words[node].candidate_refused
    ]
    silent = [node for node in ours if node not in tried or tried[node].serial != order.serial]
    sums = {field: sum(getattr(part, field) for part in parts) for field in _SUMMED}
    return Seen(Tried(serial=order.serial, routes=routes, **sums), tuple(refused), tuple(silent), len(ours), health)


def judge(name: str, order: Order, words: Mapping[str, Word], nodes: tuple[str, ...]) -> Convergence:
    """How far `order` has come among the live `nodes`, by what they said last."""
    ours = [node for node in nodes if node not in words or words[node].name == name]
    heard = {node: words[node] for node in ours if node in words and words[node].serial >= order.serial}
    return Convergence(
        {
            node: max(0, word.at_ms - order.at_ms)
            for node, word in sorted(heard.items())
            if not (word.refused or word.candidate_refused)
        },
        {node: why for node, word in sorted(heard.items()) if (why := word.refused or word.candidate_refused)},
        tuple(node for node in ours if node not in heard),
    )
