"""What a command of people says it did: what it wrote in full, what went with it in few lines."""

from __future__ import annotations

import pytest
from limiter_world import action

from enforcer.session import Result
from floodwarden.cli_told import tell
from schemas.action import Action


def said(capsys: pytest.CaptureFixture[str], gone: list[Action]) -> list[str]:
    stop = action("hold", "global:*", "stop0001")
    tell(Result((stop,), 7, 12, {"limiter-1": 15}, (), tuple(gone)), as_json=False)
    return capsys.readouterr().out.splitlines()


def test_what_a_stop_takes_away_is_said_to_be_lifted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, [action("deny", "ip:203.0.113.7"), action("challenge", "key:k1", route="/login")])
    assert lines[0].startswith("stop of automation global:* in force for")
    assert lines[1:] == [
        "deny ip:203.0.113.7 lifted",
        "challenge key:k1 (/login) lifted",
        "acknowledged by limiter-1 after 15 ms",
    ]


def test_a_hundred_of_them_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    gone = [action("deny", f"ip:203.0.113.{i}") for i in range(70)] + [
        action("challenge", f"ip:198.51.100.{i}") for i in range(30)
    ]
    assert said(capsys, gone)[1] == "100 more actions lifted: 30 challenge, 70 deny"
