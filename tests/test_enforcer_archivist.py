"""The store beside a running enforcer, through kills and a database that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from enforcer_world import World, alert, eventually
from pydantic import SecretStr
from servers import Postgres, own_postgres, why_no_own_postgres

from enforcer.archivist import Archivist, run_to_the_end
from enforcer.errors import CommandError
from enforcer.store import audit, labels, reading
from enforcer.store import database as store
from enforcer.store.tables import EVENTS, OFFSETS
from floodwarden import cli_labels
from schemas import sql, topics

pytestmark = pytest.mark.integration


@pytest.fixture
def database() -> Iterator[Postgres]:
    if reason := why_no_own_postgres():
        pytest.skip(reason)
    with own_postgres() as server:
        yield server


def stored(engine: sa.Engine) -> list[str]:
    """Whom the stored actions are aimed at, in the order they were heard; nothing while the database is away."""
    with suppress(sa.exc.DBAPIError):
        return [row["body"] for row in reading.events(engine, 0, 100, "action", None)]
    return []


def test_while_sql_is_away_enforcement_goes_on_and_the_store_catches_up(
    embedded_address: str, redis_url: str, topic_prefix: str, database: Postgres
) -> None:
    world = World(embedded_address, redis_url, topic_prefix, store=SecretStr(database.url))
    engine = sql.engine(database.url)
    with world.enforcer(program="enforcer.app") as first:
        world.send(alert("203.0.113.1"))
        eventually(lambda: len(stored(engine)) == 1)
        database.stop()
        world.send(alert("203.0.113.2"), b"no alert")
        world.wait_for("203.0.113.2")
        first.kill()
        first.wait(10)
    with world.enforcer(program="enforcer.app"):
        world.send(alert("203.0.113.3"))
        world.wait_for("203.0.113.3")
        database.start()
        eventually(lambda: len(stored(engine)) == 3)
        eventually(lambda: len(reading.listed(engine, reading.ALERT, reading.Wanted(), 9).items) == 3)
        engine.dispose()
    with engine.connect() as at:
        words = at.execute(sa.select(EVENTS.c.kind, EVENTS.c.uid)).all()
        assert len(words) == len(set(words)) == 6
        offsets = {(row.topic, row.partition): row.next for row in at.execute(sa.select(OFFSETS))}
    assert sum(end for (topic, _), end in offsets.items() if topic == world.settings.topic(topics.ALERTS)) == 4
    assert audit.verify(engine).entries == 3
    engine.dispose()


@contextmanager
def archiving(archivist: Archivist) -> Iterator[None]:
    thread = threading.Thread(target=run_to_the_end, args=(archivist,))
    thread.start()
    try:
        yield
    finally:
        archivist.stop()
        thread.join(10)


def test_a_topic_that_is_another_than_the_one_stored_is_read_from_its_beginning(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    world = World(embedded_address, redis_url, topic_prefix)
    engine = sql.engine(f"sqlite:///{tmp_path}/store.db")
    store.upgrade(engine)
    with engine.begin() as at:
        rows = [{"topic": world.settings.topic(topics.ALERTS), "partition": p, "next": 1_000} for p in range(2)]
        at.execute(sa.insert(OFFSETS), rows)
    world.send(alert("203.0.113.1"))
    heard = threading.Event()
    with archiving(Archivist(world.settings, engine, heard.set)):
        assert heard.wait(20)
    assert len(reading.listed(engine, reading.ALERT, reading.Wanted(), 9).items) == 1
    engine.dispose()


def test_a_writer_that_fell_over_by_our_own_mistake_goes_on_where_it_stood(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    world, fell = World(embedded_address, redis_url, topic_prefix), threading.Event()
    engine = sql.engine(f"sqlite:///{tmp_path}/store.db")

    def heard() -> None:
        if not fell.is_set():
            fell.set()
            raise RuntimeError("a mistake")

    with archiving(Archivist(world.settings, engine, heard)):
        world.send(alert("203.0.113.1"))
        assert fell.wait(20)
        world.send(alert("203.0.113.2"))
        eventually(lambda: len(reading.listed(engine, reading.ALERT, reading.Wanted(), 9).items) == 2)
    assert reading.last_event(engine) == 2
    engine.dispose()


def test_who_lifts_what_was_wrong_says_so_in_the_same_breath(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("FLOODWARDEN_STORE", url)
    world = World(embedded_address, redis_url, topic_prefix, store=SecretStr(url))
    with world.enforcer(program="enforcer.app"):
        world.send(alert())
        world.wait_for("203.0.113.7")
        engine = sql.engine(url)
        eventually(lambda: len(stored(engine)) == 1)
        (action,) = world.actions()
        lifted = cli_labels.wrong(world.settings, action.uid[:10], "our own scanner", "ann")
        assert [(a.uid, a.status) for a in lifted.actions] == [(action.uid, "lifted")]
        (said,) = reading.listed(engine, reading.LABEL, reading.Wanted(), 10).items
        assert (said["subject"], said["label"]) == (f"action:{action.uid}", "false_positive")
        eventually(lambda: [one.true for one in labels.judged(engine)] == [False])
        with pytest.raises(CommandError, match="none begins"):
            cli_labels.wrong(world.settings, "nothing", "", "ann")
        with pytest.raises(CommandError, match=f"is over.*labels add action:{action.uid} false_positive"):
            cli_labels.wrong(world.settings, action.uid, "", "ann")
