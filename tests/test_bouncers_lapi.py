"""What bouncers get over HTTP: CrowdSec's answers, field by field, and Debian's real bouncers at a real enforcer."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from api_world import ApiWorld
from enforcer_world import World, alert, eventually
from prometheus_client import REGISTRY
from servers import ROOT
from starlette.applications import Starlette
from test_bouncers_book import NOW_MS, action

from enforcer import command
from enforcer.bouncers.admission import Admission
from enforcer.bouncers.keys import Keys
from enforcer.bouncers.lapi import BODY_BYTES_MAX, Lapi
from enforcer.callers import Role, Scope
from enforcer.errors import CommandError
from enforcer.ladder import Ladder
from enforcer.ledger import Change, Ledger, Op
from enforcer.reputation import Rules, read
from enforcer.store.access import Access
from floodwarden.embedded import free_port
from schemas.action import ActionKind, TargetKind
from schemas.errors import SettingsError

KEY = "0123456789abcdef0123456789abcdef"
GO = {"X-Api-Key": KEY, "User-Agent": "crowdsec-custom-bouncer/"}
LUA = {"x-api-key": KEY, "Connection": "close", "User-Agent": "crowdsec-nginx-bouncer/v1.1.3"}
TRAEFIK = {"X-Api-Key": KEY, "User-Agent": "Crowdsec-Bouncer-Traefik-Plugin/v1.7.1"}


def lapi(*actions: Any, access: Access | None = None) -> Lapi:
    found = Lapi(Admission(Keys(f"edge={KEY}", "KEYS"), access, lambda: NOW_MS), lambda: NOW_MS, scoped=False)
    found.begin(Ledger(Ladder(4.0, 1, 86_400)))
    for given in actions:
        put(found, given)
    return found


def put(at: Lapi, given: Any) -> None:
    at.apply(Change(Op.PUT, given, given, 0, 0))


def drop(at: Lapi, given: Any) -> None:
    at.apply(Change(Op.DEL, given, None, 0, 0))


def client(at: Lapi, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Starlette(routes=at.routes()))
    return httpx.AsyncClient(transport=transport, base_url="http://edge", headers=GO if headers is None else headers)


@pytest.mark.parametrize(
    ("first", "then", "headers"),
    [
        ("?additional_pull=false&community_pull=false&startup=true", "?additional_pull=false&community_pull=false", GO),
        ("?startup=true", "?", GO),
        ("?startup=true", "?startup=false", LUA),
        ("?startup=true", "?startup=false", TRAEFIK),
    ],
)
async def test_every_kind_of_bouncer_is_told_what_stands_then_what_changed(
    first: str, then: str, headers: dict[str, str]
) -> None:
    banned, later = action(), action("2001:db8::7")
    at = lapi(banned)
    async with client(at, headers) as edge:
        started = (await edge.get("/v1/decisions/stream" + first)).json()
        assert [d["value"] for d in started["new"]] == ["203.0.113.7"]
        assert set(started["new"][0]) == {"duration", "id", "origin", "scenario", "scope", "type", "value"}
        put(at, later)
        drop(at, banned)
        for _ in range(2):  # each change twice: an answer may be lost
            delta = (await edge.get("/v1/decisions/stream" + then)).json()
            assert [d["value"] for d in delta["new"]] == ["2001:db8::7"]
            assert [(d["value"], d["type"], d["duration"]) for d in delta["deleted"]] == [("203.0.113.7", "ban", "-1s")]
        assert (await edge.get("/v1/decisions/stream" + then)).text == '{"new":[],"deleted":[]}'


async def test_each_bouncer_is_told_by_itself_though_they_share_a_key() -> None:
    banned = action()
    at = lapi(banned)
    async with client(at) as one, client(at, LUA) as other:
        for edge in (one, other):
            await edge.get("/v1/decisions/stream?startup=true")
        drop(at, banned)
        for edge in (one, other):
            assert (await edge.get("/v1/decisions/stream")).json()["deleted"]


async def test_scopes_beyond_addresses_are_told_to_those_who_ask() -> None:
    at = lapi(action(), action("DE", of=TargetKind.COUNTRY))
    async with client(at) as edge:
        plain = (await edge.get("/v1/decisions/stream?startup=true")).json()["new"]
        asked = (await edge.get("/v1/decisions/stream?startup=true&scopes=ip,Country")).json()["new"]
    assert [d["scope"] for d in plain] == ["Ip"]
    assert sorted(d["scope"] for d in asked) == ["Country", "Ip"]


async def test_traefik_is_told_addresses_and_never_to_forget_one_that_stands() -> None:
    network, single = action("203.0.113.0/30"), action("203.0.113.1", kind=ActionKind.CHALLENGE)
    at = lapi(network, single)
    async with client(at, TRAEFIK) as edge:
        started = (await edge.get("/v1/decisions/stream?startup=true")).json()["new"]
        assert {d["value"] for d in started} == {f"203.0.113.{n}" for n in range(4)}
        drop(at, network)
        delta = (await edge.get("/v1/decisions/stream?startup=false")).json()
        assert {d["value"] for d in delta["deleted"]} == {"203.0.113.0", "203.0.113.2", "203.0.113.3"}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("ip=203.0.113.7", ["203.0.113.7", "203.0.113.0/24"]),
        ("ip=203.0.113.8", ["203.0.113.0/24"]),
        ("ip=2001%3Adb8%3A%3A7", ["2001:db8::7"]),
        ("ip=2001:db8::7", ["2001:db8::7"]),
        ("range=203.0.113.0/28", ["203.0.113.0/24"]),
        ("range=203.0.0.0/16&contains=false", ["203.0.113.7", "203.0.113.0/24"]),
        ("scope=ip&value=203.0.113.7", ["203.0.113.7"]),
        ("scopes=country&value=DE", ["DE"]),
        ("ip=203.0.113.7&type=captcha", []),
        ("ip=192.0.2.1", []),
    ],
)
async def test_a_look_up_answers_as_crowdsec_does(query: str, values: list[str]) -> None:
    at = lapi(action(), action("203.0.113.0/24"), action("2001:db8::7"), action("DE", of=TargetKind.COUNTRY))
    async with client(at, LUA) as edge:
        answer = await edge.get(f"/v1/decisions?{query}")
        assert answer.status_code == 200
        assert sorted(d["value"] for d in answer.json() or ()) == sorted(values)
        assert values or answer.text == "null"
        assert (await edge.head(f"/v1/decisions?{query}")).status_code == 200


async def test_who_shows_no_key_is_refused_and_who_asks_nonsense_is_told() -> None:
    at = lapi()
    async with client(at, {}) as stranger, client(at) as edge:
        for path in ("/v1/decisions", "/v1/decisions/stream?startup=true", "/v1/lists/plain", "/v1/bouncers"):
            assert (await stranger.get(path)).status_code == 403
        assert "203.0.113.7" in (await edge.get("/v1/decisions?ip=nowhere")).json()["message"]
        assert (await edge.get("/v1/lists/pf")).status_code == 404
    with pytest.raises(SettingsError, match="KEYS: entry 2 is no NAME=KEY"):
        Keys(f"edge={KEY},short=abc", "KEYS")


async def test_a_key_of_the_store_lets_a_bouncer_in_until_it_is_revoked_and_the_list_says_who_asked(
    engine: sa.Engine,
) -> None:
    access = Access(engine)
    key, text = access.create_key("fw1", Role.BOUNCER, "cli:ann", NOW_MS)
    viewers = access.create_key("ann", Role.VIEWER, "cli:ann", NOW_MS)[1]
    at = lapi(action(), access=access)
    wall = {"X-Api-Key": text, "User-Agent": "crowdsec-firewall-bouncer/v0.0.31"}
    async with client(at, wall) as edge, client(at) as settings_edge, client(at, {"X-Api-Key": viewers}) as viewer:
        assert (await edge.get("/v1/decisions/stream?startup=true")).json()["new"][0]["value"] == "203.0.113.7"
        assert (await settings_edge.get("/v1/decisions")).status_code == 200
        assert (await viewer.get("/v1/decisions")).status_code == 403
        await noted(access)
        access.revoke_key(key.id, "cli:ann", NOW_MS)
        assert (await edge.get("/v1/decisions/stream")).status_code == 403
    listed = next(each for each in access.list_keys() if each.id == key.id)
    assert (listed.pulled_ms, listed.pulled_from) == (NOW_MS, "127.0.0.1")
    assert listed.pulled_agent == "crowdsec-firewall-bouncer/v0.0.31"


async def test_what_is_pushed_ends_with_its_key(engine: sa.Engine) -> None:
    access = Access(engine)
    key, text = access.create_key("fw1", Role.BOUNCER, "cli:ann", NOW_MS)
    admission = Admission(Keys("", "KEYS"), access, lambda: NOW_MS)
    at = Lapi(admission, lambda: NOW_MS, scoped=False)
    at.begin(Ledger(Ladder(4.0, 1, 86_400)))
    put(at, action())
    pushed_to = at.events(frozenset({"ip"}), lambda: admission.holds(text))
    told = b"".join([await anext(pushed_to) for _ in range(3)])
    assert b"203.0.113.7" in told
    access.revoke_key(key.id, "cli:ann", NOW_MS)
    put(at, action("192.0.2.1"))
    rest = b"".join([part async for part in pushed_to])
    assert b"192.0.2.1" not in rest


async def test_while_the_store_is_away_only_whom_it_let_in_is_let_in(engine: sa.Engine) -> None:
    access = Access(engine)
    known, new = (access.create_key(name, Role.BOUNCER, "cli:ann", NOW_MS)[1] for name in ("known", "new"))
    at = lapi(access=access)
    async with client(at, {"X-Api-Key": known}) as edge, client(at, {"X-Api-Key": new}) as stranger:
        assert (await edge.get("/v1/decisions")).status_code == 200
        await noted(access)
        with engine.execution_options(writes=True).begin() as connection:
            connection.execute(sa.text("ALTER TABLE api_keys RENAME TO elsewhere"))
        assert (await edge.get("/v1/decisions")).status_code == 200
        assert (await stranger.get("/v1/decisions")).status_code == 503
        assert (await stranger.get("/v1/decisions", headers={"X-Api-Key": KEY})).status_code == 200


async def noted(access: Access) -> None:
    """The store has been told of a pull: what is noted, nobody waits for."""
    deadline_s = time.monotonic() + 60
    while all(key.pulled_ms is None for key in access.list_keys()):
        assert time.monotonic() < deadline_s, "nobody noted who asked"
        await asyncio.sleep(0.01)


def test_a_bouncers_key_may_nothing_else_and_is_no_users_role(engine: sa.Engine) -> None:
    access = Access(engine)
    found = access.by_key(access.create_key("fw1", Role.BOUNCER, "cli:ann", NOW_MS)[1], NOW_MS)
    assert found is not None
    assert not found.scopes
    with pytest.raises(CommandError, match="tenant"):
        access.create_key("fw1", Role.BOUNCER, "cli:ann", NOW_MS, tenant="acme")
    with pytest.raises(CommandError, match="scopes"):
        access.create_key("fw1", Role.BOUNCER, "cli:ann", NOW_MS, only=[Scope.LISTS_READ])
    with pytest.raises(CommandError, match="role"):
        access.put_user("fw1", Role.BOUNCER, None, "cli:ann", NOW_MS)


async def test_until_actions_have_been_read_nobody_is_told_that_nothing_stands() -> None:
    at = Lapi(Admission(Keys(f"edge={KEY}", "KEYS"), None, lambda: NOW_MS), lambda: NOW_MS, scoped=False)
    async with client(at) as edge:
        assert (await edge.get("/v1/decisions/stream?startup=true")).status_code == 503


async def test_usage_is_counted_and_oddities_of_real_bouncers_are_taken() -> None:
    at = lapi()
    items = [{"name": "dropped", "unit": "request", "value": 3, "labels": {"origin": "floodwarden"}},
             {"name": "active_decisions", "value": 8}, {"name": "made-up", "value": 1}]  # fmt: skip
    report = {"log_processors": None, "remediation_components": [
        {"version": "", "feature_flags": {}, "os": None, "metrics": [{"items": items, "meta": {}}]}]}  # fmt: skip
    labels = {"bouncer": "edge", "name": "dropped"}
    before = REGISTRY.get_sample_value("floodwarden_enforcer_bouncer_items_total", labels) or 0
    async with client(at, TRAEFIK) as edge:
        assert (await edge.post("/v1/usage-metrics", content=json.dumps(report))).status_code == 201
        assert (await edge.post("/v1/usage-metrics", content=b"[")).status_code == 400
        assert (await edge.post("/v1/usage-metrics", content=b"x" * (BODY_BYTES_MAX + 1))).status_code == 413
    assert REGISTRY.get_sample_value("floodwarden_enforcer_bouncer_items_total", labels) == before + 3
    assert REGISTRY.get_sample_value("floodwarden_enforcer_bouncer_decisions", {"bouncer": "edge"}) == 8


async def test_a_list_is_not_sent_again_until_it_changes() -> None:
    at = lapi(action())
    async with client(at) as edge:
        first = await edge.get("/v1/lists/nginx-deny")
        assert first.text == "deny 203.0.113.7;\n"
        same = {"if-none-match": first.headers["etag"]}
        assert (await edge.get("/v1/lists/nginx-deny", headers=same)).status_code == 304
        put(at, action("192.0.2.1"))
        assert (await edge.get("/v1/lists/nginx-deny", headers=same)).status_code == 200


def binary(name: str) -> str:
    """The path of a real bouncer: on the path, or fetched by `make bouncers`."""
    fetched = ROOT / ".bouncers" / "usr" / "bin" / name
    found = str(fetched) if fetched.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine: run `make bouncers` where apt-get is")
    return found


@contextmanager
def bouncer(name: str, config: str, directory: Path, path: Path | None = None) -> Iterator[None]:
    file = directory / f"{name}.yaml"
    file.write_text(config, "utf-8")
    environment = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([binary(name), "-c", str(file)], stdout=log, stderr=log, env=environment)
    try:
        yield
        assert process.poll() is None, (directory / f"{name}.log").read_text("utf-8")
    finally:
        process.kill()
        process.wait(10)


def pushed(world: World, count: int) -> list[dict[str, Any]]:
    """The first events of the stream; once the first is there, one address more is denied."""
    found: list[dict[str, Any]] = []
    url = f"http://127.0.0.1:{world.settings.port}/v1/decisions/stream"
    with httpx.stream("GET", url, headers=GO | {"accept": "text/event-stream"}, timeout=20) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if len(found) == count:
                    return found
                command.deny_add(world.settings, "ip", "192.0.2.77", 600, "by hand", "ann")
    raise AssertionError("the stream ended")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


@pytest.mark.integration
def test_debians_real_custom_bouncer_hears_of_a_denial_and_of_its_end(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    binary("crowdsec-custom-bouncer")
    world = World(embedded_address, redis_url, topic_prefix, bouncer_keys=f"edge={KEY}")
    heard = tmp_path / "heard"
    hook = script(tmp_path / "hook", f'echo "$1 $2 $3 $4" >> {heard}')
    config = f"""
bin_path: {hook}
update_frequency: 200ms
cache_retention_duration: 1s
daemonize: false
log_mode: stdout
log_level: info
api_url: http://127.0.0.1:{world.settings.port}/
api_key: {KEY}
piddir: {tmp_path}
"""
    with world.enforcer():
        world.send(alert("203.0.113.7"))
        world.wait_for("203.0.113.7")
        with bouncer("crowdsec-custom-bouncer", config, tmp_path):
            eventually(lambda: any(line.startswith("add 203.0.113.7") for line in lines(heard)))
            command.deny_add(world.settings, "ip", "2001:db8::/64", 600, "by hand", "ann")
            eventually(lambda: any(line.startswith("add 2001:db8::/64") for line in lines(heard)))
            command.deny_remove(world.settings, "ip", "203.0.113.7", "ann")
            eventually(lambda: any(line.startswith("del 203.0.113.7") for line in lines(heard)))
            listed, _ = read(["198.51.100.1", "198.51.100.2"], "list.txt")
            made, result = command.deny_import(world.settings, listed, "drop", Rules(600), lambda *_: None)
            assert (len(made.add), made.left_out) == (2, {})
            assert result
            eventually(lambda: any(line.startswith("add 198.51.100.2") for line in lines(heard)))
            made, _ = command.deny_import(world.settings, [], "drop", Rules(600), lambda *_: None)
            assert len(made.lift) == 2
            eventually(lambda: any(line.startswith("del 198.51.100.2") for line in lines(heard)))
            assert [[d["value"] for d in event["new"]] for event in pushed(world, 2)] == [
                ["2001:db8::/64"],
                ["192.0.2.77"],
            ]
            command.deny_remove(world.settings, "ip", "192.0.2.77", "ann")
            asked = world.get("/v1/bouncers", KEY).json()
            assert asked["decisions"] == 1
            assert asked["bouncers"][0]["agent"].startswith("crowdsec-custom-bouncer")


@pytest.mark.integration
def test_debians_real_firewall_bouncer_fills_its_sets_and_empties_them(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    binary("crowdsec-firewall-bouncer")
    world = ApiWorld(embedded_address, redis_url, topic_prefix, tmp_path)
    key = world.key(Role.BOUNCER, name="wall")
    ran = tmp_path / "ran"
    # The kernel's sets are not a test's to fill: what would be done to them is written down instead.
    script(tmp_path / "bin" / "ipset", f'echo "$*" >> {ran}; case "$*" in *restore*) cat >> {ran};; esac')
    config = f"""
mode: ipset
pid_dir: {tmp_path}/
update_frequency: 200ms
daemonize: false
log_mode: stdout
log_level: debug
api_url: http://127.0.0.1:{world.settings.port}/
api_key: {key}
disable_ipv6: false
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: fw4
blacklists_ipv6: fw6
ipset_type: nethash
prometheus: {{enabled: false, listen_addr: 127.0.0.1, listen_port: {free_port()}}}
"""
    with world.enforcer(program="enforcer.app"):
        command.deny_add(world.settings, "ip", "203.0.113.0/24", 600, "by hand", "ann")
        with bouncer("crowdsec-firewall-bouncer", config, tmp_path, tmp_path / "bin"):
            eventually(lambda: any("fw4 203.0.113.0/24" in line for line in lines(ran)))
            command.deny_add(world.settings, "ip", "2001:db8::7", 600, "by hand", "ann")
            eventually(lambda: any("fw6 2001:db8::7" in line for line in lines(ran)))
            command.deny_remove(world.settings, "ip", "203.0.113.0/24", "ann")
            eventually(lambda: any("del" in line and "203.0.113.0/24" in line for line in lines(ran)))
            access = Access(world.engine)
            asked = eventually(lambda: next((one for one in access.list_keys() if one.pulled_ms), None))
            assert str(asked.pulled_agent).startswith("crowdsec-firewall-bouncer")
            access.revoke_key(asked.id, "cli:ann", NOW_MS)
            assert world.get("/v1/bouncers", key).status_code == 403
