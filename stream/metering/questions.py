"""What people ask of usage: who used the most, and what one of them used over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from schemas.usage import Kind
from stream.kinds import entity as counted_as
from stream.metering.minutes import MEASURES, MINUTE_S, Hole
from stream.metering.store import HOUR_S
from stream.metering.tables import HOLES, HOURS, MINUTES

STEPS_MAX: Final = 3000
ROWS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """A time that was asked for, widened to whole minutes, or to whole hours where only those are kept."""

    from_s: int
    until_s: int
    coarse: bool


class Questions:
    """Reads what meters have stored; any number may read at once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def top(self, kind: Kind, order: str, from_s: int, until_s: int, limit: int) -> dict[str, Any]:
        """The `limit` entities of a kind with the most of `order` (one of `MEASURES`), all there were, and the rest."""
        with self._engine.connect() as at:
            span = _span(at, kind, from_s, until_s)
            rows = sa.union_all(*(_rows(table, kind, span) for table in (MINUTES, HOURS))).subquery()
            sums = [_summed(rows.c[name]).label(name) for name in MEASURES]
            named = sa.select(rows.c.entity, *sums).where(rows.c.other.is_(False)).group_by(rows.c.entity)
            top = at.execute(named.order_by(sa.desc(order), rows.c.entity).limit(limit)).all()
            both = {row.other: row for row in at.execute(sa.select(rows.c.other, *sums).group_by(rows.c.other))}
            holes = _holes(at, span)
        parts = [{name: int(getattr(row, name)) for name in MEASURES} for row in both.values()]
        return {
            "by": kind.name.lower(),
            "order": order,
            "from_s": span.from_s,
            "until_s": span.until_s,
            "top": [{"entity": row.entity, **{name: int(getattr(row, name)) for name in MEASURES}} for row in top],
            "total": {name: sum(part[name] for part in parts) for name in MEASURES},
            "other": {name: int(getattr(both[True], name)) if True in both else 0 for name in MEASURES},
            "holes": [asdict(hole) for hole in holes],
        }

    def timeline(self, kind: Kind, entity: str, from_s: int, until_s: int) -> dict[str, Any]:
        """What one entity used, by minutes, or by hours where the time is long or only those are kept; zeros too."""
        name = counted_as(kind, entity)
        with self._engine.connect() as at:
            span = _span(at, kind, from_s, until_s)
            step_s = HOUR_S if span.coarse or span.until_s - span.from_s > 2 * HOUR_S else MINUTE_S
            steps = dict.fromkeys(range(span.from_s // step_s * step_s, span.until_s, step_s), (0,) * len(MEASURES))
            for table, width_s in ((MINUTES, MINUTE_S), (HOURS, HOUR_S)):
                starts = list(range(span.from_s // width_s * width_s, span.until_s, width_s))
                found = sa.select(table).where(
                    table.c.kind == int(kind),
                    table.c.start_s.in_(starts),
                    table.c.other.is_(False),
                    table.c.entity == name,
                )
                for row in at.execute(found):
                    step = row.start_s // step_s * step_s
                    steps[step] = tuple(a + getattr(row, m) for a, m in zip(steps[step], MEASURES, strict=True))
            holes = _holes(at, span)
        rows = [{"start_s": start_s, **dict(zip(MEASURES, sums, strict=True))} for start_s, sums in steps.items()]
        return {
            "kind": kind.name.lower(),
            "entity": name,
            "from_s": span.from_s,
            "until_s": span.until_s,
            "step_s": step_s,
            "steps": rows,
            "total": {name: sum(int(row[name]) for row in rows) for name in MEASURES},
            "holes": [asdict(hole) for hole in holes],
        }


def _span(at: sa.Connection, kind: Kind, from_s: int, until_s: int) -> Span:
    newest = at.execute(sa.select(sa.func.max(HOURS.c.start_s)).where(HOURS.c.kind == int(kind))).scalar()
    coarse_until_s = newest + HOUR_S if newest is not None else 0
    begin = HOUR_S if from_s < coarse_until_s else MINUTE_S
    end = HOUR_S if until_s < coarse_until_s else MINUTE_S
    return Span(from_s // begin * begin, -(-until_s // end) * end, from_s < coarse_until_s)


def _rows(table: sa.Table, kind: Kind, span: Span) -> sa.Select[Any]:
    columns = (table.c.other, table.c.entity, *(table.c[name] for name in MEASURES))
    inside = (table.c.start_s >= span.from_s, table.c.start_s < span.until_s)
    return sa.select(*columns).where(table.c.kind == int(kind), *inside)


def _summed(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(column), sa.BigInteger)


def _holes(at: sa.Connection, span: Span) -> list[Hole]:
    """Messages nobody counted; each usage partition has seen the hole, it is told once."""
    query = sa.select(HOLES).where(HOLES.c.from_s < span.until_s, HOLES.c.until_s > span.from_s)
    rows = at.execute(query.order_by(HOLES.c.from_s, HOLES.c.source)).all()
    found = {(row.source, row.start): Hole(row.source, row.start, row.end, row.from_s, row.until_s) for row in rows}
    return list(found.values())
