"""When each limiter had an action, in its own record: measured by whichever enforcer put it in force."""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa

from enforcer.acknowledgements import Enforcement
from enforcer.store.database import writing
from enforcer.store.reading import Thing
from enforcer.store.tables import ENFORCEMENTS
from schemas import sql


def put(engine: sa.Engine, measured: Sequence[Enforcement]) -> None:
    """Keep what was measured; of two measurements of one action that which misses fewer limiters, else the first."""
    rows = {
        each.action: {"action": each.action, "at_ms": each.created_ms, "missing": len(each.missing),
                      "body": json.dumps(each.as_dict())}
        for each in measured
    }  # fmt: skip
    with writing(engine) as at:
        statement = sql.insert(at, ENFORCEMENTS)
        better = ENFORCEMENTS.c.missing > statement.excluded.missing
        values = {name: statement.excluded[name] for name in ("at_ms", "missing", "body")}
        at.execute(
            statement.on_conflict_do_update(index_elements=["action"], set_=values, where=better), list(rows.values())
        )


def of(engine: sa.Engine, action: str) -> Thing | None:
    """An action's way to the limiters; None where it was not measured (yet, or by anybody)."""
    question = sa.select(ENFORCEMENTS.c.body).where(ENFORCEMENTS.c.action == action)
    with engine.connect() as at:
        body = at.execute(question).scalar_one_or_none()
    return None if body is None else json.loads(body)
