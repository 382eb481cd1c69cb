"""Kafka goes away under an enforcer and comes back: what stands stays, who asks is told, nothing is half done."""

from __future__ import annotations

from pathlib import Path

import pytest
from api_world import ApiWorld
from enforcer_world import alert, eventually
from servers import kafka, why_no_kafka

from enforcer.callers import Role

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_while_kafka_is_away_what_stands_stays_and_what_is_asked_is_refused_and_alerts_are_answered_after(
    redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    if reason := why_no_kafka():
        pytest.skip(reason)
    denial = {"kind": "ip", "value": "203.0.113.9", "seconds": 3600, "reason": "card testing"}
    with kafka(tmp_path) as broker:
        world = ApiWorld(broker.address, redis_url, topic_prefix, tmp_path)
        with world.enforcer(program="floodwarden.enforcing", quiet=True) as process:
            world.send(alert("203.0.113.1"))
            world.wait_for("203.0.113.1", 60)
            with world.client(world.key(Role.ADMIN), **{"idempotency-key": "once"}) as client:
                eventually(lambda: client.get("/actions").json()["items"], 60)
                before = world.snapshot()
                broker.stop()
                answer = client.post("/denials", json=denial)
                assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
                assert "Kafka" in answer.json()["field"]
                assert [each["target"]["value"] for each in client.get("/actions").json()["items"]] == ["203.0.113.1"]
                assert world.snapshot() == before
                broker.start()
                world.send(alert("203.0.113.2"))
                world.wait_for("203.0.113.2", 120)
                assert world.snapshot().keys() - before.keys() == {world.wait_for("203.0.113.2")["uid"]}
                made = eventually(lambda: (got := client.post("/denials", json=denial)).status_code == 200 and got, 60)
                assert made.json()["actions"][0]["target"]["value"] == "203.0.113.9"
        assert process.returncode == 0
        assert sorted(a.target.value for a in world.actions()) == ["203.0.113.1", "203.0.113.2", "203.0.113.9"]
