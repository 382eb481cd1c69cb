"""docs/notices.md as it stands there: the file is taken, commands print what is said, a webhook is checked as said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from servers import ROOT
from test_notify_file import SECRET
from test_notify_forms import EVERY
from typer.testing import CliRunner

from enforcer.notify.deliver import _signed
from enforcer.notify.destinations import PER_MINUTE, Destination, Kind
from enforcer.notify.forms import record
from enforcer.notify.notices_file import _NEEDED, _OWN
from floodwarden.cli import app

TEXT = (ROOT / "docs" / "notices.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's file, its secrets where it says, and one with a mistake beside it."""
    (text,) = blocks("yaml")
    for name in ("pagerduty", "soc"):
        (tmp_path / name).write_text(SECRET, "utf-8")
    text = text.replace("/run/secrets", str(tmp_path))
    (tmp_path / "notices.yaml").write_text(text, "utf-8")
    (tmp_path / "wrong.yaml").write_text(text.replace("format: ocsf", "format: ocfs"), "utf-8")
    monkeypatch.setenv("SLACK_WEBHOOK", "https://hooks.slack.com/services/T0/B0/x")
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("there")
def test_the_example_is_taken_and_a_mistake_is_told_as_it_says() -> None:
    printed = re.findall(r"^    \$ floodwarden (notices lint \S+)\n((?:    .*\n)+)", TEXT, re.MULTILINE)
    assert len(printed) == 2
    for command, said in printed:
        told = CliRunner().invoke(app, command.split())
        assert told.output.splitlines() == [line[4:] for line in said.splitlines()]


def test_the_check_of_a_webhook_as_it_stands_there_holds() -> None:
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - what the page tells people to write
    body, now_ms = b'{"v": 1}', 1_790_000_000_999
    header = _signed(Destination("d", Kind.WEBHOOK, secret=SECRET), "id", body, now_ms)["floodwarden-signature"]
    assert names["is_ours"](SECRET, header, body, now_ms // 1000)
    assert not names["is_ours"](SECRET, header, body + b" ", now_ms // 1000)
    assert not names["is_ours"](SECRET, header, body, now_ms // 1000 + 301)


def test_what_it_says_of_a_body_is_in_it_and_every_word_is_explained() -> None:
    (said,) = blocks("json")
    shown, made = json.loads(said), record.payload(EVERY[0])
    assert shown.keys() == made.keys()
    assert shown["incidents"][0].keys() <= made["incidents"][0].keys()
    words = {word for kind in Kind for word in (*_OWN[kind], *_NEEDED[kind])} | {kind.value for kind in Kind}
    assert [word for word in words if f"`{word}`" not in TEXT] == []
    assert "Slack and PagerDuty 10, mail 5, webhooks 60" in TEXT
    assert [PER_MINUTE[kind] for kind in (Kind.SLACK, Kind.PAGERDUTY, Kind.EMAIL, Kind.WEBHOOK)] == [10, 10, 5, 60]
