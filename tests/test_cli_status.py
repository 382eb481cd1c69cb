"""`floodwarden status`, on a running enforcer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from enforcer_world import World
from typer.testing import CliRunner

from enforcer import command
from floodwarden.cli import app

pytestmark = pytest.mark.integration


@pytest.fixture
def world(
    broker: str, redis_url: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    made = World(broker, redis_url, topic_prefix)
    for name, value in made.environment.items():
        if name.startswith("FLOODWARDEN_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLOODWARDEN_DATA_DIR", str(tmp_path))
    with made.enforcer():
        yield made


def status(*words: str) -> str:
    told = CliRunner().invoke(app, ["status", *words], catch_exceptions=False)
    assert told.exit_code == 0
    return told.stdout


def test_who_was_just_woken_up_sees_what_is_in_force_and_that_automation_is_stopped(world: World) -> None:
    assert "automation  acts\n" in status()
    command.deny_add(world.settings, "ip", "203.0.113.9", 60, "seen in the logs", "ann")
    command.brownout_set(world.settings, 2, 60, "database is slow", "ann")
    command.stop(world.settings, 600, "customers call", "ann")
    found = json.loads(status("--json"))
    assert found["in_force"] == {"auto": {}, "people": {"deny": 1}}
    assert (found["brownout_level"], found["pending"], found["allowed"]) == (2, 0, 0)
    told = status()
    assert "automation  STOPPED for 10 m by cli:ann: customers call" in told
    assert "brownout    level 2, " in told
    assert "incidents   not known: store at sqlite:///" in told, "here the enforcer has another data directory"
