"""HTTP of ingest: records posted in bulk, and what every service serves.

    POST /v1/ingest/SOURCE    one JSON object, an array of objects, or one a line (or log lines); gzip or not.
                              202 {"accepted", "duplicates"}: the broker has them. 422: some were dead-lettered, the
                              rest accepted; do not repeat. 503 with Retry-After: repeat, with event ids without harm
    GET  /healthz  /readyz  /metrics

A sender that waits for its answer loses nothing; one that repeats what it got no answer for repeats rows unless the
source names an event id.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limiter import answers
from limiter.ingest.fields import RECORD_BYTES_MAX
from limiter.ingest.mapping import Format
from limiter.ingest.outlet import Ticket
from limiter.ingest.reader import Read
from limiter.ingest.source import Intake
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError

PATIENCE_S: Final = 10.0
ERRORS_SHOWN_MAX: Final = 20
_WAITING_MAX: Final = 1_000  # requests


class PostSource:
    """One source that is posted to. Requests are read one after the other, and wait for the broker together."""

    def __init__(self, intake: Intake, patience_s: float = PATIENCE_S) -> None:
        self.intake = intake
        self._patience_s = patience_s
        self._lock = asyncio.Lock()
        self._open: set[Ticket] = set()

    async def post(self, request: Request) -> Response:
        """Records in, an answer when the broker has them."""
        name = self.intake.source.name
        self._open = {ticket for ticket in self._open if not ticket.done}
        if self.intake.outlet.full or self.intake.outlet.away or len(self._open) >= _WAITING_MAX:
            return self._later("the broker is away, or too much waits for it")
        body = await _body(request)
        async with self._lock:
            read, ticket = await asyncio.to_thread(self._take, body)
        # A record left out as a repeat may be on its way still, in an earlier request: that one is waited for too.
        self._open.add(ticket)
        if not await _arrived(set(self._open), self._patience_s):
            return self._later("the broker did not answer in time; what was posted may still arrive")
        counts = {"accepted": read.rows, "duplicates": read.duplicates}
        if not read.bad:
            return _json(counts, 202)
        shown = [
            {"field": e.field, "code": e.code, "reason": e.reason, "fix": e.fix}
            for _, _, e in read.bad[:ERRORS_SHOWN_MAX]
        ]
        return _problem(read.bad[0][2], 422, **counts, rejected=len(read.bad), errors=shown, source=name)

    def _take(self, body: bytes) -> tuple[Read, Ticket]:
        source = self.intake.source
        values = [body] if source.format is Format.JSON else body.splitlines()
        return self.intake.take(values, lambda at: Origin(f"/v1/ingest/{source.name}", 0, at, source.name))

    def _later(self, reason: str) -> Response:
        self.intake.metrics.posts_refused.labels(self.intake.source.name).inc()
        return _problem(BadMessageError("away", "body", reason, "send it again later"), 503)


def create_app(
    sources: Mapping[str, PostSource], registry: CollectorRegistry, why_not_ready: Callable[[], str]
) -> Starlette:
    """The application; `why_not_ready` gives an empty text once every source is at work."""

    async def post(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in sources:
            known = ", ".join(sorted(sources)) or "none: give a source `http: true`"
            return _problem(BadMessageError("unknown_field", "source", f"{name[:80]!r} is not known", known), 404)
        try:
            return await sources[name].post(request)
        except BadMessageError as error:
            return _problem(error, 413 if error.code == "too_large" else 400)

    def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    def readyz(_: Request) -> Response:
        reason = why_not_ready()
        return PlainTextResponse(reason + "\n", 503) if reason else PlainTextResponse("ready\n")

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/v1/ingest/{name}", post, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )


async def _arrived(tickets: set[Ticket], patience_s: float) -> bool:
    """Whether all are done within our patience."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not all(ticket.done for ticket in tickets):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


async def _body(request: Request) -> bytes:
    """The body, unpacked; bounded both ways."""
    kind = request.headers.get("content-encoding", "identity").strip().lower()
    if kind not in ("identity", "gzip"):
        raise BadMessageError("content_type", "content-encoding", f"{kind[:40]!r} is not known", "send gzip or none")
    unpacker = zlib.decompressobj(wbits=31) if kind == "gzip" else None
    parts: list[bytes] = []
    length = 0
    try:
        async for part in request.stream():
            read = unpacker.decompress(part, RECORD_BYTES_MAX + 1 - length) if unpacker else part
            length += len(read)
            if length > RECORD_BYTES_MAX:
                fix = "send it in parts"
                raise BadMessageError("too_large", "body", f"more than {RECORD_BYTES_MAX} bytes", fix)
            parts.append(read)
    except zlib.error as error:
        raise BadMessageError("bad_value", "body", str(error), "send whole gzip") from error
    if unpacker is not None and not unpacker.eof:
        raise BadMessageError("bad_value", "body", "the gzip ends early", "send whole gzip")
    return b"".join(parts)


def _problem(error: BadMessageError, status_code: int, **more: Any) -> Response:
    extra = {"retry-after": "1"} if status_code == 503 else {}
    return Response(answers.bad_request(error, status_code, **more), status_code, extra, media_type=answers.PROBLEM)


def _json(value: object, status_code: int) -> Response:
    return Response(msgspec.json.encode(value), status_code, media_type="application/json")
