"""A gateway in front of limiters, as far as they can tell: posts its decisions, or asks for them first.

Several limiters share the rows. One that does not answer is passed over, and its rows go to the next, so a limiter that
died in mid-answer may have published rows that are sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from floodwarden.errors import CommandError, UnreachableError
from schemas import codec, topics
from schemas.decision import Decision

ROWS_MAX: Final = 500
TIMEOUT_S: Final = 10
PATIENCE_S: Final = 60  # so long all limiters may be away, once one has answered
_RETRY_S: Final = 0.5
_CHECKED: Final = ("path", "method", "ip", "key_id", "user", "tenant", "route", "tier", "ua")
_HEADERS: Final = {topics.CONTENT_TYPE: topics.JSON}


class _Answered(msgspec.Struct):
    allowed: bool
    status: int
    decision: Decision


class _Answers(msgspec.Struct):
    answers: list[_Answered]


class Gateway:
    """Sends rows to `addresses` (`http://host:port`) by turns; `stop` ends its waiting for limiters that are away."""

    def __init__(self, addresses: Sequence[str], stop: threading.Event) -> None:
        self._limiters = [_Limiter(address) for address in addresses]
        self._stop = stop
        self._turn = 0
        self._met = False

    def tell(self, rows: Sequence[Decision]) -> None:
        """Post decisions made elsewhere.

        Raises:
            UnreachableError: no limiter answers.
            CommandError: a limiter does not take them.
        """
        for share in self._shares(rows):
            self._post_rows(share)
            self._turn += 1

    def ask(self, rows: Sequence[Decision]) -> None:
        """Have the limiters decide about the requests of `rows`, then post what they said and what came of it.

        A request let through meets the status and latency of its row. Raises as `tell` does.
        """
        for share in self._shares(rows):
            questions = [{name: value for name in _CHECKED if (value := getattr(r, name)) is not None} for r in share]
            body = msgspec.json.encode({"requests": [q | {"publish": False} for q in questions]})
            _, answer = self._post("/v1/checks", body)
            try:
                given = msgspec.json.decode(answer, type=_Answers).answers
            except msgspec.MsgspecError as error:
                raise CommandError(f"/v1/checks: not an answer of a limiter ({error})") from error
            self._post_rows([_completed(row, one) for row, one in zip(share, given, strict=True)])
            self._turn += 1

    def close(self) -> None:
        """Close connections."""
        for limiter in self._limiters:
            limiter.close()

    def _shares(self, rows: Sequence[Decision]) -> list[Sequence[Decision]]:
        limiters = len(self._limiters)
        n = limiters * -(-len(rows) // (limiters * ROWS_MAX))
        return [share for at in range(n) if (share := rows[at::n])]

    def _post_rows(self, rows: Sequence[Decision]) -> None:
        while rows:
            status, answer = self._post("/v1/decisions", codec.rows_to_json(rows))
            if status != 503:
                return
            # Its queue is full: it says how many it took, the rest is sent again.
            rows = rows[int(msgspec.json.decode(answer).get("accepted", 0)) :]
            if self._stop.wait(_RETRY_S):
                return

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        patient_until_s = time.monotonic() + (PATIENCE_S if self._met else 0)
        while True:
            for at in range(len(self._limiters)):
                limiter = self._limiters[(self._turn + at) % len(self._limiters)]
                try:
                    status, answer = limiter.post(path, body)
                except (OSError, HTTPException) as error:
                    why = f"{limiter.address}: {error or type(error).__name__}"
                    continue
                if status not in (200, 202, 503):
                    raise CommandError(f"{limiter.address}{path}: {status} {answer[:300].decode(errors='replace')}")
                self._met = True
                return status, answer
            if time.monotonic() > patient_until_s or self._stop.wait(_RETRY_S):
                raise UnreachableError(f"{why}; is it a limiter?")


class _Limiter:
    """One connection, kept."""

    def __init__(self, address: str) -> None:
        where: SplitResult = urlsplit(address)
        try:
            port = where.port
        except ValueError as error:
            raise CommandError(f"{address}: {error}; write http://HOST:PORT") from error
        if not where.hostname:
            raise CommandError(f"{address}: no host; write http://HOST:PORT")
        make = HTTPSConnection if where.scheme == "https" else HTTPConnection
        self.address = f"{where.scheme}://{where.netloc}"
        self._connection = make(where.hostname, port, timeout=TIMEOUT_S)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body; a connection that was closed while it lay idle is made anew."""
        idle = self._connection.sock is not None
        try:
            return self._request(path, body)
        except (ConnectionError, HTTPException):
            if not idle:
                raise
        return self._request(path, body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            self._connection.request("POST", path, body, _HEADERS)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            raise


def _completed(row: Decision, answer: _Answered) -> Decision:
    came: dict[str, Any] = {"status": answer.status}
    if answer.allowed:
        came = {"status": row.status, "latency_ms": row.latency_ms}
    return msgspec.structs.replace(answer.decision, **came)
