"""Policies as people apply them: what was planned becomes a version, Redis is told, all limiters' words are awaited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from redis.exceptions import RedisError

from enforcer.errors import CommandError
from enforcer.policy_diff import Change
from enforcer.policy_plan import Examine, Plan, plan
from enforcer.policy_publisher import Convergence, PolicyPublisher
from enforcer.rollout import Rollout, Way, aborted, paused, promoted, resumed, waits_for, written
from enforcer.session import now_ms
from enforcer.store import rollouts, versions
from enforcer.store.versions import Draft
from schemas.policies import Order, Tried
from schemas.redis_client import connect, fix_of, shown
from schemas.settings import PREFIX, Settings

AT_ONCE: Final = Way()
_REDIS_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What holds now, how it came there (no changes: it held before), who runs it, and what is on its way."""

    name: str
    order: Order
    changes: tuple[Change, ...]
    nodes: Convergence
    rollout: Rollout | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"name": self.name, "version": self.order.version, "digest": self.order.digest}
        reached = asdict(self.nodes) | {"all_ms": self.nodes.all_ms}
        told |= {"at_ms": self.order.at_ms} | reached | {"changes": [asdict(each) for each in self.changes]}
        return told | {"rollout": rollout_as_dict(self.rollout) if self.rollout is not None else None}


@dataclass(frozen=True, slots=True)
class Course:
    """A policy's newest rollout: where it stands, what was seen of it, and what it waits for where it goes on."""

    rollout: Rollout
    tried: Tried | None
    waits_for: str
    holds: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        tried = msgspec.to_builtins(self.tried) if self.tried is not None else None
        return rollout_as_dict(self.rollout) | {"holds": self.holds, "waits_for": self.waits_for, "tried": tried}


def rollout_as_dict(rollout: Rollout) -> dict[str, Any]:
    """For JSON."""
    return {
        "name": rollout.name, "version": rollout.version, "state": rollout.state, "stages": written(rollout.stages),
        "stage": rollout.stage, "share_ppm": rollout.share_ppm, "at_ms": rollout.at_ms, "why": rollout.why,
        "bounds": asdict(rollout.bounds),
    }  # fmt: skip


def carry_out(
    engine: sa.Engine, publisher: PolicyPublisher, draft: Draft, made: Plan, wait_s: float, way: Way = AT_ONCE
) -> Applied:
    """Make the planned version, to come to all clients by `way`; one that is there already is only published again.

    Raises:
        CommandError: another version was made meanwhile, or is on its way.
    """
    if made.anew or (way.emergency and made.same != made.holds):
        rollouts.make(engine, draft, way, now_ms())
    order = _published(engine, publisher, made.name)
    told = rollouts.newest(engine, made.name)
    going_on = told.rollout if told is not None and told.rollout.state.is_open else None
    return Applied(made.name, order, made.changes, publisher.converged(made.name, order, wait_s), going_on)


def course(engine: sa.Engine, publisher: PolicyPublisher, name: str) -> Course:
    """The newest rollout of a policy. Raises `CommandError` where there is none."""
    told = rollouts.newest(engine, name)
    if told is None:
        raise CommandError("not_found", "rollout", f"{name} has none", "`policy apply PATH --rollout` begins one")
    order = ordered(engine, name)
    if told.rollout.share_ppm is None:
        return Course(told.rollout, told.tried, "", order.version)
    seen = publisher.seen(name, order)
    return Course(told.rollout, seen.tried, waits_for(told.rollout, seen), order.version)


STEPS: Final = {"pause": paused, "resume": resumed, "promote": promoted, "abort": aborted}


def steer(
    engine: sa.Engine, publisher: PolicyPublisher, name: str, what: str, by: str, reason: str, wait_s: float
) -> Course:
    """Somebody's word on the rollout that goes on: one of `STEPS`. Raises `CommandError`."""
    tried = course(engine, publisher, name).tried
    why = f"{by}: {what}" + (f", {versions.reasoned(reason)}" if reason else "")
    rollouts.advance(engine, name, lambda found: STEPS[what](found, now_ms(), why), by, now_ms(), tried)
    publisher.converged(name, _published(engine, publisher, name), wait_s)
    return course(engine, publisher, name)


def _published(engine: sa.Engine, publisher: PolicyPublisher, name: str) -> Order:
    order = ordered(engine, name)
    publisher.publish(name, order, partial(versions.files, engine, name))
    return order


def back(engine: sa.Engine, name: str, version: int | None, examine: Examine) -> tuple[Plan, int]:
    """The plan to go back to `version` (None: the one that held before), and which that is.

    Raises:
        CommandError: there is none.
    """
    held = [each.version for each in versions.history(engine, name) if each.state == versions.RETIRED]
    to = version if version is not None else max(held, default=None)
    if to is None:
        raise CommandError("not_found", "version", f"no version of {name} held before", "see `policy history`")
    return plan(engine, name, versions.files(engine, name, to), examine), to


def status(engine: sa.Engine, publisher: PolicyPublisher, name: str) -> Applied:
    """What holds, and who runs it. Raises `CommandError` where there is no version."""
    order = ordered(engine, name)
    told = rollouts.newest(engine, name)
    going_on = told.rollout if told is not None and told.rollout.state.is_open else None
    return Applied(name, order, (), publisher.convergence(name, order), going_on)


def ordered(engine: sa.Engine, name: str) -> Order:
    """Which version holds. Raises `CommandError` where there is none."""
    order = versions.order(engine, name)
    if order is None:
        fix = f"apply one; until then limiters run {PREFIX}POLICIES or the built-in policy"
        raise CommandError("not_found", "name", f"{name} has no version", fix)
    return order


@contextmanager
def publishing(settings: Settings) -> Iterator[PolicyPublisher]:
    """Redis, which answers: nothing is made where it does not. Its absence later on is a `CommandError`, too."""
    try:
        with connect(settings.redis, timeout_s=_REDIS_S) as client:
            client.ping()
            yield PolicyPublisher(client, settings.keys, now_ms)
    except RedisError as error:
        fix = f"{fix_of(error)}; what is in the store already an enforcer publishes then"
        raise CommandError("redis_unreachable", f"Redis at {shown(settings.redis)}", str(error), fix) from error
