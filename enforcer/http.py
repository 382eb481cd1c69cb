"""What the enforcer serves: its health, its metrics, and how long its answers took to reach the limiters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from enforcer.acknowledgements import KEPT, Enforcement


def create_app(
    enforcements: Callable[[], Sequence[Enforcement]], why_not_ready: Callable[[], str], more: Sequence[Route] = ()
) -> Starlette:
    """The application, with `more` routes; `why_not_ready` gives an empty text once the enforcer is ready."""

    def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    def readyz(_: Request) -> Response:
        reason = why_not_ready()
        return PlainTextResponse(reason + "\n", 503) if reason else PlainTextResponse("ok\n")

    def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    def recent(request: Request) -> Response:
        text = request.query_params.get("limit", str(KEPT))
        if not text.isdigit() or not 1 <= int(text) <= KEPT:
            return JSONResponse({"title": "limit", "detail": f"limit is a number from 1 to {KEPT}"}, 400)
        newest = list(enforcements())[::-1][: int(text)]
        return JSONResponse({"enforcements": [enforcement.as_dict() for enforcement in newest]})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/v1/enforcements", recent),
            *more,
        ]
    )


class Server(uvicorn.Server):
    """uvicorn inside a loop that is not its own: it leaves signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server(app: Starlette, host: str, port: int) -> Server:
    """A server for `app`, not yet started. It does not wait for those who follow an endless stream."""
    return Server(
        uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
    )
