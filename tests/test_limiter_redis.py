"""The check on a Redis that is a cluster, behind sentinels, behind TLS, under an ACL, and behind a wire that fails."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from limiter_world import KEYS, Enforcer, Server, action, eventually, now_ms, settings
from redis_world import Cluster, Instance, Sentinels, Wire, instances, until, wire
from servers import ROOT

from enforcer.drafts import lifted
from enforcer.ladder import Ladder
from enforcer.ledger import Ledger
from enforcer.policy_publisher import PolicyPublisher
from enforcer.writer import What, Writer
from floodwarden import doctor, embedded
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity
from limiter.modes import ModeChange
from limiter.policy import Limit, Per, Policy, Tier
from limiter.service import Service
from limiter.verdict import Mode, Request
from schemas import policies
from schemas.policies import Candidate
from schemas.redis_client import connect, connect_async

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(embedded.why_no_redis() is not None, reason=embedded.why_no_redis() or ""),
]

HOUR_US = 3_600_000_000
POLICY = Policy(
    name="test",
    limits=(Limit("ip", Per.IP, Bucket.of(10, HOUR_US, 10)), Limit("user", Per.USER, Bucket.of(4, HOUR_US, 4))),
    tiers={"default": Tier("default")},
    default_tier="default",
    anonymous_tier="default",
)
USERS = ROOT / "deploy" / "redis" / "users.acl"
DEADLINE_MS = 2000  # none that a loaded machine misses, where a test is not about the deadline


def ask(ip: str = "192.0.2.1", user: str | None = None) -> Request:
    return Request("GET", "/items/1", Identity(ip=ip, user=user))


def key(ip: str) -> str:
    return KEYS.limiter("ip", ip)


def an_ip_of(node: Instance, cluster: Cluster, not_in: tuple[str, ...] = ()) -> str:
    return next(ip for n in range(1, 250) if (ip := f"192.0.2.{n}") not in not_in and cluster.owner(key(ip)) is node)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Service]:
    monkeypatch.setattr("limiter.service.load", lambda _: POLICY)

    def start(url: str, **more: object) -> Service:
        return Service(settings(url, **({"redis_deadline_ms": DEADLINE_MS} | more)))

    return start


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with instances() as made:
        yield Cluster(tmp_path_factory.mktemp("cluster"), made)


@pytest.fixture
def cluster(healthy: Cluster) -> Cluster:
    for node in healthy.nodes:
        with node.client() as client:
            client.flushall()
            client.script_flush()
    return healthy


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    with instances() as made:
        yield Cluster(tmp_path, made)


class Changes:
    """What a node told of its modes."""

    def __init__(self, service: Service) -> None:
        self.seen: list[ModeChange] = []
        service.node.modes.subscribe(self.seen.append)

    def __call__(self, part: str = "") -> list[tuple[Mode, Mode]]:
        return [(each.was, each.mode) for each in self.seen if each.part == part]


LOST, BACK = (Mode.SHARED, Mode.LOCAL), (Mode.LOCAL, Mode.SHARED)


# A cluster


async def test_nodes_share_their_limits_in_a_cluster_whichever_node_of_it_has_them(
    cluster: Cluster, started: Callable[..., Service]
) -> None:
    async with started(cluster.url) as one, started(cluster.url, node="n2") as two:
        for n in range(30):
            answers = [await each.node.check(ask(f"192.0.2.{n}")) for _ in range(6) for each in (one, two)]
            assert sum(answer.allowed for answer in answers) == 10
            assert answers[0].mode is Mode.SHARED
    for node in cluster.nodes:
        with node.client() as client:
            assert client.dbsize() > 3


async def test_limits_on_several_nodes_make_one_answer_and_a_refusal_takes_nothing(
    cluster: Cluster, started: Callable[..., Service]
) -> None:
    async with started(cluster.url) as service:
        requests = [ask(f"192.0.2.{n}", f"user-{n}") for n in range(12)]
        answers = [answer for _ in range(9) for answer in await service.node.check_many(requests)]
        assert sum(answer.allowed for answer in answers) == 12 * 4
        assert {answer.rule for answer in answers if not answer.allowed} == {"user"}
        rest = [
            answer
            for _ in range(8)
            for answer in await service.node.check_many([ask(f"192.0.2.{n}") for n in range(12)])
        ]
        assert sum(answer.allowed for answer in rest) == 12 * 6


async def test_a_slot_that_moves_takes_its_limits_along(cluster: Cluster, started: Callable[..., Service]) -> None:
    ip = an_ip_of(cluster.nodes[0], cluster)
    async with started(cluster.url) as service:
        changes = Changes(service)
        assert [(await service.node.check(ask(ip))).mode for _ in range(4)] == [Mode.SHARED] * 4
        cluster.migrate(key(ip), cluster.nodes[1])
        try:
            answers = [await service.node.check(ask(ip)) for _ in range(9)]
        finally:
            _back(cluster, ip)
        assert sum(answer.allowed for answer in answers) == 6
        assert answers[0].mode is Mode.SHARED
        assert changes.seen == []


async def test_a_slot_on_its_way_is_asked_where_the_key_is(cluster: Cluster, started: Callable[..., Service]) -> None:
    ip = an_ip_of(cluster.nodes[0], cluster, not_in=("192.0.2.1",))
    async with started(cluster.url) as service:
        cluster.migrate(key(ip), cluster.nodes[1], finish=False)
        try:
            answers = [await service.node.check(ask(ip)) for _ in range(12)]
            with cluster.nodes[1].client() as client:
                slot = client.execute_command("CLUSTER", "KEYSLOT", key(ip))
                assert client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        finally:
            _back(cluster, ip)
        assert sum(answer.allowed for answer in answers) == 10
        assert {answer.mode for answer in answers[:10]} == {Mode.SHARED}


def _back(cluster: Cluster, ip: str) -> None:
    """Said until it holds: what the second said while it had the slot may come late, and the higher epoch is heeded."""
    names = [cluster.name(node) for node in cluster.nodes[:2]]
    with cluster.nodes[0].client() as first, cluster.nodes[1].client() as second:
        for client in (first, second):
            client.flushall()
        slot = first.execute_command("CLUSTER", "KEYSLOT", key(ip))

        def settled() -> bool:
            for client in (first, second):
                client.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[0])
            first.execute_command("CLUSTER", "BUMPEPOCH")
            listings = [cluster.listing(node) for node in cluster.nodes]
            epochs = {line.split()[0]: int(line.split()[6]) for line in listings[1].splitlines()}
            return epochs[names[0]] > epochs[names[1]] and all(" 0-5460" in listing for listing in listings)

        until(settled)


async def test_enforcement_in_a_cluster_reaches_the_node(cluster: Cluster, started: Callable[..., Service]) -> None:
    async with started(cluster.url) as service:
        with _enforcer_of(cluster) as enforcer:
            enforcer.create(1, action("deny", "ip:192.0.2.66"))
            await eventually(lambda: len(service.overrides) == 1)
            enforcer.put(action("deny", "ip:192.0.2.67", "u2"))
            await eventually(lambda: len(service.overrides) == 2)
        assert (await service.node.check(ask("192.0.2.67"))).verdict == "deny"


class _enforcer_of:  # noqa: N801 - used as a context manager
    def __init__(self, cluster: Cluster) -> None:
        owner = cluster.owner(KEYS.feed)
        self._enforcer = Enforcer(f"redis://127.0.0.1:{owner.port}/0")

    def __enter__(self) -> Enforcer:
        return self._enforcer

    def __exit__(self, *_: object) -> None:
        self._enforcer.redis.close()


async def test_while_a_node_of_a_cluster_is_away_only_its_limits_are_local_and_are_charged_when_it_is_back(
    own_cluster: Cluster, started: Callable[..., Service]
) -> None:
    away, here = own_cluster.nodes[1], own_cluster.nodes[2]
    lost, kept = an_ip_of(away, own_cluster), an_ip_of(here, own_cluster)
    part = f"127.0.0.1:{away.port}"
    async with started(own_cluster.url, redis_deadline_ms=50) as service:
        changes = Changes(service)
        await service.node.check(ask(kept))
        away.pause()
        deadline = time.monotonic() + 10
        while changes(part) != [LOST] and time.monotonic() < deadline:
            await service.node.check(ask(f"{lost}"))
        assert changes(part) == [LOST]
        assert service.metrics.registry.get_sample_value("floodwarden_limiter_redis_parts_away") == 1
        answers = [await service.node.check(ask(lost)) for _ in range(12)]
        assert {answer.mode for answer in answers} <= {Mode.LOCAL, Mode.MEMORY}
        assert (await service.node.check(ask(kept))).mode is Mode.SHARED
        others = [an_ip_of(node, own_cluster, not_in=(lost, kept)) for node in own_cluster.nodes]
        batch = await service.node.check_many([ask(ip) for ip in (lost, *others)])
        assert batch[0].mode is not Mode.SHARED
        assert [answer.mode for answer in batch[1:]] == [Mode.SHARED, Mode.LOCAL, Mode.SHARED]
        assert service.node.mode is Mode.SHARED
        away.resume()
        await eventually(lambda: changes(part) == [LOST, BACK])
        await eventually(lambda: not service.node._known.owes)
        with away.client() as client:
            assert client.exists(key(lost)) == 1
        assert changes() == []


async def test_a_cluster_that_is_wholly_away_is_local_and_shared_again_when_it_returns(
    own_cluster: Cluster, started: Callable[..., Service]
) -> None:
    async with started(own_cluster.url, redis_deadline_ms=50, known_nodes=2) as service:
        changes = Changes(service)
        requests = [ask(f"192.0.2.{n}") for n in range(20)]
        for node in own_cluster.nodes:
            node.pause()
        answers = []
        deadline = time.monotonic() + 10
        while service.node.mode is Mode.SHARED and time.monotonic() < deadline:
            answers += await service.node.check_many(requests)
        assert changes() == [LOST]
        answers += [each for _ in range(9) for each in await service.node.check_many(requests)]
        assert sum(answer.allowed for answer in answers) == 20 * 5
        for node in own_cluster.nodes:
            node.resume()
        await eventually(lambda: changes() == [LOST, BACK], 15)
        parts = [f"127.0.0.1:{node.port}" for node in own_cluster.nodes]
        await eventually(lambda: all(changes(part)[-1] == BACK for part in parts), 15)
        assert (await service.node.check(ask("192.0.2.99"))).mode is Mode.SHARED


async def test_a_replica_that_takes_over_is_asked_in_its_turn(tmp_path: Path, started: Callable[..., Service]) -> None:
    with instances() as made:
        cluster = Cluster(tmp_path, made, replica=True)
        first = cluster.nodes[0]
        ip = an_ip_of(first, cluster)
        async with started(cluster.url, redis_deadline_ms=100) as service:
            changes = Changes(service)
            first.kill()
            answers = []

            async def shared_again() -> bool:
                answers.append(await service.node.check(ask(ip)))
                return answers[-1].mode is Mode.SHARED and len(answers) > 3

            await eventually(shared_again, 20)
            await eventually(lambda: changes(f"127.0.0.1:{first.port}") == [LOST, BACK], 20)
            assert changes.seen[-1].reason == "left"


async def test_a_request_whose_limits_are_on_two_nodes_takes_nothing_of_the_one_when_the_other_is_away(
    own_cluster: Cluster, started: Callable[..., Service]
) -> None:
    away, here = own_cluster.nodes[1], own_cluster.nodes[2]
    ip = an_ip_of(here, own_cluster)
    user = next(f"u{n}" for n in range(250) if own_cluster.owner(KEYS.limiter("user", f"u{n}")) is away)
    async with started(own_cluster.url, redis_deadline_ms=50) as service:
        away.pause()
        answers = [await service.node.check(ask(ip, user)) for _ in range(3)]
        assert {answer.mode for answer in answers} == {Mode.LOCAL}
        assert all(answer.allowed for answer in answers)
        away.resume()
        await eventually(lambda: not service.node._known.owes)
        left = [(await service.node.check(ask(ip))).allowed for _ in range(9)]
        assert left == [True] * 7 + [False] * 2


# Sentinels


async def test_behind_sentinels_the_replica_that_takes_over_is_found(
    tmp_path: Path, started: Callable[..., Service]
) -> None:
    with instances() as made:
        sentinels = Sentinels(tmp_path, made)
        enforcer = Enforcer(f"redis://127.0.0.1:{sentinels.master.port}/0")
        enforcer.create(1, action("deny", "ip:192.0.2.66"))
        async with started(sentinels.url, redis_deadline_ms=100) as service:
            changes = Changes(service)
            await eventually(lambda: len(service.overrides) == 1)
            assert (await service.node.check(ask())).mode is Mode.SHARED
            sentinels.master.kill()
            modes = []

            async def back() -> bool:
                modes.append((await service.node.check(ask("192.0.2.7"))).mode)
                return changes() == [LOST, BACK]

            await eventually(back, 30)
            assert Mode.LOCAL in modes
            assert (await service.node.check(ask("192.0.2.66"))).verdict == "deny"
            with sentinels.replica.client() as client:
                await eventually(lambda: client.exists(key("192.0.2.7")) == 1)
        checks = {check.name: check for check in doctor._redis(settings(sentinels.url))}
        assert checks["redis"].seen.startswith("redis+sentinel://127.0.0.1")


# TLS and ACL


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def _context(authority: trustme.CA, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def _files(directory: Path, authority: trustme.CA) -> tuple[Path, Path]:
    ca, both = directory / "ca.pem", directory / "client.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("limiter@floodwarden.example").private_key_and_cert_chain_pem.write_to_path(str(both))
    return ca, both


async def test_over_tls_a_server_is_asked_whose_certificate_our_authority_signed_and_no_other(
    server: Server, tmp_path: Path, authority: trustme.CA, started: Callable[..., Service]
) -> None:
    ca, _ = _files(tmp_path, authority)
    async with wire(server.port, _context(authority)) as tls:
        async with started(f"rediss://127.0.0.1:{tls.port}/0?ca={ca}") as service:
            assert (await service.node.check(ask())).mode is Mode.SHARED
            Enforcer(server.url).create(1, action("deny", "ip:192.0.2.66"))
            await eventually(lambda: len(service.overrides) == 1)
        async with started(f"rediss://127.0.0.1:{tls.port}/0") as service:
            assert (await service.node.check(ask())).mode is Mode.LOCAL
        async with started(f"rediss://127.0.0.1:{tls.port}/0?verify=none") as service:
            assert (await service.node.check(ask())).mode is Mode.SHARED


async def test_a_client_certificate_is_shown_where_it_is_asked_for(
    server: Server, tmp_path: Path, authority: trustme.CA, started: Callable[..., Service]
) -> None:
    ca, both = _files(tmp_path, authority)
    async with wire(server.port, _context(authority, asks=True)) as tls:
        async with started(f"rediss://127.0.0.1:{tls.port}/0?ca={ca}&cert={both}&key={both}") as service:
            assert (await service.node.check(ask())).mode is Mode.SHARED
        async with started(f"rediss://127.0.0.1:{tls.port}/0?ca={ca}") as service:
            assert (await service.node.check(ask())).mode is Mode.LOCAL


async def test_a_cluster_is_reached_over_tls(
    tmp_path: Path, authority: trustme.CA, started: Callable[..., Service]
) -> None:
    ca, _ = _files(tmp_path, authority)
    ports = [embedded.free_port() for _ in range(3)]
    with instances() as made:
        cluster = Cluster(tmp_path, made, lines=[(f"cluster-announce-port {port}",) for port in ports])
        async with (
            wire(cluster.nodes[0].port, _context(authority), ports[0]),
            wire(cluster.nodes[1].port, _context(authority), ports[1]),
            wire(cluster.nodes[2].port, _context(authority), ports[2]),
            started(f"rediss+cluster://127.0.0.1:{ports[0]}?ca={ca}") as service,
        ):
            await eventually(lambda: service.node.mode is Mode.SHARED)
            answers = await service.node.check_many([ask(f"192.0.2.{n}") for n in range(30)])
            assert {answer.mode for answer in answers} == {Mode.SHARED}


async def test_the_users_that_ship_suffice_and_reach_nothing_else(
    tmp_path: Path, started: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [FixedWindow(99, HOUR_US), SlidingLog(99, HOUR_US), SlidingCounter(99, HOUR_US), Queue(1_000_000, 99)]
    every = tuple(Limit(shape.algorithm, Per.IP, shape) for shape in (*shapes, Slots(99, 60_000_000)))
    monkeypatch.setattr("limiter.service.load", lambda _: replace(POLICY, limits=(*POLICY.limits, *every)))
    with instances() as made:
        made.append(Instance(tmp_path, f"aclfile {USERS}"))
        port = made[0].port
        async with started(f"redis://limiter:change-me@127.0.0.1:{port}/0") as service:
            assert (await service.node.check(ask())).mode is Mode.SHARED
            assert [(await service.node.check(ask())).allowed for _ in range(11)] == [True] * 9 + [False] * 2
            async with connect_async(f"redis://enforcer:change-me@127.0.0.1:{port}/0", timeout_s=5) as client:
                writer, ledger = Writer(client, KEYS, now_ms), Ledger(Ladder(4.0, 1000, 86_400))
                record = action("deny", "ip:192.0.2.66")
                change = ledger.fold(record.uid, record, 0, 0).change
                assert change is not None
                assert (await writer.install(ledger, None, 1)).what is What.DONE
                await eventually(lambda: len(service.overrides) == 1)
                lift = ledger.fold(record.uid, lifted(record, now_ms(), "auto", "x"), 0, 1).change
                assert lift is not None
                assert (await writer.apply([lift]))[0].what is What.DONE
                await eventually(lambda: len(service.overrides) == 0)
                await eventually(lambda: client.hexists(KEYS.nodes, "n1"))
            with connect(f"redis://enforcer:change-me@127.0.0.1:{port}/0", timeout_s=5) as client:
                files = {1: {"a.yaml": b"version: 1\n"}, 2: {"a.yaml": b"version: 1\nlimits: []\n"}}
                candidate = Candidate(2, policies.digest(files[2]), 0)
                order = policies.Order(1, 1, policies.digest(files[1]), now_ms(), candidate)
                publisher = PolicyPublisher(client, KEYS, now_ms)
                assert publisher.publish("main", order, files.__getitem__) == "done"
                await eventually(lambda: (seen := publisher.seen("main", order)).nodes == 1 and not seen.missing, 60)
                assert publisher.holds("main", order)
        async with started(f"redis://limiter:wrong@127.0.0.1:{port}/0") as service:
            assert (await service.node.check(ask())).mode is Mode.LOCAL
        with made[0].client(username="limiter", password="change-me") as client:
            for words in (("GET", "other"), ("SET", KEYS.enforcement, "x"), ("FLUSHALL",), ("KEYS", "*")):
                with pytest.raises(Exception, match=r"(?i)permission"):
                    client.execute_command(*words)


async def test_the_users_that_ship_suffice_in_a_cluster(tmp_path: Path, started: Callable[..., Service]) -> None:
    with instances() as made:
        cluster = Cluster(tmp_path, made)
        for node in cluster.nodes:
            with node.client() as client:
                for line in USERS.read_text().splitlines()[1:]:
                    client.execute_command("ACL", "SETUSER", *line.split()[1:])
        where = cluster.url.partition("://")[2]
        async with started(f"redis+cluster://limiter:change-me@{where}") as service:
            answers = [await service.node.check(ask(f"192.0.2.{n}")) for n in range(20)]
            assert {answer.mode for answer in answers} == {Mode.SHARED}
            async with connect_async(f"redis+cluster://enforcer:change-me@{where}", timeout_s=5) as client:
                ledger = Ledger(Ladder(4.0, 1000, 86_400))
                record = action("deny", "ip:192.0.2.66")
                ledger.fold(record.uid, record, 0, 0)
                assert (await Writer(client, KEYS, now_ms).install(ledger, None, 1)).what is What.DONE
            await eventually(lambda: len(service.overrides) == 1)
        seen = doctor._redis(settings(f"redis+cluster://limiter:change-me@{where}"))
        assert {check.level for check in seen} <= {doctor.Level.OK, doctor.Level.WARN}


# A wire that fails


@asynccontextmanager
async def behind(
    server: Server, started: Callable[..., Service], deadline_ms: float
) -> AsyncIterator[tuple[Service, Wire]]:
    async with (
        wire(server.port) as between,
        started(f"redis://127.0.0.1:{between.port}/0", redis_deadline_ms=deadline_ms) as service,
    ):
        assert (await service.node.check(ask("192.0.2.200"))).mode is Mode.SHARED
        yield service, between


FAULTS: dict[str, Callable[[Wire], None]] = {
    "answers half a second late": lambda between: setattr(between, "delay_s", 0.5),
    "swallows everything": lambda between: setattr(between, "swallows", True),
    "resets and refuses": lambda between: (setattr(between, "refuses", True), between.reset())[-1],
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_wire_that_fails_costs_some_deadlines_then_nothing_and_nothing_raises(
    server: Server, started: Callable[..., Service], fault: str
) -> None:
    async with behind(server, started, 50) as (service, between):
        changes = Changes(service)
        FAULTS[fault](between)
        began = time.monotonic()
        while service.node.mode is Mode.SHARED and time.monotonic() - began < 10:
            assert (await service.node.check(ask())).verdict in ("allow", "limit")
            await asyncio.sleep(0)
        assert changes() == [LOST]
        began = time.monotonic()
        answers = [await service.node.check(ask(f"192.0.2.{n % 250}")) for n in range(1000)]
        assert time.monotonic() - began < 1000 * 0.05, "a thousand deadlines"
        assert Mode.SHARED not in {answer.mode for answer in answers}
        between.delay_s, between.swallows, between.refuses = 0.0, False, False
        await eventually(lambda: changes() == [LOST, BACK])
        assert (await service.node.check(ask("192.0.2.251"))).mode is Mode.SHARED
        assert service.metrics.registry.get_sample_value("floodwarden_limiter_check_faults_total") == 0


async def test_a_connection_that_is_reset_is_made_again_and_no_check_raises(
    server: Server, started: Callable[..., Service]
) -> None:
    async with behind(server, started, DEADLINE_MS) as (service, between):
        for n in range(20):
            between.reset()
            answer = await service.node.check(ask(f"192.0.2.{n}"))
            assert answer.allowed
        await eventually(lambda: service.node.mode is Mode.SHARED)
        assert (await service.node.check(ask("192.0.2.99"))).mode is Mode.SHARED


async def test_every_change_of_mode_is_told_counted_and_has_its_reason_and_how_long_it_lasted(
    server: Server, started: Callable[..., Service]
) -> None:
    async with started(server.url, redis_deadline_ms=50) as service:
        changes = Changes(service)

        def faulty(_: ModeChange) -> None:
            raise RuntimeError("a subscriber's")

        end = service.node.modes.subscribe(faulty)
        server.pause()
        while service.node.mode is Mode.SHARED:
            await service.node.check(ask())
        value = service.metrics.registry.get_sample_value
        assert value("floodwarden_limiter_mode") == 1
        server.resume()
        await eventually(lambda: service.node.mode is Mode.SHARED)
        away, back = changes.seen
        assert (away.reason, back.reason) == ("deadline", "answered")
        assert back.lasted_ms == back.at_ms - away.at_ms
        assert value("floodwarden_limiter_mode") == 0
        for mode in ("local", "shared"):
            assert value("floodwarden_limiter_mode_changes_total", {"mode": mode, "of": "whole"}) == 1
        assert value("floodwarden_limiter_check_faults_total") == 2
        end()
        service.node.modes.changed("", local=True, reason="test")
        assert value("floodwarden_limiter_check_faults_total") == 2


async def test_a_server_that_is_part_of_a_cluster_is_told_by_the_doctor(cluster: Cluster) -> None:
    (check, *_) = doctor._redis(settings(f"redis://127.0.0.1:{cluster.nodes[0].port}/0"))
    assert check.level is doctor.Level.FAIL
    assert "redis+cluster://" in check.fix
    (good, *_) = doctor._redis(settings(cluster.url))
    assert good.seen.startswith("redis+cluster://127.0.0.1")


@pytest.mark.parametrize(("factor", "passes"), [(1.0, 5), (0.5, 2), (10.0, 10)])
async def test_the_local_share_is_the_limit_over_the_known_nodes_times_the_factor(
    started: Callable[..., Service], factor: float, passes: int
) -> None:
    async with started("redis://127.0.0.1:1/0", known_nodes=2, local_factor=factor) as service:
        assert sum([(await service.node.check(ask())).allowed for _ in range(20)]) == passes
