"""What levels of a brownout cost whom, and the words of the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from enforcer.brownout import Health, Rules, State
from enforcer.shedder import as_told
from floodwarden.brownout_cost import CRITICAL, OTHERS, cost
from floodwarden.cli import app
from floodwarden.cli_brownout import site_lines
from limiter import policy_file
from schemas.decision import Decision

ROOT = Path(__file__).parent.parent
EXAMPLE = policy_file.load(ROOT / "deploy/policies/example.yaml")
NOW_MS = 1_800_000_000_000


def site_of(health: Health) -> list[str]:
    return site_lines(as_told(State(), health, health.load(Rules()), Rules(), NOW_MS, acts=True))


def asked(n: int, **of: object) -> Decision:
    fields = {"verdict": "allow", "method": "GET", "route": "/items", "path": "/items", "ip": f"10.0.{n % 250}.1"}
    return Decision(ts_ms=NOW_MS + 100 * n, **(fields | of))  # type: ignore[arg-type]


def test_each_class_is_charged_what_the_policy_says_of_it_and_critical_ones_nothing() -> None:
    rows = [
        *(asked(n) for n in range(1_000)),
        *(asked(n, key_id=f"{n % 250:016x}", tier="free") for n in range(500)),
        *(asked(n, method="POST", route="/checkout", path="/checkout") for n in range(100)),
    ]
    found = cost(EXAMPLE, rows)
    assert {name: each.requests for name, each in found.classes.items()} == {
        "anonymous": 1_000,
        "free": 500,
        CRITICAL: 100,
    }
    anonymous, free = found.classes["anonymous"], found.classes["free"]
    assert [refused / 1_000 for refused in anonymous.refused] == pytest.approx([0, 0, 0.3, 0.7, 1], abs=0.1)
    assert [refused / 500 for refused in free.refused] == pytest.approx([0, 0, 0, 0.3, 0.7], abs=0.1)
    assert found.classes[CRITICAL].refused == [0, 0, 0, 0, 0]
    assert found.total.requests == 1_600
    assert found.unseen == ("batch",)


def test_what_lower_limits_refuse_is_counted_and_what_is_refused_already_shows_as_now() -> None:
    rows = [
        Decision(ts_ms=NOW_MS + 8 * n, verdict="allow", method="GET", route="/items", ip="192.0.2.9", key_id="a" * 16,
                 tier="standard")
        for n in range(2_000)
    ]  # fmt: skip
    refused = cost(EXAMPLE, rows).classes["paid"].refused
    assert refused[0] > 0, "125 a second, where an address may ask 50"
    assert refused == sorted(refused)
    assert refused[3] > refused[0] + 200


def test_rows_stand_for_their_weight_and_those_denied_for_other_reasons_are_left_out() -> None:
    policy = policy_file.parse(b"version: 1\nbrownout: { levels: { 1: { factor: 0.5 } } }\n", "p.yaml")
    rows = [asked(1, weight=40), asked(2, verdict="deny", rule="guess/1"), asked(3, verdict="deny", rule="brownout:x")]
    assert {name: each.requests for name, each in cost(policy, rows).classes.items()} == {OTHERS: 41}
    assert cost(policy, []).total.requests == 0


def test_the_file_of_rules_is_looked_over_by_the_command(tmp_path: Path) -> None:
    fine = CliRunner().invoke(app, ["brownout", "lint", str(ROOT / "deploy/brownout.yaml")])
    assert (fine.exit_code, "for at most 3600 s" in fine.output) == (0, True)
    (tmp_path / "b.yaml").write_text("version: 1\nenter: { errors: 2 }\n")
    wrong = CliRunner().invoke(app, ["brownout", "lint", str(tmp_path / "b.yaml")])
    assert wrong.exit_code == 1
    assert "b.yaml:2: brownout.enter.errors: '2' is no number we can take" in wrong.output


def test_a_site_that_few_ask_is_told_that_its_latency_begins_nothing() -> None:
    assert "  of fewer than 30 timed requests a second latency begins nothing" in site_of(Health(60, 5.0, 0, 112, 28))
    assert "begins nothing" not in "".join(site_of(Health(500, 5.0, 0, 112, 28)))


def test_a_share_is_told_in_percent_like_what_it_is_held_against() -> None:
    (line,) = [line for line in site_of(Health(500, 5.0, 0.31, 240.0, 50.0, 96.0)) if "fail" in line]
    assert line == "  31.0% of them fail (too much from 20%, calm up to 5%)"
