"""Which bouncer a key lets in: settings' keys out of memory, the store's by asking it, each time: revoked is revoked.

Nobody but the one who asks waits for the store. Where it is away, whom it let in last is let in, and nobody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from enforcer.bouncers.keys import Keys
from enforcer.bouncers.pulls import Puller
from enforcer.callers import Role
from enforcer.store.access import MARK, Access, Key
from schemas import sql
from schemas.settings import PREFIX, Settings

ASK_S: Final = 2.0
AWAY_S: Final = 1.0  # so long a store that did not answer is not asked again
NOTE_EVERY_MS: Final = 5_000
KNOWN_MAX: Final = 10_000
_THREADS: Final = 4
_FAILURES: Final = (DBAPIError, NoConnectionError)
log = structlog.get_logger("enforcer.bouncers")


class StoreAwayError(RuntimeError):
    """Whether a key holds cannot be told: the store does not answer, and it did not let this key in before."""


class Admission:
    """Keys of settings and, with `access`, of the store. For one event loop."""

    def __init__(self, keys: Keys, access: Access | None, clock_ms: Callable[[], int]) -> None:
        self._keys = keys
        self._access = access
        self._clock_ms = clock_ms
        self._pool = ThreadPoolExecutor(_THREADS, "bouncer-keys")
        self._known: OrderedDict[bytes, Key] = OrderedDict()  # let in when the store was asked last, by digest
        self._noted_ms: OrderedDict[str, int] = OrderedDict()
        self._away_until_s = 0.0

    @classmethod
    def of(cls, settings: Settings, access: Access | None, clock_ms: Callable[[], int]) -> Self:
        """With the keys that settings have. Raises `SettingsError`."""
        return cls(Keys(settings.bouncer_keys.get_secret_value(), PREFIX + "BOUNCER_KEYS"), access, clock_ms)

    async def admit(self, key: str, address: str, agent: str) -> Puller | None:
        """Who asks with `key`; None: nobody whom we know. Raises `StoreAwayError`."""
        name = self._keys.name_of(key)
        if name is not None:
            return Puller(name, address, agent)
        found = await self._holding(key)
        if found is None:
            return None
        self._note(found.id, address, agent)
        return Puller(found.name, address, agent, found.id)

    async def holds(self, key: str) -> bool:
        """Whether `key` still lets in whom it let in."""
        try:
            return self._keys.name_of(key) is not None or await self._holding(key) is not None
        except StoreAwayError:
            return False

    async def _holding(self, key: str) -> Key | None:
        access, now_ms = self._access, self._clock_ms()
        if access is None or not key.startswith(MARK):
            return None
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        if time.monotonic() >= self._away_until_s:
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(ASK_S):
                    found = await loop.run_in_executor(self._pool, access.holding, key, now_ms)
            except (*_FAILURES, TimeoutError) as error:
                self._away_until_s = time.monotonic() + AWAY_S
                log.warning("store_away", error=sql.reason(error) or f"no answer within {ASK_S} s")
            else:
                return self._remember(digest, found)
        known = self._known.get(digest)
        if known is None:
            raise StoreAwayError("the store with the keys does not answer: ask again")
        return known if known.expires_ms is None or known.expires_ms > now_ms else None

    def _remember(self, digest: bytes, found: Key | None) -> Key | None:
        if found is None or found.role != Role.BOUNCER:
            self._known.pop(digest, None)
            return None
        self._known[digest] = found
        self._known.move_to_end(digest)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return found

    def _note(self, key_id: str, address: str, agent: str) -> None:
        """Have the store say that a bouncer asked with this key: now and then, and nobody waits for it."""
        now_ms = self._clock_ms()
        if now_ms - self._noted_ms.get(key_id, now_ms - NOTE_EVERY_MS) < NOTE_EVERY_MS:
            return
        self._noted_ms[key_id] = now_ms
        self._noted_ms.move_to_end(key_id)
        if len(self._noted_ms) > KNOWN_MAX:
            self._noted_ms.popitem(last=False)
        self._pool.submit(self._noted, key_id, address, agent, now_ms)

    def _noted(self, key_id: str, address: str, agent: str, now_ms: int) -> None:
        try:
            if self._access is not None:
                self._access.note_pull(key_id, address, agent, now_ms)
        except _FAILURES as error:
            log.warning("pull_not_noted", error=sql.reason(error))
