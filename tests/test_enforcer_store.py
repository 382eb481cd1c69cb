"""The enforcer's store, on SQLite and, where there is one, on PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from enforcer_world import alert
from pydantic import SecretStr

from enforcer.callers import Role, Scope
from enforcer.drafts import expired, lifted
from enforcer.errors import CommandError
from enforcer.store import audit, database, labels, parts, reading
from enforcer.store.access import Access
from enforcer.store.archive import Archive, Heard
from enforcer.store.tables import ACTIONS, ALERTS, AUDIT, EVENTS, INCIDENTS, META
from schemas import sql
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, Severity, Status
from schemas.errors import SettingsError
from schemas.settings import Settings

T0 = 1_790_000_000_000
MINUTE = 60_000
DAY = 86_400_000


def deny(uid: str, at_ms: int = T0, value: str = "203.0.113.7", **more: Any) -> Action:
    given: dict[str, Any] = {
        "uid": uid, "kind": ActionKind.DENY, "status": ActionStatus.ACTIVE, "reason": "why", "owner": "auto",
        "target": Target(kind=TargetKind.IP, value=value), "created_ms": at_ms, "expires_ms": at_ms + 10 * MINUTE,
    }  # fmt: skip
    return Action(**given | more)


def told(topic: str, messages: list[Any], partition: int = 0) -> list[Heard]:
    return [Heard(topic, partition, offset, message) for offset, message in enumerate(messages)]


def seen(uid: str, at_min: int, **more: Any) -> Alert:
    return alert("203.0.113.7", uid=uid, at_ms=T0 + at_min * MINUTE, **more)


def rows(engine: sa.Engine, *tables: sa.Table) -> list[set[Any]]:
    with engine.connect() as at:
        return [set(at.execute(sa.select(table)).all()) for table in tables]


def only(engine: sa.Engine, table: sa.Table) -> Any:
    with engine.connect() as at:
        return at.execute(sa.select(table)).one()


def test_the_migrations_make_the_tables_as_they_are_written_down(engine: sa.Engine) -> None:
    assert database.upgrade(engine)[0] is not None
    with engine.connect() as at:
        context = MigrationContext.configure(at, opts={"version_table": database.VERSION_TABLE})
        assert compare_metadata(context, META) == []


def test_enforcers_that_start_together_on_an_empty_store_all_find_it(new_url: Callable[[], str]) -> None:
    url = new_url()
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: database.upgrade(sql.engine(url)), range(6)))
    assert sorted(before is None for before, _ in made) == [False] * 5 + [True]


def test_tables_of_a_newer_program_are_refused_with_the_fix(engine: sa.Engine) -> None:
    with engine.begin() as at:
        at.execute(sa.text("UPDATE store_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer program"):
        database.upgrade(engine)


def test_a_store_that_cannot_be_used_is_named_without_its_password() -> None:
    with pytest.raises(SettingsError) as error:
        database.open_engine(Settings(store=SecretStr("mysql://root:hunter2@db/x")))
    assert "FLOODWARDEN_STORE" in str(error.value)
    assert "hunter2" not in str(error.value)


def story(chance: random.Random) -> list[list[Heard]]:
    """What three partitions might tell: alerts of two kinds in two of them, actions in the third."""
    partitions: list[list[Heard]] = []
    for partition in range(2):
        told_here: list[Alert] = []
        for n in range(chance.randint(1, 6)):
            begin, kind = chance.randint(0, 90), chance.choice(["guess", "probe"])
            uid, severity = f"{partition}-{n}", chance.choice(list(Severity))
            for step, status in enumerate(
                [Status.OPEN, Status.UPDATE, chance.choice([Status.CLOSED, Status.WITHDRAWN])]
            ):
                first, last = T0 + begin * MINUTE, T0 + (begin + 4 * step) * MINUTE
                told_here.append(
                    alert(
                        "203.0.113.7", uid=uid, kind=kind, severity=severity, status=status, at_ms=last, first_ms=first
                    )
                )
        partitions.append(told("alerts", told_here, partition))
    actions: list[Action | None] = []
    for n in range(6):
        begun = deny(f"a{n}", T0 + n, alert_uid=f"0-{n}")
        again = begun.model_copy(update={"created_ms": T0 + 20 * MINUTE})
        ended = chance.choice([expired(begun), lifted(begun, T0 + MINUTE, "cli:ann", "no")])
        actions += chance.choice(
            [[begun], [begun, ended], [begun, ended, begun], [begun, begun, ended, again], [ended, None]]
        )
    partitions.append(told("actions", actions))
    return partitions


def deliver(engine: sa.Engine, partitions: list[list[Heard]], chance: random.Random) -> None:
    """Every record at least once, each partition in order, by turns and batches of chance, some of it again."""
    archive, left = Archive(engine), [list(records) for records in partitions]
    while any(left):
        batch: list[Heard] = []
        for records in left:
            count = chance.randint(0, len(records))
            batch += records[:count]
            del records[: max(0, count - chance.randint(0, 2))]
        archive.write(batch)


@pytest.mark.parametrize("seed", range(4))
def test_a_store_made_anew_equals_the_old_one_however_the_topics_were_delivered(
    new_url: Callable[[], str], seed: int
) -> None:
    chance = random.Random(seed)
    partitions = story(chance)
    stores = []
    for _ in range(2):
        engine = sql.engine(new_url())
        database.upgrade(engine)
        deliver(engine, partitions, chance)
        stores.append((rows(engine, ALERTS, ACTIONS, INCIDENTS), len(rows(engine, EVENTS)[0])))
        assert audit.verify(engine).broken == ""
        engine.dispose()
    assert stores[0] == stores[1]
    assert stores[0][0][2]


def test_two_enforcers_on_one_store_write_each_record_once(engine: sa.Engine) -> None:
    records = told("actions", [deny(f"a{n}") for n in range(60)])
    batches = [records[n : n + 7] for n in range(0, 60, 7)]
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(lambda: [Archive(engine).write(batch) for batch in batches]) for _ in range(4)]:
            each.result()
    assert len(rows(engine, EVENTS)[0]) == 60
    assert audit.verify(engine).entries == 60


def test_what_is_over_does_not_begin_again_by_an_old_record(engine: sa.Engine) -> None:
    begun = deny("a")
    Archive(engine).write(told("actions", [begun, lifted(begun, T0 + 1, "cli:ann", "no"), begun, None]))
    assert (only(engine, ACTIONS).status, len(rows(engine, EVENTS)[0])) == ("lifted", 2)


def test_alerts_that_follow_each_other_are_one_incident_and_those_far_apart_are_two(engine: sa.Engine) -> None:
    archive = Archive(engine)
    early, late = seen("a", 0), seen("b", 18, severity=Severity.CRITICAL)
    archive.write(told("alerts", [early, late, seen("c", 60), seen("d", 0, kind="probe")]))
    assert len(rows(engine, INCIDENTS)[0]) == 4
    archive.write(told("alerts", [None] * 4 + [seen("e", 9, status=Status.CLOSED)]))
    found = reading.listed(engine, reading.INCIDENT, reading.Wanted({"kind": "guess"}), 10).items
    assert [(i["alerts"], i["severity"], i["status"], i["last_ms"]) for i in found] == [
        (1, "high", "open", T0 + 60 * MINUTE),
        (3, "critical", "open", T0 + 18 * MINUTE),
    ]
    words = parts.timeline(engine, found[1]["uid"], 10)
    assert [word["alert"]["uid"] for word in words] == ["a", "b", "e"]


def test_an_alert_that_turns_out_part_of_a_campaign_takes_its_incident_along_unless_others_stay(
    engine: sa.Engine,
) -> None:
    archive = Archive(engine)
    archive.write(told("alerts", [seen("a", 0), seen("b", 60), seen("c", 61)]))
    joining = [seen(uid, at_min, campaign="/login", status=Status.UPDATE) for uid, at_min in (("a", 1), ("c", 62))]
    archive.write(told("alerts", [None] * 3 + joining))
    found = reading.listed(engine, reading.INCIDENT, reading.Wanted(), 10).items
    assert sorted((i["topic"], i["alerts"]) for i in found) == [
        ("guess *", 1),
        ("guess /login", 1),
        ("guess /login", 1),
    ]


def test_a_page_ends_where_the_next_begins(engine: sa.Engine) -> None:
    Archive(engine).write(told("actions", [deny(f"{n:02}", T0 + n // 3) for n in range(20)]))
    for kind, name in ((reading.ACTION, "uid"), (reading.AUDITED, "seq")):
        cursor, found = None, []
        while True:
            page = reading.listed(engine, kind, reading.Wanted(), 6, cursor)
            found += [item[name] for item in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert len(found) == len(set(found)) == 20
        assert found == sorted(found, reverse=True)
    for wrong in ("x", "é", "WzEsMl0", "WyJ4IiwieSJd"):
        with pytest.raises(CommandError, match="cursor"):
            reading.listed(engine, reading.ACTION, reading.Wanted(), 6, wrong)


def test_names_that_clients_choose_are_text_and_nothing_else(engine: sa.Engine) -> None:
    names = ["'; DROP TABLE alerts; --", "a\x00b", "%", "\N{PILE OF POO}", "x" * 512]
    Archive(engine).write(told("actions", [deny(f"a{n}", value=name) for n, name in enumerate(names)]))
    for n, name in enumerate(names):
        (found,) = reading.listed(engine, reading.ACTION, reading.Wanted({"target": f"ip:{name}"}), 9).items
        assert (found["uid"], found["target"]["value"]) == (f"a{n}", name)
    assert audit.verify(engine).broken == ""


def test_every_action_is_audited_and_the_database_refuses_to_change_a_word_of_it(engine: sa.Engine) -> None:
    begun = deny("a")
    Archive(engine).write(
        told("actions", [begun, lifted(begun, T0 + 1, "cli:ann", "our own"), deny("b", status="refused")])
    )
    did = [(entry["actor"], entry["verb"], entry["detail"]["reason"]) for entry in reading.audit_tail(engine, 9)]
    assert did == [
        ("auto", "action.active", "why"),
        ("cli:ann", "action.lifted", "our own"),
        ("auto", "action.refused", "why"),
    ]
    for statement in (sa.update(AUDIT).values(actor="nobody"), sa.delete(AUDIT)):
        with pytest.raises(sa.exc.DBAPIError, match="only ever added to"), engine.begin() as at:
            at.execute(statement)
    assert audit.verify(engine).entries == 3


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        (sa.update(AUDIT).where(AUDIT.c.seq == 3).values(actor="nobody"), "entry 3 was changed"),
        (sa.update(AUDIT).where(AUDIT.c.seq == 3).values(detail="{}"), "entry 3 was changed"),
        (sa.delete(AUDIT).where(AUDIT.c.seq == 3), "entry 3 is missing"),
        (sa.delete(AUDIT).where(AUDIT.c.seq == 1), "entry 1 is missing"),
        (sa.delete(AUDIT).where(AUDIT.c.seq > 3), "cut off"),
    ],
)
def test_whoever_gets_past_the_database_is_found_out(engine: sa.Engine, tampering: Any, says: str) -> None:
    Archive(engine).write(told("actions", [deny(f"a{n}") for n in range(5)]))
    noted = audit.verify(engine).head
    assert noted.seq == 5
    with engine.begin() as at:
        for trigger in (
            ("audit_stays",) if at.dialect.name == "postgresql" else ("audit_stays_update", "audit_stays_delete")
        ):
            at.execute(sa.text(f"DROP TRIGGER {trigger}" + (" ON audit" if at.dialect.name == "postgresql" else "")))
        at.execute(tampering)
    assert says in audit.verify(engine, noted).broken


def test_a_chain_made_anew_has_not_the_head_that_was_noted(new_url: Callable[[], str]) -> None:
    heads = []
    for owner in ("auto", "cli:mallory"):
        engine = sql.engine(new_url())
        database.upgrade(engine)
        Archive(engine).write(told("actions", [deny("a", owner=owner), deny("b")]))
        heads.append(audit.verify(engine).head)
    assert audit.verify(engine).broken == ""
    assert "made anew" in audit.verify(engine, heads[0]).broken
    engine.dispose()


def test_a_key_holds_until_it_is_over_or_revoked_and_is_kept_as_a_hash(engine: sa.Engine) -> None:
    access = Access(engine)
    key, text = access.create_key(
        "ci", Role.OPERATOR, "cli:ann", T0, only=[Scope.LISTS_WRITE], tenant="acme", seconds=60
    )
    found = access.by_key(text, T0)
    assert found is not None
    assert (found.name, found.tenant, found.scopes) == ("ci", "acme", {Scope.LISTS_WRITE})
    for wrong in ("", "fwk_", text[:-1], text[:-1] + ("a" if text[-1] != "a" else "b"), f"fwk_{key.id}_é", text * 9):
        assert access.by_key(wrong, T0) is None, wrong
    assert access.by_key(text, T0 + 60_000) is None
    assert all(text not in str(row) for table in META.sorted_tables for row in rows(engine, table)[0])
    access.revoke_key(key.id, "cli:ann", T0)
    assert access.by_key(text, T0) is None
    with pytest.raises(CommandError, match="no key"):
        access.revoke_key(key.id, "cli:ann", T0)
    assert [entry["verb"] for entry in reading.audit_tail(engine, 9)] == ["key.created", "key.revoked"]


def test_a_tenants_caller_may_nothing_that_concerns_all(engine: sa.Engine) -> None:
    _, text = Access(engine).create_key("boss", Role.ADMIN, "cli:ann", T0, tenant="acme")
    found = Access(engine).by_key(text, T0)
    assert found is not None
    assert not {Scope.ACCESS_WRITE, Scope.BROWNOUT_WRITE, Scope.AUDIT_READ} & found.scopes
    assert found.owns(Target(kind=TargetKind.TENANT, value="acme"))
    assert not found.owns(Target(kind=TargetKind.TENANT, value="other"))
    assert not found.owns(Target(kind=TargetKind.KEY, value="acme"))


def test_labels_say_who_was_rightly_and_wrongly_found_and_the_later_word_holds(engine: sa.Engine) -> None:
    alerts = [seen("a1", 0), seen("a2", 1, kind="probe"), seen("a3", 90)]
    Archive(engine).write([*told("alerts", alerts), *told("actions", [deny("d1", alert_uid="a3")])])
    with engine.connect() as at:
        incident = at.execute(sa.select(ALERTS.c.incident).where(ALERTS.c.uid == "a1")).scalar_one()

    def say(subject: str, word: str, at_ms: int) -> None:
        labels.label(engine, subject, word, "", labels.Said("api:ana", at_ms))

    def judged() -> set[tuple[str, str, bool]]:
        return {(one.entity, one.family, one.true) for one in labels.judged(engine)}

    ip = "ip:203.0.113.7"
    say(f"incident:{incident}", "true_positive", 1)
    assert judged() == {(ip, "guess", True)}
    say("alert:a2", "false_positive", 2)
    say("key:k1", "false_positive", 3)
    assert judged() == {(ip, "guess", True), (ip, "probe", False), ("key:k1", "", False)}
    say("action:d1", "false_positive", 4)
    say("key:k1", "unsure", 5)
    assert judged() == {(ip, "guess", False), (ip, "probe", False)}


def test_what_ended_long_ago_is_forgotten_and_what_stands_and_the_audit_stay(engine: sa.Engine) -> None:
    old, new = deny("old", T0), deny("new", T0 + 9 * DAY)
    standing = deny("standing", T0, expires_ms=T0 + 99 * DAY)
    Archive(engine).write(told("actions", [old, expired(old), standing, new, expired(new)]))
    Archive(engine).write(told("alerts", [seen("a", 0), seen("b", 9 * 1440)]))
    database.forget(engine, T0 + 10 * DAY, 5)
    assert {row.uid for row in rows(engine, ACTIONS)[0]} == {"standing", "new"}
    assert {row.uid for row in rows(engine, ALERTS)[0]} == {"b"}
    assert only(engine, INCIDENTS).alerts == 1
    assert audit.verify(engine).entries == 5
