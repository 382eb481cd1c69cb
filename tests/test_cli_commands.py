"""The command line as a person meets it: help, errors in one line, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from floodwarden import bench, doctor, doctor_files, doctor_services
from floodwarden.cli import app
from floodwarden.cli_output import lines, safe
from floodwarden.doctor_brownout import brownout
from floodwarden.embedded import free_port
from floodwarden.errors import CommandError
from limiter.identity import Identifier
from schemas.settings import Settings

NOWHERE = {"FLOODWARDEN_KAFKA": "127.0.0.1:1", "FLOODWARDEN_REDIS": "redis://127.0.0.1:1/0"}


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOODWARDEN_")}
    return subprocess.run(
        [sys.executable, "-m", "floodwarden", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=clean | {"COLUMNS": "100"} | environment,
    )


def test_help_names_every_command_and_the_exit_codes() -> None:
    told = run("--help")
    assert told.returncode == 0
    commands = (
        "demo up limiter stream enforcer ingest replay simulate evaluate train deny allow brownout undo alerts actions"
    )
    for word in (
        *commands.split(),
        "throttle",
        "meter",
        "usage",
        "dead-letter",
        "bench",
        "doctor",
        "status",
        "topics",
        "Exit codes",
    ):
        assert word in told.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("replay", "acess.log"), "files"),
        (("replay", "-", "acess.log"), "files"),
        (("train", "acess.log"), "files"),
        (("calibrate", "acess.log"), "files"),
        (("evaluate", "acess.log"), "trace"),
        (("families", "lint", "acess.log"), "path"),
        (("families", "try", "acess.log"), "FILE"),
        (("policy", "lint", "acess.log"), "path"),
        (("policy", "apply", "acess.log"), "path"),
        (("playbook", "lint", "acess.log"), "path"),
        (("playbook", "test", "acess.log"), "file"),
        (("brownout", "lint", "acess.log"), "path"),
        (("notices", "lint", "acess.log"), "path"),
        (("ingest", "acess.log", "--lint"), "mapping"),
        (("deny", "import", "acess.log", "--source", "x"), "file"),
        (("deny", "add", "route", "/login", "--challenge", "--except-pairs", "acess.log"), "--except-pairs"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_argument_and_what_may_have_been_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access.log").touch()
    told = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))
    assert told.exit_code == 2
    assert f"Invalid value for '{named}': acess.log: no such file; did you mean access.log?" in told.output


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nothing.log", "looked for in {}: write its whole path"),
        ("none/nothing.log", "there is no directory {}/none either: write the whole path"),
        ("adir", "adir is a directory; name a file in it"),
    ],
)
def test_where_a_file_was_looked_for_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adir").mkdir()
    told = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["replay", given])
    assert (told.exit_code, says.format(tmp_path) in told.output) == (2, True)


def test_every_setting_is_listed_with_its_default() -> None:
    lines = [json.loads(line) for line in run("settings", "--json").stdout.splitlines()]
    known = {line["name"]: line["default"] for line in lines}
    assert known["FLOODWARDEN_KAFKA"] == "127.0.0.1:9092"
    assert set(known) == {f"FLOODWARDEN_{name.upper()}" for name in Settings.model_fields}
    assert [line["name"] for line in lines if not line["about"]] == []


def test_settings_are_found_by_a_word() -> None:
    told = run("settings", "JWT").stdout
    assert "FLOODWARDEN_JWT_CLAIMS=user=sub\n    what verified claims say" in told
    assert "FLOODWARDEN_KAFKA" not in told


def test_the_id_of_a_key_is_that_of_the_limiters_and_the_key_is_shown_nowhere() -> None:
    settings = Settings(secret=SecretStr("of all nodes"))
    told = run("key-id", FLOODWARDEN_SECRET="of all nodes", stdin="sk_live_1\n")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == Identifier(settings).key_id("sk_live_1") + "\n"
    unset = run("key-id", "--json", stdin="sk_live_1")
    assert "FLOODWARDEN_SECRET is not set" in unset.stderr
    assert json.loads(unset.stdout)["key_id"] != told.stdout.strip()
    assert run("key-id", stdin="").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (("nonsense",), {}, 2, "No such command"),
        (("demo", "--seconds", "1"), {}, 2, "12"),
        (("deny", "list"), {"FLOODWARDEN_KAFFKA": "x"}, 2, "FLOODWARDEN_KAFFKA"),
        (("deny", "list"), {"FLOODWARDEN_PORT": "many"}, 2, "FLOODWARDEN_PORT"),
        (("limiter",), {"FLOODWARDEN_ALLOWLIST": "ip:192.0.2.1,planet:mars"}, 2, "planet:mars"),
        (("deny", "list"), {"FLOODWARDEN_REDIS": "localhost"}, 2, "FLOODWARDEN_REDIS"),
        (("deny", "add", "planet", "mars"), NOWHERE, 2, "planet"),
        (("deny", "add", "ip", "192.0.2.1", "--for", "soon"), NOWHERE, 2, "90s, 10m, 6h or 1d"),
        (("deny", "list"), NOWHERE, 1, "FLOODWARDEN_REDIS"),
        (("topics", "--wait", "1"), NOWHERE, 1, "FLOODWARDEN_KAFKA"),
        (("bench", "nonsense"), {}, 2, "no benchmark"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    arguments: tuple[str, ...], environment: dict[str, str], code: int, says: str
) -> None:
    told = run(*arguments, **environment)
    assert told.returncode == code, told.stderr
    assert says in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.slow
def test_doctor_says_of_each_thing_how_it_stands_and_what_to_do() -> None:
    told = run("doctor", "--json", **NOWHERE)
    checks = {check["name"]: check for check in map(json.loads, told.stdout.splitlines())}
    assert told.returncode == 1
    assert {checks[name]["level"] for name in ("kafka", "topics", "redis")} == {"fail"}
    assert checks["model"]["level"] == "ok"
    assert all(check["fix"] for check in checks.values() if check["level"] != "ok")


def test_doctor_warns_of_a_spool_nobody_can_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    told = {
        name: next(c for c in doctor.settings_checks(Settings(**more)) if c.name == "spool")
        for name, more in {
            "well": {"data_dir": tmp_path / "new"},
            "blocked": {"data_dir": tmp_path / "file"},
            "off": {"data_dir": tmp_path, "spool_bytes_max": 0},
            "full": {"data_dir": tmp_path, "spool_bytes_max": 1 << 60},
        }.items()
    }
    assert {name: check.level for name, check in told.items()} == {
        "well": "ok", "blocked": "warn", "off": "warn", "full": "warn",
    }  # fmt: skip
    assert "FLOODWARDEN_DATA_DIR" in told["blocked"].fix
    assert not (tmp_path / "new").exists(), "to look makes nothing"


def test_doctor_says_of_brownouts_who_begins_them_and_what_a_play_asks_in_vain(tmp_path: Path) -> None:
    plays, rules = tmp_path / "plays.yaml", tmp_path / "rules.yaml"
    plays.write_text("version: 1\nplays:\n  - {name: storm, do: brownout, level: 2, for: 10m}\n", "utf-8")
    rules.write_text("version: 1\nlevel_mx: 2\n", "utf-8")
    nowhere = {"redis": f"redis://127.0.0.1:{free_port()}/0"}
    told = {
        name: brownout(Settings(**(nowhere | more)))
        for name, more in {
            "off": {"brownout": "off"},
            "in vain": {"brownout": "off", "playbooks": plays},
            "wrong": {"brownout": str(rules)},
            "alone": {"brownout": "auto"},
        }.items()
    }
    assert {name: str(check.level) for name, check in told.items()} == {
        "off": "ok", "in vain": "warn", "wrong": "fail", "alone": "warn",
    }  # fmt: skip
    assert "'storm' asks for a brownout" in told["in vain"].seen
    assert "level_max" in told["wrong"].seen
    assert "who leads is not known" in told["alone"].seen


def test_doctor_says_what_ails_a_mapping_and_who_does_not_answer(tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    settings = Settings(ingest=file, port=free_port(), meter=f"127.0.0.1:{free_port()}")
    file.write_text("sources: {gate: {http: true, columns: {ts_ms: {from: at, time: ms}, verdikt: v}}}", "utf-8")
    (told,) = doctor_services.ingest(settings)
    assert (told.level, "verdikt" in told.seen) == ("fail", True)
    file.write_text("sources: {gate: {http: true, columns: {ts_ms: {from: at, time: ms}, verdict: v}}}", "utf-8")
    (told,) = doctor_services.ingest(settings)
    assert (told.level, "gate" in told.seen, "floodwarden ingest" in told.fix) == ("warn", True, True)
    assert not list(doctor_services.ingest(settings.model_copy(update={"ingest": None}))), "who has none needs none"
    absent = doctor_services.meter(settings)
    assert (absent.level, "FLOODWARDEN_METER" in absent.fix) == ("warn", True)


def test_benchmarks_outside_a_checkout_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="checkout"):
        bench.find(tmp_path / "none")


def test_benchmarks_are_found_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text('"""Takes long."""\nraise SystemExit\ndef run():\n    pass\n', "utf-8")
    (tmp_path / "part.py").write_text("X = 1\n", "utf-8")
    assert {name: one.about for name, one in bench.find(tmp_path).items()} == {"slow": "Takes long."}


def test_what_a_client_wrote_cannot_move_the_cursor() -> None:
    assert safe("/\x1b[2Jx\r\n\x9b") == "/\\x1b[2Jx\\x0d\\x0a\\x9b"


def test_a_table_is_a_line_a_row_in_a_pipe_and_has_its_sentences_below_where_they_do_not_fit() -> None:
    columns = ("action", "target", "why")
    rows = [("96e7", "ip:203.0.113.4", "106 of 106 requests in 34 s were for new paths"), ("25", "key:1", "refused")]
    assert lines(columns, rows, None) == lines(columns, rows, 80) == [
        "action  target          why",
        "96e7    ip:203.0.113.4  106 of 106 requests in 34 s were for new paths",
        "25      key:1           refused",
    ]  # fmt: skip
    assert lines(columns, rows, 40) == [
        "action  target",
        "96e7    ip:203.0.113.4",
        "    106 of 106 requests in 34 s were for",
        "    new paths",
        "25      key:1",
        "    refused",
    ]
    assert max(map(len, lines(columns, rows, 18))) <= 18, "a cell is folded only where nothing else helps"


def test_what_is_logged_is_no_part_of_what_a_command_prints() -> None:
    program = """
import sys
import structlog
from floodwarden.__main__ import app, main

@app.command()
def tells() -> None:
    structlog.get_logger("x").warning("heard")
    print("{}")

sys.argv[1:] = ["tells"]
main()
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert told.stdout == "{}\n"
    assert "heard" in told.stderr


@pytest.mark.parametrize("name", ["rules", "bots", "families", "playbooks"])
def test_doctor_looks_at_the_files_that_people_write_and_goes_on(tmp_path: Path, name: str) -> None:
    assert list(doctor_files.files(Settings())) == []
    missing = str(tmp_path / "not-there.yaml")
    settings = Settings(**{name: missing})  # type: ignore[arg-type]
    (check,) = doctor_files.files(settings)
    assert (check.level, f"FLOODWARDEN_{name.upper()}" in check.fix) == ("fail", True)
    assert doctor._model(settings).level in {"ok", "warn"}
