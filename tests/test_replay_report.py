from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from floodwarden.cli_offline import register
from floodwarden.replay import ReplayOptions, records, replay
from floodwarden.report import Findings
from floodwarden.report_html import page
from floodwarden.report_text import show
from floodwarden.simulate.config import Attack, SimulationConfig, every_attack
from floodwarden.simulate.sinks import write
from schemas.settings import Settings

SINGLE_SOURCE = {"brute_force", "probing", "scraper", "hammer"}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALERT = {
    "type",
    "uid",
    "kind",
    "severity",
    "entity",
    "first_ms",
    "last_ms",
    "rule",
    "evidence",
    "contributions",
    "action",
}
SUMMARY = {"decisions", "rejected", "alerts", "actions", "seconds", "decisions_per_second"}
EVALUATION = {
    "incidents", "found", "benign_decisions", "benign_denied", "benign_denied_share", "flash_crowd_denied",
    "time_to_alert_ms", "by_family", "benign_by_case", "alerts_per_day",
}  # fmt: skip


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("no recorded logs beside the repository")
    return DATA


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl.gz"
    config = SimulationConfig(
        seed=3, duration_s=1800, requests_per_s=4, clients=400, attacks=(Attack("brute_force", "medium", 600.0),),
        cases=frozenset({"cgnat", "poller"}),
    )  # fmt: skip
    write(config, str(path))
    return path


@pytest.fixture(scope="module")
def findings(trace: Path) -> Findings:
    return replay([trace], ReplayOptions(), Settings())


def log_of(tmp_path: Path, requests: list[tuple[int, str, str, int, str]]) -> Path:
    """An access log of (second, address, path, status, agent)."""
    path = tmp_path / "access.log"
    path.write_text("".join(
        f'{ip} - - [17/May/2015:10:{s // 60:02d}:{s % 60:02d} +0000] "GET {asked} HTTP/1.1" {status} 1 "-" "{agent}"\n'
        for s, ip, asked, status, agent in requests
    ))  # fmt: skip
    return path


def hostile(tmp_path: Path) -> Path:
    good = [(s, f"198.51.100.{s % 40}", f"/page-{'abcdefgh'[s % 8]}", 200, "Mozilla/5.0") for s in range(0, 600, 2)]
    evil = [
        (s, "203.0.113.9", f"/<script>alert({s})</script>\x1b[31m{s}", 404, "<script>x()</script>")
        for s in range(300, 420)
    ]
    return log_of(tmp_path, sorted(good + evil))


def app() -> typer.Typer:
    made = typer.Typer()
    register(made)
    return made


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_planted_brute_force_is_found_and_nothing_else(findings: Findings) -> None:
    assert {(i.alert.kind, i.alert.entity.value) for i in findings.incidents} == {("guess", "203.0.113.1")}
    (incident,) = findings.incidents
    assert incident.answer is not None
    assert incident.answer.kind == "deny"
    assert incident.answer.created_ms - incident.alert.first_ms < 20_000


def test_json_lines_carry_each_alert_once_each_action_and_last_the_summary(findings: Findings) -> None:
    found = list(records(findings))
    kinds = Counter(record["type"] for record in found)
    assert kinds["alert"] == 1
    assert kinds["action"] >= 1
    assert found[-1]["type"] == "summary"
    assert set(found[-1]) >= SUMMARY
    assert set(found[0]) >= ALERT
    assert found[0]["entity"] == {"kind": "ip", "value": "203.0.113.1"}
    assert found[-1]["decisions"] == findings.decisions


def test_the_command_prints_only_json_lines_and_a_finding_fails_only_when_asked(trace: Path) -> None:
    done = CliRunner().invoke(app(), ["replay", str(trace), "--json"])
    assert done.exit_code == 0
    assert [record["type"] for record in lines_of(done.stdout)][-1] == "summary"
    assert CliRunner().invoke(app(), ["replay", str(trace), "--fail-on-alert"]).exit_code == 1
    assert CliRunner().invoke(app(), ["replay", str(trace), "--format", "cobol"]).exit_code == 2


def test_the_page_fetches_nothing_and_shows_an_attackers_text_as_text(tmp_path: Path) -> None:
    found = replay([hostile(tmp_path)], ReplayOptions(), Settings())
    assert {i.alert.entity.value for i in found.incidents} == {"203.0.113.9"}
    html = page(found)

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "img", "link", "iframe"}
            assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]

    Tags().feed(html)
    assert "<script" not in html
    assert "\x1b" not in html
    assert "203.0.113.9" in html
    assert not re.search(r"https?://", html)


def test_the_terminal_is_shown_no_escape_sequence_of_an_attacker(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=100, color_system=None)
    show(replay([hostile(tmp_path)], ReplayOptions(), Settings()), console)
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "\x1b" not in shown
    assert "203.0.113.9" in shown


def test_a_row_of_a_sample_counts_for_the_requests_it_stands_for(tmp_path: Path) -> None:
    log = tmp_path / "sample.jsonl"
    rows = [{"ts_ms": 1_764_000_000_000 + n, "verdict": "allow", "ip": "192.0.2.1", "status": 200} for n in range(3)]
    rows += [{"ts_ms": 1_764_000_000_003, "verdict": "allow", "ip": "192.0.2.2", "status": 404, "weight": 10}]
    log.write_text("\n".join(map(json.dumps, rows)))
    found = replay([log], ReplayOptions(form="jsonl"), Settings())
    clients = {name: (client.requests, client.errors) for name, client in found.top_clients(5)}
    assert clients == {"192.0.2.2": (10, 10), "192.0.2.1": (3, 0)}
    assert found.decisions == 4


def test_an_empty_log_is_reported_and_not_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("")
    found = replay([empty], ReplayOptions(), Settings())
    assert (found.decisions, found.incidents) == (0, [])
    assert "None" in page(found)
    show(found, Console(file=StringIO()))


def test_an_evaluation_counts_what_was_found_and_who_was_hit(trace: Path) -> None:
    done = CliRunner().invoke(app(), ["evaluate", str(trace), "--json"])
    assert done.exit_code == 0
    (result,) = lines_of(done.stdout)
    assert set(result) >= EVALUATION
    assert (result["incidents"], result["found"], result["benign_denied"]) == (1, 1, 0)
    assert result["by_family"]["brute_force"]["stopped"] > 0.8 * result["by_family"]["brute_force"]["decisions"]
    assert result["time_to_alert_ms"]["p50"] < 20_000
    assert set(result["benign_by_case"]) == {"ordinary", "cgnat", "poller"}


def test_simulate_writes_what_evaluate_reads(tmp_path: Path) -> None:
    to = tmp_path / "trace.arrow"
    made = CliRunner().invoke(
        app(), ["simulate", "--to", str(to), "--duration", "20m", "--attack", "probing:strong@300"]
    )
    assert made.exit_code == 0
    judged = CliRunner().invoke(app(), ["evaluate", str(to)])
    assert judged.exit_code == 0
    assert "1 of 1" in judged.stdout
    assert CliRunner().invoke(app(), ["simulate", "--attack", "slowloris"]).exit_code == 2
    assert CliRunner().invoke(app(), ["simulate", "--duration", "soon"]).exit_code == 2


@pytest.mark.slow
def test_single_source_attacks_of_every_strength_are_found_and_no_good_request_is_denied(tmp_path: Path) -> None:
    to = tmp_path / "trace.arrow"
    attacks = tuple(attack for attack in every_attack() if attack.family in SINGLE_SOURCE)
    write(SimulationConfig(seed=21, duration_s=4 * 3600, attacks=attacks), str(to))
    (result,) = lines_of(CliRunner().invoke(app(), ["evaluate", str(to), "--json"]).stdout)
    assert result["found"] == result["incidents"] == len(attacks)
    assert result["benign_denied"] == 0
    assert result["flash_crowd_denied"] == 0


@pytest.mark.parametrize("name", ["apache_logs", "nasa_19950801.tsv"])
def test_recorded_logs_are_judged_with_few_incidents(data: Path, name: str) -> None:
    found = replay([data / name], ReplayOptions(), Settings())
    assert found.rejects.total == 0
    assert len(found.incidents) <= 10
