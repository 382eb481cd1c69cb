"""How what follows Redis in the background ends: its task, and its word in Redis."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.exceptions import RedisError

_AGAIN_S = 0.5
_WORD_S = 0.5


async def leave(task: asyncio.Task[None] | None, redis: Any, key: str, node: str) -> None:
    """End `task`, and take `node` out of the hash at `key`, where Redis answers within half a second."""
    while task is not None and not task.done():
        task.cancel()  # again, for the client may take one for a lost connection
        await asyncio.wait((task,), timeout=_AGAIN_S)
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_WORD_S):
            await redis.hdel(key, node)
