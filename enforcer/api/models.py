"""Routes of detection's models: registered, what holds, two of them compared; tried beside, promoted, taken back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from enforcer import model_command
from enforcer.api.door import PartsOf, may
from enforcer.api.queries import IfNoneMatch
from enforcer.api.shapes import Page, Reason, Shape, listed, single
from enforcer.api.writes import Write, asked, write
from enforcer.callers import Caller, Scope
from enforcer.model_command import By
from schemas.models import Order, digest

router = APIRouter(tags=["models"])
_READ = may(Scope.MODELS_READ)
_WRITE = write(Scope.MODELS_WRITE)
_NUMBER_MAX = 999_999_999
Numbered = Annotated[int, Path(ge=1, le=_NUMBER_MAX)]
Waits = Annotated[int, Field(ge=0, le=60, description="so long for every stream worker to take it")]


class ModelShown(BaseModel):
    """A version. `digest` is of its file, `content` what alerts call it; `metrics` how good it was found to be."""

    version: int
    digest: str
    content: str
    made_from: str
    span_s: int
    author: str
    reason: str
    at_ms: int
    metrics: dict[str, float]
    state: Literal["live", "shadow", "tried", "registered"]
    tried: bool


class ModelCounts(BaseModel):
    """Incidents of both models, of the live one alone, of the other alone."""

    both: int
    only_live: int
    only_shadow: int


class ModelIncident(BaseModel):
    """Somebody whom models alarm about, and when each did, 0: not."""

    kind: str
    entity: str
    family: str
    live_ms: int
    shadow_ms: int
    last_ms: int
    answer: str
    sentence: str


class ModelAgreement(BaseModel):
    """How two models agreed from one event time to another; of those only one alarms about, the newest by name."""

    live: str
    shadow: str
    from_ms: int
    until_ms: int
    by_family: dict[str, ModelCounts]
    only_live: list[ModelIncident]
    only_shadow: list[ModelIncident]


class ModelTrial(BaseModel):
    """A version replayed over recorded traffic beside the one in force."""

    version: int
    against: str
    source: str
    decisions: int
    agreement: ModelAgreement
    author: str
    at_ms: int


class ModelVersion(ModelShown):
    """A version with its thresholds by family and kind of client (nats), and its newest replay."""

    thresholds: dict[str, dict[str, float]]
    trial: ModelTrial | None


class ModelCompared(ModelAgreement):
    """A version in shadow and the live one."""

    version: int
    total: ModelCounts


class ModelWord(BaseModel):
    """What a stream worker judges by and tries, since when; `refused`: why it took not what was ordered."""

    node: str
    serial: int
    live: int
    shadow: int
    content: str
    since_ms: int
    at_ms: int
    refused: str


class ModelOrdered(BaseModel):
    """What holds (version 0: none, then `live` is the settings' model); `ok`: workers are there, and all took it."""

    serial: int
    live: int
    shadow: int
    author: str
    reason: str
    at_ms: int
    forced: bool
    ok: bool
    workers: list[ModelWord]


class ModelWanted(Shape):
    """Why."""

    reason: Reason
    wait_seconds: Waits = 10


class ModelPromoted(ModelWanted):
    """Why; `force`: although it was never tried on recorded traffic."""

    force: bool = False


class ModelBack(ModelWanted):
    """The version to go back to; left out, the one that was live before; 0, the settings' model."""

    version: Annotated[int, Field(ge=0, le=_NUMBER_MAX)] | None = None


@router.get("/models", response_model=Page[ModelShown])
def models(parts: PartsOf, _: Annotated[Caller, _READ]) -> Response:
    """Every version, the newest first."""
    return listed(model_command.listed(parts.settings))


@router.post("/models", response_model=ModelShown, status_code=201)
def register(
    file: Annotated[bytes, Body(media_type="application/octet-stream", description="what `floodwarden train` wrote")],
    by: Annotated[Write, _WRITE],
    reason: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Register a model as a version; the same file keeps its version. Nothing judges by it yet."""

    def act() -> dict[str, Any]:
        settings, who = by.parts.settings, By(by.caller.owner, reason)
        return model_command.row(settings, model_command.register(settings, file, who, by.parts.inspect))

    return by.run("model.register", digest(file), {"reason": reason, "bytes": len(file)}, act, status=201)


@router.get("/models/order", response_model=ModelOrdered)
def order(parts: PartsOf, _: Annotated[Caller, _READ]) -> Any:
    """What stream workers are to judge by and to try, and what each of them says."""
    return model_command.standing(parts.settings)


@router.get("/models/{version}", response_model=ModelVersion)
def model(
    version: Numbered, parts: PartsOf, _: Annotated[Caller, _READ], if_none_match: IfNoneMatch = None
) -> Response:
    """One version: its thresholds, what its replay said."""
    return single(model_command.shown(parts.settings, version, parts.judge), if_none_match)


@router.get("/models/{version}/agreement", response_model=ModelCompared)
def agreement(version: Numbered, parts: PartsOf, _: Annotated[Caller, _READ]) -> Any:
    """How it agreed with the live model while it was in shadow: whom only one of them alarms about."""
    return model_command.compared(parts.settings, version)


@router.post("/models/{version}/promote", response_model=ModelOrdered)
def promote(version: Numbered, body: ModelPromoted, by: Annotated[Write, _WRITE]) -> Response:
    """Have every stream worker judge by it, from its next pane on."""

    def act() -> dict[str, Any]:
        settings, who = by.parts.settings, By(by.caller.owner, body.reason)
        made = model_command.promote(settings, version, who, by.parts.judge, force=body.force)
        return _awaited(by, made, body.wait_seconds)

    return by.run("model.promote", str(version), asked(body), act)


@router.post("/models/{version}/shadow", response_model=ModelOrdered)
def shadow(version: Numbered, body: ModelWanted, by: Annotated[Write, _WRITE]) -> Response:
    """Have every stream worker judge by it beside the live one, and alert nobody."""

    def act() -> dict[str, Any]:
        who = By(by.caller.owner, body.reason)
        made = model_command.shadow(by.parts.settings, version, who, by.parts.judge)
        return _awaited(by, made, body.wait_seconds)

    return by.run("model.shadow", str(version), asked(body), act)


@router.delete("/models/shadow", response_model=ModelOrdered)
def unshadow(
    by: Annotated[Write, _WRITE],
    reason: Annotated[str, Query(max_length=500)] = "",
    wait_seconds: Annotated[int, Query(ge=0, le=60)] = 10,
) -> Response:
    """No version is tried beside the live one any more."""

    def act() -> dict[str, Any]:
        made = model_command.shadow(by.parts.settings, 0, By(by.caller.owner, reason), by.parts.judge)
        return _awaited(by, made, wait_seconds)

    return by.run("model.unshadow", "0", {"reason": reason, "wait_seconds": wait_seconds}, act)


@router.post("/models/rollback", response_model=ModelOrdered)
def rollback(body: ModelBack, by: Annotated[Write, _WRITE]) -> Response:
    """Have every stream worker judge by an earlier version again."""

    def act() -> dict[str, Any]:
        who = By(by.caller.owner, body.reason)
        made = model_command.rollback(by.parts.settings, body.version, who, by.parts.judge)
        return _awaited(by, made, body.wait_seconds)

    return by.run("model.rollback", str(body.version or ""), asked(body), act)


def _awaited(by: Write, made: Order, wait_s: int) -> dict[str, Any]:
    return model_command.ordered(made, model_command.awaited(by.parts.settings, made, wait_s))
