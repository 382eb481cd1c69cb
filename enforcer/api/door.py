"""Who asks: by a key of ours, or by a token of the operator's identity provider. Nobody else gets further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import sqlalchemy as sa
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from enforcer import callers, model_command, policy_plan
from enforcer.api.live import Live
from enforcer.api.problems import ProblemError
from enforcer.callers import Caller, Role, Scope
from enforcer.errors import CommandError
from enforcer.model_command import Inspect, Judge
from enforcer.policy_plan import Examine
from enforcer.store.access import MARK, Access
from schemas.action import Target
from schemas.errors import SettingsError
from schemas.settings import PREFIX, Settings

if TYPE_CHECKING:
    from schemas.tokens import Tokens

_CLAIMS: Final = ("name", "role", "tenant")
_bearer = HTTPBearer(auto_error=False, description="a key (`floodwarden keys create`) or a token (JWT)")
_key = APIKeyHeader(name="x-api-key", auto_error=False, description="a key")
_HINT: Final = {"www-authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a token says of who shows it."""

    name: str | None
    role: str | None
    tenant: str | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API is made of."""

    settings: Settings
    engine: sa.Engine
    live: Live
    verified: Callable[[str], Bearer | None]
    clock_ms: Callable[[], int]
    examine: Examine = policy_plan.unjudged
    judge: Judge = model_command.unjudged
    inspect: Inspect = model_command.uninspected


def parts_of(request: Request) -> Parts:
    """The parts of the application that was asked."""
    found: Parts = request.app.state.parts
    return found


PartsOf = Annotated[Parts, Depends(parts_of)]


def verifier(settings: Settings) -> Callable[[str], Bearer | None]:
    """Token -> who shows it, None for one that is not to be believed.

    Raises:
        SettingsError: keys, or what goes with them, cannot be taken.
    """
    if not settings.api_jwks:
        return lambda _: None
    for name in ("issuer", "audience"):
        if not getattr(settings, f"api_{name}"):
            why = "must be set with _API_JWKS: a token made for another service would open this one"
            raise SettingsError(f"{PREFIX}API_{name.upper()}: {why}")
    try:
        return _tokens(settings).verified
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{PREFIX}API_JWKS: {error.name} is not installed; install floodwarden with the extra `jwt`"
        ) from error


def _tokens(settings: Settings) -> Tokens[Bearer]:
    from schemas import token_keys, tokens  # noqa: PLC0415 - an extra; only who verifies tokens needs it

    name = PREFIX + "API"
    rules = tokens.Rules(
        tokens.roles(settings.api_claims, _CLAIMS, f"{name}_CLAIMS"),
        lambda said: Bearer(said.get("name"), said.get("role"), said.get("tenant")),
        settings.api_issuer,
        settings.api_audience,
        ends=True,
    )
    return tokens.Tokens(token_keys.Keys(name, jwks=token_keys.source(settings.api_jwks, f"{name}_JWKS")), rules)


def caller_of(
    parts: PartsOf,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key)],
) -> Caller:
    """Who asks. Raises `ProblemError`."""
    shown = key or (bearer.credentials if bearer else "")
    if not shown:
        fix = "send `Authorization: Bearer KEY`; `floodwarden keys create NAME` makes one"
        raise ProblemError(401, "unauthorized", "no key and no token", field="authorization", fix=fix, headers=_HINT)
    access = Access(parts.engine)
    found = access.by_key(shown, parts.clock_ms()) if shown.startswith(MARK) else _by_token(parts, access, shown)
    if found is None:
        fix = "a key that was not revoked and is not over, or a token by the issuer in FLOODWARDEN_API_*"
        raise ProblemError(401, "unauthorized", "does not hold", field="authorization", fix=fix, headers=_HINT)
    return found


def may(*scopes: Scope) -> Any:
    """A dependency: the caller, who has all of `scopes`."""

    def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        for scope in scopes:
            if scope not in caller.scopes:
                fix = f"ask an admin for a role or key with {scope}"
                raise ProblemError(403, "forbidden", f"{caller.name} lacks {scope}", field=scope, fix=fix)
        return caller

    return Depends(check)


def own(caller: Caller, target: Target) -> None:
    """Raises `ProblemError` where the caller's tenant is not the target's."""
    if not caller.owns(target):
        why = f"{caller.name} acts on tenant:{caller.tenant} alone: {target.key} may be others' client, too"
        fix = "an appeal, or whoever runs the site"
        raise ProblemError(403, "other_tenant", why, field="target", fix=fix)


def _by_token(parts: Parts, access: Access, token: str) -> Caller | None:
    said = parts.verified(token)
    if said is None or said.name is None:
        return None
    try:
        name = callers.name(said.name)
        tenant = None if said.tenant is None else callers.name(said.tenant, "tenant")
    except CommandError:
        return None
    if said.role is not None:
        return callers.caller(name, "token", Role(said.role), (), tenant) if said.role in set(Role) else None
    user = access.user(name)
    if user is None:
        fix = "an admin gives one by PUT /users/NAME, or the token says it (FLOODWARDEN_API_CLAIMS)"
        raise ProblemError(403, "forbidden", f"{name} has no role", field="authorization", fix=fix)
    return callers.caller(name, "token", Role(user.role), (), user.tenant or tenant)
