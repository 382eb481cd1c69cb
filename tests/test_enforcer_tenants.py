"""An incident of several tenants: each sees its part of it, and nothing of the others'. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from enforcer_world import alert
from test_cli_incidents import of
from test_enforcer_api import BASE, client, problem
from test_enforcer_api import parts as parts_of_an_api
from test_enforcer_store import MINUTE, T0, deny, told
from test_notify_store import Desk

from enforcer.api import found as routes
from enforcer.api.door import Parts
from enforcer.callers import Role, Scope
from enforcer.incidents import GAP_MS, Share, total
from enforcer.notify.destinations import Destination, Kind, Notices, Route
from enforcer.notify.notice import Event
from enforcer.store import labels, reading
from enforcer.store import parts as seen
from enforcer.store.archive import Archive
from enforcer.store.reading import Wanted
from enforcer.store.tables import ALERTS
from schemas.alert import Alert, Severity, Status

parts = parts_of_an_api
ACME, BOLT = "203.0.113.7", "198.51.100.9"
ADDRESS = {"acme": ACME, "bolt": BOLT, None: "192.0.2.1"}


def one(uid: str, tenant: str | None, at_min: int = 0, **more: Any) -> Alert:
    """An alert about a client of that tenant; others of the kind are one incident with it."""
    of_all = {"live_clients": 987654321, "good_clients": 123456798}
    return alert(ADDRESS[tenant], uid=uid, tenant=tenant, at_ms=T0 + at_min * MINUTE, **of_all | more)


def shared(parts: Parts) -> str:
    """An incident of two tenants, with an action against a client of each; its uid."""
    alerts = [
        one("b1", "bolt", 0, severity=Severity.CRITICAL),
        one("a1", "acme", 1, severity=Severity.LOW, status=Status.CLOSED),
        one("b2", "bolt", 2),
        one("n1", None, 3),
    ]
    done = [
        deny("da", value=ACME, alert_uid="a1", tenant="acme"),
        deny("db", value=BOLT, alert_uid="b1", tenant="bolt"),
    ]
    Archive(parts.engine).write([*told("alerts", alerts), *told("actions", done)])
    with parts.engine.connect() as at:
        return str(at.execute(sa.select(ALERTS.c.incident).distinct()).scalar_one())


def test_each_sees_its_own_part_and_who_runs_the_site_all_of_it(parts: Parts) -> None:
    uid = shared(parts)
    who = client(parts, Role.OPERATOR, tenant="acme")
    (mine,) = who.get(f"{BASE}/incidents").json()["items"]
    assert mine == who.get(f"{BASE}/incidents/{uid}").json()
    first = one("a1", "acme", 1)
    assert mine == {
        "uid": uid, "topic": "guess *", "kind": "guess", "route": None, "tenant": "acme", "status": "closed",
        "severity": "low", "first_ms": first.first_ms, "last_ms": first.last_ms, "alerts": 1, "summary": first.summary,
        "acked_by": None, "acked_ms": None,
    }  # fmt: skip
    words = who.get(f"{BASE}/incidents/{uid}/timeline").json()["items"]
    assert [word[word["kind"]]["uid"] for word in words] == ["a1", "da"]
    whole = client(parts, Role.VIEWER).get(f"{BASE}/incidents/{uid}").json()
    assert (whole["tenant"], whole["alerts"], whole["severity"], whole["status"]) == (None, 4, "critical", "open")
    assert len(client(parts, Role.VIEWER).get(f"{BASE}/incidents/{uid}/timeline").json()["items"]) == 6
    problem(client(parts, Role.OPERATOR, tenant="zeta").get(f"{BASE}/incidents/{uid}"), 404, "not_found", "uid")


def test_nothing_that_a_tenant_is_told_has_a_word_or_a_number_of_others(parts: Parts) -> None:
    uid = shared(parts)
    client(parts).post(f"{BASE}/labels", json={"subject": f"incident:{uid}", "label": "right", "note": BOLT})
    who = client(parts, Role.OPERATOR, tenant="acme")
    paths = ("alerts", "alerts/a1", "incidents", f"incidents/{uid}", f"incidents/{uid}/timeline", "actions", "labels")
    said = [who.get(f"{BASE}/{path}").text for path in (*paths, "appeals", "denials", f"alerts?incident={uid}")]
    said += live(parts, "acme")
    assert [
        text for text in said if any(word in text for word in ("bolt", BOLT, "192.0.2.1", "987654321", "123456798"))
    ] == []
    assert sum("a1" in text for text in said) >= 5
    everybody = live(parts, None)
    assert any('"live_clients":987654321' in text for text in everybody)
    assert len(everybody) == 6


def live(parts: Parts, tenant: str | None) -> list[str]:
    """What a follower of the live stream is sent."""

    async def follow() -> list[str]:
        caller = routes.Caller("ann", "key", Role.VIEWER, frozenset(), tenant)
        answer: Any = await routes.stream(parts, caller, None, "0")
        sent = []
        async for text in answer.body_iterator:
            if text.startswith("id:"):
                sent.append(text)
            elif sent:
                break
            if len(sent) == (2 if tenant else 6):
                break
        return sent

    return asyncio.run(follow())


def test_who_sees_a_part_labels_its_alerts_and_takes_nothing_in_hand_for_others(parts: Parts) -> None:
    uid = shared(parts)
    who = client(parts, Role.OPERATOR, tenant="acme")
    refused = problem(who.post(f"{BASE}/incidents/{uid}/acknowledge"), 403, "shared_incident", "uid")
    assert "tenant:acme alone" in refused["detail"]
    assert "without a tenant" in refused["fix"]
    assert client(parts, Role.VIEWER).get(f"{BASE}/incidents/{uid}").json()["acked_by"] is None
    problem(who.post(f"{BASE}/labels", json={"subject": "alert:b1", "label": "false_positive"}), 404, "not_found")
    for subject in ("alert:a1", f"incident:{uid}"):
        made = who.post(f"{BASE}/labels", json={"subject": subject, "label": "false_positive"})
        assert (made.status_code, made.json()["tenant"]) == (201, "acme")
    assert [(each.entity, each.true) for each in labels.judged(parts.engine)] == [(f"ip:{ACME}", False)]
    assert client(parts, Role.ANALYST, tenant="bolt").get(f"{BASE}/labels").json()["items"] == []
    taken = client(parts, Role.ANALYST).post(f"{BASE}/incidents/{uid}/acknowledge").json()
    assert taken["acked_by"] == who.get(f"{BASE}/incidents/{uid}").json()["acked_by"] == "api:ann"


def test_who_took_it_in_hand_while_it_was_one_tenants_alone_is_not_named_to_the_next(parts: Parts) -> None:
    Archive(parts.engine).write(told("alerts", [one("a1", "acme")]))
    acme = client(parts, Role.ANALYST, tenant="acme")
    uid = acme.get(f"{BASE}/incidents").json()["items"][0]["uid"]
    assert acme.post(f"{BASE}/incidents/{uid}/acknowledge").json()["acked_by"] == "api:ann"
    Archive(parts.engine).write(told("alerts", [None, one("b1", "bolt", 1)]))
    bolts = client(parts, Role.ANALYST, tenant="bolt").get(f"{BASE}/incidents/{uid}").json()
    assert (bolts["alerts"], bolts["acked_by"], bolts["acked_ms"]) == (1, None, None)
    assert acme.get(f"{BASE}/incidents/{uid}").json()["acked_by"] == "api:ann"
    who = client(parts, Role.ANALYST)
    assert who.get(f"{BASE}/incidents/{uid}").json()["acked_by"] == "api:ann"
    before_ms = who.get(f"{BASE}/incidents/{uid}").json()["acked_ms"]
    assert who.post(f"{BASE}/incidents/{uid}/acknowledge").json()["acked_ms"] > before_ms
    assert acme.get(f"{BASE}/incidents/{uid}").json()["acked_ms"] > before_ms


@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_what_the_tenants_own_alerts_come_to(engine: sa.Engine, seed: int) -> None:
    chance = random.Random(seed)
    alerts = [
        one(f"{n}", chance.choice(["acme", "bolt", None]), chance.randint(0, 90), kind=chance.choice(["guess", "odd"]),
            severity=chance.choice(list(Severity)), status=chance.choice(list(Status)))
        for n in range(60)
    ]  # fmt: skip
    Archive(engine).write(told("alerts", alerts))
    with engine.connect() as at:
        place = {row.uid: row.incident for row in at.execute(sa.select(ALERTS.c.uid, ALERTS.c.incident))}
    for tenant in ("acme", "bolt"):
        page, listed = seen.listed(engine, Wanted(tenant=tenant), 2), []
        while True:
            listed += page.items
            if page.next is None:
                break
            page = seen.listed(engine, Wanted(tenant=tenant), 2, page.next)
        mine: dict[str, list[Alert]] = {}
        for each in alerts:
            if each.tenant == tenant:
                mine.setdefault(place[each.uid], []).append(each)
        assert [each["first_ms"] for each in listed] == sorted((each["first_ms"] for each in listed), reverse=True)
        assert {each["uid"] for each in listed} == set(mine)
        for each in listed:
            own = mine[each["uid"]]
            is_so = total(Share(a.status, a.severity, 1, a.first_ms, a.last_ms) for a in own)
            told_so = [each[name] for name in ("status", "severity", "alerts", "first_ms", "last_ms")]
            assert told_so == [is_so.status, is_so.severity, is_so.alerts, is_so.first_ms, is_so.last_ms]
            assert each["summary"] == min(own, key=lambda a: (a.first_ms, a.uid)).summary
        for status in ("open", "closed", "withdrawn"):
            found = seen.listed(engine, Wanted({"status": status}, tenant=tenant), 200).items
            assert found == [each for each in listed if each["status"] == status]


NOTICES_TO = Notices(
    {name: Destination(name, Kind.SLACK, per_minute=60) for name in ("all", "acme", "bolt", "oncall", "acmes_oncall")},
    (
        Route(("all",), wait_s=0),
        Route(("acme", "acmes_oncall"), tenants=frozenset({"acme"}), wait_s=0),
        Route(("bolt",), Severity.CRITICAL, tenants=frozenset({"bolt"}), wait_s=0),
    ),
    pages=("oncall", "acmes_oncall"),
)


@pytest.fixture
def desk(new_url: Callable[[], str]) -> Desk:
    return Desk(new_url(), NOTICES_TO)


def test_a_tenants_destination_is_told_of_its_part_from_its_beginning_to_its_end(desk: Desk) -> None:
    desk.hear(one("b1", "bolt", 0), deny("db", value=BOLT, alert_uid="b1", tenant="bolt"))
    assert [len(desk.send(name)) for name in ("all", "acme", "bolt")] == [1, 0, 0]
    desk.hear(one("a1", "acme", 1, severity=Severity.LOW), one("n1", None, 1))
    (claim,) = desk.sender().take("acme")
    (notice,) = claim.message.notices
    assert (notice.event, notice.incident.alerts, notice.incident.severity) == (Event.OPENED, 1, Severity.LOW)
    assert (notice.incident.tenant, notice.details.clients, notice.details.done) == ("acme", (f"ip:{ACME}",), ())
    assert BOLT not in json.dumps([str(notice.incident), str(notice.details)])
    desk.sender().delivered(claim)
    desk.hear(one("b1", "bolt", 2, severity=Severity.CRITICAL))
    assert [[event for event, _ in desk.send(name)] for name in ("all", "acme", "bolt")] == [
        [Event.RAISED], [], [Event.OPENED],
    ]  # fmt: skip
    desk.hear(one("a1", "acme", 3, status=Status.CLOSED))
    desk.now_ms = T0 + 3 * MINUTE + GAP_MS + 1
    assert [[event for event, _ in desk.send(name)] for name in ("all", "acme", "bolt")] == [[], [Event.RESOLVED], []]


@pytest.mark.parametrize("order", [1, -1])
def test_what_calls_somebody_for_one_tenants_client_calls_nobody_of_anothers(desk: Desk, order: int) -> None:
    calling = deny("db", value=BOLT, alert_uid="b1", tenant="bolt", page=True)
    desk.hear(*[one("b1", "bolt"), calling][::order])
    desk.hear(*[one("n1", None, 60), deny("dn", value="192.0.2.1", alert_uid="n1", page=True)][::order])
    assert [len(desk.send(name)) for name in ("oncall", "acmes_oncall")] == [2, 0]
    desk.hear(*[one("a1", "acme", 2), deny("da", value=ACME, alert_uid="a1", tenant="acme", page=True)][::order])
    assert len(desk.send("acmes_oncall")) == 1


def test_the_command_line_shows_a_tenants_part(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("FLOODWARDEN_STORE", url)
    Archive(engine).write(told("alerts", [one("a1", "acme"), one("b1", "bolt"), one("b2", "bolt")]))
    (whole,) = of("incidents")
    assert whole == reading.one(engine, reading.INCIDENT, whole["uid"])
    for tenant, count in (("acme", 1), ("bolt", 2)):
        (mine,) = of("incidents", "--tenant", tenant)
        (shown,) = of("incidents", "show", whole["uid"], "--tenant", tenant)
        assert mine["alerts"] == len(shown["timeline"]) == count
    assert of("incidents", "--tenant", "zeta") == []


def test_who_may_judge_sees_a_part_only_of_what_is_its_own(parts: Parts) -> None:
    uid = shared(parts)
    who = client(parts, Role.ANALYST, Scope.ACTIONS_JUDGE, tenant="acme")
    problem(who.post(f"{BASE}/incidents/{uid}/acknowledge"), 403, "shared_incident", "uid")
    problem(who.post(f"{BASE}/incidents/nothing/acknowledge"), 404, "not_found", "uid")
    problem(who.get(f"{BASE}/incidents/{uid}"), 403, "forbidden")
