"""Envoy's ShouldRateLimit over gRPC, one call at a time and sixteen under way, beside Redis PINGs in the same run.

`floodwarden bench rls` calls `run()`; it starts a Redis and a limiter process of its own, which publishes to nobody.
Both sides are asked by clients of one kind, in a process of their own: bytes packed once, one connection on asyncio,
a future a reply (PINGs by sixteen connections, for Redis answers one connection in order). Beside: the Python client
of gRPC, which costs more than the call, and a `floor`, a process that does nothing but hand calls to Redis. An `exact`
call asks Redis for one limit; a `leased` one, as limits are when nothing is said, is answered from what the limiter
has on lease.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import ngh2
from limiter_process import START_S, limiter
from redis.asyncio import Redis

from floodwarden import embedded
from floodwarden.embedded import free_port
from limiter.envoy.messages import RateLimitRequest, RateLimitResponse
from limiter.rls import SHOULD_RATE_LIMIT

AT_ONCE: Final = 16
CALLS: Final = 3_000  # of each kind, at each number of clients
ROUNDS: Final = 6  # taken in turn, so that whatever else the machine does meets all of them alike
CLIENTS: Final = 16
KINDS: Final = ("exact", "leased")
Probe = Callable[[int], Awaitable[object]]
_POLICY: Final = """
version: 1
name: bench
limits:
  - { name: ip, per: ip, route: /exact/*, rate: 1000000/s, burst: 1000000, lease: off }
  - { name: leased-ip, per: ip, route: /leased/*, rate: 1000000/s, burst: 1000000 }
"""


def run() -> dict[str, Any]:
    """p50 and p99 in microseconds of one call, and calls a second, at one client and at sixteen."""
    with embedded.redis() as url, limiter(url, _POLICY) as (_, port), _floor(url) as floor_port:
        figures = asyncio.run(_measure(url, port, floor_port))
    ratios = {
        f"{what}_{label}_at_{n}_to_ping": round(figures[f"{what}_{label}_at_{n}"] / figures[f"ping_{label}_at_{n}"], 2)
        for what in (*KINDS, "floor", "grpcio_client")
        for n in (1, AT_ONCE)
        for label in ("p50", "p99")
    }
    return {
        "name": "rls",
        "unit": "us",
        "ours": figures.pop("exact_p50_at_1"),
        "peers": figures,
        "limit": "one limit a call, one Redis and one limiter process on the same machine",
        "ratios": ratios,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


class Wire(asyncio.Protocol):
    """A gRPC client with nothing to it: packed requests, replies told by their stream."""

    def __init__(self) -> None:
        self._http = ngh2.Connection(ngh2.Role.CLIENT)
        self._transport: Any = None
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._head = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", SHOULD_RATE_LIMIT.encode()),
            (b":authority", b"limiter"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        for event in self._http.events():
            if type(event) is ngh2.DataReceived:
                self._waiting.pop(event.stream_id).set_result(event.data)
        self._flush()

    async def call(self, message: bytes) -> bytes:
        """The bytes answered, prefix and all."""
        stream = self._http.send_request(self._head)
        self._http.send_data(stream, message, end_stream=True)
        told = self._waiting[stream] = asyncio.get_running_loop().create_future()
        self._flush()
        return await told

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._transport.write(data)


@contextmanager
def _floor(url: str) -> Iterator[int]:
    port = free_port()
    program = Path(__file__).with_name("rls_floor.py")
    redis_port = urlsplit(url).port
    process = subprocess.Popen([sys.executable, str(program), str(port), str(redis_port)], env=os.environ)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def _connected(port: int) -> Wire:
    until_s = time.monotonic() + START_S
    while True:
        try:
            return (await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port))[1]
        except OSError:
            if time.monotonic() > until_s:
                raise
            await asyncio.sleep(0.1)


async def _measure(url: str, port: int, floor_port: int) -> dict[str, float]:
    wire, floor = await _connected(port), await _connected(floor_port)
    pings = [Redis.from_url(url) for _ in range(AT_ONCE)]
    questions = {kind: [_question(kind, n) for n in range(CLIENTS)] for kind in KINDS}
    packed = {kind: [b"\0" + len(one).to_bytes(4, "big") + one for one in found] for kind, found in questions.items()}
    for kind in KINDS:
        answer = RateLimitResponse()
        answer.ParseFromString((await wire.call(packed[kind][0]))[5:])
        if answer.overall_code != 1 or len(answer.response_headers_to_add) != 2:
            raise RuntimeError(f"not what is to be measured: {answer}")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel.unary_unary(SHOULD_RATE_LIMIT)
        probes: dict[str, Probe] = {
            "ping": lambda at: pings[at % AT_ONCE].ping(),
            "exact": lambda at: wire.call(packed["exact"][at % CLIENTS]),
            "leased": lambda at: wire.call(packed["leased"][at % CLIENTS]),
            "floor": lambda at: floor.call(packed["exact"][at % CLIENTS]),
            "grpcio_client": lambda at: stub(questions["leased"][at % CLIENTS]),
        }
        figures: dict[str, float] = {}
        for n in (1, AT_ONCE):
            figures |= await _at(n, probes)
    for one in pings:
        await one.aclose()
    return figures


async def _at(n: int, probes: dict[str, Probe]) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in probes}
    took = dict.fromkeys(probes, 0.0)
    for number in range(ROUNDS + 1):
        for name, probe in probes.items():
            began = time.perf_counter()
            found = await asyncio.gather(*(_ask(probe, at, CALLS // ROUNDS // n) for at in range(n)))
            if number:  # the first warms
                took[name] += time.perf_counter() - began
                samples[name] += [each for one in found for each in one]
    figures: dict[str, float] = {}
    for name, taken in samples.items():
        taken.sort()
        figures[f"{name}_p50_at_{n}"] = round(taken[len(taken) // 2] * 1e6, 1)
        figures[f"{name}_p99_at_{n}"] = round(taken[len(taken) * 99 // 100] * 1e6, 1)
        figures[f"{name}_a_second_at_{n}"] = round(len(taken) / took[name])
    return figures


async def _ask(probe: Probe, at: int, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await probe(at)
        taken.append(time.perf_counter() - began)
        at += 5  # another client each time, and all of them in turn
    return taken


def _question(kind: str, n: int) -> bytes:
    asked = RateLimitRequest(domain="bench")
    entries = asked.descriptors.add().entries
    entries.add(key="remote_address", value=f"10.1.{n // 250}.{n % 250}")
    entries.add(key="method", value="GET")
    entries.add(key="path", value=f"/{kind}/{n}?page=2")
    entries.add(key="api_key", value=f"key-{n}")
    return bytes(asked.SerializeToString())
