"""What the stream answers over HTTP: health, metrics, usage of one entity, exact totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest

from schemas.settings import PORTS
from schemas.usage import MEASURES, Kind
from stream.combiner import Combiner
from stream.detector import Detector
from stream.metrics import Metrics
from stream.windows import WINDOWS_S, Usage

PORT: Final = PORTS["stream"]
_PROBLEM: Final = "application/problem+json"
_KINDS: Final = ", ".join(kind.name.lower() for kind in Kind)


class Server:
    """`/healthz /readyz /metrics /v1/usage /v1/rest /v1/totals` of one worker."""

    def __init__(self, combiner: Combiner, detector: Detector, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._combiner, self._detector, self._metrics, self._ready = combiner, detector, metrics, ready
        routes = web.Application()
        routes.router.add_get("/healthz", self._healthz)
        routes.router.add_get("/readyz", self._readyz)
        routes.router.add_get("/metrics", self._scrape)
        routes.router.add_get("/v1/usage", self._usage)
        routes.router.add_get("/v1/rest", self._rest)
        routes.router.add_get("/v1/totals", self._totals)
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
        """Ready: in the group, with its partitions dealt out (a worker beyond their number has none)."""
        ready = self._ready()
        holds = {"decisions": self._combiner.assigned(), "usage": sorted(self._detector.offsets())}
        return web.json_response({"status": "ready" if ready else "starting", **holds}, status=200 if ready else 503)

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain")

    async def _usage(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            kind = Kind[query.get("kind", "").upper()]
            window_s = int(query.get("window_s", "60"))
            value = query["value"]
        except (ValueError, KeyError):
            return _refused(400, f"give kind ({_KINDS}), value, and window_s (10, 60, 600)")
        if window_s not in WINDOWS_S:
            return _refused(400, f"window_s is one of {WINDOWS_S}")
        usage = await self._detector.usage(kind, value, window_s)
        if usage is None:
            return _refused(421, "another worker holds this entity's partition; ask the others")
        return web.json_response({"kind": kind.name.lower(), "value": value, **_told(usage, window_s)})

    async def _rest(self, request: web.Request) -> web.Response:
        """What the entities of a kind did that were evicted, by partition held here."""
        try:
            kind = Kind[request.query.get("kind", "").upper()]
            window_s = int(request.query.get("window_s", "60"))
        except (ValueError, KeyError):
            return _refused(400, f"give kind ({_KINDS}), and window_s (10, 60, 600)")
        if window_s not in WINDOWS_S:
            return _refused(400, f"window_s is one of {WINDOWS_S}")
        rests = await self._detector.rests(kind, window_s)
        each = {str(partition): _told(rest, window_s) for partition, rest in rests.items()}
        return web.json_response({"kind": kind.name.lower(), "partitions": each})

    async def _totals(self, _: web.Request) -> web.Response:
        """Add up over all workers: each answers for the usage partitions it holds."""
        totals = await self._detector.totals()
        return web.json_response(
            {
                "partitions": sorted(self._detector.offsets()),
                "usage_offsets": {str(p): offset for p, offset in self._detector.offsets().items()},
                "kinds": {kind.name.lower(): measures for kind, measures in totals.items()},
            }
        )


def _told(usage: Usage, window_s: int) -> dict[str, object]:
    measures = dict(zip(MEASURES, usage.measures, strict=True))
    return {"window_s": window_s, "from_s": usage.from_s, "until_s": usage.until_s, "measures": measures}


def _refused(status: int, detail: str) -> web.Response:
    return web.json_response(
        {"type": "about:blank", "status": status, "detail": detail}, status=status, content_type=_PROBLEM
    )
