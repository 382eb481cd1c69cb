"""The thread that delivers notices: a loop for each destination, so that one that hangs keeps nobody else waiting.

Enforcement and the store know nothing of it; what it has to do stands in `notices`.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
import structlog
from confluent_kafka import KafkaException, Producer
from sqlalchemy.exc import DBAPIError

from enforcer import metrics
from enforcer.notify import setup
from enforcer.notify.claims import Claim, Claims
from enforcer.notify.deliver import Deliverer
from enforcer.notify.destinations import Destination, Notices
from enforcer.notify.outcome import Came, Outcome, pause_ms
from enforcer.notify.render import Rendered, render
from schemas import dead_letter, topics
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError
from schemas.settings import Settings

LOOK_S: Final = 1.0  # another enforcer may have noted what we were not told of
STOP_S: Final = 5.0  # of the ten that containers are given to end; who did not answer by then is told again
_DEAD_WAIT_S: Final = 5.0
log = structlog.get_logger("enforcer.notify")


class UndeliveredError(Exception):
    """A dead letter that the broker did not take."""


@contextmanager
def sending(settings: Settings, engine: sa.Engine, notices: Notices) -> Iterator[Callable[[], None]]:
    """Deliver in a thread for as long; gives what is to be called when there may be something new."""
    sender = Sender(settings, engine, notices)
    thread = threading.Thread(target=sender.run, name="notices", daemon=True)
    thread.start()
    try:
        yield sender.ring
    finally:
        sender.stop()
        thread.join(STOP_S)


class Sender:
    """Delivers to every destination until stopped."""

    def __init__(self, settings: Settings, engine: sa.Engine, notices: Notices) -> None:
        self._settings = settings
        self._destinations = list(notices.destinations.values())
        self._claims = Claims(engine, notices, uuid.uuid4().hex, _clock_ms)
        self._deliverer = Deliverer(settings.kafka, setup.private(settings), _clock_ms)
        self._stopped = threading.Event()
        self._bell = threading.Event()
        self._rung = asyncio.Event()
        self._dead: Any = None

    def ring(self) -> None:
        """There may be something new; from any thread."""
        self._bell.set()

    def stop(self) -> None:
        """Let `run` end: what is being sent is finished."""
        self._stopped.set()
        self._bell.set()

    def run(self) -> None:
        """Deliver until stopped."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        threads = 2 * len(self._destinations) + 1  # each at work for one, one that may hang; and the bell's
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "notices"))
        async with asyncio.TaskGroup() as group:
            for destination in self._destinations:
                group.create_task(self._serve(destination))
            group.create_task(self._hear())

    async def _hear(self) -> None:
        """Wake every loop when the bell rings, and now and then without it."""
        while not self._stopped.is_set():
            await asyncio.to_thread(self._bell.wait, LOOK_S)
            self._bell.clear()
            rung, self._rung = self._rung, asyncio.Event()
            rung.set()

    async def _serve(self, destination: Destination) -> None:
        while not self._stopped.is_set():
            rung = self._rung  # taken before looking, so that nothing comes between
            waits_ms = int(LOOK_S * 1000)
            try:
                waits_ms = await self._turn(destination)
            except DBAPIError as error:
                log.warning("store_away", destination=destination.name, error=str(error.orig).strip())
            except Exception:  # a loop's outermost line: a mistake of ours must not silence a destination for good
                log.exception("notices_fell_over", destination=destination.name)
            if waits_ms > 0:
                await _rung(rung, min(waits_ms / 1000, LOOK_S))

    async def _turn(self, destination: Destination) -> int:
        """Deliver what is due; how long there is nothing then, in milliseconds."""
        name = destination.name
        count, first_ms = await asyncio.to_thread(self._claims.waiting, name)
        metrics.NOTICES_WAITING.labels(name).set(count)
        if first_ms is None or first_ms > _clock_ms():
            return int(LOOK_S * 1000) if first_ms is None else first_ms - _clock_ms()
        claims = await asyncio.to_thread(self._claims.take, name)
        for claim in sorted(claims, key=lambda claim: claim.attempts):  # what cannot be sent keeps nothing behind it
            if self._stopped.is_set() or not await asyncio.to_thread(self._claims.hold, name):
                break
            await self._deliver(destination, claim)
        return 0 if claims else int(LOOK_S * 1000)

    async def _deliver(self, destination: Destination, claim: Claim) -> None:
        rendered = render(destination, claim.message)
        outcome = await self._deliverer.deliver(destination, claim.message.id, rendered)
        told = {"destination": destination.name, "id": claim.message.id, "incidents": len(claim.words)}
        if outcome.came is Came.DELIVERED:
            metrics.NOTICES.labels(destination.name, "delivered").inc()
            log.info("notice", event_kind=str(claim.message.event or "digest"), **told)
            await asyncio.to_thread(self._claims.delivered, claim)
        elif outcome.came is Came.REFUSED or claim.attempts >= destination.tries:
            await self._bury(destination, claim, rendered, outcome)
        else:
            metrics.NOTICES.labels(destination.name, "failed").inc()
            log.warning("notice_failed", reason=outcome.reason, attempt=claim.attempts, **told)
            wait_ms = max(pause_ms(claim.attempts, random.random()), outcome.again_ms)  # noqa: S311 - jitter
            await asyncio.to_thread(self._claims.failed, claim, _clock_ms() + wait_ms)

    async def _bury(self, destination: Destination, claim: Claim, rendered: Rendered, outcome: Outcome) -> None:
        """Into `dead-letter`; the destination counts as told, so that what comes after reaches it in order."""
        try:
            await asyncio.to_thread(self._write_dead, destination, rendered, outcome, claim.attempts)
        except (KafkaException, BufferError, UndeliveredError) as error:
            log.warning("broker_away", error=str(error), destination=destination.name)
            await asyncio.to_thread(self._claims.failed, claim, _clock_ms() + pause_ms(claim.attempts, 1.0))
            return
        metrics.NOTICES.labels(destination.name, "dead").inc()
        log.error("notice_dead", destination=destination.name, id=claim.message.id, reason=outcome.reason)
        await asyncio.to_thread(self._claims.delivered, claim)

    def _write_dead(self, destination: Destination, rendered: Rendered, outcome: Outcome, attempts: int) -> None:
        if self._dead is None:
            wait_ms = int(_DEAD_WAIT_S * 1000)
            self._dead = Producer(
                {"bootstrap.servers": self._settings.kafka, "message.timeout.ms": wait_ms, "log_level": 0}
            )
        failed: list[str] = []
        fix = "see that it is there and takes what we send: `floodwarden notices test " + destination.name + "`"
        reason = f"{outcome.reason}; {attempts} attempts"
        error = BadMessageError(f"notice_{outcome.came.value}", destination.name, reason, fix)
        for _, body in rendered.bodies:
            origin = Origin(f"notices/{destination.name}", 0, 0)
            value, headers = dead_letter.letter(body, error, origin, rendered.content_type)
            self._dead.produce(
                self._settings.topic(topics.DEAD_LETTER), value, headers=headers,
                on_delivery=lambda wrong, _: failed.append(wrong.str()) if wrong else None,
            )  # fmt: skip
        if self._dead.flush(_DEAD_WAIT_S + 1) or failed:
            raise UndeliveredError(failed[0] if failed else "no answer of the broker")


async def _rung(rung: asyncio.Event, within_s: float) -> None:
    try:
        await asyncio.wait_for(rung.wait(), within_s)
    except TimeoutError:
        return


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
