"""Routes of the switch that stops automation: what it decided is lifted, and it decides nothing until it may again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from enforcer import command
from enforcer.api.door import PartsOf, may
from enforcer.api.shapes import Automation, Done, Longer, Text
from enforcer.api.writes import Write, asked, write
from enforcer.callers import Caller, Scope

router = APIRouter(tags=["in force"])
_WRITE = write(Scope.AUTOMATION_WRITE)
_TARGET = "global:*"


@router.get("/automation", response_model=Automation)
def automation(parts: PartsOf, _: Annotated[Caller, may(Scope.AUTOMATION_READ)]) -> Automation:
    """Whether automation may act, and what holds it back."""
    holds = command.holds(parts.settings)
    return Automation(stopped=bool(holds), holds=holds)


@router.post("/automation/stop", response_model=Done)
def stop(body: Longer, by: Annotated[Write, _WRITE]) -> Response:
    """Lift everything automatic now, and let nothing automatic begin for so long. What people asked for stays."""
    return by.run(
        "automation.stop", _TARGET, asked(body),
        lambda: by.told(command.stop(by.parts.settings, body.seconds, body.reason, by.by())),
    )  # fmt: skip


@router.post("/automation/resume", response_model=Done)
def resume(by: Annotated[Write, _WRITE], reason: Annotated[Text, Query(description="why")] = "") -> Response:
    """Let automation act again. What it had decided does not come back without new evidence."""
    return by.run(
        "automation.resume", _TARGET, {"reason": reason},
        lambda: by.told(command.resume(by.parts.settings, by.by(), reason)),
    )  # fmt: skip
