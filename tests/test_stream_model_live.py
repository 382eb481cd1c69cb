"""A running worker takes what is ordered of models: one beside the live one, then another, without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stream_worker import DEADLINE_S, batch, make_settings, next_alert, reading, send, worker

from detectors import artifact
from enforcer import model_command
from enforcer.model_command import By
from floodwarden import model_orders
from schemas import topics
from schemas.alert import Status
from schemas.decision import Decision
from schemas.model_registry import Registry

pytestmark = pytest.mark.integration
ME = By("ana")


def failed_logins(count: int, address: str) -> list[Decision]:
    now_ms = int(time.time() * 1000)
    return [
        Decision(
            ts_ms=now_ms, verdict="allow", ip=address, user=f"user{i}", method="POST", route="/login", path="/login",
            status=401,
        )
        for i in range(count)
    ]  # fmt: skip


def until(good: Callable[[], bool], log: Callable[[], str]) -> None:
    deadline = time.monotonic() + 2 * DEADLINE_S
    while not good():
        assert time.monotonic() < deadline, log()
        time.sleep(0.1)


def test_a_shadow_is_compared_and_another_version_promoted_while_the_worker_runs(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    registry, shipped = Registry(settings.registry), artifact.load()
    for name, h in (("deaf", np.full_like(shipped.h, artifact.NEVER)), ("quick", shipped.h * 0.7)):
        artifact.save(replace(shipped, h=h), tmp_path / f"{name}.npz")
        model_orders.register(settings, tmp_path / f"{name}.npz", ME)
    with worker(settings, tmp_path) as one, reading(settings, topics.ALERTS) as alerts:
        order = model_command.shadow(settings, 1, ME, model_orders.judge)
        until(lambda: [word.serial for word in registry.words()] == [order.serial], one.log)
        send(settings, [batch(failed_logins(40, "203.0.113.9"))])
        found = next_alert(alerts, lambda a: a.kind == "guess" and a.status is Status.OPEN, DEADLINE_S)
        assert found.model == shipped.version

        def compared() -> bool:
            told = registry.agreement(1)
            return told is not None and "203.0.113.9" in {each.entity for each in told.only_live}

        until(compared, one.log)
        order = model_command.promote(settings, 2, ME, model_orders.judge, force=True)
        until(lambda: [word.serial for word in registry.words()] == [order.serial], one.log)
        [word] = registry.words()
        assert (word.live, word.content) == (2, registry.version(2).content)
        send(settings, [batch(failed_logins(40, "203.0.113.10"))])
        found = next_alert(alerts, lambda a: a.entity.value == "203.0.113.10", DEADLINE_S)
        assert found.model == registry.version(2).content
        order = model_command.rollback(settings, None, ME, model_orders.judge)
        until(lambda: [word.serial for word in registry.words()] == [order.serial], one.log)
        [word] = registry.words()
        assert (word.live, word.content) == (0, shipped.version)
        assert one.starts == 1
        assert one.process is not None
        assert one.process.poll() is None
