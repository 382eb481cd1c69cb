"""The follower on a real Redis: snapshot, deltas, and everything that can go wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import redis
from limiter_world import KEYS, Enforcer, action, eventually, now_ms
from redis.asyncio import Redis

from limiter.feed import Feed
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.overrides import Overrides

pytestmark = pytest.mark.integration


class Follower:
    def __init__(self, url: str) -> None:
        self.overrides = Overrides()
        self.metrics = Metrics()
        self._client = Redis.from_url(url)
        self.feed = Feed(self._client, KEYS, "n1", self.overrides, self.metrics, now_ms)
        self.feed.start()

    def denies(self, ip: str) -> bool:
        return self.overrides.judge(Identity(ip=ip), "/", now_ms()).refusal is not None

    def resyncs(self, reason: str) -> float:
        return (
            self.metrics.registry.get_sample_value("floodwarden_limiter_feed_resyncs_total", {"reason": reason}) or 0.0
        )

    async def aclose(self) -> None:
        await self.feed.aclose()
        await self._client.aclose()


@pytest.fixture
def enforcer(redis_url: str) -> Enforcer:
    return Enforcer(redis_url)


@pytest.fixture
async def follower(redis_url: str) -> AsyncIterator[Follower]:
    made = Follower(redis_url)
    yield made
    await made.aclose()


def _acknowledged(enforcer: Enforcer, version: int) -> Callable[[], bool]:
    return lambda: (enforcer.redis.hget(KEYS.acks, "n1") or b"").split()[:1] == [str(version).encode()]


async def test_a_node_starts_from_the_snapshot_and_follows_the_deltas(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create(7, action("deny", "ip:192.0.2.1", "a"))
    await eventually(lambda: follower.denies("192.0.2.1"))
    enforcer.put(action("deny", "ip:192.0.2.2", "b"))
    enforcer.remove("a")
    await eventually(lambda: follower.denies("192.0.2.2") and not follower.denies("192.0.2.1"))
    await eventually(_acknowledged(enforcer, 9))
    assert follower.feed.version == 9


async def test_a_delta_is_in_force_in_milliseconds(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create()
    await eventually(lambda: follower.feed.version == 0)
    began = now_ms()
    enforcer.put(action("deny", "ip:192.0.2.2"))
    await eventually(lambda: follower.denies("192.0.2.2"))
    assert now_ms() - began < 250  # it is 1..3 on a quiet machine


async def test_a_first_snapshot_made_later_is_found(enforcer: Enforcer, follower: Follower) -> None:
    await eventually(follower.feed.contacted.is_set)
    enforcer.create()
    enforcer.put(action("deny", "ip:192.0.2.2"))
    await eventually(lambda: follower.denies("192.0.2.2"))


async def test_a_gap_in_versions_makes_it_read_the_snapshot_again(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create()
    await eventually(lambda: follower.feed.version == 0)
    enforcer.redis.hset(KEYS.enforcement, "lost", action("deny", "ip:192.0.2.3", "lost").model_dump_json())
    enforcer.version += 1  # a version this node never sees
    enforcer.put(action("deny", "ip:192.0.2.4", "seen"))
    await eventually(lambda: follower.denies("192.0.2.3") and follower.denies("192.0.2.4"))
    await eventually(lambda: follower.resyncs("gap") == 1)


async def test_an_emptied_redis_takes_no_denial_out_of_force(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create(3, action("deny", "ip:192.0.2.1"))
    await eventually(lambda: follower.denies("192.0.2.1"))
    enforcer.redis.flushall()
    await eventually(lambda: follower.resyncs("absent") == 0 and follower.feed._id is None)
    assert follower.denies("192.0.2.1")
    again = Enforcer(_url(enforcer.redis), epoch="two")
    again.create(1, action("deny", "ip:192.0.2.9", "z"))
    await eventually(lambda: follower.denies("192.0.2.9") and not follower.denies("192.0.2.1"))
    await eventually(_acknowledged(again, 1))


async def test_another_epoch_at_the_same_version_is_another_snapshot(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create(5, action("deny", "ip:192.0.2.1", "a"))
    await eventually(lambda: follower.denies("192.0.2.1"))
    with enforcer.redis.pipeline() as pipe:
        fields = {"version": 5, "id": "0-0", "epoch": "two", "b": action("deny", "ip:192.0.2.2", "b").model_dump_json()}
        pipe.delete(KEYS.enforcement)
        pipe.hset(KEYS.enforcement, mapping=fields)
        pipe.execute()
    await eventually(lambda: follower.denies("192.0.2.2") and not follower.denies("192.0.2.1"))
    await eventually(lambda: follower.resyncs("epoch") == 1)


async def test_a_version_that_went_back_is_another_snapshot(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create(5)
    await eventually(lambda: follower.feed.version == 5)
    enforcer.redis.hset(KEYS.enforcement, "version", 2)
    await eventually(lambda: follower.feed.version == 2)
    await eventually(lambda: follower.resyncs("behind") == 1)


async def test_another_epoch_is_noticed_even_while_deltas_keep_coming(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.create(5, action("deny", "ip:192.0.2.1", "a"))
    await eventually(lambda: follower.denies("192.0.2.1"))
    enforcer.redis.hdel(KEYS.enforcement, "a")
    enforcer.redis.hset(KEYS.enforcement, "epoch", "two")

    async def noticed() -> bool:
        enforcer.put(action("deny", "ip:192.0.2.9", "busy"))
        return not follower.denies("192.0.2.1")

    await eventually(noticed)
    await eventually(lambda: follower.resyncs("epoch") == 1)


@pytest.mark.parametrize("body", ['{"uid":', '{"uid": "a", "evidence": ' + "[" * 100_000 + "]" * 100_000 + "}"])
async def test_an_entry_nobody_can_read_is_counted_and_passed(
    enforcer: Enforcer, follower: Follower, body: str
) -> None:
    enforcer.create()
    await eventually(lambda: follower.feed.version == 0)
    enforcer.redis.xadd(KEYS.feed, {"v": 1, "op": "put", "body": body, "at": now_ms()}, id="1-1")
    enforcer.redis.hset(KEYS.enforcement, "version", 1)
    enforcer.version = 1
    enforcer.put(action("deny", "ip:192.0.2.2"))
    await eventually(lambda: follower.denies("192.0.2.2"))
    assert follower.metrics.registry.get_sample_value("floodwarden_limiter_feed_bad_entries_total") == 1


async def test_live_nodes_are_those_that_beat_lately(enforcer: Enforcer, follower: Follower) -> None:
    enforcer.redis.hset(KEYS.nodes, mapping={"n2": now_ms() + 60_000, "n3": now_ms() - 60_000})
    await eventually(lambda: follower.feed.nodes_live == 2)
    assert abs(int(enforcer.redis.hget(KEYS.nodes, "n1")) - now_ms()) < 5000


def _url(client: redis.Redis) -> str:
    options = client.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"
