"""ASGI middleware: check, refuse or pass on, and publish the row once the upstream has said its status.

    app = RateLimitMiddleware(app, node, publisher, settings)

The row is published when the response begins (not when it ends: a stream may take hours), so its latency is the time to
the first byte. An app that fails before that counts as 500. A request in a queue is held back for its delay; slots of a
concurrency limit are released when the response ends, or the client leaves.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

import structlog

from limiter.answers import Refusal
from limiter.identity import Identifier
from limiter.node import Node
from limiter.passage import Arrived, Passage, Rows
from limiter.question import Question, question
from schemas.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
DELAY_S_MAX: Final = 60.0
log = structlog.get_logger("limiter.asgi")


class RateLimitMiddleware:
    """Stands before `app`. `exempt` paths (health checks) pass unseen."""

    def __init__(
        self, app: App, node: Node, publisher: Rows, settings: Settings, *, exempt: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._node = node
        self._rows = publisher
        self._name = node.name
        self._identifier = Identifier(settings)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection; only `http` and `websocket` are checked."""
        if scope["type"] not in ("http", "websocket") or scope.get("path") in self._exempt:
            await self._app(scope, receive, send)
            return
        try:
            passage = await self._judge(scope)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            # Where an application set up no log, structlog would show our variables, and so its clients' keys.
            log.exception("check_fault", exc_info=False, exception=traceback.format_exc())  # noqa: LOG007 - as text
            await self._app(scope, receive, send)
            return
        if passage.refusal is not None:
            await self._release(passage)  # a malformed request's
            await _refuse(scope, send, passage.refusal)
            return
        await self._pass(passage, scope, receive, send)

    async def _judge(self, scope: Scope) -> Passage:
        arrived, asked = Arrived.now(), self._question(scope)
        return Passage(asked, await self._node.check(asked.request), self._rows, self._name, arrived)

    async def _pass(self, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
        shown = [(name.encode(), value.encode()) for name, value in passage.headers]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                passage.tell(int(message["status"]))
                message["headers"] = [*message.get("headers", ()), *shown]
            elif message["type"] in ("websocket.accept", "websocket.close"):
                passage.tell(101 if message["type"] == "websocket.accept" else 403)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                await self._release(passage)  # before what an app does after its response

        try:
            if passage.delay_s:
                await asyncio.sleep(min(passage.delay_s, DELAY_S_MAX))
            await self._app(scope, receive, sending)
        except Exception:
            passage.tell(500)
            raise
        finally:
            passage.tell(0)  # the client left, or the app never answered
            await self._release(passage)

    async def _release(self, passage: Passage) -> None:
        if slots := passage.slots():
            await asyncio.shield(self._node.release(slots))  # also when the client has left

    def _question(self, scope: Scope) -> Question:
        raw: Headers = list(scope.get("headers", ()))

        def header(name: str) -> str | None:
            wanted = name.encode("latin-1", "replace")
            values = [value for key, value in raw if key == wanted]
            return b", ".join(values).decode("latin-1") if values else None

        client = scope.get("client")
        sent: bytes = scope.get("raw_path") or str(scope.get("path", "/")).encode("utf-8", "replace")
        path = sent.partition(b"?")[0].decode("latin-1")
        if query := scope.get("query_string", b""):
            path = f"{path}?{query.decode('latin-1')}"
        peer = str(client[0]) if client else None
        return question(self._identifier, peer, header, str(scope.get("method", "GET")), path, self._node.headers)


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body if scope.get("method") != "HEAD" else b""})
