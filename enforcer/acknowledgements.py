"""When every limiter node has an action: the nodes' own words, put beside when the evidence sufficed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from enforcer import metrics
from enforcer.writer import Written
from schemas.action import Action, ActionKind
from schemas.keys import Keys

LIVE_MS: Final = 5_000
WAIT_MS: Final = 10_000
KEPT: Final = 1_000
LOOK_S: Final = 0.005
IDLE_S: Final = 1.0
AWAY_S: Final = 0.1
PENDING_MAX: Final = 10_000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Enforcement:
    """An action's way to the limiters. `ack_ms` counts from `created_ms` on; `total_ms` from `crossed_ms` to the last.

    A node says when it reached the version it runs now: where it has gone on meanwhile, its time is an upper bound.
    `p50_ms` and `p99_ms` are over the nodes, from `crossed_ms` (for what no decision caused, from `created_ms`) on.
    `total_ms` is None while nobody acknowledged, and for what no decision caused (commands, brownouts, what goes on).
    """

    action: str
    kind: str
    target: str
    crossed_ms: int | None
    created_ms: int
    written_ms: int
    version: int
    ack_ms: dict[str, int]
    missing: tuple[str, ...]
    total_ms: int | None
    p50_ms: int | None = None
    p99_ms: int | None = None
    level: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the log."""
        return asdict(self)


Measured = Callable[[Enforcement], object]
"""Hears of each action when its way to the limiters is settled; may not wait."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    action: Action
    written: Written


def live(heartbeats: Mapping[str, int], now_ms: int) -> tuple[str, ...]:
    """Nodes whose heartbeat is younger than `LIVE_MS`."""
    return tuple(sorted(node for node, at_ms in heartbeats.items() if now_ms - at_ms < LIVE_MS))


def parse_acks(raw: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """`node -> "VERSION AT_MS"` as numbers; what is malformed is left out."""
    acks = {}
    for node, text in raw.items():
        version, _, at_ms = text.partition(" ")
        if version.isdigit() and at_ms.isdigit():
            acks[node] = (int(version), int(at_ms))
    return acks


def judge(
    action: Action, version: int, written_ms: int, acks: Mapping[str, tuple[int, int]], nodes: tuple[str, ...]
) -> Enforcement:
    """How far `action`, version `version` of the feed, has come among the live `nodes`."""
    at = {node: acks[node][1] for node in nodes if node in acks and acks[node][0] >= version}
    since = None if action.kind is ActionKind.BROWNOUT else action.crossed_ms
    took = sorted(at_ms - (action.created_ms if since is None else since) for at_ms in at.values())
    return Enforcement(
        action=action.uid,
        kind=action.kind,
        target=action.target.key,
        crossed_ms=since,
        created_ms=action.created_ms,
        written_ms=written_ms,
        version=version,
        ack_ms={node: at_ms - action.created_ms for node, at_ms in at.items()},
        missing=tuple(node for node in nodes if node not in at),
        total_ms=max(at.values()) - since if at and since is not None else None,
        p50_ms=_share(took, 50),
        p99_ms=_share(took, 99),
        level=action.level,
    )


def _share(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest that `percent` of them do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


class Watch:
    """Actions just written, until every live node has them or `WAIT_MS` passed; the last `KEPT` results."""

    def __init__(
        self, client: Redis, keys: Keys, clock_ms: Callable[[], int],
        told: Measured = lambda _: None,
    ) -> None:  # fmt: skip
        self._told = told
        self._redis = client
        self._keys = keys
        self._clock_ms = clock_ms
        self._waiting: deque[_Waiting] = deque(maxlen=PENDING_MAX)
        self.done: deque[Enforcement] = deque(maxlen=KEPT)

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for."""
        return not self._waiting

    def add(self, action: Action, written: Written) -> None:
        """Follow `action` from here."""
        self._waiting.append(_Waiting(action, written))

    async def run(self, over: Callable[[], bool]) -> None:
        """Look until it is `over`: at once while something is waited for, else now and then for the count of nodes."""
        looked_s = 0.0
        while not over():
            if not self.idle or time.monotonic() - looked_s >= IDLE_S:
                looked_s = time.monotonic()
                try:
                    await self.look()
                except RedisError:
                    metrics.REDIS_ERRORS.inc()
                    await asyncio.sleep(AWAY_S)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask Redis once, and settle what is complete or too old. Raises `redis.RedisError`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.acks)
            pipe.hgetall(self._keys.nodes)
            raw_acks, raw_nodes = await pipe.execute()
        now_ms = self._clock_ms()
        nodes = live({node.decode(): int(at) for node, at in raw_nodes.items() if at.isdigit()}, now_ms)
        metrics.LIVE_NODES.set(len(nodes))
        acks = parse_acks({node.decode(): text.decode() for node, text in raw_acks.items()})
        while self._waiting:
            waiting = self._waiting[0]
            result = judge(waiting.action, waiting.written.version, waiting.written.at_ms, acks, nodes)
            complete = bool(result.ack_ms) and not result.missing
            if not complete and now_ms - waiting.written.at_ms <= WAIT_MS:
                return  # who lacks it lacks what was written after it
            self._waiting.popleft()
            self._settle(result, complete=complete)

    def _settle(self, result: Enforcement, *, complete: bool) -> None:
        self.done.append(result)
        self._told(result)
        since_crossed_ms = result.created_ms - result.crossed_ms if result.crossed_ms is not None else None
        for took_ms in result.ack_ms.values():
            metrics.NODE_TIME_TO_ENFORCE.labels("created").observe(took_ms / 1000)
            if since_crossed_ms is not None:
                metrics.NODE_TIME_TO_ENFORCE.labels("crossed").observe((took_ms + since_crossed_ms) / 1000)
        if not complete:
            metrics.UNACKNOWLEDGED.inc()
            _log.warning("unacknowledged", **result.as_dict())
            return
        metrics.TIME_TO_ENFORCE.labels("created").observe(max(result.ack_ms.values()) / 1000)
        if result.total_ms is not None:
            metrics.TIME_TO_ENFORCE.labels("crossed").observe(result.total_ms / 1000)
