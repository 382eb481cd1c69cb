"""docs/api.md as it stands there: each command is run, and answers what is said."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import ApiWorld
from enforcer_world import alert, eventually
from servers import ROOT
from typer.testing import CliRunner

from enforcer.api.app import create_app
from floodwarden.cli import app

pytestmark = pytest.mark.integration
TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)


def examples() -> Iterator[tuple[str, str]]:
    """Each command and what it is said to print."""
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            match = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL)
            assert match, part
            yield match[1], match[2].strip()


def as_said(said: Any, answered: Any) -> bool:
    """Whether the answer has all that is said; `...` stands for anything, and for more."""
    if said == "...":
        return True
    if isinstance(said, dict):
        return isinstance(answered, dict) and all(k in answered and as_said(v, answered[k]) for k, v in said.items())
    if isinstance(said, list):
        return len(said) <= len(answered) and all(as_said(s, a) for s, a in zip(said, answered, strict=False))
    return bool(said == answered)


def compare(said: str, answered: str) -> None:
    if said.startswith("{"):
        meant = re.sub(r"(?<=: )\.\.\.", '"..."', re.sub(r", \.\.\.(?=[\]}])", "", said))
        assert as_said(json.loads(meant), json.loads(answered)), (said, answered)
        return
    lines = [line for line in answered.splitlines() if line and not line.startswith(":")]
    for line, got in zip(said.splitlines(), lines, strict=False):
        assert re.fullmatch(re.escape(line).replace(r"\.\.\.", ".*"), got), (line, got)


def newest_action(answered: str) -> str | None:
    """The uid of the first action in force that an answer names."""
    if not answered.startswith("{"):
        return None
    told = json.loads(answered)
    found = [
        a for a in told.get("items", told.get("actions", ())) if a.get("kind") == "deny" and a["status"] == "active"
    ]
    return found[0]["uid"] if found else None


def test_every_example_does_what_it_says(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    world = ApiWorld(embedded_address, redis_url, topic_prefix, tmp_path)
    made = CliRunner().invoke(app, ["keys", "create", "first-admin", "--role", "admin"], env=world.environment)
    environment = world.environment | {"API": world.base, "KEY": made.stdout.strip()}
    with world.enforcer(program="floodwarden.enforcing"):
        world.send(alert("203.0.113.8"))
        world.wait_for("203.0.113.8")
        world.send(alert("203.0.113.7"))
        world.wait_for("203.0.113.7")
        with world.client(environment["KEY"]) as client:
            eventually(lambda: len(client.get("/actions").json()["items"]) == 2)
        count = 0
        for command, said in examples():
            told = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
            compare(said, told.stdout)
            environment["ACTION"] = newest_action(told.stdout) or environment.get("ACTION", "")
            count += 1
    assert count > 12


def test_every_route_is_in_the_tables(tmp_path: Path) -> None:
    document = create_app(ApiWorld.parts(f"sqlite:///{tmp_path}/store.db")).openapi()
    table = TEXT[TEXT.index("## Act") : TEXT.index("## Follow")]
    named = {path.split("?")[0] for path in re.findall(r"`(?:[A-Z]+ )*(/[\w/{}-]+)`", table)} | {"/me"}
    known = {path.removeprefix("/api/v1") for path in document["paths"]}
    whole = {path for path in known if path in named or any(path.endswith(n) for n in named if n.count("/") == 1)}
    assert known - whole == set()
