"""Puts rendered messages where they belong: HTTP, mail, file, topic. One attempt each, bounded in time as a whole.

A name is resolved once, what it leads to is judged, and the connection goes to exactly that address.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiosmtplib
import httpx
import msgspec
from confluent_kafka import KafkaException, Producer

from enforcer.notify import addresses
from enforcer.notify.addresses import Network
from enforcer.notify.destinations import Destination, Kind, Mail, Tls
from enforcer.notify.outcome import DELIVERED, Came, Outcome, of_status
from enforcer.notify.render import Rendered
from schemas.settings import PREFIX

ATTEMPT_S: Final = 10.0
ADDRESSES_MAX: Final = 4
ANSWER_BYTES: Final = 2048
AGENT: Final = "floodwarden"
_FAULTS: Final = (httpx.HTTPError, httpx.InvalidURL, aiosmtplib.SMTPException, KafkaException, BufferError)
Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotAllowedError(Exception):
    """A name that leads nowhere one may connect to."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system has them. Raises OSError where there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Deliverer:
    """Delivers for one process. Not to be shared between event loops."""

    def __init__(
        self, kafka: str, private: tuple[Network, ...], clock_ms: Callable[[], int], resolved: Resolve = resolve
    ) -> None:
        self._kafka = kafka
        self._private = private
        self._clock_ms = clock_ms
        self._resolve = resolved
        self._producer: Any = None
        self._threads: dict[str, asyncio.Future[Outcome]] = {}
        self._contexts: dict[Path | None, ssl.SSLContext] = {}

    async def deliver(self, destination: Destination, message_id: str, rendered: Rendered) -> Outcome:
        """Try once. Never raises but for a mistake of ours; takes at most `ATTEMPT_S`."""
        outcome = await self._attempt(destination, message_id, rendered)
        return replace(outcome, reason=_masked(destination, outcome.reason))

    async def _attempt(self, destination: Destination, message_id: str, rendered: Rendered) -> Outcome:
        attempt = self._way(destination, message_id, rendered)
        try:
            async with asyncio.timeout(ATTEMPT_S):
                return await attempt
        except TimeoutError:
            return Outcome(Came.FAILED, f"no answer within {ATTEMPT_S:g} s")
        except NotAllowedError as error:
            return Outcome(Came.REFUSED, str(error))
        except (*_FAULTS, OSError, ValueError) as error:
            return Outcome(Came.FAILED, _said(error))

    def _way(self, destination: Destination, message_id: str, rendered: Rendered) -> Awaitable[Outcome]:
        match destination.kind:
            case Kind.EMAIL:
                return self._mail(destination, rendered)
            case Kind.FILE:
                return self._in_thread(destination, lambda: _append(destination, rendered))
            case Kind.KAFKA:
                return self._in_thread(destination, lambda: self._produce(destination, rendered))
            case Kind.SLACK | Kind.PAGERDUTY | Kind.ALERTMANAGER | Kind.WEBHOOK:
                return self._post(destination, message_id, rendered)

    async def _post(self, destination: Destination, message_id: str, rendered: Rendered) -> Outcome:
        body = _opened(destination, rendered.bodies[0][1])
        url = httpx.URL(destination.url)
        headers = {
            "content-type": rendered.content_type, "user-agent": AGENT, "host": url.netloc.decode("ascii"),
            "accept-encoding": "identity",
        } | _signed(destination, message_id, body, self._clock_ms())  # fmt: skip
        last: Exception | None = None
        for address in await self._addresses(url.host, url.port or (443 if url.scheme == "https" else 80)):
            try:
                return await self._post_to(destination, url.copy_with(host=address), headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
        raise last or OSError("no address")

    async def _post_to(self, destination: Destination, url: httpx.URL, headers: dict[str, str], body: bytes) -> Outcome:
        # The name is in the Host header and in TLS, which holds the certificate against it; the address is in the URL.
        name = httpx.URL(destination.url).raw_host.decode("ascii")
        context = self._context(destination.ca) if url.scheme == "https" else False
        async with (
            httpx.AsyncClient(trust_env=False, verify=context, timeout=ATTEMPT_S) as client,
            client.stream("POST", url, content=body, headers=headers, extensions={"sni_hostname": name}) as answer,
        ):
            said = b""
            async for chunk in answer.aiter_raw(ANSWER_BYTES):
                said += chunk
                if len(said) >= ANSWER_BYTES:
                    break
            text = said[:ANSWER_BYTES].decode("utf-8", "replace").strip()
            return of_status(answer.status_code, text, answer.headers.get("retry-after"))

    async def _mail(self, destination: Destination, rendered: Rendered) -> Outcome:
        mail = destination.mail
        assert mail is not None  # noqa: S101 - the file has no mail destination without it
        (address, *_) = await self._addresses(mail.host, mail.port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        line = socket.socket(family, socket.SOCK_STREAM)
        line.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(line, (address, mail.port))
        except BaseException:
            line.close()
            raise
        return await _send(mail, line, self._context(destination.ca), rendered.bodies[0][1])

    async def _in_thread(self, destination: Destination, attempt: Callable[[], Outcome]) -> Outcome:
        """In a thread, and not while the attempt before still hangs in one: no destination takes up the others'."""
        before = self._threads.get(destination.name)
        if before is not None and not before.done():
            return Outcome(Came.FAILED, "the attempt before has not ended")
        begun = asyncio.get_running_loop().run_in_executor(None, attempt)
        self._threads[destination.name] = begun
        return await asyncio.shield(begun)

    async def _addresses(self, host: str, port: int) -> list[str]:
        found = await self._resolve(host, port)
        good = addresses.some(found, self._private)
        if not good:
            where = ", ".join(found[:3]) or "nowhere"
            raise NotAllowedError(f"{host} leads to {where}, no public address: allow it in {PREFIX}NOTICES_PRIVATE")
        return good[:ADDRESSES_MAX]

    def _context(self, ca: Path | None) -> ssl.SSLContext:
        if ca not in self._contexts:
            self._contexts[ca] = ssl.create_default_context(cafile=ca)
        return self._contexts[ca]

    def _produce(self, destination: Destination, rendered: Rendered) -> Outcome:
        if self._producer is None:
            self._producer = Producer(
                {"bootstrap.servers": self._kafka, "linger.ms": 0, "message.timeout.ms": int(ATTEMPT_S * 900),
                 "log_level": 0}
            )  # fmt: skip
        failed: list[str] = []
        for uid, body in rendered.bodies:
            self._producer.produce(
                destination.topic, body, uid, headers=[("content-type", rendered.content_type.encode())],
                on_delivery=lambda error, _: failed.append(error.str()) if error else None,
            )  # fmt: skip
        left = self._producer.flush(ATTEMPT_S)
        return Outcome(Came.FAILED, failed[0] if failed else "no answer of the broker") if failed or left else DELIVERED


def _opened(destination: Destination, body: bytes) -> bytes:
    """The body as it is sent: only now does it hold what opens the destination."""
    if destination.kind is not Kind.PAGERDUTY:
        return body
    return msgspec.json.encode({"routing_key": destination.secret} | msgspec.json.decode(body))


def _signed(destination: Destination, message_id: str, body: bytes, now_ms: int) -> dict[str, str]:
    if destination.kind is not Kind.WEBHOOK:
        return {}
    at_s = now_ms // 1000
    digest = hmac.new(destination.secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "floodwarden-signature": f"t={at_s},v1={digest}",
        "floodwarden-id": message_id,
        "idempotency-key": message_id,
    }


async def _send(mail: Mail, line: socket.socket, context: ssl.SSLContext, message: bytes) -> Outcome:
    # The client closes the socket it is given.
    client = aiosmtplib.SMTP(
        hostname=mail.host, sock=line, timeout=ATTEMPT_S, use_tls=mail.tls is Tls.IMPLICIT,
        start_tls=mail.tls is Tls.STARTTLS, tls_context=context if mail.tls is not Tls.NONE else None,
        username=mail.user or None, password=mail.password or None, local_hostname="floodwarden",
    )  # fmt: skip
    try:
        async with client:
            await client.sendmail(_bare(mail.sender), [_bare(one) for one in mail.to], message)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _of_smtp(error.recipients[0].code, "no recipient was taken")
    except aiosmtplib.SMTPResponseException as error:
        return _of_smtp(error.code, error.message)
    return DELIVERED


def _of_smtp(code: int, said: str) -> Outcome:
    return Outcome(Came.REFUSED if code >= 500 else Came.FAILED, f"SMTP {code}: {said[:200]}")


def _bare(address: str) -> str:
    return address.rpartition("<")[2].rstrip(">").strip()


def _append(destination: Destination, rendered: Rendered) -> Outcome:
    """Whole lines at the end of the file; what a crash left half is ended first, so that no line is spoilt by it."""
    assert destination.path is not None  # noqa: S101 - the file has no such destination without it
    lines = b"".join(body + b"\n" for _, body in rendered.bodies)
    with destination.path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    return DELIVERED


def _said(error: BaseException) -> str:
    """What went wrong, without what a client may repeat of the URL: Slack's is a secret."""
    name = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{name}: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{name}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return name


def _masked(destination: Destination, reason: str) -> str:
    """A reason that the other side gave, without what opens the destination, should it have repeated that."""
    password = destination.mail.password if destination.mail else ""
    path = httpx.URL(destination.url).raw_path.decode("ascii") if destination.kind is Kind.SLACK else ""
    for secret in (destination.secret, password, path):
        reason = reason.replace(secret, "***") if len(secret) > 1 else reason
    return reason
