"""What is due to whom, and how a flood is told: by state alone, so in any order and however often it is looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from test_notify_forms import T0, incident

from enforcer.incidents import GAP_MS
from enforcer.notify.destinations import Notices, Route
from enforcer.notify.due import Due, Told, due
from enforcer.notify.flood import Manner, Word, begins, sort_out
from enforcer.notify.notice import Event, Incident, is_digest
from enforcer.notify.outcome import PAUSE_MS_MAX, Came, of_status, pause_ms
from schemas.alert import Severity

OPEN = Told(open=True, number=1, severity=Severity.HIGH, at_ms=T0)
NOW = T0 + 100_000


def test_an_incident_is_opened_once_raised_when_worse_and_in_hand_once() -> None:
    assert due(Told(), incident(), NOW) == Due(Event.OPENED)
    assert due(OPEN, incident(alerts=500), NOW) == Due()
    assert due(OPEN, incident(severity=Severity.LOW), NOW) == Due()
    assert due(OPEN, incident(severity=Severity.CRITICAL), NOW) == Due(Event.RAISED)
    assert due(OPEN, incident(acked_by="api:ann"), NOW) == Due(Event.ACKNOWLEDGED)
    assert due(replace(OPEN, acked=True), incident(acked_by="api:ann"), NOW) == Due()


def test_its_end_is_told_only_when_no_alert_can_reopen_it() -> None:
    over = incident(status="closed")
    assert due(OPEN, over, over.last_ms + GAP_MS) == Due(again_ms=over.last_ms + GAP_MS + 1)
    assert due(OPEN, over, over.last_ms + GAP_MS + 1) == Due(Event.RESOLVED)
    assert due(replace(OPEN, open=False), over, NOW + GAP_MS * 9) == Due()
    assert due(replace(OPEN, open=False), incident(), NOW) == Due(Event.OPENED), "a late alert reopened it all the same"


def test_what_was_withdrawn_before_anybody_was_told_is_told_to_nobody() -> None:
    assert due(Told(), incident(status="withdrawn"), NOW) == Due()
    assert due(Told(), incident(status="closed"), NOW) == Due(Event.OPENED), "what was over by then is told"


def test_of_an_incident_that_is_part_of_another_now_the_end_is_told_where_it_may_have_begun() -> None:
    assert due(OPEN, None, NOW) == due(Told(begun=True), None, NOW) == Due(Event.RESOLVED)
    assert due(Told(), None, NOW) == Due()


def test_who_forgets_is_told_again_and_again() -> None:
    assert due(OPEN, incident(), T0 + 299_999, 300_000) == Due(again_ms=T0 + 300_000)
    assert due(OPEN, incident(), T0 + 300_000, 300_000) == Due(Event.STILL)


def word(n: int, event: Event = Event.OPENED, **more: Any) -> Word:
    given: dict[str, Any] = {"incident": f"i{n}", "key": f"i{n}", "severity": Severity.HIGH, "due_ms": n}
    return Word(event=event, **given | more)


def test_few_are_told_one_by_one_and_of_a_flood_the_worst_alone_and_the_rest_at_once() -> None:
    few = sort_out([word(n) for n in range(5)], Manner.READ, 5, {})
    assert [len(parcel.words) for parcel in few.parcels] == [1] * 5
    worst = word(400, severity=Severity.CRITICAL)
    flood = sort_out([*(word(n) for n in range(400)), worst], Manner.PAGED, 5, {})
    assert sorted(len(parcel.words) for parcel in flood.parcels) == [1, 1, 1, 1, 397]
    assert any(parcel.words == (worst,) for parcel in flood.parcels)


def test_without_room_everything_waits_and_nothing_is_dropped() -> None:
    found = sort_out([word(n) for n in range(7)], Manner.READ, 0, {})
    assert (found.parcels, len(found.waiting)) == ([], 7)


def test_what_may_be_there_already_is_sent_again_under_its_own_key_flood_or_not() -> None:
    begun = word(99, begun=True)
    found = sort_out([*(word(n) for n in range(50)), begun], Manner.PAGED, 0, {})
    assert [(parcel.key, parcel.words) for parcel in found.parcels] == [("i99", (begun,))]


def test_ends_wake_nobody_and_are_not_held_back() -> None:
    found = sort_out([word(n, Event.RESOLVED) for n in range(50)], Manner.PAGED, 0, {})
    assert ({parcel.key for parcel in found.parcels}, found.waiting) == ({f"i{n}" for n in range(50)}, [])


def test_a_digest_ends_with_the_last_of_its_incidents() -> None:
    (parcel,) = sort_out([word(n) for n in range(3)], Manner.PAGED, 1, {}).parcels
    key = parcel.key
    assert is_digest(key)
    two = [word(n, Event.RESOLVED, key=key) for n in range(2)]
    assert sort_out(two, Manner.PAGED, 1, {key: 3}).silent == two
    last = sort_out([word(2, Event.RESOLVED, key=key)], Manner.PAGED, 1, {key: 1})
    assert [parcel.key for parcel in last.parcels] == [key]


def test_what_gets_worse_within_a_digest_gets_a_page_of_its_own() -> None:
    (parcel,) = sort_out([word(n) for n in range(3)], Manner.PAGED, 1, {}).parcels
    worse = word(1, Event.RAISED, key=parcel.key, severity=Severity.CRITICAL)
    assert [p.key for p in sort_out([worse], Manner.PAGED, 1, {parcel.key: 3}).parcels] == ["i1"]
    assert [p.key for p in sort_out([worse], Manner.PAGED, 1, {parcel.key: 1}).parcels] == [parcel.key], (
        "the last of it"
    )


@given(
    st.lists(st.tuples(st.sampled_from(list(Event)[:5]), st.booleans(), st.sampled_from(list(Severity))), max_size=60),
    st.sampled_from(list(Manner)),
    st.integers(0, 12),
)
def test_every_word_is_sent_or_silent_or_waits_and_no_more_is_sent_than_there_is_room_for(
    given_words: list[tuple[Event, bool, Severity]], manner: Manner, left: int
) -> None:
    words = [
        word(n, event, severity=severity, key="digest-x" if shared else f"i{n}")
        for n, (event, shared, severity) in enumerate(given_words)
    ]
    known = Counter(w.key for w in words if is_digest(w.key))
    found = sort_out(words, manner, left, known)
    everything = [w for parcel in found.parcels for w in parcel.words] + found.silent + found.waiting
    assert sorted(everything, key=lambda w: w.due_ms) == words
    anew = [p for p in found.parcels if p.counts and p.key != "digest-x"]
    assert manner is Manner.KEPT or len(anew) <= left
    assert manner is not Manner.PAGED or all(begins(w) or not p.counts for p in anew for w in p.words)


def test_an_incident_is_for_whom_a_route_takes_it_to_after_the_shortest_wait() -> None:
    notices = Notices(
        routes=(
            Route(("oncall",), Severity.CRITICAL, wait_s=0),
            Route(("chat", "oncall"), routes=("/login*",), kinds=frozenset({"guess"})),
            Route(("acme",), tenants=frozenset({"acme"})),
        )
    )
    mine = incident(kind="probe", severity=Severity.LOW)

    def wanted(whole: Incident, mine: Incident | None = None) -> dict[str, int]:
        return notices.wanted(lambda tenants: whole if tenants is None else mine)

    assert wanted(incident(severity=Severity.CRITICAL)) == {"oncall": 0, "chat": 5000}
    assert wanted(incident(route=None)) == {}
    assert wanted(incident(kind="probe"), mine) == {"acme": 5000}
    assert [notices.tenants(name) for name in ("oncall", "acme", "pages")] == [None, {"acme"}, None]


def test_what_a_provider_answers_decides_whether_to_try_again() -> None:
    assert of_status(202, "", None).came is Came.DELIVERED
    assert [of_status(status, "no", None).came for status in (400, 403, 404, 410)] == [Came.REFUSED] * 4
    assert [of_status(status, "", None).came for status in (408, 429, 500, 503)] == [Came.FAILED] * 4
    assert of_status(429, "", "30").again_ms == 30_000
    assert of_status(429, "", "999999").again_ms == PAUSE_MS_MAX
    assert of_status(429, "", "soon").again_ms == 0
    assert "redirect" in of_status(307, "", None).reason


def test_pauses_double_up_to_five_minutes_and_are_never_all_the_same() -> None:
    assert [pause_ms(n, 1.0) for n in (1, 2, 3, 9, 20, 1000)] == [1000, 2000, 4000, 256_000, 300_000, 300_000]
    assert pause_ms(3, 0.0) == 2000
