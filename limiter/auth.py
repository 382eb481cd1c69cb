"""`GET /v1/auth`: a proxy's sub-request (nginx `auth_request`, HAProxy) about a request it holds.

    X-Original-Method, X-Original-URI   the request's own
    X-Forwarded-For (`client_header`)   its client, as the proxy has it; its key, user and so on as in the request

204 lets it pass; a refusal has the status and body the client should get (429, 403, 400, 414, 431). With `?status=403`
every refusal is a 403, which is all that nginx takes, and the rest is in headers: X-Floodwarden-Status, -Problem (the
body). The answer to a request that a limit holds back comes when it may go on.

The row is published at once, with status 0 where the request passes: nobody tells us what the upstream said. With
`?publish=false` it is not, and X-Floodwarden-Row holds its JSON without the closing brace, for the proxy to put
`,"status":404}` behind and post to `/v1/decisions`, or to log.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

import msgspec
import structlog
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from limiter import answers
from limiter.identity import Identifier
from limiter.passage import Arrived, Passage, Silence
from limiter.question import question
from limiter.service import Service
from schemas.decision import Decision
from schemas.errors import BadMessageError

METHOD: Final = "x-original-method"
URI: Final = "x-original-uri"
STATUS: Final = "x-floodwarden-status"
PROBLEM: Final = "x-floodwarden-problem"
ROW: Final = "x-floodwarden-row"
_OPTIONS: Final = {"status": ("403",), "publish": ("true", "false")}
log = structlog.get_logger("limiter.auth")


class Auth:
    """The endpoint over one `Service`."""

    def __init__(self, service: Service, identifier: Identifier) -> None:
        self._node = service.node
        self._rows = service.publisher
        self._identifier = identifier

    async def __call__(self, http: HttpRequest) -> Response:
        """One sub-request. Raises `BadMessageError` for one that is not what a proxy should send."""
        arrived = Arrived.now()
        options = _options(http)
        peer = http.client.host if http.client else None
        if not self._identifier.trusts(peer):
            return _stranger(peer)

        def header(name: str) -> str | None:
            values = http.headers.getlist(name)
            return ", ".join(values) if values else None

        method, uri = _required(header(METHOD), METHOD), _required(header(URI), URI)
        asked = question(self._identifier, peer, header, method, uri, self._node.headers)
        publish = options.get("publish") != "false"
        rows = self._rows if publish else Silence()
        passage = Passage(asked, await self._node.check(asked.request), rows, self._node.name, arrived)
        response = _response(passage, as_403="status" in options)
        if not publish:
            response.headers[ROW] = _open_row(passage.row)
        passage.tell(0)
        await asyncio.sleep(passage.delay_s)
        return response


def _response(passage: Passage, *, as_403: bool) -> Response:
    refusal = passage.refusal
    if refusal is None:
        return Response(status_code=204, headers=dict([*passage.headers, (STATUS, "204")]))
    headers = dict(refusal.headers) | {STATUS: str(refusal.status), PROBLEM: _ascii(refusal.body)}
    return Response(refusal.body, 403 if as_403 else refusal.status, headers)


def _ascii(body: bytes) -> str:
    return json.dumps(json.loads(body))


def _open_row(row: Decision) -> str:
    """JSON without its last brace, in ASCII: a header takes nothing else."""
    return json.dumps(msgspec.to_builtins(row))[:-1]


def _stranger(peer: str | None) -> Response:
    # Not a 403: that is what a proxy takes for "refuse the client", and this is a mistake of whoever set it up.
    log.warning("auth_asked_by_stranger", peer=peer, fix="add it to FLOODWARDEN_TRUSTED_PROXIES if it is your proxy")
    error = BadMessageError("bad_value", "peer", f"{peer} is no trusted proxy", "add it to FLOODWARDEN_TRUSTED_PROXIES")
    return Response(answers.bad_request(error, 503), 503, media_type=answers.PROBLEM)


def _options(http: HttpRequest) -> dict[str, str]:
    for name, value in http.query_params.items():
        if value not in _OPTIONS.get(name, ()):
            known = ", ".join(f"{each}={of}" for each, values in _OPTIONS.items() for of in values)
            raise BadMessageError(
                "unknown_field", f"query.{name[:40]}", f"{value[:40]!r} is not taken", f"one of {known}"
            )
    return dict(http.query_params)


def _required(value: str | None, name: str) -> str:
    if not value:
        raise BadMessageError("missing_field", name, "is missing", "the proxy sets it: deploy/nginx")
    return value
