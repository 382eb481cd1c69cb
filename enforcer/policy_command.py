"""Policies as people apply them: what was planned becomes a version, Redis is told, all limiters' words are awaited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa
from redis.exceptions import RedisError

from enforcer.errors import CommandError
from enforcer.policy_diff import Change
from enforcer.policy_plan import Examine, Plan, plan
from enforcer.policy_publisher import Convergence, PolicyPublisher
from enforcer.session import now_ms
from enforcer.store import versions
from schemas.policies import Order
from schemas.redis_client import connect, shown
from schemas.settings import PREFIX, Settings

_REDIS_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What holds now, how it came there (no changes: it held before), and who runs it."""

    name: str
    order: Order
    changes: tuple[Change, ...]
    nodes: Convergence

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"name": self.name, "version": self.order.version, "digest": self.order.digest}
        reached = asdict(self.nodes) | {"all_ms": self.nodes.all_ms}
        return told | {"at_ms": self.order.at_ms} | reached | {"changes": [asdict(each) for each in self.changes]}


def carry_out(
    engine: sa.Engine, publisher: PolicyPublisher, made: Plan, author: str, reason: str, wait_s: float
) -> Applied:
    """Make the planned version and have it published; one that is the newest already is only published again.

    Raises:
        CommandError: no limiter would take it, or another version was made meanwhile.
    """
    order = versions.make(engine, made.draft(author, reason), now_ms())[1] if made.anew else ordered(engine, made.name)
    publisher.publish(made.name, order, lambda: versions.files(engine, made.name, order.version))
    return Applied(made.name, order, made.changes, publisher.converged(made.name, order, wait_s))


def back(engine: sa.Engine, name: str, version: int | None, examine: Examine) -> tuple[Plan, int]:
    """The plan to go back to `version` (None: the one before the newest), and which that is.

    Raises:
        CommandError: there is none.
    """
    newest = versions.newest(engine, name)
    to = version if version is not None else (newest.version - 1 if newest is not None else 0)
    return plan(engine, name, versions.files(engine, name, to), examine), to


def status(engine: sa.Engine, publisher: PolicyPublisher, name: str) -> Applied:
    """What holds, and who runs it. Raises `CommandError` where there is no version."""
    order = ordered(engine, name)
    return Applied(name, order, (), publisher.convergence(name, order))


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
        fix = f"start it, or set {PREFIX}REDIS; what is in the store already an enforcer publishes then"
        raise CommandError("redis_unreachable", f"Redis at {shown(settings.redis)}", str(error), fix) from error
