"""WSGI middleware: check, refuse or pass on, and publish the row with the upstream's status.

    app.wsgi_app = RateLimitMiddleware(app.wsgi_app, limiter)      # or limiter.middleware(app.wsgi_app)

The row is published when the application returned its response, or with the first part of it where it says its status
only then. An application that fails before that counts as 500. What the client is not to know of us stays with us: a
fault of ours lets the request pass.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from limiter.passage import Passage

if TYPE_CHECKING:
    from limiter.limiter import Limiter

DELAY_S_MAX: Final = 60.0
log = structlog.get_logger("limiter.wsgi")


class RateLimitMiddleware:
    """Stands before `app`. `exempt` paths (health checks) pass unseen."""

    def __init__(self, app: WSGIApplication, limiter: Limiter, *, exempt: Iterable[str] = ()) -> None:
        self._app = app
        self._limiter = limiter
        self._exempt = frozenset(exempt)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        if path_of(environ) in self._exempt:
            return self._app(environ, start_response)
        try:
            passage = self._judge(environ)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            # Where an application set up no log, structlog would show our variables, and so its clients' keys.
            log.exception("check_fault", exc_info=False, exception=traceback.format_exc())  # noqa: LOG007 - as text
            return self._app(environ, start_response)
        if passage.refusal is not None:
            refusal = passage.refusal
            self._release(passage)  # a malformed request's
            start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", refusal.headers)
            return [] if environ.get("REQUEST_METHOD") == "HEAD" else [refusal.body]
        if passage.delay_s:
            time.sleep(min(passage.delay_s, DELAY_S_MAX))
        return self._pass(passage, environ, start_response)

    def _judge(self, environ: WSGIEnvironment) -> Passage:
        path = path_of(environ)
        if query := environ.get("QUERY_STRING"):
            path = f"{path}?{query}"

        def header(name: str) -> str | None:
            found = environ.get("HTTP_" + name.upper().replace("-", "_"))
            return None if found is None else str(found)

        peer = environ.get("REMOTE_ADDR") or None  # empty: a Unix socket
        return self._limiter.judge(peer, header, str(environ.get("REQUEST_METHOD", "GET")), path)

    def _pass(self, passage: Passage, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        said = 0

        def starting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            nonlocal said
            said = int(status[:3]) if status[:3].isdigit() else 0
            return start_response(status, [*headers, *passage.headers], exc_info)

        try:
            body = self._app(environ, starting)
        except Exception:
            passage.tell(500)
            self._release(passage)
            raise
        if said and not passage.answer.slots:
            passage.tell(said)
            return body  # itself: a server may know what to do with a file, or with a list of one part
        return _Body(body, passage, lambda: said, lambda: self._release(passage))

    def _release(self, passage: Passage) -> None:
        if passage.slots():
            self._limiter.release(passage.answer)


class _Body:
    """A response's parts as they come, and its end, which WSGI servers tell by `close`."""

    def __init__(
        self, body: Iterable[bytes], passage: Passage, status: Callable[[], int], release: Callable[[], None]
    ) -> None:
        self._body = body
        self._passage = passage
        self._status = status
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._body:
                if part:
                    self._passage.tell(self._status())
                yield part
        except Exception:
            self._passage.tell(500)
            raise

    def close(self) -> None:
        """The response has ended, or the client has left."""
        try:
            if callable(close := getattr(self._body, "close", None)):
                close()
        finally:
            self._passage.tell(self._status())
            self._release()


def path_of(environ: WSGIEnvironment) -> str:
    """The path as the client asked for it: WSGI gives it decoded, in two parts, as bytes read as Latin-1."""
    return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"
