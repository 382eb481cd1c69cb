"""What the meter answers over HTTP: who used the most, one entity's time line, health, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web
from sqlalchemy.exc import OperationalError

from schemas.settings import PORTS
from schemas.usage import Kind
from stream.listener import PROBLEM, Listener
from stream.metering.metrics import Metrics
from stream.metering.minutes import MEASURES, METERED
from stream.metering.questions import Questions

log = structlog.get_logger(__name__)
PORT: Final = PORTS["meter"]
KINDS: Final = {kind.name.lower(): kind for kind in METERED}
ORDERS: Final = {"requests": "n", **{name: name for name in MEASURES if name != "n"}}
LAST_S_MAX: Final = 7 * 86_400
LIMIT_MAX: Final = 10_000
T = TypeVar("T")


class Server(Listener):
    """`/v1/usage/top /v1/usage/timeline /healthz /readyz /metrics`."""

    def __init__(
        self, questions: Questions, metrics: Metrics, ready: Callable[[], bool], offsets: Callable[[], dict[int, int]]
    ) -> None:
        self._questions = questions
        routes = web.Application(middlewares=[_problems])
        routes.router.add_get("/v1/usage/top", self._top)
        routes.router.add_get("/v1/usage/timeline", self._timeline)
        super().__init__(
            routes, metrics.registry, ready, lambda: {"usage_offsets": {str(p): o for p, o in offsets().items()}}
        )

    async def _top(self, request: web.Request) -> web.Response:
        query = request.query
        kind = _chosen("by", query.get("by", "key"), KINDS)
        order = _chosen("order", query.get("order", "requests"), ORDERS)
        limit = _whole("limit", query.get("limit", "20"), 1, LIMIT_MAX)
        answer = await asyncio.to_thread(self._questions.top, kind, order, *_time(query), limit)
        return web.json_response(answer)

    async def _timeline(self, request: web.Request) -> web.Response:
        query = request.query
        kind = _chosen("kind", query.get("kind", ""), KINDS)
        entity = query.get("value", "*" if kind is Kind.GLOBAL else "")
        if not entity:
            raise _WrongError("value", "name the one you mean: its address, key id, route ...")
        return web.json_response(await asyncio.to_thread(self._questions.timeline, kind, entity, *_time(query)))


class _WrongError(ValueError):
    """A parameter that cannot be taken."""

    def __init__(self, name: str, fix: str) -> None:
        super().__init__(f"{name}: {fix}")


@web.middleware
async def _problems(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except _WrongError as error:
        return _problem(400, "Bad Request", str(error))
    except OperationalError:
        log.exception("the store does not answer")
        return _problem(503, "Service Unavailable", "the store of usage does not answer; try again")
    return answer


def _problem(status: int, title: str, detail: str) -> web.Response:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.json_response(problem, status=status, content_type=PROBLEM)


def _time(query: Any) -> tuple[int, int]:
    """Half-open, in epoch seconds: the `last_s` seconds until `until_s`, or until now."""
    until_s = _whole("until_s", query.get("until_s", str(int(time.time()) + 1)), 0, 1 << 33)
    last_s = _whole("last_s", query.get("last_s", "3600"), 60, LAST_S_MAX)
    return max(0, until_s - last_s), until_s


def _chosen(name: str, given: str, known: dict[str, T]) -> T:
    if given not in known:
        raise _WrongError(name, f"one of {', '.join(known)}")
    return known[given]


def _whole(name: str, given: str, low: int, high: int) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 12 and low <= int(given) <= high):
        raise _WrongError(name, f"a whole number from {low} to {high}")
    return int(given)
