"""What is tried on a few, moved by a whole enforcer on real Kafka: on by itself, and back when the site suffers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_world import ApiWorld
from enforcer_world import alert, eventually
from limiter_world import eventually as eventually_async
from test_enforcer_leader import Upstream
from test_policy_rollout import limits
from typer.testing import CliRunner

from enforcer import judging
from enforcer.canary import CODE
from enforcer.rollout import Rollout, State
from enforcer.store import rollouts
from floodwarden.cli import app
from limiter.facts import Identity
from limiter.service import Service
from limiter.verdict import Request
from schemas.action import ActionStatus
from schemas.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
LONG_S = 100.0
PLAYS = """
version: 1
plays:
  - {name: fine, do: deny, when: {alert: guess}, canary: {share: 0.3, watch: 10s}}
  - {name: bad, do: deny, when: {alert: probe}, canary: {share: 0.3, watch: 10m}}
"""


@pytest.fixture(scope="module")
def world(kafka_address: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """An enforcer that looks at the site and begins no brownout."""
    directory = tmp_path_factory.mktemp("trials")
    (directory / "plays.yaml").write_text(PLAYS)
    made = ApiWorld(
        kafka_address, redis_server, f"t{time.time_ns()}.", directory, playbooks=directory / "plays.yaml",
        brownout="observe", data_dir=directory,
    )  # fmt: skip
    with made.enforcer(program="floodwarden.enforcing"):
        yield made


@pytest.fixture(scope="module")
def site(world: ApiWorld) -> Iterator[Upstream]:
    """A site that does well, as the enforcer has heard."""
    made = Upstream(world)
    with made.telling():
        eventually(lambda: health(world).get("requests_per_second", 0) > 50, LONG_S)
        yield made


def health(world: ApiWorld) -> dict[str, Any]:
    return dict(json.loads(world.redis.get(world.keys.health) or "{}"))


def denied(world: ApiWorld, network: str) -> int:
    return sum(action["target"]["value"].startswith(network) for action in world.held().values())


def waiting(world: ApiWorld) -> int:
    return len(judging.pending(world.settings))


def test_answers_to_a_few_are_widened_while_the_site_does_well_and_taken_back_when_it_fails(
    world: ApiWorld, site: Upstream
) -> None:
    world.send(*(alert(f"198.51.100.{n}") for n in range(20)))
    eventually(lambda: denied(world, "198.51.100.") + waiting(world) == 20, LONG_S)
    eventually(lambda: denied(world, "198.51.100.") == 20, LONG_S)
    widened = [action for action in world.actions() if action.status is ActionStatus.APPROVED]
    assert widened, "most of them waited"
    assert {(action.guard, action.ended_by) for action in widened} == {(CODE, "auto")}

    world.send(*(alert(f"203.0.113.{n}", kind="probe", uid=f"probe-{n}") for n in range(20)))
    eventually(lambda: denied(world, "203.0.113.") + waiting(world) == 20, LONG_S)
    assert 1 <= denied(world, "203.0.113.") < 20
    site.failing = 120
    eventually(lambda: not denied(world, "203.0.113.") and not waiting(world), LONG_S)
    lifts = [a for a in world.actions() if a.play == "bad" and a.status is ActionStatus.LIFTED]
    assert all("of requests fail" in (action.ended_reason or "") for action in lifts)
    assert denied(world, "198.51.100.") == 20, "another play's answers stay"


async def test_a_policy_comes_by_stages_and_goes_when_the_site_fails(world: ApiWorld, site: Upstream) -> None:
    site.failing = 0
    await until(lambda: health(world).get("errors", 1.0) < 0.01)
    path = world.settings.data_dir / "limits.yaml"
    keys = world.settings.redis_prefix
    node = Settings(
        redis=world.settings.redis, redis_prefix=keys, redis_deadline_ms=2000, node="n1", kafka="127.0.0.1:1"
    )

    async def apply(burst: int, *more: str) -> None:
        path.write_bytes(limits(burst))
        words = ["policy", "apply", str(path), "--yes", "--json", "--min-checks", "1", *more]
        told = await asyncio.to_thread(CliRunner().invoke, app, words, env=world.environment)
        assert told.exit_code == 0, told.output

    async def becomes(there: Callable[[Rollout], bool]) -> Rollout:
        found: list[Rollout] = []

        async def look() -> bool:
            for n in range(20):
                await service.node.check(Request("GET", "/x", Identity(f"192.0.2.{n}")))
            told = await asyncio.to_thread(rollouts.newest, world.engine, "main")
            found[:] = [told.rollout] if told is not None and there(told.rollout) else []
            return bool(found)

        await eventually_async(look, LONG_S)
        return found[0]

    async with Service(node, publish=False) as service:
        await eventually_async(lambda: service.ready and service.feed.version is not None, LONG_S)
        await apply(500_000)
        await apply(400_000, "--rollout", "shadow:1s,canary:50%:1s,enforce")
        await becomes(lambda rollout: rollout.state is State.PROMOTED)
        await eventually_async(lambda: service.policy.limits[0].shape.limit == 400_000, LONG_S)
        await apply(300_000, "--rollout", "canary:50%:1h,enforce")
        await becomes(lambda rollout: rollout.before is not None)
        site.failing = 120
        gone = await becomes(lambda rollout: rollout.state is State.ROLLED_BACK)
        assert "of requests fail" in gone.why
        await eventually_async(lambda: service.policy.limits[0].shape.limit == 400_000, LONG_S)


async def until(there: Callable[[], bool]) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(there)

    await eventually_async(look, LONG_S)
