"""The API of a running enforcer: what people ask for is in force, once; what happens is told as it happens."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from api_world import ApiWorld
from enforcer_world import alert, eventually
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from enforcer.api.app import create_app
from enforcer.api.door import Parts
from enforcer.callers import Role
from enforcer.store import audit, reading
from floodwarden.enforcing import limited

pytestmark = pytest.mark.integration
EXAMPLES = int(os.environ.get("FW_SCHEMATHESIS", "5"))  # good ones of each operation, and bad ones: some 350 requests
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection,
]  # fmt: skip


@pytest.fixture(scope="module")
def world(embedded_address: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """An enforcer that may restrict one client by itself."""
    prefix, directory = f"t{time.time_ns()}.", tmp_path_factory.mktemp("api")
    book = directory / "playbook.yaml"
    book.write_text(
        "version: 1\nplays:\n"
        "  - {name: ask, do: deny, when: {alert: asked}, approve: {within: 1h, otherwise: let-go}}\n"
    )
    given = {"live_floor": 1, "allowlist": "198.51.100.0/28", "playbooks": book}
    made = ApiWorld(embedded_address, redis_server, prefix, directory, **given)
    with made.enforcer(program="floodwarden.enforcing"):
        yield made


def only(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_what_waits_is_approved_or_rejected_once_and_the_audit_has_who(world: ApiWorld) -> None:
    world.send(*(alert(f"203.0.113.{n}", kind="asked") for n in (90, 91)))
    with world.client(world.key(Role.ANALYST)) as ann, world.client(world.key(Role.VIEWER)) as vic:
        found = eventually(lambda: items if len(items := _pending(ann)) == 2 else None)
        yes, no = sorted(found, key=lambda action: str(action["target"]["value"]))
        assert vic.post(f"/actions/{yes['uid']}/approve", json={"reason": "x"}).status_code == 403
        done, asked = only(ann.post(f"/actions/{yes['uid']}/approve", json={"reason": "sure"}))["actions"]
        assert (done["status"], done["owner"], asked["status"]) == ("active", "api:ann", "approved")
        (gone,) = only(ann.post(f"/actions/{no['uid']}/reject", json={"reason": "ours"}))["actions"]
        assert (gone["status"], gone["ended_by"], gone["ended_reason"]) == ("refused", "api:ann", "ours")
        for word, uid in (("approve", yes["uid"]), ("reject", no["uid"])):
            assert ann.post(f"/actions/{uid}/{word}", json={"reason": "again"}).status_code == 409
        assert (world.wait_for("203.0.113.90")["uid"], _pending(ann)) == (done["uid"], [])
    with world.client(world.key(Role.ADMIN)) as admin:
        told = [entry["verb"] for entry in only(admin.get("/audit?subject=ip:203.0.113.91"))["items"]]
        assert {"action.pending", "action.refused", "api.action.reject"} <= set(told)


def _pending(client: httpx.Client) -> list[dict[str, Any]]:
    return list(client.get("/actions?status=pending").json()["items"])


def test_a_day_of_an_analyst(world: ApiWorld) -> None:
    world.send(alert("203.0.113.1"), alert("203.0.113.2"), alert("203.0.113.3"))
    with world.client(world.key(Role.ANALYST)) as ann, world.client(world.key(Role.OPERATOR, name="bob")) as bob:
        held = eventually(lambda: [a for a in ann.get("/actions?status=refused").json()["items"] if a["guard"]])[0]
        assert "at most 1" in held["reason"]
        body = {"reason": "it is one more of them", "seconds": 120}
        done = only(ann.post(f"/actions/{held['uid']}/approve", json=body))["actions"][0]
        assert (done["target"], done["owner"], done["alert_uid"]) == (held["target"], "api:ann", held["alert_uid"])
        assert world.wait_for(held["target"]["value"])["uid"] == done["uid"]
        assert ann.post(f"/actions/{done['uid']}/approve", json=body).json()["code"] == "not_held"

        assert ann.post(f"/actions/{done['uid']}/extend", json=body).status_code == 403
        longer = only(bob.post(f"/actions/{done['uid']}/extend", json={"reason": "still", "seconds": 600}))["actions"][
            0
        ]
        assert only(ann.get(f"/actions/{done['uid']}"))["ended_by"] == "api:bob"

        made = only(ann.post(f"/actions/{longer['uid']}/appeal", json={"text": "that was our scanner"}), 201)
        decided = only(ann.post(f"/appeals/{made['uid']}/decide", json={"accept": True, "reason": "it was"}))
        assert (decided["status"], decided["decided_by"]) == ("accepted", "api:ann")
        assert held["target"]["value"] not in {a["target"]["value"] for a in world.snapshot().values()}
        again = ann.post(f"/appeals/{made['uid']}/decide", json={"accept": False, "reason": "no"})
        assert (again.status_code, again.json()["code"]) == (409, "decided")

        incident = only(ann.get("/incidents"))["items"][0]
        words = only(ann.get(f"/incidents/{incident['uid']}/timeline?limit=200"))["items"]
        assert [w["kind"] for w in words].count("alert") == 3
        assert [
            w["action"]["status"] for w in words if w["kind"] == "action" and w["action"]["uid"] == longer["uid"]
        ] == [
            "active",
            "lifted",
        ]
    assert audit.verify(world.engine).broken == ""


def test_what_is_sent_twice_is_done_once_also_when_the_first_answer_was_lost(world: ApiWorld) -> None:
    body = {"kind": "ip", "value": "203.0.113.50", "seconds": 60, "reason": "card testing"}
    with world.client(world.key(Role.OPERATOR), **{"idempotency-key": "once"}) as bob:
        first = only(bob.post("/denials", json=body))["actions"][0]["uid"]
        with world.engine.begin() as at:  # as if it had fallen over before it kept its answer
            at.exec_driver_sql("UPDATE answers SET status = NULL, at_ms = at_ms - 60000")
        assert only(bob.post("/denials", json=body))["actions"][0]["uid"] == first
    assert [a.uid for a in world.actions() if a.target.value == "203.0.113.50" and a.status == "active"] in (
        [first],
        [first, first],
    )
    assert len([a for a in reading.audit_tail(world.engine, 999) if a["detail"].get("action") == first]) == 1


def test_what_cannot_be_is_refused_and_changes_nothing(world: ApiWorld) -> None:
    body = {"kind": "ip", "value": "198.51.100.3", "seconds": 60, "reason": "x"}
    with world.client(world.key(Role.OPERATOR)) as bob:
        found = bob.post("/denials", json=body)
        assert (found.status_code, found.json()["code"], found.json()["field"]) == (409, "allowlisted", "value")
        for path in ("/denials", "/throttles", "/allows"):
            assert bob.delete(path, params={"target": "ip:203.0.113.99"}).json()["code"] == "not_found"
        assert bob.delete("/brownout").json()["code"] == "not_found"
        assert bob.post("/automation/resume").json()["code"] == "not_found"
        assert {name: only(bob.get("/brownout"))[name] for name in ("level", "action")} == {"level": 0, "action": None}


def called(status: str, *firing: dict[str, str], group: str = "{}:{alertname='SlowDatabase'}") -> dict[str, Any]:
    """What Alertmanager sends, as its documentation has it."""
    alerts = [
        {"status": status, "labels": {"alertname": "SlowDatabase", **labels}, "annotations": {"summary": "p99 of 4 s"},
         "startsAt": "2026-11-21T22:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph",
         "fingerprint": f"{number:016x}"}
        for number, labels in enumerate(firing)
    ]  # fmt: skip
    return {
        "version": "4", "groupKey": group, "truncatedAlerts": 0, "status": status, "receiver": "floodwarden",
        "groupLabels": {"alertname": "SlowDatabase"}, "commonLabels": {"alertname": "SlowDatabase"},
        "commonAnnotations": {}, "externalURL": "http://alertmanager", "alerts": alerts,
    }  # fmt: skip


def test_alertmanager_begins_a_brownout_says_it_again_and_ends_its_own_alone(world: ApiWorld) -> None:
    way = "/brownout/alertmanager"
    with world.client(world.key(Role.OPERATOR)) as bob, world.client(world.key(Role.ANALYST)) as ann:
        firing = called("firing", {"severity": "critical"}, {"floodwarden_level": "3"})
        assert ann.post(way, json=firing).status_code == 403
        begun = only(bob.post(way, json=firing))["actions"][0]
        assert (begun["level"], begun["owner"]) == (3, "api:ann")
        assert begun["reason"] == "Alertmanager: SlowDatabase: p99 of 4 s"
        assert only(bob.post(way, json=firing))["actions"] == [], "most of it is left"
        other = only(bob.post(way, json=called("firing", {"severity": "critical"}, group="another")))["actions"]
        assert [action["level"] for action in other] == [2]
        assert only(bob.get("/brownout"))["level"] == 3
        ended = only(bob.post(way, json=called("resolved", {})))["actions"]
        assert [(action["uid"], action["status"]) for action in ended] == [(begun["uid"], "lifted")]
        assert only(bob.get("/brownout"))["level"] == 2
        assert only(bob.post(way, json=called("resolved", {})))["actions"] == []
        wrong = bob.post(way, json=called("firing", {"floodwarden_level": "9"}))
        assert (wrong.status_code, wrong.json()["field"]) == (422, "labels.floodwarden_level")
        assert bob.post(way, json=firing | {"version": "3"}).json()["field"] == "version"
        only(bob.delete("/brownout"))


def test_automation_is_stopped_and_let_go_on(world: ApiWorld) -> None:
    with world.client(world.key(Role.OPERATOR)) as bob, world.client(world.key(Role.ANALYST)) as ann:
        by_hand = only(bob.post("/denials", json={"kind": "ip", "value": "203.0.113.60", "seconds": 60, "reason": "x"}))
        body = {"seconds": 600, "reason": "it denies partners"}
        assert ann.post("/automation/stop", json=body).status_code == 403
        assert only(bob.post("/automation/stop", json=body))["actions"][0]["kind"] == "hold"
        assert by_hand["actions"][0]["uid"] in world.snapshot()
        told = only(ann.get("/automation"))
        assert (told["stopped"], [hold["reason"] for hold in told["holds"]]) == (True, ["it denies partners"])
        only(bob.post("/automation/resume?reason=mended"))
        assert only(ann.get("/automation")) == {"stopped": False, "holds": []}


@contextmanager
def following(world: ApiWorld, **headers: str) -> Iterator[list[dict[str, str]]]:
    """Events as they come."""
    found: list[dict[str, str]] = []
    opened = threading.Event()

    def read() -> None:
        event: dict[str, str] = {}
        with world.client(world.key(Role.VIEWER), **headers) as client, client.stream("GET", "/stream") as answer:
            closing.append(answer)
            try:
                for line in answer.iter_lines():
                    opened.set()
                    name, _, value = line.partition(": ")
                    if line and name:
                        event[name] = value
                    elif not line and event:
                        found.append(event | {"at_s": str(time.monotonic())})
                        event = {}
            except httpx.HTTPError:
                return

    closing: list[Any] = []
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert opened.wait(10)
    yield found


def test_a_follower_is_told_at_once_and_goes_on_where_it_broke_off(world: ApiWorld) -> None:
    with following(world) as found:
        world.send(alert("203.0.113.77", uid="told-live"))
        eventually(lambda: [e for e in found if "told-live" in e["data"] and e["event"] == "action"])
        first = next(e for e in found if "told-live" in e["data"])
        assert first["event"] == "alert"
    with following(world, **{"last-event-id": first["id"]}) as later:
        eventually(lambda: [e for e in later if "told-live" in e["data"]])
        assert int(later[0]["id"]) == int(first["id"]) + 1
    with following(world, **{"last-event-id": "0"}) as everything:
        eventually(lambda: len(everything) >= int(first["id"]))
        assert [int(e["id"]) for e in everything] == list(range(1, len(everything) + 1))


async def test_callers_are_limited_by_our_own_limiter(world: ApiWorld, tmp_path: Path) -> None:
    policy = tmp_path / "api.yaml"
    policy.write_text("version: 1\nlimits:\n  - { name: few, per: key, rate: 1/min, burst: 3 }\n")
    parts = ApiWorld.parts(
        f"sqlite:///{tmp_path}/store.db", world.settings.model_copy(update={"api_policies": policy, "node": "other"})
    )
    key = {"x-api-key": "made up"}
    async with (
        limited(parts.settings)(create_app(parts)) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t/api/v1") as client,
    ):
        answers = [await client.get("/me", headers=key) for _ in range(5)]
        assert [a.status_code for a in answers] == [401, 401, 401, 429, 429]
        assert (await client.get("/me", headers={"x-api-key": "another"})).status_code == 401
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert int(answers[3].headers["retry-after"]) > 0


def test_the_document_says_what_the_api_does(world: ApiWorld, tmp_path: Path) -> None:
    """Schemathesis makes requests from the document, good and bad, and holds each answer against it."""
    parts = ApiWorld.parts(f"sqlite:///{tmp_path}/store.db", world.settings)
    app = create_app(Parts(world.settings, world.engine, parts.live, parts.verified, parts.clock_ms))
    key = {"authorization": f"Bearer {world.key()}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    seen: Counter[str] = Counter()
    for made, mode in product(schema.get_all_operations(), GenerationMode):
        operation = made.ok()
        if operation.path.endswith("/stream"):  # has no end; tried above
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def hold(case: schemathesis.Case) -> None:
            answer = case.call_and_validate(headers=key, checks=CHECKS)
            seen[f"{answer.status_code // 100}xx"] += 1

        with suppress(Unsatisfiable):  # an operation that takes anything cannot be asked badly
            hold()
    assert seen["2xx"] > 50
    assert seen["4xx"] > 50
