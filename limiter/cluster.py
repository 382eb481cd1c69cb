"""A Redis Cluster as one link: each command goes to the node that has its key's slot, all nodes are asked at once.

Each node is behind a breaker of its own: while one is away, limits whose keys it has are local, the others shared.
Where slots are is read when it is first needed, and again when a node says MOVED or does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError

from limiter.guarded import AWAY, AwayError, Guarded, reason_of
from limiter.line import SILENT_S, Hear, packed

REFRESH_EVERY_S: Final = 0.25  # at most so often, and so often while a node is away
REDIRECTS_MAX: Final = 3
NODES_MAX: Final = 1_000
_SLOTS: Final = packed("CLUSTER", "SLOTS")
_ASKING: Final = packed("ASKING")
Address = tuple[str, int]
Open = Callable[[Address], Guarded]
log = structlog.get_logger("limiter.cluster")


class ClusterLink:
    """`open_to` makes the guarded line to an address; `all_away` is told whether any node answers."""

    def __init__(
        self,
        seeds: Sequence[Address],
        open_to: Open,
        all_away: Callable[[bool, str], None],
        left: Callable[[Address], None],
    ) -> None:
        self._seeds = tuple(seeds)
        self._open_to = open_to
        self._all_away = all_away
        self._left = left
        self._slots: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._parts: dict[Address, Guarded] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(
        self, commands: Sequence[tuple[str, bytes]], within_s: float, hear_late: Hear | None = None
    ) -> list[Any]:
        """As `limiter.link.Link.ask`; what is redirected follows, within the same time."""
        until_s = asyncio.get_running_loop().time() + within_s
        if not self._parts:
            self._refresh()
        replies: list[Any] = [AwayError("no node has its slot")] * len(commands)
        todo: dict[Address, list[int]] = {}
        for n, (key, _) in enumerate(commands):
            where = self._slots[key_slot(key.encode("utf-8", "surrogatepass"))]
            if where is not None:
                todo.setdefault(where, []).append(n)
        asking: set[int] = set()
        for _ in range(REDIRECTS_MAX + 1):
            rest_s = until_s - asyncio.get_running_loop().time()
            if not todo or rest_s <= 0:
                break
            nodes = [self._on(where, at, commands, asking, replies, rest_s, hear_late) for where, at in todo.items()]
            await (nodes[0] if len(nodes) == 1 else asyncio.gather(*nodes))
            todo, asking = self._redirected(replies)
        return replies

    async def warm(self) -> bool:
        """Finds the nodes, connects to each and loads the scripts; False when none answers."""
        why = await self._find()
        found = await asyncio.gather(*(part.warm() for part in self._parts.values()))
        if not any(found):
            self._all_away(True, why or "every node is away")
            self._refresh()
        return any(found)

    async def probe(self) -> None:
        """As `limiter.link.Link.probe`; nodes known to be away are left out."""
        here = [part for part in self._parts.values() if not part.is_away]
        if not here:
            raise AwayError("every node is away")
        await asyncio.gather(*(part.probe() for part in here))

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await asyncio.gather(*(part.aclose() for part in self._parts.values()), *self._closing)

    def changed(self) -> None:
        """A part went away or returned: its slots may be another's now."""
        away = [part.is_away for part in self._parts.values()]
        self._all_away(all(away), "every node is away" if all(away) else "answered")
        if any(away):
            self._refresh()

    async def _on(
        self,
        where: Address,
        at: list[int],
        commands: Sequence[tuple[str, bytes]],
        asking: set[int],
        replies: list[Any],
        within_s: float,
        hear_late: Hear | None,
    ) -> None:
        """Asks the node at `where` the commands `at`, and puts what it answers into their places of `replies`."""
        sent: list[bytes] = []
        places: list[int | None] = []
        for n in at:
            if n in asking:
                sent.append(_ASKING)
                places.append(None)
            sent.append(commands[n][1])
            places.append(n)

        def place(into: list[Any], got: list[Any]) -> list[Any]:
            for n, reply in zip(places, got, strict=True):
                if n is not None:
                    into[n] = reply
            return into

        def heard(late: list[Any]) -> None:
            if hear_late is not None:
                hear_late(place([AwayError("not asked of this one")] * len(commands), late))

        try:
            place(replies, await self._part(where).ask(sent, within_s, heard))
        except AWAY as error:
            place(replies, [error] * len(places))

    def _redirected(self, replies: list[Any]) -> tuple[dict[Address, list[int]], set[int]]:
        todo: dict[Address, list[int]] = {}
        asking = set()
        for n, reply in enumerate(replies):
            if not isinstance(reply, AskError):
                continue
            where = (reply.host, reply.port)
            todo.setdefault(where, []).append(n)
            if isinstance(reply, MovedError):
                self._slots[reply.slot_id] = where
                self._refresh()
            else:
                asking.add(n)
        return todo, asking

    def _part(self, where: Address) -> Guarded:
        part = self._parts.get(where)
        if part is None:
            if len(self._parts) >= NODES_MAX:
                raise AwayError("too many nodes")
            part = self._parts[where] = self._open_to(where)
        return part

    def _refresh(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._keep(), name="limiter-cluster-slots")

    async def _keep(self) -> None:
        """Reads where the slots are, again and again until every node answers."""
        while True:
            if not await self._find():
                self.changed()
            await asyncio.sleep(REFRESH_EVERY_S)
            if self._parts and not any(part.is_away for part in self._parts.values()):
                return

    async def _find(self) -> str:
        """Reads it from the first that answers: those not away, the others, the seeds. Why none did, or nothing."""
        why = ""
        known = sorted(self._parts, key=lambda where: self._parts[where].is_away)
        for where in dict.fromkeys((*known, *self._seeds)):
            part = self._part(where)
            try:
                (reply,) = await part.line.ask(_SLOTS, 1, SILENT_S)
                if isinstance(reply, Exception):
                    raise reply
                self._take(reply, where)
            except AWAY as error:
                why = reason_of(error)
                log.info("cluster_node_silent", node=f"{where[0]}:{where[1]}", reason=why)
                if where not in known:
                    self._drop(where)
            else:
                return ""
        return why

    def _take(self, reply: Any, asked: Address) -> None:
        slots: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_replicas in reply:
            where = (_text(host) or asked[0], int(port))
            slots[first : last + 1] = [where] * (last + 1 - first)
        self._slots = slots
        named = {where for where in slots if where is not None}
        for where in named:
            self._part(where)
        for where in [where for where in self._parts if where not in named]:
            self._drop(where)

    def _drop(self, where: Address) -> None:
        part = self._parts.pop(where)
        closing = asyncio.create_task(part.aclose(), name="limiter-cluster-close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._left(where)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
