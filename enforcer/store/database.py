"""The store's database: found, brought up to date, told what to forget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError as MigrationError

from enforcer.store.tables import ACTIONS, ALERTS, ANSWERS, ENFORCEMENTS, EVENTS, INCIDENTS, NOTICES, WRITING
from schemas import sql
from schemas.errors import SettingsError
from schemas.settings import PREFIX, Settings

VERSION_TABLE: Final = "store_version"
ANSWERS_MS: Final = 86_400_000
_MIGRATING: Final = 0x666C6F6F66
_DAY_MS: Final = 86_400_000


def url(settings: Settings) -> str:
    """Where the store is: as set, else a file in the data directory."""
    return settings.store.get_secret_value() or f"sqlite:///{Path(settings.data_dir) / 'enforcer.db'}"


def open_engine(settings: Settings) -> sa.Engine:
    """An engine for the store, which nobody has asked anything yet.

    Raises:
        SettingsError: the setting names no database that we can use.
    """
    try:
        return sql.engine(url(settings))
    except sql.FAILURES as error:
        raise SettingsError(f"{shown(settings)}: {sql.reason(error)}; set {PREFIX}STORE") from error


def is_missing(engine: sa.Engine) -> bool:
    """Whether the store is a file that is not there yet."""
    file = engine.url.database or ""
    return engine.dialect.name == "sqlite" and file not in {"", ":memory:"} and not Path(file).exists()


def shown(settings: Settings) -> str:
    """Where the store is, without its password."""
    return sql.shown(url(settings)) or f"{PREFIX}STORE"


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction of the only one who writes now: what it numbers comes after all that was numbered before."""
    with engine.execution_options(writes=True).begin() as at:
        sql.lock(at, WRITING)
        yield at


def upgrade(engine: sa.Engine) -> tuple[str | None, str]:
    """Make the tables, or bring them up to date, in one transaction: the versions before and after.

    Of several that start together one does it and the others wait.

    Raises:
        SettingsError: the tables are of a newer program.
        sqlalchemy.exc.DBAPIError: the database does not answer, or refuses.
    """
    with engine.execution_options(writes=True).begin() as at:
        sql.lock(at, _MIGRATING)
        before = _version(at)
        config = _config()
        config.attributes["connection"] = at
        head = str(ScriptDirectory.from_config(config).get_current_head())
        if before != head:
            try:
                command.upgrade(config, "head")
            except MigrationError as error:
                fix = "the store was made by a newer program; use that one"
                raise SettingsError(f"{PREFIX}STORE: {error} ({fix})") from error
    return before, head


def version(engine: sa.Engine) -> tuple[str | None, str]:
    """The version of the tables there are (None: none), and the one this program makes."""
    with engine.connect() as at:
        return _version(at), str(ScriptDirectory.from_config(_config()).get_current_head())


def forget(engine: sa.Engine, now_ms: int, days: int) -> int:
    """Delete what ended longer ago than `days`, and answers kept for repeated writes; how many rows."""
    old = now_ms - days * _DAY_MS
    ended = ACTIONS.c.status != "active"
    gone = (
        sa.delete(EVENTS).where(EVENTS.c.at_ms < old),
        sa.delete(ENFORCEMENTS).where(ENFORCEMENTS.c.at_ms < old),
        sa.delete(NOTICES).where(NOTICES.c.told_ms < old, sa.func.coalesce(NOTICES.c.due_ms, 0) < old),
        sa.delete(ALERTS).where(ALERTS.c.last_ms < old),
        sa.delete(INCIDENTS).where(INCIDENTS.c.last_ms < old),
        sa.delete(ACTIONS).where(ended & (sa.func.coalesce(ACTIONS.c.ended_ms, ACTIONS.c.expires_ms) < old)),
        sa.delete(ANSWERS).where(ANSWERS.c.at_ms < now_ms - ANSWERS_MS),
    )
    with writing(engine) as at:
        return sum(at.execute(statement).rowcount for statement in gone)


def _version(at: sa.Connection) -> str | None:
    return MigrationContext.configure(at, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
