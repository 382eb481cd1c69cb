"""Envoy's `RateLimitService/ShouldRateLimit` v3 and gRPC's health service, over one `Service`.

    async with serving(RateLimitService(service)):
        ...

One call is one client request, and one row, however many descriptors it has: the row tells the decisive answer. All
descriptors of all calls that arrive together are judged in one round trip. A message nobody can take is
INVALID_ARGUMENT with the field named; a fault of ours is OK and counted, never an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from google.protobuf.message import DecodeError

from limiter.envoy import replies
from limiter.envoy.descriptors import Call, Reader
from limiter.envoy.messages import NOT_SERVING, SERVING, HealthCheckRequest, HealthCheckResponse
from limiter.grpc import Code, Failure, Replies, Server
from limiter.identity import Identifier
from limiter.node import wall_clock_ms
from limiter.rows import row
from limiter.service import Service
from limiter.verdict import Answer, Placed
from schemas.decision import Decision
from schemas.errors import BadMessageError, SettingsError
from schemas.settings import PREFIX

NAME: Final = "envoy.service.ratelimit.v3.RateLimitService"
SHOULD_RATE_LIMIT: Final = f"/{NAME}/ShouldRateLimit"
HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
log = structlog.get_logger("limiter.rls")


class RateLimitService:
    """The two methods, each for a batch of messages. Raises `SettingsError` for a mapping nobody can take."""

    def __init__(self, service: Service) -> None:
        self.settings = service.settings
        self._service = service
        self._node = service.node
        self._publisher = service.publisher
        self._reader = Reader(Identifier(service.settings), service.settings.envoy_descriptors)
        self._counts = dict.fromkeys(("OK", "OVER_LIMIT", "INVALID_ARGUMENT"), 0)
        service.metrics.before_read(self._count)

    def should_rate_limit(self, messages: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        """What each `RateLimitRequest` is answered; at once, where memory suffices."""
        ts_ms = wall_clock_ms()
        try:
            calls = [self._read(message) for message in messages]
            begun = self._node.begin([request for call in calls if isinstance(call, Call) for request in call.requests])
            if len(begun) <= len(calls):  # a descriptor each: nothing to undo
                known = [each for each in begun if isinstance(each, Answer)]
                if len(known) == len(begun):
                    return self._replies(calls, known, ts_ms)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            log.exception("rls_fault")
            return self._open(len(messages))
        return self._asked(calls, begun, ts_ms)

    def health(self, messages: Sequence[bytes]) -> Replies:
        """Whether checks may be sent here; the same as `/readyz`."""
        return [self._health(message) for message in messages]

    async def _asked(self, calls: Sequence[Call | Failure], begun: Sequence[Answer | Placed], ts_ms: int) -> Replies:
        try:
            given = await self._node.finish(begun)
            await self._undo(calls, given)
            return self._replies(calls, given, ts_ms)
        except Exception:  # as above
            log.exception("rls_fault")
            return self._open(len(calls))

    async def _undo(self, calls: Sequence[Call | Failure], given: Sequence[Answer]) -> None:
        """A refused call takes nothing: what its other descriptors took is given back."""
        for call, its in _shared_out(calls, given):
            if isinstance(call, Call) and len(its) > 1 and not all(answer.allowed for answer in its):
                await asyncio.gather(*map(self._node.refund, its))

    def _replies(self, calls: Sequence[Call | Failure], given: Sequence[Answer], ts_ms: int) -> Replies:
        each = _shared_out(calls, given)
        said = [replies.response(its) if isinstance(call, Call) else call for call, its in each]
        asyncio.get_running_loop().call_soon(self._tell, each, ts_ms)  # once they are sent: nobody waits for a row
        return said

    def _tell(self, each: Sequence[tuple[Call | Failure, Sequence[Answer]]], ts_ms: int) -> None:
        """Counts the calls that were answered, and publishes their rows."""
        for call, its in each:
            if not isinstance(call, Call):
                self._counts["INVALID_ARGUMENT"] += 1
                continue
            decisive = its[replies.decisive(its)]
            self._counts["OK" if decisive.allowed else "OVER_LIMIT"] += 1
            if call.peeks:
                continue
            try:
                self._publisher.offer(self._row(call, its, decisive, ts_ms))
            except Exception:  # the outermost line here: one row less, and the others are told
                self._service.metrics.lost.labels("fault").inc()
                log.exception("rls_row_fault")

    def _open(self, calls: int) -> Replies:
        self._service.metrics.faults.inc(calls)
        return [replies.fail_open()] * calls

    def _read(self, message: bytes) -> Call | Failure:
        try:
            return self._reader.read(message)
        except BadMessageError as error:
            return Failure(Code.INVALID_ARGUMENT, str(error))

    def _row(self, call: Call, given: Sequence[Answer], decisive: Answer, ts_ms: int) -> Decision:
        told = row(call.whole, decisive, ts_ms, self._node.name)
        if not call.whole.path:
            return msgspec.structs.replace(told, path=None)
        if len(given) > 1:  # the route is the one of the descriptor with the path, whichever answer was decisive
            at = call.requests.index(next(one for one in call.requests if one.path))
            return msgspec.structs.replace(told, route=given[at].route)
        return told

    def _count(self) -> None:
        for code, count in self._counts.items():
            self._counts[code] = 0
            self._service.metrics.rls_calls.labels(code).inc(count)

    def _health(self, message: bytes) -> bytes | Failure:
        asked = HealthCheckRequest()
        try:
            asked.ParseFromString(message)
        except DecodeError as error:
            return Failure(Code.INVALID_ARGUMENT, f"message: {error}")
        if asked.service not in ("", NAME):
            return Failure(Code.NOT_FOUND, f"service: {asked.service[:100]!r} is not served here, {NAME} is")
        status = SERVING if self._service.ready else NOT_SERVING
        return bytes(HealthCheckResponse(status=status).SerializeToString())


def _shared_out(
    calls: Sequence[Call | Failure], given: Sequence[Answer]
) -> list[tuple[Call | Failure, Sequence[Answer]]]:
    """Each call with the answers to its requests."""
    found: list[tuple[Call | Failure, Sequence[Answer]]] = []
    at = 0
    for call in calls:
        many = len(call.requests) if isinstance(call, Call) else 0
        found.append((call, given[at : at + many]))
        at += many
    return found


@asynccontextmanager
async def serving(methods: RateLimitService) -> AsyncIterator[int]:
    """Serves on `grpc_port` of the settings while entered; gives the port. `SettingsError`: it cannot be had."""
    server = Server({SHOULD_RATE_LIMIT: methods.should_rate_limit, HEALTH_CHECK: methods.health})
    settings = methods.settings
    try:
        port = await server.start(settings.host, settings.grpc_port)
    except OSError as error:
        raise SettingsError(f"{PREFIX}GRPC_PORT: {settings.host}:{settings.grpc_port}: {error.strerror}") from error
    log.info("rls_started", host=settings.host, port=port)
    try:
        yield port
    finally:
        await server.stop()
