"""What applying files would do, before it is done: what is wrong with them, and what changes from the newest version.

What a policy means the limiters know; whoever wires the programs hands in their judgement as `examine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.policy_diff import Change, diff
from enforcer.store import versions
from enforcer.store.versions import Draft
from schemas import policies
from schemas.errors import FileError
from schemas.policies import Files


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a policy, or doubtful."""

    file: str
    line: int
    field: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Examined:
    """What limiters would say of files; none take them where there are `errors`."""

    limits: int
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


Examine = Callable[[Files], Examined]


def unjudged(_: Files) -> Examined:
    """The judgement where no limiter's is at hand: none is applied that way."""
    why = "no reader of policies is at hand"
    return Examined(0, (Finding("policy", 0, "files", why, "start the enforcer by `floodwarden enforcer`"),), ())


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen: the version after `after` (0: none) with `changes` to the one that `holds` (0: none).

    Nothing where `same` is a version that holds or is on its way, and says the same (0: none does). With errors there
    is no telling what would change, and nothing can be applied.
    """

    name: str
    after: int
    holds: int
    same: int
    files: Files
    examined: Examined
    changes: tuple[Change, ...]

    @property
    def anew(self) -> bool:
        """Whether there is anything to be made."""
        return not self.same

    def draft(self, author: str, reason: str) -> Draft:
        """The version to be made. Raises `CommandError` where no limiter would take it."""
        if self.examined.errors:
            first = self.examined.errors[0]
            more = f", and {len(self.examined.errors) - 1} more" if len(self.examined.errors) > 1 else ""
            where = f"{first.file}:{first.line}: {first.field}"
            raise CommandError("bad_policy", where, first.reason + more, first.fix)
        return Draft(self.name, self.files, self.after, author, reason)


def plan(engine: sa.Engine, name: str, files: Files, examine: Examine) -> Plan:
    """What applying `files` would do to the policy `name`.

    Raises:
        CommandError: that is no name, or they are too many, too large, no text, or not named as such files are.
    """
    try:
        policies.checked(files)
    except FileError as error:
        raise CommandError("bad_value", f"{error.file}: {error.field}", error.reason, error.fix) from error
    newest = versions.newest(engine, name)
    after = newest.version if newest is not None else 0
    order = versions.order(engine, name)
    holds = order.version if order is not None else 0
    digest = policies.digest(files)
    under_way = newest is not None and newest.state in (versions.SCHEDULED, versions.CANDIDATE)
    same = holds if order is not None and order.digest == digest else 0
    if not same and under_way and newest is not None and newest.digest == digest:
        same = after
    examined = examine(files)
    before = versions.files(engine, name, holds) if holds else {}
    changes = () if examined.errors or (same and same == holds) else tuple(diff(before, files))
    return Plan(name, after, holds, same, files, examined, changes)
