"""What happened to a policy that people must hear of, as an incident: an emergency, a version rolled back by itself.

It is noted in the transaction that does it, open; whoever knows the destinations hands it to them, and it is over.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from enforcer.notify.outbox import Outbox
from enforcer.store.database import writing
from enforcer.store.tables import INCIDENTS
from schemas.alert import Severity

KIND: Final = "policy"
_OPEN: Final = (INCIDENTS.c.topic == KIND) & (INCIDENTS.c.status == "open")


def note(at: sa.Connection, uid: str, severity: Severity, summary: str, now_ms: int) -> None:
    """Note in the caller's transaction what is to be told, once for each `uid`."""
    row = {
        "uid": uid, "topic": KIND, "kind": KIND, "route": None, "tenant": None, "status": "open",
        "severity": str(severity), "first_ms": now_ms, "last_ms": now_ms, "alerts": 0, "summary": summary,
    }  # fmt: skip
    at.execute(sa.insert(INCIDENTS).values(row))


def hand_over(engine: sa.Engine, outbox: Outbox | None) -> None:
    """Have destinations told of what was noted; where there are none it stands among the incidents."""
    with engine.connect() as at:
        if at.execute(sa.select(INCIDENTS.c.uid).where(_OPEN).limit(1)).one_or_none() is None:
            return
    with writing(engine) as at:
        rows = [dict(row) | {"status": "closed"} for row in at.execute(sa.select(INCIDENTS).where(_OPEN)).mappings()]
        at.execute(sa.update(INCIDENTS).where(_OPEN).values(status="closed"))
        if outbox is not None:
            outbox.changed(at, rows, [])
