"""What a command looks for is told by an action's text first; whatever is wanted passes there."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enforcer import finding, records
from enforcer.finding import Wanted
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

NOW = 1_800_000_000_000
VALUES = ["203.0.113.7", "a", 'quo"ted', "back\\slash", "Zürich", "tab\there", "203.0.113.70"]
KINDS = [ActionKind.DENY, ActionKind.THROTTLE, ActionKind.HOLD, ActionKind.BROWNOUT]


def action(**changes: Any) -> Action:
    fields = {
        "uid": "abc1", "kind": ActionKind.DENY, "status": ActionStatus.ACTIVE, "owner": "auto", "reason": "guessed",
        "target": Target(kind=TargetKind.KEY, value="a"), "created_ms": NOW, "expires_ms": NOW + 1000,
    }  # fmt: skip
    return Action(**(fields | changes))


ACTIONS = st.builds(
    lambda uid, kind, owner, value: action(
        uid=uid, kind=kind, owner=owner, target=Target(kind=TargetKind.KEY, value=value)
    ),
    st.sampled_from(["abc1", "abc2", "b"]),
    st.sampled_from(KINDS),
    st.sampled_from(["auto", "cli:ann", 'cli:"ann"']),
    st.sampled_from(VALUES),
)
WANTED = st.builds(
    Wanted,
    st.lists(st.sampled_from(KINDS), max_size=2),
    st.sampled_from(["", "auto", 'cli:"ann"']),
    st.none() | st.sampled_from(VALUES).map(lambda value: Target(kind=TargetKind.KEY, value=value)),
    st.sampled_from(["", "abc", "b"]),
    st.lists(st.sampled_from(KINDS), max_size=1),
)


@given(st.lists(ACTIONS, max_size=6), WANTED)
def test_what_the_text_lets_through_has_all_that_is_wanted(stand: list[Action], wanted: Wanted) -> None:
    texts = [records.encode(each).decode() for each in stand]
    through = [text for text in texts if wanted.by_text()(text)]
    found = finding.actions(iter(through), wanted, NOW)
    assert found == finding.actions(iter(texts), wanted, NOW)
    assert all(each in wanted for each in found)


def test_the_text_tells_apart_what_need_not_be_read() -> None:
    by_text = Wanted((ActionKind.DENY,), "auto", also=(ActionKind.HOLD,)).by_text()
    texts = {
        "denied": action(), "throttled": action(kind=ActionKind.THROTTLE), "by hand": action(owner="cli:ann"),
        "held": action(kind=ActionKind.HOLD, owner="cli:ann"),
    }  # fmt: skip
    assert [name for name, each in texts.items() if by_text(records.encode(each).decode())] == ["denied", "held"]


def test_what_ran_out_is_not_found_and_what_comes_twice_is_found_once() -> None:
    text, over = (records.encode(each).decode() for each in (action(), action(uid="b", expires_ms=NOW)))
    assert [each.uid for each in finding.actions(iter([text, over, text]), Wanted(), NOW)] == ["abc1"]
