"""A key that asks in one network for what it always asked for in another: a key read out, reports that are forged."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, site

from detectors import artifact
from detectors.columns import CLIENT_ERROR, KEY, Finding, Flows
from detectors.evidence import Engine

FLEET = 8_200
DEVICES = 100
ELSEWHERE = 77  # an autonomous system that no device is in
ADDRESS = 6_000_001
HOUR_S = 3600


def fleet(span_s: int, begin_s: int = 0, every_s: int = 100, asn: int = 0) -> Flows:
    """Devices that report of themselves, each from its own address, in one of four networks (or all in `asn`)."""
    n = span_s * DEVICES // every_s
    device = np.arange(n) % DEVICES
    return flows(
        n, kind=KEY, entity=FLEET, t_ms=begin_s * 1000 + np.arange(n) * (every_s * 1000 // DEVICES), route=4,
        path=5_000 + device, ip=4_000_000 + device, asn=asn or 11 + device % 4,
    )  # fmt: skip


def reports(at_s: int, n: int, every_ms: int = 10_000, paths: int = 5_000) -> Flows:
    """Reports in the devices' names, in no order, all from one rented machine."""
    device = np.random.default_rng(3).integers(0, DEVICES, n)
    return flows(
        n, kind=KEY, entity=FLEET, t_ms=at_s * 1000 + np.arange(n) * every_ms, route=4, path=paths + device, ip=ADDRESS,
        asn=ELSEWHERE,
    )  # fmt: skip


def told(traffic: Flows, span_s: int) -> list[Finding]:
    found = Engine(artifact.load()).close(Flows.concat([site(3), traffic]), T0_S + span_s)
    return [one for one in found if (one.entity, one.family) == (FLEET, "moved")]


def test_reports_in_the_name_of_devices_that_are_elsewhere_are_told_of_and_the_fleet_is_not_touched() -> None:
    found = told(Flows.concat([fleet(4 * HOUR_S), reports(3 * HOUR_S, 200)]), 4 * HOUR_S)
    assert {one.answer for one in found} == {"notice"}
    assert ADDRESS in found[0].examples
    assert found[0].first_ms >= (T0_S + 3 * HOUR_S) * 1000
    assert found[0].crossed_ms <= (T0_S + 3 * HOUR_S) * 1000 + 30 * 10_000  # a thirtieth of the fleet's own reports


def test_an_hour_in_which_a_key_alarms_for_something_else_teaches_where_its_things_are() -> None:
    n = 60
    asked = {"route": 4, "path": 70_000 + np.arange(n), "asn": 11, "outcome": CLIENT_ERROR}
    search = flows(n, kind=KEY, entity=FLEET, t_ms=(HOUR_S + 600) * 1000 + np.arange(n) * 300, **asked)
    traffic = Flows.concat([site(3), fleet(2 * HOUR_S, HOUR_S), search, reports(2 * HOUR_S + 600, 200)])
    found = [one for one in Engine(artifact.load()).close(traffic, T0_S + 3 * HOUR_S) if one.entity == FLEET]
    assert min(one.at_s for one in found if one.family == "probe") < T0_S + 2 * HOUR_S
    assert "moved" in {one.family for one in found}


def test_a_fleet_that_stays_where_it_is_is_never_told_of_though_what_is_remembered_of_it_is_forgotten_twice() -> None:
    assert told(fleet(60 * HOUR_S, every_s=600), 60 * HOUR_S) == []


@pytest.mark.parametrize("moved_s", [3 * HOUR_S, 30 * HOUR_S])
def test_a_fleet_that_moves_is_told_of_once(moved_s: int) -> None:
    """By what it was asked for before, not by its addresses: then what was new is where it always is."""
    traffic = [fleet(moved_s, every_s=600), fleet(6 * HOUR_S, moved_s, every_s=600, asn=ELSEWHERE)]
    found = told(Flows.concat(traffic), moved_s + 6 * HOUR_S)
    assert found
    assert len({one.pane_s for one in found}) == 1


def test_a_key_that_is_used_in_two_networks_from_the_first_day_on_is_not_told_of() -> None:
    n = 6 * 360
    g = np.random.default_rng(5)
    path, place = 9_000 + g.integers(0, 400, n), np.arange(n) // 30 % 2
    asked = {"route": 5, "path": path, "ip": place + 1, "asn": 20 + place}
    both = flows(n, kind=KEY, entity=FLEET, t_ms=np.arange(n) * 10_000, **asked)
    assert told(both, 6 * HOUR_S) == []


def test_what_a_key_never_asked_for_is_no_move() -> None:
    found = told(Flows.concat([fleet(4 * HOUR_S), reports(3 * HOUR_S, 200, paths=7_000)]), 4 * HOUR_S)
    assert found == []


@pytest.mark.parametrize("from_s", [2 * HOUR_S, 4 * HOUR_S])
def test_decisions_without_networks_say_nothing_nor_do_networks_that_are_known_from_some_day_on(
    from_s: int,
) -> None:
    traffic = fleet(4 * HOUR_S)
    traffic.asn[traffic.pane_s < T0_S + from_s] = 0
    assert told(traffic, 4 * HOUR_S) == []
