"""Who may do what: roles, the scopes they have, and a caller as everything behind the door knows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from enforcer.errors import CommandError
from schemas.action import Target, TargetKind

NAME_CHARS_MAX: Final = 100


class Role(StrEnum):
    """Each may what those before it may; but a bouncer, which fetches decisions and may nothing over the API."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    OPERATOR = "operator"
    ADMIN = "admin"
    BOUNCER = "bouncer"


class Scope(StrEnum):
    """One thing that a caller may. `actions:judge` is to approve and to take back, `actions:write` to make longer."""

    ALERTS_READ = "alerts:read"
    ACTIONS_READ = "actions:read"
    LISTS_READ = "lists:read"
    BROWNOUT_READ = "brownout:read"
    LABELS_READ = "labels:read"
    POLICIES_READ = "policies:read"
    AUTOMATION_READ = "automation:read"
    MODELS_READ = "models:read"
    ACTIONS_JUDGE = "actions:judge"
    LABELS_WRITE = "labels:write"
    ACTIONS_WRITE = "actions:write"
    LISTS_WRITE = "lists:write"
    BROWNOUT_WRITE = "brownout:write"
    POLICIES_WRITE = "policies:write"
    MODELS_WRITE = "models:write"
    AUTOMATION_WRITE = "automation:write"
    AUDIT_READ = "audit:read"
    ACCESS_WRITE = "access:write"


_ADDS: Final = {
    Role.VIEWER: frozenset(scope for scope in Scope if scope.endswith(":read") and scope is not Scope.AUDIT_READ),
    Role.ANALYST: frozenset({Scope.ACTIONS_JUDGE, Scope.LABELS_WRITE}),
    Role.OPERATOR: frozenset(
        {
            Scope.ACTIONS_WRITE,
            Scope.LISTS_WRITE,
            Scope.BROWNOUT_WRITE,
            Scope.POLICIES_WRITE,
            Scope.MODELS_WRITE,
            Scope.AUTOMATION_WRITE,
            Scope.AUDIT_READ,
        }
    ),
    Role.ADMIN: frozenset({Scope.ACCESS_WRITE}),
}
_RISING: Final = tuple(_ADDS)
# What concerns every tenant is no tenant's to see or change; how two models agree names everybody's clients.
_OF_ALL: Final = frozenset(
    {
        Scope.BROWNOUT_WRITE,
        Scope.POLICIES_WRITE,
        Scope.MODELS_READ,
        Scope.MODELS_WRITE,
        Scope.AUTOMATION_WRITE,
        Scope.AUDIT_READ,
        Scope.ACCESS_WRITE,
    }
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by a `key` or a `token`. `tenant` None: everybody's."""

    name: str
    via: str
    role: Role
    scopes: frozenset[Scope]
    tenant: str | None = None

    @property
    def owner(self) -> str:
        """As actions and the audit have it."""
        return f"api:{self.name}"

    def owns(self, target: Target) -> bool:
        """Whether the caller may touch `target`."""
        return self.tenant is None or (target.kind is TargetKind.TENANT and target.value == self.tenant)


def caller(name: str, via: str, role: Role, only: Iterable[Scope] = (), tenant: str | None = None) -> Caller:
    """A caller with the role's scopes; of these `only`, where any are given; and none of everybody's with a tenant."""
    lower = _RISING[: _RISING.index(role) + 1] if role in _RISING else ()
    scopes: frozenset[Scope] = frozenset().union(*(_ADDS[each] for each in lower))
    wanted = frozenset(only)
    if wanted:
        scopes &= wanted
    return Caller(name, via, role, scopes - _OF_ALL if tenant is not None else scopes, tenant)


def role(text: str) -> Role:
    """A role by its name. Raises `CommandError`."""
    if text not in set(Role):
        raise CommandError("bad_value", "role", f"{text[:40]!r} is no role", f"one of {', '.join(Role)}")
    return Role(text)


def scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """Scopes by their names. Raises `CommandError`."""
    found = []
    for text in texts:
        if text not in set(Scope):
            raise CommandError("bad_value", "scopes", f"{text[:40]!r} is no scope", f"of {', '.join(Scope)}")
        found.append(Scope(text))
    return tuple(found)


def name(text: str, field: str = "name") -> str:
    """A name that may stand in an audit. Raises `CommandError`."""
    if not text.strip() or len(text) > NAME_CHARS_MAX or not text.isprintable():
        fix = f"1 to {NAME_CHARS_MAX} characters that can be printed"
        raise CommandError("bad_value", field, f"{text[:20]!r} is no name", fix)
    return text.strip()
