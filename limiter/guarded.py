"""A line to one Redis server behind its breaker: asked while it answers, probed while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from redis.exceptions import AskError, ClusterDownError, NoScriptError, RedisError, ResponseError

from limiter.breaker import Breaker
from limiter.line import SILENT_S, Hear, Line, packed

PATIENCE_S: Final = 0.25  # for what no client waits for
AWAY: Final = (RedisError, OSError, TimeoutError)
_PING: Final = packed("PING")
_CLUSTER_INFO: Final = packed("CLUSTER", "INFO")
Changed = Callable[[bool, str], None]


class AwayError(ConnectionError):
    """It was not asked, for it is known not to answer."""


def reason_of(error: BaseException) -> str:
    """A short stable word for logs and counters."""
    return "deadline" if isinstance(error, TimeoutError) else type(error).__name__


class Guarded:
    """One server. `scripts` are loaded when it lacks them; `changed(away, reason)` is told when it goes and returns.

    `redirects`: it is a cluster's, whose MOVED and ASK are answers and no failures.
    """

    def __init__(
        self,
        line: Line,
        scripts: Sequence[str],
        deadline_s: float,
        clock_ms: Callable[[], int],
        changed: Changed,
        *,
        redirects: bool = False,
    ) -> None:
        self.line = line
        self._load = b"".join([packed("SCRIPT", "LOAD", script) for script in scripts])
        self._scripts = len(scripts)
        self._deadline_s = deadline_s
        self._clock_ms = clock_ms
        self._changed = changed
        self._redirects = redirects
        self._breaker = Breaker()
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether it is not asked."""
        return self._breaker.is_open

    async def ask(self, commands: Sequence[bytes], within_s: float, hear_late: Hear | None) -> list[Any]:
        """As `Line.ask`; scripts it has not are loaded, and only what lacked them is asked again.

        Raises:
            AwayError: not asked.
            TimeoutError, RedisError, OSError: as `Line.ask`.
        """
        if not commands:
            return []
        if self._breaker.is_open:
            raise AwayError("away")
        until_s = monotonic() + within_s
        try:
            packed_all = commands[0] if len(commands) == 1 else b"".join(commands)
            replies = await self.line.ask(packed_all, len(commands), within_s, hear_late)
            errors = [reply for reply in replies if isinstance(reply, ResponseError)]
            if errors:
                errors = await self._mended(commands, replies, until_s, hear_late)
        except AWAY as error:
            self._failed(error)
            raise
        if errors:
            self._failed(errors[0])
        else:
            self._breaker.succeeded()
        return replies

    async def probe(self, connecting_s: float = PATIENCE_S) -> None:
        """Returns when it has the scripts and answers within the deadline; raises as `Line.ask`, or what it answers."""
        loaded = await self.line.ask(self._load, self._scripts, max(self._deadline_s, connecting_s))
        (answer,) = await self.line.ask(_CLUSTER_INFO if self._redirects else _PING, 1, self._deadline_s)
        for reply in (*loaded, answer):
            if isinstance(reply, Exception):
                raise reply
        if self._redirects and b"cluster_state:ok" not in answer:
            raise ClusterDownError("it has not joined the others yet")

    async def warm(self) -> bool:
        """Connects and loads the scripts, so that the first check finds both; when it cannot, it is away."""
        try:
            await self.probe(SILENT_S)
        except AWAY as error:
            self.gone(reason_of(error))
        return not self._breaker.is_open

    def gone(self, reason: str) -> None:
        """It is known to be away; asked again when probes are answered."""
        if not self._breaker.is_open:
            self._breaker.open(self._clock_ms())
            self._start(reason)

    async def aclose(self) -> None:
        """Ends probes, closes the line."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self.line.aclose()

    async def _mended(
        self, commands: Sequence[bytes], replies: list[Any], until_s: float, hear_late: Hear | None
    ) -> list[ResponseError]:
        """Asks again what lacked its script; the errors in `replies` that are left then, and are no redirection."""
        lacking = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if lacking:
            await self._again(commands, replies, lacking, until_s, hear_late)
        return [reply for reply in replies if isinstance(reply, ResponseError) and not self._follows(reply)]

    async def _again(
        self, commands: Sequence[bytes], replies: list[Any], lacking: list[int], until_s: float, hear_late: Hear | None
    ) -> None:
        def heard(late: list[Any]) -> None:
            if hear_late is not None:
                hear_late(_placed(len(commands), lacking, late[self._scripts :]))

        within_s = max(until_s - monotonic(), 0.0)
        again = self._load + b"".join([commands[n] for n in lacking])
        got = await self.line.ask(again, self._scripts + len(lacking), within_s, heard)
        for n, reply in zip(lacking, got[self._scripts :], strict=True):
            replies[n] = reply

    def _follows(self, reply: ResponseError) -> bool:
        return self._redirects and isinstance(reply, AskError)  # MOVED is a kind of it

    def _failed(self, error: BaseException) -> None:
        if self._breaker.failed(self._clock_ms()):
            self._start(reason_of(error))

    def _start(self, reason: str) -> None:
        self._probing = asyncio.create_task(self._until_back(), name="limiter-probe")
        self._changed(True, reason)

    async def _until_back(self) -> None:
        while True:
            await asyncio.sleep(self._breaker.until_probe_ms() / 1000)
            try:
                await self.probe()
                answered = True
            except AWAY:
                answered = False
            if self._breaker.probed(self._clock_ms(), answered=answered):
                self._changed(False, "answered")
                return


def _placed(size: int, at: Sequence[int], replies: Sequence[Any]) -> list[Any]:
    placed: list[Any] = [AwayError("not asked of this one")] * size
    for n, reply in zip(at, replies, strict=True):
        placed[n] = reply
    return placed
