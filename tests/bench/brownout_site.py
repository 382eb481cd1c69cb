"""A site that can take so much and no more, behind our middleware, in a process of its own: for the bench `brownout`.

`WORKERS` requests are in work at once for `SERVICE_S` each, `ROOM` wait, the rest fails with 503. What begun is done,
though its client may have gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limiter.limiter import AsyncLimiter
from schemas.settings import load

WORKERS = 8
SERVICE_S = 0.05
ROOM = 400
PER_SECOND = WORKERS / SERVICE_S


def run_site() -> None:
    """Serve until SIGTERM, with the settings of the environment."""
    settings = load()
    limiter = AsyncLimiter(settings, publish=True)
    free = asyncio.Semaphore(WORKERS)
    waiting = 0

    async def work(_: Request) -> Response:
        nonlocal waiting
        if waiting >= ROOM:
            return PlainTextResponse("too much\n", 503)
        waiting += 1
        async with free:
            waiting -= 1
            await asyncio.sleep(SERVICE_S)
        return PlainTextResponse("done\n")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with limiter:
            yield

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    inner = Starlette(routes=[Route("/healthz", healthz), Route("/items/{id}", work)], lifespan=lifespan)
    app = limiter.middleware(inner, exempt=("/healthz",))
    # Who a proxy names is the limiter's to read: uvicorn would put it in the proxy's place, who is then not believed.
    uvicorn.run(app, host=settings.host, port=settings.port, proxy_headers=False, log_level="warning", access_log=False)


if __name__ == "__main__":
    run_site()
