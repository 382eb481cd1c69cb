"""The truth in memory: folded from any compaction of the topic, it is the same truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enforcer.drafts import expired, lifted
from enforcer.ladder import Ladder
from enforcer.ledger import RETRY_MS, Ledger, Op
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

NOW = 1_750_000_000_000
LADDER = Ladder(4.0, 1000, 86_400)


def action(uid: str, value: str = "203.0.113.7", kind: ActionKind = ActionKind.DENY, created_ms: int = NOW) -> Action:
    return Action(
        uid=uid, kind=kind, status=ActionStatus.ACTIVE, target=Target(kind=TargetKind.IP, value=value), reason="r",
        owner="auto", created_ms=created_ms, expires_ms=created_ms + 60_000,
    )  # fmt: skip


def test_an_action_told_twice_changes_something_once() -> None:
    ledger = Ledger(LADDER)
    change = ledger.fold("a", action("a"), 0, 0).change
    assert change is not None
    assert (change.op, change.offset, change.stands) == (Op.PUT, 0, action("a"))
    assert ledger.fold("a", action("a"), 0, 1).change is None
    assert ledger.fold("a", expired(action("a")), 0, 2).change is not None
    assert ledger.fold("a", expired(action("a")), 0, 3).change is None


def test_a_late_copy_of_a_lifted_action_does_not_revive_it_and_the_lift_is_told_again() -> None:
    ledger = Ledger(LADDER)
    lift = lifted(action("a"), NOW + 5, "cli:ann", "mistake")
    ledger.fold("a", action("a"), 0, 0)
    ledger.fold("a", lift, 0, 1)
    late = ledger.fold("a", action("a"), 0, 2)
    assert (late.change, late.again) == (None, lift)
    assert ledger.fold("a", action("a", created_ms=NOW + 6), 0, 3).change is not None, "newer than its lift"


def test_what_somebody_ended_stays_ended_by_them_though_automation_ended_it_in_the_same_moment() -> None:
    ledger = Ledger(LADDER)
    word, ours = lifted(action("a"), NOW + 5, "cli:ann", "mistake"), lifted(action("a"), NOW + 6, "auto", "x")
    for offset, record in enumerate((action("a"), word)):
        ledger.fold("a", record, 0, offset)
    assert ledger.fold("a", ours, 0, 2).again == word
    assert ledger.fold("a", word, 0, 3).again is None
    assert ledger.get("a") == word
    other = Ledger(LADDER)
    for offset, record in enumerate((action("a"), ours, word)):
        assert other.fold("a", record, 0, offset).again is None
    assert other.get("a") == word


def test_a_notice_and_a_refusal_never_reach_a_limiter() -> None:
    ledger = Ledger(LADDER)
    assert ledger.fold("n", action("n", kind=ActionKind.NOTICE), 0, 0).change is None
    refused = action("r").model_copy(update={"status": ActionStatus.REFUSED})
    assert ledger.fold("r", refused, 0, 1).change is None
    assert ledger.count_in_force == 0


def test_what_ran_out_is_due_once_in_a_while_until_it_is_told() -> None:
    ledger = Ledger(LADDER)
    ledger.fold("a", action("a"), 0, 0)
    assert ledger.due(NOW + 59_999) == []
    (end,) = ledger.due(NOW + 60_000)
    assert (end.status, end.ended_ms) == (ActionStatus.EXPIRED, NOW + 60_000)
    assert ledger.due(NOW + 60_001) == []
    assert ledger.due(NOW + 60_000 + RETRY_MS) == [end]
    ledger.fold("a", end, 0, 1)
    assert ledger.due(NOW + 10**7) == []


def test_what_no_longer_weighs_on_the_ladder_is_forgotten() -> None:
    ledger = Ledger(LADDER)
    ledger.fold("a", action("a"), 0, 0)
    ledger.fold("a", expired(action("a")), 0, 1)
    assert ledger.forgotten(NOW + 60_999) == []
    assert [a.uid for a in ledger.forgotten(NOW + 61_000)] == ["a"]
    ledger.fold("a", None, 0, 2)
    assert len(ledger) == 0
    assert ledger.forgotten(NOW + 10**7) == []


STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from(["put", "lift", "gone"])), max_size=40)


@given(STEPS)
def test_compaction_does_not_change_the_truth(steps: list[tuple[int, int, str]]) -> None:
    log: list[tuple[str, Action | None]] = []
    for at, (uid, value, what) in enumerate(steps):
        made = action(f"a{uid}", f"198.51.100.{value}", created_ms=NOW + at)
        if what == "put":
            log.append((made.uid, made))
        else:
            log.append((made.uid, lifted(made, NOW + at, "auto", "x") if what == "lift" else None))
    whole, compacted = Ledger(LADDER), Ledger(LADDER)
    for offset, (uid, record) in enumerate(log):
        whole.fold(uid, record, 0, offset)
    last = {uid: offset for offset, (uid, _) in enumerate(log)}
    for offset in sorted(last.values()):
        compacted.fold(*log[offset], 0, offset)
    assert {a.uid for a in whole.in_force()} == {a.uid for a in compacted.in_force()}
