"""Routes of policies: their versions, what applying files would change, applied and taken back, and who runs them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from enforcer import policy_command
from enforcer.api.door import PartsOf, may
from enforcer.api.queries import IfNoneMatch
from enforcer.api.shapes import Page, Reason, Shape, listed, single
from enforcer.api.writes import Write, asked, write
from enforcer.callers import Caller, Scope
from enforcer.errors import CommandError
from enforcer.policy_diff import counts
from enforcer.policy_plan import Plan, plan
from enforcer.store import reading
from schemas import policies as of

router = APIRouter(tags=["policies"])
_READ = may(Scope.POLICIES_READ)
_WRITE = write(Scope.POLICIES_WRITE)
Named = Annotated[str, Path(min_length=1, max_length=100)]
Texts = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=of.FILES_MAX, description='file name -> its text: `{"limits.yaml": ...}`'),
]
Waits = Annotated[int, Field(ge=0, le=60, description="so long for every limiter to run it")]
Number = Annotated[int, Field(ge=1, le=1 << 53)]


class PolicyShown(BaseModel):
    """A version of a policy, without its text."""

    name: str
    version: int
    state: str
    digest: str
    author: str
    reason: str
    created_ms: int
    from_ms: int | None


class PolicyText(PolicyShown):
    """A version of a policy: the text of each of its files."""

    files: dict[str, str]


class PolicyFiles(Shape):
    """A policy to be looked at."""

    files: Texts


class PolicyApply(Shape):
    """A policy to be applied. `after` is the version it was planned against: another one meanwhile is a 409."""

    files: Texts
    reason: Reason
    after: Annotated[int, Field(ge=0, le=1 << 53)] | None = None
    wait_seconds: Waits = 10


class PolicyBack(Shape):
    """A version to go back to; left out, the one before the newest."""

    version: Number | None = None
    reason: Reason
    wait_seconds: Waits = 10


class PolicyChange(BaseModel):
    """One thing that comes (`+`), changes (`~`) or goes (`-`): its fields, each as name, before, after."""

    sign: str
    what: str
    fields: list[tuple[str, str | None, str | None]]


class PolicyFinding(BaseModel):
    """Something wrong with a policy, or doubtful."""

    file: str
    line: int
    field: str
    reason: str
    fix: str


class PolicyPlanned(BaseModel):
    """What would happen: nothing where not `anew`; it cannot be applied where there are `errors`."""

    name: str
    after: int
    anew: bool
    limits: int
    add: int
    change: int
    remove: int
    changes: list[PolicyChange]
    errors: list[PolicyFinding]
    warnings: list[PolicyFinding]


class PolicyApplied(BaseModel):
    """What holds and who runs it: by limiter the ms since it was ordered, and until the last one (null: not all)."""

    name: str
    version: int
    digest: str
    at_ms: int
    ack_ms: dict[str, int]
    refused: dict[str, str]
    missing: list[str]
    all_ms: int | None
    changes: list[PolicyChange]


@router.get("/policies", response_model=Page[PolicyShown])
def policies(parts: PartsOf, _: Annotated[Caller, _READ]) -> Response:
    """Every policy's newest version."""
    return listed(reading.policies(parts.engine))


@router.get("/policies/{name}", response_model=Page[PolicyShown])
def policy(name: Named, parts: PartsOf, _: Annotated[Caller, _READ]) -> Response:
    """A policy's versions, the newest first; none where there is no such policy."""
    return listed(reading.policies(parts.engine, name))


@router.get("/policies/{name}/versions/{version}", response_model=PolicyText)
def policy_version(
    name: Named,
    version: Annotated[int, Path(ge=1, le=1 << 53)],
    parts: PartsOf,
    _: Annotated[Caller, _READ],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One version with its text."""
    return single(reading.policy(parts.engine, name, version), if_none_match)


@router.get("/policies/{name}/status", response_model=PolicyApplied)
def status(name: Named, parts: PartsOf, _: Annotated[Caller, _READ]) -> Any:
    """Which version holds, and which limiters run it."""
    with policy_command.publishing(parts.settings) as publisher:
        return policy_command.status(parts.engine, publisher, name).as_dict()


@router.post("/policies/{name}/plan", response_model=PolicyPlanned)
def planned(name: Named, body: PolicyFiles, parts: PartsOf, _: Annotated[Caller, may(Scope.POLICIES_WRITE)]) -> Any:
    """What applying these files would change, and what is wrong with them. Nothing is written."""
    made = plan(parts.engine, name, _bytes(body.files), parts.examine)
    told = {"name": made.name, "after": made.after, "anew": made.anew, "limits": made.examined.limits}
    return told | counts(list(made.changes)) | {
        "changes": [asdict(each) for each in made.changes],
        "errors": [asdict(each) for each in made.examined.errors],
        "warnings": [asdict(each) for each in made.examined.warnings],
    }  # fmt: skip


@router.post("/policies/{name}/apply", response_model=PolicyApplied)
def apply(name: Named, body: PolicyApply, by: Annotated[Write, _WRITE]) -> Response:
    """Have all limiters take these files. The newest version's again: nothing is made, who lacks it is told again."""

    def act() -> dict[str, Any]:
        made = plan(by.parts.engine, name, _bytes(body.files), by.parts.examine)
        if made.anew and body.after is not None and body.after != made.after:
            fix = "plan again, and apply that"
            raise CommandError("stale", "after", f"version {made.after} is the newest, not {body.after}", fix)
        return _carry_out(by, made, body.reason, body.wait_seconds)

    detail = asked(body) | {"files": of.digest(_bytes(body.files))}
    return by.run("policy.apply", name, detail, act)


@router.post("/policies/{name}/rollback", response_model=PolicyApplied)
def rollback(name: Named, body: PolicyBack, by: Annotated[Write, _WRITE]) -> Response:
    """Have all limiters take an earlier version again, as a new one."""

    def act() -> dict[str, Any]:
        made, _ = policy_command.back(by.parts.engine, name, body.version, by.parts.examine)
        return _carry_out(by, made, body.reason, body.wait_seconds)

    return by.run("policy.rollback", name, asked(body), act)


def _carry_out(by: Write, made: Plan, reason: str, wait_s: int) -> dict[str, Any]:
    made.draft(by.caller.owner, reason)  # what is wrong with it is told even where Redis is away
    with policy_command.publishing(by.parts.settings) as publisher:
        return policy_command.carry_out(
            by.parts.engine, publisher, made, by.caller.owner, reason, wait_s
        ).as_dict()  # fmt: skip


def _bytes(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}
