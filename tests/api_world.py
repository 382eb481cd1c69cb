"""An enforcer with its store and its API among real servers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from enforcer_world import World
from pydantic import SecretStr

from enforcer.api.door import Parts, verifier
from enforcer.api.live import Live
from enforcer.callers import Role, Scope
from enforcer.store import database
from enforcer.store.access import Access
from floodwarden.embedded import free_port
from schemas import sql
from schemas.settings import Settings


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


class ApiWorld(World):
    """A world whose enforcer has an API; the store is a file under `directory`."""

    def __init__(self, broker: str, redis_url: str, prefix: str, directory: Path, **settings: Any) -> None:
        url = f"sqlite:///{directory}/store.db"
        super().__init__(broker, redis_url, prefix, store=SecretStr(url), api_port=free_port(), **settings)
        self.engine = sql.engine(url)
        database.upgrade(self.engine)
        self.base = f"http://127.0.0.1:{self.settings.api_port}/api/v1"

    def key(self, role: Role = Role.ADMIN, *only: Scope, name: str = "ann", tenant: str | None = None) -> str:
        """A new key."""
        return Access(self.engine).create_key(name, role, "cli:test", clock_ms(), only=only, tenant=tenant)[1]

    def client(self, key: str = "", **headers: str) -> httpx.Client:
        """Somebody who asks with that key."""
        shown = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.base, headers=shown | headers, timeout=20)

    @staticmethod
    def parts(url: str, settings: Settings | None = None) -> Parts:
        """What an application in this process is made of, over an empty store."""
        engine = sql.engine(url)
        database.upgrade(engine)
        given = settings or Settings()
        return Parts(given, engine, Live(), verifier(given), clock_ms)
