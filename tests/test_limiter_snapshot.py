"""The snapshot read in pages while the enforcer's own script goes on writing: in the end exactly what is in force."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from limiter_world import KEYS, action, eventually, now_ms
from redis.asyncio import Redis

from enforcer.drafts import lifted
from enforcer.ladder import Ladder
from enforcer.ledger import Ledger
from enforcer.writer import What, Writer
from limiter.feed import Feed
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.overrides import Overrides
from limiter.snapshot import PAGE
from schemas.action import Action
from schemas.exempt import exempt_addresses

pytestmark = pytest.mark.integration
COUNT = 8 * PAGE


class Truth:
    """What an enforcer knows, written by its own script."""

    def __init__(self, client: Redis) -> None:
        self.ledger = Ledger(Ladder(4.0, 1000, 86_400))
        self.writer = Writer(client, KEYS, now_ms)
        self.chance = random.Random(7)
        self.offset = -1
        self.version = 0
        self.written = COUNT

    def fold(self, record: Action) -> object:
        self.offset += 1
        return self.ledger.fold(record.uid, record, 0, self.offset).change

    def fill(self, first: int, count: int) -> None:
        for n in range(first, first + count):
            self.fold(denial(n))

    async def install(self) -> None:
        written = await self.writer.install(self.ledger, await self.writer.seen(), self.version + 1)
        assert written.what is What.DONE
        self.version = written.version

    async def write(self, record: Action) -> None:
        [written] = await self.writer.apply([self.fold(record)])  # type: ignore[arg-type]
        assert written.what is What.DONE
        self.version = written.version

    async def churn(self, stop: asyncio.Event) -> int:
        """New denials and the end of old ones, one after the other as fast as Redis takes them."""
        done = 0
        while not stop.is_set():
            await self.write(denial(self.written))
            self.written += 1
            gone = self.chance.choice(list(self.ledger.in_force()))
            await self.write(lifted(gone, now_ms(), "auto", "test"))
            done += 1
        return done

    def addresses(self) -> set[str]:
        return {one.target.value for one in self.ledger.in_force()}


def denial(n: int) -> Action:
    return action("deny", f"ip:{_address(n)}", f"{n:032x}", rule=f"rule/{n % 7}")


def _address(n: int) -> str:
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


class Node:
    def __init__(self, url: str) -> None:
        self.overrides = Overrides()
        self.metrics = Metrics()
        self.client = Redis.from_url(url)
        self.feed = Feed(self.client, KEYS, "n1", self.overrides, self.metrics, now_ms)

    def denied(self, upto: int) -> set[str]:
        addresses = (_address(n) for n in range(upto))
        return {ip for ip in addresses if self.overrides.judge(Identity(ip=ip), "/", now_ms()).refusal}

    def resyncs(self) -> float:
        """Snapshots read to their end."""
        name = "floodwarden_limiter_feed_resyncs_total"
        found = (self.metrics.registry.get_sample_value(name, {"reason": why}) for why in ("start", "gap", "stalled"))
        return sum(count or 0.0 for count in found)


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[Node]:
    made = Node(redis_url)
    yield made
    await made.feed.aclose()
    await made.client.aclose()


@pytest.fixture
async def truth(redis_url: str) -> AsyncIterator[Truth]:
    async with Redis.from_url(redis_url) as client:
        made = Truth(client)
        made.fill(0, COUNT)
        await made.install()
        yield made


async def _churned(truth: Truth, node: Node, snapshots: float) -> int:
    """Writes until the node has read so many snapshots, then waits until it has every write; how many there were."""
    stop = asyncio.Event()
    churning = asyncio.create_task(truth.churn(stop))
    await eventually(lambda: node.resyncs() >= snapshots, 60)
    stop.set()
    done = await churning
    await eventually(lambda: node.feed.version == truth.version, 20)
    return done


async def test_a_node_that_starts_amid_changes_ends_with_exactly_what_is_in_force(truth: Truth, node: Node) -> None:
    node.feed.start()
    done = await _churned(truth, node, 1)
    assert done > 5, "nothing was written while it read"
    assert node.denied(COUNT + done) == truth.addresses()
    assert len(node.overrides) == len(truth.addresses())


async def test_after_a_gap_amid_changes_too(truth: Truth, node: Node) -> None:
    node.feed.start()
    await eventually(lambda: node.resyncs() == 1, 30)
    for _ in range(3):
        before = node.resyncs()
        await node.client.xtrim(KEYS.feed, maxlen=0, approximate=False)
        await node.client.hincrby(KEYS.enforcement, "version", 1)  # a version this node never sees
        truth.version += 1
        await _churned(truth, node, before + 1)
        assert node.denied(truth.written) == truth.addresses()
    assert len(node.overrides) == len(truth.addresses())


async def test_another_snapshot_put_in_its_place_while_it_reads_is_read_instead(truth: Truth, node: Node) -> None:
    node.feed.start()
    await eventually(lambda: len(node.overrides) > 0)
    assert node.feed.version is None, "the snapshot has not been read to its end"
    for n in range(0, COUNT, 2):
        truth.fold(lifted(denial(n), now_ms(), "auto", "test"))
    await truth.install()
    await eventually(lambda: node.feed.version == truth.version, 30)
    assert node.denied(COUNT) == truth.addresses()


async def test_a_delta_written_while_it_reads_is_in_force_before_it_has_read_all(truth: Truth, node: Node) -> None:
    node.feed.start()
    await eventually(lambda: len(node.overrides) > 0)
    await truth.write(denial(COUNT + 1))
    await eventually(lambda: _address(COUNT + 1) in node.denied(COUNT + 2))
    assert node.feed.version is None, "it had read all before"
    await eventually(lambda: node.feed.version == truth.version)
    assert node.denied(COUNT + 2) == truth.addresses()


async def test_until_it_has_read_all_what_it_knew_stays_in_force(truth: Truth, node: Node) -> None:
    node.overrides.put(action("deny", "ip:192.0.2.1", "known"), now_ms())
    node.feed.start()
    await eventually(lambda: len(node.overrides) > PAGE)
    assert node.overrides.judge(Identity(ip="192.0.2.1"), "/", now_ms()).refusal
    await eventually(lambda: node.feed.version == truth.version, 30)
    assert not node.overrides.judge(Identity(ip="192.0.2.1"), "/", now_ms()).refusal


async def test_an_action_too_large_for_the_feed_is_fetched_from_the_snapshot(truth: Truth, node: Node) -> None:
    node.feed.start()
    await eventually(lambda: node.feed.version == truth.version, 30)
    known = [f"192.0.{n >> 8}.{n & 255}" for n in range(5_000)]
    await truth.write(action("deny", "key:k1", "f" * 32).model_copy(update={"exempt": exempt_addresses(known)}))
    ((_, entry),) = await node.client.xrevrange(KEYS.feed, count=1)
    assert (entry[b"body"], entry[b"uid"]) == (b"", b"f" * 32)
    await eventually(lambda: node.feed.version == truth.version)
    assert node.overrides.judge(Identity("198.51.100.1", "k1"), "/", now_ms()).refusal
    assert not node.overrides.judge(Identity(known[77], "k1"), "/", now_ms()).refusal
