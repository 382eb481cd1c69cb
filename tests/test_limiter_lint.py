"""`floodwarden policy lint`: what a policy says that its author hardly means, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from floodwarden.cli import app
from limiter.lint import WARNINGS_MAX, warnings
from limiter.policy_file import examine

NOW_MS = 1_764_000_000_000
EVERY = "  - { name: every, per: ip, rate: 50/s, burst: 200 }\n"


def lint(tmp_path: Path, limits: str, more: str = "") -> list[tuple[int, str]]:
    (tmp_path / "p.yaml").write_text(f"version: 1\nlimits:\n{limits}{more}")
    found = examine(tmp_path / "p.yaml")
    assert found.errors == []
    return [(each.line, each.reason) for each in warnings(found, NOW_MS)]


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("{ name: b, per: ip, rate: 50/s, burst: 200 }", "says the same as 'every'"),
        ("{ name: b, per: ip, rate: 60/s, burst: 300, route: /a }", "never decides: 'every'"),
        ("{ name: b, per: ip, rate: 50/s, burst: 300, when: { tenant: acme } }", "never decides: 'every'"),
        ("{ name: b, per: ip, rate: 9/s, when: { until: 2024-01-01T00:00:00Z } }", "has ended"),
        ("{ name: b, per: ip, rate: 9/s, state: canary, share: 0 }", "for nobody"),
        ("{ name: b, per: ip, rate: 9/s, state: canary, share: 1 }", "for everybody"),
        ("{ name: b, per: header:x-app, rate: 9/s }", "counts by what a client says itself"),
        ("{ name: b, per: ip, rate: 9/s, group: g }", "alone in the group 'g'"),
    ],
)
def test_what_a_limit_hardly_means_is_told_with_its_line(tmp_path: Path, limit: str, says: str) -> None:
    ((line, reason),) = lint(tmp_path, EVERY + f"  - {limit}\n")
    assert line == 4
    assert says in reason


@pytest.mark.parametrize(
    "limit",
    [
        "{ name: b, per: ip, rate: 40/s, burst: 300 }",  # slower
        "{ name: b, per: ip, rate: 60/s, burst: 100 }",  # a smaller burst
        "{ name: b, per: key, rate: 50/s, burst: 200 }",  # of others
        "{ name: b, per: ip, rate: 99/s, algorithm: fixed_window }",  # counted otherwise
        "{ name: b, per: ip, rate: 99/s, state: shadow }",  # only told of
        "{ name: b, per: ip+user, rate: 9/s, when: { until: 2030-01-01T00:00:00Z } }",
    ],
)
def test_a_limit_that_may_decide_is_no_warning(tmp_path: Path, limit: str) -> None:
    assert lint(tmp_path, EVERY + f"  - {limit}\n") == []


@pytest.mark.parametrize("route", ["/api/{id}", "/api/v1/items", "GET /api/*", "/api/v1/*", "/api/*/items"])
def test_a_limit_within_the_pattern_of_a_stricter_one_never_decides(tmp_path: Path, route: str) -> None:
    wide = '  - { name: wide, per: key, rate: 9/s, burst: 9, route: "/api/*" }\n'
    within = f'  - {{ name: b, per: key, rate: 10/s, burst: 20, route: "{route}" }}\n'
    ((line, reason),) = lint(tmp_path, EVERY + wide + within)
    assert (line, reason) == (5, "never decides: 'wide' is stricter wherever it applies")
    assert lint(tmp_path, EVERY + wide + within.replace("/api/", "/apis/")) == []


def test_in_a_group_who_never_wins_and_who_ties_is_told(tmp_path: Path) -> None:
    told = lint(
        tmp_path,
        EVERY + "  - { name: top, per: key, rate: 9/s, group: g, priority: 2 }\n"
        "  - { name: never, per: key, rate: 9/s, group: g, priority: 1, when: { tenant: acme } }\n"
        "  - { name: tie, per: key, rate: 8/s, group: g, priority: 2 }\n",
    )
    assert [line for line, _ in told] == [5, 6]
    assert "never applies: 'top' wins" in told[0][1]
    assert "has the priority of 'top'" in told[1][1]


def test_an_exception_of_higher_priority_is_no_warning(tmp_path: Path) -> None:
    told = lint(
        tmp_path,
        EVERY + "  - { name: usual, per: key, rate: 9/s, group: g }\n"
        "  - { name: partner, per: key, rate: 99/s, group: g, priority: 1, when: { tenant: acme } }\n",
    )
    assert told == []


def test_a_tiers_own_numbers_keep_a_limit_from_being_idle(tmp_path: Path) -> None:
    tiers = "tiers: { usual: {}, slow: { limits: { b: { rate: 1/s } } } }\n"
    assert lint(tmp_path, EVERY + "  - { name: b, per: ip, rate: 99/s, burst: 300 }\n", tiers) == []


def test_clients_on_both_lists_or_twice_on_one_are_told(tmp_path: Path) -> None:
    more = (
        "allow:\n  - 203.0.113.0/24\n  - key:2c26b46b68ffc68f\n"
        "deny:\n  - 203.0.113.7\n  - key:2c26b46b68ffc68f\n  - 198.51.100.0/24\n  - 198.51.100.9\n"
        "  - user:eve\n  - user:eve\n"
    )
    told = lint(tmp_path, EVERY, more)
    assert sorted(line for line, _ in told) == [8, 9, 11, 13]
    assert "wins" in told[0][1]


def test_a_policy_without_a_default_says_what_is_unlimited(tmp_path: Path) -> None:
    login = "  - { name: login, per: ip, rate: 1/s, route: /login }\n"
    assert [reason for _, reason in lint(tmp_path, login)] == ["lets requests that no limit is for pass unlimited"]
    assert lint(tmp_path, login, "default: [ { name: rest, per: ip, rate: 9/s } ]\n") == []


def test_a_default_that_no_request_is_left_for_is_told(tmp_path: Path) -> None:
    some = "default: [ { name: rest, per: network, rate: 9/s }, { name: keys, per: key, rate: 9/s } ]\n"
    assert lint(tmp_path, EVERY, some) == [(4, "never applies: 'every' is for each of its requests")]
    everybody = "  - { name: all, per: global, rate: 9/s }\n"
    assert [line for line, _ in lint(tmp_path, everybody, some)] == [4, 4]
    assert lint(tmp_path, EVERY.replace("}", ", route: /a }"), some) == []


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("allow: [ key:sk_live_4eC39HqLyjWD ]\n", 4),
        ("tiers: { gold: { keys: [ sk_live_4eC39HqLyjWD ] } }\n", 4),
        ("  - { name: b, per: key, rate: 9/s, when: { key: sk_live_4eC39HqLyjWD } }\n", 4),
    ],
)
def test_a_key_where_a_key_id_belongs_is_told_and_not_repeated(tmp_path: Path, more: str, line: int) -> None:
    ((at, reason),) = lint(tmp_path, EVERY, more)
    assert at == line
    assert "no key id" in reason
    assert "sk_live" not in reason
    assert lint(tmp_path, EVERY, more.replace("sk_live_4eC39HqLyjWD", "9f86d081884c7d65")) == []


@pytest.mark.parametrize(
    ("routes", "route", "counted"),
    [
        ('"/items/{item}"', "/items/{id}", "/items/{item}"),
        ('"/items"', "/items/", "/items"),
        ('"POST /items/{item}"', "POST /items/{id}", "/items/{item}"),
        ("/other", "/items/{id}.json", "/items/{id}"),
    ],
)
def test_a_limit_whose_requests_are_counted_under_another_template_is_told(
    tmp_path: Path, routes: str, route: str, counted: str
) -> None:
    limit = f'  - {{ name: b, per: ip, rate: 9/s, route: "{route}" }}\n'
    ((line, reason),) = lint(tmp_path, EVERY + limit, f"routes: [ {routes} ]\n")
    assert line == 4
    assert reason.endswith(f"are counted under {counted}")
    assert lint(tmp_path, EVERY + limit.replace(route, counted), f"routes: [ {routes} ]\n") == []


def test_everything_wrong_is_told_not_only_the_first_of_a_section(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "version: 1\nroutes: [ a, b ]\nlimits:\n"
        f"{EVERY}  - {{ name: b, per: ip }}\n"
        "allow: 192.0.2.1\ndeny: [ 10.0.0.256, 'key:' ]\n"
        "tiers: { a: { factor: x }, b: { limits: { evry: { rate: 1/s } } } }\n"
    )
    (tmp_path / "q.yaml").write_text("version: 2\n")
    found = examine(tmp_path).errors
    assert [(Path(each.file).name, each.line) for each in found] == [
        ("p.yaml", 5),
        ("p.yaml", 2),
        ("p.yaml", 2),
        ("p.yaml", 6),
        ("p.yaml", 7),
        ("p.yaml", 7),
        ("q.yaml", 1),
    ]
    (tmp_path / "q.yaml").unlink()
    (tmp_path / "p.yaml").write_text(
        f"version: 1\nlimits:\n{EVERY}tiers: {{ a: {{ factor: x }}, b: {{ limits: {{ evry: {{ rate: 1/s }} }} }} }}\n"
    )
    assert [each.field for each in examine(tmp_path).errors] == ["policy.tiers.a.factor", "policy.tiers.b.limits.evry"]
    assert "did you mean `every`?" in examine(tmp_path).errors[1].fix


def test_warnings_have_a_bound(tmp_path: Path) -> None:
    many = "".join(f"  - {{ name: l{n}, per: ip, rate: 50/s, burst: 200 }}\n" for n in range(WARNINGS_MAX + 50))
    assert len(lint(tmp_path, EVERY + many)) == WARNINGS_MAX


def test_the_command_tells_errors_and_warnings_and_fails_on_errors_only(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        f"version: 1\nlimits:\n{EVERY}  - {{ name: b, per: ip, rate: 99/s, burst: 300 }}\n"
    )
    fine = CliRunner().invoke(app, ["policy", "lint", str(tmp_path), "--json"])
    assert fine.exit_code == 0
    told = json.loads(fine.stdout)
    assert (told["ok"], told["limits"], told["errors"]) == (True, 2, [])
    assert told["warnings"][0] | {"reason": "", "fix": ""} == {
        "file": str(tmp_path / "p.yaml"),
        "line": 4,
        "field": "policy.limits[1]",
        "reason": "",
        "fix": "",
    }
    (tmp_path / "p.yaml").write_text(
        "version: 1\nlimits:\n  - { name: b, per: ip }\n  - { name: B, per: ip, rate: 1/s }\n"
    )
    bad = CliRunner().invoke(app, ["policy", "lint", str(tmp_path)])
    assert bad.exit_code == 1
    lines = bad.stdout.splitlines()
    assert lines[0].startswith(f"error    {tmp_path}/p.yaml:3: policy.limits[0]: has no `rate`")
    assert lines[1].startswith(f"error    {tmp_path}/p.yaml:4: policy.limits[1].name: ")
    absent = CliRunner().invoke(app, ["policy", "lint", str(tmp_path / "absent.yaml")])
    assert absent.exit_code == 2, "a wrong path is wrong usage"
