"""Notes and claims in the store, on SQLite and PostgreSQL: each word once, through crashes, joins and two senders."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from test_enforcer_store import DAY, MINUTE, T0, deny, seen, told

from enforcer.incidents import GAP_MS
from enforcer.notify.claims import LEASE_MS, Claim, Claims
from enforcer.notify.destinations import Destination, Kind, Notices, Route
from enforcer.notify.notice import Event, is_digest
from enforcer.notify.outbox import Outbox
from enforcer.store import database, hand
from enforcer.store.archive import Archive
from enforcer.store.tables import INCIDENTS, NOTICES
from schemas import sql
from schemas.action import ActionStatus
from schemas.alert import Alert, Severity, Status

NOTICES_TO = Notices(
    {
        "pager": Destination("pager", Kind.PAGERDUTY, per_minute=3),
        "chat": Destination("chat", Kind.SLACK, per_minute=3),
        "kept": Destination("kept", Kind.FILE),
        "spare": Destination("spare", Kind.SLACK, per_minute=3),
    },
    (Route(("pager",), Severity.HIGH, wait_s=0), Route(("chat",)), Route(("kept",), wait_s=0)),
    "https://fw.example/{incident}",
    ("spare",),
)


class Desk:
    """A store that is told of alerts, and senders on it; its clock is moved by hand."""

    def __init__(self, url: str, notices: Notices = NOTICES_TO) -> None:
        self._notices = notices
        self.engine = sql.engine(url)
        database.upgrade(self.engine)
        self.now_ms = T0 + MINUTE
        self.archive = Archive(self.engine, Outbox(notices, self.clock_ms))
        self._offset = 0

    def clock_ms(self) -> int:
        return self.now_ms

    def hear(self, *messages: Any) -> None:
        """Records of one partition."""
        records = told("alerts", [None] * self._offset + list(messages))[self._offset :]
        self._offset += len(messages)
        self.archive.write(records)

    def sender(self, holder: str = "a") -> Claims:
        return Claims(self.engine, self._notices, holder, self.clock_ms)

    def send(self, name: str = "pager", holder: str = "a") -> list[tuple[Event | None, str]]:
        """Deliver all that is due there: event and thread of each message."""
        sender = self.sender(holder)
        sent: list[Claim] = []
        while claims := sender.take(name):
            for claim in claims:
                sender.delivered(claim)
            sent += claims
        return [(claim.message.event, claim.message.key) for claim in sent]

    def uids(self) -> list[str]:
        with self.engine.connect() as at:
            return list(at.execute(sa.select(INCIDENTS.c.uid).order_by(INCIDENTS.c.first_ms)).scalars())


@pytest.fixture
def desk(new_url: Callable[[], str]) -> Iterator[Desk]:
    made = Desk(new_url())
    yield made
    made.engine.dispose()


def test_an_incident_is_one_page_from_its_first_alert_to_its_end(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    (uid,) = desk.uids()
    assert desk.send() == [(Event.OPENED, uid)]
    desk.hear(*(seen(f"b{n}", 1) for n in range(20)), seen("a", 1, status=Status.CLOSED))
    assert desk.send() == []
    desk.hear(seen("c", 1, severity=Severity.CRITICAL))
    assert desk.send() == [(Event.RAISED, uid)]
    desk.hear(*(seen(one, 2, status=Status.CLOSED) for one in ["c", *(f"b{n}" for n in range(20))]))
    assert desk.send() == []
    desk.now_ms = T0 + 2 * MINUTE + GAP_MS + 1
    assert desk.send() == [(Event.RESOLVED, uid)]
    assert desk.send() == []


def test_a_message_that_was_not_settled_is_sent_again_as_the_same(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    (first,) = desk.sender().take("pager")
    (again,) = desk.sender().take("pager")
    assert (again.message.id, again.message.key, again.attempts) == (first.message.id, first.message.key, 2)
    desk.sender().delivered(again)
    assert desk.sender().take("pager") == []


def test_what_failed_waits_for_its_time_whatever_else_is_heard(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    (claim,) = desk.sender().take("pager")
    desk.sender().failed(claim, desk.now_ms + 5_000)
    desk.hear(seen("b", 0))
    assert desk.sender().take("pager") == []
    desk.now_ms += 5_000
    assert [claim.attempts for claim in desk.sender().take("pager")] == [2]


def test_of_two_senders_one_sends_and_the_other_takes_over_when_it_is_gone(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    (claim,) = desk.sender("a").take("pager")
    assert desk.sender("b").take("pager") == []
    desk.now_ms += LEASE_MS
    (taken,) = desk.sender("b").take("pager")
    assert taken.message.id == claim.message.id
    desk.sender("a").delivered(claim)
    desk.sender("b").delivered(taken)
    assert [desk.send(holder=holder) for holder in "ab"] == [[], []]
    with desk.engine.connect() as at:
        assert at.execute(sa.select(NOTICES.c.number).where(NOTICES.c.destination == "pager")).scalar_one() == 1


def test_the_first_alerts_of_an_incident_are_told_together(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    desk.now_ms += 4_000
    desk.hear(*(seen(f"b{n}", 0) for n in range(30)))
    assert desk.send("chat") == []
    desk.now_ms += 1_000
    (claim,) = desk.sender().take("chat")
    (notice,) = claim.message.notices
    assert (notice.incident.alerts, notice.link) == (31, f"https://fw.example/{notice.incident.uid}")


def test_a_false_start_within_that_time_is_told_to_nobody(desk: Desk) -> None:
    desk.hear(seen("a", 0), seen("a", 0, status=Status.WITHDRAWN))
    desk.now_ms += DAY
    assert [desk.send(name) for name in ("chat", "pager")] == [[], []]


def many(count: int, at_min: int = 0, **more: Any) -> list[Alert]:
    return [seen(f"{n}-{at_min}", at_min, kind=f"k{n}", **more) for n in range(count)]


def test_a_flood_of_incidents_is_few_messages_a_minute_and_each_is_told_once(desk: Desk) -> None:
    desk.hear(*many(200))
    sent = desk.send()
    assert [is_digest(key) for _, key in sent] == [True, False, False]
    desk.hear(*(seen(f"x{n}", 0, kind=f"x{n}") for n in range(50)))
    assert desk.send() == []
    desk.now_ms += MINUTE
    assert [(event, is_digest(key)) for event, key in desk.send()] == [
        (Event.OPENED, True), (Event.OPENED, False), (Event.OPENED, False),
    ]  # fmt: skip
    with desk.engine.connect() as at:
        numbers = at.execute(sa.select(NOTICES.c.number).where(NOTICES.c.destination == "pager")).scalars()
        assert set(numbers) == {1}
    assert len(desk.send("kept")) == 3, "a record has all of them, a hundred at once"


def test_a_digest_is_resolved_once_when_the_last_of_it_is_over(desk: Desk) -> None:
    desk.hear(*many(10))
    begun = {key for _, key in desk.send()}
    desk.hear(*(alert.model_copy(update={"status": Status.CLOSED}) for alert in many(10)[:9]))
    desk.now_ms += GAP_MS + MINUTE
    ended = [key for event, key in desk.send() if event is Event.RESOLVED]
    desk.hear(many(10)[9].model_copy(update={"status": Status.CLOSED}))
    ended += [key for event, key in desk.send() if event is Event.RESOLVED]
    assert sorted(ended) == sorted(begun)


def test_what_is_old_is_news_to_no_person_and_belongs_into_a_record(desk: Desk) -> None:
    desk.now_ms = T0 + DAY
    desk.hear(seen("a", 0))
    assert [len(desk.send(name)) for name in ("pager", "chat", "kept")] == [0, 0, 1]


def test_incidents_that_become_one_are_one_page_where_one_was_told(desk: Desk) -> None:
    desk.hear(seen("late", 15))
    (late,) = desk.uids()
    assert desk.send() == [(Event.OPENED, late)]
    desk.hear(seen("early", 0), seen("between", 8))
    (whole,) = desk.uids()
    assert whole != late
    assert desk.send() == []
    desk.hear(*(seen(uid, 16, status=Status.CLOSED) for uid in ("late", "early", "between")))
    desk.now_ms += DAY
    assert desk.send() == [(Event.RESOLVED, late)]


def test_of_two_pages_that_turn_out_to_be_one_incident_one_ends(desk: Desk) -> None:
    desk.hear(seen("early", 0), seen("late", 18))
    assert len(desk.send()) == 2
    desk.hear(seen("between", 9))
    (whole,) = desk.uids()
    ((event, key),) = desk.send()
    assert (event, key != whole) == (Event.RESOLVED, True)
    assert desk.send() == []


def test_a_page_that_is_on_its_way_while_its_incident_joins_another_is_settled_or_ended(desk: Desk) -> None:
    desk.hear(seen("late", 15))
    (on_its_way,) = desk.sender().take("pager")
    desk.hear(seen("early", 0), seen("between", 8))
    desk.sender().delivered(on_its_way)
    assert desk.send() == [], "its row went over to the whole incident, under the same thread"
    desk.hear(seen("x", 30), seen("y", 44))
    first, *_ = desk.sender().take("pager")
    desk.hear(seen("z", 37))
    desk.sender().delivered(first)
    left = desk.send()
    with desk.engine.connect() as at:
        open_rows = at.execute(sa.select(NOTICES.c.key).where(NOTICES.c.destination == "pager", NOTICES.c.open == 1))
        assert len(list(open_rows)) <= 2, left


def test_somebody_has_it_in_hand_and_the_page_says_so_once(desk: Desk) -> None:
    desk.hear(seen("a", 0))
    (uid,) = desk.uids()
    desk.send()
    hand.acknowledge(desk.engine, uid, "api:ann", desk.now_ms)
    assert desk.send() == [(Event.ACKNOWLEDGED, uid)]
    desk.hear(seen("b", 0), seen("earlier", -5))
    assert hand.acknowledge(desk.engine, desk.uids()[0], "api:bob", desk.now_ms)["acked_by"] == "api:ann"
    assert desk.send() == []


@pytest.mark.parametrize("calling", [{"page": True}, {"status": ActionStatus.PENDING}])
def test_an_action_that_calls_somebody_does_so_whichever_is_heard_first(desk: Desk, calling: dict[str, Any]) -> None:
    desk.hear(deny("act", alert_uid="a", **calling), seen("a", 0), seen("c", 0, kind="novel"))
    desk.hear(seen("b", 60, kind="probe"), deny("act2", alert_uid="b", **calling), deny("act3", alert_uid="c"))
    assert len(desk.send("spare")) == 2
    assert desk.send("spare") == []


class Pager:
    """A provider that knows keys, and senders that may die before or after it heard them."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        self._desk = desk
        self._chance = chance
        self.pages: list[str] = []
        self.open: set[str] = set()

    def turn(self, holder: str, *, dies: float) -> int:
        """One turn of a sender; how much it had to send."""
        sender = self._desk.sender(holder)
        claims = sender.take("pager")
        for claim in claims:
            fate = self._chance.random()
            if fate < dies:
                break
            self._hear(claim)
            if fate < 2 * dies:
                break
            sender.delivered(claim)
        return len(claims)

    def _hear(self, claim: Claim) -> None:
        key = claim.message.key
        if claim.message.event is Event.RESOLVED:
            self.open.discard(key)
        elif claim.message.event is not Event.ACKNOWLEDGED and key not in self.open:
            self.open.add(key)
            self.pages.append(key)


def tales(chance: random.Random) -> list[Alert]:
    """Alerts of two kinds up to eight minutes apart, in any order, each opened before it is closed."""
    order = [(kind, n) for kind in ("guess", "probe") for n in range(8)]
    chance.shuffle(order)
    begun = [seen(f"{kind}{n}", 8 * n, kind=kind) for kind, n in order]
    return begun + [alert.model_copy(update={"status": Status.CLOSED}) for alert in begun]


@pytest.mark.parametrize("seed", range(6))
def test_whoever_dies_each_thread_is_one_page_and_none_stays_open(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    pager, left = Pager(desk, chance), tales(chance)
    while left:
        count = chance.randint(1, 4)
        desk.hear(*left[:count])
        del left[:count]
        pager.turn(chance.choice("ab"), dies=0.2)
        desk.now_ms += chance.choice([1_000, LEASE_MS, MINUTE])
    desk.now_ms += DAY
    while pager.turn("c", dies=0.0):
        desk.now_ms += MINUTE
    assert len(pager.pages) == len(set(pager.pages))
    assert pager.open == set()
