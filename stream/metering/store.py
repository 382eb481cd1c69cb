"""Usage in SQL: minutes, the hours they become, and how far each usage partition has been stored.

SQLite by default, PostgreSQL where several meters or readers share it. What a decision counts stands in exactly one of
the two tables, minutes or hours, so that a sum over both is always whole, and it moves within one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl
import sqlalchemy as sa

from schemas import sql
from stream.metering import tables
from stream.metering.errors import StoreError, TakenOverError
from stream.metering.minutes import MEASURES, ORDERS, Batch, Progress
from stream.metering.tables import HOLES, HOURS, KEY, MINUTES, PROGRESS, UPKEEP

HOUR_S: Final = 3600
_ROWS_A_TIME: Final = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A partition's progress and the turn that its next write must know."""

    turn: int
    progress: Progress | None


def connect(url: str) -> sa.Engine:
    """The database at `url`, its tables made where they are missing.

    Raises:
        StoreError: there is none, or none that can do what we need.
    """
    try:
        engine = sql.engine(url)
        with engine.execution_options(writes=True).begin() as at:
            tables.make(at)
    except sql.FAILURES as error:
        raise StoreError(f"{_shown(url)}: {sql.reason(error)}; set FLOODWARDEN_USAGE_STORE") from error
    return engine


class Store:
    """What a meter writes; several meters may have one each on the same database."""

    def __init__(self, engine: sa.Engine, *, heaviest: int, usage_partitions: int) -> None:
        self._heaviest, self._rows_max = heaviest, heaviest * usage_partitions
        self._engine = engine.execution_options(writes=True)

    def load(self, partition: int) -> Kept:
        """Where a partition stands."""
        with self._engine.begin() as at:
            row = at.execute(sa.select(PROGRESS).where(PROGRESS.c.partition == partition)).one_or_none()
        return Kept(row.turn, msgspec.json.decode(row.state, type=Progress)) if row else Kept(0, None)

    def write(self, partition: int, turn: int, batch: Batch) -> int:
        """Store a batch whole, or nothing of it; the next turn.

        Raises:
            TakenOverError: another meter has written this partition since `turn`.
        """
        with self._engine.begin() as at:
            _advance(at, partition, turn, msgspec.json.encode(batch.progress))
            _add(at, batch.closed)
            for (start_s, kind), late in batch.late.group_by("start_s", "kind"):
                _add(at, self._fitting(at, int(str(kind)), int(str(start_s)), late))
            for hole in batch.holes:
                row = {name: getattr(hole, name) for name in ("source", "start", "end", "from_s", "until_s")}
                at.execute(sql.insert(at, HOLES).values(partition=partition, **row).on_conflict_do_nothing())
        return turn + 1

    def upkeep(self, now_s: int, *, minutes_s: int, hours_s: int, every_s: int) -> bool:
        """Make hours of minutes older than `minutes_s`, delete hours older than `hours_s`; False when not yet due."""
        with self._turn(now_s, every_s) as at:
            if at is None:
                return False
            cut_s, gone_s = ((now_s - age_s) // HOUR_S * HOUR_S for age_s in (minutes_s, hours_s))
            old = MINUTES.c.start_s < cut_s
            hour = (MINUTES.c.start_s - MINUTES.c.start_s % HOUR_S).label("start_s")
            keys = (MINUTES.c.kind, hour, MINUTES.c.other, MINUTES.c.entity)
            sums = sa.select(*keys, *(_sum(MINUTES, name) for name in MEASURES)).where(old).group_by(*keys)
            touched = at.execute(sa.select(MINUTES.c.kind, hour).where(old).distinct()).all()
            at.execute(tables.adding(sql.insert(at, HOURS).from_select([*KEY, *MEASURES], sums), HOURS))
            at.execute(sa.delete(MINUTES).where(old))
            for kind, start_s in touched:
                self._prune(at, kind, start_s)
            at.execute(sa.delete(HOURS).where(HOURS.c.start_s < gone_s))
            at.execute(sa.delete(HOLES).where(HOLES.c.until_s < gone_s))
        return True

    @contextmanager
    def _turn(self, now_s: int, every_s: int) -> Iterator[sa.Connection | None]:
        """A transaction for whoever is the first to find that upkeep is due; it sees one state of the database."""
        engine = self._engine
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.begin() as at:
            at.execute(sql.insert(at, UPKEEP).values(id=1, done_s=0).on_conflict_do_nothing())
            due = sa.update(UPKEEP).where(UPKEEP.c.done_s <= now_s - every_s).values(done_s=now_s)
            yield at if at.execute(due).rowcount else None

    def _fitting(self, at: sa.Connection, kind: int, start_s: int, late: pl.DataFrame) -> pl.DataFrame:
        """Late rows of a minute: all while there is room, else those who stand in it already, then the heaviest."""
        here = tables.place(MINUTES, kind, start_s)
        count = at.execute(sa.select(sa.func.count()).select_from(MINUTES).where(here)).scalar_one()
        if count + late.height <= self._rows_max:
            return late
        standing = pl.Series(at.execute(sa.select(MINUTES.c.entity).where(here)).scalars().all(), dtype=pl.String)
        ranked = late.with_columns(stands=pl.col("entity").is_in(standing.implode()) & (pl.col("hash") != 0))
        ranked = ranked.sort(["stands", "n", "entity"], descending=[True, True, False])
        stay = int(ranked["stands"].sum()) + max(0, self._rows_max - count)
        light = ranked[stay:].with_columns(hash=pl.lit(0, pl.UInt64), entity=pl.lit(""))
        return pl.concat([ranked[:stay], light]).drop("stands")

    def _prune(self, at: sa.Connection, kind: int, start_s: int) -> None:
        """Of an hour the heaviest by each order, as `minutes.kept` has it for a minute."""
        here = tables.place(HOURS, kind, start_s)
        if at.execute(sa.select(sa.func.count()).select_from(HOURS).where(here)).scalar_one() <= self._rows_max:
            return
        numbers = [
            sa.func.row_number().over(order_by=(HOURS.c[order].desc(), HOURS.c.entity)).label(f"by_{order}")
            for order in ORDERS
        ]
        ranked = sa.select(HOURS, *numbers).where(here).subquery()
        heavy = [(ranked.c[f"by_{order}"] <= self._rows_max) & (ranked.c[order] > 0) for order in ORDERS]
        light = here & HOURS.c.entity.not_in(sa.select(ranked.c.entity).where(sa.or_(*heavy)))
        gone = at.execute(sa.select(*(_sum(HOURS, name) for name in MEASURES)).where(light)).one()
        row = {"kind": kind, "start_s": start_s, "other": True, "entity": "", **gone._asdict()}
        at.execute(sa.delete(HOURS).where(light))
        if gone.n is not None:
            at.execute(tables.adding(sql.insert(at, HOURS).values(**row), HOURS))


def _advance(at: sa.Connection, partition: int, turn: int, state: bytes) -> None:
    if not turn:
        first = sql.insert(at, PROGRESS).values(partition=partition, turn=0, state=state)
        at.execute(first.on_conflict_do_nothing())
    mine = (PROGRESS.c.partition == partition) & (PROGRESS.c.turn == turn)
    done = at.execute(sa.update(PROGRESS).where(mine).values(turn=turn + 1, state=state))
    if done.rowcount != 1:
        raise TakenOverError(partition)


def _add(at: sa.Connection, frame: pl.DataFrame) -> None:
    statement = tables.adding(sql.insert(at, MINUTES), MINUTES)
    ordered = frame.select(pl.col("hash").eq(0).alias("other"), *(n for n in (*KEY, *MEASURES) if n != "other"))
    for part in ordered.sort("kind", "start_s", "other", "entity").iter_slices(_ROWS_A_TIME):
        at.execute(statement, part.to_dicts())


def _sum(table: sa.Table, name: str) -> sa.Label[Any]:
    return sa.cast(sa.func.sum(table.c[name]), sa.BigInteger).label(name)  # PostgreSQL sums BIGINT to NUMERIC


def _shown(url: str) -> str:
    return sql.shown(url) or "FLOODWARDEN_USAGE_STORE"
