"""The worked examples of docs/ingest.md as they stand there: each record becomes what is said."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from servers import ROOT
from test_cli_commands import run

TEXT = (ROOT / "docs" / "ingest.md").read_text("utf-8")
EXAMPLES = TEXT.split("<!-- source -->")[1:]


def indented(text: str) -> str:
    """The first indented block of `text`."""
    lines = text.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("    "))
    end = next((at for at in range(begin, len(lines)) if lines[at] and not lines[at].startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[begin:end])).strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=["nginx", "envoy", "shop"])
def test_an_example_becomes_what_is_said(example: str, tmp_path: Path) -> None:
    mapping, record = tmp_path / "ingest.yaml", tmp_path / "record.json"
    mapping.write_text(indented(example), "utf-8")
    record.write_text(indented(example.partition("A record")[2]), "utf-8")
    assert run("ingest", str(mapping), "--lint").returncode == 0
    told = run("ingest", str(mapping), "--try", str(record), "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout) == json.loads(indented(example.partition("becomes")[2]))


def test_every_word_of_a_source_is_explained() -> None:
    of_source = "kafka files http format begin id ids_kept columns"
    of_column = "from constant values otherwise time zone unit hop hash template"
    for word in f"{of_source} {of_column}".split():
        assert f"`{word}`" in TEXT, word


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ingest",), 2, "FLOODWARDEN_INGEST"),
        (("ingest", "--lint"), 2, "mapping"),
        (("ingest", "/nowhere.yaml"), 2, "/nowhere.yaml"),
        (("ingest", "/nowhere.yaml", "--lint"), 2, "mapping"),
        (("ingest", "deploy/ingest/example.yaml", "--try", "/nowhere.json"), 2, "--source"),
        (("ingest", "deploy/ingest/example.yaml", "--try", "/nowhere.json", "--source", "nginx"), 2, "/nowhere.json"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_that_says_what_to_do(
    arguments: tuple[str, ...], code: int, says: str
) -> None:
    told = run(*arguments, FLOODWARDEN_KAFKA="127.0.0.1:1")
    assert told.returncode == code, told.stderr
    assert says in told.stderr
    assert "Traceback" not in told.stderr
