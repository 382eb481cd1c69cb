"""The limiter as an HTTP service.

    POST /v1/check       one question  -> 200 and the answer (`allowed`, `status`, `headers` to show ...)
    POST /v1/checks      {"requests": [...]} -> 200 {"answers": [...]}, at most 1,000
    POST /v1/decisions   decisions of a gateway: a JSON object or array, or an Arrow stream -> 202; rows nobody can take
                         go to the dead-letter topic and are named in a 422, after the good ones were published
    POST /v1/release     {"slots": [...]} of answers whose requests are done -> 200; again does no harm; 503 when Redis
                         could not be told: it is when it answers; 404 names one of a limit there is not, the others
                         are released
    GET  /v1/auth        a proxy's sub-request about the request it holds (`limiter.auth`)
    GET  /healthz  /readyz  /metrics

One request, one row. `/v1/check` publishes the row itself, without an upstream status, unless the question says
`"publish": false`: then the answer holds the row under `decision`, and the gateway posts it to `/v1/decisions` with
`status` and `latency_ms` filled in. A gateway does one or the other, never both.
"""

from __future__ import annotations

import gc
import importlib
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limiter import answers, wire
from limiter.auth import Auth
from limiter.identity import VALUE_BYTES_MAX, Identifier
from limiter.located import located_row
from limiter.node import wall_clock_ms
from limiter.question import PATH_CHARS_TAKEN
from limiter.rows import cleaned, row
from limiter.service import Service
from limiter.unreadable import ProblemProtocol
from schemas import codec, topics
from schemas.dead_letter import Origin
from schemas.decision import Decision
from schemas.errors import BadMessageError, SettingsError
from schemas.settings import PORTS, PREFIX, Settings

PORT: Final = PORTS["limiter"]
BODY_BYTES_MAX: Final = 4 << 20
HEARD_BYTES_MAX: Final = 64 << 20  # so much of a larger body is read and dropped: who still sends hears no answer
ERRORS_SHOWN_MAX: Final = 20
_DECISIONS: Final = "/v1/decisions"
_UNSAID: Final = ("", "application/x-www-form-urlencoded")  # the second is what `curl -d` says of any body
_OPENED: Final = re.compile(rb'"([\w.:-]{1,200})"\s*:\s*"\Z')
Handler = Callable[[HttpRequest], Coroutine[Any, Any, Response]]


class Api:
    """The endpoints over one `Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._node = service.node
        self._publisher = service.publisher
        self._identifier = Identifier(service.settings)

    def routes(self) -> list[Route]:
        """The table of endpoints."""
        return [
            Route("/v1/check", _named(self.check), methods=["POST"]),
            Route("/v1/checks", _named(self.checks), methods=["POST"]),
            Route("/v1/release", _named(self.release), methods=["POST"]),
            Route(_DECISIONS, _named(self.decisions), methods=["POST"]),
            Route("/v1/auth", _named(Auth(self._service, self._identifier).__call__)),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]

    async def check(self, http: HttpRequest) -> Response:
        """One question."""
        question = wire.check(await _body(http))
        return _json((await self._answers([question]))[0])

    async def checks(self, http: HttpRequest) -> Response:
        """Several questions, one round trip."""
        questions = wire.checks(await _body(http))
        return _json({"answers": await self._answers(questions)})

    async def _answers(self, questions: list[wire.Check]) -> list[dict[str, Any]]:
        ts_ms = wall_clock_ms()
        requests = [wire.request(question, self._identifier) for question in questions]
        given = await self._node.check_many(requests)
        replies: list[dict[str, Any]] = []
        for question, request, answer in zip(questions, requests, given, strict=True):
            decision = row(request, answer, ts_ms, self._node.name)
            if question.publish and not question.peek:
                self._publisher.offer(decision)
            replies.append(wire.reply(answer, None if question.publish or question.peek else decision))
        return replies

    async def release(self, http: HttpRequest) -> Response:
        """Slots whose requests are done."""
        slots = wire.release(await _body(http))
        known = [slot for slot in slots if self._node.gives_slots(slot.limit)]
        if not await self._node.release(known):
            fix = "send them again, else their leases free them"
            return _problem(BadMessageError("away", "slots", "Redis could not be told", fix), 503)
        if len(known) < len(slots):
            at, name = next((n, s.limit) for n, s in enumerate(slots) if not self._node.gives_slots(s.limit))
            fix = "as the answer had it; of a limit that is no longer in the policy, the lease frees it"
            why = f"no limit named {name[:80]!r} gives slots"
            unknown = BadMessageError("not_found", f"slots[{at}].limit", why, fix)
            return _problem(unknown, 404, released=len(known))
        return _json({"released": len(slots)})

    async def decisions(self, http: HttpRequest) -> Response:
        """Decisions made elsewhere."""
        body, content_type = await _body(http), http.headers.get("content-type")
        kind = (content_type or "").partition(";")[0].strip().lower()
        try:
            if kind == topics.JSON or (kind in _UNSAID and body.lstrip()[:1] in (b"{", b"[")):
                good, bad = wire.rows(body)
            else:
                good, bad = codec.to_rows(codec.decode(body, content_type)), []
        except BadMessageError as error:
            self._publisher.dead_letter(body, error, Origin(_DECISIONS, 0, 0), content_type)
            raise
        for at, part, why in bad:
            self._publisher.dead_letter(part, why, Origin(_DECISIONS, 0, at), topics.JSON)
        kept = self._publish(good)
        if kept < len(good):
            full = BadMessageError(
                "too_large", "body", f"{len(good) - kept} of {len(good)} rows found no room", "send them again later"
            )
            return _problem(full, 503, accepted=kept)
        if bad:
            shown = [
                {"index": at, "field": e.field, "code": e.code, "reason": e.reason, "fix": e.fix}
                for at, _, e in bad[:ERRORS_SHOWN_MAX]
            ]
            return _problem(bad[0][2], 422, accepted=kept, rejected=len(bad), errors=shown)
        return _json({"accepted": kept}, 202)

    def _publish(self, good: list[Decision]) -> int:
        for at, decision in enumerate(good):
            if not self._publisher.offer(located_row(cleaned(decision), self._identifier.places.of)):
                return at
        return len(good)

    async def healthz(self, _: HttpRequest) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: HttpRequest) -> Response:
        """Whether checks may be sent here: the feed was heard once, or Redis is known to be away."""
        if self._service.ready:
            return PlainTextResponse(f"ready, limits {self._node.mode}\n")
        return PlainTextResponse("not ready: the enforcement feed was not heard yet\n", 503)

    async def metrics(self, _: HttpRequest) -> Response:
        """Prometheus text."""
        return Response(generate_latest(self._service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def create_app(service: Service, *, owns: bool = True) -> Starlette:
    """The application; it starts and stops `service` when it `owns` it."""
    gateways = _gateways(service)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if owns:
            async with service, gateways():
                yield
        else:
            yield

    routes = Api(service).routes()
    elsewhere = _elsewhere(", ".join(f"{min(each.methods or ('GET',))} {each.path}" for each in routes))
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: elsewhere, 405: elsewhere})


def _gateways(service: Service) -> Callable[[], AbstractAsyncContextManager[object]]:
    """What else listens: Envoy's rate limit service, where it has a port. Raises `SettingsError` where it cannot."""
    if not service.settings.grpc_port:
        return nullcontext
    try:
        rls = importlib.import_module("limiter.rls")  # an extra: whoever does not ask for it need not have it
    except ModuleNotFoundError as error:
        fix = "pip install 'floodwarden[envoy]', or leave the port out"
        raise SettingsError(f"{PREFIX}GRPC_PORT is set, but {error.name} is not installed; {fix}") from error
    methods = rls.RateLimitService(service)
    return lambda: rls.serving(methods)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C, then sends what waits and stops."""
    service = Service(settings.model_copy(update={"port": settings.port or PORT}))
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=service.settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
        http=ProblemProtocol,
        proxy_headers=False,  # whom we believe about a client is `identity`'s to say
    )
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal that stopped it once more, for whoever had it before: a stop asked for is no failure
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        if settings.policies is not None:
            signal.signal(signal.SIGHUP, lambda *_: service.reload_policy())
    gc.collect()
    gc.freeze()  # a full collection would look at all that was imported, and no check is answered meanwhile
    uvicorn.Server(config).run()


def _named(handler: Handler) -> Handler:
    """`handler`, with messages nobody can take answered by a problem that names the field."""

    async def handle(http: HttpRequest) -> Response:
        try:
            return await handler(http)
        except BadMessageError as error:
            return _problem(error, 413 if isinstance(error, _TooLargeError) else 400)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody waits for it

    return handle


def _elsewhere(known: str) -> Callable[[HttpRequest, Exception], Response]:
    def answer(http: HttpRequest, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        reason = f"{http.method[:16]} {http.url.path[:100]} is not served here"
        found = _problem(BadMessageError("not_found", "path", reason, f"one of {known}"), error.status_code)
        found.headers.update(error.headers or {})  # Allow
        return found

    return answer


async def _body(http: HttpRequest) -> bytes:
    parts, length = [], 0
    async for part in http.stream():
        if length < BODY_BYTES_MAX:
            parts.append(part[: BODY_BYTES_MAX - length])
        length += len(part)
        if length > HEARD_BYTES_MAX:
            break
    if length > BODY_BYTES_MAX:
        raise _too_large(b"".join(parts))
    return b"".join(parts)


class _TooLargeError(BadMessageError):
    """A body that was not read to its end."""


def _too_large(head: bytes) -> _TooLargeError:
    """What `head` is the beginning of; a text in it that has not ended after 64 KiB is what is too large."""
    quote = head.rfind(b'"')
    opened = _OPENED.search(head[max(0, quote - VALUE_BYTES_MAX) : quote + 1])
    if opened is not None and len(head) - quote > PATH_CHARS_TAKEN:
        reason = f"more than {len(head) - quote} bytes"
        return _TooLargeError("too_large", opened[1].decode(), reason, "nothing is so long; refuse the client")
    return _TooLargeError("too_large", "body", f"more than {BODY_BYTES_MAX} bytes", "send it in parts")


def _problem(error: BadMessageError, status_code: int, **more: Any) -> Response:
    extra = {"retry-after": "1"} if status_code == 503 else {}
    return Response(answers.bad_request(error, status_code, **more), status_code, extra, media_type=answers.PROBLEM)


def _json(value: object, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code, media_type="application/json")
