"""One connection to Redis for all checks: written to as they come, answered in order, heard also when it is late.

A pool would give each check a connection and close it when the check stops waiting: the next would have to connect
within its own deadline, and whether the script ran would never be known. redis-py makes the connection (TLS, ACL,
protocol); after that its bytes are ours: reading them where they arrive halves what a check costs this process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hiredis import PushNotification, Reader
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

from limiter.eager import Prompt
from limiter.vigil import Vigil

SILENT_S: Final = 1.0  # a line that owes a reply for so long is given up
ASKED_MAX: Final = 10_000
_GRACE: Final = 0.2  # of a wait: run once the rest is over, so that a stall of our own loop is not taken for Redis'
_SOON: Final = 8  # replies that a Redis nearby has given before anybody falls asleep
_NOT_YET: Final = object()
Hear = Callable[[list[Any]], None]


class _Asked(Prompt[list[Any]]):
    """What was asked: its replies as far as they came, and until when somebody waits for them."""

    __slots__ = ("at_s", "due", "grace_s", "hear_late", "nearly_s", "replies")

    def __init__(self, due: int, at_s: float, within_s: float, hear_late: Hear | None) -> None:
        super().__init__()
        self.due = due  # replies
        self.at_s = at_s
        self.grace_s = within_s * _GRACE
        self.nearly_s = at_s + within_s - self.grace_s  # when most of the wait is over
        self.hear_late = hear_late
        self.replies: list[Any] = []


def packed(*parts: str) -> bytes:
    """A command as Redis reads it."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"*%d\r\n%b" % (len(encoded), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded]))


class Line:
    """The connection; opened when first needed, and again after it was lost. `make` makes one not yet connected."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._wire: _Wire | None = None
        self._tls: Any = None  # loading certificates takes milliseconds of the loop: once
        self._opening: asyncio.Task[None] | None = None
        self._asked: deque[_Asked] = deque()
        self._watch: asyncio.Handle | None = None  # at the first of those who wait
        self._watch_s = 0.0  # when that is: a handle tells it on some loops only
        self._vigil = Vigil()
        self._unsent: list[bytes] = []  # what is asked while others wait: together in one write

    def ask(
        self, commands: bytes, replies: int, within_s: float, hear_late: Hear | None = None
    ) -> Awaitable[list[Any]]:
        """The `replies` to packed `commands`, asked at once where the line is open; its errors stand among them.

        `hear_late` is given replies that nobody waited for any more. To be awaited, which raises:
            TimeoutError: no answer within `within_s`.
            RedisError, OSError: the connection was lost, or cannot be made.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._asked and now_s - self._asked[0].at_s > SILENT_S:
            self._lost(self._wire, TimeoutError("silent"))
        if self._wire is None or not replies or len(self._asked) >= ASKED_MAX:
            return self._ask_later(commands, replies, within_s, hear_late)
        return self._put(commands, _Asked(replies, now_s, within_s, hear_late), loop)

    async def _ask_later(self, commands: bytes, replies: int, within_s: float, hear_late: Hear | None) -> list[Any]:
        if not replies:
            return []  # in line it would be given the next one's
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._wire is None:
            await self._open(within_s)
        if len(self._asked) >= ASKED_MAX:
            raise TimeoutError("too many wait")
        return await self._put(commands, _Asked(replies, now_s, within_s, hear_late), loop)

    def _put(self, commands: bytes, asked: _Asked, loop: asyncio.AbstractEventLoop) -> _Asked:
        self._asked.append(asked)
        self._send(commands, loop)
        if self._watch is None or self._watch_s > asked.nearly_s:
            self._watch_until(asked.nearly_s, loop)
        return asked

    async def aclose(self) -> None:
        """Closes it; whoever waits is told."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        self._lost(self._wire, ConnectionError("closed"))

    def _watch_until(self, at_s: float, loop: asyncio.AbstractEventLoop) -> None:
        """One timer watches all who wait: setting and cancelling one for each would cost more than asking."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch, self._watch_s = loop.call_at(at_s, self._look, loop), at_s

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        now_s, next_s = loop.time(), None
        for asked in self._asked:
            if asked.nearly_s <= now_s:
                loop.call_later(asked.grace_s, _expire, asked)
                asked.nearly_s = float("inf")
            elif next_s is None or asked.nearly_s < next_s:
                next_s = asked.nearly_s
        if next_s is not None and next_s != float("inf"):
            self._watch_until(next_s, loop)

    async def _open(self, within_s: float) -> None:
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect(), name="limiter-line-open")
            self._opening.add_done_callback(_seen)
        await asyncio.wait((self._opening,), timeout=within_s)  # who stops waiting leaves it to the next
        if not self._opening.done():
            raise TimeoutError("not connected yet")
        self._opening.result()
        if self._wire is None:
            raise RedisConnectionError("lost as soon as it was made")

    async def _connect(self) -> None:
        connection = self._make()
        if hasattr(connection, "ssl_context"):
            self._tls = connection.ssl_context = self._tls or connection.ssl_context
        async with asyncio.timeout(SILENT_S):
            await connection.connect()
        self._wire = _Wire(connection, self._heard, self._lost)

    def _send(self, commands: bytes, loop: asyncio.AbstractEventLoop) -> None:
        if self._wire is not None and len(self._asked) == 1:
            self._wire.write(commands)
            if self._asked[0].due <= _SOON:
                self._vigil.keep(loop)
            return
        self._unsent.append(commands)
        if len(self._unsent) == 1:
            loop.call_soon(self._send_rest)

    def _send_rest(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._wire is not None and unsent:
            self._wire.write(b"".join(unsent))

    def _heard(self, wire: _Wire, reply: Any) -> None:
        if wire is not self._wire:
            return
        if not self._asked:
            self._lost(wire, InvalidResponse("a reply to nothing"))
            return
        asked = self._asked[0]
        asked.replies.append(reply)
        if len(asked.replies) < asked.due:
            return
        self._asked.popleft()
        self._vigil.end()
        if not asked.done():
            asked.tell(asked.replies)
        elif asked.hear_late is not None:
            asked.hear_late(asked.replies)

    def _lost(self, wire: _Wire | None, error: Exception) -> None:
        if wire is None or wire is not self._wire:
            return
        self._wire = None
        self._unsent = []
        waiting, self._asked = self._asked, deque()
        for asked in waiting:
            if not asked.done():
                asked.fail(error)
        wire.close()


class _Wire(asyncio.Protocol):
    """A connection that redis-py made: what it says, reply by reply, in the turn of the loop in which it arrives."""

    def __init__(
        self, connection: Any, heard: Callable[[_Wire, Any], None], lost: Callable[[_Wire, Exception], None]
    ) -> None:
        self._connection = connection
        self._heard = heard
        self._lost = lost
        error = connection._parser.parse_error  # noqa: SLF001 - redis-py has no other way to hand over what it made
        self._reader = Reader(notEnoughData=_NOT_YET, protocolError=InvalidResponse, replyError=error)
        self._transport = connection._writer.transport  # noqa: SLF001 - the same
        self._transport.set_protocol(self)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        """Bytes of replies."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOT_YET:
                if not isinstance(reply, PushNotification):
                    self._heard(self, reply)
        except (InvalidResponse, TypeError, ValueError) as error:  # it answers something else than was asked
            self._lost(self, InvalidResponse(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._lost(self, exc if isinstance(exc, OSError) else RedisConnectionError("closed by Redis"))

    def close(self) -> None:
        """Closes it; what is left to be sent is dropped."""
        self._transport.abort()
        closing = asyncio.ensure_future(self._connection.disconnect(nowait=True))
        closing.add_done_callback(_seen)


def _expire(asked: _Asked) -> None:
    if not asked.done():
        asked.fail(TimeoutError("no answer in time"))


def _seen(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has it; the loop need not complain of it
