"""Routes of what was done, and of what people make of it: actions, appeals, labels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from enforcer import command, judging
from enforcer.api.door import PartsOf, may, own
from enforcer.api.queries import Actions, Appeals, IfNoneMatch, Labels, Uid
from enforcer.api.shapes import (
    Appeal,
    Approval,
    Because,
    Contest,
    Decision,
    Done,
    Label,
    Labelled,
    Longer,
    Page,
    listed,
    single,
)
from enforcer.api.told import ActionListed, ActionShown
from enforcer.api.writes import Write, asked, write
from enforcer.callers import Caller, Scope
from enforcer.errors import CommandError
from enforcer.store import enforcements, labels, reading
from enforcer.store.labels import Said
from schemas.action import Action, ActionStatus

router = APIRouter(tags=["done"])
_JUDGE = write(Scope.ACTIONS_JUDGE)


@router.get("/actions", response_model=Page[ActionListed])
def actions(
    parts: PartsOf, caller: Annotated[Caller, may(Scope.ACTIONS_READ)], asked_for: Annotated[Actions, Query()]
) -> Response:
    """Actions, by the time at which they began."""
    wanted = asked_for.wanted(caller.tenant)
    page = reading.listed(parts.engine, reading.ACTION, wanted, asked_for.limit, asked_for.cursor)
    return listed(page.items, page.next)


@router.get("/actions/{uid}", response_model=ActionShown)
def action(
    uid: Uid,
    parts: PartsOf,
    caller: Annotated[Caller, may(Scope.ACTIONS_READ)],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One action: what, to whom, why, by whom, until when, how it ended, and when each limiter had it."""
    found = reading.one(parts.engine, reading.ACTION, uid, caller.tenant)
    return single(found | {"enforcement": enforcements.of(parts.engine, uid)}, if_none_match)


@router.post("/actions/{uid}/approve", response_model=Done)
def approve(uid: Uid, body: Approval, by: Annotated[Write, _JUDGE]) -> Response:
    """Do what waits for somebody's word (`pending`), or what a guardrail held back (`refused`)."""
    held = _action(by, uid)
    return by.run(
        "action.approve", held.target.key, {"action": uid, **asked(body)},
        lambda: by.told(judging.approve(by.parts.settings, held, body.seconds, body.reason, by.by())),
    )  # fmt: skip


@router.post("/actions/{uid}/reject", response_model=Done)
def reject(uid: Uid, body: Because, by: Annotated[Write, _JUDGE]) -> Response:
    """Do not do what waits for somebody's word (`pending`). What led to it leads there no more."""
    waits = _action(by, uid)
    return by.run(
        "action.reject", waits.target.key, {"action": uid, **asked(body)},
        lambda: by.told(judging.reject(by.parts.settings, uid, body.reason, by.by())),
    )  # fmt: skip


@router.post("/actions/{uid}/extend", response_model=Done)
def extend(uid: Uid, body: Longer, by: Annotated[Write, write(Scope.ACTIONS_WRITE)]) -> Response:
    """Have it last so long from now on: a new action takes its place."""
    found = _action(by, uid)
    return by.run(
        "action.extend", found.target.key, {"action": uid, **asked(body)},
        lambda: by.told(command.extend(by.parts.settings, uid, body.seconds, body.reason, by.by())),
    )  # fmt: skip


@router.post("/actions/{uid}/lift", response_model=Done)
def lift(uid: Uid, body: Because, by: Annotated[Write, _JUDGE]) -> Response:
    """End it. What led to it leads there no more."""
    found = _action(by, uid)
    return by.run("action.lift", found.target.key, {"action": uid, **asked(body)}, lambda: _lift(by, uid, body.reason))


@router.post("/actions/{uid}/false-positive", response_model=Done)
def false_positive(
    uid: Uid, body: Because, by: Annotated[Write, write(Scope.ACTIONS_JUDGE, Scope.LABELS_WRITE)]
) -> Response:
    """Say that it was wrong: label it and its alert so, and end it where it still stands."""
    found = _action(by, uid)

    def act() -> dict[str, Any]:
        done = _lift(by, uid, body.reason) if found.status is ActionStatus.ACTIVE else _nothing()
        said = _said(by)
        labels.label(by.parts.engine, f"action:{uid}", labels.FALSE_POSITIVE, body.reason, said)
        return done

    return by.run("action.false_positive", found.target.key, {"action": uid, **asked(body)}, act)


@router.post("/actions/{uid}/appeal", response_model=Appeal, status_code=201)
def appeal(uid: Uid, body: Contest, by: Annotated[Write, write(Scope.LABELS_WRITE)]) -> Response:
    """A client contests it; somebody decides."""
    found = _seen(by, uid)
    return by.run(
        "action.appeal", found.target.key, {"action": uid, **asked(body)},
        lambda: labels.appeal(by.parts.engine, uid, body.text, body.contact, _said(by)), status=201,
    )  # fmt: skip


@router.get("/appeals", response_model=Page[Appeal])
def appeals(
    parts: PartsOf, caller: Annotated[Caller, may(Scope.LABELS_READ)], asked_for: Annotated[Appeals, Query()]
) -> Response:
    """Appeals, by the time at which they were made."""
    wanted = asked_for.wanted(caller.tenant)
    page = reading.listed(parts.engine, reading.APPEAL, wanted, asked_for.limit, asked_for.cursor)
    return listed(page.items, page.next)


@router.post("/appeals/{uid}/decide", response_model=Appeal)
def decide(uid: Uid, body: Decision, by: Annotated[Write, _JUDGE]) -> Response:
    """Accept or reject it; accepted, its action is lifted where it still stands."""
    found = reading.one(by.parts.engine, reading.APPEAL, uid, by.caller.tenant)
    if by.caller.tenant is not None:
        _action(by, found["action_uid"])

    def act() -> dict[str, Any]:
        if found["status"] == "open" and body.accept:
            contested = _action(by, found["action_uid"])
            if contested.status is ActionStatus.ACTIVE:
                _lift(by, contested.uid, body.reason)
        return labels.decide(by.parts.engine, uid, accept=body.accept, reason=body.reason, said=_said(by))

    return by.run("appeal.decide", uid, {"action": found["action_uid"], **asked(body)}, act)


@router.get("/labels", response_model=Page[Label])
def list_labels(
    parts: PartsOf, caller: Annotated[Caller, may(Scope.LABELS_READ)], asked_for: Annotated[Labels, Query()]
) -> Response:
    """Labels, by the time at which they were given."""
    wanted = asked_for.wanted(caller.tenant)
    page = reading.listed(parts.engine, reading.LABEL, wanted, asked_for.limit, asked_for.cursor)
    return listed(page.items, page.next)


@router.post("/labels", response_model=Label, status_code=201)
def add_label(body: Labelled, by: Annotated[Write, write(Scope.LABELS_WRITE)]) -> Response:
    """Say what something was."""
    return by.run(
        "label.add", body.subject, asked(body),
        lambda: labels.label(by.parts.engine, body.subject, body.label, body.note, _said(by)), status=201,
    )  # fmt: skip


def _seen(by: Write, uid: str) -> Action:
    """The action as the store has it, which the caller may see."""
    return Action.model_validate(reading.one(by.parts.engine, reading.ACTION, uid, by.caller.tenant), extra="ignore")


def _action(by: Write, uid: str) -> Action:
    """The same, which the caller may touch as well: an address of its client's may be another's client, too."""
    found = _seen(by, uid)
    own(by.caller, found.target)
    return found


def _lift(by: Write, uid: str, reason: str) -> dict[str, Any]:
    try:
        return by.told(command.undo(by.parts.settings, uid, by.by(), reason))
    except CommandError as error:
        if error.code != "not_found":
            raise
        raise CommandError(
            "not_in_force", "uid", f"{uid!r} is not in force", "it ended, or was lifted before"
        ) from error


def _nothing() -> dict[str, Any]:
    return {"actions": [], "also_lifted": [], "in_force_ms": 0, "ack_ms": {}, "missing": [], "version": 0}


def _said(by: Write) -> Said:
    return Said(by.caller.owner, by.parts.clock_ms(), by.caller.tenant)
