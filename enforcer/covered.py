"""Alerts that another alert's answer serves as well, kept for when that one is withdrawn. Bounded; newest kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from enforcer.guardrails import STRENGTH
from schemas.action import Action, ActionKind, Target
from schemas.alert import Alert

TARGETS_MAX: Final = 20_000
ALERTS_MAX: Final = 8


class Covered:
    """By target: the newest word of each such alert."""

    def __init__(self) -> None:
        self._alerts: OrderedDict[str, dict[str, Alert]] = OrderedDict()

    def keep(self, target: Target, alert: Alert) -> None:
        """`alert` needs no answer of its own as long as the present one on `target` stands."""
        alerts = self._alerts.setdefault(target.key, {})
        alerts[alert.uid] = alert
        self._alerts.move_to_end(target.key)
        if len(alerts) > ALERTS_MAX:
            del alerts[next(iter(alerts))]
        if len(self._alerts) > TARGETS_MAX:
            self._alerts.popitem(last=False)

    def forget(self, target: Target, uid: str) -> None:
        """That alert has another word, or is over."""
        alerts = self._alerts.get(target.key, {})
        alerts.pop(uid, None)
        if not alerts:
            self._alerts.pop(target.key, None)

    def release(self, target: Target) -> tuple[Alert, ...]:
        """Those kept for `target`, no longer kept."""
        return tuple(self._alerts.pop(target.key, {}).values())


def serves(action: Action, wanted: Action) -> bool:
    """Whether `action` does all that `wanted` would: people's may be narrower, or milder."""
    if action.tier is not None or action.limit is not None or action.exempt not in (None, wanted.exempt):
        return False
    if action.route not in (None, wanted.route) or STRENGTH.get(action.kind, -1) < STRENGTH[wanted.kind]:
        return False
    if action.kind is not ActionKind.THROTTLE:
        return True
    return action.factor is not None and action.factor <= (wanted.factor or 1)
