"""The thread that has Redis show what the store says: after it was emptied or away, or who applied a policy fell over.

Every enforcer has one, and it moves rollouts, too. Publishing twice does nothing, and a rollout is moved once, by
whoever is first: they need no leader among them.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from enforcer import policy_notice
from enforcer.notify.outbox import Outbox
from enforcer.policy_publisher import PolicyPublisher
from enforcer.policy_roller import Roller
from enforcer.store import versions
from schemas import sql
from schemas.errors import BadMessageError

EVERY_S: Final = 1.0
log = structlog.get_logger("enforcer.policies")


class PolicyKeeper:
    """Compares and publishes, once a second, until stopped."""

    def __init__(
        self, engine: sa.Engine, publisher: PolicyPublisher, every_s: float = EVERY_S, outbox: Outbox | None = None
    ) -> None:
        """`outbox` is where destinations are told of what happened; None: nobody is."""
        self._engine = engine
        self._publisher = publisher
        self._every_s = every_s
        self._outbox = outbox
        self._roller = Roller(engine, publisher)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped.set()

    def run(self) -> None:
        """Keep Redis as the store says."""
        away = False
        while not self._stopped.wait(self._every_s):
            try:
                self.step()
                away = False
            except (DBAPIError, RedisError, BadMessageError) as error:
                if not away:
                    why = sql.reason(error) if isinstance(error, DBAPIError) else str(error)
                    log.warning("policies_not_kept", error=why)
                away = True
            except Exception:  # the outermost line of the thread: a mistake of ours must not end it for good
                log.exception("policies_not_kept")

    def step(self) -> None:
        """Move rollouts, publish what Redis lacks, and have people told of what they must hear.

        Raises:
            DBAPIError: the store does not answer, or has no tables yet.
            RedisError: Redis does not answer.
        """
        self._roller.step()
        for name, order in versions.orders(self._engine).items():
            if self._publisher.holds(name, order):
                continue
            what = self._publisher.publish(name, order, partial(versions.files, self._engine, name))
            log.info("policy_published", policy=name, version=order.version, what=what)
        policy_notice.hand_over(self._engine, self._outbox)
