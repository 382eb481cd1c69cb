"""Versions of policies: who made each and why, and which one holds. None's files are ever changed or taken out.

To go back to a version is to make a new one with the same files: what held when can be read from top to bottom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enforcer import callers
from enforcer.errors import CommandError
from enforcer.rollout import State
from enforcer.store import audit
from enforcer.store.database import writing
from enforcer.store.tables import ORDERS, POLICIES, ROLLOUTS
from schemas import policies
from schemas.policies import Candidate, Files, Order

SCHEDULED: Final = "scheduled"
CANDIDATE: Final = "candidate"
ENFORCED: Final = "enforced"
RETIRED: Final = "retired"
WITHDRAWN: Final = "withdrawn"
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
        return order_of(at, named(name))


def make(engine: sa.Engine, draft: Draft, now_ms: int) -> tuple[Version, Order]:
    """A new version, which holds from now on.

    Raises:
        CommandError: another version was made meanwhile, or is on its way; or a name or reason cannot be taken.
    """
    with writing(engine) as at:
        made = add(at, draft, ENFORCED, now_ms, None)
        return made, enforce(at, made, now_ms)


def add(at: sa.Connection, draft: Draft, state: str, now_ms: int, from_ms: int | None, **more: object) -> Version:
    """A new version in the caller's transaction, audited with what is said `more`; which one holds stays as it is.

    Raises:
        CommandError: as `make`.
    """
    name, author, reason = named(draft.name), callers.name(draft.author, "author"), reasoned(draft.reason)
    body, digest = policies.as_text(draft.files), policies.digest(draft.files)
    last = _newest(at, name)
    number = last.version if last is not None else 0
    if number != draft.after:
        reason = f"version {number} was made meanwhile: this was to follow {draft.after or 'none'}"
        raise CommandError("stale", "version", reason, "look at what would change again, and apply that")
    _nothing_on_its_way(at, name)
    made = Version(name, number + 1, state, digest, author, reason, now_ms, from_ms)
    row = {column: getattr(made, column) for column in Version.__slots__}
    at.execute(sa.insert(POLICIES).values(row | {"body": body}))
    said = {"version": made.version, "digest": digest, "reason": reason} | more
    audit.append(at, [audit.Entry(now_ms, author, "policy.applied", name, said)])
    return made


def enforce(at: sa.Connection, made: Version, now_ms: int) -> Order:
    """`made` holds from now on, for everybody, in place of the one before."""
    ours = POLICIES.c.name == made.name
    at.execute(sa.update(POLICIES).where(ours, POLICIES.c.state == ENFORCED).values(state=RETIRED))
    becomes(at, made, ENFORCED)
    return hold(at, made.name, made.version, made.digest, None, now_ms)


def becomes(at: sa.Connection, made: Version, state: str) -> None:
    """The version is in another state."""
    here = (POLICIES.c.name == made.name) & (POLICIES.c.version == made.version)
    at.execute(sa.update(POLICIES).where(here).values(state=state))


def one(at: sa.Connection, name: str, version: int) -> Version:
    """A version that is there."""
    found = sa.select(*_COLUMNS).where(POLICIES.c.name == name, POLICIES.c.version == version)
    return Version(**at.execute(found).mappings().one())


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


def hold(at: sa.Connection, name: str, version: int, digest: str, candidate: Candidate | None, now_ms: int) -> Order:
    """From now on that version holds, with that candidate beside."""
    held = at.execute(sa.select(ORDERS.c.serial).where(ORDERS.c.name == name)).scalar_one_or_none()
    # The time, so that a store that is made anew, or brought back from a copy, goes on above what Redis still holds.
    put = Order(max((held or 0) + 1, now_ms), version, digest, now_ms, candidate)
    row = {"name": name, "serial": put.serial, "version": put.version, "digest": put.digest, "at_ms": put.at_ms}
    if candidate is not None:
        row |= {
            "candidate": candidate.version, "candidate_digest": candidate.digest, "share_ppm": candidate.share_ppm
        }  # fmt: skip
    at.execute(sa.delete(ORDERS).where(ORDERS.c.name == name))
    at.execute(sa.insert(ORDERS).values(row))
    return put


def order_of(at: sa.Connection, name: str) -> Order | None:
    """Which version holds."""
    row = at.execute(sa.select(ORDERS).where(ORDERS.c.name == name)).one_or_none()
    return _order(row) if row is not None else None


def _order(row: sa.Row[tuple[object, ...]]) -> Order:
    candidate = None
    if row.candidate is not None:
        candidate = Candidate(row.candidate, row.candidate_digest, row.share_ppm)
    return Order(row.serial, row.version, row.digest, row.at_ms, candidate)


def _nothing_on_its_way(at: sa.Connection, name: str) -> None:
    open_one = ROLLOUTS.c.state.in_([state for state in State if state.is_open])
    found = sa.select(ROLLOUTS.c.version, ROLLOUTS.c.state).where(ROLLOUTS.c.name == name, open_one)
    row = at.execute(found).one_or_none()
    if row is not None:
        fix = "`policy rollout promote` or `abort` it first, or say --emergency, which aborts it"
        raise CommandError("stale", "version", f"version {row.version} is on its way ({row.state})", fix)


def reasoned(text: str) -> str:
    """Why somebody did something, as it may stand in an audit. Raises `CommandError`."""
    if len(text) > REASON_CHARS_MAX or not text.isprintable():
        raise CommandError(
            "bad_value", "reason", "is too long, or not printable", f"at most {REASON_CHARS_MAX} characters, one line"
        )
    return text
