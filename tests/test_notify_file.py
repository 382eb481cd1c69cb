"""The file of destinations and routes: what it says, and what is wrong with it by file, line, field and fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enforcer.notify import addresses, notices_file
from enforcer.notify.destinations import Destination, Format, Kind, Tls
from enforcer.notify.setup import configured
from schemas.alert import Severity
from schemas.errors import SettingsError
from schemas.settings import Settings

SECRET = "0123456789abcdef0123456789abcdef"
GOOD = f"""\
version: 1
link: https://fw.example.com/incidents/{{incident}}
destinations:
  oncall:
    kind: pagerduty
    key: env:PD_KEY
  chat: {{kind: slack, url: "env:SLACK", per_minute: 3}}
  soc: {{kind: webhook, url: "https://soc.example.com/hook", secret: {SECRET}, format: ocsf}}
  prom: {{kind: alertmanager, url: "http://10.0.0.5:9093/"}}
  bus: {{kind: kafka, topic: security.findings, format: ecs}}
  kept: {{kind: file, path: /tmp/findings.jsonl}}
  team:
    kind: email
    server: "smtp.example.com:2525"
    user: floodwarden
    password: {SECRET}
    from: Floodwarden <fw@example.com>
    to: [a@example.com, b@example.com]
routes:
  - {{to: oncall, severity: critical, wait_s: 0}}
  - to: [chat, soc, prom, bus, kept, team]
    severity: medium
    kinds: [guess, probe]
    routes: /login*
"""
ENVIRONMENT = {"PD_KEY": SECRET, "SLACK": "https://hooks.slack.com/services/T0/B0/secretsecret"}


def examined(text: str, tmp_path: Path) -> notices_file.Examined:
    path = tmp_path / "notices.yaml"
    path.write_text(text, "utf-8")
    return notices_file.examine(path, ENVIRONMENT.get)


def test_a_file_says_whom_to_tell_of_what(tmp_path: Path) -> None:
    found = examined(GOOD, tmp_path)
    assert (found.errors, found.warnings) == ([], [])
    there: dict[str, Destination] = found.notices.destinations
    assert [one.kind for one in there.values()] == [
        Kind.PAGERDUTY, Kind.SLACK, Kind.WEBHOOK, Kind.ALERTMANAGER, Kind.KAFKA, Kind.FILE, Kind.EMAIL,
    ]  # fmt: skip
    assert (there["oncall"].url, there["oncall"].secret) == ("https://events.pagerduty.com/v2/enqueue", SECRET)
    assert there["prom"].url == "http://10.0.0.5:9093/api/v2/alerts"
    assert (there["chat"].per_minute, there["soc"].format, there["bus"].topic) == (3, Format.OCSF, "security.findings")
    mail = there["team"].mail
    assert mail is not None
    assert (mail.host, mail.port, mail.tls, mail.to) == (
        "smtp.example.com", 2525, Tls.STARTTLS, ("a@example.com", "b@example.com"),
    )  # fmt: skip
    first, second = found.notices.routes
    assert found.notices.pages == ("oncall",)
    paging = examined(GOOD + "pages: [chat, team]\n", tmp_path).notices
    assert paging.pages == ("chat", "team")
    assert (first.severity, first.wait_s, second.wait_s) == (Severity.CRITICAL, 0, 5)


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "fix"),
    [
        ("version: 1", "version: 2", 1, "notices.version", "whole number"),
        ("kind: pagerduty", "kind: pager", 5, "destinations.oncall.kind", "did you mean `pagerduty`"),
        ("key: env:PD_KEY", "key: env:NOPE", 6, "destinations.oncall.key", "set it"),
        ("key: env:PD_KEY", "key: file:/nowhere", 6, "destinations.oncall.key", "can read"),
        ("key: env:PD_KEY", "key: short", 6, "destinations.oncall.key", "32 characters"),
        ("per_minute: 3", "per_hour: 3", 7, "destinations.chat.per_hour", "per_minute"),
        ("url: env:SLACK, ", "", 7, "destinations.chat", "url"),
        (f"secret: {SECRET}", "secret: hunter2", 8, "destinations.soc.secret", "at least 16"),
        ("https://soc.example.com/hook", "ftp://soc", 8, "destinations.soc.url", "https://"),
        ("https://soc.example.com/hook", "https://me:pw@soc/", 8, "destinations.soc.url", "signed"),
        ("format: ocsf", "format: ocfs", 8, "destinations.soc.format", "did you mean `ocsf`"),
        ("security.findings", "security findings", 10, "destinations.bus.topic", "letters"),
        ("smtp.example.com:2525", "smtp.example.com:0", 14, "destinations.team.server", "smtp.example.com:587"),
        ("    user: floodwarden\n", "", 14, "destinations.team.server", "both or neither"),
        ("    user: floodwarden\n", "    tls: none\n    user: f\n", 16, "destinations.team.user", "starttls"),
        ("b@example.com", "nobody", 18, "destinations.team.to[1]", "oncall@example.com"),
        ("{to: oncall,", "{to: oncal,", 20, "routes[0].to", "did you mean `oncall`"),
        ("severity: medium", "severity: middling", 22, "routes[1].severity", "medium"),
        ("routes:\n", "pages: nobody\nroutes:\n", 19, "notices.pages", "one of"),
        ("wait_s: 0", "wait_s: 601", 20, "routes[0].wait_s", "0 to 600"),
        ("{incident}", "{id}", 2, "notices.link", "{incident}"),
        ("  oncall:\n", "  On Call:\n", 5, "destinations.On Call", "lower-case"),
    ],
)
def test_a_mistake_is_named_by_line_and_field_with_the_fix_and_never_with_a_secret(
    before: str, after: str, line: int, field: str, fix: str, tmp_path: Path
) -> None:
    text = GOOD.replace('"env:SLACK"', "env:SLACK")
    assert before in text
    errors = examined(text.replace(before, after, 1), tmp_path).errors
    error = errors[0]
    assert (error.line, error.field.removeprefix("notices.") if "." in field else error.field) == (
        line, field.removeprefix("notices."),
    ), str(error)  # fmt: skip
    assert fix in error.fix
    assert not any(secret in str(each) for each in errors for secret in (SECRET, "hunter2", "secretsecret", "pw@"))


def test_all_mistakes_are_told_at_once_and_doubts_apart(tmp_path: Path) -> None:
    text = GOOD.replace("kind: kafka", "kind: kafak").replace("per_minute: 3", "per_minute: 0")
    assert [error.line for error in examined(text, tmp_path).errors] == [7, 10]
    plain = GOOD.replace("https://soc", "http://soc").replace("bus, ", "")
    assert [(warned.line, warned.fix[:7]) for warned in examined(plain, tmp_path).warnings] == [
        (8, "write h"), (10, "add one"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "- a", "version: 1\ndestinations: {}\n", "{", "version: 1\n---\nversion: 1\n"])
def test_what_is_no_such_file_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    (error,) = examined(text, tmp_path).errors
    assert str(tmp_path) in str(error)
    assert error.fix


def test_the_enforcer_does_not_start_with_a_file_it_cannot_take(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [{"notices": tmp_path / "none.yaml"}, {"notices_private": "10.0.0.0/33"}]
    for settings in given:
        with pytest.raises(SettingsError, match="FLOODWARDEN_NOTICES"):
            configured(Settings(**settings))
    assert configured(Settings()) is None


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::", "192.0.2.1", "no address", "",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(text: str) -> None:
    assert not addresses.allowed(text, ())


def test_public_addresses_and_the_private_ones_that_are_set_are_allowed() -> None:
    private = addresses.parse("10.0.0.0/8, fd00::/8")
    found = ["8.8.8.8", "2606:4700::1111", "10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "192.168.0.1", "8.8.8.8"]
    assert addresses.some(found, private) == found[:5]
    assert addresses.some(found, ()) == found[:2]
