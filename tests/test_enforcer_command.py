"""Commands of people, carried out by a running enforcer; and the clear word when there is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from enforcer_world import World, alert, eventually

from enforcer import command
from enforcer.errors import CommandError
from floodwarden.embedded import free_port
from schemas.action import ActionKind
from schemas.alert import Answer, Status
from schemas.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def world(broker: str, redis_url: str, topic_prefix: str) -> Iterator[World]:
    made = World(broker, redis_url, topic_prefix, allowlist="198.51.100.0/28, key:partner")
    with made.enforcer():
        yield made


def _error(code: str, field: str, run: object, *args: object) -> CommandError:
    with pytest.raises(CommandError) as raised:
        run(*args)  # type: ignore[operator]
    assert (raised.value.code, raised.value.field) == (code, field)
    assert raised.value.fix
    return raised.value


@contextmanager
def a_node(world: World) -> Iterator[None]:
    """A limiter that acknowledges all there is, known before anybody commands."""
    stop = threading.Event()

    def be() -> None:
        while not stop.wait(0.01):
            world.node("limiter-1")

    node = threading.Thread(target=be)
    node.start()
    try:
        eventually(lambda: world.redis.hexists(world.keys.nodes, "limiter-1"))
        yield
    finally:
        stop.set()
        node.join()


def test_a_day_of_commands(world: World) -> None:
    settings = world.settings
    with a_node(world):
        done = command.deny_add(settings, "ip", "203.0.113.9", 60, "seen in the logs", "ann")
        assert done.ack_ms.keys() == {"limiter-1"}
        assert not done.missing
        assert done.in_force_ms < 2_000
        assert [a.owner for a in command.deny_list(settings)] == ["cli:ann"]

        taken_back = command.undo(settings, done.actions[0].uid[:8], "bob")
        assert taken_back.version == done.version + 1
        assert command.deny_list(settings) == []

        world.send(alert("203.0.113.30"))
        world.wait_for("203.0.113.30")
        stopped = command.stop(settings, 600, "customers call", "ann")
        assert [a.target.value for a in stopped.also_lifted] == ["203.0.113.30"]
        assert command.deny_list(settings) == []
        world.send(alert("203.0.113.31"))
        eventually(lambda: any(a.status == "refused" and "stopped by cli:ann" in a.reason for a in world.actions()))
        assert [a.kind for a in command.holds(settings)] == [ActionKind.HOLD]
        command.resume(settings, "ann")

        world.send(alert())
        world.wait_for("203.0.113.7")
        command.deny_remove(settings, "ip", "203.0.113.7", "bob", "our own scanner")
        later = alert().model_copy(update={"status": Status.UPDATE})
        world.send(later, alert("203.0.113.8"))
        world.wait_for("203.0.113.8")
        assert "203.0.113.7" not in {a.target.value for a in command.deny_list(settings)}, "a person's word holds"

        allowed = command.allow_add(settings, "ip", "203.0.113.0/24", 3600, "the new office", "ann")
        assert [a.target.value for a in allowed.also_lifted] == ["203.0.113.8"]
        assert [a.kind for a in command.allow_list(settings)] == [ActionKind.ALLOW]
        _error("allowlisted", "value", command.deny_add, settings, "ip", "203.0.113.5", 60, "x", "ann")
        _error("allowlisted", "value", command.deny_add, settings, "ip", "203.0.0.0/16", 60, "x", "ann")
        command.allow_remove(settings, "ip", "203.0.113.0/24", "ann")
        command.deny_add(settings, "ip", "203.0.113.5", 60, "x", "ann")

        first = command.brownout_set(settings, 2, 60, "database is slow", "ann")
        command.brownout_set(settings, 3, 60, "slower", "ann")
        status = command.brownout_status(settings)
        assert status is not None
        assert (status.level, status.uid != first.actions[0].uid) == (3, True)
        command.brownout_clear(settings, "ann")
        assert command.brownout_status(settings) is None


def test_what_cannot_be_is_refused_with_the_fix(world: World) -> None:
    settings = world.settings
    _error("bad_value", "value", command.deny_add, settings, "ip", "300.1.1.1", 60, "x", "ann")
    _error("bad_value", "kind", command.deny_add, settings, "planet", "mars", 60, "x", "ann")
    _error("bad_value", "kind", command.deny_add, settings, "global", "*", 60, "x", "ann")
    _error("bad_value", "seconds", command.deny_add, settings, "ip", "203.0.113.9", 0, "x", "ann")
    _error("bad_value", "seconds", command.deny_add, settings, "ip", "203.0.113.9", 10**9, "x", "ann")
    _error("bad_value", "reason", command.deny_add, settings, "ip", "203.0.113.9", 60, " ", "ann")
    _error("bad_value", "level", command.brownout_set, settings, 9, 60, "x", "ann")
    _error("allowlisted", "value", command.deny_add, settings, "key", "partner", 60, "x", "ann")
    for value in ("127.0.0.1", "127.0.0.0/24", "0.0.0.0/1"):
        _error("own_proxy", "value", command.deny_add, settings, "ip", value, 60, "x", "ann")
    _error("not_found", "value", command.deny_remove, settings, "ip", "203.0.113.9", "ann")
    _error("not_found", "action_uid", command.undo, settings, "nothing", "ann")
    _error("not_found", "action_uid", command.undo, settings, "", "ann")
    _error("not_found", "brownout", command.brownout_clear, settings, "ann")
    assert world.actions() == []


def test_a_throttle_by_an_alert_is_listed_and_removed_like_a_denial(world: World) -> None:
    world.send(alert("hammering-key", kind_of="key", answer=Answer.THROTTLE))
    found = world.wait_for("hammering-key")
    assert found["factor"] == world.settings.throttle_factor
    (listed,) = command.deny_list(world.settings)
    assert listed.kind is ActionKind.THROTTLE
    command.deny_remove(world.settings, "key", "hammering-key", "ann")
    assert eventually(lambda: not world.snapshot())


def test_without_an_enforcer_nothing_is_written(redis_url: str) -> None:
    settings = Settings(redis=redis_url, kafka=f"127.0.0.1:{free_port()}", redis_prefix="none:")
    _error("enforcer_unreachable", "enforcer", command.deny_add, settings, "ip", "203.0.113.9", 60, "x", "ann")


def test_an_absent_redis_is_named_without_its_password() -> None:
    port = free_port()
    settings = Settings(redis=f"redis://:hunter2@127.0.0.1:{port}/0")
    error = _error("redis_unreachable", f"Redis at redis://127.0.0.1:{port}/0", command.deny_list, settings)
    assert "hunter2" not in str(error)


def test_an_absent_broker_is_named(world: World) -> None:
    away = world.settings.model_copy(update={"kafka": f"127.0.0.1:{free_port()}"})
    _error("broker_unreachable", f"Kafka at {away.kafka}", command.deny_add, away, "ip", "203.0.113.9", 60, "x", "ann")
