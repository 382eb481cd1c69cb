"""What is to be sent now, handed to one sender at a time, and what came of it.

Who delivers to a destination holds it for `LEASE_MS`, and again with each word; another takes over when that is out.
Threads and the room for a minute are written before anything is sent, what was told after: a sender that dies in
between sends the same message again, under the same id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from enforcer.notify import details
from enforcer.notify.destinations import REPEAT_MS, Destination, Notices
from enforcer.notify.due import Told, due
from enforcer.notify.flood import Parcel, Word, begins, sort_out
from enforcer.notify.notice import Event, Incident, Message, Notice, is_digest, word_id
from enforcer.notify.outbox import of_row
from enforcer.store import parts
from enforcer.store.tables import NOTICES, SENDERS
from schemas import sql
from schemas.alert import Severity

LEASE_MS: Final = 15_000
TAKEN_MAX: Final = 500
MINUTE_MS: Final = 60_000
_GONE: Final = "it is part of another incident now, or was forgotten"
_Row = sa.RowMapping


@dataclass(frozen=True, slots=True)
class Claim:
    """A message to deliver, and the words it is made of; this is the attempt of that number."""

    destination: str
    message: Message
    words: tuple[Word, ...]
    attempts: int


class Claims:
    """One sender's view of `notices`. Methods raise `sqlalchemy.exc.DBAPIError` where the database does not answer."""

    def __init__(self, engine: sa.Engine, notices: Notices, holder: str, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._notices = notices
        self._holder = holder
        self._clock_ms = clock_ms

    def waiting(self, name: str) -> tuple[int, int | None]:
        """How many incidents have something due for a destination, now or later, and when the first has."""
        question = sa.select(sa.func.count(), sa.func.min(NOTICES.c.due_ms)).where(
            NOTICES.c.destination == name, NOTICES.c.due_ms.is_not(None)
        )
        with self._engine.connect() as at:
            count, first_ms = at.execute(question).one()
        return count, first_ms

    def take(self, name: str) -> list[Claim]:
        """What to send there now; nothing while another sender holds it."""
        destination, now_ms = self._notices.destinations[name], self._clock_ms()
        with self._writing() as at:
            sent = self._hold(at, name, now_ms)
            if sent is None:
                return []
            rows = _due(at, name, now_ms)
            told = {row["incident"]: row for row in rows}
            words = self._words(at, destination, rows, now_ms)
            recent = [at_ms for at_ms in sent if now_ms - MINUTE_MS < at_ms <= now_ms]
            left = max(0, destination.per_minute - len(recent))
            found = sort_out(words, destination.manner, left, _known(at, name, words))
            for word in found.silent:
                self._settle(at, name, word, now_ms, {})
            again_ms = min(recent, default=now_ms) + MINUTE_MS
            for word in found.waiting:
                _set(at, NOTICES.c.incident == word.incident, name, {"due_ms": again_ms})
            recent += [now_ms] * sum(parcel.counts for parcel in found.parcels)
            self._keep(at, name, recent)
            return [self._claim(at, destination, parcel, told, now_ms) for parcel in found.parcels]

    def hold(self, name: str) -> bool:
        """Hold a destination for another while; False: another sender has it, and sends the rest."""
        with self._writing() as at:
            return self._hold(at, name, self._clock_ms()) is not None

    def delivered(self, claim: Claim) -> None:
        """It is there. What it told is known now; what changed meanwhile is due at once."""
        with self._writing() as at:
            now_ms = self._clock_ms()
            if self._hold(at, claim.destination, now_ms) is not None:
                by = {notice.incident.uid: notice for notice in claim.message.notices}
                for word in claim.words:
                    severity = str(by[word.incident].incident.severity)
                    more = {"severity": severity} if word.event in (Event.OPENED, Event.RAISED) else {}
                    self._settle(at, claim.destination, word, now_ms, more)

    def failed(self, claim: Claim, again_ms: int) -> None:
        """It is not there: to be tried again at `again_ms`."""
        with self._writing() as at:
            if self._hold(at, claim.destination, self._clock_ms()) is not None:
                for word in claim.words:
                    _set(at, _row_of(word), claim.destination, {"due_ms": again_ms})

    def _writing(self) -> Any:
        return self._engine.execution_options(writes=True).begin()

    def _hold(self, at: sa.Connection, name: str, now_ms: int) -> list[int] | None:
        """Hold the destination for a while: the times of its last messages; None: another has it."""
        row = {"destination": name, "holder": self._holder, "until_ms": now_ms + LEASE_MS}
        statement = sql.insert(at, SENDERS)
        free = (SENDERS.c.holder == self._holder) | (SENDERS.c.until_ms <= now_ms)
        at.execute(
            statement.on_conflict_do_update(index_elements=["destination"], set_=row, where=free),
            [row | {"sent": "[]"}],
        )
        held = at.execute(sa.select(SENDERS.c.holder, SENDERS.c.sent).where(SENDERS.c.destination == name)).one()
        return [int(at_ms) for at_ms in json.loads(held.sent)] if held.holder == self._holder else None

    def _keep(self, at: sa.Connection, name: str, sent: list[int]) -> None:
        at.execute(sa.update(SENDERS).where(SENDERS.c.destination == name).values(sent=json.dumps(sent)))

    def _words(self, at: sa.Connection, destination: Destination, rows: Sequence[_Row], now_ms: int) -> list[Word]:
        """The words that are due; rows that have none are put off, those that never will have one are forgotten."""
        incidents = self._incidents(at, destination.name, [row["incident"] for row in rows])
        words = []
        for row in rows:
            incident = incidents.get(row["incident"])
            severity = Severity(row["severity"]) if row["severity"] else None
            told = Told(
                bool(row["open"]), bool(row["attempts"]), bool(row["acked"]), row["number"], severity, row["told_ms"]
            )
            found = due(told, incident, now_ms, REPEAT_MS.get(destination.kind, 0))
            if found.event is not None:
                worst = incident.severity if incident else severity or Severity.INFO
                begun = bool(row["attempts"])
                words.append(Word(row["incident"], row["key"], found.event, worst, row["due_ms"], row["number"], begun))
            elif incident is None:
                here = (NOTICES.c.destination == destination.name) & (NOTICES.c.incident == row["incident"])
                at.execute(sa.delete(NOTICES).where(here))
            else:
                _set(at, NOTICES.c.incident == row["incident"], destination.name, {"due_ms": found.again_ms})
        return words

    def _claim(
        self, at: sa.Connection, destination: Destination, parcel: Parcel, told: dict[str, _Row], now_ms: int
    ) -> Claim:
        words = tuple(replace(word, key=parcel.key) if begins(word) else word for word in parcel.words)
        for word in words:
            begun = {"key": word.key, "attempts": told[word.incident]["attempts"] + 1}
            _set(at, NOTICES.c.incident == word.incident, destination.name, begun)
        uids = [word.incident for word in words]
        name = destination.name
        incidents, known = self._incidents(at, name, uids), details.of(at, uids, self._notices.tenants(name))
        notices = tuple(
            Notice(
                word.event, word.key, incidents.get(word.incident) or _gone(told[word.incident]),
                known.get(word.incident, details.NOTHING), _was(told[word.incident], word.event),
                self._notices.link.replace("{incident}", word.incident) or None,
            )
            for word in words
        )  # fmt: skip
        uid = word_id(name, parcel.key, [f"{_thread(word)} {word.number} {word.event}" for word in words])
        attempts = 1 + max(told[word.incident]["attempts"] for word in words)
        return Claim(name, Message(uid, parcel.key, now_ms, notices), words, attempts)

    def _incidents(self, at: sa.Connection, name: str, uids: Sequence[str]) -> dict[str, Incident]:
        """Incidents, as a destination sees them."""
        found = parts.rows(at, uids, self._notices.tenants(name))
        return {row["uid"]: details.cut(of_row(row)) for row in found}

    def _settle(self, at: sa.Connection, name: str, word: Word, now_ms: int, more: dict[str, Any]) -> None:
        """`word` was told, or needs no telling. Looked at again at once, for what is due next."""
        values = {
            "open": int(word.event is not Event.RESOLVED), "number": word.number + 1, "told_ms": now_ms,
            "due_ms": now_ms, "attempts": 0, "key": word.key,
        }  # fmt: skip
        if word.event is Event.ACKNOWLEDGED:
            values["acked"] = 1
        if word.event is Event.RESOLVED:
            values |= {"acked": 0}
        _set(at, _row_of(word), name, values | more)


def _due(at: sa.Connection, name: str, now_ms: int) -> Sequence[_Row]:
    question = sa.select(NOTICES).where(NOTICES.c.destination == name, NOTICES.c.due_ms <= now_ms)
    return at.execute(question.order_by(NOTICES.c.due_ms, NOTICES.c.incident).limit(TAKEN_MAX)).mappings().all()


def _known(at: sa.Connection, name: str, words: Sequence[Word]) -> dict[str, int]:
    keys = {word.key for word in words if is_digest(word.key)}
    known = (NOTICES.c.open == 1) | (NOTICES.c.attempts > 0)
    here = (NOTICES.c.destination == name) & NOTICES.c.key.in_(list(keys)) & known
    question = sa.select(NOTICES.c.key, sa.func.count().label("known")).where(here).group_by(NOTICES.c.key)
    return {row.key: row.known for row in at.execute(question)} if keys else {}


def _gone(row: _Row) -> Incident:
    severity = Severity(row["severity"]) if row["severity"] else Severity.INFO
    told_ms = row["told_ms"]
    return Incident(
        row["incident"], row["kind"], row["route"], None, "closed", severity, told_ms, told_ms, 1, _GONE
    )  # fmt: skip


def _was(row: _Row, event: Event) -> Severity | None:
    return Severity(row["severity"]) if row["severity"] and event is not Event.OPENED else None


def _thread(word: Word) -> str:
    return word.incident if is_digest(word.key) else word.key


def _row_of(word: Word) -> sa.ColumnElement[bool]:
    """Its row, also after the incident became part of another: a thread of one incident is always that row's."""
    return NOTICES.c.incident == word.incident if is_digest(word.key) else NOTICES.c.key == word.key


def _set(at: sa.Connection, here: sa.ColumnElement[bool], name: str, values: dict[str, Any]) -> None:
    at.execute(sa.update(NOTICES).where(NOTICES.c.destination == name, here).values(values))
