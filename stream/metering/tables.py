"""The tables of usage, and the one way to add to them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from schemas import sql
from stream.metering.minutes import MEASURES

_META: Final = sa.MetaData()
_MAKING: Final = 0x666C6F6F64  # a lock of the database that nobody else asks for
KEY: Final = ("kind", "start_s", "other", "entity")


def _usage(name: str) -> sa.Table:
    """`other` is true for the one row a kind and time that stands for all that were too light to be kept."""
    return sa.Table(
        name,
        _META,
        sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),  # schemas.usage.Kind
        sa.Column("start_s", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("other", sa.Boolean, primary_key=True),
        sa.Column("entity", sa.Text, primary_key=True),
        *(sa.Column(measure, sa.BigInteger, nullable=False) for measure in MEASURES),
        sqlite_with_rowid=False,
    )


MINUTES: Final = _usage("usage_minutes")
HOURS: Final = _usage("usage_hours")
PROGRESS: Final = sa.Table(
    "usage_progress",
    _META,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("turn", sa.BigInteger, nullable=False),  # goes up with each write: who does not know it was overtaken
    sa.Column("state", sa.LargeBinary, nullable=False),  # minutes.Progress as JSON
)
HOLES: Final = sa.Table(
    "usage_holes",
    _META,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("from_s", sa.BigInteger, nullable=False),
    sa.Column("until_s", sa.BigInteger, nullable=False),
)
UPKEEP: Final = sa.Table(
    "usage_upkeep",
    _META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("done_s", sa.BigInteger, nullable=False),
)


def make(at: sa.Connection) -> None:
    """The tables that are missing; of several meters that start together one makes them, and the others wait for it."""
    sql.lock(at, _MAKING)
    _META.create_all(at)


def adding(statement: Any, table: sa.Table) -> Any:
    """The INSERT, adding its measures to those of a row that is there."""
    sums = {name: table.c[name] + statement.excluded[name] for name in MEASURES}
    return statement.on_conflict_do_update(index_elements=list(KEY), set_=sums)


def place(table: sa.Table, kind: int, start_s: int) -> sa.ColumnElement[bool]:
    """Rows of one kind and time that have a name."""
    return sa.and_(table.c.kind == kind, table.c.start_s == start_s, table.c.other.is_(False))
