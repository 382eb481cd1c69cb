"""What the doctor sees of services that answer for themselves, and of what they keep: meter, ingest, the store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from sqlalchemy.exc import DBAPIError

from enforcer.notify.setup import configured
from enforcer.store import database
from floodwarden.diagnosis import Check, Level
from floodwarden.http_client import Answer, HttpClient, HttpError
from limiter.errors import PolicyError
from limiter.ingest.app import sources_of
from schemas import sql
from schemas.errors import SettingsError
from schemas.settings import PORTS, Settings

TIMEOUT_S: Final = 5.0
_COUNTED: Final = "/v1/usage/top?by=global&last_s=86400&limit=1"


def meter(settings: Settings) -> Check:
    """Whether the meter runs, and whether it counted every decision of the last day."""
    try:
        ready = _get(settings.meter, "/readyz")
        told = _get(settings.meter, _COUNTED) if ready.status == 200 else ready
        found = cast("dict[str, Any]", told.json())
    except HttpError as error:
        fix = "start it: `floodwarden meter`, or set FLOODWARDEN_METER to where it runs"
        return Check("meter", Level.WARN, f"no answer from {error}", fix)
    if told.status != 200:
        why = found.get("detail", "the group has not dealt partitions to it yet")
        return Check("meter", Level.WARN, f"{settings.meter}: {why}", "look at its log")
    if holes := found["holes"]:
        lost = sum(hole["end"] - hole["start"] for hole in holes)
        fix = "`floodwarden usage top` says when; the meter was away for longer than `usage` keeps its blocks"
        return Check("meter", Level.WARN, f"{lost} batches of decisions of the last day were never counted", fix)
    return Check("meter", Level.OK, f"{settings.meter}: {found['total']['n']:,} requests of the last day")


def store(settings: Settings) -> Check:
    """Whether the enforcer's store is there, with the tables of this program."""
    try:
        engine = database.open_engine(settings)
        if database.is_missing(engine):
            return Check("store", Level.OK, f"{database.shown(settings)}: not there yet, the enforcer makes it")
        there, ours = database.version(engine)
        engine.dispose()
    except SettingsError as error:
        return Check("store", Level.FAIL, str(error), "correct FLOODWARDEN_STORE")
    except DBAPIError as error:
        fix = "start it, or set FLOODWARDEN_STORE; until then the enforcer goes on, and nothing is kept"
        return Check("store", Level.FAIL, f"{database.shown(settings)}: {sql.reason(error)}", fix)
    if there != ours:
        fix = "`floodwarden store upgrade`, or start the enforcer"
        return Check("store", Level.WARN, f"tables of version {there or 'none'}, ours are {ours}", fix)
    return Check("store", Level.OK, f"{database.shown(settings)}: tables of version {ours}")


def notices(settings: Settings) -> Iterator[Check]:
    """Whether who is to be told of incidents can be told; nothing where nobody is."""
    try:
        found = configured(settings)
    except SettingsError as error:
        yield Check("notices", Level.FAIL, str(error), "all that is wrong: `floodwarden notices lint`")
        return
    if found is not None:
        seen = f"{len(found.destinations)} destinations: {', '.join(found.destinations)}"
        yield Check("notices", Level.OK, f"{seen}; `floodwarden notices test NAME` tries one")


def ingest(settings: Settings) -> Iterator[Check]:
    """Whether the mapping can be taken and who runs by it is ready; nothing where no mapping is set."""
    if settings.ingest is None:
        return
    try:
        sources = [source.name for source in sources_of(settings)]
    except (PolicyError, SettingsError) as error:
        yield Check("ingest", Level.FAIL, str(error), "all that is wrong: `floodwarden ingest --lint`")
        return
    address = f"127.0.0.1:{settings.port or PORTS['ingest']}"
    try:
        ready, text = _get(address, "/readyz"), _get(address, "/metrics").body.decode()
    except HttpError as error:
        seen = f"the mapping is well ({', '.join(sources)}); no answer from {error}"
        yield Check("ingest", Level.WARN, seen, "start it: `floodwarden ingest`")
        return
    if ready.status != 200:
        why = ready.body.decode("utf-8", "replace").strip()[:200]
        yield Check("ingest", Level.WARN, f"{address}: {why}", "look at its log")
        return
    taken, dead = (_sum(text, name) for name in ("decisions_total", "dead_letters_total"))
    seen = f"{', '.join(sources)}: {taken:,} decisions since it began, {dead:,} dead letters"
    yield Check("ingest", Level.OK, seen + (": `floodwarden dead-letter list`" if dead else ""))


def _sum(metrics: str, name: str) -> int:
    found = re.findall(rf"^floodwarden_ingest_{name}\{{.*\}} (\S+)$", metrics, re.MULTILINE)
    return sum(int(float(value)) for value in found)


def _get(address: str, path: str) -> Answer:
    async def ask() -> Answer:
        async with HttpClient(address, 1, TIMEOUT_S) as client:
            return await client.request("GET", path, {"connection": "close"})

    return asyncio.run(ask())
