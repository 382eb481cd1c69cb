from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import Answer, EntityKind, Status
from stream.open_overload import OpenOverload
from stream.overload import alert, left
from stream.sampling import LEVEL_MAX
from stream.shedding import STEP_MS, Shedding

LIMIT_MS = 60_000


def levels(behind_s: Sequence[float], shedding: Shedding | None = None) -> list[int]:
    """The level in each second, given how far behind it is then."""
    shedding = shedding or Shedding(LIMIT_MS)
    return [shedding.judge(int(s * 1000), 1_000_000 + i * 1000) for i, s in enumerate(behind_s)]


def test_who_comes_back_after_an_hour_and_catches_up_takes_everything() -> None:
    assert set(levels([3600 - 40 * i for i in range(89)])) == {0}


def test_who_falls_further_behind_samples_more_until_it_does_not() -> None:
    found = levels([i / 2 for i in range(200)])
    assert found[120] == 0
    assert found == sorted(found)
    assert found[-1] == 15


def test_sampling_goes_on_until_half_of_the_limit_is_won_back_and_ends_step_by_step() -> None:
    shedding = Shedding(LIMIT_MS)
    assert levels([70 + i for i in range(14)], shedding)[-1] == 2
    draining = [shedding.judge(80_000 - i * 1000, 1_014_000 + i * 1000) for i in range(80)]
    assert draining[45] == 2, "35 s behind"
    assert draining[-1] == 0
    assert shedding.since_ms == 0
    assert [a - b for a, b in itertools.pairwise(draining) if a != b] == [1, 1]


def test_a_limit_of_zero_means_never() -> None:
    assert set(levels(range(500), Shedding(0))) == {0}


@given(behind_s=st.lists(st.integers(0, 500), max_size=200))
def test_a_level_moves_by_one_and_no_faster_than_it_can_tell(behind_s: list[int]) -> None:
    found = [0, *levels(behind_s)]
    moved = [i for i, (a, b) in enumerate(itertools.pairwise(found)) if a != b]
    assert all(abs(found[i + 1] - found[i]) == 1 for i in moved)
    assert all(b - a >= STEP_MS / 1000 for a, b in itertools.pairwise(moved))
    assert all(0 <= level <= LEVEL_MAX for level in found)


def test_overload_is_told_as_one_incident_that_nobody_is_denied_for() -> None:
    told = [alert("w1", 1, 0, 61_000, 5000), alert("w1", 2, 5000, 64_000, 10_000), alert("w1", 0, 5000, 0, 20_000)]
    assert [a.status for a in told] == [Status.OPEN, Status.UPDATE, Status.CLOSED]
    assert len({a.uid for a in told}) == 1
    assert {(a.answer, a.entity.kind, a.kind) for a in told} == {(Answer.NOTICE, EntityKind.GLOBAL, "overload")}
    assert "1 of 4 ordinary requests and 1 of 1 others" in told[1].summary
    assert "64 s behind" in told[1].summary


def test_who_takes_over_the_last_partition_of_a_worker_that_is_gone_closes_its_alert_once(tmp_path: Path) -> None:
    dead, heir, other = (OpenOverload(tmp_path) for _ in range(3))
    opened = alert("w1", 1, 0, 61_000, 5000)
    dead.told(opened, "w1", [0, 1, 2])
    assert dead.taken_over("w1", {0, 1, 2}) == [], "it goes on sampling through a rebalance"
    assert heir.taken_over("w2", {0, 2, 7}) == []
    assert other.taken_over("w3", {1}) == [opened]
    assert heir.taken_over("w2", {0, 1, 2}) == []
    closed = left(opened, "w3", 9000)
    assert (closed.uid, closed.status, closed.last_ms) == (opened.uid, Status.CLOSED, 9000)


def test_a_worker_that_is_back_by_its_name_closes_what_it_left_open_and_a_closed_one_is_left_alone(
    tmp_path: Path,
) -> None:
    opened = alert("w1", 1, 0, 61_000, 5000)
    OpenOverload(tmp_path).told(opened, "w1", [0, 1])
    assert OpenOverload(tmp_path).taken_over("w1", {5}) == [opened]
    one = OpenOverload(tmp_path)
    one.told(opened, "w1", [0])
    one.told(alert("w1", 0, 5000, 0, 20_000), "w1", [0])
    assert OpenOverload(tmp_path).taken_over("w1", {0}) == []
    (tmp_path / "stream/overload/damaged.json").write_bytes(b"{")
    assert OpenOverload(tmp_path).taken_over("w1", {0}) == []
