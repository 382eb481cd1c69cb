"""The enforcer as a process, on a real broker and a real Redis."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from enforcer_world import World, alert, eventually, local_redis, now_ms

from floodwarden.embedded import free_port
from schemas import topics
from schemas.action import ActionStatus
from schemas.alert import Status

pytestmark = pytest.mark.integration


@pytest.fixture
def world(broker: str, redis_url: str, topic_prefix: str) -> World:
    return World(broker, redis_url, topic_prefix)


def test_an_alert_becomes_an_action_in_the_topic_and_in_redis_and_its_way_is_measured(world: World) -> None:
    with world.enforcer():
        at_ms = now_ms()
        world.send(alert(at_ms=at_ms))
        found = world.wait_for("203.0.113.7")
        assert found["kind"] == "deny"
        assert found["version"] == 2
        assert (found["alert_uid"], found["rule"], found["model"]) == ("guess-203.0.113.7", "guess/1", "m1")
        assert found["crossed_ms"] == at_ms - 100
        assert found["evidence"][0]["sentence"] == "6 failures"
        (entry,) = world.feed()
        assert (entry["v"], entry["op"]) == ("2", "put")
        assert world.redis.pttl(world.keys.target("ip", "203.0.113.7")) > 590_000
        (record,) = world.records()
        assert record[0].decode() == found["uid"]

        world.node("limiter-1")
        (measured,) = eventually(lambda: world.get("/v1/enforcements").json()["enforcements"])
        assert measured["action"] == found["uid"]
        assert measured["missing"] == []
        assert measured["total_ms"] >= measured["ack_ms"]["limiter-1"] + 100
        assert "floodwarden_enforcer_time_to_enforce_seconds" in world.get("/metrics").text


def test_a_redelivered_alert_has_one_effect(world: World) -> None:
    with world.enforcer():
        told = alert()
        world.send(told, told, alert("203.0.113.8"), told)
        world.wait_for("203.0.113.8")
        world.wait_for("203.0.113.7")
        world.send(told, alert("203.0.113.9"))
        world.wait_for("203.0.113.9")
        assert len(world.actions()) == len(world.feed()) == 3


def test_a_withdrawn_alert_lifts_what_it_caused(world: World) -> None:
    with world.enforcer():
        told = alert()
        world.send(told)
        world.wait_for("203.0.113.7")
        world.send(told.model_copy(update={"status": Status.WITHDRAWN}))
        eventually(lambda: not world.snapshot())
        assert [entry["op"] for entry in world.feed()] == ["put", "del"]
        assert world.redis.get(world.keys.target("ip", "203.0.113.7")) is None
        assert world.actions()[-1].status is ActionStatus.LIFTED


def test_a_bad_alert_goes_to_dead_letter_and_the_next_is_answered(world: World) -> None:
    with world.enforcer():
        world.send(b'{"uid":"x"}', b"\xff", alert().model_copy(update={"v": 99}), alert("203.0.113.8"))
        world.wait_for("203.0.113.8")
        dead = eventually(lambda: found if len(found := world.records(topics.DEAD_LETTER)) == 3 else None)
        assert {headers["code"] for _, _, headers in dead} == {b"missing_field", b"bad_json", b"future_version"}
        assert (b"\xff", b"0") in {(value, headers["origin-partition"]) for _, value, headers in dead} or any(
            value == b"\xff" for _, value, _ in dead
        )


def test_an_emptied_redis_is_whole_again_within_five_seconds(world: World) -> None:
    with world.enforcer():
        world.send(*(alert(f"198.51.100.{n}") for n in range(20)))
        before = eventually(lambda: found if len(found := world.snapshot()) == 20 else None)
        epoch = world.redis.hget(world.keys.enforcement, "epoch")
        world.redis.flushall()
        world.send(alert("198.51.100.99"))
        eventually(lambda: len(world.snapshot()) == 21, within_s=5)
        assert world.redis.hget(world.keys.enforcement, "epoch") != epoch
        assert before.keys() < world.snapshot().keys()
        assert world.redis.pttl(world.keys.target("ip", "198.51.100.3")) > 0


def test_a_replica_that_takes_over_without_the_last_words_is_told_them(world: World, redis_url: str) -> None:
    with world.enforcer(), redis.Redis.from_url(redis_url) as raw:
        world.send(alert("198.51.100.1"))
        world.wait_for("198.51.100.1")
        replica = {key: raw.dump(key) for key in raw.scan_iter(f"{world.settings.redis_prefix}*")}
        world.send(alert("198.51.100.2"))
        world.wait_for("198.51.100.2")
        with raw.pipeline() as takes_over:
            takes_over.flushall()
            for key, value in replica.items():
                takes_over.restore(key, 0, value)
            takes_over.execute()
        world.wait_for("198.51.100.2", within_s=60)
        assert {action["target"]["value"] for action in world.snapshot().values()} == {"198.51.100.1", "198.51.100.2"}
        assert world.redis.exists(world.keys.target("ip", "198.51.100.2"))


def test_an_enforcer_killed_in_the_middle_leaves_each_action_once(world: World) -> None:
    values = [f"198.51.100.{n}" for n in range(60)]
    with world.enforcer() as process:
        world.send(*map(alert, values[:30]))
        eventually(lambda: len(world.snapshot()) >= 5)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    world.send(*map(alert, values[30:]))
    with world.enforcer():
        eventually(lambda: len(world.snapshot()) == 60)
        world.send(alert("203.0.113.99"))
        world.wait_for("203.0.113.99")
        assert len({action.uid for action in world.actions()}) == 61
        assert sorted(int(entry["v"]) for entry in world.feed()) == list(range(2, 63))


def test_what_has_run_out_leaves_by_itself(broker: str, redis_url: str, topic_prefix: str) -> None:
    world = World(broker, redis_url, topic_prefix, deny_seconds=1, quiet_seconds=1)
    with world.enforcer():
        world.send(alert())
        world.wait_for("203.0.113.7")
        eventually(lambda: not world.snapshot(), within_s=5)
        assert world.actions()[-1].status is ActionStatus.EXPIRED
        eventually(lambda: world.records()[-1][1] is None)


def test_two_enforcers_give_each_action_one_effect(broker: str, redis_url: str, topic_prefix: str) -> None:
    one, two = (World(broker, redis_url, topic_prefix, **name) for name in _names())
    with one.enforcer(), two.enforcer():
        one.send(*(alert(f"198.51.100.{n}") for n in range(40)))
        eventually(lambda: len(one.snapshot()) == 40)
        assert len(one.feed()) == 40
        assert len({action.uid for action in one.actions()}) == 40


def test_alerts_whose_commit_was_lost_are_read_again_and_change_nothing(world: World) -> None:
    with world.enforcer() as process:
        world.send(*(alert(f"198.51.100.{n}") for n in range(10)))
        eventually(lambda: len(world.snapshot()) == 10)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    world.forget_commits()
    with world.enforcer():
        world.send(alert("203.0.113.99"))
        world.wait_for("203.0.113.99")
        assert len(world.actions()) == len(world.feed()) == 11


def test_what_is_decided_while_redis_is_away_is_in_force_once_it_is_back(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    port = free_port()
    with local_redis(port, tmp_path) as url:
        world = World(broker, url, topic_prefix)
        enforcer = world.enforcer()
        enforcer.__enter__()
        world.send(alert("203.0.113.1"))
        world.wait_for("203.0.113.1")
    try:
        world.send(*(alert(f"198.51.100.{n}") for n in range(10)))
        eventually(lambda: len(world.actions()) == 11)
        with local_redis(port, tmp_path):
            eventually(lambda: len(world.held()) == 11)
            world.send(alert("203.0.113.2"))
            assert world.wait_for("203.0.113.2")["version"] > 1
    finally:
        enforcer.__exit__(None, None, None)


def test_an_enforcer_told_to_stop_stops_though_it_waits_for_acknowledgements(world: World) -> None:
    for n in range(5):
        with world.enforcer(quiet=True) as process:
            world.send(alert(f"198.51.100.{n}"))
            world.wait_for(f"198.51.100.{n}")
            process.terminate()
            assert process.wait(5) == 0


def _names() -> list[dict[str, Any]]:
    return [{"node": "enforcer-1"}, {"node": "enforcer-2"}]
