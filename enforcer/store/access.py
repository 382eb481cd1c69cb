"""Who has a key, and which role those have whose tokens say none. A key is shown once and kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enforcer import callers
from enforcer.callers import Caller, Role, Scope
from enforcer.errors import CommandError
from enforcer.store import audit
from enforcer.store.database import writing
from enforcer.store.tables import KEYS, USERS
from schemas import sql

MARK: Final = "fwk_"
KEY_SECONDS_MAX: Final = 10 * 365 * 86_400
_LISTED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Key:
    """A key without itself. `pulled_*`: when a bouncer asked with it last, from where, and what it called itself."""

    id: str
    name: str
    role: str
    scopes: tuple[str, ...]
    tenant: str | None
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None
    revoked_by: str | None
    pulled_ms: int | None = None
    pulled_from: str | None = None
    pulled_agent: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whose token says no role."""

    name: str
    role: str
    tenant: str | None
    created_ms: int
    created_by: str


class Access:
    """Keys and users. Methods raise `sqlalchemy.exc.DBAPIError` where the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create_key(
        self, name: str, role: Role, by: str, now_ms: int, *,
        only: Iterable[Scope] = (), tenant: str | None = None, seconds: int | None = None,
    ) -> tuple[Key, str]:  # fmt: skip
        """A new key: what is kept, and the key itself, which nobody can tell again.

        Raises:
            CommandError: names what is wrong.
        """
        if seconds is not None and not 1 <= seconds <= KEY_SECONDS_MAX:
            raise CommandError("bad_value", "seconds", f"{seconds}", f"1 to {KEY_SECONDS_MAX}; left out: no end")
        given = callers.name(name)
        if role is Role.BOUNCER and (tenant is not None or [*only]):
            field, fix = "tenant" if tenant is not None else "scopes", "leave it out"
            raise CommandError("bad_value", field, "a bouncer's key fetches decisions, all of them", fix)
        key_id = secrets.token_hex(6)
        text = f"{MARK}{key_id}_{secrets.token_urlsafe(32)}"
        made = Key(
            key_id, given, role, tuple(sorted(only)), _tenant(tenant), now_ms, by,
            None if seconds is None else now_ms + seconds * 1000, None, None,
        )  # fmt: skip
        row = {name: getattr(made, name) for name in Key.__slots__} | {
            "scopes": " ".join(made.scopes),
            "digest": _digest(text),
        }
        with writing(self._engine) as at:
            at.execute(sa.insert(KEYS).values(row))
            told = {"name": given, "role": role, "scopes": list(made.scopes), "tenant": tenant, "seconds": seconds}
            audit.append(at, [audit.Entry(now_ms, by, "key.created", key_id, told)])
        return made, text

    def revoke_key(self, key_id: str, by: str, now_ms: int) -> Key:
        """End a key, at once. Raises `CommandError` where there is none, or none that still holds."""
        with writing(self._engine) as at:
            standing = (KEYS.c.id == key_id) & KEYS.c.revoked_ms.is_(None)
            if not at.execute(sa.update(KEYS).where(standing).values(revoked_ms=now_ms, revoked_by=by)).rowcount:
                raise CommandError("not_found", "id", f"no key {key_id[:40]!r} holds", "see `keys list`")
            row = at.execute(sa.select(KEYS).where(KEYS.c.id == key_id)).one()
            audit.append(at, [audit.Entry(now_ms, by, "key.revoked", key_id, {"name": row.name})])
        return _key(row)

    def list_keys(self) -> list[Key]:
        """All there ever were, the newest first."""
        newest = sa.select(KEYS).order_by(KEYS.c.created_ms.desc(), KEYS.c.id).limit(_LISTED_MAX)
        with self._engine.connect() as at:
            return [_key(row) for row in at.execute(newest)]

    def by_key(self, text: str, now_ms: int) -> Caller | None:
        """Whose key this is, if it holds."""
        found = self.holding(text, now_ms)
        if found is None:
            return None
        return callers.caller(found.name, "key", Role(found.role), map(Scope, found.scopes), found.tenant)

    def holding(self, text: str, now_ms: int) -> Key | None:
        """What is kept of this key, if it holds."""
        key_id, _, secret = text.removeprefix(MARK).partition("_")
        if not text.startswith(MARK) or not secret or len(text) > 200 or not text.isascii():
            return None
        with self._engine.connect() as at:
            row = at.execute(sa.select(KEYS).where(KEYS.c.id == key_id)).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, _digest(text)) or row.revoked_ms is not None:
            return None
        if row.expires_ms is not None and row.expires_ms <= now_ms:
            return None
        return _key(row)

    def note_pull(self, key_id: str, address: str, agent: str, now_ms: int) -> None:
        """A bouncer asked with this key."""
        seen = {"pulled_ms": now_ms, "pulled_from": address, "pulled_agent": agent}
        with self._engine.execution_options(writes=True).begin() as at:
            at.execute(sa.update(KEYS).where(KEYS.c.id == key_id).values(seen))

    def put_user(self, name: str, role: Role, tenant: str | None, by: str, now_ms: int) -> User:
        """Give somebody a role. Raises `CommandError` for what is no name."""
        if role is Role.BOUNCER:
            raise CommandError("bad_value", "role", "a bouncer is nobody who signs in", "a key with this role")
        made = User(callers.name(name), role, _tenant(tenant), now_ms, by)
        with writing(self._engine) as at:
            row = {name: getattr(made, name) for name in User.__slots__}
            statement = sql.insert(at, USERS).values(row)
            at.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
            audit.append(at, [audit.Entry(now_ms, by, "user.set", made.name, {"role": role, "tenant": tenant})])
        return made

    def delete_user(self, name: str, by: str, now_ms: int) -> User:
        """Take somebody's role: what it was. Raises `CommandError` where there is none."""
        gone = self.user(name)
        with writing(self._engine) as at:
            if not at.execute(sa.delete(USERS).where(USERS.c.name == name)).rowcount or gone is None:
                raise CommandError("not_found", "name", f"no user {name[:40]!r}", "see GET /users")
            audit.append(at, [audit.Entry(now_ms, by, "user.deleted", name, {})])
        return gone

    def list_users(self) -> list[User]:
        """All, by name."""
        with self._engine.connect() as at:
            found = at.execute(sa.select(USERS).order_by(USERS.c.name).limit(_LISTED_MAX))
            return [User(*(getattr(row, name) for name in User.__slots__)) for row in found]

    def user(self, name: str) -> User | None:
        """Somebody's role, if we gave one."""
        with self._engine.connect() as at:
            row = at.execute(sa.select(USERS).where(USERS.c.name == name)).one_or_none()
        return User(*(getattr(row, name) for name in User.__slots__)) if row else None


def _key(row: sa.Row[tuple[object, ...]]) -> Key:
    values = {name: getattr(row, name) for name in Key.__slots__}
    return Key(**(values | {"scopes": tuple(str(values["scopes"]).split())}))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()  # no slow hash: nobody guesses 256 bits


def _tenant(text: str | None) -> str | None:
    return None if text is None else callers.name(text, "tenant")
