"""Notices beside running enforcers: one page an incident through kill -9 and with two of them, and nobody waits."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from api_world import ApiWorld
from confluent_kafka.admin import AdminClient, NewTopic
from enforcer_world import World, alert, eventually
from providers import Providers, providers, wrong
from pydantic import SecretStr

from enforcer.callers import Role
from floodwarden.embedded import free_port
from schemas import topics
from schemas.topics import Topic

pytestmark = pytest.mark.integration
FINDINGS = Topic("findings", 1)
SECRET = "0123456789abcdef0123456789abcdef"


def notices_file(path: Path, base: str, topic: str, hanging: int) -> Path:
    """Destinations by stand-ins at `base`, and one that takes connections and never speaks."""
    path.write_text(
        f"""\
version: 1
destinations:
  oncall: {{kind: pagerduty, key: {SECRET}, url: "{base}/v2/enqueue", per_minute: 600}}
  chat: {{kind: slack, url: "{base}/services/T0/B0/x", per_minute: 600}}
  gone: {{kind: webhook, url: "{base}/gone", secret: {SECRET}}}
  broken: {{kind: slack, url: "{base}/broken", tries: 2, per_minute: 600}}
  hangs: {{kind: webhook, url: "http://127.0.0.1:{hanging}/", secret: {SECRET}}}
  bus: {{kind: kafka, topic: {topic}, format: ocsf}}
routes:
  - {{to: [oncall, chat, hangs, bus], severity: high, wait_s: 0}}
  - {{to: [gone, broken], kinds: [probe], wait_s: 0}}
""",
        "utf-8",
    )
    return path


@pytest.fixture
def database(postgres_url: str) -> str:
    """An empty database."""
    name = f"t{uuid.uuid4().hex}"
    with sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT").connect() as at:
        at.execute(sa.text(f"CREATE DATABASE {name}"))
    return sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def triggers(server: Providers) -> Counter[str]:
    """How often PagerDuty was asked for each page."""
    events = [got.json() for got in server.at("/v2/enqueue")]
    return Counter(event["dedup_key"] for event in events if event["event_action"] == "trigger")


def findings(world: World) -> list[Any]:
    return [json.loads(value) for _, value, _ in world.records(FINDINGS) if value]


def enforced(world: ApiWorld, client: httpx.Client, target: str) -> Any:
    """The record of an action's way to limiters, once a limiter had it; it has the newest version all the time."""
    world.node("limiter-1")
    (action, *_) = client.get(f"/actions?target={target}").json()["items"]
    return client.get(f"/actions/{action['uid']}").json()["enforcement"]


def test_a_kill_before_the_answer_is_one_page_and_who_hangs_keeps_nobody_waiting(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    with providers() as server, providers() as silent:
        silent.hanging.set()
        file = notices_file(tmp_path / "notices.yaml", server.base, f"{topic_prefix}findings", silent.port)
        more: dict[str, Any] = {"notices": file, "notices_private": "127.0.0.0/8"}
        world = ApiWorld(embedded_address, redis_url, topic_prefix, tmp_path, **more)
        admin = AdminClient({"bootstrap.servers": embedded_address})
        admin.create_topics([NewTopic(world.settings.topic(FINDINGS), 1, 1)])[world.settings.topic(FINDINGS)].result(60)
        server.hanging.set()
        with world.enforcer(program="floodwarden.enforcing") as first:
            world.send(alert("203.0.113.1"))
            world.wait_for("203.0.113.1", 60)
            eventually(lambda: server.pages, 100)
            first.kill()
            first.wait(10)
        server.hanging.clear()
        server.released.set()
        with world.enforcer(program="floodwarden.enforcing"), world.client(world.key(Role.ANALYST)) as client:
            world.send(alert("203.0.113.2", uid="p", kind="probe"))
            world.wait_for("203.0.113.2", 60)
            eventually(lambda: len(server.pages) == 2 and max(triggers(server).values()) == 2, 100)
            eventually(lambda: len(findings(world)) >= 2, 100)
            letters = eventually(lambda: found if len(found := world.records(topics.DEAD_LETTER)) == 2 else None, 100)
            by = {headers["origin-topic"]: (headers, json.loads(body or b"")) for _, body, headers in letters}
            assert (by[b"notices/gone"][0]["code"], by[b"notices/gone"][1]["type"]) == (
                b"notice_refused", "incident.opened",
            )  # fmt: skip
            headers, slack = by[b"notices/broken"]
            assert (headers["code"], wrong("slack", slack)) == (b"notice_failed", "")
            assert b"2 attempts" in headers["reason"]
            assert len(server.at("/broken")) == 2
            (incident,) = client.get("/incidents?kind=guess").json()["items"]
            for _ in range(2):
                made = client.post(f"/incidents/{incident['uid']}/acknowledge").json()
                assert made["acked_by"] == "api:ann"
            eventually(lambda: [t for t in server.at("/v2/enqueue") if b'"acknowledge"' in t.body], 100)
            found = eventually(lambda: enforced(world, client, "ip:203.0.113.2"), 100)
            assert 'node_time_to_enforce_seconds_count{since="crossed"}' in world.get("/metrics").text
            assert found["p99_ms"] == found["ack_ms"]["limiter-1"] + found["created_ms"] - found["crossed_ms"]
        assert len(server.pages) == len(set(server.pages)) == 2
        assert {wrong("ocsf", one) for one in findings(world)} == {""}
        assert silent.got, "it was tried, and hung all the while"


def test_two_enforcers_on_one_postgresql_page_once_an_incident_and_one_goes_on_alone(
    embedded_address: str, redis_url: str, topic_prefix: str, tmp_path: Path, database: str
) -> None:
    with providers() as server:
        file = notices_file(tmp_path / "notices.yaml", server.base, "t", free_port())
        shared: dict[str, Any] = {"store": SecretStr(database), "notices": file, "notices_private": "127.0.0.0/8"}
        one = World(embedded_address, redis_url, topic_prefix, **shared)
        two = World(embedded_address, redis_url, topic_prefix, **shared, node="enforcer-2")
        with one.enforcer(program="enforcer.app") as first, two.enforcer(program="enforcer.app"):
            one.send(*(alert("203.0.113.9", uid=f"a{n}", kind=f"k{n}") for n in range(20)))
            eventually(lambda: len(server.pages) == 20, 100)
            first.kill()
            one.send(*(alert("203.0.113.9", uid=f"b{n}", kind=f"j{n}") for n in range(20)))
            eventually(lambda: len(server.pages) == 40, 100)
        asked = triggers(server)
        assert len(asked) == 40
        assert sum(asked.values()) <= 41, "at most the one that was on its way when its sender was killed, twice"
