"""A policy that changes while a node runs: in force within moments, and never a broken one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from limiter_world import eventually, settings

from floodwarden.embedded import free_port
from limiter.matcher import Identity, Matcher
from limiter.metrics import Metrics
from limiter.policy import DEFAULT
from limiter.policy_watch import PolicyWatch
from limiter.service import Service
from limiter.verdict import Request


def write(path: Path, rate: int) -> None:
    path.write_text(f"version: 1\nlimits:\n  - {{ name: ip, per: ip, rate: {rate}/h, burst: {rate} }}\n")


class Taken:
    """What a watch handed over, and what it counted."""

    def __init__(self, path: Path, every_s: float = 0.02) -> None:
        self.bursts: list[int] = []
        self._held = Matcher(DEFAULT)
        self.metrics = Metrics()
        self.watch = PolicyWatch(path, self._use, self.metrics, every_s)

    def _use(self, matcher: Matcher) -> Matcher:
        self.bursts.append(matcher.policy.limits[0].shape.limit)
        before, self._held = self._held, matcher
        return before

    def counted(self, result: str) -> float:
        found = self.metrics.registry.get_sample_value("floodwarden_limiter_policy_reloads_total", {"result": result})
        return found or 0.0


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Taken]:
    write(tmp_path / "p.yaml", 3)
    made = Taken(tmp_path)
    made.watch.start()
    yield made
    await made.watch.aclose()


async def test_a_file_that_changes_or_comes_is_taken_and_one_that_stays_is_not(taken: Taken, tmp_path: Path) -> None:
    write(tmp_path / "p.yaml", 40)
    await eventually(lambda: taken.bursts == [40])
    (tmp_path / "a.yaml").write_text("version: 1\nlimits: [ { name: first, per: ip, rate: 500/h, burst: 500 } ]\n")
    await eventually(lambda: taken.bursts == [40, 500])
    (tmp_path / "a.yaml").unlink()
    await eventually(lambda: taken.bursts == [40, 500, 40])
    assert taken.counted("ok") == 3


async def test_a_broken_file_changes_nothing_and_is_counted(taken: Taken, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("version: 1\nlimits:\n  - { name: ip }\n")
    await eventually(lambda: taken.counted("failed") == 1)
    (tmp_path / "p.yaml").unlink()
    await eventually(lambda: taken.counted("failed") == 2)
    assert taken.bursts == []
    write(tmp_path / "p.yaml", 5)
    await eventually(lambda: taken.bursts == [5])


async def test_asked_it_reads_again_what_did_not_change(tmp_path: Path) -> None:
    write(tmp_path / "p.yaml", 3)
    patient = Taken(tmp_path / "p.yaml", every_s=3600)
    patient.watch.start()
    await asyncio.to_thread(patient.watch.now)
    await eventually(lambda: patient.bursts == [3])
    await patient.watch.aclose()


@pytest.mark.integration
async def test_a_node_answers_by_the_new_policy_and_keeps_the_old_one_where_the_new_is_broken(
    redis_url: str, tmp_path: Path
) -> None:
    write(tmp_path / "p.yaml", 3)
    async with Service(settings(redis_url, policies=tmp_path / "p.yaml")) as service:

        async def limit() -> int | None:
            return (await service.node.check(Request("GET", "/", Identity("192.0.2.1"), cost=0))).limit

        async def is_seven() -> bool:
            return await limit() == 7

        assert await limit() == 3
        write(tmp_path / "p.yaml", 7)
        service.reload_policy()
        await eventually(is_seven)
        assert service.policy.limits[0].shape.limit == 7
        (tmp_path / "p.yaml").write_text("limits: [")
        service.reload_policy()
        failed = {"result": "failed"}
        name = "floodwarden_limiter_policy_reloads_total"
        await eventually(lambda: service.metrics.registry.get_sample_value(name, failed) == 1)
        assert await limit() == 7


@pytest.mark.integration
async def test_sighup_reloads_the_policy_of_a_running_limiter(redis_url: str, tmp_path: Path) -> None:
    write(tmp_path / "p.yaml", 3)
    port = free_port()
    more = {
        "REDIS": redis_url,
        "KAFKA": "127.0.0.1:1",
        "POLICIES": str(tmp_path / "p.yaml"),
        "DATA_DIR": str(tmp_path / "d"),
    }
    more["PORT"] = str(port)
    environment = os.environ | {f"FLOODWARDEN_{name}": value for name, value in more.items()}
    program = await asyncio.create_subprocess_exec(sys.executable, "-m", "floodwarden", "limiter", env=environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def has(limit: int) -> bool:
                try:
                    answer = await client.post("/v1/check", json={"path": "/", "ip": "192.0.2.1"})
                except httpx.TransportError:
                    return False
                return answer.status_code == 200 and answer.json()["limit"] == limit

            await eventually(lambda: has(3), 30)
            write(tmp_path / "p.yaml", 7)
            program.send_signal(signal.SIGHUP)
            await eventually(lambda: has(7), 10)
    finally:
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 20) == 0
