"""The limiter as a library: a node inside a Python service, for code that waits and for code that awaits.

    with Limiter.open(policies="policies.yaml", redis="redis://127.0.0.1:6379/0") as limiter:
        answer = limiter.check("/login", method="POST", ip="203.0.113.7", key="an API key")
        if not answer.allowed:
            ...

    async with Limiter.open_async(policies="policies.yaml") as limiter:
        answer = await limiter.check("/items/1", ip="203.0.113.7")

What is not given comes from `FLOODWARDEN_*` variables. Kafka is asked for only with `publish=True`. docs/library.md has
the whole of it.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack
from wsgiref.types import WSGIApplication

import structlog

from limiter import wire
from limiter.asgi import App
from limiter.asgi import RateLimitMiddleware as AsgiMiddleware
from limiter.identity import Header, Identifier
from limiter.loop_thread import LoopThread
from limiter.passage import Arrived, Passage
from limiter.question import Question, question
from limiter.rows import row
from limiter.service import Service
from limiter.verdict import Answer, Mode, Request
from limiter.wsgi import RateLimitMiddleware as WsgiMiddleware
from schemas.errors import BadMessageError, one_of
from schemas.settings import Settings, load

ANSWER_S_MAX: Final = 1.0  # beyond every deadline of a check: our own thread is starved, and the request passes
RELEASE_S_MAX: Final = 1.0
log = structlog.get_logger("limiter.library")


class Asking(TypedDict, total=False):
    """What may be said of a request beside its path. `key` is an API key itself; only its keyed hash is kept."""

    method: str
    ip: str | None
    key: str | None
    key_id: str | None
    user: str | None
    tenant: str | None
    route: str | None
    tier: str | None
    cost: int | None
    ua: str | None
    attributes: dict[str, str] | None
    peek: bool


_ASKED: Final = Asking.__annotations__.keys()


class AsyncLimiter:
    """A limiter node on the event loop that enters it. `async with` starts and stops it."""

    def __init__(self, settings: Settings, *, publish: bool = False) -> None:
        _log_with_the_host()
        self.service = Service(settings, publish=publish)
        self._identifier = Identifier(self.service.settings)

    async def __aenter__(self) -> Self:
        await self.service.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.service.__aexit__(kind, error, trace)

    async def check(self, path: str, **asking: Unpack[Asking]) -> Answer:
        """What to do with a request, and its row published. Redis away or slow raises nothing.

        Raises:
            BadMessageError: a value nobody can take; it names the field.
        """
        arrived, request = Arrived.now(), self.request(path, asking)
        answer = await self.service.node.check(request)
        self.publish(request, answer, arrived)
        return answer

    async def release(self, answer: Answer) -> bool:
        """Frees the slots of a concurrency limit that `answer` holds; False: not yet, Redis could not be told."""
        return await self.service.node.release(answer)

    async def refund(self, answer: Answer) -> bool:
        """Gives back what `answer` took, for a request that shall not count; False: Redis could not be told."""
        return await self.service.node.refund(answer)

    def middleware(self, app: App, *, exempt: Iterable[str] = ()) -> AsgiMiddleware:
        """`app` with this limiter before it."""
        service = self.service
        return AsgiMiddleware(app, service.node, service.rows, service.settings, exempt=exempt)

    def request(self, path: str, asking: Mapping[str, Any]) -> Request:
        """What is asked, checked. Raises `BadMessageError` naming the field."""
        for name in asking.keys() - _ASKED:
            raise BadMessageError("unknown_field", name, "is nothing a check takes", one_of(name, _ASKED))
        given = {("api_key" if name == "key" else name): value for name, value in asking.items()}
        try:
            return wire.request(wire.said(given | {"path": path}), self._identifier)
        except BadMessageError as error:
            if error.field == "api_key":  # as gateways call it
                raise BadMessageError(error.code, "key", error.reason, error.fix) from error
            raise

    def publish(self, request: Request, answer: Answer, arrived: Arrived) -> None:
        """The row of an answer, but for one that only looked."""
        if not request.peek:
            self.service.rows.offer(row(request, answer, arrived.ts_ms, self.service.node.name))

    def question(self, peer: str | None, header: Header, method: str, path: str) -> Question:
        """A client's HTTP request as a question."""
        return question(self._identifier, peer, header, method, path, self.service.node.headers)


class Limiter:
    """A limiter node on a thread of its own, for callers that wait; any thread may ask. `with` starts and stops it.

    Without `with` it starts at its first question and stops with the process. A process forked from one that has it
    gets its own at its first question.
    """

    def __init__(self, settings: Settings, *, publish: bool = False) -> None:
        self._settings = settings
        self._publish = publish
        self._lock = Lock()
        self._running: tuple[int, LoopThread, AsyncLimiter] | None = None

    @classmethod
    def open(
        cls, *, policies: str | Path | None = None, redis: str | None = None, publish: bool = False, **more: object
    ) -> Limiter:
        """A limiter for `with`. `more` are settings by their names; what is not given comes from the environment.

        Raises:
            SettingsError: a setting nobody can take.
            PolicyError: the policy file cannot be taken (when it is entered).
        """
        return cls(_settings(policies, redis, more), publish=publish)

    @staticmethod
    def open_async(
        *, policies: str | Path | None = None, redis: str | None = None, publish: bool = False, **more: object
    ) -> AsyncLimiter:
        """The same for `async with`. Raises also `PolicyError`, at once."""
        return AsyncLimiter(_settings(policies, redis, more), publish=publish)

    def __enter__(self) -> Self:
        self._parts()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        atexit.unregister(self._end)
        self._end()

    def check(self, path: str, **asking: Unpack[Asking]) -> Answer:
        """What to do with a request, and its row published. Redis away or slow raises nothing.

        Raises:
            BadMessageError: a value nobody can take; it names the field.
        """
        thread, inner = self._parts()
        arrived, request = Arrived.now(), inner.request(path, asking)
        answer = _ask(thread, inner, request)
        inner.publish(request, answer, arrived)
        return answer

    def release(self, answer: Answer) -> bool:
        """Frees the slots of a concurrency limit that `answer` holds; False: not yet, Redis could not be told."""
        return bool(answer.slots) and self._told(answer, release=True)

    def refund(self, answer: Answer) -> bool:
        """Gives back what `answer` took, for a request that shall not count; False: Redis could not be told."""
        return self._told(answer, release=False)

    def middleware(self, app: WSGIApplication, *, exempt: Iterable[str] = ()) -> WsgiMiddleware:
        """`app` with this limiter before it."""
        return WsgiMiddleware(app, self, exempt=exempt)

    def judge(self, peer: str | None, header: Header, method: str, path: str) -> Passage:
        """A client's HTTP request, judged: what an adapter asks. Whatever the client sent, there is an answer."""
        thread, inner = self._parts()
        arrived = Arrived.now()
        asked = inner.question(peer, header, method, path)
        answer = _ask(thread, inner, asked.request)
        return Passage(asked, answer, inner.service.rows, inner.service.node.name, arrived)

    def _end(self, *, of_process: bool = False) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running[0] == os.getpid():
            _, thread, inner = running
            if self._publish:
                inner.service.publisher.stop()
            thread.run(inner.__aexit__(None, None, None))
            if not of_process:  # at the end of one no new thread can be had, which the end of a loop may want
                thread.close()

    def _told(self, answer: Answer, *, release: bool) -> bool:
        thread, inner = self._parts()
        try:
            return thread.run(inner.release(answer) if release else inner.refund(answer), RELEASE_S_MAX)
        except TimeoutError:
            return False

    def _parts(self) -> tuple[LoopThread, AsyncLimiter]:
        """What runs in this process; begun where nothing does. Threads do not survive a fork."""
        running = self._running
        if running is None or running[0] != os.getpid():
            with self._lock:
                running = self._running
                if running is None or running[0] != os.getpid():
                    inner = AsyncLimiter(self._settings, publish=self._publish)
                    thread = LoopThread("floodwarden-limiter")
                    thread.run(inner.__aenter__())
                    running = self._running = (os.getpid(), thread, inner)
                    atexit.register(self._end, of_process=True)  # sends rows that wait, gives tokens back
        return running[1], running[2]


def _ask(thread: LoopThread, inner: AsyncLimiter, request: Request) -> Answer:
    node = inner.service.node
    try:
        return thread.ask(lambda: node.check_local(request), lambda: node.check(request), ANSWER_S_MAX)
    except TimeoutError:
        inner.service.metrics.faults.inc()
        log.warning("check_late", waited_s=ANSWER_S_MAX, answered="allow")
        return Answer("allow", "/*", inner.service.policy.default_tier, 1, Mode.MEMORY)


def _settings(policies: str | Path | None, redis: str | None, more: Mapping[str, object]) -> Settings:
    given: dict[str, object] = dict(more)
    if policies is not None:
        given["policies"] = Path(policies)
    if redis is not None:
        given["redis"] = redis
    return load(**given)


def _log_with_the_host() -> None:
    """Where the host set up no structlog, our lines go to its `logging`, which shows warnings until told otherwise.

    structlog by itself would write them to standard output, and the values of variables beside a traceback.
    """
    if not structlog.is_configured():
        *before, _ = structlog.get_config()["processors"]
        last = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(processors=[*before, last], logger_factory=_logger_of)


def _logger_of(*names: str) -> object:
    ours = bool(names) and names[0].startswith(("limiter", "token_keys"))
    return logging.getLogger(names[0]) if ours else structlog.PrintLogger()
