"""Brings the version of a policy that holds to Redis, and hears from the nodes which run it.

Anyone may publish, any number of times: an order that is there already, or is older than what is there, changes
nothing. So a command publishes what it has just written, and every enforcer whatever Redis lacks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis

from enforcer.acknowledgements import live
from enforcer.writer import FEED_MAX
from schemas import policies
from schemas.keys import Keys
from schemas.policies import Files, Order, Word

KEPT_S: Final = 3_600  # files of a version that holds no more, for nodes that are just reading them
_POLL_S: Final = 0.01
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

    def publish(self, name: str, order: Order, files: Callable[[], Files]) -> str:
        """Have limiters take `order`: `done`, `same` or `stale`. `files` is asked where Redis lacks them."""
        place, body = self._keys.policy(name), self._keys.policy(name, order.digest)
        before = self._redis.get(place)
        if not self._redis.persist(body) and not self._redis.exists(body):
            self._redis.hset(body, mapping={file: policies.packed(data) for file, data in files().items()})
        args: list[bytes | str | int] = [policies.encode(order), order.serial, name, self._clock_ms(), FEED_MAX]
        what: bytes = self._script(keys=[place, self._keys.enforcement, self._keys.feed], args=args)
        if what == b"done" and before is not None and (gone := policies.order(before).digest) != order.digest:
            self._redis.expire(self._keys.policy(name, gone), KEPT_S)
        return what.decode()

    def holds(self, name: str, order: Order) -> bool:
        """Whether Redis has `order`, or a later one, and its files."""
        value = self._redis.get(self._keys.policy(name))
        if value is None:
            return False
        held = policies.order(value)
        if held.serial > order.serial:
            return True
        return held == order and self._redis.ttl(self._keys.policy(name, order.digest)) == -1

    def convergence(self, name: str, order: Order) -> Convergence:
        """Which of the live nodes run `order` now. Nodes of another policy are not counted."""
        beats = {node.decode(): int(at) for node, at in self._redis.hgetall(self._keys.nodes).items() if at.isdigit()}
        said = self._redis.hgetall(self._keys.policy_acks)
        words = {node.decode(): found for node, value in said.items() if (found := policies.word(value)) is not None}
        return judge(name, order, words, live(beats, self._clock_ms()))

    def converged(self, name: str, order: Order, within_s: float) -> Convergence:
        """As soon as every live node has run or refused `order`, or when `within_s` is over."""
        deadline = time.monotonic() + within_s
        while (found := self.convergence(name, order)).missing and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


def judge(name: str, order: Order, words: Mapping[str, Word], nodes: tuple[str, ...]) -> Convergence:
    """How far `order` has come among the live `nodes`, by what they said last."""
    ours = [node for node in nodes if node not in words or words[node].name == name]
    heard = {node: words[node] for node in ours if node in words and words[node].serial >= order.serial}
    return Convergence(
        {node: max(0, word.at_ms - order.at_ms) for node, word in sorted(heard.items()) if not word.refused},
        {node: word.refused for node, word in sorted(heard.items()) if word.refused},
        tuple(node for node in ours if node not in heard),
    )
