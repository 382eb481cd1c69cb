"""ASGI middleware: check, refuse or pass on, and publish the row once the upstream has said its status.

    app = RateLimitMiddleware(app, node, publisher, settings)

The row is published when the response begins (not when it ends: a stream may take hours), so its latency is the time to
the first byte. An app that fails before that counts as 500.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from limiter import answers
from limiter.identity import Identifier, user_agent
from limiter.node import Node, wall_clock_ms
from limiter.publisher import Publisher
from limiter.rows import completed, row
from limiter.verdict import Answer, Request
from schemas.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class RateLimitMiddleware:
    """Stands before `app`. `exempt` paths (health checks) pass unseen."""

    def __init__(
        self, app: App, node: Node, publisher: Publisher, settings: Settings, *, exempt: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._node = node
        self._publisher = publisher
        self._name = node.name
        self._identifier = Identifier(settings)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection; only `http` and `websocket` are checked."""
        if scope["type"] not in ("http", "websocket") or scope.get("path") in self._exempt:
            await self._app(scope, receive, send)
            return
        began, ts_ms = time.perf_counter(), wall_clock_ms()
        request = self._request(scope)
        answer = await self._node.check(request)
        decision = row(request, answer, ts_ms, self._name)
        if not answer.allowed:
            self._publisher.offer(completed(decision, answers.status(answer), _since_ms(began)))
            await _refuse(scope, send, answer)
            return
        shown = [(name.encode(), value.encode()) for name, value in answers.headers(answer)]
        told = False

        def tell(status: int) -> None:
            nonlocal told
            if not told:
                told = True
                self._publisher.offer(completed(decision, status, _since_ms(began)))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(int(message["status"]))
                message["headers"] = [*message.get("headers", ()), *shown]
            elif message["type"] in ("websocket.accept", "websocket.close"):
                tell(101 if message["type"] == "websocket.accept" else 403)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            tell(500)
            raise
        finally:
            tell(0)  # the client left, or the app never answered

    def _request(self, scope: Scope) -> Request:
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
        return Request(
            method=str(scope.get("method", "GET")),
            path=path,
            identity=self._identifier.identify(peer, header),
            ua=user_agent(header("user-agent")),
            attributes=self._identifier.attributes(peer, header, self._node.headers),
        )


async def _refuse(scope: Scope, send: Send, answer: Answer) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = answers.problem(answer)
    shown = [
        ("content-type", answers.PROBLEM),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        *answers.headers(answer),
    ]
    headers = [(name.encode(), value.encode()) for name, value in shown]
    await send({"type": "http.response.start", "status": answers.status(answer), "headers": headers})
    await send({"type": "http.response.body", "body": body if scope.get("method") != "HEAD" else b""})


def _since_ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
