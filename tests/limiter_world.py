"""What the limiter's tests share: a server they may stop, the enforcer's side of the feed, polling with a deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis

from floodwarden import embedded
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


def action(kind: str, target: str, uid: str = "u1", **more: object) -> Action:
    target_kind, _, value = target.partition(":")
    fields: dict[str, object] = {
        "uid": uid,
        "kind": ActionKind(kind),
        "status": ActionStatus.ACTIVE,
        "target": Target(kind=TargetKind(target_kind), value=value),
        "reason": "test",
        "owner": "auto",
        "created_ms": now_ms(),
        "expires_ms": now_ms() + 600_000,
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


class Server:
    """A Redis of one's own, to be stopped, killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = embedded.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        binary = embedded.redis_binary()
        assert binary is not None
        command = [
            str(binary),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._directory),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.ConnectionError:
                    continue
                return
        raise RuntimeError("redis-server did not start")

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
