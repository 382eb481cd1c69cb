"""What is told, in every form: as the provider documents it, and with nothing in it that a client could have meant."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path
from typing import Any

import providers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.notify.destinations import Destination, Format, Kind, Mail, Tls
from enforcer.notify.forms import alertmanager, ecs, ocsf, pagerduty, record, slack
from enforcer.notify.notice import Details, Event, Incident, Message, Notice
from enforcer.notify.render import render
from schemas.alert import Severity

T0 = 1_790_000_000_000
EVIL = '<!channel> <https://evil.example|click> & "q" *b* `c` \r\nBcc: all@example.com \u202egnp.exe <script>x</script>'
MAIL = Mail(
    "smtp.example.com", 587, Tls.STARTTLS, "me", "hunter2-hunter2", "Flood <fw@example.com>", ("a@example.com",)
)


def incident(uid: str = "inc-1", **more: Any) -> Incident:
    given: dict[str, Any] = {
        "uid": uid, "kind": "guess", "route": "/login", "tenant": None, "status": "open", "severity": Severity.HIGH,
        "first_ms": T0, "last_ms": T0 + 90_000, "alerts": 3, "summary": "6 failed logins", "acked_by": None,
    }  # fmt: skip
    return Incident(**given | more)


def notice(event: Event = Event.OPENED, **more: Any) -> Notice:
    details = more.pop("details", None) or Details(
        ("ip:203.0.113.7", "user:ann", "key:9f86d081884c7d65"), (("deny active", 3),), ("6 failures",), "guess/1", "m1",
        "http:bruteforce", ("OAT-008", "T1110"), "lock accounts",
    )  # fmt: skip
    given: dict[str, Any] = {"key": "inc-1", "was": None, "link": "https://fw.example/incidents/inc-1"}
    given |= {name: more.pop(name) for name in ("key", "was", "link") if name in more}
    return Notice(event, given["key"], incident(**more), details, given["was"], given["link"])


def message(*notices: Notice) -> Message:
    return Message("m-1", notices[0].key, T0 + 100_000, notices)


SEVERAL = message(*(notice(uid=f"inc-{n}", key=f"inc-{n}") for n in range(60)))
EVERY = [
    *(message(notice(event, was=Severity.LOW)) for event in Event),
    message(notice(route=None, details=Details(), link=None, severity=Severity.INFO)),
    message(notice(acked_by="api:ann", tenant="acme", severity=Severity.CRITICAL)),
    SEVERAL,
]


@pytest.mark.parametrize("told", EVERY, ids=lambda told: f"{len(told.notices)} {told.event}")
def test_each_form_is_what_its_provider_documents(told: Message) -> None:
    assert providers.wrong("slack", slack.payload(told)) == ""
    assert providers.wrong("pagerduty", {"routing_key": "r" * 32, **pagerduty.payload(told)}) == ""
    assert providers.wrong("alertmanager", alertmanager.payload(told)) == ""
    assert [providers.wrong("ocsf", one) for one in ocsf.payloads(told)] == [""] * len(told.notices)
    assert [providers.wrong("ecs", one) for one in ecs.payloads(told)] == [""] * len(told.notices)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("slack", {"blocks": []}),
        ("slack", {"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}),
        ("pagerduty", {"routing_key": "r" * 32, "event_action": "trigger", "dedup_key": "k"}),
        ("pagerduty", {"routing_key": "short", "event_action": "resolve", "dedup_key": "k"}),
        ("alertmanager", [{"labels": {"severity": 3}}]),
        ("ocsf", {**ocsf.payloads(EVERY[0])[0], "activity_id": 2}),
        ("ecs", {**ecs.payloads(EVERY[0])[0], "event": {"kind": "alarm"}}),
    ],
)
def test_the_stand_ins_of_providers_refuse_what_is_not_documented(name: str, body: Any) -> None:
    assert providers.wrong(name, body)


def evil_message(text: str) -> Message:
    details = Details((f"user:{text}",), (("deny active", 1),), (text,), "guess/1", None, text, (text,), text)
    return message(notice(summary=text, route=text[:100], kind="guess", tenant=text[:50], details=details))


@given(st.text(max_size=2000) | st.just(EVIL) | st.text(alphabet="<>&", max_size=2000))
def test_no_text_of_a_client_breaks_a_form_or_speaks_in_it(text: str) -> None:
    told = evil_message(text)
    body = slack.payload(told)
    assert providers.wrong("slack", json.loads(json.dumps(body))) == ""
    assert providers.mentions(body["text"]) == []
    markup = [
        b["text"]["text"]
        for b in body["blocks"]
        if b["type"] == "section" and b.get("text", {}).get("type") == "mrkdwn"
    ]
    assert markup == ["<https://fw.example/incidents/inc-1|Open the incident>"], "ours alone"
    assert providers.wrong("pagerduty", {"routing_key": "r" * 32, **pagerduty.payload(told)}) == ""
    mail = Destination("m", Kind.EMAIL, mail=MAIL)
    parsed = email.message_from_bytes(render(mail, told).bodies[0][1], policy=email.policy.default)
    assert (parsed["To"], parsed["Bcc"], len(parsed.get_all("Subject") or [])) == ("a@example.com", None, 1)
    page = parsed.get_body(("html",))
    assert page is not None
    assert "<script" not in page.get_content()


def test_what_hides_itself_is_spelled_out() -> None:
    body = slack.payload(evil_message("\u202egnp.exe\x1b[2J\ud800"))
    assert body["blocks"][1]["text"]["text"] == "\\u202egnp.exe\\x1b[2J\\ud800"


def test_one_thread_is_one_dedup_key_from_its_beginning_to_its_end() -> None:
    events = [Event.OPENED, Event.RAISED, Event.ACKNOWLEDGED, Event.RESOLVED]
    told = [pagerduty.payload(message(notice(event))) for event in events]
    assert [one["event_action"] for one in told] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {one["dedup_key"] for one in told} == {"inc-1"}


def test_alertmanager_ends_an_alert_under_the_labels_it_began_with() -> None:
    (begun,) = alertmanager.payload(message(notice(severity=Severity.MEDIUM)))
    old, new = alertmanager.payload(message(notice(Event.RAISED, was=Severity.MEDIUM, severity=Severity.CRITICAL)))
    (over,) = alertmanager.payload(message(notice(Event.RESOLVED, was=Severity.CRITICAL, severity=Severity.LOW)))
    assert (old["labels"], over["labels"]) == (begun["labels"], new["labels"])
    assert old["endsAt"] == over["endsAt"] == "2026-09-21T14:15:00.000Z" < begun["endsAt"]


def test_a_flood_is_one_digest_that_says_how_many() -> None:
    assert len(slack.payload(SEVERAL)["blocks"]) <= 50
    assert slack.payload(SEVERAL)["text"] == "60 incidents at once (new incident), the worst high"
    details = pagerduty.payload(SEVERAL)["payload"]["custom_details"]
    assert (len(details["incidents"]), details["more"]) == (20, 40)
    assert record.payload(SEVERAL)["type"] == "incident.opened"
    assert record.payload(message(notice(), notice(Event.RESOLVED)))["type"] == "digest"


def test_nothing_that_opens_a_destination_is_in_what_is_rendered_or_shown() -> None:
    secret = "s3cr3t-" + "x" * 25
    for kind in Kind:
        mail = Mail("smtp.example.com", 587, Tls.STARTTLS, "me", secret, "fw@example.com", ("a@example.com",))
        one = Destination("d", kind, f"https://hooks.example/{secret}", secret, Format.PLAIN, Path("f"), "t", mail)
        assert secret not in repr(one)
        assert not any(secret.encode() in body for _, body in render(one, EVERY[0]).bodies)
