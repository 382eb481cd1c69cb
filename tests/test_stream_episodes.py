from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from detectors.columns import Fact, Finding
from schemas.alert import Alert, Status
from stream.episodes import QUIET_MS, SLOT_S, Episodes

PANE_S = 1_700_000_000
NAMES = {7: "203.0.113.7", 9: "/login", 11: "/wp-admin"}


def names(wanted: Iterable[int]) -> Mapping[int, str]:
    return {h: NAMES[h] for h in wanted if h in NAMES}


def finding(at_s: int = 0, *, began_s: int = 0, score: float = 0.6, entity: int = 7) -> Finding:
    at_ms = (PANE_S + at_s) * 1000 + 500
    return Finding(
        kind=0, entity=entity, family="guess", version=1, pane_s=PANE_S + began_s, at_s=PANE_S + at_s,
        crossed_ms=(PANE_S + began_s) * 1000 + 500, crossed_after=5, first_ms=PANE_S * 1000, last_ms=at_ms, score=score,
        answer="deny", severity="high", route=9, facts=(Fact("failed", 6, 1.0, "6 failed logins"),), contributions=(),
        examples=(11, 12),
    )  # fmt: skip


def until(at_s: int) -> int:
    return (PANE_S + at_s) * 1000


def statuses(alerts: list[Alert]) -> list[Status]:
    return [alert.status for alert in alerts]


def test_one_incident_is_one_uid_opened_updated_at_most_every_ten_seconds_and_closed_when_quiet() -> None:
    episodes = Episodes("m1")
    alerts = episodes.closed([finding(s) for s in range(25)], until(25), names)
    assert statuses(alerts) == [Status.OPEN, Status.UPDATE, Status.UPDATE]
    assert episodes.closed([], until(24) + QUIET_MS, names) == []
    [closed] = episodes.closed([], until(25) + QUIET_MS, names)
    assert closed.status is Status.CLOSED
    assert len({a.uid for a in [*alerts, closed]}) == 1
    assert len(episodes) == 0


def test_an_alert_names_whom_where_and_why_in_words() -> None:
    [alert] = Episodes("m1").closed([finding()], until(1), names)
    assert (alert.entity.kind, alert.entity.value, alert.route) == ("ip", "203.0.113.7", "/login")
    assert (alert.rule, alert.model, alert.crossed_after) == ("guess/1", "m1", 5)
    assert alert.summary == "ip 203.0.113.7: 6 failed logins; for example /wp-admin"
    assert alert.evidence[0].baseline == 1.0


def test_an_early_alert_borne_out_by_its_pane_is_not_opened_twice() -> None:
    episodes = Episodes("m1")
    assert statuses(episodes.peeked([finding()], names, PANE_S)) == [Status.OPEN]
    assert episodes.peeked([finding()], names, PANE_S) == []
    assert episodes.closed([finding()], until(1), names) == []
    [restated] = episodes.closed([finding(3, score=0.9)], until(4), names) or [None]
    assert restated is None, "within ten seconds"
    assert statuses(episodes.finish()) == [Status.CLOSED]


def test_evidence_that_changed_when_the_pane_closed_is_restated() -> None:
    episodes = Episodes("m1")
    episodes.peeked([finding(score=0.6)], names, PANE_S)
    [restated] = episodes.closed([finding(score=0.8)], until(1), names)
    assert (restated.status, restated.score) == (Status.UPDATE, 0.8)


def test_an_early_alert_that_its_pane_does_not_bear_out_is_withdrawn() -> None:
    episodes = Episodes("m1")
    [early] = episodes.peeked([finding()], names, PANE_S)
    [withdrawn] = episodes.closed([], until(1), names)
    assert (withdrawn.status, withdrawn.uid) == (Status.WITHDRAWN, early.uid)


def test_an_incident_that_the_closed_panes_begin_elsewhere_than_an_open_one_did_has_the_same_name() -> None:
    episodes = Episodes("m1")
    [early] = episodes.peeked([finding(1, began_s=1)], names, PANE_S)
    [restated] = episodes.closed([finding(0)], until(1), names)
    assert (restated.status, restated.uid) == (Status.UPDATE, early.uid)
    assert restated.crossed_ms < early.crossed_ms


def test_nothing_of_the_early_word_stays_once_the_panes_have_closed() -> None:
    early, plain = Episodes("m1"), Episodes("m1")
    early.peeked([replace(finding(1, began_s=1), route=11, answer="throttle", examples=())], names, PANE_S)
    for episodes in (early, plain):
        episodes.closed([finding(0)], until(2), names)
    assert early.finish() == plain.finish()


def test_what_may_have_begun_in_the_twenty_minutes_before_is_not_told_early() -> None:
    episodes, turn = Episodes("m1"), SLOT_S - PANE_S % SLOT_S
    assert episodes.peeked([finding(turn, began_s=turn)], names, PANE_S + turn - 1) == []
    [opened] = episodes.closed([finding(turn - 1, began_s=turn - 1)], until(turn), names)
    assert opened.status is Status.OPEN
    [later] = episodes.peeked([finding(turn, began_s=turn)], names, PANE_S + turn)
    assert later.uid != opened.uid


def test_two_incidents_of_one_client_and_family_have_two_names() -> None:
    episodes = Episodes("m1")
    later = SLOT_S + 1
    alerts = episodes.closed([finding(0), finding(later, began_s=later)], until(later + 1), names)
    assert statuses(alerts) == [Status.OPEN, Status.CLOSED, Status.OPEN]
    assert alerts[0].uid != alerts[2].uid


def test_alerts_do_not_depend_on_how_closes_were_batched() -> None:
    found = [finding(s) for s in (0, 4, 13, 15)] + [finding(3000, began_s=3000)]
    whole = Episodes("m1").closed(found, until(9000), names)
    split = Episodes("m1")
    parts = [a for f in found for a in split.closed([f], f.at_s * 1000 + 1000, names)] + split.closed(
        [], until(9000), names
    )
    assert sorted(parts, key=repr) == sorted(whole, key=repr)
    assert statuses(whole).count(Status.CLOSED) == 2


def test_open_incidents_are_bounded() -> None:
    episodes = Episodes("m1", episodes_max=2)
    alerts = episodes.closed([replace(finding(i), entity=100 + i) for i in range(5)], until(6), names)
    assert len(episodes) == 2
    assert statuses(alerts).count(Status.CLOSED) == 3


def test_a_restored_incident_goes_on() -> None:
    episodes, again = Episodes("m1"), Episodes("m1")
    episodes.closed([finding()], until(1), names)
    again.load(episodes.dump())
    later = [finding(20)]
    assert again.closed(later, until(21), names) == episodes.closed(later, until(21), names)


def test_beyond_the_bound_those_quiet_longest_are_closed_a_few_at_a_time() -> None:
    episodes = Episodes("m1", episodes_max=64)
    found = [finding(i, entity=1000 + i) for i in range(200)]
    said = [alert for one in found for alert in episodes.closed([one], until(0), names)]
    assert len(episodes) <= 64
    closed = [a.entity.value for a in said if a.status is Status.CLOSED]
    assert closed == [f"#{1000 + i:016x}" for i in range(len(closed))]
    assert len(closed) + len(episodes) == 200
