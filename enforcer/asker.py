"""Who asks for something, and the words that each such thing has: owner, reason, length, name."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from enforcer.errors import CommandError
from schemas.action import ActionKind
from schemas.settings import PREFIX, Settings

ALLOW_SECONDS_MAX: Final = 10 * 365 * 86_400
REASON_CHARS_MAX: Final = 500
_ONCE: Final = uuid.UUID("5f1e8f0c-0d0b-4c5e-9c35-6c0f6f6e6365")


@dataclass(frozen=True, slots=True)
class ByApi:
    """Somebody whom the API let in. What is asked with the same `once` happens once."""

    name: str
    once: str = ""


By = str | ByApi
"""Who asks: the name that a command line says, or a caller of the API."""


def in_bounds(settings: Settings, kind: ActionKind, seconds: int) -> None:
    """Raises `CommandError` where an action of a kind may not be so long."""
    most = ALLOW_SECONDS_MAX if kind in (ActionKind.ALLOW, ActionKind.HOLD) else settings.action_seconds_max
    if not 1 <= seconds <= most:
        other = f"or set {PREFIX}ALLOWLIST, which has no end"
        fix = other if kind is ActionKind.ALLOW else f"raise {PREFIX}ACTION_SECONDS_MAX"
        raise CommandError("bad_value", "seconds", f"{seconds} is not between 1 and {most}", fix)


def name_for(by: By, *what: str | None) -> str:
    """A new one; of a caller who may send it again the same for the same thing, so that it happens once."""
    if isinstance(by, ByApi) and by.once:
        return uuid.uuid5(_ONCE, "\0".join([by.once, *(word or "" for word in what)])).hex
    return uuid.uuid4().hex


def reason_of(text: str) -> str:
    """A reason as it is kept. Raises `CommandError` where there is none."""
    if not text.strip():
        raise CommandError("bad_value", "reason", "empty", "say why; whoever undoes this will want to know")
    return text.strip()[:REASON_CHARS_MAX]


def owner_of(by: By) -> str:
    """Who asks, as actions and the audit call them. Raises `CommandError` where that is no name."""
    name, way = (by.name, "api") if isinstance(by, ByApi) else (by, "cli")
    if not name.strip() or len(name) > 100:
        raise CommandError("bad_value", "by", f"{name[:20]!r} is no name", "a name of 1 to 100 characters")
    return f"{way}:{name.strip()}"
