"""Sends a schedule to the limiter nodes in turn, keeping to its times, and writes down what came back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from floodwarden.demo.ledger import Ledger, Outcome, Seen
from floodwarden.demo.traffic import Shot
from floodwarden.http_client import Answer, HttpClient, HttpError

IN_FLIGHT_MAX: Final = 128
CONNECTIONS: Final = 16  # to each node
TIMEOUT_S: Final = 15.0
Judge = Callable[[Answer], Outcome]


def epoch_ms() -> int:
    """Now, as everything on the wire has it."""
    return time.time_ns() // 1_000_000


async def drive(shots: Sequence[Shot], nodes: Sequence[str], ledger: Ledger, judge: Judge) -> None:
    """Send `shots` at their times, round robin over the `host:port` in `nodes`; returns when all are answered.

    At most `IN_FLIGHT_MAX` wait for an answer at once: a slow machine makes the traffic later, never more.
    """
    clients = [HttpClient(node, CONNECTIONS, TIMEOUT_S) for node in nodes]
    room = asyncio.Semaphore(IN_FLIGHT_MAX)
    started_s = time.monotonic()
    try:
        async with asyncio.TaskGroup() as tasks:
            for n, shot in enumerate(shots):
                late_s = time.monotonic() - started_s - shot.at_s
                if late_s < 0:
                    await asyncio.sleep(-late_s)
                ledger.lag_ms_max = max(ledger.lag_ms_max, late_s * 1000)
                await room.acquire()
                task = tasks.create_task(_send(clients[n % len(clients)], shot, ledger, judge))
                task.add_done_callback(lambda _: room.release())
    finally:
        for client in clients:
            await client.close()


async def _send(client: HttpClient, shot: Shot, ledger: Ledger, judge: Judge) -> None:
    body = b""
    if shot.credentials:
        body = msgspec.json.encode({"user": shot.credentials[0], "password": shot.credentials[1]})
    sent_ms = epoch_ms()
    try:
        outcome = judge(await client.request(shot.method, shot.path, _headers(shot), body))
    except HttpError:
        outcome = Outcome.LOST
    ledger.note(shot.client, Seen(sent_ms, epoch_ms(), outcome))


def _headers(shot: Shot) -> dict[str, str]:
    # As a gateway in front would send them: the client's address, and the account a login is for.
    client = shot.client
    headers = {"x-forwarded-for": client.ip, "user-agent": f"demo/{client.role}"}
    if client.key:
        headers["x-api-key"] = client.key
    if shot.credentials:
        headers["x-user"] = shot.credentials[0]
    return headers
