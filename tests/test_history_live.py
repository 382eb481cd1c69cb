"""From logins and keys in the stream to whom an answer leaves alone: a worker, an enforcer, and a limiter's view."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from enforcer_world import STOLEN_KEYS, World, alert, eventually, now_ms
from stream_worker import Worker, batch, send

from floodwarden.embedded import free_port
from limiter.matcher import Identity
from limiter.orders import decoded
from limiter.overrides import Overrides
from schemas import history, topics
from schemas.action import ActionKind
from schemas.alert import Answer, EntityKind
from schemas.codec import text_hash
from schemas.decision import Decision
from schemas.history import Sights
from schemas.networks import subscriber
from stream import history_reader

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
MINUTE_MS = 60_000
HOME, THIEF = "203.0.113.7", "192.0.2.9"


def visits(ip: str, *at_ms: int) -> list[bytes]:
    columns: dict[str, Any] = {"verdict": "allow", "route": "/api/items", "method": "GET", "path": "/", "status": 200}
    return [batch([Decision(ts_ms=at, node="n1", ip=ip, key_id="k1", **columns)]) for at in at_ms]


def told(world: World) -> dict[int, tuple[int, int]]:
    """By subscriber of the key: first and last seen, as the newest slices say."""
    slices = {key: history.decode(value) for key, value, _ in world.records(topics.HISTORY) if value}
    sights = Sights.concat(list(slices.values()))
    mine = sights.take(sights.owner == text_hash("k1"))
    return {int(s): (int(f), int(e)) for s, f, e in zip(mine.subscriber, mine.first_s, mine.last_s, strict=True)}


def test_a_stolen_key_is_denied_where_its_owner_never_was_though_the_worker_lost_all_it_had(
    broker: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    playbook, data = tmp_path / "playbook.yaml", tmp_path / "data"
    playbook.write_text(f"version: 1\nplays:\n{STOLEN_KEYS}")
    world = World(
        broker, redis_url, topic_prefix, data_dir=data, playbooks=playbook, decisions_partitions=1, usage_partitions=1,
        skew_ms=10**9, history_seconds=600, history_every_seconds=60, snapshot_every_ms=10**9,
    )  # fmt: skip
    of_stream = world.settings.model_copy(update={"port": free_port()})
    one = Worker(of_stream, tmp_path, environment=world.environment | {"FLOODWARDEN_PORT": str(of_stream.port)})
    began_ms = now_ms() // 1000 * 1000 - 60 * MINUTE_MS
    one.start()
    try:
        one.answers("/readyz", lambda r: len(r["usage"]) == 1, 150)
        send(of_stream, visits(HOME, *(began_ms + minute * MINUTE_MS for minute in range(0, 45, 5))))
        home = subscriber(HOME)
        first, last = eventually(lambda: (found := told(world).get(home)) and found[1] - found[0] >= 600 and found, 100)
        assert first == began_ms // 1000
        one.kill()  # told, and no snapshot since: what it told of comes again
        shutil.rmtree(data / "stream", ignore_errors=True)
        (sights,) = [s for s in history_reader.read(of_stream, 0) if home in s.subscriber]
        assert sights.last_s.max() >= last, "what a worker that has nothing begins with"
        one.start()
        one.answers("/readyz", lambda r: len(r["usage"]) == 1, 150)
        now = began_ms + 58 * MINUTE_MS
        send(of_stream, [*visits(HOME, now), *visits(THIEF, now), *visits(HOME, now + 2 * MINUTE_MS)])
        after = eventually(lambda: (found := told(world)) and subscriber(THIEF) in found and found, 100)
        assert after[home][0] == first, "known since it was first seen, not since the worker began anew"
    finally:
        one.kill()
    with world.enforcer():
        leak = {"kind": "leak", "answer": Answer.CHALLENGE, "kind_of": EntityKind.KEY, "first_ms": now}
        world.send(alert("k1", **leak), alert("k2", **leak))
        action, unknown = world.wait_for("k1", 100), world.wait_for("k2", 100)
    assert action["kind"] == "deny"
    assert action["exempt"] == {"by": "ip", "networks": ["203.0.113.0/24"], "marks": ""}
    assert "except from the network it is known from" in action["reason"]
    assert (unknown["kind"], unknown["guard"], unknown["exempt"]) == ("challenge", "no_history", None)
    assert "it is not known yet where it comes from" in unknown["reason"]
    limits = Overrides()
    limits.put(decoded(json.dumps(action).encode()), now_ms())
    at_home, elsewhere = (limits.judge(Identity(ip, key_id="k1"), "/api", now_ms()).refusal for ip in (HOME, THIEF))
    assert at_home is None
    assert elsewhere is not None
    assert elsewhere.kind is ActionKind.DENY
