"""Alertmanager's webhook: a firing alert is a brownout, a resolved one its end.

The payload is that of Alertmanager's documentation, version 4; fields that it adds are left out of account.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import xxhash
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from enforcer import command
from enforcer.api.shapes import Done
from enforcer.api.writes import Write, write
from enforcer.callers import Scope
from enforcer.errors import CommandError

router = APIRouter(tags=["in force"])
LEVEL: Final = "floodwarden_level"
SECONDS: Final = 900
ALERTS_MAX: Final = 1_000
_BY_SEVERITY: Final = {"critical": 2}
_REASON_CHARS: Final = 400
Texts = Annotated[dict[str, str], Field(max_length=200)]


class Call(BaseModel):
    """What is taken as it is described, and nothing more of it."""

    model_config = ConfigDict(extra="ignore", strict=True)


class OneAlert(Call):
    """One alert of the group."""

    status: Literal["firing", "resolved"]
    labels: Texts = {}
    annotations: Texts = {}


class Notification(Call):
    """Alertmanager's word on a group of alerts."""

    version: Literal["4"]
    groupKey: Annotated[str, Field(min_length=1, max_length=4096)]  # noqa: N815 - as Alertmanager spells it
    status: Literal["firing", "resolved"]
    alerts: Annotated[list[OneAlert], Field(max_length=ALERTS_MAX)]

    @property
    def rule(self) -> str:
        """What the brownout it calls for is known by."""
        return f"alertmanager/{xxhash.xxh3_64_hexdigest(self.groupKey.encode('utf-8', 'surrogatepass'))}"

    @property
    def firing(self) -> list[OneAlert]:
        """What is firing of it."""
        return [alert for alert in self.alerts if alert.status == "firing"] if self.status == "firing" else []

    def level(self) -> int:
        """The highest that a firing alert asks for: by its label, else by its severity. Raises `CommandError`."""
        return max(_level(alert.labels) for alert in self.firing)

    @property
    def reason(self) -> str:
        """Its names, and the first summary."""
        told = self.firing or self.alerts
        names = sorted({alert.labels.get("alertname", "alert") for alert in told})
        summary = next((alert.annotations["summary"] for alert in told if alert.annotations.get("summary")), "")
        text = f"Alertmanager: {', '.join(names)}" + (f": {summary}" if summary else "")
        return text[:_REASON_CHARS]


@router.post("/brownout/alertmanager", response_model=Done)
def called(
    body: Notification,
    by: Annotated[Write, write(Scope.BROWNOUT_WRITE)],
    seconds: Annotated[int, Query(ge=60, le=86_400, description="how long without another word")] = SECONDS,
) -> Response:
    """Begin or end the brownout that a group of alerts calls for; said again, it goes on."""
    settings = by.parts.settings
    if not body.firing:
        return by.run(
            "brownout.resolve", "global:*", {"rule": body.rule, "reason": body.reason},
            lambda: by.told(command.brownout_resolve(settings, body.rule, by.by(), body.reason)),
        )  # fmt: skip
    level = body.level()
    return by.run(
        "brownout.set", "global:*", {"level": level, "rule": body.rule, "reason": body.reason, "seconds": seconds},
        lambda: by.told(command.brownout_set(settings, level, seconds, body.reason, by.by(), rule=body.rule)),
    )  # fmt: skip


def _level(labels: dict[str, str]) -> int:
    said = labels.get(LEVEL)
    if said is None:
        return _BY_SEVERITY.get(labels.get("severity", ""), 1)
    if said not in ("1", "2", "3", "4"):
        raise CommandError("bad_value", f"labels.{LEVEL}", f"{said[:20]!r} is no level", "1 to 4, or leave it out")
    return int(said)
