"""What every service of this room answers over HTTP beside its own routes: `/healthz /readyz /metrics`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

PROBLEM: Final = "application/problem+json"


class Listener:
    """A service's HTTP server. `ready` says whether it has what is its own, `holds` what `/readyz` tells of that."""

    def __init__(
        self,
        routes: web.Application,
        registry: CollectorRegistry,
        ready: Callable[[], bool],
        holds: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._registry, self._ready, self._holds = registry, ready, holds
        routes.router.add_get("/healthz", self._healthz)
        routes.router.add_get("/readyz", self._readyz)
        routes.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(routes, access_log=None)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; afterwards `port` is the one it got."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._ready()
        told = {"status": "ready" if ready else "starting", **self._holds()}
        return web.json_response(told, status=200 if ready else 503)

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")
