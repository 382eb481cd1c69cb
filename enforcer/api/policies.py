"""Routes of policies: their versions, what applying files would change, applied and taken back, and who runs them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

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
from enforcer.rollout import Bounds, Way, stages_of
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
    rollout: Annotated[str, Field(max_length=500, description="stages: `shadow:10m,canary:5%:10m,enforce`")] = ""
    max_refused: Annotated[float, Field(ge=0, le=1, description="of good clients; more roll it back")] = 0.01
    min_checks: Annotated[int, Field(ge=0, le=1 << 53, description="requests that each stage must see")] = 100
    at_ms: Annotated[int, Field(ge=1, le=1 << 53, description="when it takes effect; left out: now")] | None = None
    emergency: Annotated[bool, Field(description="at once, and what is on its way is aborted")] = False
    wait_seconds: Waits = 10

    def way(self) -> Way:
        """How it is to come to all clients. Raises `CommandError`."""
        if self.emergency and (self.rollout or self.at_ms):
            raise CommandError("bad_value", "emergency", "is at once", "leave out `rollout` and `at_ms`, or this")
        stages = stages_of(self.rollout) if self.rollout else ()
        return Way(stages, Bounds(self.max_refused, self.min_checks), self.at_ms, self.emergency)


class PolicyStep(Shape):
    """A word on the rollout that goes on. `promote` begins its next stage; a paused one is still rolled back."""

    do: Literal["pause", "resume", "promote", "abort"]
    reason: Reason
    wait_seconds: Waits = 10


class PolicyBack(Shape):
    """A version to go back to; left out, the one before the newest."""

    version: Number | None = None
    reason: Reason
    emergency: bool = False
    wait_seconds: Waits = 10


class PolicyBounds(BaseModel):
    """The share of good clients that may be refused something; requests that each stage must see."""

    harmed: float
    checks: int


class PolicyRollout(BaseModel):
    """A version's way to all clients. `at_ms`: since when it is in its state and stage, or will be."""

    name: str
    version: int
    state: str
    stages: str
    stage: int
    share_ppm: int | None
    at_ms: int
    why: str
    bounds: PolicyBounds


class PolicyTried(BaseModel):
    """What limiters saw of both versions; `routes`: the same requests, refused by one, by the candidate."""

    serial: int
    checks: int
    refused: int
    candidate_refused: int
    canary_checks: int
    canary_refused: int
    good: int
    harmed: int
    faults: int
    routes: dict[str, tuple[int, int, int]]


class PolicyCourse(PolicyRollout):
    """A rollout, beside the version that `holds`, with what was seen of both and what it waits for."""

    holds: int
    waits_for: str
    tried: PolicyTried | None


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
    rollout: PolicyRollout | None


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
        return _carry_out(by, made, body.reason, body.wait_seconds, body.way())

    detail = asked(body) | {"files": of.digest(_bytes(body.files))}
    return by.run("policy.apply", name, detail, act)


@router.post("/policies/{name}/rollback", response_model=PolicyApplied)
def rollback(name: Named, body: PolicyBack, by: Annotated[Write, _WRITE]) -> Response:
    """Have all limiters take an earlier version again, as a new one."""

    def act() -> dict[str, Any]:
        made, _ = policy_command.back(by.parts.engine, name, body.version, by.parts.examine)
        return _carry_out(by, made, body.reason, body.wait_seconds, Way(emergency=body.emergency))

    return by.run("policy.rollback", name, asked(body), act)


@router.get("/policies/{name}/rollout", response_model=PolicyCourse)
def rollout(name: Named, parts: PartsOf, _: Annotated[Caller, _READ]) -> Any:
    """Where its newest rollout stands, and how both versions judge the same requests."""
    with policy_command.publishing(parts.settings) as publisher:
        return policy_command.course(parts.engine, publisher, name).as_dict()


@router.post("/policies/{name}/rollout", response_model=PolicyCourse)
def steer(name: Named, body: PolicyStep, by: Annotated[Write, _WRITE]) -> Response:
    """Pause the rollout that goes on, resume it, begin its next stage, or abort it."""

    def act() -> dict[str, Any]:
        with policy_command.publishing(by.parts.settings) as publisher:
            return policy_command.steer(
                by.parts.engine, publisher, name, body.do, by.caller.owner, body.reason, body.wait_seconds
            ).as_dict()

    return by.run("policy.rollout", name, asked(body), act)


def _carry_out(by: Write, made: Plan, reason: str, wait_s: int, way: Way) -> dict[str, Any]:
    draft = made.draft(by.caller.owner, reason)  # what is wrong with it is told even where Redis is away
    with policy_command.publishing(by.parts.settings) as publisher:
        return policy_command.carry_out(
            by.parts.engine, publisher, draft, made, wait_s, way
        ).as_dict()  # fmt: skip


def _bytes(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}
