"""What the doctor says of brownouts: who begins them, whether anybody leads, and whether the leader hears enough."""

from __future__ import annotations

from typing import Any, Final

from enforcer import command
from enforcer.brownout import Rules
from enforcer.brownout_file import rules_of
from enforcer.errors import CommandError
from enforcer.plan_config import ladder_of
from enforcer.playbook_file import examine
from floodwarden.diagnosis import Check, Level
from schemas.errors import SettingsError
from schemas.settings import Settings

NAME: Final = "brownout"


def brownout(settings: Settings) -> Check:
    """How settings, the leader and what plays ask for go together."""
    try:
        rules = rules_of(settings)
    except SettingsError as error:
        return Check(NAME, Level.FAIL, str(error), "correct what FLOODWARDEN_BROWNOUT names")
    said = _said(rules)
    if settings.playbooks is not None and (doubts := examine(settings.playbooks, ladder_of(settings)).unmet(rules)):
        return Check(NAME, Level.WARN, f"{said}; {doubts[0].reason}", doubts[0].fix)
    if rules is None:
        return Check(NAME, Level.OK, said)
    try:
        _, health = command.brownout_look(settings)
    except CommandError as error:
        return Check(NAME, Level.WARN, f"{said}; who leads is not known: {error.reason}", error.fix)
    if health is None:
        fix = "start one: `floodwarden enforcer`; or it leads from another region, where doctor sees it"
        return Check(NAME, Level.WARN, f"{said}; no enforcer of this region leads", fix)
    return _heard(f"{said}; level {health['level']}", health)


def _said(rules: Rules | None) -> str:
    if rules is None:
        return "off: people alone begin one"
    what = "by itself" if rules.acts else "only observed"
    return f"{what}, up to level {rules.level_max}, for at most {rules.seconds_max} s"


def _heard(said: str, health: dict[str, Any]) -> Check:
    rate, latency_ms = health["requests_per_second"], health["latency_ms"]
    if rate and latency_ms is None:
        fix = "the ASGI and WSGI middlewares know status and latency; gateways by docs/ingest.md"
        return Check(NAME, Level.WARN, f"{said}; of {rate:g} requests a second nobody says how long they took", fix)
    took = "" if latency_ms is None else f", {latency_ms:.0f} ms each"
    return Check(NAME, Level.OK, f"{said}; the leader hears of {rate:g} requests a second{took}")
