"""docs/policies.md: every word of a policy, each example a policy, and the ten minutes as they are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from limiter_world import settings
from servers import ROOT
from typer.testing import CliRunner

from floodwarden.cli import app
from limiter import policy_file
from limiter.algorithms.shape import ALGORITHMS
from limiter.facts import who_of
from limiter.http import create_app
from limiter.limit_file import WORDS
from limiter.lint import warnings
from limiter.policy import State
from limiter.service import Service
from limiter.when_file import KNOWN

PAGE = (ROOT / "docs" / "policies.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def read(example: str) -> policy_file.Reading:
    text = example if example.startswith("version:") else "version: 1\n" + example
    return policy_file.reading(policy_file.documents(text.encode(), "p.yaml"))


def words(heading: str) -> set[str]:
    """The words of the table that begins with `heading`."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return {word for line in table.splitlines() if line.startswith("| `") for word in _named(line.split("|")[1])}


def _named(cell: str) -> Iterator[str]:
    return (word.partition(":")[0] for word in re.findall(r"`([^`]+)`", cell))


def test_every_word_has_its_line_and_no_line_is_of_a_word_that_is_none() -> None:
    limits, file = PAGE.split("## The file")
    assert words("word | when left out") == set(WORDS)
    of_file = {re.findall(r"`(\w+)`", line)[0] for line in file.splitlines() if line.startswith("| `")}
    assert of_file == set(policy_file.WORDS)
    assert words("`algorithm` | tells") == set(ALGORITHMS)
    assert words("word of `when`") == {word.partition(":")[0] for word in KNOWN} | {"header", "descriptor", "attribute"}
    for state in State:
        assert f"`{state}`" in limits
    for member in (*policy_file.MEMBERS, "factor", "levels", "critical"):
        assert f"`{member}`" in file


def test_every_kind_of_per_that_is_told_of_is_one() -> None:
    told = PAGE.partition("**`per`** is")[2].partition("**A request")[0]
    kinds = [kind.replace("NAME", "x") for kind in re.findall(r"`([^`]+)`", told)]
    assert len(kinds) == 13
    for kind in kinds:
        who_of(kind)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_policy_that_means_what_it_says(example: str) -> None:
    found = read(example)
    assert found.errors == []
    doubts = [each.reason for each in warnings(found, 1_764_000_000_000)]
    assert [doubt for doubt in doubts if not doubt.startswith("lets requests that no limit is for")] == []


def test_examples_show_every_algorithm_and_state() -> None:
    shown = [each.limit for example in EXAMPLES for each in read(example).limits]
    assert {each.shape.algorithm for each in shown} == set(ALGORITHMS)
    assert {each.state for each in shown} == set(State)


def test_what_is_left_out_is_as_the_page_says() -> None:
    (made,) = read("limits: [ { name: a, per: ip, rate: 5/s } ]").limits
    alike = "burst: 5, algorithm: token_bucket, lease: on, cost: 1, state: enabled, route: '*'"
    (said,) = read(f"limits: [ {{ name: a, per: ip, rate: 5/s, {alike} }} ]").limits
    assert made.limit == said.limit
    (queue, same) = read(
        "limits: [ { name: a, per: ip, algorithm: leaky_bucket, rate: 5/s },"
        " { name: b, per: ip, algorithm: leaky_bucket, rate: 5/s, queue: 4 } ]"
    ).limits
    assert queue.limit.shape == same.limit.shape
    policy = read("tiers: { a: {}, b: {} }").policy
    assert (policy.name, policy.default_tier, policy.anonymous_tier, policy.default) == ("policy", "a", "a", ())
    assert [level.factor_ppm for level in policy.brownout.levels] == [750_000, 500_000, 250_000, 100_000]
    assert list(read("limits: []").policy.tiers) == ["default"]


def test_lint_says_of_the_mistake_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("limits.yaml").write_text(EXAMPLES[0].replace("burst: 5 }", "brust: 5 }"))
    told = CliRunner().invoke(app, ["policy", "lint", "limits.yaml"]).stdout.splitlines()
    shown = [line.strip() for line in PAGE.partition("policy lint limits.yaml\n")[2].splitlines()[:2]]
    assert told[0].startswith(shown[0].removesuffix("..."))
    assert told[1] == shown[1]


@pytest.mark.integration
async def test_the_sixth_login_is_refused_as_the_page_shows(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text(EXAMPLES[0])
    question = re.findall(r"-d '(.*?)'", PAGE)[0]
    async with Service(settings(redis_url, policies=tmp_path / "limits.yaml")) as service:
        transport = httpx.ASGITransport(create_app(service, owns=False))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            told = [(await client.post("/v1/check", content=question.encode())).text for _ in range(6)]
    assert [text.startswith('{"allowed":true') for text in told] == [True] * 5 + [False]
    shown = PAGE.partition("/login\"}'\n")[2].partition("...")[0]
    settled = re.sub(r'"(memory|shared)"|t=\d+|"retry-after":"\d+"', "_", "".join(shown.split()))
    assert re.sub(r'"(memory|shared)"|t=\d+|"retry-after":"\d+"', "_", told[-1]).startswith(settled)
