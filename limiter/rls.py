"""Envoy's `RateLimitService/ShouldRateLimit` v3 and gRPC's health service, over one `Service`.

    async with serving(RateLimitService(service)):
        ...

One call is one client request, and one row, however many descriptors it has: the row tells the decisive answer. All
descriptors of all calls that arrive together are judged in one round trip. A message nobody can take is
INVALID_ARGUMENT with the field named; a fault of ours is OK and counted, never an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from google.protobuf.message import DecodeError

from limiter.envoy import replies
from limiter.envoy.descriptors import Call, Reader
from limiter.envoy.messages import NOT_SERVING, SERVING, HealthCheckRequest, HealthCheckResponse
from limiter.grpc import Code, Failure, Server
from limiter.identity import Identifier
from limiter.node import wall_clock_ms
from limiter.rows import row
from limiter.service import Service
from limiter.verdict import Answer
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
        self._calls = service.metrics.rls_calls

    async def should_rate_limit(self, messages: Sequence[bytes]) -> list[bytes | Failure]:
        """What each `RateLimitRequest` is answered."""
        try:
            return await self._answered(messages)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            self._service.metrics.faults.inc(len(messages))
            log.exception("rls_fault")
            return [replies.fail_open()] * len(messages)

    async def health(self, messages: Sequence[bytes]) -> list[bytes | Failure]:
        """Whether checks may be sent here; the same as `/readyz`."""
        return [self._health(message) for message in messages]

    async def _answered(self, messages: Sequence[bytes]) -> list[bytes | Failure]:
        ts_ms = wall_clock_ms()
        calls = [self._read(message) for message in messages]
        requests = [request for call in calls if isinstance(call, Call) for request in call.requests]
        given = iter(await self._node.check_many(requests))
        answered: list[bytes | Failure] = []
        for call in calls:
            if isinstance(call, Failure):
                answered.append(call)
                continue
            its = [next(given) for _ in call.requests]
            answered.append(self._reply(call, its, ts_ms))
            if len(its) > 1:
                await self._undo(its)
        return answered

    async def _undo(self, given: Sequence[Answer]) -> None:
        """A refused call takes nothing: what its other descriptors took is given back."""
        if not all(answer.allowed for answer in given):
            for answer in given:
                await self._node.refund(answer)

    def _read(self, message: bytes) -> Call | Failure:
        try:
            return self._reader.read(message)
        except BadMessageError as error:
            self._calls.labels("INVALID_ARGUMENT").inc()
            return Failure(Code.INVALID_ARGUMENT, str(error))

    def _reply(self, call: Call, given: list[Answer], ts_ms: int) -> bytes:
        decisive = given[replies.decisive(given)]
        self._publisher.offer(self._row(call, given, decisive, ts_ms))
        self._calls.labels("OK" if decisive.allowed else "OVER_LIMIT").inc()
        return replies.response(given)

    def _row(self, call: Call, given: Sequence[Answer], decisive: Answer, ts_ms: int) -> Decision:
        told = row(call.whole, decisive, ts_ms, self._node.name)
        if not call.whole.path:
            return msgspec.structs.replace(told, path=None)
        if len(given) > 1:  # the route is the one of the descriptor with the path, whichever answer was decisive
            at = call.requests.index(next(one for one in call.requests if one.path))
            return msgspec.structs.replace(told, route=given[at].route)
        return told

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
