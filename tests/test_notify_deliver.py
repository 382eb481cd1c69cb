"""One attempt at each kind of place, against local servers: what arrives, what is refused, what is never said."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from confluent_kafka.admin import AdminClient, NewTopic
from providers import Providers, providers, signed, wrong
from test_notify_forms import EVERY, SEVERAL

from enforcer.notify import addresses, deliver
from enforcer.notify.deliver import Deliverer
from enforcer.notify.destinations import Destination, Format, Kind, Mail, Tls
from enforcer.notify.outcome import Came, Outcome
from enforcer.notify.render import render
from floodwarden import topic_reading
from schemas.settings import Settings
from schemas.topics import Topic

SECRET = "0123456789abcdef0123456789abcdef"
LOOPBACK = addresses.parse("127.0.0.0/8")
TOLD = EVERY[0]


@pytest.fixture(scope="module")
def server() -> Iterator[Providers]:
    with providers() as made:
        yield made


@pytest.fixture(autouse=True)
def empty(server: Providers) -> None:
    server.got.clear()
    server.script.clear()
    server.headers.clear()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def tried(destination: Destination, told: Any = TOLD, **more: Any) -> Outcome:
    async def once() -> Outcome:
        given: dict[str, Any] = {"private": LOOPBACK, "resolved": deliver.resolve, "kafka": "127.0.0.1:1"} | more
        sender = Deliverer(given["kafka"], given["private"], now_ms, given["resolved"])
        return await sender.deliver(destination, told.id, render(destination, told))

    return asyncio.run(once())


def to(server: Providers, kind: Kind, path: str, **more: Any) -> Destination:
    return Destination("d", kind, f"http://localhost:{server.port}{path}", SECRET, **more)


@pytest.mark.parametrize("told", EVERY, ids=lambda told: f"{len(told.notices)} {told.event}")
def test_every_provider_takes_what_it_gets(server: Providers, told: Any) -> None:
    for kind, path in (
        (Kind.SLACK, "/services/T0/B0/x"),
        (Kind.PAGERDUTY, "/v2/enqueue"),
        (Kind.ALERTMANAGER, "/api/v2/alerts"),
    ):
        assert tried(to(server, kind, path), told) == Outcome(Came.DELIVERED)
    for form in Format:
        assert tried(to(server, Kind.WEBHOOK, f"/{form}", format=form), told) == Outcome(Came.DELIVERED)
    assert [got.json()["routing_key"] for got in server.at("/v2/enqueue")] == [SECRET]
    assert {got.headers["host"] for got in server.got} == {f"localhost:{server.port}"}


def test_a_webhook_is_signed_over_its_time_and_its_very_bytes(server: Providers) -> None:
    tried(to(server, Kind.WEBHOOK, "/plain"))
    (got,) = server.got
    header = got.headers["floodwarden-signature"]
    now_s = now_ms() // 1000
    assert signed(SECRET, header, got.body, now_s)
    assert not signed(SECRET, header, got.body + b" ", now_s)
    assert not signed(SECRET[:-1], header, got.body, now_s)
    assert not signed(SECRET, header, got.body, now_s + 301)
    assert got.headers["floodwarden-id"] == got.headers["idempotency-key"] == TOLD.id == got.json()["id"]
    assert SECRET not in got.body.decode()


def test_what_is_refused_is_not_tried_again_and_what_failed_is(server: Providers) -> None:
    webhook = to(server, Kind.WEBHOOK, "/plain")
    server.script += [500, 429, 400, 307]
    server.headers |= {"retry-after": "7", "location": f"{server.base}/elsewhere"}
    assert [tried(webhook).came for _ in range(4)] == [Came.FAILED, Came.FAILED, Came.REFUSED, Came.REFUSED]
    assert server.at("/elsewhere") == [], "no redirect is followed"
    server.script += [429]
    assert tried(webhook).again_ms == 7_000


@pytest.mark.parametrize(
    "url", ["http://localhost:{}/", "http://127.0.0.1:{}/", "http://[::1]:{}/", "http://[::ffff:127.0.0.1]:{}/"]
)
def test_no_private_address_is_connected_to_unless_it_is_allowed(server: Providers, url: str) -> None:
    private = Destination("d", Kind.WEBHOOK, url.format(server.port), SECRET)
    outcome = tried(private, private=())
    assert (outcome.came, "FLOODWARDEN_NOTICES_PRIVATE" in outcome.reason) == (Came.REFUSED, True)
    assert server.got == []


def answering(*answers: list[str]) -> tuple[Callable[[str, int], Awaitable[list[str]]], list[str]]:
    """A name server that answers differently each time, and whom it was asked for."""
    left, asked = list(answers), []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return left.pop(0)

    return resolve, asked


def test_a_name_is_asked_for_once_and_what_was_judged_is_what_is_connected_to(server: Providers) -> None:
    webhook = Destination("d", Kind.WEBHOOK, f"http://rebinding.example:{server.port}/plain", SECRET)
    resolve, asked = answering(["127.0.0.1"], ["10.0.0.1"])
    assert tried(webhook, resolved=resolve).came is Came.DELIVERED
    assert (asked, server.got[0].headers["host"]) == (["rebinding.example"], f"rebinding.example:{server.port}")
    resolve, asked = answering(["10.0.0.1", "169.254.169.254"], ["127.0.0.1"])
    assert tried(webhook, resolved=resolve).came is Came.REFUSED
    assert (len(asked), len(server.got)) == (1, 1)


def test_of_several_addresses_the_next_is_tried_where_one_does_not_listen(server: Providers) -> None:
    resolve, _ = answering(["127.0.0.9", "127.0.0.1"])
    webhook = Destination("d", Kind.WEBHOOK, f"http://two.example:{server.port}/plain", SECRET)
    assert tried(webhook, resolved=resolve).came is Came.DELIVERED


def test_who_hangs_is_left_after_a_bound_and_says_nothing_secret(
    server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "ATTEMPT_S", 0.3)
    server.hanging.set()
    outcome = tried(to(server, Kind.SLACK, "/services/T0/B0/secretsecret"))
    server.hanging.clear()
    assert (outcome.came, "no answer" in outcome.reason) == (Came.FAILED, True)


def test_no_reason_repeats_what_opens_a_destination(server: Providers) -> None:
    slack = to(server, Kind.SLACK, "/services/T0/B0/secretsecret")
    for outcome in (tried(replace(slack, url="http://127.0.0.1:1/services/secretsecret")), tried(slack, private=())):
        assert outcome.reason
        assert "secretsecret" not in outcome.reason
    echo = Outcome(Came.REFUSED, f"bad key {SECRET} at /services/T0/B0/secretsecret")
    masked = deliver._masked(slack, echo.reason)
    assert masked == "bad key *** at ***"


def test_tls_is_held_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server(ca.issue_cert("hook.example")) as port:
        url = f"https://{{}}.example:{port}/plain"
        good = Destination("d", Kind.WEBHOOK, url.format("hook"), SECRET, ca=tmp_path / "ca.pem")
        resolve, _ = answering(*[["127.0.0.1"]] * 3)
        assert tried(good, resolved=resolve).came is Came.DELIVERED
        other = tried(replace(good, url=url.format("other")), resolved=resolve)
        assert (other.came, "Hostname mismatch" in other.reason) == (Came.FAILED, True)
        unknown = tried(replace(good, ca=None), resolved=resolve)
        assert (unknown.came, "certificate" in unknown.reason) == (Came.FAILED, True)


@contextlib.contextmanager
def tls_server(cert: trustme.LeafCert) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert.configure_cert(context)
    with providers(context) as made:
        yield made.port


class Mailbox:
    def __init__(self) -> None:
        self.got: list[Envelope] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        self.got.append(envelope)
        return "250 OK"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, to: str, ___: list[str]) -> str:  # noqa: N802
        if to.startswith("full"):
            return "452 mailbox full"
        if to.startswith("gone"):
            return "550 no such user"
        envelope.rcpt_tos.append(to)
        return "250 OK"


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mailbox, Destination]]:
    """A mail server that wants STARTTLS and a password, and a destination by it."""
    directory, ca = tmp_path_factory.mktemp("mail"), trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("mail.example").configure_cert(context)
    box = Mailbox()

    def check(_: Any, __: Any, ___: Any, ____: str, told: Any) -> AuthResult:
        return AuthResult(success=(told.login, told.password) == (b"me", SECRET.encode()), handled=False)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(
        box, "127.0.0.1", port, tls_context=context, require_starttls=True, authenticator=check, auth_required=True
    )
    controller.start()
    by = Mail("mail.example", port, Tls.STARTTLS, "me", SECRET, "Floodwarden <fw@example.com>", ("a@example.com",))
    yield box, Destination("team", Kind.EMAIL, mail=by, ca=directory / "ca.pem")
    controller.stop()


async def here(_: str, __: int) -> list[str]:
    return ["127.0.0.1"]


def test_mail_goes_encrypted_with_its_password_to_everybody_once(mail: tuple[Mailbox, Destination]) -> None:
    box, destination = mail
    assert tried(destination, SEVERAL, resolved=here) == Outcome(Came.DELIVERED)
    (got,) = box.got
    assert (got.mail_from, got.rcpt_tos) == ("fw@example.com", ["a@example.com"])
    told = email.message_from_bytes(bytes(got.content or b""), policy=email.policy.default)
    assert told["Message-ID"] == f"<{SEVERAL.id}@example.com>"
    assert told["Auto-Submitted"] == "auto-generated"
    text = told.get_body(("plain",))
    assert text is not None
    assert "and 40 more" in text.get_content()


@pytest.mark.parametrize(("whom", "came"), [("full@example.com", Came.FAILED), ("gone@example.com", Came.REFUSED)])
def test_a_mail_server_says_whether_to_try_again(mail: tuple[Mailbox, Destination], whom: str, came: Came) -> None:
    _, destination = mail
    assert destination.mail is not None
    outcome = tried(replace(destination, mail=replace(destination.mail, to=(whom,))), resolved=here)
    assert (outcome.came, outcome.reason[:4]) == (came, "SMTP")


def test_mail_is_given_to_nobody_but_the_server_that_was_named(mail: tuple[Mailbox, Destination]) -> None:
    _, destination = mail
    assert destination.mail is not None
    other = replace(destination, mail=replace(destination.mail, host="other.example"))
    assert tried(other, resolved=here).came is Came.FAILED
    assert tried(destination, private=(), resolved=here).came is Came.REFUSED
    wrong_password = replace(destination.mail, password="x" * 20)
    outcome = tried(replace(destination, mail=wrong_password), resolved=here)
    assert (outcome.came, "x" * 20 in outcome.reason) == (Came.REFUSED, False), outcome


@pytest.mark.parametrize("form", [Format.OCSF, Format.ECS])
def test_a_file_gets_a_line_for_each_incident_also_after_half_a_line_was_left(tmp_path: Path, form: Format) -> None:
    path = tmp_path / "findings.jsonl"
    path.write_text('{"half', "utf-8")
    kept = Destination("kept", Kind.FILE, path=path, format=form)
    assert tried(kept, SEVERAL) == tried(kept) == Outcome(Came.DELIVERED)
    half, *lines = path.read_text("utf-8").splitlines()
    assert half == '{"half'
    assert [wrong(form.value, json.loads(line)) for line in lines] == [""] * 61
    assert tried(replace(kept, path=tmp_path)).reason == "IsADirectoryError: Is a directory"


@pytest.mark.integration
@pytest.mark.parametrize("form", [Format.OCSF, Format.ECS])
def test_a_topic_gets_a_record_for_each_incident_under_its_uid(
    embedded_address: str, topic_prefix: str, form: Format
) -> None:
    findings = Topic("findings", 1)
    settings = Settings(kafka=embedded_address, topic_prefix=topic_prefix)
    name = settings.topic(findings)
    admin = AdminClient({"bootstrap.servers": embedded_address})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(60)
    outcome = tried(Destination("bus", Kind.KAFKA, topic=name, format=form), SEVERAL, kafka=embedded_address)
    assert outcome == Outcome(Came.DELIVERED)
    records = list(topic_reading.read(settings, findings))
    assert [record.key().decode() for record in records] == [notice.incident.uid for notice in SEVERAL.notices]
    assert {wrong(form.value, json.loads(record.value())) for record in records} == {""}
    assert {dict(record.headers())["content-type"] for record in records} == {b"application/json"}


def test_a_broker_that_is_away_is_a_failure_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "ATTEMPT_S", 1.0)
    assert tried(Destination("bus", Kind.KAFKA, topic="t")).came is Came.FAILED
