"""Detectors side by side, in this process and in others, come to what each comes to alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from floodwarden.effects import Effect, InForce
from floodwarden.evaluation.adaptive import Adapt
from floodwarden.evaluation.contest import Contest
from floodwarden.evaluation.material import Chosen, Trace, Trials, simulated
from floodwarden.evaluation.peers import CleanDay, Flags, plain_forest, rate
from floodwarden.evaluation.processes import Judged, jobs_of, judge
from floodwarden.evaluation.summary import summary
from floodwarden.evaluation.windows import Window
from floodwarden.formats import Rejects
from floodwarden.formats_trace import Labelled
from floodwarden.replay import load_model
from floodwarden.simulate import catalogue
from floodwarden.simulate.config import Attack, SimulationConfig
from floodwarden.simulate.generate import simulate
from schemas import codec
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.decision import Decision
from schemas.settings import Settings

EFFECT_OF = {
    ActionKind.DENY: Effect.DENIED,
    ActionKind.CHALLENGE: Effect.CHALLENGED,
    ActionKind.THROTTLE: Effect.THROTTLED,
}
T0 = 1_767_571_200_000
SETTINGS = Settings(live_floor=1, live_share_max=1.0)


def busy(window: Window) -> np.ndarray[Any, np.dtype[np.float64]]:
    return window.requests.astype(np.float64)


def limit(most: float) -> partial[Flags]:
    return partial(Flags, "rate", busy, {"ip": most, "key": most}, ())


def made(seed: int, _: Rejects) -> Iterator[Labelled]:
    attacks = (Attack("hammer", "medium", 120.0),)
    return simulate(SimulationConfig(seed, 600, requests_per_s=1, clients=50, attacks=attacks, cases=frozenset()))


def told(judged: list[Judged], name: str) -> dict[str, Any]:
    record = summary([one.outcomes[name] for one in judged])
    assert record.pop("cpu_us_per_decision") > 0
    return record


def judged(contest: Contest, traces: list[Trace], jobs: int = 1) -> list[Judged]:
    seen: list[int] = []
    done = judge(traces, contest, jobs, lambda _: None, lambda: seen.append(1))
    assert len(seen) == len(traces)
    return done


def test_who_judges_beside_others_judges_as_when_alone_also_where_attackers_adapt_to_each() -> None:
    traces: list[Trace] = [partial(made, 1)]
    for adapt in (Adapt.NOTHING, Adapt.ROTATE):
        both = judged(Contest({"strict": limit(60), "lax": limit(1e9)}, SETTINGS, adapt), traces)
        assert told(both, "strict") == told(judged(Contest({"strict": limit(60)}, SETTINGS, adapt), traces), "strict")
        assert told(both, "strict")["attack_stopped_share"] > 0.05
        assert told(both, "lax")["attack_stopped_share"] == 0, "what one denies the other still sees"


def test_traces_judged_by_several_processes_come_to_the_same_in_their_order() -> None:
    contest = Contest({"strict": limit(60)}, SETTINGS)
    traces: list[Trace] = [partial(made, 1), partial(made, 2)]
    alone, shared = judged(contest, traces), judged(contest, traces, jobs=2)
    for one, other in zip(alone, shared, strict=True):
        assert told([one], "strict") == told([other], "strict")
    assert told([alone[0]], "strict") != told([alone[1]], "strict")


def test_there_are_never_more_processes_than_traces_and_never_none() -> None:
    assert (jobs_of(1, 8), jobs_of(5, 3)) == (1, 3)
    assert 1 <= jobs_of(5) <= 5


def test_peers_are_set_up_on_the_clean_day_which_is_gone_through_once() -> None:
    begun: list[int] = []

    def slices() -> Iterator[Labelled]:
        begun.append(1)
        return simulate(SimulationConfig(4, 300, requests_per_s=1, clients=50, cases=frozenset(), batch_rows=20))

    day, model = CleanDay(slices, ()), load_model(None, SETTINGS)
    for peer in (rate, plain_forest):
        assert isinstance(peer(day, model, SETTINGS)(), Flags)
    assert len(begun) == 1
    assert len(day.features["ip"]) == len(day.requests["ip"]) > 20


def test_seeds_begin_where_it_is_said() -> None:
    material = simulated(Trials(seeds=2, first_seed=7, duration_s=3600))
    assert material.name == "2 made-up traces of 1 h, seeds 7 to 8"
    assert simulated(Trials(seeds=1, first_seed=7, duration_s=1200)).name == "a made-up trace of 20 min, seed 7"


@pytest.mark.parametrize("chosen", [one for one in Chosen if one.attacks()])
def test_a_set_judges_alone_and_its_attacks_are_as_far_apart_as_in_all(chosen: Chosen) -> None:
    made = Trials(chosen=chosen).config(7)
    kept = {Chosen.ALL: None, Chosen.TUNED: False, Chosen.FIRST_SIGHT: True}[chosen]
    assert {attack.family for attack in made.attacks} == catalogue.families(first_sight=kept).keys()
    assert made.cases == catalogue.cases(first_sight=kept).keys() | catalogue.usual_cases()
    assert made.duration_s == 225 * 3 * len(catalogue.families(first_sight=kept))


def answer(kind: ActionKind, value: str, from_ms: int, until_ms: int, **more: Any) -> Action:
    at = {"created_ms": T0 + from_ms, "expires_ms": T0 + until_ms}
    target = Target(kind=TargetKind.IP, value=value)
    uid = f"{kind}{value}{from_ms}{more}"
    return Action(uid=uid, kind=kind, status=ActionStatus.ACTIVE, target=target, reason="", owner="auto", **at, **more)


def test_what_is_done_to_a_row_is_the_strictest_of_the_answers_in_force_on_its_client_at_its_time() -> None:
    rng = np.random.default_rng(5)
    answers = [
        answer(kind, f"203.0.113.{rng.integers(20)}", int(begin), int(begin + rng.integers(1, 90_000)), route=route)
        for kind in (ActionKind.DENY, ActionKind.CHALLENGE)
        for route in (None, "/cart", "/nowhere")
        for begin in rng.integers(0, 60_000, 4)
    ]
    answers += [answer(ActionKind.THROTTLE, f"203.0.113.{n}", 0, 120_000, factor=0.025) for n in range(15, 20)]
    rows = [
        Decision(ts_ms=T0 + int(at), verdict="allow", ip=f"203.0.113.{rng.integers(22)}", route=("/cart", "/")[at % 2])
        for at in np.sort(rng.integers(0, 120_000, 800))
    ]
    in_force, expected, asked = InForce(), [], Counter[tuple[str | None, int]]()
    for one in answers:
        in_force.apply(one)
    for row in rows:
        asked[row.ip, row.ts_ms // 60_000] += 1
        done = Effect.NONE
        for one in in_force.by_target[TargetKind.IP].get(row.ip or "", []):
            now = one.created_ms <= row.ts_ms < one.expires_ms and one.route in (None, row.route)
            if now and (one.kind is not ActionKind.THROTTLE or asked[row.ip, row.ts_ms // 60_000] > 3):
                done = max(done, EFFECT_OF[one.kind])
        expected.append(done)
    assert in_force.effects(codec.from_rows(rows)).tolist() == expected
    assert set(expected) == {Effect.NONE, *EFFECT_OF.values()}
