"""What the stream answers over HTTP: health, metrics, usage of one entity, exact totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from schemas.settings import PORTS
from schemas.usage import MEASURES, Kind
from stream.combiner import Combiner
from stream.detector import Detector
from stream.kind_windows import Usage
from stream.listener import PROBLEM, Listener
from stream.metrics import Metrics
from stream.rings import WINDOWS_S

PORT: Final = PORTS["stream"]
_KINDS: Final = ", ".join(kind.name.lower() for kind in Kind)


class Server(Listener):
    """`/healthz /readyz /metrics /v1/usage /v1/rest /v1/totals` of one worker.

    Ready: in the group, with its partitions dealt out (a worker beyond their number has none).
    """

    def __init__(self, combiner: Combiner, detector: Detector, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._detector = detector
        routes = web.Application()
        routes.router.add_get("/v1/usage", self._usage)
        routes.router.add_get("/v1/rest", self._rest)
        routes.router.add_get("/v1/totals", self._totals)
        super().__init__(
            routes,
            metrics.registry,
            ready,
            lambda: {"decisions": combiner.assigned(), "usage": sorted(detector.offsets())},
        )

    async def _usage(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            kind = Kind[query.get("kind", "").upper()]
            window_s = int(query.get("window_s", "60"))
            value = query["value"]
        except (ValueError, KeyError):
            return _refused(400, f"give kind ({_KINDS}), value, and window_s (10, 60, 600, 3600)")
        if window_s not in WINDOWS_S:
            return _refused(400, f"window_s is one of {WINDOWS_S}")
        found = await self._detector.profile(kind, value, window_s)
        if found is None:
            return _refused(421, "another worker holds this entity's partition; ask the others")
        return web.json_response({"kind": kind.name.lower(), "value": value, **found.told(window_s)})

    async def _rest(self, request: web.Request) -> web.Response:
        """What the entities of a kind did that were evicted, by partition held here."""
        try:
            kind = Kind[request.query.get("kind", "").upper()]
            window_s = int(request.query.get("window_s", "60"))
        except (ValueError, KeyError):
            return _refused(400, f"give kind ({_KINDS}), and window_s (10, 60, 600, 3600)")
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
        {"type": "about:blank", "status": status, "detail": detail}, status=status, content_type=PROBLEM
    )
