"""What a replay's report says of an incident about which nothing was done."""

from __future__ import annotations

import pytest
from enforcer_world import alert
from limiter_world import action

from enforcer.wording import done
from floodwarden.report import Findings, Incident
from floodwarden.report_text import answer_words
from schemas.action import Action, ActionKind


def words(*stood: Action) -> str:
    seen = alert("203.0.113.9")
    findings = Findings((), None)  # type: ignore[arg-type]
    findings._alerts[seen.uid] = seen
    findings.actions += [each.model_copy(update={"alert_uid": "another"}) for each in stood]
    (incident,) = findings.incidents
    return answer_words(incident)


def test_nothing_is_done_about_a_client_who_is_denied_already_and_the_report_says_so() -> None:
    at_ms = alert("203.0.113.9").crossed_ms
    denied = action("deny", "ip:203.0.113.9", at_ms=at_ms - 1000)
    assert words(denied) == "nothing more: already denied for 10 min"


@pytest.mark.parametrize(
    "other",
    [
        action("deny", "ip:203.0.113.8", at_ms=alert("203.0.113.9").crossed_ms),
        action("deny", "ip:203.0.113.9", at_ms=1),
        action("notice", "ip:203.0.113.9", at_ms=alert("203.0.113.9").crossed_ms),
    ],
)
def test_what_held_somebody_else_or_was_over_or_held_nobody_explains_nothing(other: Action) -> None:
    assert words(other) == "nothing"


def answered(given: Action, **more: object) -> str:
    seen = alert("203.0.113.9", **more)
    return answer_words(Incident(seen, (given,)))


def test_why_somebody_is_challenged_and_somebody_else_denied_is_said() -> None:
    browser = "most of these requests name a browser, so somebody may be there to answer"
    seen = alert("203.0.113.9", browser=True)
    reason = done(ActionKind.CHALLENGE, seen, "/login", 600, 1, browser)
    asked = action("challenge", "ip:203.0.113.9", route="/login").model_copy(update={"reason": reason})
    assert answered(asked, browser=True) == f"challenged on /login for 10 min, and no more, for {browser}"
    denied = action("deny", "ip:203.0.113.9", route="/login")
    told = "denied on /login for 10 min, not challenged: "
    assert answered(denied) == f"{told}most of its requests name no browser that could answer"
    again = denied.model_copy(update={"step": 5})
    assert answered(again, browser=True) == f"{told}it went on though it was asked (time 5)"
    assert answered(denied, browser=True) == "denied on /login for 10 min"
    plain = asked.model_copy(update={"reason": done(ActionKind.CHALLENGE, seen, "/login", 600, 1)})
    assert answered(plain) == "challenged on /login for 10 min"
