"""Routes of what people put in force: denials, throttles, allows, brownout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from enforcer import command
from enforcer.api.door import Parts, PartsOf, may, own
from enforcer.api.queries import Paged
from enforcer.api.shapes import Allow, Brownout, Denial, Done, Page, Shed, Text, Throttle, Whom, listed
from enforcer.api.told import ActionListed
from enforcer.api.writes import Write, asked, write
from enforcer.asker import By
from enforcer.callers import Caller, Scope
from enforcer.errors import CommandError
from enforcer.scope import Change
from enforcer.scope import Scope as Part
from enforcer.session import Result
from enforcer.store import reading
from enforcer.store.reading import Wanted
from schemas.action import ActionKind, ActionStatus, Target, TargetKind
from schemas.settings import Settings
from schemas.targets import parse_target, target

router = APIRouter(tags=["in force"])
_READ = may(Scope.LISTS_READ)
_WRITE = write(Scope.LISTS_WRITE)
Whose = Annotated[str, Query(min_length=1, max_length=600, description="KIND:VALUE, an address or a network")]
Why = Annotated[Text, Query(description="why")]
Remove = Callable[[Settings, str, str, By, str], Result]


@router.get("/denials", response_model=Page[ActionListed])
def denials(parts: PartsOf, caller: Annotated[Caller, _READ], asked_for: Annotated[Paged, Query()]) -> Response:
    """Who is denied or challenged now, by whomever."""
    return _standing(parts, caller, [ActionKind.DENY, ActionKind.CHALLENGE], asked_for)


@router.post("/denials", response_model=Done)
def deny(body: Denial, by: Annotated[Write, _WRITE]) -> Response:
    """Deny or challenge a client at every limiter, now."""
    whom = _target(by, body.kind, body.value)
    part = Part.of(body.route, body.tier, _addresses(body.except_from))
    return by.run(
        "denial.add", whom.key, asked(body),
        lambda: by.told(command.deny_add(
            by.parts.settings, whom.kind, whom.value, body.seconds, body.reason, by.by(),
            scope=part, challenge=body.challenge,
        )),
    )  # fmt: skip


@router.delete("/denials", response_model=Done)
def undeny(by: Annotated[Write, _WRITE], target: Whose, reason: Why = "") -> Response:
    """Lift whatever restricts exactly this client: denials, challenges, throttles, by whomever."""
    return _remove(by, "denial.remove", target, reason, command.deny_remove)


@router.get("/throttles", response_model=Page[ActionListed])
def throttles(parts: PartsOf, caller: Annotated[Caller, _READ], asked_for: Annotated[Paged, Query()]) -> Response:
    """Whose limits are other than the policy's now, by whomever."""
    return _standing(parts, caller, [ActionKind.THROTTLE], asked_for)


@router.post("/throttles", response_model=Done)
def throttle(body: Throttle, by: Annotated[Write, _WRITE]) -> Response:
    """Multiply or replace limits of a client at every limiter, now; they revert by themselves."""
    if (body.factor is None) == (body.rate is None):
        raise CommandError("bad_value", "factor", "neither or both", "either `factor`, or `rate` in place of the limit")
    whom = _target(by, body.kind, body.value)
    changes = [Change(body.limit, body.factor, body.rate)]
    return by.run(
        "throttle.add", whom.key, asked(body),
        lambda: by.told(command.throttle_add(
            by.parts.settings, whom.kind, whom.value, body.seconds, body.reason, by.by(), changes, scope=_part(body)
        )),
    )  # fmt: skip


@router.delete("/throttles", response_model=Done)
def unthrottle(by: Annotated[Write, _WRITE], target: Whose, reason: Why = "") -> Response:
    """The policy's limits again for exactly this client."""
    return _remove(by, "throttle.remove", target, reason, command.throttle_remove)


@router.get("/allows", response_model=Page[ActionListed])
def allows(parts: PartsOf, caller: Annotated[Caller, _READ], asked_for: Annotated[Paged, Query()]) -> Response:
    """Who is protected by command; those of FLOODWARDEN_ALLOWLIST are protected too."""
    return _standing(parts, caller, [ActionKind.ALLOW], asked_for)


@router.post("/allows", response_model=Done)
def allow(body: Allow, by: Annotated[Write, _WRITE]) -> Response:
    """Protect a client from every action; what restricts it now is lifted at once."""
    whom = _target(by, body.kind, body.value)
    return by.run(
        "allow.add", whom.key, asked(body),
        lambda: by.told(command.allow_add(
            by.parts.settings, whom.kind, whom.value, body.seconds, body.reason, by.by()
        )),
    )  # fmt: skip


@router.delete("/allows", response_model=Done)
def unallow(by: Annotated[Write, _WRITE], target: Whose, reason: Why = "") -> Response:
    """End a protection made by command."""
    return _remove(by, "allow.remove", target, reason, command.allow_remove)


@router.get("/brownout", response_model=Brownout)
def brownout(parts: PartsOf, _: Annotated[Caller, may(Scope.BROWNOUT_READ)]) -> Brownout:
    """The level in force."""
    found, health = command.brownout_look(parts.settings)
    return Brownout(level=found.level or 0 if found else 0, action=found, health=health)


@router.put("/brownout", response_model=Done)
def shed(body: Shed, by: Annotated[Write, write(Scope.BROWNOUT_WRITE)]) -> Response:
    """Reduce every limit to what the policy says for this level; it ends by itself."""
    part = Part.of(body.route, body.tier)
    return by.run(
        "brownout.set", "global:*", asked(body),
        lambda: by.told(command.brownout_set(
            by.parts.settings, body.level, body.seconds, body.reason, by.by(), scope=part
        )),
    )  # fmt: skip


@router.delete("/brownout", response_model=Done)
def clear(by: Annotated[Write, write(Scope.BROWNOUT_WRITE)], reason: Why = "") -> Response:
    """Limits as the policy says again."""
    return by.run(
        "brownout.clear", "global:*", {"reason": reason},
        lambda: by.told(command.brownout_clear(by.parts.settings, by.by(), reason)),
    )  # fmt: skip


def _standing(parts: Parts, caller: Caller, kinds: list[ActionKind], asked_for: Paged) -> Response:
    wanted = Wanted({"kind": kinds, "status": ActionStatus.ACTIVE}, tenant=caller.tenant)
    page = reading.listed(parts.engine, reading.ACTION, wanted, asked_for.limit, asked_for.cursor)
    return listed(page.items, page.next)


def _remove(by: Write, verb: str, whom: str, reason: str, remove: Remove) -> Response:
    try:
        found = parse_target(whom)
    except ValueError as error:
        raise CommandError("bad_value", "target", str(error), "like ip:203.0.113.7 or tenant:acme") from error
    own(by.caller, found)
    return by.run(
        verb, found.key, {"reason": reason},
        lambda: by.told(remove(by.parts.settings, found.kind, found.value, by.by(), reason)),
    )  # fmt: skip


def _target(by: Write, kind: str, value: str) -> Target:
    """A target in its one spelling, which the caller may touch."""
    try:
        found = target(kind, value)
    except ValueError as error:
        field = "value" if kind in set(TargetKind) else "kind"
        fix = "like ip 203.0.113.7, ip 203.0.113.0/24, key ID"
        raise CommandError("bad_value", field, str(error), fix) from error
    own(by.caller, found)
    return found


def _part(body: Whom) -> Part:
    return Part.of(body.route, body.tier)


def _addresses(words: list[str]) -> list[str]:
    """Addresses as they are: `@FILE` names a file of the enforcer's machine, which is nothing for a caller to read."""
    for word in words:
        if word.startswith("@"):
            raise CommandError(
                "bad_value", "except_from", f"{word[:40]!r} is no address", "addresses and networks alone"
            )
    return words
