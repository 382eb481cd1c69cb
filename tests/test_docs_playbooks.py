"""docs/playbooks.md: every word of a playbook, each example a playbook, each command with what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from enforcer_world import alert
from servers import ROOT
from typer.testing import CliRunner

from enforcer import play_file, playbook_file
from enforcer.canary import CODE
from enforcer.guardrails import ALLOWLISTED
from enforcer.sparing import CODE as NO_HISTORY
from floodwarden.cli import app

PAGE = (ROOT / "docs" / "playbooks.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TABLES = {
    "| word | means |": play_file.WORDS,
    "| word of `when` |": play_file.WHEN_WORDS,
    "| word of `spare` |": play_file.SPARE_WORDS,
    "| word of `ladder` |": play_file.LADDER_WORDS,
    "| word of `approve` |": play_file.ASK_WORDS,
    "| word of `canary` |": play_file.CANARY_WORDS,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "known-good.txt").write_text("alice 198.51.100.7\n")
    return tmp_path


def told(*words: str) -> str:
    return CliRunner().invoke(app, ["playbook", *words]).output


@pytest.mark.parametrize("heading", TABLES)
def test_every_word_has_its_line_and_no_line_is_of_a_word_that_is_none(heading: str) -> None:
    table = PAGE.partition(heading)[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(TABLES[heading])


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_playbook_without_a_doubt(here: Path, example: str) -> None:
    (here / "playbook.yaml").write_text(example)
    assert re.fullmatch(r"\d plays?, 0 errors, 0 warnings\n", told("lint", "playbook.yaml"))


def test_the_commands_print_what_the_page_shows(here: Path) -> None:
    shown = re.findall(r"^    \$ floodwarden playbook (.*)\n((?:    (?!\$).*\n)+)", PAGE, re.MULTILINE)
    assert len(shown) == 3
    (here / "alert.json").write_text(alert(route="/login").model_dump_json())
    for command, output in shown:
        good = EXAMPLES[0]
        (here / "playbook.yaml").write_text(good.replace("high", "hihg") if "lint" in command else good)
        printed = [line.split() for line in told(*command.split()).splitlines()]
        for line in output.splitlines():
            assert line.split() in printed


def test_every_guardrail_is_told_of() -> None:
    code = "".join((ROOT / "enforcer" / f"{name}.py").read_text("utf-8") for name in ("guardrails", "refusing", "plan"))
    told = PAGE.partition("| `guard` | |")[2].partition("\n\n")[0]
    names = set(re.findall(r"(?:Refusal|Milder)\(\s*\"(\w+)\"", code))
    assert names | {CODE, NO_HISTORY, ALLOWLISTED} == {
        name for line in told.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }


def test_the_words_of_the_file_are_named() -> None:
    for word in playbook_file.WORDS:
        assert f"`{word}" in PAGE
