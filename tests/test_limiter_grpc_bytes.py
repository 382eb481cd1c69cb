"""Whatever bytes come to the gRPC port: nothing is raised, nothing is kept, nothing is left running."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import ngh2
import pytest

from limiter.grpc import Code, Failure, Server, _Connection

CONNECTIONS = 250


class Pipe:
    """A transport that only remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, _: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def later(messages: Sequence[bytes]) -> list[bytes | Failure]:
    await asyncio.sleep(0)
    return at_once(messages)


def at_once(messages: Sequence[bytes]) -> list[bytes | Failure]:
    return [each if len(each) % 7 else Failure(Code.INTERNAL, "é\n%") for each in messages]


def traffic(chance: random.Random) -> bytes:
    """A client's bytes: calls whole and broken off, by known and unknown names; then, mostly, a few bytes flipped."""
    http = ngh2.Connection(ngh2.Role.CLIENT)
    http.initiate_connection()
    sent = http.data_to_send()
    for _ in range(chance.randint(1, 12)):
        kind = chance.choice([b"application/grpc", b"text/plain"])
        path = chance.choice([b"/a/b", b"/a/c", b"/c"])
        head = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"l"))
        stream = http.send_request((*head, (b"content-type", kind)))
        message = chance.randbytes(chance.randint(0, 200))
        body = b"\0" + len(message).to_bytes(4, "big") + message if chance.random() < 0.8 else message[:20]
        cut = chance.randint(0, len(body))
        http.send_data(stream, body[:cut])
        sent += http.data_to_send()
        match chance.randrange(6):
            case 0:
                http.reset_stream(stream)
            case 1:
                http.send_data(stream, body[cut:])
                http.send_trailers(stream, ((b"a", b"b"),))
            case 2:
                pass
            case _:
                http.send_data(stream, body[cut:], end_stream=True)
        sent += http.data_to_send()
    flipped = bytearray(sent)
    for _ in range(chance.choice([0, 0, 1, 2, 5])):
        flipped[chance.randrange(len(flipped))] = chance.randrange(256)
    return bytes(flipped[: chance.randrange(len(flipped))] if chance.random() < 0.2 else flipped)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_nothing_is_raised_kept_or_left_running(seed: int) -> None:
    chance = random.Random(seed)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    server = Server({"/a/b": later, "/a/c": at_once})
    closed = 0
    for _ in range(CONNECTIONS):
        sent, connection, pipe = traffic(chance), _Connection(server), Pipe()
        connection.connection_made(pipe)  # type: ignore[arg-type]
        while sent and not pipe.closed:
            length = chance.randint(1, 120)
            connection.data_received(sent[:length])
            sent = sent[length:]
            if chance.random() < 0.5:
                await asyncio.sleep(0)
        assert connection._bytes == sum(len(call.body) for call in connection._incoming.values())
        if chance.random() < 0.3:
            connection.leave()
        connection.connection_lost(None)
        closed += pipe.closed
    await asyncio.gather(*server._tasks)
    assert not server._tasks
    assert faults == []
    assert not server._connections
    assert 0 < closed < CONNECTIONS
