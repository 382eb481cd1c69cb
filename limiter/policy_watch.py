"""Takes a changed policy into force while the node runs: on SIGHUP, and when its files are others than before.

The new policy is read and made ready in a thread that keeps giving way, and takes the old one's place in one step; one
that cannot be taken changes nothing, is told of in the log and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from limiter.errors import PolicyError
from limiter.matcher import Matcher
from limiter.metrics import Metrics
from limiter.policy import Policy
from limiter.policy_file import load, no_collections
from schemas.documents import files_of

EVERY_S: Final = 1.0
TURN_S: Final = 0.001  # so long a stretch of work, and so long a rest after it: no check waits longer for its turn
_Seen = tuple[tuple[str, int, int], ...]
log = structlog.get_logger("limiter.policy")


class PolicyWatch:
    """Watches `path`; `use` is called, on the event loop, with each policy read from it, and returns the one before.

    While `idle`, a policy from elsewhere holds, and the files are not read.
    """

    def __init__(
        self,
        path: Path,
        use: Callable[[Matcher], Matcher],
        metrics: Metrics,
        every_s: float = EVERY_S,
        *,
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._use = use
        self._metrics = metrics
        self._every_s = every_s
        self._idle = idle
        self._seen = _seen(path)  # before the caller reads it: a change in between is a change
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._watch(), name="limiter-policy")

    def now(self) -> None:
        """Reads it again at once, changed or not. For signal handlers: safe from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._asked.set)

    async def aclose(self) -> None:
        """Stops watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._every_s)
            asked = self._asked.is_set()
            self._asked.clear()
            seen = await asyncio.to_thread(_seen, self._path)
            if asked or seen != self._seen:
                self._seen = seen
                if not self._idle():
                    await self._take()
                else:
                    log.warning("policy_file_not_used", why="a policy of the store holds here", file=str(self._path))

    async def _take(self) -> None:
        began = time.perf_counter()
        try:
            matcher = await asyncio.to_thread(ready, partial(load, self._path))
        except PolicyError as error:
            self._metrics.policy_reloads.labels("failed").inc()
            log.error("policy_not_taken", error=str(error), kept="the one before")  # noqa: TRY400 - the message is all
            return
        limits, name = len(matcher.policy.limits), matcher.policy.name
        last = [self._use(matcher)]
        del matcher
        self._metrics.policy_reloads.labels("ok").inc()
        took_ms = round((time.perf_counter() - began) * 1000)
        log.info("policy_taken", policy=name, limits=limits, took_ms=took_ms)
        await asyncio.to_thread(let_go, last)


def _seen(path: Path) -> _Seen:
    """What the files of a policy look like from outside; empty where they cannot be looked at."""
    try:
        found = [(str(file), file.stat()) for file in files_of(path)]
    except (OSError, PolicyError):
        return ()
    return tuple((name, each.st_mtime_ns, each.st_size) for name, each in found)


def ready(policy: Callable[[Callable[[], None]], Policy]) -> Matcher:
    """A policy made ready, in a thread that keeps giving way; raises what `policy` does, which is handed `breathe`."""
    breathe = _breathing()
    with no_collections():
        return Matcher(policy(breathe), breathe)


def let_go(last: list[Matcher]) -> None:
    """Frees the only one in `last`, giving way."""
    last.pop().let_go(_breathing())


def _breathing() -> Callable[[], None]:
    until = time.perf_counter() + TURN_S

    def breathe() -> None:
        nonlocal until
        if time.perf_counter() >= until:
            time.sleep(TURN_S)
            until = time.perf_counter() + TURN_S

    return breathe
