"""Versions of policies: who made each and why, and which one holds. None is ever changed or taken out.

To go back to a version is to make a new one with the same files: what held when can be read from top to bottom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enforcer import callers
from enforcer.errors import CommandError
from enforcer.store import audit
from enforcer.store.database import writing
from enforcer.store.tables import ORDERS, POLICIES
from schemas import policies
from schemas.policies import Files, Order

ENFORCED: Final = "enforced"
RETIRED: Final = "retired"
REASON_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Version:
    """A version without its files."""

    name: str
    version: int
    state: str
    digest: str
    author: str
    reason: str
    created_ms: int
    from_ms: int | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a version is to be: `after` is the newest version its author knew, 0 for none."""

    name: str
    files: Files
    after: int
    author: str
    reason: str


def newest(engine: sa.Engine, name: str) -> Version | None:
    """The newest version of a policy."""
    with engine.connect() as at:
        return _newest(at, named(name))


def history(engine: sa.Engine, name: str) -> list[Version]:
    """All its versions, the newest first."""
    found = sa.select(*_COLUMNS).where(POLICIES.c.name == named(name)).order_by(POLICIES.c.version.desc())
    with engine.connect() as at:
        return [Version(**row) for row in at.execute(found).mappings()]


def files(engine: sa.Engine, name: str, version: int) -> dict[str, bytes]:
    """What a version is. Raises `CommandError` where there is none."""
    found = sa.select(POLICIES.c.body).where(POLICIES.c.name == named(name), POLICIES.c.version == version)
    with engine.connect() as at:
        body = at.execute(found).scalar_one_or_none()
    if body is None:
        raise CommandError("not_found", "version", f"there is no version {version} of {name!r}", "see its history")
    return policies.of_text(body)


def orders(engine: sa.Engine) -> dict[str, Order]:
    """Which version of each policy holds."""
    with engine.connect() as at:
        return {row.name: _order(row) for row in at.execute(sa.select(ORDERS))}


def order(engine: sa.Engine, name: str) -> Order | None:
    """Which version of one policy holds."""
    with engine.connect() as at:
        row = at.execute(sa.select(ORDERS).where(ORDERS.c.name == named(name))).one_or_none()
    return _order(row) if row is not None else None


def make(engine: sa.Engine, draft: Draft, now_ms: int) -> tuple[Version, Order]:
    """A new version, which holds from now on.

    Raises:
        CommandError: another version was made meanwhile, or a name or reason cannot be taken.
    """
    name, author, reason = named(draft.name), callers.name(draft.author, "author"), _reason(draft.reason)
    body, digest = policies.as_text(draft.files), policies.digest(draft.files)
    with writing(engine) as at:
        last = _newest(at, name)
        number = last.version if last is not None else 0
        if number != draft.after:
            reason = f"version {number} was made meanwhile: this was to follow {draft.after or 'none'}"
            raise CommandError("stale", "version", reason, "look at what would change again, and apply that")
        made = Version(name, number + 1, ENFORCED, digest, author, reason, now_ms, None)
        at.execute(
            sa.update(POLICIES).where(POLICIES.c.name == name, POLICIES.c.state == ENFORCED).values(state=RETIRED)
        )
        row = {column: getattr(made, column) for column in Version.__slots__}
        at.execute(sa.insert(POLICIES).values(row | {"body": body}))
        said = {"version": made.version, "digest": digest, "reason": reason}
        audit.append(at, [audit.Entry(now_ms, author, "policy.applied", name, said)])
        return made, _put_in_force(at, made, now_ms)


def named(text: str) -> str:
    """A policy's name. Raises `CommandError`."""
    if not re.fullmatch(policies.NAME, text):
        fix = "1 to 63 of a-z, 0-9, `_`, `.` and `-`, with a letter or digit first"
        raise CommandError("bad_value", "name", f"{text[:40]!r} is no name of a policy", fix)
    return text


_COLUMNS: Final = [POLICIES.c[name] for name in Version.__slots__]


def _newest(at: sa.Connection, name: str) -> Version | None:
    found = sa.select(*_COLUMNS).where(POLICIES.c.name == name).order_by(POLICIES.c.version.desc()).limit(1)
    row = at.execute(found).mappings().one_or_none()
    return Version(**row) if row is not None else None


def _put_in_force(at: sa.Connection, made: Version, now_ms: int) -> Order:
    held = at.execute(sa.select(ORDERS.c.serial).where(ORDERS.c.name == made.name)).scalar_one_or_none()
    # The time, so that a store that is made anew, or brought back from a copy, goes on above what Redis still holds.
    put = Order(max((held or 0) + 1, now_ms), made.version, made.digest, now_ms)
    row = {"name": made.name, "serial": put.serial, "version": put.version, "digest": put.digest, "at_ms": put.at_ms}
    at.execute(sa.delete(ORDERS).where(ORDERS.c.name == made.name))
    at.execute(sa.insert(ORDERS).values(row))
    return put


def _order(row: sa.Row[tuple[object, ...]]) -> Order:
    return Order(row.serial, row.version, row.digest, row.at_ms)


def _reason(text: str) -> str:
    if len(text) > REASON_CHARS_MAX or not text.isprintable():
        raise CommandError(
            "bad_value", "reason", "is too long, or not printable", f"at most {REASON_CHARS_MAX} characters, one line"
        )
    return text
