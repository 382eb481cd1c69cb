"""From an alert to an answer: the planner, the ladder and the guardrails, with a clock in hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from enforcer_world import alert as make_alert
from hypothesis import given
from hypothesis import strategies as st

from enforcer import guardrails, ladder
from enforcer.acknowledgements import judge
from enforcer.drafts import expired, lifted
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, Answer, EntityKind, Status
from schemas.errors import SettingsError
from schemas.settings import Settings

NOW = 1_750_000_000_000
MINUTE = 60_000
CONFIG = PlanConfig.of(Settings(allowlist="192.0.2.0/24,key:partner,2001:db8::/32", usage_partitions=1))


def alert(value: str = "203.0.113.7", at_ms: int = NOW, **changes: Any) -> Alert:
    return make_alert(value, at_ms=at_ms, **changes)


def open_caps(**changes: Any) -> PlanConfig:
    return replace(CONFIG, **changes)


def consider(planner: Planner, alert: Alert, now_ms: int = NOW) -> Action:
    action = planner.consider(alert, now_ms)
    assert action is not None
    return action


def update(of: Alert, at_ms: int, **changes: Any) -> Alert:
    return of.model_copy(update={"status": Status.UPDATE, "last_ms": at_ms} | changes)


def hold(**changes: Any) -> Action:
    fields: dict[str, Any] = {
        "uid": "h1", "kind": ActionKind.HOLD, "status": ActionStatus.ACTIVE, "owner": "cli:ann",
        "target": Target(kind=TargetKind.GLOBAL, value="*"), "reason": "customers call", "created_ms": NOW,
        "expires_ms": NOW + 60 * MINUTE,
    }  # fmt: skip
    return Action(**(fields | changes))


def test_a_stop_lifts_what_automation_decided_and_lets_it_decide_nothing_until_it_ends() -> None:
    planner = Planner(CONFIG)
    auto = consider(planner, alert())
    by_hand = auto.model_copy(update={"uid": "m1", "owner": "cli:bob", "alert_uid": None})
    planner.observe(by_hand, NOW)
    assert planner.observe(hold(), NOW + 10) == ()
    lifts = planner.halted(NOW + 10, 500)
    assert [(a.uid, a.status, a.ended_by) for a in lifts] == [(auto.uid, ActionStatus.LIFTED, "auto")]
    assert lifts[0].ended_reason == "automation is stopped by cli:ann: customers call"
    refused = consider(planner, alert("203.0.113.8"), NOW + 20)
    assert refused.status is ActionStatus.REFUSED
    assert "automation is stopped by cli:ann: customers call" in refused.reason
    planner.observe(lifted(hold(), NOW + 30, "cli:ann", "over"), NOW + 30)
    again = consider(planner, update(alert("203.0.113.8"), NOW + 40), NOW + 50)
    assert (again.status, again.kind) == (ActionStatus.ACTIVE, ActionKind.DENY)


def test_what_a_stop_found_in_force_ends_part_by_part_though_automation_goes_on() -> None:
    planner = Planner(CONFIG)
    autos = [consider(planner, alert(f"203.0.113.{n}")) for n in range(8, 12)]
    planner.observe(hold(), NOW + 10)
    lifts = [*planner.halted(NOW + 20, 2)]
    planner.observe(lifted(autos[2], NOW + 25, "cli:ann", "not him"), NOW + 25)
    planner.observe(lifted(hold(), NOW + 30, "cli:ann", "over"), NOW + 30)
    planner.observe(consider(planner, alert("203.0.113.20"), NOW + 40), NOW + 40)
    lifts += planner.halted(NOW + 50, 500)
    assert [a.uid for a in lifts] == [autos[0].uid, autos[1].uid, autos[3].uid], "one was ended by somebody already"
    assert {a.ended_reason for a in lifts} == {"automation is stopped by cli:ann: customers call"}
    assert planner.halted(NOW + 60, 500) == ()


def test_an_enforcer_that_starts_while_automation_is_stopped_lifts_what_slipped_through() -> None:
    first, heir = Planner(CONFIG), Planner(CONFIG)
    auto = consider(first, alert())
    heir.observe(hold(), NOW, replayed=True)
    assert heir.observe(auto, NOW + 5, replayed=True) == ()
    assert [a.uid for a in heir.lifts(NOW + 10)] == [auto.uid]
    late = consider(first, alert("203.0.113.8"))  # by another that had not heard of the stop yet
    assert [a.uid for a in heir.observe(late, NOW + 20)] == [late.uid]


def test_a_stop_or_an_allow_that_is_over_lifts_nothing_when_the_topic_is_read_again() -> None:
    first, heir = Planner(CONFIG), Planner(CONFIG)
    over = lifted(hold(), NOW + 10, "cli:ann", "over")
    auto = consider(first, alert(), NOW + 20)
    for action in (auto, hold(), over):  # of two partitions, the later one read first
        assert heir.observe(action, NOW + 60, replayed=True) == ()
    assert heir.lifts(NOW + 60) == ()


def test_a_denial_carries_why_how_long_by_whom_and_since_when() -> None:
    action = consider(Planner(CONFIG), alert(route="/login"))
    assert (action.kind, action.status, action.target.key) == (ActionKind.DENY, ActionStatus.ACTIVE, "ip:203.0.113.7")
    assert (action.route, action.rule, action.model, action.owner) == ("/login", "guess/1", "m1", "auto")
    assert action.expires_ms == NOW + 600_000
    assert action.crossed_ms == NOW - 100
    assert action.evidence[0].value == 6
    assert action.reason.startswith("Denied on /login for 10 min: 6 failed logins")


def test_what_goes_on_is_no_answer_to_the_request_that_began_it() -> None:
    planner = Planner(CONFIG)
    first = consider(planner, alert())
    late_ms = first.expires_ms - 1_000
    again = consider(planner, update(alert(), late_ms - 50), late_ms)
    assert (first.crossed_ms, again.crossed_ms) == (NOW - 100, None)
    way = judge(again, 7, late_ms, {"limiter-1": (7, late_ms + 30)}, ("limiter-1",))
    assert (way.total_ms, way.p99_ms) == (None, 30)


def test_the_same_alert_told_again_is_answered_once_also_by_a_planner_started_anew() -> None:
    planner, heir = Planner(CONFIG), Planner(CONFIG)
    action = consider(planner, alert())
    heir.observe(action, NOW + 1000)
    for p in (planner, heir):
        assert p.consider(alert(), NOW + 1000) is None
        assert p.consider(update(alert(), NOW + 900), NOW + 1000) is None
    assert consider(Planner(CONFIG), alert()).uid == action.uid


def test_an_update_renews_only_what_is_about_to_run_out_and_on_the_next_rung() -> None:
    planner = Planner(CONFIG)
    told = alert()
    consider(planner, told)
    assert planner.consider(update(told, NOW + 500_000), NOW + 500_000) is None
    action = consider(planner, update(told, NOW + 580_000), NOW + 580_000)
    assert action.step == 2
    assert action.expires_ms - action.created_ms == 4 * 600_000


def test_a_repeat_climbs_the_ladder_and_quiet_comes_down_again() -> None:
    planner = Planner(CONFIG)
    at_ms, steps = NOW, []
    for n, pause_ms in enumerate((0, MINUTE, MINUTE, 7 * 3_600_000)):
        at_ms += pause_ms
        action = consider(planner, alert(uid=f"a{n}", at_ms=at_ms), at_ms)
        steps.append(action.step)
        at_ms = action.expires_ms
    assert steps == [1, 2, 3, 3]


def test_a_second_alert_during_an_answer_adds_nothing_and_a_stricter_one_is_no_repeat() -> None:
    planner = Planner(CONFIG)
    assert consider(planner, alert(answer=Answer.CHALLENGE)).kind is ActionKind.CHALLENGE
    assert planner.consider(alert(uid="other", answer=Answer.THROTTLE), NOW + 10) is None
    stricter = consider(planner, alert(uid="third"), NOW + 20)
    assert (stricter.kind, stricter.step) == (ActionKind.DENY, 1)


def test_an_answer_on_one_route_does_not_cover_another() -> None:
    planner = Planner(CONFIG)
    consider(planner, alert(route="/login"))
    assert planner.consider(alert(uid="b", route="/login"), NOW) is None
    assert consider(planner, alert(uid="c", route="/items"), NOW).route == "/items"


def test_a_throttle_is_renewed_but_never_grows() -> None:
    planner = Planner(CONFIG)
    told = alert(answer=Answer.THROTTLE)
    first = consider(planner, told)
    again = consider(planner, update(told, NOW + 590_000), NOW + 590_000)
    assert first.factor == again.factor == CONFIG.throttle_factor
    assert again.uid != first.uid
    assert again.expires_ms - again.created_ms == first.expires_ms - first.created_ms


def test_what_was_withdrawn_is_lifted_and_does_not_count_as_an_offence() -> None:
    planner = Planner(CONFIG)
    told = alert()
    action = consider(planner, told)
    lift = consider(planner, told.model_copy(update={"status": Status.WITHDRAWN}), NOW + 1000)
    assert (lift.uid, lift.status, lift.ended_ms, lift.ended_by) == (
        action.uid,
        ActionStatus.LIFTED,
        NOW + 1000,
        "auto",
    )
    assert planner.consider(told, NOW + 1500) is None, "redelivered"
    assert consider(planner, alert(uid="later", at_ms=NOW + 5000), NOW + 5000).step == 1


def test_a_withdrawal_lifts_all_that_the_alert_led_to() -> None:
    planner = Planner(CONFIG)
    told = alert(answer=Answer.THROTTLE)
    consider(planner, told)
    consider(planner, update(told, NOW + 10, answer=Answer.DENY), NOW + 10)
    lifts = planner.plan(told.model_copy(update={"status": Status.WITHDRAWN}), NOW + 20)
    assert [lift.kind for lift in lifts] == [ActionKind.DENY, ActionKind.THROTTLE]


def test_what_a_withdrawn_alert_had_caused_goes_on_when_another_alert_needs_it() -> None:
    planner = Planner(CONFIG)
    early = alert(uid="early", answer=Answer.THROTTLE)
    whole = alert(uid="whole", answer=Answer.THROTTLE)
    throttle = consider(planner, early)
    assert planner.consider(whole, NOW + 10) is None, "the throttle stands already"
    heir, lift = planner.plan(early.model_copy(update={"status": Status.WITHDRAWN}), NOW + 10)
    assert (heir.alert_uid, heir.kind, heir.status) == ("whole", ActionKind.THROTTLE, ActionStatus.ACTIVE)
    assert (lift.uid, lift.status) == (throttle.uid, ActionStatus.LIFTED)


@pytest.mark.parametrize("last_word", [Status.CLOSED, Status.WITHDRAWN])
def test_an_alert_that_is_over_takes_nothing_over(last_word: Status) -> None:
    planner = Planner(CONFIG)
    early, other = alert(uid="early"), alert(uid="other")
    consider(planner, early)
    assert planner.consider(other, NOW) is None
    planner.plan(other.model_copy(update={"status": last_word}), NOW + 5)
    (lift,) = planner.plan(early.model_copy(update={"status": Status.WITHDRAWN}), NOW + 10)
    assert lift.status is ActionStatus.LIFTED


def test_a_persons_lift_holds_for_the_whole_incident() -> None:
    planner = Planner(CONFIG)
    told = alert()
    planner.observe(lifted(consider(planner, told), NOW + 100, "cli:ann", "our scanner"), NOW + 100)
    assert planner.consider(update(told, NOW + 9000), NOW + 9000) is None
    assert planner.consider(alert(uid="another incident", at_ms=NOW + 9000), NOW + 9000) is not None


def test_what_a_person_lets_go_is_left_alone_by_every_alert_that_had_begun_by_then() -> None:
    planner = Planner(CONFIG)
    told, sibling, throttled = alert(), alert(uid="probe"), alert(uid="limit", answer=Answer.THROTTLE)
    denied = consider(planner, told)
    for each in (sibling, throttled):
        assert planner.consider(each, NOW) is None, "one answer serves all"
    planner.observe(lifted(denied, NOW + 100, "api:ann", "our scanner"), NOW + 100)
    for each in (told, sibling, throttled):
        assert planner.consider(update(each, NOW + 9000), NOW + 9000) is None
    assert planner.consider(alert("203.0.113.8", at_ms=NOW + 9000), NOW + 9000) is not None
    begun_since = alert(uid="again", at_ms=NOW + 9000)
    assert consider(planner, begun_since, NOW + 9000).status is ActionStatus.ACTIVE


def test_what_is_made_to_last_longer_or_lifted_by_a_list_is_let_go_by_nobody() -> None:
    told, sibling = alert(), alert(uid="probe")
    for by, in_its_place in (("cli:ann", True), ("import:drop", False)):
        planner = Planner(CONFIG)
        denied = consider(planner, told)
        if in_its_place:
            longer = denied.model_copy(update={"uid": "longer", "owner": by, "created_ms": NOW + 50})
            planner.observe(longer, NOW + 50)
        planner.observe(lifted(denied, NOW + 50, by, "x"), NOW + 50)
        if in_its_place:
            planner.observe(expired(longer), longer.expires_ms)
        at_ms = NOW + 700_000
        assert consider(planner, update(sibling, at_ms), at_ms).status is ActionStatus.ACTIVE


def test_an_allowed_address_leaves_what_restricts_the_network_around_it_to_the_others() -> None:
    planner = Planner(CONFIG)
    denied = consider(planner, alert("203.0.113.0/24"))
    allow = Action(
        uid="allow", kind=ActionKind.ALLOW, status=ActionStatus.ACTIVE, reason="office", owner="cli:ann",
        target=Target(kind=TargetKind.IP, value="203.0.113.7"), created_ms=NOW, expires_ms=NOW + MINUTE,
    )  # fmt: skip
    assert planner.observe(allow, NOW) == ()
    assert planner.lifts(NOW) == ()
    assert consider(planner, alert("203.0.113.0/25")).guard == "allowlisted", "automation begins nothing there"
    wider = allow.model_copy(update={"uid": "all", "target": denied.target})
    assert [lift.uid for lift in planner.observe(wider, NOW)] == [denied.uid]


def test_a_closed_alert_changes_nothing() -> None:
    assert Planner(CONFIG).consider(alert(status=Status.CLOSED), NOW) is None


@pytest.mark.parametrize("kind", [EntityKind.ROUTE, EntityKind.GLOBAL])
def test_a_group_is_noticed_never_acted_on(kind: EntityKind) -> None:
    action = consider(Planner(CONFIG), alert("/login", kind_of=kind))
    assert (action.kind, action.status) == (ActionKind.NOTICE, ActionStatus.ACTIVE)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("192.0.2.9", "ip"), ("192.0.0.0/16", "ip"), ("partner", "key"), ("2001:db8:1::/64", "ip"), ("127.0.0.1", "ip")],
)
def test_the_allowlist_and_our_own_proxies_are_never_touched(value: str, kind: str) -> None:
    planner = Planner(CONFIG)
    told = alert(value, kind_of=kind)
    action = consider(planner, told)
    assert action.status is ActionStatus.REFUSED
    assert "Not denied" in action.reason
    assert ("allowlist" in action.reason) or ("proxy" in action.reason)
    assert planner.consider(update(told, NOW + 5), NOW + 5) is None, "said once"


def test_an_allow_lifts_what_stands_and_protects_until_it_ends() -> None:
    planner = Planner(CONFIG)
    denied = consider(planner, alert())
    allow = Action(
        uid="allow", kind=ActionKind.ALLOW, status=ActionStatus.ACTIVE, reason="office", owner="cli:ann",
        target=Target(kind=TargetKind.IP, value="203.0.113.0/24"), created_ms=NOW, expires_ms=NOW + MINUTE,
    )  # fmt: skip
    assert [(a.uid, a.status) for a in planner.observe(allow, NOW)] == [(denied.uid, ActionStatus.LIFTED)]
    assert planner.observe(allow, NOW) == ()
    assert consider(planner, alert("203.0.113.8")).status is ActionStatus.REFUSED
    assert consider(planner, alert("203.0.113.9", at_ms=NOW + MINUTE), NOW + MINUTE).status is ActionStatus.ACTIVE


def test_a_small_site_may_answer_a_handful_and_a_large_one_its_share() -> None:
    caps = guardrails.Caps(per_minute=1000, share=0.05, floor=3)
    small, large = Planner(open_caps(caps=caps)), Planner(open_caps(caps=caps))
    told = [alert(f"203.0.113.{n}") for n in range(8)]
    in_small = [consider(small, a.model_copy(update={"live_clients": 30})).kind for a in told]
    assert in_small == [ActionKind.DENY] * 3 + [ActionKind.CHALLENGE] * 5
    in_large = [consider(large, a.model_copy(update={"live_clients": 120})).kind for a in told]
    assert in_large == [ActionKind.DENY] * 6 + [ActionKind.CHALLENGE] * 2


def test_an_attack_of_many_is_answered_up_to_half_of_who_is_live_and_leaves_the_others_their_share() -> None:
    caps = guardrails.Caps(per_minute=1000, share=0.05, floor=3, campaign_share=0.5)
    planner = Planner(open_caps(caps=caps))
    many = [alert(f"198.51.100.{n}", campaign="/api/login", live_clients=100) for n in range(60)]
    answered = [consider(planner, one) for one in many]
    assert [one.kind for one in answered] == [ActionKind.DENY] * 50 + [ActionKind.CHALLENGE] * 10
    assert {(one.status, one.campaign) for one in answered} == {(ActionStatus.ACTIVE, "/api/login")}
    alone = [consider(planner, alert(f"203.0.113.{n}", live_clients=100)).kind for n in range(6)]
    assert alone == [ActionKind.DENY] * 5 + [ActionKind.CHALLENGE]


def test_a_refusal_by_a_cap_is_said_once_and_tried_again_when_there_is_room() -> None:
    caps = guardrails.Caps(per_minute=1, share=1.0, floor=100)
    planner = Planner(open_caps(caps=caps))
    consider(planner, alert("203.0.113.1"))
    told = alert("203.0.113.2")
    refused = consider(planner, told)
    assert refused.status is ActionStatus.REFUSED
    assert "1 answers in the last minute" in refused.reason
    assert planner.consider(update(told, NOW + 1000), NOW + 1000) is None
    assert consider(planner, update(told, NOW + MINUTE), NOW + MINUTE).status is ActionStatus.ACTIVE


def test_a_dry_run_says_what_it_would_have_done() -> None:
    action = consider(Planner(open_caps(dry_run=True)), alert())
    assert (action.status, action.reason[:20]) == (ActionStatus.REFUSED, "Not denied: dry run.")


def test_evidence_older_than_the_answer_would_last_is_refused() -> None:
    action = consider(Planner(CONFIG), alert(), NOW + 3_600_000)
    assert action.status is ActionStatus.REFUSED
    assert "1 h old" in action.reason


def test_what_is_no_address_is_refused() -> None:
    assert consider(Planner(CONFIG), alert("<script>")).status is ActionStatus.REFUSED


def test_a_malformed_allowlist_is_named() -> None:
    with pytest.raises(SettingsError, match="FLOODWARDEN_ALLOWLIST: 'planet:mars' is neither"):
        PlanConfig.of(Settings(allowlist="planet:mars"))


def test_a_duration_never_passes_its_cap_on_any_rung() -> None:
    steps = ladder.Ladder(4.0, 1000, 86_400)
    assert [steps.seconds(600, n) for n in (1, 2, 3, 4, 5, 500)] == [600, 2400, 9600, 38_400, 86_400, 86_400]


VALUES = st.sampled_from(
    [f"203.0.113.{n}" for n in range(12)] + ["192.0.2.1", "192.0.2.200", "127.0.0.1", "2001:db8::5"]
)
STEPS = st.lists(
    st.tuples(
        VALUES, st.sampled_from(list(Status)), st.sampled_from(list(Answer)), st.integers(0, 40_000), st.integers(0, 3)
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5), st.integers(0, 4), st.sampled_from([0, 40, 200]))
def test_whatever_comes_the_guardrails_hold(steps: list[Any], per_minute: int, floor: int, live: int) -> None:
    caps = guardrails.Caps(per_minute, 0.05, floor)
    planner = Planner(open_caps(caps=caps, deny_seconds=60, throttle_seconds=60))
    now_ms, given_at, standing = NOW, [], dict[str, Action]()
    for value, status, answer, wait_ms, n in steps:
        now_ms += wait_ms
        told = alert(value, uid=f"{value}-{n}", status=status, answer=answer, at_ms=now_ms, live_clients=live)
        for action in planner.plan(told, now_ms):
            assert action.reason
            assert action.owner == "auto"
            assert action.expires_ms > action.created_ms
            assert action.expires_ms - action.created_ms <= CONFIG.ladder.seconds_max * 1000
            if action.kind is ActionKind.NOTICE:
                continue  # touches nobody
            if action.status is ActionStatus.LIFTED:
                del standing[action.uid]
            elif action.status is ActionStatus.ACTIVE:
                assert value.startswith("203.0.113."), "allowlisted and proxies are never acted on"
                assert action.uid not in standing
                standing[action.uid] = action
                given_at.append(now_ms)
        standing = {uid: a for uid, a in standing.items() if a.expires_ms > now_ms}
        assert sum(at > now_ms - MINUTE for at in given_at) <= per_minute
        asked = {a.target.key for a in standing.values() if a.kind is ActionKind.CHALLENGE}
        shut_out = {a.target.key for a in standing.values() if a.kind is not ActionKind.CHALLENGE}
        assert len(shut_out) <= max(floor, int(0.05 * live))
        assert len(asked) <= max(floor, int(0.25 * live))


@given(STEPS, st.data())
def test_a_planner_made_anew_from_the_actions_goes_on_as_the_old_one_would(
    steps: list[Any], data: st.DataObject
) -> None:
    config = open_caps(deny_seconds=60, throttle_seconds=60)
    planner, now_ms, latest = Planner(config), NOW, dict[str, Action]()
    cut = data.draw(st.integers(0, len(steps)))
    for index, (value, status, answer, wait_ms, n) in enumerate(steps):
        now_ms += wait_ms
        told = alert(value, uid=f"{value}-{n}", status=status, answer=answer, at_ms=now_ms)
        if index == cut:
            heir = Planner(config)
            for action in latest.values():  # compacted: the last word on each action, in the order of last words
                heir.observe(action, now_ms)
            # Alerts that another's answer served are in no action: an heir answers those when they are told again.
            answers = [one for one in planner.plan(told, now_ms) if one.alert_uid == told.uid]
            assert list(heir.plan(told, now_ms)) == answers
            return
        for action in planner.plan(told, now_ms):
            latest.pop(action.uid, None)
            latest[action.uid] = action
