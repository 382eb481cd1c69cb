from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import T0_S, attacked, brute_force, flows, hammer, keys_tried, probe, scraper, site, thrown_out
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import artifact, cusum
from detectors.artifact import Model
from detectors.columns import KEY, LIMITED, Finding, Flows
from detectors.errors import ArtifactError
from detectors.evidence import Engine
from detectors.judge import Judged
from detectors.odd import Asked
from detectors.pairs import PairSet, mix

END_S = T0_S + 7200


@pytest.fixture(scope="module")
def model() -> Model:
    return artifact.load()


def told(found: list[Finding]) -> list[tuple[object, ...]]:
    return [(f.kind, f.entity, f.family, f.pane_s, f.at_s, f.crossed_ms, f.crossed_after, f.answer) for f in found]


def crossings(found: list[Finding]) -> dict[tuple[int, str], Finding]:
    out: dict[tuple[int, str], Finding] = {}
    for one in found:
        out.setdefault((one.entity, one.family), one)
    return out


def in_pieces(engine: Engine, traffic: Flows, step_s: int) -> Iterator[Finding]:
    for begin_s in range(T0_S, END_S, step_s):
        here = (traffic.pane_s >= begin_s) & (traffic.pane_s < begin_s + step_s)
        yield from engine.close(traffic.take(here), begin_s + step_s)


def test_every_attack_is_found_and_nobody_else(model: Model) -> None:
    found = crossings(Engine(model).close(attacked(1), END_S))
    assert {entity for entity, _ in found} == {9_001, 9_002, 9_003, 9_004}
    assert found[9_001, "guess"].answer == "deny"
    assert found[9_002, "hammer"].answer == "throttle"
    assert found[9_003, "sweep"].answer == "challenge"
    assert found[9_004, "probe"].answer == "deny"


def test_a_brute_force_is_found_before_its_eighth_failed_login(model: Model) -> None:
    traffic = Flows.concat([site(2), brute_force(1000)])
    assert crossings(Engine(model).close(traffic, END_S))[9_001, "guess"].crossed_after < 8


def test_a_hammer_is_found_within_two_seconds(model: Model) -> None:
    found = crossings(Engine(model).close(hammer(1000), END_S))[9_002, "hammer"]
    assert found.crossed_ms - (T0_S + 1000) * 1000 <= 2_000


def test_keys_tried_one_after_the_other_are_challenged_and_one_that_has_expired_is_not(model: Model) -> None:
    guessed, expired = (
        Engine(model).close(Flows.concat([site(1), keys_tried(3000, keys)]), T0_S + 5400) for keys in (60, 1)
    )
    assert crossings(guessed)[9_005, "key-guess"].answer == "challenge"
    assert not any(finding.family == "key-guess" for finding in expired)


@pytest.mark.parametrize("step_s", [7, 600])
def test_who_was_thrown_out_and_is_back_is_no_evidence_against_the_address_that_many_share(
    model: Model, step_s: int
) -> None:
    def told_of(*, back: bool) -> set[str]:
        traffic = Flows.concat([site(1), thrown_out(3000, back=back)])
        return {f.family for f in in_pieces(Engine(model), traffic, step_s) if f.entity == 9_006}

    assert "guess" in told_of(back=False)
    assert "guess" not in told_of(back=True)


def test_a_job_that_ignores_refusals_at_four_a_second_is_never_denied(model: Model) -> None:
    job = flows(2400, kind=KEY, entity=77, t_ms=np.arange(2400) * 250, outcome=LIMITED)
    answers = {f.answer for f in Engine(model).close(Flows.concat([site(3), job]), END_S)}
    assert "deny" not in answers


def test_a_crowd_of_new_visitors_on_one_page_is_left_alone(model: Model) -> None:
    g = np.random.default_rng(4)
    crowd = flows(
        12_000,
        entity=g.integers(100_000, 104_000, 12_000),
        t_ms=3_900_000 + g.integers(0, 300_000, 12_000),
        path=1_001 + (g.random(12_000) < 0.3) * g.integers(1, 8, 12_000),
    )
    assert Engine(model).close(Flows.concat([site(4), crowd]), END_S) == []


def test_a_release_whose_links_are_dead_denies_nobody(model: Model) -> None:
    # Everybody meets new missing pages from 7400 s on, those known for hours as well.
    traffic = site(5, span_s=9000, requests=40_000)
    late = (traffic.pane_s >= T0_S + 7400) & ~traffic.login
    g = np.random.default_rng(5)
    broken = late & (g.random(len(traffic)) < 0.5)
    traffic = replace(
        traffic,
        outcome=np.where(broken, 2, traffic.outcome).astype(np.uint8),
        path=np.where(broken, 600_000 + g.integers(0, 50, len(traffic)), traffic.path).astype(np.uint64),
    )
    assert [f for f in Engine(model).close(traffic, T0_S + 9000) if f.answer == "deny"] == []


@pytest.mark.parametrize("step_s", [1, 7, 600, 3599])
def test_findings_do_not_depend_on_how_closes_are_batched(model: Model, step_s: int) -> None:
    traffic = attacked(6)
    if step_s == 1:
        traffic = traffic.take(traffic.pane_s < T0_S + 1700)
    whole = Engine(model).close(traffic, END_S)
    pieces = list(in_pieces(Engine(model), traffic, step_s))
    assert told(pieces) == told(whole)
    assert [f.score for f in pieces] == pytest.approx([f.score for f in whole], abs=1e-6)
    assert [f.facts[0].sentence for f in pieces] == [f.facts[0].sentence for f in whole]


def test_findings_do_not_depend_on_the_order_or_the_splitting_of_rows(model: Model) -> None:
    traffic = attacked(7)
    double = replace(traffic, n=traffic.n * 2)
    order = np.random.default_rng(7).permutation(2 * len(traffic))
    split = Flows.concat([traffic, traffic]).take(order)
    assert told(Engine(model).close(split, END_S)) == told(Engine(model).close(double, END_S))


def test_an_engine_taken_up_from_its_arrays_goes_on_exactly(model: Model) -> None:
    traffic = attacked(8)
    middle_s = T0_S + 2030
    engine = Engine(model)
    engine.close(traffic.take(traffic.pane_s < middle_s), middle_s)
    again = Engine.restore(model, {name: array.copy() for name, array in engine.arrays().items()})
    rest = traffic.take(traffic.pane_s >= middle_s)
    assert again.close(rest, END_S) == engine.close(rest, END_S)


def test_state_of_other_families_is_refused_and_changes_nothing(model: Model) -> None:
    fewer = artifact.defaults(model.families[:-1])
    with pytest.raises(ArtifactError, match="start it anew"):
        Engine.restore(fewer, Engine(model).arrays())
    engine = Engine(model)
    with pytest.raises(ArtifactError, match="start it anew"):
        engine.adopt(fewer)
    assert engine.model is model


def test_an_engine_that_adopts_its_own_model_goes_on_exactly(model: Model) -> None:
    traffic = attacked(8)
    middle_s = T0_S + 2030
    one, other = Engine(model), Engine(model)
    for engine in (one, other):
        engine.close(traffic.take(traffic.pane_s < middle_s), middle_s)
    other.adopt(replace(model))
    rest = traffic.take(traffic.pane_s >= middle_s)
    assert other.close(rest, END_S) == one.close(rest, END_S)


def test_evidence_that_stands_keeps_its_share_of_the_threshold_under_another_model(model: Model) -> None:
    """One who is halfway is halfway still; the change itself alarms about nobody, and forgets nobody."""
    traffic = attacked(8)
    middle_s = T0_S + 2030
    engine = Engine(model)
    engine.close(traffic.take(traffic.pane_s < middle_s), middle_s)
    c, used = engine.entities.c, engine.entities.used
    at = c.at[:used]
    before, episodes = c.tracks.s[at] / model.h[c.kind[:used]], c.tracks.episode[at]
    quicker = replace(model, h=model.h * 0.6, beta=model.beta * 0.6)
    engine.adopt(quicker)
    assert (before > 0.2).any()
    assert c.tracks.s[at] / quicker.h[c.kind[:used]] == pytest.approx(before)
    assert (c.tracks.episode[at] == episodes).all()
    assert engine.close(Flows.empty(), middle_s + 1) == []


def test_a_look_at_open_panes_changes_nothing_and_says_what_closing_would(model: Model) -> None:
    traffic = attacked(9)
    engine = Engine(model)
    seen = 0
    for pane_s in range(T0_S + 990, T0_S + 1520):
        open_panes = traffic.take((traffic.pane_s >= pane_s) & (traffic.pane_s < pane_s + 3))
        before = {name: array.copy() for name, array in engine.arrays().items()}
        early = engine.peek(open_panes)
        after = engine.arrays()
        assert all(np.array_equal(before[name], after[name]) for name in before)
        if early:
            seen += 1
            closed = Engine.restore(model, before).close(open_panes, pane_s + 3)
            assert early == [f for f in closed if f.pane_s == f.at_s]
        engine.close(traffic.take(traffic.pane_s == pane_s), pane_s + 1)
    assert seen > 0


def test_every_finding_says_in_words_and_numbers_what_and_against_what(model: Model) -> None:
    together = {family.name for family in model.families if not family.alone}
    for finding in Engine(model).close(attacked(10), END_S):
        assert 0.5 <= finding.score < 1
        assert all(fact.sentence for fact in finding.facts)
        assert any(fact.baseline is not None for fact in finding.facts)
        assert sum(share.share for share in finding.contributions) == pytest.approx(1)
        assert all("nats that suffice" in share.sentence for share in finding.contributions)
        assert not together & {share.feature for share in finding.contributions}, "what alarms nobody by himself"


def test_an_entity_flood_is_bounded_and_the_attack_in_it_still_found(model: Model) -> None:
    g = np.random.default_rng(11)
    flood = flows(30_000, entity=g.integers(1 << 40, 1 << 50, 30_000), t_ms=np.sort(g.integers(0, 900_000, 30_000)))
    engine = Engine(model, entities_max=2_000)
    found = crossings(list(in_pieces(engine, Flows.concat([flood, brute_force(600)]), 10)))
    assert (9_001, "guess") in found
    assert engine.entities.used <= 2_000
    assert engine.entities.evicted > 0


@st.composite
def segments(draw: st.DrawFn) -> tuple[list[list[tuple[int, float, int]]], list[float]]:
    one = st.tuples(st.integers(0, 20_000), st.floats(-5, 3), st.integers(0, 1))
    many = draw(st.lists(st.lists(one, min_size=1, max_size=30), min_size=1, max_size=8))
    return many, [draw(st.floats(0, 9)) for _ in many]


@settings(max_examples=200, deadline=None)
@given(segments(), st.sampled_from([cusum.Leak(), cusum.Leak(per_s=1.3)]))
def test_the_vectorised_cusum_is_the_scalar_one(
    case: tuple[list[list[tuple[int, float, int]]], list[float]], leak: cusum.Leak
) -> None:
    many, starts = case
    seg, t_ms, x, expected = [], [], [], []
    for number, (rows, s0) in enumerate(zip(many, starts, strict=True)):
        track = cusum.Track(s=s0, t_ms=1_000_000)
        now_ms = 1_000_000
        for wait_ms, value, mark in rows:
            now_ms += wait_ms
            gain = abs(value) if leak.per_s else value
            row = cusum.Row(0, now_ms // 1000, now_ms, gain, mark, 1, mark, 0)
            cusum.walk(track, [row], 1e9, leak)
            seg.append(number)
            t_ms.append(now_ms)
            x.append(gain)
            expected.append(track.s)
    per_s = np.full(len(starts), leak.per_s) if leak.per_s else None
    begun_ms = np.full(len(starts), 1_000_000)
    got = cusum.run(np.array(seg), np.array(t_ms), np.array(x), np.array(starts), begun_ms, per_s)
    assert got == pytest.approx(expected, abs=1e-6)


def test_an_episode_is_over_after_twenty_quiet_minutes() -> None:
    track = cusum.Track()
    rows = [cusum.Row(i, i, i * 1000, 2.5, 1, 1, 1, i) for i in range(6)]
    late_s = 5 + 1201
    rows.append(cusum.Row(6, late_s, late_s * 1000, 2.5, 1, 1, 1, 6))
    events = cusum.walk(track, rows, 12.0, cusum.Leak())
    assert [event.pane_s for event in events] == [4, 5]
    assert not track.episode


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5_000), max_size=300), max_size=6))
def test_a_pair_set_remembers_what_it_was_told_until_it_must_age(parts: list[list[int]]) -> None:
    pairs = PairSet(100_000, 3600)
    told_of: set[int] = set()
    for part in parts:
        pairs.add(mix(np.array(part, np.uint64)))
        told_of.update(part)
    asked = np.arange(1, 5_001, dtype=np.uint64)
    assert pairs.contains(mix(asked)).tolist() == [int(a) in told_of for a in asked]


def test_a_pair_set_stays_bounded_and_keeps_the_latest() -> None:
    pairs = PairSet(1_000, 3600)
    keys = mix(np.arange(1, 20_001, dtype=np.uint64))
    for part in np.array_split(keys, 100):
        pairs.add(part)
    assert (pairs.young != 0).sum() <= 1_000
    assert pairs.contains(keys[-500:]).all()
    assert not pairs.contains(keys[:10_000]).any()


def test_scenarios_leave_no_trace_of_one_family_in_another(model: Model) -> None:
    assert {f.family for f in Engine(model).close(scraper(100), END_S)} == {"sweep"}
    assert {f.family for f in Engine(model).close(probe(100), END_S)} == {"probe"}


class Heard:
    """Collects what the forest was asked, in no promised order."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], tuple[np.ndarray, bool]] = {}

    def take(self, judged: Judged) -> None:
        """Of no interest here."""

    def take_asked(self, asked: Asked) -> None:
        for owner, hop, features, marked in zip(asked.owner, asked.hop, asked.features, asked.marked, strict=True):
            assert (int(owner), int(hop)) not in self.rows
            self.rows[int(owner), int(hop)] = features, bool(marked)


@pytest.mark.parametrize("step_s", [1, 13, 600])
def test_what_the_forest_is_asked_does_not_depend_on_how_closes_are_batched(model: Model, step_s: int) -> None:
    traffic = site(12, span_s=4200, owners=60)
    traffic = traffic.take(traffic.pane_s >= T0_S + 3000)
    whole, pieces = Heard(), Heard()
    Engine(model, watch=whole).close(traffic, END_S)
    list(in_pieces(Engine(model, watch=pieces), traffic, step_s))
    assert len(whole.rows) > 100
    assert whole.rows.keys() == pieces.rows.keys()
    for key, (features, marked) in whole.rows.items():
        assert pieces.rows[key][0] == pytest.approx(features, abs=1e-9)
        assert pieces.rows[key][1] == marked


def test_whoever_stays_unlike_all_others_is_noticed_with_the_features_that_say_so(model: Model) -> None:
    g = np.random.default_rng(13)
    n = 3000
    # Server errors have no family: only the forest can say that this is unlike good traffic.
    strange = flows(
        n, entity=31, t_ms=np.arange(n) * 1000 + g.integers(0, 900, n), outcome=3, path=1 + np.arange(n) % 5
    )
    found = [f for f in Engine(model).close(Flows.concat([site(13), strange]), END_S) if f.family == "odd"]
    assert {f.entity for f in found} == {31}
    assert found[0].answer == "notice"
    assert found[0].facts[0].value >= 5, "all the minutes that are the evidence"
    assert any("server errors" in share.sentence for share in found[0].contributions)
    assert sum(share.share for share in found[0].contributions) == pytest.approx(1, abs=0.05)
