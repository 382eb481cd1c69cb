"""Errors as `application/problem+json` (RFC 9457), each with a stable code, the field that is wrong and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from enforcer.errors import CommandError

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final = {
    "bad_value": 422,
    "not_found": 404,
    "shared_incident": 403,
    "allowlisted": 409,
    "own_proxy": 409,
    "not_in_force": 409,
    "not_held": 409,
    "not_pending": 409,
    "decided": 409,
    "too_many": 409,
    "key_used": 409,
    "under_way": 409,
    "stale": 409,
    "unusable": 409,
    "untried": 409,
    "live": 409,
    "never_live": 409,
    "models_unreadable": 503,
    "broker_unreachable": 503,
    "redis_unreachable": 503,
    "enforcer_unreachable": 503,
}
_log = structlog.get_logger("enforcer.api")


class Problem(BaseModel):
    """What is wrong."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    fix: str | None = None


class ProblemError(Exception):
    """A request that is not answered with what it asked for."""

    def __init__(
        self, status: int, code: str, detail: str, *, field: str | None = None, fix: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        title = HTTPStatus(status).phrase
        self.problem = Problem(title=title, status=status, code=code, detail=detail, field=field, fix=fix)
        self.headers = headers


def install(app: FastAPI) -> None:
    """Have every error of `app` told so."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(CommandError, _command)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _store)
    app.add_exception_handler(Exception, _fault)


def of(error: CommandError) -> ProblemError:
    """A command's error as a problem."""
    status = _STATUS.get(error.code, 422)
    headers = {"retry-after": "1"} if status == 503 or error.code == "under_way" else None
    return ProblemError(status, error.code, error.reason, field=error.field, fix=error.fix, headers=headers)


def answer(error: ProblemError) -> JSONResponse:
    """A problem as it is answered."""
    return JSONResponse(
        error.problem.model_dump(exclude_none=True), error.problem.status, error.headers, media_type=MEDIA_TYPE
    )


def _problem(_: Request, error: Exception) -> JSONResponse:
    return answer(cast("ProblemError", error))


def _command(request: Request, error: Exception) -> JSONResponse:
    return _problem(request, of(cast("CommandError", error)))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    first: dict[str, Any] = cast("RequestValidationError", error).errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    field = ".".join(where) or str(first["loc"][0])
    fix = "see /api/v1/openapi.json"
    return _problem(request, ProblemError(422, "bad_value", str(first["msg"]), field=field, fix=fix))


def _http(request: Request, error: Exception) -> JSONResponse:
    found = cast("HTTPException", error)
    code = {404: "not_found", 405: "method"}.get(found.status_code, "refused")
    return _problem(request, ProblemError(found.status_code, code, str(found.detail), headers=found.headers))


def _store(request: Request, error: Exception) -> JSONResponse:
    _log.warning("store_away", error=str(cast("DBAPIError", error).orig).strip())
    fix = "try again; the log of the enforcer says why"
    headers = {"retry-after": "1"}
    return _problem(
        request, ProblemError(503, "store_unreachable", "does not answer", field="store", fix=fix, headers=headers)
    )


def _fault(request: Request, error: Exception) -> JSONResponse:
    _log.error("fault", method=request.method, route=request.scope.get("path"), exc_info=error)
    fix = "the log of the enforcer has it; please tell us"
    return _problem(request, ProblemError(500, "fault", "our own mistake", fix=fix))
