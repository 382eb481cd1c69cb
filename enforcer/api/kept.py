"""Routes of what only the store has: the audit, keys and users; and who the caller is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response

from enforcer.api.door import PartsOf, caller_of, may
from enforcer.api.queries import Audit
from enforcer.api.shapes import (
    Entry,
    KeyMade,
    KeyShown,
    Me,
    NewKey,
    NewUser,
    Page,
    UserShown,
    Verified,
    listed,
)
from enforcer.api.writes import Write, asked, write
from enforcer.callers import Caller, Scope
from enforcer.store import audit, reading
from enforcer.store.access import Access

router = APIRouter(tags=["kept"])
_ACCESS = may(Scope.ACCESS_WRITE)
_GIVE = write(Scope.ACCESS_WRITE)
_AUDIT = may(Scope.AUDIT_READ)
Named = Annotated[str, Path(min_length=1, max_length=100)]


@router.get("/me", response_model=Me)
def me(caller: Annotated[Caller, Depends(caller_of)]) -> Me:
    """Who the caller is, and what it may."""
    scopes = [scope for scope in Scope if scope in caller.scopes]
    return Me.model_validate(
        {"name": caller.name, "via": caller.via, "role": caller.role, "tenant": caller.tenant, "scopes": scopes}
    )


@router.get("/audit", response_model=Page[Entry])
def entries(parts: PartsOf, _: Annotated[Caller, _AUDIT], asked_for: Annotated[Audit, Query()]) -> Response:
    """Who did what, the newest first."""
    page = reading.listed(parts.engine, reading.AUDITED, asked_for.wanted(), asked_for.limit, asked_for.cursor)
    return listed(page.items, page.next)


@router.get("/audit/verify", response_model=Verified)
def verify(
    parts: PartsOf,
    _: Annotated[Caller, _AUDIT],
    head: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}:[0-9a-f]{4,64}$", description="noted before")] = None,
) -> Verified:
    """Go through the whole chain: was an entry changed, left out, put in or cut off?"""
    found = audit.verify(parts.engine, audit.parse(head) if head else None)
    return Verified(ok=not found.broken, entries=found.entries, head=str(found.head), broken=found.broken)


@router.get("/keys", response_model=Page[KeyShown])
def keys(parts: PartsOf, _: Annotated[Caller, _ACCESS]) -> Response:
    """Every key there ever was, without itself, the newest first."""
    return listed([asdict(key) for key in Access(parts.engine).list_keys()])


@router.post("/keys", response_model=KeyMade, status_code=201)
def create_key(body: NewKey, by: Annotated[Write, _GIVE]) -> Response:
    """Make a key. It is shown in this answer and never again, not even for the same Idempotency-Key."""

    def act() -> dict[str, Any]:
        made, text = Access(by.parts.engine).create_key(
            body.name, body.role, by.caller.owner, by.parts.clock_ms(),
            only=body.scopes, tenant=body.tenant, seconds=body.seconds,
        )  # fmt: skip
        return asdict(made) | {"key": text}

    return by.run("key.create", body.name, asked(body), act, status=201, secret=True)


@router.delete("/keys/{id}", response_model=KeyShown)
def revoke_key(
    key_id: Annotated[str, Path(alias="id", min_length=1, max_length=40)], by: Annotated[Write, _GIVE]
) -> Response:
    """End a key, at once and for good."""
    return by.run(
        "key.revoke", key_id, {},
        lambda: asdict(Access(by.parts.engine).revoke_key(key_id, by.caller.owner, by.parts.clock_ms())),
    )  # fmt: skip


@router.get("/users", response_model=Page[UserShown])
def users(parts: PartsOf, _: Annotated[Caller, _ACCESS]) -> Response:
    """Who has a role although no token says it, by name."""
    return listed([asdict(user) for user in Access(parts.engine).list_users()])


@router.put("/users/{name}", response_model=UserShown)
def put_user(name: Named, body: NewUser, by: Annotated[Write, _GIVE]) -> Response:
    """Give somebody a role."""
    return by.run(
        "user.set", name, asked(body),
        lambda: asdict(
            Access(by.parts.engine).put_user(name, body.role, body.tenant, by.caller.owner, by.parts.clock_ms())
        ),
    )  # fmt: skip


@router.delete("/users/{name}", response_model=UserShown)
def delete_user(name: Named, by: Annotated[Write, _GIVE]) -> Response:
    """Take somebody's role."""
    return by.run(
        "user.delete", name, {},
        lambda: asdict(Access(by.parts.engine).delete_user(name, by.caller.owner, by.parts.clock_ms())),
    )  # fmt: skip
