"""Rollouts in the store: each step is one transaction with what holds after it, so it is made once, by whomever.

Enforcers need no leader for them: who finds a rollout as he judged it moves it, and the next one finds it moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from enforcer import policy_notice
from enforcer import rollout as of
from enforcer.canary import Sample
from enforcer.errors import CommandError
from enforcer.rollout import Bounds, Rollout, State, Way
from enforcer.store import audit, versions
from enforcer.store.database import writing
from enforcer.store.tables import ROLLOUTS
from enforcer.store.versions import Draft, Version
from schemas.alert import Severity
from schemas.policies import Candidate, Tried

_FIX: Final = "a first version holds at once: apply it without --rollout and --at"


class _Body(msgspec.Struct):
    bounds: Bounds
    before: Sample | None = None
    tried: Tried | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A rollout, and what was measured when it last moved."""

    rollout: Rollout
    tried: Tried | None


def make(engine: sa.Engine, draft: Draft, way: Way, now_ms: int) -> Version:
    """A new version, which comes to all clients that way.

    Raises:
        CommandError: as `versions.make`; or nothing holds yet that it could be tried beside.
    """
    with writing(engine) as at:
        if way.emergency:
            _abort(at, draft, now_ms)
            made = versions.add(at, draft, versions.ENFORCED, now_ms, None, emergency=True)
            why = f": {draft.reason}" if draft.reason else ""
            said = f"version {made.version} of {made.name} was published in an emergency by {made.author}{why}"
            policy_notice.note(at, f"{_uid(made)}-emergency", Severity.HIGH, said, now_ms)
        elif not way.stages and way.at_ms is None:
            made = versions.add(at, draft, versions.ENFORCED, now_ms, None)
        else:
            return _begin(at, draft, way, now_ms)
        versions.enforce(at, made, now_ms)
        return made


def open_ones(engine: sa.Engine) -> list[Rollout]:
    """Those that go on, one a policy."""
    found = sa.select(ROLLOUTS).where(ROLLOUTS.c.state.in_([state for state in State if state.is_open]))
    with engine.connect() as at:
        return [_told(row).rollout for row in at.execute(found).mappings()]


def newest(engine: sa.Engine, name: str) -> Told | None:
    """The last one of a policy, over or not."""
    with engine.connect() as at:
        return _newest(at, versions.named(name))


def advance(
    engine: sa.Engine, name: str, change: Callable[[Rollout], Rollout], by: str, now_ms: int, tried: Tried | None
) -> Rollout:
    """Move the newest rollout of a policy as `change` says, and with it what holds.

    Raises:
        CommandError: there is none; or what `change` raises.
    """
    with writing(engine) as at:
        told = _newest(at, versions.named(name))
        if told is None:
            raise CommandError("not_found", "rollout", f"{name} has none", "`policy apply PATH --rollout` begins one")
        after = change(told.rollout)
        if after != told.rollout:
            _move(at, told, after, by, now_ms, tried or told.tried)
        return after


def _begin(at: sa.Connection, draft: Draft, way: Way, now_ms: int) -> Version:
    if versions.order_of(at, versions.named(draft.name)) is None:
        raise CommandError("bad_value", "rollout", f"{draft.name} has no version to try it beside", _FIX)
    if way.at_ms is not None and way.at_ms <= now_ms:
        raise CommandError("bad_value", "at", "is over", "write a time to come, as 2026-12-01T02:00Z")
    planned = {"rollout": of.written(way.stages)} | ({"at_ms": way.at_ms} if way.at_ms is not None else {})
    made = versions.add(at, draft, versions.SCHEDULED, now_ms, way.at_ms, **planned)
    begun = Rollout(
        draft.name, made.version, way.stages, way.bounds, State.SCHEDULED, 0, way.at_ms or now_ms, draft.reason
    )
    row = {"name": begun.name, "version": begun.version, "stages": of.written(begun.stages)}
    at.execute(sa.insert(ROLLOUTS).values(row | _moving(begun, None)))
    if way.at_ms is None:
        _move(at, Told(begun, None), of.promoted(begun, now_ms, "begun"), draft.author, now_ms, None)
    return made


def _abort(at: sa.Connection, draft: Draft, now_ms: int) -> None:
    told = _newest(at, versions.named(draft.name))
    if told is not None and told.rollout.state.is_open:
        after = of.aborted(told.rollout, now_ms, "another version was published in an emergency")
        _move(at, told, after, draft.author, now_ms, told.tried)


def _move(at: sa.Connection, told: Told, after: Rollout, by: str, now_ms: int, tried: Tried | None) -> None:
    before = told.rollout
    here = (ROLLOUTS.c.name == after.name) & (ROLLOUTS.c.version == after.version)
    at.execute(sa.update(ROLLOUTS).where(here).values(_moving(after, tried)))
    if (before.state, before.stage) == (after.state, after.stage):
        return
    made = versions.one(at, after.name, after.version)
    if after.state is State.PROMOTED:
        versions.enforce(at, made, now_ms)
    else:
        versions.becomes(at, made, versions.CANDIDATE if after.state.is_open else versions.WITHDRAWN)
        if before.share_ppm != after.share_ppm:
            _put_beside(at, after, made, now_ms)
    if after.state is State.ROLLED_BACK:
        summary = f"version {made.version} of {made.name} was rolled back: {after.why}"
        policy_notice.note(at, f"{_uid(made)}-rolled-back", Severity.MEDIUM, summary, now_ms)
    stage = {"stage": after.stages[after.stage].share} if after.share_ppm is not None else {}
    said = {"version": after.version, "why": after.why} | stage
    if tried is not None:
        said |= {"checks": tried.checks, "good": tried.good, "harmed": tried.harmed}
    audit.append(at, [audit.Entry(now_ms, by, f"policy.rollout.{after.state}", after.name, said)])


def _put_beside(at: sa.Connection, after: Rollout, made: Version, now_ms: int) -> None:
    held = versions.order_of(at, after.name)
    if held is not None:
        share_ppm = after.share_ppm
        candidate = None if share_ppm is None else Candidate(made.version, made.digest, share_ppm)
        versions.hold(at, after.name, held.version, held.digest, candidate, now_ms)


def _uid(made: Version) -> str:
    return f"policy-{made.name}-{made.version}-{made.digest[:8]}"


def _moving(rollout: Rollout, tried: Tried | None) -> dict[str, Any]:
    body = _Body(rollout.bounds, rollout.before, tried)
    return {
        "state": str(rollout.state), "stage": rollout.stage, "at_ms": rollout.at_ms, "paused_ms": rollout.paused_ms,
        "why": rollout.why, "body": msgspec.json.encode(body).decode(),
    }  # fmt: skip


def _newest(at: sa.Connection, name: str) -> Told | None:
    found = sa.select(ROLLOUTS).where(ROLLOUTS.c.name == name).order_by(ROLLOUTS.c.version.desc()).limit(1)
    row = at.execute(found).mappings().one_or_none()
    return _told(row) if row is not None else None


def _told(row: sa.RowMapping) -> Told:
    body = msgspec.json.decode(row["body"], type=_Body)
    found = Rollout(
        row["name"], row["version"], of.stages_of(row["stages"]), body.bounds, State(row["state"]), row["stage"],
        row["at_ms"], row["why"], row["paused_ms"], body.before,
    )  # fmt: skip
    return Told(found, body.tried)
