"""What the limiter's tests share: a server they may stop, the enforcer's side of the feed, polling with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import redis
from redis.asyncio import Redis as AsyncRedis
from redis_world import Instance

from limiter.metrics import Metrics
from limiter.node import Node
from limiter.overrides import Overrides
from limiter.policy import Limit, Policy, Tier
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.keys import Keys
from schemas.settings import Settings

KEYS = Keys()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def settings(redis_url: str, **more: object) -> Settings:
    # A deadline no loaded machine misses, unless a test is about the deadline; a Kafka that is not there.
    fields: dict[str, object] = {"redis": redis_url, "redis_deadline_ms": 2000, "node": "n1", "kafka": "127.0.0.1:1"}
    return Settings(**(fields | more))  # type: ignore[arg-type]


def action(kind: str, target: str, uid: str = "u1", *, at_ms: int | None = None, **more: object) -> Action:
    """In force from `at_ms`, else from now, for ten minutes."""
    target_kind, _, value = target.partition(":")
    fields: dict[str, object] = {
        "uid": uid,
        "kind": ActionKind(kind),
        "status": ActionStatus.ACTIVE,
        "target": Target(kind=TargetKind(target_kind), value=value),
        "reason": "test",
        "owner": "auto",
        "created_ms": (created_ms := now_ms() if at_ms is None else at_ms),
        "expires_ms": created_ms + 600_000,
    }
    return Action.model_validate(fields | more)


class Enforcer:
    """Writes the snapshot and the feed as the protocol has it."""

    def __init__(self, url: str, epoch: str = "one") -> None:
        self.redis = redis.Redis.from_url(url)
        self.version = 0
        self.epoch = epoch

    def create(self, version: int = 0, *actions: Action) -> None:
        self.version = version
        fields = {each.uid: each.model_dump_json() for each in actions}
        self.redis.hset(KEYS.enforcement, mapping=fields | {"version": version, "id": "0-0", "epoch": self.epoch})

    def put(self, each: Action) -> None:
        self._write(
            "put", each.model_dump_json(), lambda pipe: pipe.hset(KEYS.enforcement, each.uid, each.model_dump_json())
        )

    def remove(self, uid: str) -> None:
        self._write("del", uid, lambda pipe: pipe.hdel(KEYS.enforcement, uid))

    def _write(self, op: str, body: str, change: Callable[[redis.client.Pipeline], object]) -> None:
        self.version += 1
        entry = {"v": self.version, "op": op, "body": body, "at": now_ms()}
        with self.redis.pipeline() as pipe:
            change(pipe)
            pipe.xadd(KEYS.feed, entry, id=f"{self.version}-1")
            pipe.hset(KEYS.enforcement, mapping={"version": self.version, "id": f"{self.version}-1"})
            pipe.execute()


async def eventually(holds: Callable[[], bool | Awaitable[bool]], within_s: float = 8.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not come true in time")


class Server(Instance):
    """A Redis of one's own, to be stopped, killed and started again on the same port."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@asynccontextmanager
async def node_of(url: str, *limits: Limit, nodes: int = 1, **more: object) -> AsyncIterator[Node]:
    """A node that decides by `limits`, one of so many."""
    policy = Policy("test", limits, {"default": Tier("default")}, "default", "default")
    client = AsyncRedis.from_url(url)
    node = Node(settings(url, **more), policy, client, Overrides(), Metrics(), nodes=lambda: nodes)
    await node.warm()
    try:
        yield node
    finally:
        await node.aclose()
        await client.aclose()


async def answering(client: httpx.AsyncClient) -> None:
    """Wait until the limiter behind `client` is ready."""

    async def ready() -> bool:
        try:
            return (await client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(ready, within_s=60)
