"""gRPC's unary calls over HTTP/2, on the event loop that everything else runs on.

nghttp2 (`ngh2`) does frames, HPACK, flow control and the limits against hostile peers; here is what gRPC lays over it.
Calls that arrive together on one connection are handed over together, and so share a round trip to Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final
from urllib.parse import quote

import ngh2
import structlog

from limiter.eager import begun

MESSAGE_BYTES_MAX: Final = 1 << 20
CONNECTION_BYTES_MAX: Final = 8 << 20  # of calls half received
STREAMS_MAX: Final = 1_024
CONNECTIONS_MAX: Final = 4_096
_PREFIX: Final = 5  # a byte "compressed", four of length
_TYPE: Final = (b"content-type", b"application/grpc")
_HEAD: Final = ((b":status", b"200"), _TYPE)
_DONE: Final = ((b"grpc-status", b"0"),)
_LIMITS: Final = ngh2.Configuration(max_inbound_header_list_size=32_768, max_inbound_header_count=128)
_SETTINGS: Final = {
    int(ngh2.Setting.MAX_CONCURRENT_STREAMS): STREAMS_MAX,
    int(ngh2.Setting.MAX_HEADER_LIST_SIZE): 32_768,
}
log = structlog.get_logger("limiter.grpc")


class Code(IntEnum):
    """The statuses of gRPC that are said here."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that is answered by a status instead of a message."""

    code: Code
    message: str


# Messages of one method in, what each is answered out, in their order; at once where nobody is waited for. No raise.
Replies = Sequence[bytes | Failure]
Handler = Callable[[Sequence[bytes]], Replies | Awaitable[Replies]]


class _Incoming:
    """A call as far as it has arrived; `failure`: what it is answered whatever comes after."""

    __slots__ = ("body", "failure", "path")

    def __init__(self, path: str, failure: Failure | None) -> None:
        self.path, self.failure = path, failure
        self.body = bytearray()

    def message(self) -> bytes | Failure:
        if self.failure is not None:
            return self.failure
        if len(self.body) < _PREFIX or int.from_bytes(self.body[1:_PREFIX], "big") != len(self.body) - _PREFIX:
            return Failure(Code.INTERNAL, "message: a unary call has one length-prefixed message, whole")
        if self.body[0]:
            return Failure(Code.UNIMPLEMENTED, "grpc-encoding: compressed; send messages as they are (identity)")
        return bytes(self.body[_PREFIX:])


class Server:
    """Listens once entered; leaving it says goodbye, lets calls under way end within `patience_s`, and closes."""

    def __init__(self, methods: Mapping[str, Handler], *, patience_s: float = 5.0) -> None:
        self._methods = dict(methods)
        self._patience_s = patience_s
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port (a free one for 0). Raises `OSError` where it is taken."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Takes no more, ends what is under way, closes."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience_s)
        for connection in tuple(self._connections):
            connection.close()

    def entered(self, connection: _Connection) -> bool:
        """Whether there is room for `connection`."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: _Connection) -> None:
        """It is closed."""
        self._connections.discard(connection)

    def knows(self, path: str) -> bool:
        """Whether there is such a method."""
        return path in self._methods

    def hand_over(self, connection: _Connection, path: str, calls: list[tuple[int, bytes]]) -> None:
        """Has `calls` of one method answered."""
        replies = self._methods[path]([message for _, message in calls])
        if isinstance(replies, Sequence):
            connection.reply(zip((stream for stream, _ in calls), replies, strict=True))
            return
        answering = begun(self._answer(connection, calls, replies))  # so that Redis is asked now
        if not answering.done():
            self._tasks.add(answering)
            answering.add_done_callback(self._tasks.discard)

    async def _answer(
        self, connection: _Connection, calls: list[tuple[int, bytes]], replies: Awaitable[Replies]
    ) -> None:
        connection.reply(zip((stream for stream, _ in calls), await replies, strict=True))


class _Connection(asyncio.Protocol):
    """One client; its calls are answered in whatever order they are done."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = ngh2.Connection(ngh2.Role.SERVER, _LIMITS)
        self._transport: Any = None
        self._incoming: dict[int, _Incoming] = {}
        self._waiting: set[int] = set()  # streams handed over, not answered
        self._bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if not self._server.entered(self):
            self._transport.abort()
            return
        self._http.initiate_connection(_SETTINGS)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._server.left(self)
        self._transport = None

    def pause_writing(self) -> None:
        """The client does not read: what it sends waits, too."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        try:
            self._http.receive_data(data)
            for path, messages in self._heard().items():
                self._server.hand_over(self, path, messages)
            self._flush()
        except ngh2.NGH2Error as error:
            log.info("grpc_connection_broken", why=type(error).__name__, about=str(error))
            self.close()
            return
        if not (self._http.want_read or self._http.want_write):  # a protocol's error, answered; or both have left
            self.close()

    def reply(self, replies: Any) -> None:
        """Sends what came out for each stream, but to those that left."""
        if self._transport is None:
            return
        try:
            for stream, reply in replies:
                if stream in self._waiting:
                    self._waiting.discard(stream)
                    self._send(stream, reply)
            self._flush()
        except ngh2.NGH2Error as error:
            log.info("grpc_connection_broken", why=type(error).__name__, about=str(error))
            self.close()

    def leave(self) -> None:
        """Tells the client to take its next call elsewhere."""
        if self._transport is not None:
            try:
                self._http.send_goaway(int(ngh2.ErrorCode.NO_ERROR))
                self._flush()
            except ngh2.NGH2Error:
                self.close()

    def close(self) -> None:
        """Closes it, once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def _heard(self) -> dict[str, list[tuple[int, bytes]]]:
        """Messages that are whole now, by method."""
        calls: dict[str, list[tuple[int, bytes]]] = {}
        for event in self._http.events():
            # Asked one after the other, the likely first: matching patterns costs more than all the rest of this.
            if isinstance(event, ngh2.DataReceived):
                self._grown(event.stream_id, event.data)
            elif isinstance(event, ngh2.RequestReceived):
                self._incoming[event.stream_id] = self._opened(event.headers)
            elif isinstance(event, ngh2.StreamReset | ngh2.StreamClosed):
                self._forget(event.stream_id)
                self._waiting.discard(event.stream_id)
                continue
            elif not isinstance(event, ngh2.TrailersReceived):
                continue
            if isinstance(event, ngh2.TrailersReceived) or event.end_stream:
                self._ended(event.stream_id, calls)
        return calls

    def _opened(self, headers: Sequence[tuple[bytes, bytes]]) -> _Incoming:
        told = dict(headers)
        path = told.get(b":path", b"").decode("latin-1")
        if not told.get(b"content-type", b"").startswith(b"application/grpc"):
            return _Incoming(path, Failure(Code.INTERNAL, "content-type: is not application/grpc"))
        if not self._server.knows(path):
            return _Incoming(path, Failure(Code.UNIMPLEMENTED, f"{path[:200]}: no such method here"))
        return _Incoming(path, None)

    def _grown(self, stream: int, data: bytes) -> None:
        call = self._incoming.get(stream)
        if call is None or call.failure is not None:
            return
        if len(call.body) + len(data) > MESSAGE_BYTES_MAX + _PREFIX:
            call.failure = Failure(Code.RESOURCE_EXHAUSTED, f"message: more than {MESSAGE_BYTES_MAX} bytes")
        elif self._bytes + len(data) > CONNECTION_BYTES_MAX:
            call.failure = Failure(Code.RESOURCE_EXHAUSTED, "too many calls half received on this connection")
        if call.failure is not None:
            self._bytes -= len(call.body)
            call.body.clear()
            return
        call.body += data
        self._bytes += len(data)

    def _ended(self, stream: int, calls: dict[str, list[tuple[int, bytes]]]) -> None:
        call = self._forget(stream)
        if call is None:
            return
        message = call.message()
        if isinstance(message, Failure):
            self._send(stream, message)
        else:
            self._waiting.add(stream)
            calls.setdefault(call.path, []).append((stream, message))

    def _forget(self, stream: int) -> _Incoming | None:
        call = self._incoming.pop(stream, None)
        if call is not None:
            self._bytes -= len(call.body)
        return call

    def _send(self, stream: int, reply: bytes | Failure) -> None:
        http = self._http
        if isinstance(reply, Failure):
            said = quote(reply.message, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
            told = ((b"grpc-status", b"%d" % reply.code), (b"grpc-message", said.encode()))
            http.send_response(stream, (*_HEAD, *told), end_stream=True)
            return
        http.send_response(stream, _HEAD)
        http.send_data(stream, b"\0" + len(reply).to_bytes(4, "big") + reply)
        http.send_trailers(stream, _DONE)

    def _flush(self) -> None:
        if self._transport is not None and (data := self._http.data_to_send()):
            self._transport.write(data)
