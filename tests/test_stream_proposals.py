"""Where good traffic drifts a version with refitted thresholds is registered and tried in shadow, and not promoted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from detectors import artifact
from detectors.columns import IP
from detectors.drift import Day, refit
from schemas.model_registry import Registry
from schemas.models import Order
from schemas.settings import Settings
from stream.detector import Detector
from stream.held import Held
from stream.metrics import Metrics
from stream.pipeline import Pipeline
from stream.proposals import AUTHOR, EVERY_MS, keep, proposed
from stream.sender import Sender

MODEL = artifact.load()
PROBE = next(f.index for f in MODEL.families if f.name == "probe")
NOW_MS = 1_700_000_000_000


def day(*, steep: float, until_s: int = 36_000) -> Day:
    """A thousand addresses whose evidence rises so many times as high as the model says."""
    made = Day.blank(len(MODEL.families))
    made.since_s, made.until_s, made.hours = 7_200, until_s, 8
    made.n[IP, PROBE] = 1_000
    rank = np.arange(1, made.top.shape[2] + 1)
    made.top[IP, PROBE] = steep * MODEL.beta[IP, PROBE] * np.log(1_000 / rank)
    return made


def test_a_drift_that_all_partitions_show_is_a_version_in_shadow_once_a_day(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    keep(registry, MODEL, {p: day(steep=1.5) for p in range(2)})
    made = proposed(registry, MODEL, NOW_MS)
    assert made is not None
    assert (made.author, made.version) == (AUTHOR, 1)
    assert made.reason.startswith("good traffic drifts: probe of ip ")
    order = registry.order()
    assert (order.live, order.shadow, order.author) == (0, 1, AUTHOR)
    model = artifact.parse(registry.data(1), "it", MODEL.families)
    assert model.h[IP, PROBE] > MODEL.h[IP, PROBE]
    assert np.count_nonzero(model.h != MODEL.h) == 1
    assert proposed(registry, MODEL, NOW_MS + EVERY_MS - 1) is None


@pytest.mark.parametrize("days", [{}, {0: day(steep=1.0)}, {0: day(steep=1.5, until_s=1), 1: day(steep=1.0)}])
def test_nothing_is_proposed_where_nothing_drifts_now(tmp_path: Path, days: dict[int, Day]) -> None:
    registry = Registry(tmp_path)
    keep(registry, MODEL, days)
    assert proposed(registry, MODEL, NOW_MS) is None
    assert registry.versions() == []


def test_days_under_another_model_say_nothing_of_this_one(tmp_path: Path) -> None:
    registry, other = Registry(tmp_path), artifact.defaults()
    keep(registry, other, {0: day(steep=1.5)})
    assert proposed(registry, MODEL, NOW_MS) is None


def test_a_shadow_that_somebody_tries_is_left_alone(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.put(Order(1, 0, 7, "ana", "", NOW_MS))
    keep(registry, MODEL, {0: day(steep=1.5)})
    assert proposed(registry, MODEL, NOW_MS) is not None
    assert registry.order().shadow == 7


def test_a_worker_tells_of_each_day_once(tmp_path: Path) -> None:
    async def told() -> list[set[int]]:
        settings = Settings(data_dir=tmp_path)
        detector = Detector(settings, MODEL, Sender(settings.kafka, "test"), Metrics())
        for partition in range(2):
            held = Held(partition, Pipeline(MODEL), 0)
            held.pipeline.judges.live.drift.day = day(steep=1.5)
            detector._held[partition] = held
        live, first = await detector.days({})
        assert refit(live, first[0]) is not None
        assert first[0] is not detector._held[0].pipeline.judges.live.drift.day
        _, then = await detector.days({0: 36_000, 1: 32_400})
        return [set(first), set(then)]

    assert asyncio.run(told()) == [{0, 1}, {1}]
