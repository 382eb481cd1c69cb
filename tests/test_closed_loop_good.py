"""What good clients meet when the answers to our alerts are in force: an outage, and a queue that sticks."""

from __future__ import annotations

from collections import Counter

import pytest

from detectors import artifact
from floodwarden.closed_loop import ClosedLoop, Floodwarden, sliced
from floodwarden.effects import Effect
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from schemas.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def met() -> Counter[tuple[str, Effect]]:
    """By case and effect how many decisions of five hours on a small site."""
    cases = frozenset({"sso_outage", "poison_message"})
    config = SimulationConfig(seed=4, duration_s=5 * 3600, requests_per_s=1, clients=300, cases=cases)
    settings, out = Settings(), Counter[tuple[str, Effect]]()
    loop = ClosedLoop(Floodwarden(artifact.load(), settings), settings)
    for judged in loop.run(sliced(simulate(config), span_ms=10_000, rows_max=5_000)):
        for label, effect in zip(judged.slice.labels.tolist(), judged.effects.tolist(), strict=True):
            out[str(label).removeprefix("benign/"), Effect(effect)] += 1
    return out


def test_nobody_is_denied_whose_sign_on_is_broken(met: Counter[tuple[str, Effect]]) -> None:
    assert sum(n for (case, _), n in met.items() if case == "sso_outage") > 1000
    assert not [case for case, effect in met if effect is Effect.DENIED]


def test_a_machine_that_tries_three_messages_again_is_left_alone(met: Counter[tuple[str, Effect]]) -> None:
    assert {effect for case, effect in met if case == "poison_message"} == {Effect.NONE}
