"""Where bouncers ask: CrowdSec's routes for them over one `Book`, the same pushed as it changes, and lists as files."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from enforcer.bouncers import lists, usage
from enforcer.bouncers.admission import Admission, StoreAwayError
from enforcer.bouncers.book import Book, Delta
from enforcer.bouncers.decisions import DEFAULT_SCOPES, RANGE, Decision, Network, expanded
from enforcer.bouncers.pulls import Puller, Pulls
from enforcer.ledger import Change, Ledger, Op
from enforcer.metrics import BOUNCER_PULLS
from schemas.action import Target
from schemas.networks import network

BREATH: Final = 500  # lines written between two turns of whoever else shares the loop
BEAT_S: Final = 15.0
BODY_BYTES_MAX: Final = 1 << 20
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
_ADDRESSES_ALONE: Final = "Crowdsec-Bouncer-Traefik-Plugin"  # it looks a client's address up as text
_Handler = Callable[[Request, Puller], Awaitable[Response]]


class Lapi:
    """Serves bouncers that show a known key; each is told what changed since it last asked."""

    def __init__(
        self, admission: Admission, clock_ms: Callable[[], int], *, scoped: bool, allowed: Iterable[Target] = ()
    ) -> None:
        self.book = Book(scoped=scoped, allowed=allowed)
        self._admission = admission
        self._clock_ms = clock_ms
        self._pulls = Pulls()
        self._changed = asyncio.Event()
        self._begun = False
        self._epoch = secrets.token_hex(4)

    def begin(self, ledger: Ledger) -> None:
        """`actions` has been read to its end: from here on bouncers are answered."""
        self.book.recall(ledger.ended(), self._clock_ms())
        self._begun = True

    def apply(self, change: Change) -> None:
        """A change of what is in force."""
        position = self.book.position
        if change.op is Op.PUT:
            self.book.put(change.action)
        else:
            self.book.remove(change.action)
        if self.book.position != position:
            self._changed.set()
            self._changed = asyncio.Event()

    def routes(self) -> list[Route]:
        """CrowdSec's, with who asks and lists beside them."""
        return [
            Route("/v1/decisions", self._guarded(self._lookup)),
            Route("/v1/decisions/stream", self._guarded(self._stream)),
            Route("/v1/usage-metrics", self._guarded(self._usage), methods=["POST"]),
            Route("/v1/bouncers", self._guarded(self._bouncers)),
            Route("/v1/lists/{name}", self._guarded(self._list)),
        ]

    def _guarded(self, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            address = request.client.host if request.client else ""
            agent = request.headers.get("user-agent", "")[:128]
            try:
                puller = await self._admission.admit(_key(request), address, agent)
            except StoreAwayError as error:
                return _refused(503, str(error))
            if puller is None:
                return _refused(403, "access forbidden")
            if not self._begun:
                return _refused(503, "decisions are still being read: ask again")
            return await handler(request, puller)

        return guarded

    async def _stream(self, request: Request, puller: Puller) -> Response:
        scopes = _scopes(request)
        if EVENTS in request.headers.get("accept", ""):
            events = self.events(scopes, partial(self._admission.holds, _key(request)))
            return StreamingResponse(events, media_type=EVENTS, headers={"cache-control": "no-store"})
        if request.method == "HEAD":
            return Response(media_type=JSON)
        BOUNCER_PULLS.labels(puller.name).inc()
        now_ms = self._clock_ms()
        afresh = request.query_params.get("startup", "").lower() == "true"
        delta = self.book.since(self._pulls.ask(puller, self.book.position, now_ms, afresh=afresh))
        if puller.agent.startswith(_ADDRESSES_ALONE):
            delta = self._spelt_out(delta)
        return StreamingResponse(_breathing(_lines(_of(delta, scopes), now_ms)), media_type=JSON)

    def _spelt_out(self, delta: Delta) -> Delta:
        """For a bouncer that knows clients by address alone, and takes in what is new before it forgets."""
        ended = (one for decision in delta.deleted for one in expanded(decision))
        return Delta(
            tuple(one for decision in delta.new for one in expanded(decision)),
            tuple(one for one in ended if one.scope == RANGE or not self.book.covering(network(one.value))),
        )

    async def events(self, scopes: frozenset[str], holds: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """All that stands, then each change as it comes, as long as the key `holds`: an event's data is a poll's."""
        position: int | None = None
        while await holds():
            changed = self._changed
            delta, first = _of(self.book.since(position), scopes), position is None
            position = self.book.position
            if first or delta.new or delta.deleted:
                yield b"event: decisions\ndata: "
                async for part in _breathing(_lines(delta, self._clock_ms())):
                    yield part
                yield b"\n\n"
            try:
                async with asyncio.timeout(BEAT_S):
                    await changed.wait()
            except TimeoutError:
                yield b": nothing new\n\n"

    async def _lookup(self, request: Request, _: Puller) -> Response:
        try:
            found = await self._asked(request)
        except ValueError as error:
            return _refused(400, f"{error}; ask like ?ip=203.0.113.7 or ?range=203.0.113.0/24")
        kind = request.query_params.get("type", "").lower()
        now_ms = self._clock_ms()
        standing = [d for d in found if d.until_ms > now_ms and kind in ("", d.type)]
        if not standing:
            return Response(b"null", media_type=JSON)
        return StreamingResponse(_breathing(_array(standing, now_ms, ended=False)), media_type=JSON)

    async def _asked(self, request: Request) -> Iterable[Decision]:
        given = request.query_params
        if "ip" in given:
            return self.book.covering(network(given["ip"]))
        if "range" in given:
            asked = network(given["range"])
            if given.get("contains", "").lower() != "false":
                return self.book.covering(asked)
            return await self._within(asked)
        scopes = _scopes(request)
        if "value" in given:
            return [d for scope in sorted(scopes) for d in self.book.about(scope, given["value"])]
        return (decision for decision in self.book.all() if decision.scope.lower() in scopes)

    async def _within(self, asked: Network) -> list[Decision]:
        found = []
        for decision in self.book.within(asked):
            if decision is None:
                await asyncio.sleep(0)
            else:
                found.append(decision)
        return found

    async def _usage(self, request: Request, puller: Puller) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    return _refused(413, f"more than {BODY_BYTES_MAX} bytes")
            usage.record(puller.name, bytes(body))
        except (ClientDisconnect, ValueError) as error:
            return _refused(400, str(error))
        return Response(status_code=201)

    async def _bouncers(self, _: Request, __: Puller) -> Response:
        now_ms = self._clock_ms()
        seen = [
            {"name": who.name, "address": who.address, "agent": who.agent, "pulls": pull.pulls,
             "last_pull_ms_ago": now_ms - pull.at_ms, "behind": self.book.position - pull.told}
            for who, pull in self._pulls.seen()
        ]  # fmt: skip
        return JSONResponse({"decisions": len(self.book), "bouncers": seen})

    async def _list(self, request: Request, _: Puller) -> Response:
        name = request.path_params["name"]
        if name not in lists.FORMATS:
            return _refused(404, f"no list {name[:40]!r}; there are {', '.join(lists.FORMATS)}")
        tag = {"etag": f'"{self._epoch}-{self.book.position}"'}
        if request.headers.get("if-none-match") == tag["etag"]:
            return Response(status_code=304, headers=tag)
        lines = lists.lines(name, self.book.all())
        return StreamingResponse(_breathing(f"{line}\n".encode() for line in lines), 200, tag, "text/plain")


def _key(request: Request) -> str:
    return request.headers.get("x-api-key", "")


def _refused(status: int, message: str) -> Response:
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"message": message}, status, headers)


def _scopes(request: Request) -> frozenset[str]:
    given = request.query_params.get("scopes") or request.query_params.get("scope") or ""
    return frozenset(word.strip().lower() for word in given.split(",") if word.strip()) or DEFAULT_SCOPES


def _of(delta: Delta, scopes: frozenset[str]) -> Delta:
    return Delta(
        tuple(decision for decision in delta.new if decision.scope.lower() in scopes),
        tuple(decision for decision in delta.deleted if decision.scope.lower() in scopes),
    )


def _lines(delta: Delta, now_ms: int) -> Iterator[bytes]:
    yield b'{"new":'
    yield from _array(delta.new, now_ms, ended=False)
    yield b',"deleted":'
    yield from _array(delta.deleted, now_ms, ended=True)
    yield b"}"


def _array(decisions: Iterable[Decision], now_ms: int, *, ended: bool) -> Iterator[bytes]:
    before = b"["
    for decision in decisions:
        yield before + (decision.ended() if ended else decision.encoded(now_ms))
        before = b","
    yield b"[]" if before == b"[" else b"]"


async def _breathing(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """`lines` by the hundred: nobody who shares the loop waits for a list of a million."""
    while part := list(islice(lines, BREATH)):
        yield b"".join(part)
        await asyncio.sleep(0)
