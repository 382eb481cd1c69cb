"""Routes of what was found: alerts, incidents, and the live stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from enforcer.api.door import Parts, PartsOf, may
from enforcer.api.problems import ProblemError
from enforcer.api.queries import Alerts, IfNoneMatch, Incidents, Timeline, Uid
from enforcer.api.shapes import Page, listed, single
from enforcer.api.told import AlertShown, Event, Incident
from enforcer.api.writes import Write, write
from enforcer.callers import Caller, Scope
from enforcer.store import hand, reading
from enforcer.store import parts as seen

FOLLOWERS_MAX: Final = 200
STREAM_S_MAX: Final = 600.0  # then a follower comes back, and its key is looked at again
_BATCH: Final = 100
_LOOK_S: Final = 1.0  # another enforcer may have written what we were not told of
_BREATH_S: Final = 15.0  # proxies close what is silent for longer
_MAY_READ: Final = may(Scope.ALERTS_READ)

router = APIRouter(tags=["found"])


@router.get("/alerts", response_model=Page[AlertShown])
def alerts(parts: PartsOf, caller: Annotated[Caller, _MAY_READ], asked: Annotated[Alerts, Query()]) -> Response:
    """Alerts, by the time at which their evidence sufficed."""
    page = reading.listed(parts.engine, reading.ALERT, asked.wanted(caller.tenant), asked.limit, asked.cursor)
    return listed([seen.alert(each, caller.tenant) for each in page.items], page.next)


@router.get("/alerts/{uid}", response_model=AlertShown)
def alert(
    uid: Uid, parts: PartsOf, caller: Annotated[Caller, _MAY_READ], if_none_match: IfNoneMatch = None
) -> Response:
    """One alert, as it was last told."""
    found = reading.one(parts.engine, reading.ALERT, uid, caller.tenant)
    return single(seen.alert(found, caller.tenant), if_none_match)


@router.get("/incidents", response_model=Page[Incident])
def incidents(parts: PartsOf, caller: Annotated[Caller, _MAY_READ], asked: Annotated[Incidents, Query()]) -> Response:
    """Incidents, by the time at which they began; for a tenant as if only its own clients' alerts were there."""
    page = seen.listed(parts.engine, asked.wanted(caller.tenant), asked.limit, asked.cursor)
    return listed(page.items, page.next)


@router.get("/incidents/{uid}", response_model=Incident)
def incident(
    uid: Uid, parts: PartsOf, caller: Annotated[Caller, _MAY_READ], if_none_match: IfNoneMatch = None
) -> Response:
    """One incident."""
    return single(seen.one(parts.engine, uid, caller.tenant), if_none_match)


@router.post("/incidents/{uid}/acknowledge", response_model=Incident)
def acknowledge(uid: Uid, by: Annotated[Write, write(Scope.ACTIONS_JUDGE)]) -> Response:
    """Take it in hand: who was told of it is told so. It stays with the first who does."""
    seen.own(by.parts.engine, uid, by.caller.tenant)

    def act() -> reading.Thing:
        return hand.acknowledge(by.parts.engine, uid, by.caller.owner, by.parts.clock_ms(), by.caller.tenant)

    return by.run("incident.acknowledge", uid, {}, act)


@router.get("/incidents/{uid}/timeline", response_model=Page[Event])
def timeline(
    uid: Uid,
    parts: PartsOf,
    caller: Annotated[Caller, may(Scope.ALERTS_READ, Scope.ACTIONS_READ)],
    asked: Annotated[Timeline, Query()],
) -> Response:
    """What happened in it, in order: each word of its alerts, and of the actions they led to."""
    seen.one(parts.engine, uid, caller.tenant)
    found = seen.timeline(parts.engine, uid, asked.limit + 1, asked.after, caller.tenant)
    return listed(found[: asked.limit], str(found[asked.limit - 1]["seq"]) if len(found) > asked.limit else None)


@router.get("/stream", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def stream(
    parts: PartsOf,
    caller: Annotated[Caller, may(Scope.ALERTS_READ, Scope.ACTIONS_READ)],
    kind: Literal["alert", "action"] | None = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,15}$")] = None,
) -> Response:
    """Alerts and actions as they come (server-sent events), after `Last-Event-ID`, or from now on."""
    if parts.live.followers >= FOLLOWERS_MAX:
        why = f"{FOLLOWERS_MAX} follow already"
        raise ProblemError(503, "too_many_followers", why, fix="try again later", headers={"retry-after": "10"})
    after = int(last_event_id) if last_event_id else await run_in_threadpool(reading.last_event, parts.engine)

    def look(place: int) -> Sequence[sa.RowMapping]:
        return reading.events(parts.engine, place, _BATCH, kind, caller.tenant)

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}

    def told(row: sa.RowMapping) -> str:
        return f"id: {row['seq']}\nevent: {row['kind']}\ndata: {seen.body(row, caller.tenant)}\n\n"

    return StreamingResponse(_follow(parts, look, told, after), media_type="text/event-stream", headers=headers)


async def _follow(
    parts: Parts, look: Callable[[int], Sequence[sa.RowMapping]], told: Callable[[sa.RowMapping], str], after: int
) -> AsyncIterator[str]:
    parts.live.followers += 1
    try:
        yield ": welcome\n\n"
        until_s, said_s = time.monotonic() + STREAM_S_MAX, time.monotonic()
        while time.monotonic() < until_s and not parts.live.closed:
            bell = parts.live.bell()
            rows = await run_in_threadpool(look, after)
            for row in rows:
                after, said_s = int(row["seq"]), time.monotonic()
                yield told(row)
            if time.monotonic() - said_s > _BREATH_S:
                said_s = time.monotonic()
                yield ": still here\n\n"
            if len(rows) < _BATCH:
                await _rung(bell)
    finally:
        parts.live.followers -= 1


async def _rung(bell: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(bell.wait(), _LOOK_S)
    except TimeoutError:
        return
