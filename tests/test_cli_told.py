"""What a command of people says it did: what it wrote in full, what went with it in few lines."""

from __future__ import annotations

import pytest
import redis
from limiter_world import action
from redis.exceptions import NoPermissionError

from enforcer.session import Result
from floodwarden.cli_told import list_actions, tell
from schemas.action import Action
from schemas.redis_client import fix_of


def said(capsys: pytest.CaptureFixture[str], gone: list[Action]) -> list[str]:
    stop = action("hold", "global:*", "stop0001")
    tell(Result((stop,), 7, 12, {"limiter-1": 15}, (), tuple(gone)), as_json=False)
    return capsys.readouterr().out.splitlines()


def test_what_a_stop_takes_away_is_said_to_be_lifted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, [action("deny", "ip:203.0.113.7"), action("challenge", "key:k1", route="/login")])
    assert lines[0].startswith("automation is stopped: it decides nothing for")
    assert lines[0].endswith("`floodwarden resume` lets it act again")
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


def of(capsys: pytest.CaptureFixture[str], *actions: Action) -> list[str]:
    tell(Result(actions, 7, 12, {"limiter-1": 15}, ()), as_json=False)
    return capsys.readouterr().out.splitlines()[:-1]


def test_a_stop_in_place_of_another_is_not_said_to_have_ended(capsys: pytest.CaptureFixture[str]) -> None:
    before = action("hold", "global:*", "stop0000", status="lifted")
    anew, replaced = of(capsys, action("hold", "global:*", "stop0001"), before)
    assert anew.startswith("automation is stopped")
    assert replaced == "in place of stop of automation, stop0000"
    assert of(capsys, before) == ["automation acts again"]


def test_a_brownout_says_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = of(capsys, action("brownout", "global:*", "slow0001", level=2))
    assert line.startswith("brownout level 2 in force for")


def test_who_undoes_what_automation_did_is_told_how_to_keep_it_away(capsys: pytest.CaptureFixture[str]) -> None:
    lifted = action("deny", "ip:203.0.113.7", status="lifted")
    assert of(capsys, lifted.model_copy(update={"owner": "cli:ann"})) == ["deny ip:203.0.113.7 lifted"]
    _, hint = of(capsys, lifted.model_copy(update={"owner": "auto"}))
    assert hint.endswith("unless: floodwarden allow add ip 203.0.113.7")


def test_a_redis_that_refuses_us_is_not_to_be_started() -> None:
    assert "user and password" in fix_of(redis.AuthenticationError("invalid username-password pair"))
    assert "users.acl" in fix_of(NoPermissionError("this user has no permissions"))
    assert fix_of(redis.ConnectionError("refused")).startswith("start it")


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_why_something_is_in_force_takes_a_line_at_most_and_json_has_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    why = "Denied on /login for 10 min: 89 failed logins in 10 min; " + "good clients' logins here fail, too. " * 7
    denied = action("deny", "ip:203.0.113.9", "abcdefgh1", route="/login").model_copy(update={"reason": why})
    list_actions([denied, action("brownout", "global:*", "slow0001", level=2)], as_json=False)
    said = capsys.readouterr()
    head, row, _ = said.out.splitlines()
    assert "which requests" in head
    assert "Denied on /login" in row
    assert row.endswith(" ...")
    assert len(row) <= columns or columns == 80, "where little is left of a line, it goes below on a terminal"
    assert said.err == "whole reasons: floodwarden actions show ACTION, or --json\n"
    list_actions([denied], as_json=True)
    assert why in capsys.readouterr().out


def test_a_short_reason_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    list_actions([action("deny", "ip:203.0.113.9")], as_json=False)
    assert capsys.readouterr().err == ""
