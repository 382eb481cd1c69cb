"""Policies of the store: what changes is told, versions stay, and every limiter takes what holds and says so."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from limiter_world import Enforcer, eventually, settings
from starlette.testclient import TestClient
from typer.testing import CliRunner

from enforcer.api.app import create_app
from enforcer.api.door import Parts, verifier
from enforcer.api.live import Live
from enforcer.callers import Role
from enforcer.errors import CommandError
from enforcer.policy_diff import Change, diff
from enforcer.policy_keeper import PolicyKeeper
from enforcer.policy_plan import plan
from enforcer.policy_publisher import PolicyPublisher, judge
from enforcer.store import audit, database, reading, versions
from enforcer.store.access import Access
from enforcer.store.versions import Draft
from floodwarden.cli import app
from floodwarden.policy_examined import examine
from limiter.matcher import Identity
from limiter.service import Service
from limiter.verdict import Request
from schemas import policies, sql
from schemas.errors import BadMessageError, FileError
from schemas.keys import Keys
from schemas.policies import Order, Word
from schemas.settings import Settings

T0 = 1_790_000_000_000


def limits(burst: int, *more: str) -> bytes:
    lines = [f"{{ name: ip, per: ip, rate: 1/h, burst: {burst} }}", *more]
    return ("version: 1\nlimits:\n" + "".join(f"  - {line}\n" for line in lines)).encode()


def draft(after: int, files: dict[str, bytes], name: str = "main") -> Draft:
    return Draft(name, files, after, "cli:ann", "why")


def test_a_diff_tells_fields_and_not_layout_order_or_the_file_a_limit_stands_in() -> None:
    before = {
        "a.yaml": limits(5, "{ name: old, per: key, rate: 1/s }"),
        "same.yaml": b"version: 1\nroutes: [/x/{id}]\n",
    }
    after = before | {
        "a.yaml": b"version: 1\ndefault_tier: gold\ntiers: { gold: { factor: 2 } }\n",
        "b.json": b'{"version": 1, "limits": [{"burst": 7, "per": "ip", "name": "ip", "rate": "1/h"}]}',
        "c.json": b'{"version": 1, "allow": ["::1"]}',
    }
    assert diff(before, after) == [
        Change("+", "allow.::1", (("", None, "::1"),)),
        Change("+", "default_tier", (("", None, "gold"),)),
        Change("~", "limits.ip", (("burst", "5", "7"),)),
        Change("-", "limits.old", (("name", "old", None), ("per", "key", None), ("rate", "1/s", None))),
        Change("+", "tiers.gold", (("factor", None, "2"),)),
    ]
    assert diff(before, {"c.yaml": b"# moved\n" + before["a.yaml"], "same.yaml": before["same.yaml"]}) == []


def test_only_live_nodes_of_the_policy_count_and_a_later_order_is_one_of_it_too() -> None:
    order = Order(7, 3, "d", T0)
    words = {
        "a": Word("main", 7, 3, T0 + 12),
        "b": Word("main", 8, 4, T0 + 40),
        "c": Word("main", 6, 2, T0 - 5),
        "d": Word("main", 7, 2, T0 + 9, "limits: is missing"),
        "e": Word("other", 1, 1, T0),
        "gone": Word("main", 7, 3, T0 + 1),
    }
    found = judge("main", order, words, ("a", "b", "c", "d", "e", "new"))
    assert found.ack_ms == {"a": 12, "b": 40}
    assert found.refused == {"d": "limits: is missing"}
    assert (found.missing, found.whole, found.all_ms) == (("c", "new"), False, None)
    assert judge("main", order, words, ("a", "b")).all_ms == 40


def test_files_that_are_none_or_would_fill_memory_are_refused() -> None:
    assert policies.unpacked(policies.packed(b"x" * 1000)) == b"x" * 1000
    for value in (b"nothing", policies.packed(b"x" * 1000)[:-4], policies.packed(b"\0" * (policies.BYTES_MAX + 1))):
        with pytest.raises(BadMessageError):
            policies.unpacked(value)
    for files in ({}, {"../a.yaml": b""}, {"a.txt": b""}, {"a.yaml": b"\xff"}):
        with pytest.raises(FileError):
            policies.checked(files)


def test_versions_follow_each_other_and_of_two_authors_at_once_one_is_told_so(engine: sa.Engine) -> None:
    first, order = versions.make(engine, draft(0, {"a.yaml": limits(3)}), T0)
    assert (first.version, first.state, order.version) == (1, "enforced", 1)
    second, after = versions.make(engine, draft(1, {"a.yaml": limits(4)}), T0 - 10)
    assert after.serial > order.serial, "although the clock went back"
    with pytest.raises(CommandError, match="version 2 was made meanwhile"):
        versions.make(engine, draft(1, {"a.yaml": limits(5)}), T0 + 20)
    assert [(each.version, each.state) for each in versions.history(engine, "main")] == [
        (2, "enforced"),
        (1, "retired"),
    ]
    assert versions.orders(engine) == {"main": after}
    assert versions.files(engine, "main", 1) == {"a.yaml": limits(3)}
    assert second.digest != first.digest
    assert audit.verify(engine).entries == 2
    for call in (lambda: versions.files(engine, "main", 9), lambda: versions.history(engine, "../x")):
        with pytest.raises(CommandError):
            call()


def test_a_plan_says_what_changes_what_is_doubtful_and_that_nothing_changes(engine: sa.Engine) -> None:
    wrong = plan(engine, "main", {"a.yaml": b"version: 1\nlimits:\n  - { name: ip }\n"}, examine)
    assert (wrong.anew, wrong.examined.errors[0].line, wrong.changes) == (True, 3, ())
    with pytest.raises(CommandError, match=r"a\.yaml:3") as error:
        wrong.draft("ann", "")
    assert error.value.code == "bad_policy"
    files = {"a.yaml": limits(3, "{ name: twice, per: ip, rate: 1/h, burst: 3 }")}
    made = plan(engine, "main", files, examine)
    assert ([each.sign for each in made.changes], made.after, len(made.examined.warnings)) == (["+", "+"], 0, 1)
    versions.make(engine, made.draft("ann", ""), T0)
    again = plan(engine, "main", files, examine)
    assert (again.anew, again.after, again.changes) == (False, 1, ())


class Site:
    """A store, a Redis with an enforcer's snapshot, and limiters that look for nothing unless told."""

    def __init__(self, url: str, engine: sa.Engine) -> None:
        self.keys = Keys()
        self.engine = engine
        self.redis = redis.Redis.from_url(url)
        self.publisher = PolicyPublisher(self.redis, self.keys, lambda: time.time_ns() // 1_000_000)

    def apply(self, after: int, files: dict[str, bytes]) -> Order:
        order = versions.make(self.engine, draft(after, files), time.time_ns() // 1_000_000)[1]
        assert self.publisher.publish("main", order, lambda _: files) == "done"
        return order


async def burst(service: Service) -> int | None:
    return (await service.node.check(Request("GET", "/", Identity("192.0.2.1"), cost=0))).limit


@pytest.mark.integration
async def test_limiters_take_what_is_published_keep_it_through_what_is_wrong_and_say_which_they_run(
    redis_url: str, tmp_path: Path
) -> None:
    engine = sql.engine(f"sqlite:///{tmp_path}/store.db")
    database.upgrade(engine)
    site = Site(redis_url, engine)
    Enforcer(redis_url).create()
    (tmp_path / "own.yaml").write_bytes(limits(2))
    async with AsyncExitStack() as stack:
        nodes = []
        for name in ("n1", "n2"):
            made = Service(settings(redis_url, node=name, policies=tmp_path / "own.yaml"), publish=False)
            made.follower._every_s = 3600
            nodes.append(await stack.enter_async_context(made))
        await eventually(lambda: all(node.ready and node.feed.version == 0 for node in nodes), 30)
        assert [await burst(node) for node in nodes] == [2, 2], "their own file, where the store has none"

        first = site.apply(0, {"a.yaml": limits(3)})
        told = await asyncio.to_thread(site.publisher.converged, "main", first, 60)
        assert (told.ack_ms.keys(), told.whole) == ({"n1", "n2"}, True), "pushed, for nobody looks by itself"
        assert [await burst(node) for node in nodes] == [3, 3]

        wrong = site.apply(1, {"a.yaml": limits(4), "b.yaml": b"version: 1\nlimits: [{ name: later, per: moon }]\n"})
        told = await asyncio.to_thread(site.publisher.converged, "main", wrong, 60)
        assert (told.refused.keys(), told.whole) == ({"n1", "n2"}, False)
        assert "b.yaml" in told.refused["n1"]
        assert [await burst(node) for node in nodes] == [3, 3], "all of the one before, and nothing of the new one"

        third = site.apply(2, {"a.yaml": limits(5)})
        assert (await asyncio.to_thread(site.publisher.converged, "main", third, 60)).whole
        (tmp_path / "own.yaml").write_bytes(limits(9))
        site.redis.delete(site.keys.policy("main"), site.keys.policy_acks)
        for node in nodes:
            node.follower.told()
            node.reload_policy()
        await eventually(lambda: site.redis.hlen(site.keys.policy_acks) == 2, 30)
        assert [await burst(node) for node in nodes] == [5, 5], "an emptied Redis and a changed file take nothing out"

        keeper = PolicyKeeper(engine, site.publisher)
        keeper.step()
        assert site.publisher.holds("main", third)
        late = site.publisher.publish("main", first, lambda _: {"a.yaml": limits(3)})
        assert late == "stale", "who published late changes nothing"
    assert site.redis.hlen(site.keys.policy_acks) == 0
    engine.dispose()


def caller(engine: sa.Engine, redis_url: str) -> TestClient:
    settled = Settings(redis=redis_url)
    parts = Parts(settled, engine, Live(), verifier(settled), lambda: time.time_ns() // 1_000_000, examine)
    key = Access(engine).create_key("ann", Role.OPERATOR, "cli:test", T0)[1]
    return TestClient(create_app(parts), base_url="http://t/api/v1", headers={"authorization": f"Bearer {key}"})


def test_what_no_limiter_would_take_or_nobody_could_publish_is_no_version(engine: sa.Engine) -> None:
    who = caller(engine, "redis://127.0.0.1:1/0")
    wrong = {"files": {"a.yaml": "version: 1\nlimits:\n  - { name: ip }\n"}}
    right = {"files": {"a.yaml": limits(3).decode()}}
    planned = who.post("policies/main/plan", json=wrong).json()
    assert (planned["anew"], planned["errors"][0]["line"]) == (True, 3)
    assert who.post("policies/main/plan", json=right).json()["add"] == 1
    for body, status, code in (
        (wrong, 422, "bad_policy"),
        (right, 503, "redis_unreachable"),
        (right | {"after": 4}, 409, "stale"),
        ({"files": {"../a.yaml": ""}}, 422, "bad_value"),
    ):
        told = who.post("policies/main/apply", json=body | {"reason": "why"})
        assert (told.status_code, told.json()["code"]) == (status, code)
    assert who.post("policies/A/plan", json=right).json()["field"] == "name"
    assert who.get("policies/main").json()["items"] == []


@pytest.mark.integration
def test_over_the_api_a_policy_is_applied_once_taken_back_and_audited(redis_url: str, tmp_path: Path) -> None:
    engine = sql.engine(f"sqlite:///{tmp_path}/store.db")
    database.upgrade(engine)
    who = caller(engine, redis_url)
    body = {"files": {"a.yaml": limits(3).decode()}, "reason": "first", "after": 0}
    once = {"idempotency-key": "k1"}
    made, again = (who.post("policies/main/apply", json=body, headers=once) for _ in range(2))
    assert (made.status_code, made.json()["version"], again.json()) == (200, 1, made.json())
    wrong = {"files": {"a.yaml": "version: 1\nlimits:\n  - { name: ip }\n"}, "reason": "x"}
    assert who.post("policies/main/apply", json=wrong).json()["code"] == "bad_policy"
    who.post("policies/main/apply", json=body | {"files": {"a.yaml": limits(4).decode()}, "after": 1})
    back = who.post("policies/main/rollback", json={"reason": "it was too much"}).json()
    assert (back["version"], back["changes"][0]["fields"]) == (3, [["burst", "4", "3"]])
    assert who.get("policies/main/status").json()["version"] == 3
    verbs = [each["verb"] for each in reading.audit_tail(engine, 20)]
    assert verbs.count("policy.applied") == 3
    assert verbs[-2:] == ["api.policy.rollback", "policy.applied"]
    wrong = body | {"rollout": "shadow:10m", "after": 3, "files": {"a.yaml": limits(5).decode()}}
    assert who.post("policies/main/apply", json=wrong).json()["field"] == "rollout"
    staged = who.post("policies/main/apply", json=wrong | {"rollout": "shadow:10m,enforce"}).json()
    assert (staged["version"], staged["rollout"]["version"], staged["rollout"]["state"]) == (3, 4, "running")
    assert who.get("policies/main/rollout").json()["waits_for"] == "no limiter is running"
    step = {"do": "pause", "reason": "not now"}
    assert [who.post("policies/main/rollout", json=step).status_code for _ in range(2)] == [200, 422]
    gone = who.post("policies/main/rollout", json=step | {"do": "abort"}).json()
    assert (gone["state"], gone["why"], gone["holds"]) == ("aborted", "api:ann: abort, not now", 3)
    engine.dispose()


def run(*arguments: str, code: int = 0) -> Any:
    told = CliRunner().invoke(app, ["policy", *arguments, "--json"], catch_exceptions=False)
    assert told.exit_code == code, told.output
    return [json.loads(line) for line in told.output.splitlines()]


@pytest.mark.integration
def test_a_directory_is_planned_applied_once_and_taken_back_from_the_command_line(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOODWARDEN_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("FLOODWARDEN_REDIS", redis_url)
    path = tmp_path / "site"
    path.mkdir()
    (path / "a.yaml").write_bytes(limits(3))
    assert run("plan", str(path), "--check", code=1)[0]["anew"]
    (made,) = run("apply", str(path), "--yes", "--by", "ann", "--reason", "first")
    assert (made["version"], made["ack_ms"], len(made["changes"])) == (1, {}, 1)
    assert run("apply", str(path), "--yes")[0]["changes"] == [], "again: nothing"
    assert run("plan", str(path), "--check")[0]["anew"] is False
    with pytest.raises(CommandError, match="no version of main held before"):
        run("rollback", "--yes")
    (path / "a.yaml").write_bytes(limits(4))
    run("apply", str(path), "--yes")
    (back,) = run("rollback", "--yes", "--by", "bob")
    assert (back["version"], back["changes"][0]["fields"]) == (3, [["burst", "4", "3"]])
    newest = run("history")[0]
    assert (newest["version"], newest["author"], newest["state"]) == (3, "cli:bob", "enforced")
    assert run("diff", "1", "3")[0]["changes"] == []
    assert run("show", "2")[0]["files"] == {"a.yaml": limits(4).decode()}
    assert run("status")[0]["version"] == 3
    shown = CliRunner().invoke(app, ["policy", "diff", "1", "2"], catch_exceptions=False)
    assert "~ limits.ip  burst: 3 -> 4" in shown.output
