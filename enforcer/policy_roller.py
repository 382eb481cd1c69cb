"""Moves rollouts on, or back, by what limiters saw: reads, judges, writes; what holds then is published as all else."""

from __future__ import annotations

from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog

from enforcer.names import AUTO
from enforcer.policy_publisher import PolicyPublisher
from enforcer.rollout import Rollout, Seen, State, step
from enforcer.session import now_ms
from enforcer.store import rollouts, versions
from schemas.policies import Tried

NOTHING: Final = Seen(Tried(0, 0, 0, 0, 0, 0, 0, 0, 0, {}))
log = structlog.get_logger("enforcer.policies")


class Roller:
    """One enforcer's hand in rollouts. Two that judge at once move one once: the second finds it moved."""

    def __init__(self, engine: sa.Engine, publisher: PolicyPublisher) -> None:
        self._engine = engine
        self._publisher = publisher

    def step(self) -> None:
        """Judge each rollout that goes on. Raises as `PolicyKeeper.step`."""
        for rollout in rollouts.open_ones(self._engine):
            at_ms, seen = now_ms(), self.seen(rollout)
            if step(rollout, seen, at_ms) == rollout:
                continue
            change = partial(_judged, rollout, seen, at_ms)
            moved = rollouts.advance(self._engine, rollout.name, change, AUTO, at_ms, seen.tried)
            if (moved.state, moved.stage) != (rollout.state, rollout.stage):
                told = log.warning if moved.state is State.ROLLED_BACK else log.info
                told("policy_rollout", policy=moved.name, version=moved.version, state=moved.state, why=moved.why)

    def seen(self, rollout: Rollout) -> Seen:
        """What is known of its candidate; nothing while it is not on trial."""
        order = versions.order(self._engine, rollout.name)
        if order is None or order.candidate is None or rollout.state is State.SCHEDULED:
            return NOTHING
        return self._publisher.seen(rollout.name, order)


def _judged(was: Rollout, seen: Seen, at_ms: int, found: Rollout) -> Rollout:
    """The next step of the rollout that was judged; whoever moved it meanwhile judged it later."""
    return step(found, seen, at_ms) if found == was else found
