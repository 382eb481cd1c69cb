"""One connection to Redis for all checks: written to as they come, answered in order, heard also when it is late.

A pool would give each check a connection and close it when the check stops waiting: the next would have to connect
within its own deadline, and whether the script ran would never be known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

SILENT_S: Final = 1.0  # a line that owes a reply for so long is given up
ASKED_MAX: Final = 10_000
_GRACE: Final = 0.2  # of a wait: run once the rest is over, so that a stall of our own loop is not taken for Redis'
Hear = Callable[[list[Any]], None]


@dataclass(slots=True)
class _Asked:
    replies_due: int
    at_s: float
    answer: asyncio.Future[list[Any]]
    hear_late: Hear | None
    replies: list[Any] = field(default_factory=list)


def packed(*parts: str) -> bytes:
    """A command as Redis reads it."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"*%d\r\n%b" % (len(encoded), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded]))


class Line:
    """The connection; opened when first needed, and again after it was lost. `make` makes one not yet connected."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._connection: Any = None
        self._tls: Any = None  # loading certificates takes milliseconds of the loop: once
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []  # what is asked while others wait: together in one write

    async def ask(self, commands: bytes, replies: int, within_s: float, hear_late: Hear | None = None) -> list[Any]:
        """The `replies` to packed `commands`; an error that Redis answered stands among them.

        `hear_late` is given replies that nobody waited for any more.

        Raises:
            TimeoutError: no answer within `within_s`.
            RedisError, OSError: the connection was lost, or cannot be made.
        """
        if not replies:
            return []  # in line it would be given the next one's
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._asked and now_s - self._asked[0].at_s > SILENT_S:
            self._lost(self._connection, TimeoutError("silent"))
        if self._connection is None:
            await self._open(within_s)
        if len(self._asked) >= ASKED_MAX:
            raise TimeoutError("too many wait")
        asked = _Asked(replies, now_s, loop.create_future(), hear_late)
        self._asked.append(asked)
        timer = loop.call_later(within_s * (1 - _GRACE), self._nearly, asked, within_s * _GRACE)
        try:
            if len(self._asked) == 1:
                await self._connection.send_packed_command([commands], check_health=False)
            else:
                self._unsent.append(commands)
                if self._sending is None or self._sending.done():
                    self._sending = asyncio.create_task(self._send(), name="limiter-line-send")
            return await asked.answer
        finally:
            timer.cancel()

    async def aclose(self) -> None:
        """Closes it; whoever waits is told."""
        tasks = [task for task in (self._opening, self._reading, self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lost(self._connection, ConnectionError("closed"))

    def _nearly(self, asked: _Asked, grace_s: float) -> None:
        asyncio.get_running_loop().call_later(grace_s, _expire, asked)

    async def _open(self, within_s: float) -> None:
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect(), name="limiter-line-open")
            self._opening.add_done_callback(_seen)
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._opening)  # who stops waiting leaves it to the next

    async def _connect(self) -> None:
        connection = self._make()
        if hasattr(connection, "ssl_context"):
            self._tls = connection.ssl_context = self._tls or connection.ssl_context
        connection.socket_timeout = None  # it is read all the time; the deadline is each check's own
        async with asyncio.timeout(SILENT_S):
            await connection.connect()
        self._connection = connection
        self._reading = asyncio.create_task(self._read(connection), name="limiter-line")

    async def _send(self) -> None:
        connection = self._connection
        try:
            while self._unsent and connection is self._connection:
                unsent, self._unsent = self._unsent, []
                await connection.send_packed_command(unsent, check_health=False)
        except (RedisError, OSError) as error:
            self._lost(connection, error)

    async def _read(self, connection: Any) -> None:
        try:
            while True:
                try:
                    reply = await connection.read_response()
                except ResponseError as error:
                    reply = error
                self._heard(reply)
        except (RedisError, OSError) as error:
            self._lost(connection, error)

    def _heard(self, reply: Any) -> None:
        asked = self._asked[0]
        asked.replies.append(reply)
        if len(asked.replies) < asked.replies_due:
            return
        self._asked.popleft()
        if not asked.answer.done():
            asked.answer.set_result(asked.replies)
        elif asked.hear_late is not None:
            asked.hear_late(asked.replies)

    def _lost(self, connection: Any, error: Exception) -> None:
        if connection is None or connection is not self._connection:
            return
        self._connection = None
        self._unsent = []
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()
        waiting, self._asked = self._asked, deque()
        for asked in waiting:
            if not asked.answer.done():
                asked.answer.set_exception(error)
        closing = asyncio.ensure_future(connection.disconnect(nowait=True))
        closing.add_done_callback(_seen)


def _expire(asked: _Asked) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(TimeoutError("no answer in time"))


def _seen(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has it; the loop need not complain of it
