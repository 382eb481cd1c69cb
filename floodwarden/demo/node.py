"""One node of the demo: the shop behind the limiter's middleware, as `python -m floodwarden.demo.node`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from floodwarden import logs
from floodwarden.demo import shop
from limiter.asgi import RateLimitMiddleware
from limiter.http import Api
from limiter.service import Service
from schemas import settings as settings_of

POLICY: Final = Path(__file__).with_name("policy.yaml")
OWN: Final = ("/healthz", "/readyz", "/metrics")


def create_app(service: Service) -> Starlette:
    """The shop behind `service`, with the limiter's health and metrics beside it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service:
            yield

    api = [route for route in Api(service).routes() if route.path in OWN]
    guarded = RateLimitMiddleware(shop.create_app(), service.node, service.publisher, service.settings)
    return Starlette(routes=[*api, Mount("/", guarded)], lifespan=lifespan)


def main() -> None:
    """Serve until SIGTERM."""
    settings = settings_of.load()
    logs.configure(settings)
    config = uvicorn.Config(
        create_app(Service(settings)),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=600,  # the driver keeps its connections
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
