"""Rules with a window: what they count is what is in the window, in any batching, through a restore, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_blocks import blocks

from detectors.artifact import defaults
from detectors.hits import Hits
from detectors.rule_file import gathered
from detectors.rules import Ruleset
from schemas import codec
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.errors import FileError
from stream import spread
from stream.bounds import BYTES_MIN, Bounds
from stream.pipeline import Config, Pipeline
from stream.plan import Plan
from stream.rule_windows import RuleWindows
from stream.step_counts import step_s

T0_S = 1_767_571_200
T0_MS = T0_S * 1000
BYTES = 1 << 22
RULES = b"""
rules:
  - {name: walks, means: different paths asked for, by: ip, distinct: path, over: 60s, when: {different: above 30},
     answer: throttle}
  - {name: everywhere, means: addresses of one account, by: user, distinct: ip, over: 1h, when: {different: above 20},
     answer: challenge}
  - {name: shared, means: user agents of one key, by: key, distinct: agent, over: 1h, when: {different: above 50},
     answer: notice}
  - {name: one-thing, means: requests for one thing, by: ip, distinct: path, over: 10m, answer: notice,
     when: {requests: above 100, bits: below 0.5, gap_variation: below 0.1}}
"""


def ruleset(text: bytes = RULES) -> Ruleset:
    return gathered([("rules.yaml", text)])


def one(words: str) -> Ruleset:
    return ruleset(f"rules:\n  - {{name: one, means: things, by: ip, answer: notice, {words}}}".encode())


def row(at_ms: int, **fields: Any) -> Decision:
    plain = {"verdict": "allow", "ip": "203.0.113.9", "method": "GET", "route": "/x", "path": "/x", "status": 200}
    return Decision(ts_ms=T0_MS + at_ms, **plain | fields)


def alerts(rows: Sequence[Decision], rules: Ruleset, size: int = 1000, restored: int = 0) -> list[Alert]:
    """Of rules alone; a restart after so many blocks."""
    config = Config(lateness_ms=0, rules=rules)
    pipe, found = Pipeline(defaults(), config), []
    for at, block in enumerate(blocks(rows, Plan.of(rules), size)):
        if at == restored:
            pipe = Pipeline.restore(defaults(), config, bytes(pipe.snapshot()))
        found += pipe.step([block], T0_MS)
    return [a for a in found + pipe.finish() if rules.index(a.kind) >= 0]


def opened(found: Sequence[Alert]) -> list[tuple[str, str]]:
    return sorted((a.kind, a.entity.value) for a in found if a.status.value == "open")


def traffic() -> list[Decision]:
    """For each rule one who does what it is about, and one who nearly does."""
    rows = [row(at * 1500, ip="198.51.100.1", path=f"/items/{at}?page=1") for at in range(35)]
    rows += [row(at * 2500, ip="198.51.100.2", path=f"/items/{at}") for at in range(35)]  # 24 in a minute
    rows += [row(at * 60_000, user="mia", ip=f"192.0.2.{at}") for at in range(22)]
    rows += [row(at * 60_000, user="tom", ip=f"192.0.2.{at % 20}") for at in range(40)]
    rows += [row(at * 30_000, key_id="k1", ua=f"agent {at}") for at in range(60)]
    rows += [row(at * 2000, ip="198.51.100.3", path="/status") for at in range(200)]
    gaps = np.cumsum(np.random.default_rng(5).exponential(2000, 200)).astype(int)
    rows += [row(int(at), ip="198.51.100.4", path="/status") for at in gaps]  # as people come
    return sorted(rows, key=lambda r: r.ts_ms)


def test_each_rule_speaks_of_who_does_what_it_is_about_and_of_nobody_else() -> None:
    found = alerts(traffic(), ruleset())
    assert opened(found) == [
        ("everywhere", "mia"), ("one-thing", "198.51.100.3"), ("shared", "k1"), ("walks", "198.51.100.1"),
    ]  # fmt: skip
    said = {a.kind: [fact.sentence for fact in a.evidence] for a in found if a.status.value == "open"}
    assert "31 different paths asked for in 1m (limit: above 30)" in said["walks"]
    assert "an entropy of paths of 0.00 bits (limit: below 0.5)" in said["one-thing"]
    assert "gaps between requests that vary by 0% (limit: below 0.1)" in said["one-thing"]


def test_batches_and_a_restart_change_nothing() -> None:
    rows, rules = traffic(), ruleset()
    whole = [a.model_dump_json() for a in alerts(rows, rules) if a.status.value != "withdrawn"]
    for size, restored in ((1000, 1), (37, 0), (37, 5), (11, 20)):
        again = alerts(rows, rules, size, restored)
        assert opened(again) == opened(alerts(rows, rules))
        assert {a.uid: (a.crossed_ms, a.evidence) for a in again if a.status.value == "open"} == {
            a.uid: (a.crossed_ms, a.evidence) for a in map(Alert.model_validate_json, whole) if a.status.value == "open"
        }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("over: 60s", "has no `when` for its window (add `when: {requests: above 100}`)"),
        ("when: {requests: above 5}", "has no `over` for its window (add `over: 60s`)"),
        ("over: 60s, capacity: 3, when: {requests: above 5}", "rules[0].capacity: stands beside `over`"),
        ("over: 2h, when: {requests: above 5}", "rules[0].over: is 2h (whole seconds, at most 1h)"),
        ("over: 1500ms, when: {requests: above 5}", "whole seconds, at most 1h"),
        ("over: 60s, when: {paths: above 5}", "one of requests, different, bits, gap_variation"),
        ("over: 60s, when: {different: above 5}", "when.different: is of nothing that is told apart (say what"),
        ("over: 60s, when: {requests: 5}", "`above` or `below` and a number up to 1,000,000,000"),
        ("over: 60s, when: {requests: 'above 9, below 4'}", "can never be"),
        ("over: 60s, distinct: path, when: {bits: below 1}", "holds of a first request already (say how many"),
        ("over: 60s, distinct: path, when: {different: above 10001}", "a number up to 10,000"),
    ],
)
def test_a_window_that_cannot_be_is_told_with_field_and_fix(words: str, said: str) -> None:
    with pytest.raises(FileError) as caught:
        one(words)
    assert said in str(caught.value)


def hits(at_s: Sequence[int], values: Sequence[int], entity: int = 7, rule: int = 0) -> Hits:
    """A request each, at the beginning of a second."""
    count, u = len(at_s), np.uint64
    pane_s = T0_S + np.array(at_s, np.int64)
    return Hits(
        rule=np.full(count, rule, np.int16), kind=np.zeros(count, np.uint8), entity=np.full(count, entity, u),
        pane_s=pane_s, first_ms=pane_s * 1000, last_ms=pane_s * 1000, route=np.ones(count, u),
        value=np.array([codec.text_hash(f"value {v}") for v in values], u), sign=np.zeros(count, u),
        example=np.full(count, 9, u), n=np.ones(count, np.int64), answered=np.zeros(count, np.int64),
    )  # fmt: skip


def entropy(values: Sequence[int]) -> float:
    counts = Counter(values).values()
    return log2(len(values)) - sum(n * log2(n) for n in counts) / len(values)


EXACT = "over: 24s, distinct: path, when: {requests: above 0, different: above 0, bits: 'above 0, below 20'}"
made = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 5)), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(made, st.lists(st.integers(1, 90), max_size=4), st.data())
def test_a_window_holds_what_a_count_of_its_own_says_however_panes_are_dealt_out(
    events: list[tuple[int, int]], cuts: list[int], data: st.DataObject
) -> None:
    rules, events = one(EXACT), sorted(events)
    windows, told = RuleWindows(rules, BYTES), {}
    for low, high in pairwise(sorted({0, *cuts, 91})):
        part = data.draw(st.permutations([e for e in events if low <= e[0] < high]))
        if part:
            _, measured = windows.close(hits([at for at, _ in part], [value for _, value in part]))
            told |= {pane_s - T0_S: {f.name: f.value for f in facts} for (*_, pane_s), facts in measured.items()}
        again = RuleWindows(rules, BYTES)
        again.restore(windows.arrays())
        windows = again
    step = step_s(24)
    for now in {at for at, _ in events}:
        begins = (now + T0_S) // step * step - 24 + step - T0_S
        inside = [value for at, value in events if begins <= at <= now]
        bits = entropy(inside)
        different = len({value for at, value in events if now - 24 < at <= now})
        if round(bits, 9) > 0:
            assert told[now] == {
                "requests": len(inside), "different": different, "bits": pytest.approx(bits, abs=0.001),
            }  # fmt: skip
        else:
            assert now not in told


def test_gaps_vary_by_what_their_times_say() -> None:
    rules = one("over: 60s, when: {requests: above 2, gap_variation: above 0}")
    at_s = [0, 3, 4, 9, 20, 21, 40]
    _, measured = RuleWindows(rules, BYTES).close(hits(at_s, [0] * len(at_s)))
    gaps = np.diff(at_s)
    said = {fact.name: fact.value for fact in measured["one", 0, 7, T0_S + 40]}
    assert said == {"requests": 7, "gap_variation": pytest.approx(gaps.std() / gaps.mean(), abs=0.001)}


SHAPES = {
    "the same all over": np.ones(600),
    "a few often": 1000 / np.arange(1, 2001),
    "one and a tail": np.r_[9000, np.ones(1000)],
    "one nearly alone": np.r_[99_900, np.ones(100)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sketch_says_the_entropy_within_its_error(shape: str) -> None:
    """Against the exact one, over 60 sets of values each: bias and standard deviation."""
    random, n = np.random.default_rng(11), np.maximum(np.rint(SHAPES[shape]), 1).astype(np.int64)
    share = n / n.sum()
    bits = float(-(share * np.log2(share)).sum())
    said = []
    for _ in range(60):
        marks, registers = random.integers(1, 2**32 - 1, len(n)).astype(np.uint32), np.zeros(spread.REGISTERS, np.int64)
        assert spread.exact(marks, n) == pytest.approx(bits, abs=0.01)
        for mark, count in zip(marks, n, strict=True):
            spread.added(mark, count, registers)
        said.append(spread.estimated(registers, np.int64(n.sum())) - bits)
    assert abs(np.mean(said)) < 0.1
    assert np.std(said) < spread.ERROR_BITS * 1.25  # of 60 sets


def test_sketches_of_two_streams_add_up_to_that_of_both() -> None:
    random = np.random.default_rng(2)
    marks, n = random.integers(5, 2**31, 200).astype(np.uint32), random.integers(1, 9, 200)
    a, b, both = (np.zeros(spread.REGISTERS, np.int64) for _ in range(3))
    for at in range(200):
        spread.added(marks[at], n[at], a if at % 3 else b)
        spread.added(marks[199 - at], n[199 - at], both)
    assert (a + b == both).all()


def test_many_values_are_estimated_and_the_sketch_goes_with_its_step_and_through_a_restore() -> None:
    rules = one("over: 12s, distinct: path, when: {requests: above 0, bits: above 0}")
    windows = RuleWindows(rules, BYTES)
    _, measured = windows.close(hits([0] * 2000, range(2000)))
    (bits,) = (f.value for facts in measured.values() for f in facts if f.name == "bits")
    assert bits == pytest.approx(log2(2000), abs=4 * spread.ERROR_BITS)
    again = RuleWindows(rules, BYTES)
    again.restore(windows.arrays())
    few = hits([5, 5, 6, 6], [1, 2, 1, 2])
    assert windows.close(few)[1] == again.close(few)[1]
    _, measured = again.close(hits([30, 30], [1, 2]))
    (bits,) = (f.value for facts in measured.values() for f in facts if f.name == "bits")
    assert bits == 1.0, "what is out of the window is forgotten"


def test_a_crowd_is_held_within_the_bound_and_who_does_much_stays() -> None:
    rules = one("over: 60s, distinct: path, when: {different: above 30, requests: above 30, bits: above 1}")
    windows = RuleWindows(rules, 1 << 18)
    told: set[int] = set()
    for second in range(40):
        crowd = [hits([second] * 2, [1, 2], entity=1000 * second + i + 1000) for i in range(300)]
        busy = hits([second] * 4, range(4 * second, 4 * second + 4))
        found, _ = windows.close(Hits.concat([*crowd, busy]))
        told |= set(found.entity.tolist())
        assert windows.bytes() <= 1 << 18
    assert windows.evicted > 0
    assert told == {7}


def test_windows_of_rules_take_their_part_of_the_state_only_where_a_rule_has_one() -> None:
    without, with_ = Bounds.of(1000, BYTES_MIN), Bounds.of(1000, BYTES_MIN, rule_windows=True)
    assert without.rule_window_bytes == 0
    assert with_.rule_window_bytes + with_.distinct_bytes == without.distinct_bytes
    assert Config(rules=ruleset()).bounds.rule_window_bytes > 0
    assert RuleWindows(Ruleset(), 0).arrays() == {}
