"""A write: audited before it is done, done once however often it is sent, answered with what came of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel

from enforcer import records
from enforcer.api.door import Parts, PartsOf, may
from enforcer.asker import ByApi
from enforcer.callers import Caller, Scope
from enforcer.errors import CommandError
from enforcer.session import Result
from enforcer.store import answers, audit, reading
from enforcer.store.answers import Answer, Ask
from enforcer.store.database import writing

STORE_WAIT_S: Final = 2.0
_POLL_S: Final = 0.02
JSON: Final = "application/json"
_KEY: Final = r"^[\x21-\x7e]{1,200}$"
IdempotencyKey = Annotated[
    str | None, Header(pattern=_KEY, description="for a day, the same key gives the same answer and does nothing twice")
]


@dataclass(frozen=True, slots=True)
class Write:
    """One write of one caller. Handed to every route that changes something."""

    parts: Parts
    caller: Caller
    key: str | None
    address: str

    def by(self) -> ByApi:
        """Who asks, as commands want it."""
        once = f"{self.caller.via} {self.caller.name} {self.key}" if self.key else ""
        return ByApi(self.caller.name, once)

    def run(
        self, verb: str, subject: str, detail: Mapping[str, Any], act: Callable[[], Mapping[str, Any]],
        *, status: int = 200, secret: bool = False,
    ) -> Response:  # fmt: skip
        """Do `act`, and answer with what it returns. A `secret` answer is not kept for whoever sends the key again.

        Raises:
            CommandError: what `act` raises, or the Idempotency-Key cannot be used so; nothing is then remembered.
            DBAPIError: the audit cannot be written, and so nothing was done.
        """
        ask = self._ask(verb, subject, detail)
        if ask is not None and (before := answers.begin(self.parts.engine, ask, self.parts.clock_ms())):
            return Response(before.body, before.status, {"idempotency-replayed": "true"}, JSON)
        self._audit(verb, subject, detail)
        try:
            made = act()
        except CommandError as error:
            if ask is not None:
                answers.drop(self.parts.engine, ask)
            self._audit(f"{verb}.failed", subject, {"code": error.code, "reason": error.reason})
            raise
        body = json.dumps(made)
        if ask is not None and secret:
            answers.drop(self.parts.engine, ask)
        elif ask is not None:
            answers.keep(self.parts.engine, ask, Answer(status, body))
        return Response(body, status, media_type=JSON)

    def told(self, result: Result) -> dict[str, Any]:
        """A command's result as it is shown, once the store has it too: what is asked next will show it."""
        wanted = {action.uid: str(action.status) for action in result.actions}
        deadline_s = time.monotonic() + STORE_WAIT_S
        while reading.statuses(self.parts.engine, wanted) != wanted and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        return {
            "actions": [records.brief(action) for action in result.actions],
            "also_lifted": [records.brief(action) for action in result.also_lifted],
            "in_force_ms": result.in_force_ms,
            "ack_ms": result.ack_ms,
            "missing": list(result.missing),
            "version": result.version,
        }

    def _ask(self, verb: str, subject: str, detail: Mapping[str, Any]) -> Ask | None:
        if self.key is None:
            return None
        asked = json.dumps([verb, subject, detail], sort_keys=True, default=str)
        digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
        return Ask(f"{self.caller.via}:{self.caller.name}", self.key, digest)

    def _audit(self, verb: str, subject: str, detail: Mapping[str, Any]) -> None:
        told = {**detail, "from": self.address, "via": self.caller.via}
        with writing(self.parts.engine) as at:
            audit.append(at, [audit.Entry(self.parts.clock_ms(), self.caller.owner, f"api.{verb}", subject, told)])


def write(*scopes: Scope) -> Any:
    """A dependency: a write by a caller who has all of `scopes`."""
    needed = may(*scopes)

    def make(
        request: Request, parts: PartsOf, caller: Caller = needed, idempotency_key: IdempotencyKey = None
    ) -> Write:
        return Write(parts, caller, idempotency_key, request.client.host if request.client else "")

    return Depends(make)


def asked(body: BaseModel) -> dict[str, Any]:
    """A body as the audit has it."""
    return body.model_dump(mode="json", exclude_none=True)
