"""`floodwarden rules`, and the lines of error logs that rules read."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detectors.bots import Bot
from detectors.rule_file import gathered
from floodwarden import bot_names
from floodwarden.bot_names import verified
from floodwarden.cli import app
from floodwarden.rules_trial import stretches
from schemas.access_log import AccessLog, LineError
from schemas.decision import Decision
from stream import rule_source

AT = "[17/May/2015:10:05:{:02d} +0000]"
AT_MS = 1_431_857_103_000
LOG = "".join(
    f'203.0.113.{9 if second % 2 else 10} - - {AT.format(second)} "GET {path} HTTP/1.1" 404 1 "-" "curl/8"\n'
    for second, path in enumerate(["/a", "/.env", "/b", "/.git/HEAD", "/c", "/.aws/credentials", "/d", "/.ssh/id_rsa"])
)


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["rules", *words])
    return result.exit_code, result.stdout


def test_what_is_in_force_is_listed_and_each_of_it_explained() -> None:
    code, out = run("list", "--json")
    rules = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {"exploit", "sensitive-files", "malformed"} <= {rule["name"] for rule in rules}
    code, out = run("explain", "sensitive-files")
    assert code == 0
    for said in ("more than 2 different urls", "every 1m", "deny for newcomers, throttle", "OAT-018", "rules.yaml:"):
        assert said in out
    code, out = run("explain", "log4shell", "--json")
    assert json.loads(out)["signatures"][0]["ids"] == ["CVE-2021-44228"]


def test_the_thresholds_of_others_are_there_by_name() -> None:
    _, out = run("list", "--rules", "crowdsec", "--json")
    by_name = {rule["name"]: rule for rule in map(json.loads, out.splitlines())}
    probing = by_name["cs-http-probing"]
    assert (probing["capacity"], probing["leak_ms"], probing["distinct"]) == (10, 10_000, "path")


def test_a_rule_with_a_window_is_listed_explained_and_tried(tmp_path: Path) -> None:
    log, mine = tmp_path / "access.log", tmp_path / "mine.yaml"
    log.write_text(LOG)
    window = "distinct: path, over: 60s, when: {different: above 3, bits: above 1.5}"
    mine.write_text(f"rules: [{{name: walks, means: different paths, by: ip, answer: notice, {window}}}]")
    _, out = run("list", "--rules", str(mine), "--json")
    (listed,) = map(json.loads, out.splitlines())
    assert (listed["over_s"], listed["when"]) == (60, {"different": "above 3", "bits": "above 1.5"})
    _, out = run("explain", "walks", "--rules", str(mine))
    assert "when more than 3 different paths, an entropy of paths above 1.5 bits come in 1m, of one ip" in out
    code, out = run("test", str(mine), str(log), "--json")
    fired = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert {one["entity"]["value"] for one in fired} == {"203.0.113.9", "203.0.113.10"}
    assert all("4 different paths in 1m (limit: above 3)" in one["summary"] for one in fired)


def test_the_rules_on_the_page_can_be_taken() -> None:
    page = (Path(__file__).parent.parent / "docs" / "rules.md").read_text()
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", page, re.MULTILINE)
    files = [textwrap.dedent(block) for block in blocks if block.lstrip("\n").startswith("    rules:\n")]
    taken = [rule.name for file in files for rule in gathered([("docs/rules.md", file.encode())]).rules]
    assert {"report-storm", "walks-the-catalogue", "clockwork"} <= set(taken)


def test_a_file_is_tried_on_a_log_and_says_the_lines_that_made_it_fire(tmp_path: Path) -> None:
    log, mine = tmp_path / "access.log", tmp_path / "mine.yaml"
    log.write_text(LOG)
    hidden = "name: hidden, means: hidden files, sign: sensitive, distinct: url, capacity: 2, leak: 1m, answer: notice"
    mine.write_text(f"rules: [{{{hidden}}}]")
    code, out = run("test", str(mine), str(log), "--json")
    (fired,) = map(json.loads, out.splitlines())
    assert code == 1
    assert (fired["entity"]["value"], fired["crossed_ms"] - AT_MS) == ("203.0.113.9", 2000)
    assert fired["lines"] == [f"{log}:2", f"{log}:4", f"{log}:6"]
    code, out = run("test", str(mine), str(log))
    assert f"lines {log}:2, {log}:4, {log}:6" in out
    mine.write_text("rules: [{name: calm, means: x, where: {status: 500}, answer: notice}]")
    assert run("test", str(mine), str(log)) == (0, "Nothing fires.\n")


def test_neighbouring_lines_are_said_as_one_stretch() -> None:
    assert stretches(["a:1", "a:2", "a:3", "a:7", "b:8", "b:9"]) == ["a:1-3", "a:7", "b:8-9"]


def test_a_crawler_is_verified_by_its_name_and_back_again() -> None:
    bot = Bot("googlebot", ("googlebot",), ("googlebot.com",), "")
    names = {
        "192.0.2.1": "crawl-1.googlebot.com.",
        "192.0.2.2": "crawl-2.googlebot.com",
        "192.0.2.3": "googlebot.com.evil.example",
        "192.0.2.4": "notgooglebot.com",
    }
    back = {"crawl-1.googlebot.com": ["192.0.2.1"], "crawl-2.googlebot.com": ["192.0.2.99"]}

    def name_of(ip: str) -> str:
        if ip not in names:
            raise OSError("no name")
        return names[ip]

    ips = [*names, "192.0.2.5"]
    assert verified(bot, ips, name_of, lambda name: back.get(name, [])) == ["192.0.2.1"]


def test_crawlers_of_a_log_are_written_down_for_who_has_dns(tmp_path: Path) -> None:
    log, out = tmp_path / "access.log", tmp_path / "bots"
    log.write_text(f'0.0.0.1 - - {AT.format(3)} "GET / HTTP/1.1" 200 1 "-" "Googlebot/2.1"\n')
    code, said = run("verify-bots", str(log), "--out", str(out))
    assert (code, said) == (0, "googlebot: 0 of 1 addresses are its own\n")
    assert list(out.iterdir()) == []


def test_addresses_verified_in_one_log_are_added_to_those_of_another(tmp_path: Path) -> None:
    out = tmp_path / "bots"
    for ip in ("192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.9"):
        log = tmp_path / "access.log"
        log.write_text(f'{ip} - - {AT.format(3)} "GET / HTTP/1.1" 200 1 "-" "Googlebot/2.1"\n')
        host = "crawl.googlebot.com" if ip != "192.0.2.9" else "example.com"
        told = bot_names.run([log], out, lambda _, host=host: host, lambda _, ip=ip: [ip])
        assert told == [("googlebot", int(ip != "192.0.2.9"), 1)]
    assert [path.name for path in out.iterdir()] == ["googlebot.verified.txt"]
    lines = (out / "googlebot.verified.txt").read_text().splitlines()
    assert lines[1:] == ["192.0.2.2", "192.0.2.1"]
    assert rule_source.bots(out).origins.published == {}


NGINX = '2015/05/17 10:05:03 [error] 19#19: *4 {}, client: 203.0.113.7, server: _, request: "{}", host: "a"'
APACHE = "[Sun May 17 10:05:03.880562 2015] [{}:error] [pid 10:tid 140] [client 203.0.113.7:50229] {}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            NGINX.format('open() "/srv/x.php" failed (2: No such file or directory)', "GET /x.php HTTP/1.1"),
            ("GET", "/x.php", 404, None),
        ),
        (NGINX.format("access forbidden by rule", "GET /.git HTTP/1.1"), ("GET", "/.git", 403, None)),
        (NGINX.format('user "ann": password mismatch', "GET / HTTP/1.1"), ("GET", "/", 401, "ann")),
        (
            NGINX.format("client sent invalid method while reading client request line", "\\x16\\x03"),
            (None, "\\x16\\x03", 400, None),
        ),
        (APACHE.format("auth_basic", "AH01618: user sss not found: /private"), ("GET", "/private", 401, "sss")),
        (
            APACHE.format("auth_basic", 'AH01617: user ann: authentication failure for "/x": Password Mismatch'),
            ("GET", "/x", 401, "ann"),
        ),
        (APACHE.format("core", "AH00128: File does not exist: /var/www/a.cgi"), ("GET", "/var/www/a.cgi", 404, None)),
        (
            APACHE.format("access_compat", "AH01797: client denied by server configuration: /var/www/.env"),
            ("GET", "/var/www/.env", 403, None),
        ),
        (APACHE.format("core", "AH00135: Invalid method in request \\x16\\x03"), (None, "\\x16\\x03", 400, None)),
        (
            APACHE.format("php", "script '/srv/wp-login.php' not found or unable to stat, referer: http://a/"),
            ("GET", "/srv/wp-login.php", 404, None),
        ),
        (
            "[Sun May 17 10:05:03 2015] [error] [client 203.0.113.7] File does not exist: /srv/a",
            ("GET", "/srv/a", 404, None),
        ),
    ],
)
def test_a_line_of_an_error_log_tells_of_a_request(line: str, told: tuple[str | None, str, int, str | None]) -> None:
    row = AccessLog().decision(line)
    assert (row.ts_ms, row.ip) == (AT_MS, "203.0.113.7")
    assert (row.method, row.path, row.status, row.user) == told


def test_a_limit_of_nginx_has_its_zones_name() -> None:
    row = AccessLog().decision(NGINX.format('limiting requests, excess: 5.4 by zone "perip"', "GET / HTTP/1.1"))
    assert (row.rule, row.verdict, row.status) == ("nginx:perip", "limit", 429)


@pytest.mark.parametrize(
    "line",
    [
        NGINX.format("limiting requests, dry run, excess: 5.4", "GET / HTTP/1.1"),
        NGINX.format("upstream timed out (110: Connection timed out)", "GET / HTTP/1.1"),
        NGINX.format("no user/password was provided for basic authentication", "GET / HTTP/1.1"),
        APACHE.format("ssl", "AH02006: SSL handshake stopped: connection was closed"),
        "[Sun Foo 17 10:05:03 2015] [error] [client 203.0.113.7] File does not exist: /a",
        "[notice] starting",
    ],
)  # fmt: skip
def test_a_line_of_an_error_log_that_tells_of_none_says_why(line: str) -> None:
    with pytest.raises(LineError):
        AccessLog().decision(line)


def test_a_referer_is_kept_without_secrets_and_a_made_up_version_is_no_request() -> None:
    plain = f'203.0.113.7 - - {AT.format(3)} "GET /a HTTP/{{}}" 200 1 "https://a.example/?token=abc&x=1" "curl"'
    row = AccessLog().decision(plain.format("1.1"))
    assert row == Decision(
        ts_ms=AT_MS, verdict="allow", ip="203.0.113.7", method="GET", route="/a", path="/a", status=200, ua="curl",
        referer="https://a.example/?token=***&x=1",
    )  # fmt: skip
    assert AccessLog().decision(plain.format("1.2")).route == "{malformed}"
