"""SQL databases as every program of ours uses them: SQLite with its locks taken in time, PostgreSQL as it is.

A transaction of an engine with `execution_options(writes=True)` takes SQLite's write lock when it begins; another only
reads. A text column is `Text`: what clients make up may hold characters that PostgreSQL has no room for.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

CONNECTIONS_MAX: Final = 50  # beyond those kept: as many as threads of a web server ask at once
_LOCK_WAIT_MS: Final = 30_000
_LOCK_PAUSE_S: Final = 0.01
FAILURES: Final = (ArgumentError, NoSuchModuleError, ModuleNotFoundError, DBAPIError, OSError, ValueError)
"""What `engine` and a first use of it raise where the database is not one we can use, or not there."""


class Text(sa.types.TypeDecorator[str]):
    """TEXT of any length. NUL and lone surrogates, which PostgreSQL refuses, are replaced, in questions as in rows."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - its interface
        """As it goes into the database."""
        if value is None:
            return None
        plain = value.replace("\x00", "\ufffd")
        return plain if plain.isascii() else plain.encode("utf-8", "replace").decode()


def engine(url: str) -> sa.Engine:
    """An engine for the database at `url`: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DB. Asks nothing.

    Raises:
        FAILURES: it is of another kind, or cannot be used here.
    """
    made = sa.engine.make_url(url)
    if made.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError("neither of the two we can use, sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DB")
    if made.get_backend_name() == "sqlite" and made.database:
        Path(made.database).parent.mkdir(parents=True, exist_ok=True)
    created = sa.create_engine(made, pool_pre_ping=True, max_overflow=CONNECTIONS_MAX)
    if created.dialect.name == "sqlite":
        sa.event.listen(created, "connect", _prepare)
        sa.event.listen(created, "begin", _begin)
    return created


def insert(at: sa.Connection, table: sa.Table) -> Any:
    """An INSERT in the words of this database, which may be told what to do ON CONFLICT."""
    return (sqlite.insert if at.dialect.name == "sqlite" else postgresql.insert)(table)


def lock(at: sa.Connection, number: int) -> None:
    """Be the only transaction with this lock until its end; on SQLite whoever writes has it already."""
    if at.dialect.name == "postgresql":
        at.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def shown(url: str) -> str:
    """The URL without its password; empty when it is no URL."""
    try:
        return sa.engine.make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return ""


def reason(error: Exception) -> str:
    """What the database said, without our statement."""
    return str(getattr(error, "orig", None) or error).strip()


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, not where the driver guesses
    for pragma in (f"busy_timeout={_LOCK_WAIT_MS}", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    until_s = time.monotonic() + _LOCK_WAIT_MS / 1000
    while True:  # of several that make it WAL at once SQLite tells all but one that it is locked, and has none wait
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until_s:
                raise
            time.sleep(_LOCK_PAUSE_S)
        else:
            return


def _begin(connection: sa.Connection) -> None:
    """Who is going to write takes the lock at once: none that only reads can become a writer too late."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
