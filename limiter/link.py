"""The limiter's way to Redis, whatever Redis is: one server (found by its address or through sentinels) or a cluster.

A command comes with its key, which says to which node of a cluster it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from limiter.cluster import Address, ClusterLink
from limiter.guarded import AWAY, Guarded
from limiter.line import Hear, Line
from limiter.modes import Modes

Command = tuple[str, bytes]


class Link(Protocol):
    """Asks within a deadline, and not at all what is known not to answer."""

    async def ask(self, commands: Sequence[Command], within_s: float, hear_late: Hear | None = None) -> list[Any]:
        """The replies to `commands`, each a key and a packed command, in their order.

        What was not answered has the error in its place: one that Redis answered, TimeoutError, `AwayError` where it
        was not asked, RedisError or OSError where the connection was lost. `hear_late` is given, in the places of
        `commands`, replies that nobody waited for any more. Scripts are there. Never raises those.
        """

    async def warm(self) -> bool:
        """Connects and loads the scripts; False when nothing answers."""

    async def probe(self) -> None:
        """Returns when what is asked is answered; raises TimeoutError, RedisError or OSError when it is not."""

    async def aclose(self) -> None:
        """Closes every connection."""


class ServerLink:
    """One server."""

    def __init__(self, server: Guarded) -> None:
        self._server = server

    async def ask(self, commands: Sequence[Command], within_s: float, hear_late: Hear | None = None) -> list[Any]:
        """As `Link.ask`."""
        try:
            return await self._server.ask([packed for _, packed in commands], within_s, hear_late)
        except AWAY as error:
            return [error] * len(commands)

    async def warm(self) -> bool:
        """As `Link.warm`."""
        return await self._server.warm()

    async def probe(self) -> None:
        """As `Link.probe`."""
        await self._server.probe()

    async def aclose(self) -> None:
        """As `Link.aclose`."""
        await self._server.aclose()


def link_to(redis: Redis, scripts: Sequence[str], deadline_s: float, clock_ms: Callable[[], int], modes: Modes) -> Link:
    """The link to where the client `redis` points (`schemas.redis_client`); it has connections of its own.

    It tells `modes` of every change.
    """

    def whole(away: bool, reason: str) -> None:  # noqa: FBT001 - called back
        modes.changed("", local=away, reason=reason)

    client: Any = redis
    if not isinstance(client, RedisCluster):
        line = Line(client.connection_pool.make_connection)
        return ServerLink(Guarded(line, scripts, deadline_s, clock_ms, whole))

    def open_to(where: Address) -> Guarded:
        def changed(away: bool, reason: str) -> None:  # noqa: FBT001 - called back
            modes.changed(_name(where), local=away, reason=reason)
            cluster.changed()

        line = Line(lambda: _connection(client, where))
        return Guarded(line, scripts, deadline_s, clock_ms, changed, redirects=True)

    def left(where: Address) -> None:
        modes.changed(_name(where), local=False, reason="left")

    seeds = [(node.host, int(node.port)) for node in client.startup_nodes]
    cluster = ClusterLink(seeds, open_to, whole, left)
    return cluster


def _connection(cluster: RedisCluster, where: Address) -> Any:
    """A connection to one node, with all that the client would use, not yet connected."""
    node = ClusterNode(*where, **cluster.connection_kwargs)
    return node.connection_class(**node.connection_kwargs, retry=Retry(NoBackoff(), 0))


def _name(where: Address) -> str:
    return f"{where[0]}:{where[1]}"
