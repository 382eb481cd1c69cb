"""A small HTTP/1.1 client on asyncio streams: keep-alive, a bounded pool, plain http to addresses we started ourselves.

About a fifth of the CPU of the general clients, which matters when the traffic shares two cores with what it tests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

BODY_BYTES_MAX: Final = 8 << 20


class HttpError(OSError):
    """No usable answer: refused, broken off, too slow, or not HTTP as we speak it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON.

        Raises:
            HttpError: it is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HttpError(f"no JSON in the answer: {self.body[:80]!r}") from error


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False


@dataclass(slots=True)
class HttpClient:
    """Up to `connections` requests at a time to one `host:port`; more wait their turn."""

    address: str
    connections: int = 8
    timeout_s: float = 10.0
    _idle: list[_Connection] = field(default_factory=list)
    _turn: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(self.connections)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and read its whole answer.

        Raises:
            HttpError: there was no answer; whether the server acted on the request is unknown.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._request(_request_bytes(self.address, method, path, headers or {}, body))
            except TimeoutError as error:
                raise HttpError(f"{self.address}: no answer to {method} {path} in {self.timeout_s:g} s") from error

    async def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().writer.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _request(self, request: bytes) -> Answer:
        while True:
            connection = self._idle.pop() if self._idle else await self._connect()
            kept = False
            try:
                connection.writer.write(request)
                answer, kept = await _answer(connection.reader)
            except (OSError, EOFError, ValueError) as error:
                # Closed while it lay idle: the server never saw the request, so it may be sent again.
                if connection.used and isinstance(error, asyncio.IncompleteReadError) and not error.partial:
                    continue
                raise HttpError(f"{self.address}: {error or type(error).__name__}") from error
            finally:
                if not kept:
                    connection.writer.close()
            connection.used = True
            self._idle.append(connection)
            return answer

    async def _connect(self) -> _Connection:
        host, _, port = self.address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError as error:
            raise HttpError(f"{self.address}: {error}") from error
        return _Connection(reader, writer)


def _request_bytes(address: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {address}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def _answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        length = int(headers.get("content-length", "0"))
        if length > BODY_BYTES_MAX:
            raise ValueError(f"an answer of {length} bytes")
        body = await reader.readexactly(length)
    return Answer(status, headers, body), headers.get("connection", "").lower() != "close"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        if sum(map(len, parts)) + size > BODY_BYTES_MAX:
            raise ValueError("an answer of too many bytes")
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


async def get_json(address: str, path: str, timeout_s: float = 2.0) -> object:
    """One GET to a service of ours, the answer as JSON.

    Raises:
        HttpError: no answer, or none that is both 200 and JSON.
    """
    async with HttpClient(address, 1, timeout_s) as client:
        answer = await client.request("GET", path, {"connection": "close"})
    if answer.status != 200:
        raise HttpError(f"{address}: {answer.status} for GET {path}")
    return answer.json()


async def ready(address: str) -> bool:
    """Whether the service there says it is ready."""
    with contextlib.suppress(HttpError):
        async with HttpClient(address, 1, 1.0) as client:
            return (await client.request("GET", "/readyz", {"connection": "close"})).status == 200
    return False
