"""What bouncers wait for while 100,000 denials stand: a look-up, a delta, a start; beside a plain answer of the server.

`floodwarden bench bouncers` calls `run()`: the enforcer's API for bouncers in a process of its own, asked over one
connection, as Go bouncers do. What CrowdSec's takes was measured elsewhere and is given as such.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from enforcer.bouncers.admission import Admission
from enforcer.bouncers.keys import Keys
from enforcer.bouncers.lapi import Lapi
from enforcer.consumer import clock_ms
from enforcer.ladder import Ladder
from enforcer.ledger import Change, Ledger, Op
from floodwarden.embedded import free_port
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

HELD = 100_000
LOOKUPS, DELTAS, STARTS = 2_000, 300, 5
KEY = "0123456789abcdef0123456789abcdef"
ELSEWHERE = {"crowdsec_lookup_p50_at_50000": 7.0, "crowdsec_delta": 16.5, "crowdsec_start_at_50000": 300.0}


def run() -> dict[str, Any]:
    """Milliseconds of a look-up at the median; the rest beside it."""
    port = free_port()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(port, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is ours to see
    try:
        served = ours.recv()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-Api-Key": KEY}) as client:
            figures = _asked(client)
    finally:
        process.kill()
        process.join()
    floor = figures["plain_answer_p50"]
    return {
        "name": "bouncers",
        "unit": "ms",
        "ours": figures["lookup_p50"],
        "peers": {name: value for name, value in figures.items() if name != "lookup_p50"} | served | ELSEWHERE,
        "limit": f"{HELD:,} denials; what is named crowdsec was measured elsewhere, on such a machine",
        "ratios": {
            "lookup_to_plain_answer": round(figures["lookup_p50"] / floor, 2),
            "delta_to_plain_answer": round(figures["delta_p50"] / floor, 2),
        },
    }


def _asked(client: httpx.Client) -> dict[str, float]:
    plain = _times(LOOKUPS, lambda _: client.get("/healthz"))
    looked = _times(LOOKUPS, lambda i: client.get(f"/v1/decisions?ip={_address(i * 37 % HELD)}"))
    missed = _times(LOOKUPS, lambda _: client.get("/v1/decisions?ip=203.0.113.7"))
    started = _times(STARTS, lambda _: client.get("/v1/decisions/stream?startup=true"))
    delta = _times(DELTAS, lambda _: client.get("/v1/decisions/stream"))
    return {
        "lookup_p50": _at(looked, 50), "lookup_p99": _at(looked, 99), "lookup_of_nobody_p50": _at(missed, 50),
        "delta_p50": _at(delta, 50), "start_p50": _at(started, 50), "plain_answer_p50": _at(plain, 50),
    }  # fmt: skip


def _times(count: int, ask: Callable[[int], httpx.Response]) -> list[float]:
    taken = []
    for i in range(count):
        began = time.perf_counter()
        answer = ask(i)
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return sorted(taken)


def _at(times: list[float], percent: int) -> float:
    return round(times[len(times) * percent // 100], 3)


def _address(number: int) -> str:
    return f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"


def _serve(port: int, told: Connection) -> None:
    lapi = Lapi(Admission(Keys(f"edge={KEY}", "KEYS"), None, clock_ms), clock_ms, scoped=False)
    lapi.begin(Ledger(Ladder(4.0, 1, 86_400)))
    actions = [_action(i) for i in range(HELD)]
    before, began = _resident(), time.perf_counter()
    for action in actions:
        lapi.apply(Change(Op.PUT, action, action, 0, 0))
    taken_us = (time.perf_counter() - began) * 1e6 / HELD
    told.send({"us_to_take_in_an_action": round(taken_us, 2), "bytes_a_decision": round((_resident() - before) / HELD)})
    routes = [Route("/healthz", lambda _: PlainTextResponse("ok\n")), *lapi.routes()]
    uvicorn.run(Starlette(routes=routes), port=port, log_config=None, access_log=False)


def _action(number: int) -> Action:
    now_ms = time.time_ns() // 1_000_000
    return Action(
        uid=f"{number:032x}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE,
        target=Target(kind=TargetKind.IP, value=_address(number)), reason="six failed logins", rule="guess/1",
        owner="auto", created_ms=now_ms, expires_ms=now_ms + 3_600_000,
    )  # fmt: skip


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel's
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
