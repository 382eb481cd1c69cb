"""From decisions to alerts of rules: whose requests they are, who is spared; batching and restarts change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rule_blocks import PLAN, blocks

from detectors.artifact import defaults
from detectors.rule_file import gathered
from detectors.rules import Ruleset
from schemas import codec
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.settings import Settings
from schemas.usage import NO_HITS
from stream import rule_source
from stream.pipeline import Config, Pipeline
from stream.plan import Plan
from stream.rule_book import RuleBook

T0_MS = 1_767_571_200_000
SHELL = "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def row(at_ms: int = 0, **fields: Any) -> Decision:
    plain = {"verdict": "allow", "ip": "203.0.113.9", "method": "GET", "route": "/x", "path": "/x", "status": 404}
    return Decision(ts_ms=T0_MS + at_ms, **plain | fields)


def pipeline(rules: Ruleset = PLAN.rules) -> Pipeline:
    return Pipeline(defaults(), Config(lateness_ms=0, rules=rules))


def alerts(rows: Sequence[Decision], plan: Plan = PLAN, size: int = 1000, *, peek: bool = False) -> list[Alert]:
    """Of rules alone."""
    pipe = pipeline(plan.rules)
    found = pipe.step(blocks(rows, plan, size), T0_MS, peek=peek) + pipe.finish()
    return [a for a in found if plan.rules.index(a.kind) >= 0]


def opened(found: Sequence[Alert]) -> list[tuple[str, str, str]]:
    return [(a.kind, a.entity.value, a.answer.value) for a in found if a.status.value == "open"]


def test_one_exploit_is_an_alert_with_its_path_its_sign_and_its_ids() -> None:
    (alert,) = (a for a in alerts([row(path=SHELL, status=200)]) if a.status.value == "open")
    assert (alert.kind, alert.entity.value, alert.answer.value) == ("exploit", "203.0.113.9", "deny")
    assert alert.behaviour == "http:exploit/phpunit"
    assert {"CVE-2017-9841", "T1190"} <= set(alert.ids)
    assert SHELL in alert.summary
    assert "PHPUnit's helper runs what is posted (CVE-2017-9841)" in alert.summary
    assert any("answered below 400" in fact.sentence for fact in alert.evidence), "it may have worked"
    assert alert.avoid
    assert alert.rule == "exploit/1"


def test_what_we_refused_ourselves_is_no_evidence() -> None:
    assert alerts([row(path=SHELL, verdict=verdict) for verdict in ("deny", "challenge")]) == []
    assert opened(alerts([row(path=SHELL, verdict="limit", status=429)]))


def test_a_request_is_its_accepted_keys_and_else_its_addresses() -> None:
    accepted = row(path=SHELL, key_id="k1", status=200)
    refused = row(path=SHELL, key_id="k2", ip="203.0.113.10", status=401)
    found = alerts([accepted, refused])
    assert {(a.entity.kind.value, a.entity.value) for a in found} == {("key", "k1"), ("ip", "203.0.113.10")}


def test_a_client_with_a_history_is_throttled_for_what_a_newcomer_is_denied_for() -> None:
    """Two hours of good requests; whether somebody is known is settled on the hour, live as in replay."""
    past = [row(minute * 60_000, path=f"/items/{minute % 5}", status=200) for minute in range(150)]
    rows = [*past, row(151 * 60_000, path=SHELL), row(151 * 60_000, ip="203.0.113.10", path=SHELL)]
    for size in (1000, 7):
        assert sorted(opened(alerts(rows, size=size))) == [
            ("exploit", "203.0.113.10", "deny"),
            ("exploit", "203.0.113.9", "throttle"),
        ]


@pytest.mark.parametrize(
    ("ip", "found"),
    [("192.0.2.1", []), ("203.0.113.9", ["exploit", "spoofed-bot"])],
)
def test_a_crawler_from_its_published_range_is_spared_and_who_takes_its_name_is_told(
    tmp_path: Path, ip: str, found: list[str]
) -> None:
    (tmp_path / "googlebot.json").write_text('{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}')
    plan = rule_source.plan_of(Settings(bots=tmp_path))
    rows = [row(at, ip=ip, ua=GOOGLE, path=path, status=200) for at, path in enumerate(("/a", "/b", SHELL))]
    assert sorted({kind for kind, *_ in opened(alerts(rows, plan))}) == found


def traffic() -> list[Decision]:
    """A scanner, a speller of wrong paths, a user agent that changes, and people."""
    random = np.random.default_rng(3)
    rows = [
        row(int(at), ip=f"198.51.100.{at % 40}", path=f"/items/{at % 90}", status=200, ua="people")
        for at in range(0, 20_000, 37)
    ]
    rows += [
        row(int(at), path=f"/.{name}", ua="curl")
        for at, name in zip(
            random.integers(0, 9_000, 12), ["env", "git/HEAD", "aws/credentials", "ssh/id_rsa"] * 3, strict=True
        )
    ]
    rows += [row(3000 + 90 * i, ip="203.0.113.20", ua=f"agent {i % 14}", status=400) for i in range(40)]
    rows += [row(5000 + 200 * i, ip="203.0.113.30", path=f"/wp-content/plugins/p{i}/readme.txt") for i in range(9)]
    rows += [row(7000 + i, ip="203.0.113.40", path=f"/q?a=<script>{i}") for i in range(70)]
    return sorted(rows, key=lambda r: r.ts_ms)  # fmt: skip


def said(found: Sequence[Alert]) -> list[str]:
    return [
        a.model_dump_json(exclude={"live_clients", "good_clients", "accounts", "addresses", "established"})
        for a in found
        if a.status.value in ("open", "closed")
    ]


def test_the_same_decisions_give_the_same_alerts_however_they_are_cut_and_after_a_restart() -> None:
    rows = traffic()
    whole = alerts(rows, size=10_000)
    kinds = {a.kind for a in whole}
    assert kinds == {"sensitive-files", "switching-agents", "wordpress-scan", "xss"}
    for size in (400, 41):
        assert said(alerts(rows, size=size)) == said(whole)
    made = blocks(rows, size=41)
    pipe, found = pipeline(), []
    for block in made:
        found += pipe.step([codec.decode_block(codec.encode_block(block))], T0_MS, peek=False)
        pipe = Pipeline.restore(defaults(), Config(lateness_ms=0, rules=PLAN.rules), pipe.snapshot())
    found += pipe.finish()
    assert said([a for a in found if PLAN.rules.index(a.kind) >= 0]) == said(whole)


def test_it_is_told_on_the_open_pane_under_the_name_the_closed_one_gives_it() -> None:
    rows = [row(0, path="/a", status=200), row(300, path=SHELL)]
    pipe = pipeline()
    early = opened(pipe.step(blocks(rows), T0_MS))
    assert early == [("exploit", "203.0.113.9", "deny")]
    assert pipe.step([], T0_MS) == []
    again = pipe.finish()
    assert [a.status.value for a in again] == ["closed"]


def test_a_snapshot_of_before_there_were_rules_is_taken_up() -> None:
    pipe = Pipeline(defaults(), Config(lateness_ms=0))
    pipe.step(blocks([row(status=200)]), T0_MS, peek=False)
    again = Pipeline.restore(defaults(), Config(lateness_ms=0, rules=PLAN.rules), pipe.snapshot())
    more = [replace(block, start=1, end=2) for block in blocks([row(5000, path=SHELL)])]
    assert opened(again.step(more, T0_MS))


def test_hits_of_a_rule_that_a_worker_does_not_have_are_left_out_and_counted() -> None:
    pipe = pipeline(gathered([("mine.yaml", b"rules: [{name: mine, means: x, where: {status: 500}, answer: deny}]")]))
    assert pipe.step(blocks([row(path=SHELL, status=200)]), T0_MS) == []
    assert pipe.sizes()["unknown_hits"] == 1


def test_a_block_without_hits_is_as_it_was_and_one_with_hits_is_read_without_them_by_who_does_not_know_them() -> None:
    with_hits, without = blocks([row(path=SHELL, status=200)])[0], blocks([row(status=200)])[0]
    assert with_hits.hits.num_rows == 1
    assert without.hits.num_rows == 0
    value = codec.encode_block(with_hits)
    assert value.startswith(codec.encode_block(replace(with_hits, hits=NO_HITS))), "older readers end there"
    assert codec.decode_block(value) == with_hits
    assert codec.decode_block(codec.encode_block(without)) == without


def test_errors_that_applications_make_as_a_matter_of_course_are_counted_but_no_evidence() -> None:
    rows = [row(at, path=f"/apps/mail/api/avatars/url/{at}", route="/apps/mail/**") for at in range(30)]
    (block,) = blocks(rows)
    assert set(block.flows.column("outcome").to_pylist()) == {0}
    assert sum(block.counts.column("client_error").to_pylist()[:1]) == 30
    (login,) = blocks([row(path="/login", route="/login", method="POST", status=401)])
    assert login.flows.column("outcome").to_pylist() == [1]


def test_open_hits_are_bounded_whoever_comes_and_those_that_go_are_counted() -> None:
    book = RuleBook(PLAN.rules, replace(Config().bounds, hits=50))
    crowd = blocks([row(0, ip=f"10.0.0.{i}", path=SHELL, status=200) for i in range(80)], size=20)
    gone = [book.add(block.hits, 0) for block in crowd]
    assert book.sizes()["open_hits"] <= 50
    assert sum(gone) + book.sizes()["open_hits"] == 80


def test_a_long_silence_after_a_hit_is_closed_in_few_steps() -> None:
    book = RuleBook(PLAN.rules, Config().bounds)
    book.add(blocks([row(path=SHELL, status=200)])[0].hits, 0)
    at_s = T0_MS // 1000
    assert book.steps(at_s, at_s + 10**9) == [at_s + 3600, at_s + 10**9]
    assert book.steps(0, at_s + 5) == [at_s, at_s + 5], "T0 begins an hour"


def test_a_jump_over_many_hours_says_what_they_say_one_by_one() -> None:
    rows = [row(hour * 3_600_000 + i, ip=f"203.0.113.{hour % 7}", path=SHELL) for hour in range(30) for i in range(2)]
    assert alerts(rows, size=1000) == alerts(rows, size=1)
    book = RuleBook(PLAN.rules, Config().bounds)
    book.add(blocks(rows)[0].hits, 0)
    last_s = T0_MS // 1000 + 29 * 3600
    for end_s in book.steps(0, last_s):
        book.close(end_s, lambda owners, _: np.zeros(len(owners), np.bool_))
    book.add(blocks(rows[:2])[0].hits, last_s)
    assert book.panes() == [last_s, last_s], "the last hour's, and what came late, which counts there"
