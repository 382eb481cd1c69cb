"""Exact counts through any fault, on real Kafka: one seed in the suite, FW_CHAOS_SEEDS of them by `make chaos`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chaos import plan, storm
from servers import kafka, why_no_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]
SEEDS = range(int(os.environ.get("FW_CHAOS_SEEDS", "1")))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_count_is_right_whatever_befalls_workers_and_broker(
    seed: int, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := why_no_kafka():
        pytest.skip(reason)
    home = tmp_path / "kafka"
    home.mkdir()
    with kafka(home) as broker:  # its own: it is killed, too
        told = storm(broker, topic_prefix, tmp_path, seed)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201 - a run of many seeds is watched


def test_a_seed_tells_the_whole_run() -> None:
    assert plan(3, 3, 20) == plan(3, 3, 20)
    kinds = {fault.kind for seed in range(30) for fault in plan(seed, 3, 20)}
    assert kinds == {"kill", "freeze", "restart", "leave", "broker"}
