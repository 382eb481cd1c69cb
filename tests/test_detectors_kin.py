"""Another address of a crawler that is known goes on; who only has its name, or is faster, does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from detectors_traffic import T0_S, closed, flows, site

from detectors import kin
from detectors.artifact import Model, load
from detectors.columns import IP, Finding, Flows
from detectors.evidence import Engine
from detectors.pairs import mix

HOUR_S: Final = 3600
BOT, BROWSER = 501, 502
HERE, ELSEWHERE = 801, 802
OLD: Final = 7_001
NEW: Final = 7_002


def introduced(model: Model) -> Model:
    """`model` with a crawler in it that was there on the day it learned from."""
    p0 = np.array([[0.999 if family.name in ("sweep", "novel") else 0.0 for family in model.families]])
    owner = mix(np.array([OLD], np.uint64), np.array([IP], np.uint64))
    return replace(model, regulars=owner, regulars_p0=p0)


MODEL: Final = introduced(load())


def walk(
    entity: int, at_s: float, n: int, every_s: float, *, agent: int = BOT, network: int = HERE, outcome: int = 0
) -> Flows:
    """One address that asks for page after page and comes back to none."""
    t_ms = (at_s * 1000 + np.arange(n) * every_s * 1000).astype(np.int64)
    path = 1_000_000 * entity + np.arange(n)
    return flows(n, entity=entity, t_ms=t_ms, path=path, agent=agent, network=network, outcome=outcome)


def crawler(hours: int = 2) -> Flows:
    """The one that is known, a page in two seconds."""
    return walk(OLD, 0, hours * HOUR_S // 2, 2.0)


def swept(parts: list[Flows], step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    found = closed(Engine(MODEL), Flows.concat([site(3, span_s=3 * HOUR_S, requests=4_000), *parts]), step_s, restart_s)
    return [finding for finding in found if finding.family == "sweep"]


def entities(found: list[Finding]) -> set[int]:
    return {finding.entity for finding in found}


def test_another_address_of_a_known_crawler_walks_on() -> None:
    new = walk(NEW, 2 * HOUR_S, 600, 3.0)
    assert entities(swept([new])) == {NEW}, "a stranger who walks so is one who sweeps"
    assert entities(swept([crawler(3), new])) == set()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"network": ELSEWHERE}, "anybody can say its name"),
        ({"agent": BROWSER}, "its network has other tenants"),
        ({"network": 0, "agent": 0}, "what says nothing is like nobody"),
        ({"every_s": 0.5}, "it is faster than the one it is like"),
    ],
)
def test_who_is_not_like_it_is_found(what: dict[str, float], told: str) -> None:
    asked: dict[str, float] = {"every_s": 3.0} | what
    assert entities(swept([crawler(3), walk(NEW, 2 * HOUR_S, 600, **asked)])) == {NEW}, told  # type: ignore[arg-type]


def test_nobody_is_like_a_crawler_that_is_itself_a_newcomer() -> None:
    began_s = 2 * HOUR_S - 900
    assert entities(swept([walk(OLD, began_s, 400, 2.0), walk(NEW, 2 * HOUR_S, 600, 3.0)])) == {NEW}


def test_nobody_is_like_one_that_was_answered() -> None:
    lost = replace(walk(OLD + 2, HOUR_S + 600, 60, 1.0, outcome=2), entity=np.full(60, OLD, np.uint64))
    assert entities(swept([crawler(), lost, walk(NEW, 2 * HOUR_S, 600, 3.0)])) == {NEW}


def test_it_is_the_same_whatever_the_batching_and_after_a_restart() -> None:
    parts = [crawler(3), walk(NEW, HOUR_S, 600, 3.0), walk(NEW + 1, HOUR_S + 300, 900, 0.5)]
    whole = swept(parts)
    assert entities(whole) == {NEW + 1}
    assert swept(parts, step_s=60) == whole
    assert swept(parts, restart_s=HOUR_S + 600) == whole


def test_a_network_is_forgotten_two_days_after_its_crawler_was_last_seen() -> None:
    engine = Engine(MODEL)
    closed(engine, Flows.concat([crawler(2), site(3, span_s=2 * HOUR_S, requests=4_000)]), 600)
    engine.close(Flows.empty(), T0_S + 2 * HOUR_S)
    assert len(engine.kin) == 1
    engine.kin.commit(engine.entities, MODEL.families, T0_S + 51 * HOUR_S)
    assert len(engine.kin) == 0


def test_a_walker_with_another_name_each_time_fills_no_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kin, "WALKED_MAX", 50)
    engine, each = Engine(MODEL), crawler(1)
    names = replace(each, agent=np.arange(1, len(each) + 1, dtype=np.uint64))
    traffic = Flows.concat([names, site(3, span_s=HOUR_S, requests=4_000)])
    closed(engine, traffic.take(traffic.pane_s < T0_S + 3000), 600)
    assert len(engine.kin.arrays("kin")["kin.walked"]) == 50
