"""The application: routes of this room and those that others bring, one document, one way to say no."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp

from enforcer import http, model_command, policy_plan
from enforcer.api import alertmanager, automation, done, found, kept, lists, models, policies, problems
from enforcer.api.bounded import Bounded
from enforcer.api.door import Parts, verifier
from enforcer.api.live import Live
from enforcer.app import Beside
from enforcer.consumer import clock_ms
from enforcer.model_command import Inspect, Judge
from enforcer.policy_plan import Examine
from schemas.settings import Settings

BASE: Final = "/api/v1"
_STOP_S: Final = 10.0
ROUTERS: Final = (
    found.router,
    done.router,
    lists.router,
    alertmanager.router,
    automation.router,
    policies.router,
    models.router,
    kept.router,
)
_ABOUT: Final = "What Floodwarden found and did, and the hand of people on it. docs/api.md has examples."
_log = structlog.get_logger("enforcer.api")
Around = Callable[[ASGIApp], AbstractAsyncContextManager[ASGIApp]]
"""Puts something before the application for as long as it is served: a rate limiter."""


@asynccontextmanager
async def nothing_around(app: ASGIApp) -> AsyncIterator[ASGIApp]:
    """The application as it is."""
    yield app


def create_app(parts: Parts, routers: Sequence[APIRouter] = ROUTERS) -> FastAPI:
    """The application over `parts`; `routers` go under `/api/v1`, with what `door` and `writes` give."""
    app = FastAPI(
        title="Floodwarden", version="1", description=_ABOUT, openapi_url=f"{BASE}/openapi.json",
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.parts = parts
    problems.install(app)
    app.add_middleware(Bounded, files=[f"{BASE}/models"])
    for router in routers:
        app.include_router(router, prefix=BASE)
    app.add_route("/healthz", lambda _: PlainTextResponse("ok\n"))

    def document() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to change its document
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, in which every error is a problem and every operation says so."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = problems.Problem.model_json_schema()
    wrong = {
        "description": "what is wrong, and the fix",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for methods in made["paths"].values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = wrong
            if any(p["name"] == "if-none-match" for p in operation.get("parameters", ())):
                operation["responses"]["304"] = {"description": "it is as the caller has it"}
    return made


def beside(
    settings: Settings,
    around: Around = nothing_around,
    examine: Examine = policy_plan.unjudged,
    judge: Judge = model_command.unjudged,
    inspect: Inspect = model_command.uninspected,
    routers: Sequence[APIRouter] = ROUTERS,
) -> Beside:
    """The API, to be served beside an enforcer, with `around` before it.

    `examine` judges policies, `judge` models that are registered, `inspect` files of models.

    Raises:
        SettingsError: a setting nobody can take.
    """
    verified = verifier(settings)

    @contextmanager
    def serving(engine: sa.Engine) -> Iterator[Callable[[], None]]:
        parts = Parts(settings, engine, Live(), verified, clock_ms, examine, judge, inspect)
        with socket.create_server((settings.host, settings.api_port)) as at:
            served = _Served(parts, around, at, routers)
            served.start()
            _log.info("api", address=f"http://{settings.host}:{settings.api_port}{BASE}")
            try:
                yield parts.live.ring
            finally:
                served.stop()
                served.join(_STOP_S)

    return serving


class _Served(threading.Thread):
    """The API in a thread and an event loop of its own: whatever it waits for, enforcement does not."""

    def __init__(self, parts: Parts, around: Around, at: socket.socket, routers: Sequence[APIRouter]) -> None:
        super().__init__(name="api", daemon=True)
        self._app = create_app(parts, routers)
        self._live = parts.live
        self._around = around
        self._socket = at
        self._server = http.server(self._app, "", 0)

    def run(self) -> None:
        """Serve until stopped."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Let it end: what is being answered gets a second."""
        self._live.close()
        self._server.should_exit = True

    async def _serve(self) -> None:
        self._live.open()
        async with self._around(self._app) as guarded:
            self._server.config.app = guarded
            await self._server.serve(sockets=[self._socket])
