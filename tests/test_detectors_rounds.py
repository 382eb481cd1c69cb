"""A newcomer that goes round and round between the same few things: archives fetched over and over, pairs compared."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, closed, flows, site

from detectors import artifact
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from detectors.families import Families
from detectors.family_file import built_in, parse
from schemas.reading import FileError

CRAWLER = 9_900
AT_MS = 3_000_000


def tag() -> int:
    """The bit that says: read, and not signed in."""
    (family,) = [one for one in built_in() if one.name == "rounds"]
    return 1 << family.tag


def reading(
    path: np.ndarray, entity: int = CRAWLER, every_ms: int = 4000, tags: int | None = None, agent: object = 3
) -> Flows:
    return flows(
        len(path), entity=entity, route=55, path=path, t_ms=AT_MS + np.arange(len(path)) * every_ms,
        tags=tag() if tags is None else tags, agent=agent,
    )  # fmt: skip


def told(*parts: Flows, step_s: int = 5400) -> list[Finding]:
    found = closed(Engine(artifact.load()), Flows.concat([site(3), *parts]), step_s)
    return [one for one in found if one.family == "rounds"]


@pytest.mark.parametrize("step_s", [5400, 20])
def test_archives_fetched_round_and_round_are_told_of_and_nobody_is_answered(step_s: int) -> None:
    found = told(reading(7_000 + np.arange(120) % 8), step_s=step_s)
    assert {one.entity for one in found} == {CRAWLER}
    assert {one.answer for one in found} == {"notice"}
    assert found[0].at_s * 1000 - T0_S * 1000 - AT_MS < 70 * 4000


def test_two_pages_asked_for_by_turns_are_rounds_and_one_page_polled_is_none() -> None:
    assert told(reading(7_000 + np.arange(120) % 2))
    assert not told(reading(np.full(400, 7_000)))


def test_who_reads_on_and_comes_back_in_between_goes_no_rounds() -> None:
    g = np.random.default_rng(4)
    walks = np.where(g.random(300) < 0.5, 7_000, 8_000 + np.arange(300))
    assert not told(reading(walks))


def test_an_address_that_many_share_goes_no_rounds() -> None:
    g = np.random.default_rng(5)
    assert not told(reading(7_000 + g.integers(0, 8, 300), agent=g.integers(1, 17, 300)))


def test_who_is_signed_in_is_not_looked_at() -> None:
    assert not told(reading(7_000 + np.arange(120) % 8, tags=0))


@pytest.mark.parametrize("mark", ["{outcome: ok}", "{again: route}"])
def test_turns_are_marked_by_what_was_asked_for_before_and_nothing_else(mark: str) -> None:
    text = f"""
version: 1
families:
  - name: circles
    what: circles
    about: [ip]
    opportunity: {{each: turn}}
    mark: {mark}
    answer: {{ip: notice}}
    severity: low
    usual: 0.5
"""
    with pytest.raises(FileError):
        parse(text.encode(), "own.yml")


def test_again_is_no_mark_of_requests() -> None:
    families: Families = built_in()
    assert [one.name for one in families if one.mark.again] == ["rounds"]
    text = b"""
version: 1
families:
  - name: circles
    what: circles
    about: [ip]
    opportunity: {each: request}
    mark: {again: path}
    answer: {ip: notice}
    severity: low
    usual: 0.5
"""
    with pytest.raises(FileError, match="again: path"):
        parse(text, "own.yml")
