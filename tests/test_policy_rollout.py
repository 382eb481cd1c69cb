"""A version comes to its clients by and by: by what is seen of it, and back where it refuses good ones."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from limiter_world import Enforcer, action, eventually, settings
from typer.testing import CliRunner

from enforcer import policy_notice
from enforcer import rollout as of
from enforcer.canary import Sample
from enforcer.errors import CommandError
from enforcer.notify.claims import Claims
from enforcer.notify.destinations import Destination, Kind, Mail, Notices, Route, Tls
from enforcer.notify.outbox import Outbox
from enforcer.notify.render import render
from enforcer.policy_keeper import PolicyKeeper
from enforcer.policy_plan import plan
from enforcer.policy_publisher import PolicyPublisher, sum_up
from enforcer.rollout import Bounds, Rollout, Seen, Stage, State, Way, stages_of, step, written
from enforcer.store import audit, database, reading, rollouts, versions
from enforcer.store.versions import Draft
from floodwarden.cli import app
from floodwarden.policy_examined import examine
from limiter.matcher import Identity, Matcher, in_canary
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.policy_file import load_files
from limiter.service import Service
from limiter.trial import CLIENTS_MAX, OTHERS, ROUTES_MAX, Trial
from limiter.verdict import Request
from schemas import policies, sql
from schemas.keys import Keys
from schemas.policies import Candidate, Order, Tried, Word

T0 = 1_790_000_000_000
STAGES = stages_of("shadow:10m,canary:5%:10m,canary:50%:1h,enforce")


def limits(burst: int, *more: str) -> bytes:
    lines = [f"{{ name: ip, per: ip, rate: 1/h, burst: {burst} }}", *more]
    return ("version: 1\nlimits:\n" + "".join(f"  - {line}\n" for line in lines)).encode()


def draft(after: int, files: dict[str, bytes]) -> Draft:
    return Draft("main", files, after, "cli:ann", "why")


def tried(serial: int = 1, checks: int = 1000, good: int = 100, harmed: int = 0, faults: int = 0) -> Tried:
    return Tried(serial, checks, 0, harmed, 0, 0, good, harmed, faults, {})


def seen(**more: Any) -> Seen:
    return Seen(tried(**more), nodes=2)


def begun(stages: tuple[Stage, ...] = STAGES) -> Rollout:
    return Rollout("main", 2, stages, Bounds(), State.RUNNING, 0, T0)


@pytest.mark.parametrize(
    "text",
    ["", "enforce later", "shadow:10m", "shadow:0s,enforce", "canary:5%:10m,canary:5%:1h,enforce",
     "canary:101%:1m,enforce", "canary:0%:1m,enforce", "shadow:1m,shadow:1m,enforce", "canary:5:10m,enforce",
     "shadow:31d,enforce"],
)  # fmt: skip
def test_stages_that_mean_nothing_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(CommandError, match="write stages as in"):
        stages_of(text)


def test_stages_are_written_as_they_are_read() -> None:
    for text in ("enforce", "shadow:90s,enforce", "shadow:10m,canary:0.5%:1h,canary:100%:2d,enforce"):
        assert written(stages_of(text)) == text


_SEEN = st.builds(
    lambda checks, good, harmed, faults, cannot, silent, errors: Seen(
        tried(checks=checks, good=good, harmed=min(good, harmed), faults=faults),
        (("n1", "no"),) if cannot else (), ("n2",) if silent else (), 2, Sample(T0, 50.0, errors, 10.0),
    ),
    st.sampled_from([0, 99, 100, 10_000]), st.sampled_from([0, 19, 20, 1000]), st.sampled_from([0, 1, 10, 11]),
    st.sampled_from([0, 0, 0, 1]), st.sampled_from([False] * 4 + [True]), st.booleans(),
    st.sampled_from([0.0, 0.02, 0.5]),
)  # fmt: skip
_MOVES = st.sampled_from(["look"] * 8 + ["pause", "resume", "promote", "abort"])


@given(st.lists(st.tuples(_MOVES, _SEEN, st.integers(0, 1_200_000)), max_size=40))
def test_whatever_is_seen_and_said_shares_only_rise_stages_are_sat_out_and_what_is_wrong_ends_it(
    turns: list[tuple[str, Seen, int]],
) -> None:
    now_ms, at = T0, begun()
    for move, found, after_ms in turns:
        now_ms += after_ms
        before = at
        if move == "look":
            at = step(before, found, now_ms)
            moved = (at.state, at.stage) != (before.state, before.stage)
            if not before.state.is_open:
                assert at == before, "an end is an end"
            elif of.wrong(before, found, is_over=False):
                assert at.state is State.ROLLED_BACK, "paused or not"
                assert at.why
            elif moved and at.state is not State.ROLLED_BACK:
                assert before.state is State.RUNNING
                assert now_ms - before.at_ms >= before.stages[before.stage].for_ms
                assert found.tried.checks >= before.bounds.checks
                assert not found.missing
        else:
            verb = {"pause": of.paused, "resume": of.resumed, "promote": of.promoted, "abort": of.aborted}[move]
            try:
                at = verb(before, now_ms, move)
            except CommandError:
                at = before
        if at.share_ppm is not None and before.share_ppm is not None:
            assert at.share_ppm >= before.share_ppm
            assert at.stage - before.stage in (0, 1)
        assert (at.share_ppm is None) == (not at.state.is_open)


def test_a_pause_does_not_count_and_few_clients_are_judged_at_the_end_of_a_stage() -> None:
    held = of.resumed(of.paused(begun(), T0 + 60_000, "wait"), T0 + 3_660_000, "go on")
    assert step(held, seen(), T0 + 3_660_000 + 539_999).stage == 0
    assert step(held, seen(), T0 + 3_660_000 + 540_000).stage == 1
    few = seen(good=5, harmed=1)
    assert step(begun(), few, T0 + 599_999).state is State.RUNNING
    assert "1 of 5 good clients" in step(begun(), few, T0 + 600_000).why


def test_how_the_site_does_ends_a_canary_and_says_nothing_of_a_shadow() -> None:
    fine, failing = Sample(T0, 50.0, 0.0, 10.0), Sample(T0 + 1, 5.0, 0.5, 10.0)
    at = step(begun(), replace(seen(), health=fine), T0 + 1)
    assert at.before == fine
    assert step(at, replace(seen(), health=failing), T0 + 2).state is State.RUNNING
    canary = of.promoted(at, T0 + 3, "on")
    quiet = Sample(T0 + 4, 0.5, 0.0, 10.0)
    assert step(canary, replace(seen(), health=quiet), T0 + 4) == canary, "at night fewer come"
    assert "50.0% of requests fail" in step(canary, replace(seen(), health=failing), T0 + 4).why


def test_what_nodes_saw_is_summed_up_and_who_says_nothing_of_this_order_is_waited_for() -> None:
    order = Order(7, 1, "d", T0, Candidate(2, "c", 0))
    words = {"a": Word("main", 7, 1, T0), "b": Word("main", 7, 1, T0, "", "x.yaml:1: no"), "z": Word("other", 1, 1, T0)}
    one = Tried(7, 10, 1, 2, 0, 0, 5, 1, 0, {"/a": (10, 1, 2)})
    found = sum_up("main", order, words, ("a", "b", "c", "z"), {"a": one, "c": one, "b": replace_serial(one, 6)}, None)
    assert (found.tried.checks, found.tried.harmed, found.tried.routes) == (20, 2, {"/a": (20, 2, 4)})
    assert (found.missing, found.refused, found.nodes) == (("b",), (("b", "x.yaml:1: no"),), 3)


def replace_serial(one: Tried, serial: int) -> Tried:
    return Tried(serial, *[getattr(one, field) for field in Tried.__struct_fields__[1:]])


def matcher(files: bytes) -> Matcher:
    return Matcher(load_files({"a.yaml": files}, lambda: None))


def test_both_versions_place_a_request_and_the_canarys_clients_are_always_the_same_ones() -> None:
    overrides = Overrides()
    placing = Placing(matcher(limits(5)), overrides)
    requests = [Request("GET", "/x", Identity(f"192.0.2.{n}")) for n in range(200)]
    assert placing.place(requests[0], T0).beside is None
    of_share: dict[int, set[str]] = {}
    for share_ppm in (0, 50_000, 500_000, 1_000_000):
        placing.trial = Trial(matcher(limits(2)), Candidate(2, "d" * 32, share_ppm), 1)
        placed = [placing.place(request, T0) for request in requests]
        canary = {
            one.identity.ip or ""
            for one, its in zip(requests, placed, strict=True)
            if its.beside and its.beside.is_canary
        }
        of_share[share_ppm] = canary
        for its in placed:
            assert its.beside is not None
            mine, other = its.applied[0], its.beside.asked[0]
            assert (mine.shape.limit, other.shape.limit) == ((2, 5) if its.beside.is_canary else (5, 2))
            assert mine.identity != other.identity, "neither spends what the other one gives"
            assert not other.limit.lease
    assert of_share[0] == set()
    assert len(of_share[1_000_000]) == 200
    assert 2 <= len(of_share[50_000]) <= 25
    assert of_share[50_000] < of_share[500_000]
    peeked = placing.place(Request("GET", "/x", Identity("192.0.2.1"), peek=True), T0)
    assert (peeked.beside, peeked.applied[0].look) == (None, True)


def test_a_client_that_is_acted_against_or_refused_by_what_holds_is_no_good_one() -> None:
    overrides = Overrides()
    overrides.put(action("throttle", "ip:192.0.2.2", factor=0.5, at_ms=T0), T0)
    placing = Placing(matcher(limits(5)), overrides)
    placing.trial = trial = Trial(matcher(limits(2)), Candidate(2, "d" * 32, 0), 1)
    for ip, live, candidate in (
        ("192.0.2.1", True, True), ("192.0.2.2", True, False), ("192.0.2.3", True, False), ("192.0.2.3", False, False),
        ("192.0.2.4", True, False),
    ):  # fmt: skip
        beside = placing.place(Request("GET", "/x", Identity(ip)), T0).beside
        assert beside is not None
        beside.count(enforced=live, other=candidate)
    found = trial.tried()
    assert (found.checks, found.refused, found.candidate_refused) == (5, 1, 4)
    assert (found.good, found.harmed) == (2, 1)


def test_what_is_counted_of_routes_and_clients_has_a_bound() -> None:
    trial = Trial(matcher(limits(2)), Candidate(2, "d" * 32, 0), 1)
    placing = Placing(matcher(b"version: 1\nlimits: []\nroutes: ['/r{n}']\n"), Overrides())
    placing.trial = trial
    beside = placing.place(Request("GET", "/x", Identity("192.0.2.1")), T0).beside
    assert beside is not None
    for n in range(CLIENTS_MAX + 10):
        beside.client, beside.route = n, f"/r{n}"
        beside.count(enforced=True, other=True)
    found = trial.tried()
    assert (found.checks, found.good, len(found.routes)) == (CLIENTS_MAX + 10, CLIENTS_MAX, ROUTES_MAX + 1)
    assert found.routes[OTHERS][0] == CLIENTS_MAX + 10 - ROUTES_MAX


def test_a_rollout_is_moved_once_says_so_in_the_audit_and_is_known_again_after_a_restart(engine: sa.Engine) -> None:
    files = {"a.yaml": limits(3)}
    way = Way(STAGES)
    with pytest.raises(CommandError, match="no version to try it beside"):
        rollouts.make(engine, draft(0, files), way, T0)
    versions.make(engine, draft(0, files), T0)
    rollouts.make(engine, draft(1, {"a.yaml": limits(4)}), way, T0)
    (at,) = rollouts.open_ones(engine)
    order = versions.order(engine, "main")
    assert order is not None
    assert (at.share_ppm, order.version, order.candidate) == (
        0,
        1,
        Candidate(2, policies.digest({"a.yaml": limits(4)}), 0),
    )
    made = plan(engine, "main", {"a.yaml": limits(4)}, examine)
    assert (made.anew, made.same, made.holds) == (False, 2, 1), "what is on its way need not be applied again"
    with pytest.raises(CommandError, match="version 2 is on its way"):
        versions.make(engine, draft(2, {"a.yaml": limits(5)}), T0)

    late = T0 + 600_000
    for _ in range(2):  # two enforcers that judged the same
        rollouts.advance(
            engine, "main", lambda now: step(now, seen(), late) if now == at else now, "auto", late, tried()
        )
    (on,) = rollouts.open_ones(engine)
    assert (on.stage, on.share_ppm, on.at_ms) == (1, 50_000, late)
    held = versions.order(engine, "main")
    assert held is not None
    assert held.candidate is not None
    assert (held.version, held.candidate.share_ppm) == (1, 50_000)

    rollouts.advance(engine, "main", lambda now: step(now, seen(harmed=5), late + 1), "auto", late + 1, tried(harmed=5))
    assert rollouts.open_ones(engine) == []
    told = rollouts.newest(engine, "main")
    assert told is not None
    assert told.tried is not None
    assert (told.rollout.state, told.tried.harmed) == (State.ROLLED_BACK, 5)
    assert [each.state for each in versions.history(engine, "main")] == ["withdrawn", "enforced"]
    back = versions.order(engine, "main")
    assert back is not None
    assert (back.candidate, back.version) == (None, 1)
    again = plan(engine, "main", {"a.yaml": limits(4)}, examine)
    assert (again.anew, again.after, again.holds) == (True, 2, 1)
    verbs = [each["verb"] for each in reading.audit_tail(engine, 20)]
    assert verbs == [
        "policy.applied", "policy.applied", "policy.rollout.running", "policy.rollout.running",
        "policy.rollout.rolled_back",
    ]  # fmt: skip
    assert audit.verify(engine).entries == 5


def test_a_time_is_waited_for_and_an_emergency_waits_for_nothing(engine: sa.Engine) -> None:
    versions.make(engine, draft(0, {"a.yaml": limits(3)}), T0)
    with pytest.raises(CommandError, match="at: is over"):
        rollouts.make(engine, draft(1, {"a.yaml": limits(4)}), Way(at_ms=T0 - 1), T0)
    rollouts.make(engine, draft(1, {"a.yaml": limits(4)}), Way(at_ms=T0 + 1000), T0)
    (at,) = rollouts.open_ones(engine)
    held = versions.order(engine, "main")
    assert held is not None
    assert (at.state, held.version, held.candidate) == (State.SCHEDULED, 1, None)
    assert versions.history(engine, "main")[0].from_ms == T0 + 1000
    assert step(at, seen(), T0 + 999) == at
    rollouts.advance(engine, "main", lambda now: step(now, seen(), T0 + 1000), "auto", T0 + 1000, None)
    held = versions.order(engine, "main")
    assert held is not None
    assert held.version == 2, "at once, where no stages are asked for"

    rollouts.make(engine, draft(2, {"a.yaml": limits(5)}), Way(STAGES), T0 + 2000)
    rollouts.make(engine, draft(3, {"a.yaml": limits(6)}), Way(emergency=True), T0 + 3000)
    held = versions.order(engine, "main")
    assert held is not None
    assert (held.version, held.candidate) == (4, None)
    assert [each.state for each in versions.history(engine, "main")] == ["enforced", "withdrawn", "retired", "retired"]
    entries = reading.audit_tail(engine, 2)
    assert [each["verb"] for each in entries] == ["policy.rollout.aborted", "policy.applied"]
    assert entries[1]["detail"]["emergency"] is True


def test_people_are_told_once_of_an_emergency_and_of_what_was_rolled_back_by_itself(engine: sa.Engine) -> None:
    destinations = {
        kind.value: Destination(kind.value, kind, url="http://127.0.0.1:1/", per_minute=60) for kind in Kind
    }
    mail = Mail("127.0.0.1", 25, Tls.NONE, "", "", "fw@example.org", ("ops@example.org",))
    destinations["email"] = replace(destinations["email"], mail=mail)
    notices = Notices(destinations, (Route(tuple(destinations), kinds=frozenset({"policy"}), wait_s=0),))
    versions.make(engine, draft(0, {"a.yaml": limits(3)}), T0)
    rollouts.make(engine, draft(1, {"a.yaml": limits(4)}), Way(emergency=True), T0)
    rollouts.make(engine, draft(2, {"a.yaml": limits(5)}), Way(STAGES), T0)
    rollouts.advance(engine, "main", lambda now: step(now, seen(harmed=5), T0 + 1), "auto", T0 + 1, None)
    for _ in range(2):
        policy_notice.hand_over(engine, Outbox(notices, lambda: T0 + 2))
    claims = Claims(engine, notices, "me", lambda: T0 + 2)
    for name, destination in destinations.items():
        found = claims.take(name)
        told = [notice.incident.summary for claim in found for notice in claim.message.notices]
        assert sorted(told) == [
            "version 2 of main was published in an emergency by cli:ann: why",
            "version 3 of main was rolled back: 5 of 100 good clients refused (5.00%), 1.00% may be",
        ]
        for claim in found:
            assert render(destination, claim.message).bodies
            claims.delivered(claim)
        assert claims.take(name) == []


class Site:
    """A store and a Redis with an enforcer's snapshot, a way to move rollouts, clients that ask two limiters."""

    def __init__(self, url: str, path: Path) -> None:
        self.engine = sql.engine(f"sqlite:///{path}/store.db")
        database.upgrade(self.engine)
        self.publisher = PolicyPublisher(redis.Redis.from_url(url), Keys(), lambda: time.time_ns() // 1_000_000)
        self.ips = [f"192.0.2.{n}" for n in range(40)]
        self.refused: set[str] = set()

    @contextmanager
    def enforcer(self) -> Iterator[None]:
        """What an enforcer does for policies, until the end of the block: another one goes on."""
        keeper = PolicyKeeper(self.engine, self.publisher, 0.05)
        thread = threading.Thread(target=keeper.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            keeper.stop()
            thread.join(60)

    async def ask(self, nodes: list[Service]) -> None:
        for ip in self.ips:
            for each in nodes:
                if not (await each.node.check(Request("GET", f"/{ip[-1]}", Identity(ip)))).allowed:
                    self.refused.add(ip)

    async def until(self, state: State, nodes: list[Service], within_s: float = 100.0) -> Rollout:
        """Clients keep asking until the newest rollout is there."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            await self.ask(nodes)
            told = await asyncio.to_thread(rollouts.newest, self.engine, "main")
            if told is not None and told.rollout.state is state:
                return told.rollout
        raise AssertionError(f"did not become {state}: {told}")


def run(*arguments: str) -> Any:
    told = CliRunner().invoke(app, ["policy", *arguments, "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout.splitlines()[-1])


@pytest.mark.integration
async def test_a_bad_version_is_rolled_back_by_itself_with_none_but_the_canary_hurt_and_a_good_one_is_promoted(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOODWARDEN_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("FLOODWARDEN_REDIS", redis_url)
    site, path = Site(redis_url, tmp_path), tmp_path / "a.yaml"
    Enforcer(redis_url).create()

    async def apply(burst: int, *more: str) -> Any:
        path.write_bytes(limits(burst))
        return await asyncio.to_thread(run, "apply", str(path), "--yes", *more)

    async def steer(what: str) -> Any:
        return await asyncio.to_thread(run, "rollout", what)

    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(Service(settings(redis_url, node=name), publish=False))
            for name in ("n1", "n2")
        ]
        await eventually(lambda: all(each.ready and each.feed.version is not None for each in nodes), 60)
        await apply(500_000)
        made = await apply(2, "--rollout", "canary:20%:1h,enforce")
        assert (made["version"], made["rollout"]["version"], made["rollout"]["share_ppm"]) == (1, 2, 200_000)
        with site.enforcer():
            gone = await site.until(State.ROLLED_BACK, nodes)
        assert "good clients refused" in gone.why
        digest = policies.digest({"a.yaml": limits(2)})
        canary = {ip for ip in site.ips if in_canary(f"rollout {digest}", ip, 200_000)}
        assert site.refused <= canary, "nobody else was refused anything"
        compared = await steer("status")
        assert (compared["state"], compared["holds"]) == ("rolled_back", 1)
        assert compared["tried"]["harmed"] >= 1
        assert compared["tried"]["refused"] == 0
        assert set(compared["tried"]["routes"]) == {"/{id}"}
        await eventually(lambda: all(each.node._placing.trial is None for each in nodes), 60)
        site.refused.clear()
        await site.ask(nodes)
        assert site.refused == set(), "what was counted on trial is nobody's"

        await apply(400_000, "--rollout", "shadow:1s,canary:50%:1s,enforce")
        with site.enforcer():  # the first one is gone: another one finds it in the store
            await site.until(State.PROMOTED, nodes)
        await eventually(lambda: all(each.policy.limits[0].shape.limit == 400_000 for each in nodes), 60)
        order = await asyncio.to_thread(versions.order, site.engine, "main")
        assert order is not None
        assert (await asyncio.to_thread(site.publisher.converged, "main", order, 60)).whole
        assert (order.version, order.candidate) == (3, None)
        assert site.refused == set()

        await apply(2, "--rollout", "shadow:1h,enforce", "--max-refused", "100%")
        assert (await steer("pause"))["state"] == "paused"
        assert (await steer("promote"))["state"] == "promoted", "somebody's word goes before what is seen"
        urgent = await apply(300_000, "--emergency")
        assert (urgent["version"], urgent["refused"]) == (5, {})
    site.engine.dispose()
