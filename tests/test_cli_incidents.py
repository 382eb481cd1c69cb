"""`floodwarden incidents`, `actions show` and `notices`, as a person meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from providers import providers
from test_enforcer_store import T0, deny, seen, told
from test_notify_file import SECRET
from typer.testing import CliRunner

from enforcer.acknowledgements import judge
from enforcer.errors import CommandError as RefusedError
from enforcer.store import database, enforcements
from enforcer.store.archive import Archive
from floodwarden import doctor_services
from floodwarden.cli import app
from floodwarden.errors import CommandError
from schemas import sql
from schemas.settings import Settings


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """A store with two incidents and a measured action."""
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("FLOODWARDEN_STORE", url)
    made = sql.engine(url)
    database.upgrade(made)
    alerts = [seen("a", 0), seen("b", 1), seen("c", 0, kind="probe")]
    Archive(made).write(told("alerts", [*alerts, deny("act-1", alert_uid="a")]))
    action = deny("act-1", crossed_ms=T0 - 40)
    acks = {f"limiter-{n}": (7, T0 + n) for n in range(1, 101)}
    enforcements.put(made, [judge(action, 7, T0 + 5, acks, (*acks, "limiter-x"))])
    return made


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).output


def of(*arguments: str) -> list[Any]:
    return [json.loads(line) for line in run(*arguments, "--json").splitlines()]


@pytest.mark.usefixtures("engine")
def test_incidents_are_listed_told_and_taken_in_hand() -> None:
    found = {row["kind"]: row for row in of("incidents")}
    assert (found["guess"]["alerts"], found["probe"]["alerts"]) == (2, 1)
    uid = found["guess"]["uid"]
    (whole,) = of("incidents", "show", uid[:10])
    assert [word["kind"] for word in whole["timeline"]] == ["alert", "alert", "action"]
    assert run("incidents", "ack", uid[:10], "--by", "ann") == f"{uid[:8]} is in hand: cli:ann\n"
    assert of("incidents", "ack", uid, "--by", "bob")[0]["acked_by"] == "cli:ann"
    assert [entry["verb"] for entry in of("audit", "list")].count("incident.acknowledged") == 1
    assert "cli:ann" in run("incidents")
    told = run("incidents", "show", uid)
    assert "act-1 deny ip:" in told
    assert "\nundo with: floodwarden undo act-1" in told
    with pytest.raises(RefusedError, match="none begins"):
        run("incidents", "ack", "nothing")


def test_an_action_tells_when_each_limiter_had_it_and_the_better_measurement_stays(engine: sa.Engine) -> None:
    (shown,) = of("actions", "show", "act")
    way = shown["enforcement"]
    assert (way["p50_ms"], way["p99_ms"], way["total_ms"], way["missing"]) == (90, 139, 140, ["limiter-x"])
    assert "after the deciding request: p50 90 ms, p99 139 ms over 100 limiters" in run("actions", "show", "act-1")
    assert "not acknowledged within 10 s by limiter-x" in run("actions", "show", "act-1")
    whole = judge(deny("act-1"), 7, T0 + 5, {"limiter-1": (7, T0 + 9)}, ("limiter-1",))
    enforcements.put(engine, [whole])
    enforcements.put(engine, [judge(deny("act-1"), 7, T0 + 5, {}, ("limiter-1",))])
    (again,) = of("actions", "show", "act-1")
    assert (again["enforcement"]["p99_ms"], again["enforcement"]["total_ms"]) == (9, None)


def test_a_destination_is_tried_and_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notices.yaml"
    monkeypatch.setenv("FLOODWARDEN_NOTICES", str(path))
    with providers() as server:
        oncall = f"{{kind: pagerduty, key: {SECRET}, url: {server.base}/v2/enqueue}}"
        path.write_text(f"version: 1\ndestinations:\n  oncall: {oncall}\n", "utf-8")
        refused = of("notices", "test", "oncall")[0]
        assert (refused["ok"], "FLOODWARDEN_NOTICES_PRIVATE" in refused["reason"]) == (False, True)
        monkeypatch.setenv("FLOODWARDEN_NOTICES_PRIVATE", "127.0.0.0/8")
        assert of("notices", "test", "oncall")[0]["ok"]
        assert [got.json()["event_action"] for got in server.got] == ["trigger", "resolve"]
        assert server.open_keys == set()
        with pytest.raises(CommandError, match="did you mean `oncall`"):
            run("notices", "test", "oncal")
    (check,) = doctor_services.notices(Settings(notices=path))
    assert (check.level, "oncall" in check.seen) == ("ok", True)
    path.write_text("version: 1\n", "utf-8")
    (check,) = doctor_services.notices(Settings(notices=path))
    assert (check.level, bool(check.fix)) == ("fail", True)
    monkeypatch.delenv("FLOODWARDEN_NOTICES")
    assert list(doctor_services.notices(Settings())) == []


@pytest.mark.usefixtures("engine")
def test_people_say_what_was_rightly_found_and_what_wrongly() -> None:
    (found,) = [row for row in of("incidents") if row["kind"] == "guess"]
    told = run("labels", "add", f"incident:{found['uid'][:10]}", "true-positive", "--by", "ann", "--reason", "a list")
    assert told == f"incident:{found['uid']} is labelled true_positive; `calibrate --labels` heeds it\n"
    (later,) = of("labels", "add", "ip:203.0.113.7", "false_positive", "--by", "bob")
    assert (later["subject"], later["by"]) == ("ip:203.0.113.7", "cli:bob")
    assert [(row["label"], row["note"]) for row in of("labels")] == [
        ("false_positive", ""),
        ("true_positive", "a list"),
    ]
    assert [entry["actor"] for entry in of("audit", "list") if entry["verb"] == "label.added"] == ["cli:ann", "cli:bob"]
    assert "ip:203.0.113.7" in run("labels")
    (bare,) = of("labels", "add", "2001:DB8:0::9", "false_positive")
    assert bare["subject"] == "ip:2001:db8::9", "in the spelling that thresholds look for"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("subject", "word", "said"),
    [
        ("incident:nothing", "true_positive", "incident: none begins with 'nothing' (`incidents --json` has"),
        ("action:nothing", "true_positive", "action: none begins with 'nothing' (`actions --json`, of those in force,"),
        ("somebody", "true_positive", "ip:203.0.113.7"),
        ("ip:203.0.113.7", "Wrong!", "true_positive or false_positive"),
    ],
)
def test_what_cannot_be_labelled_is_said_and_nothing_is_kept(subject: str, word: str, said: str) -> None:
    with pytest.raises((CommandError, RefusedError), match=re.escape(said)):
        run("labels", "add", subject, word)
    assert of("labels") == []
