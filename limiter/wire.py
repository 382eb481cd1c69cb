"""What `/v1/check` and its kin read and write: JSON in, JSON out; what cannot be taken is named. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from limiter import answers, attributes
from limiter.addresses import address
from limiter.algorithms.concurrency import TOKENS_MAX
from limiter.facts import PARTS_MAX
from limiter.identity import KEY_BYTES_MAX, VALUE_BYTES_MAX, Identifier
from limiter.matcher import Identity
from limiter.question import PATH_CHARS_MAX, PATH_CHARS_TAKEN, too_long
from limiter.verdict import Answer, Request, Slot
from schemas import codec
from schemas.decision import COST_MAX, TEXT_BYTES_MAX, Decision
from schemas.errors import BadMessageError, one_of
from schemas.privacy import cut, shortened

CHECKS_MAX: Final = 1_000
SLOT_CHARS_MAX: Final = PARTS_MAX * (VALUE_BYTES_MAX + len("256:,"))  # of a client that counts by several names
T = TypeVar("T")


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question to `/v1/check`. With `publish` false nobody hears of it until the gateway posts the row itself.

    With `peek` the answer is what it would be: nothing is taken, and no row comes of it.
    """

    path: str
    method: str = "GET"
    ip: str | None = None
    api_key: str | None = None
    key_id: str | None = None
    user: str | None = None
    tenant: str | None = None
    route: str | None = None
    tier: str | None = None
    cost: int | None = None
    ua: str | None = None
    attributes: dict[str, str] | None = None
    publish: bool = True
    peek: bool = False


class Checks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several questions, for `/v1/checks`."""

    requests: list[Check]


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The slots of answers whose requests are done, for `/v1/release`."""

    slots: list[Slot]


_TEXTS: Final = ("path", "method", "key_id", "user", "tenant", "route", "tier")
TOLD: Final = tuple(
    "rule reason policy limit remaining reset_ms retry_after_ms delay_ms action shadow shadow_rule".split()  # noqa: SIM905 - as a list it is ten lines
)
_CHECK: Final = msgspec.json.Decoder(Check)
_CHECKS: Final = msgspec.json.Decoder(Checks)
_RELEASE: Final = msgspec.json.Decoder(Release)
_ROWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_HALF: Final = re.compile("[\ud800-\udfff]")  # of a pair, which alone is no text, or a byte that is none
_PARTS: Final[dict[object, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {  # a body, and what is in it
    Check: (Check, Check),
    Checks: (Checks, Check),
    Release: (Release, Slot),
}


def check(body: bytes) -> Check:
    """One question. Raises `BadMessageError` naming the field."""
    return checked(_decoded(_CHECK, body), "")


def checks(body: bytes) -> list[Check]:
    """Several questions, at most `CHECKS_MAX`. Raises `BadMessageError` naming the field."""
    found = _decoded(_CHECKS, body).requests
    if len(found) > CHECKS_MAX:
        raise BadMessageError("too_large", "requests", f"{len(found)} questions", f"at most {CHECKS_MAX} at a time")
    return [checked(one, f"requests[{at}].") for at, one in enumerate(found)]


def release(body: bytes) -> list[Slot]:
    """Slots to free, at most `CHECKS_MAX`. Raises `BadMessageError` naming the field."""
    found = _decoded(_RELEASE, body).slots
    if len(found) > CHECKS_MAX:
        raise BadMessageError("too_large", "slots", f"{len(found)} slots", f"at most {CHECKS_MAX} at a time")
    for n, slot in enumerate(found):
        at = f"slots[{n}]"
        if not 1 <= slot.cost <= TOKENS_MAX:
            raise BadMessageError("bad_value", f"{at}.cost", f"{slot.cost} is out of range", f"1 to {TOKENS_MAX}")
        for name in ("limit", "identity", "id"):
            if len(value := getattr(slot, name)) > SLOT_CHARS_MAX:
                raise BadMessageError("too_large", f"{at}.{name}", f"{len(value)} characters", "as it was given")
    if (held := sum(slot.cost for slot in found)) > TOKENS_MAX:  # Redis frees them one by one, and does nothing else
        raise BadMessageError("too_large", "slots", f"they hold {held} together", f"at most {TOKENS_MAX} at a time")
    return found


def request(one: Check, identifier: Identifier) -> Request:
    """A question as the node takes it; an API key is hashed here and goes no further."""
    ip = address(one.ip) if one.ip else None
    key_id = cut(one.key_id, TEXT_BYTES_MAX) or (identifier.key_id(one.api_key) if one.api_key else None)
    identity = Identity(
        str(ip) if ip else None, key_id, shortened(one.user, VALUE_BYTES_MAX), shortened(one.tenant, VALUE_BYTES_MAX)
    )
    return Request(
        one.method,
        one.path[:PATH_CHARS_MAX],
        identity,
        cut(one.route, TEXT_BYTES_MAX),
        cut(one.tier, TEXT_BYTES_MAX),
        one.cost,
        cut(one.ua, TEXT_BYTES_MAX),
        identifier.given(one.attributes, identity.ip),
        one.peek,
    )


def reply(answer: Answer, decision: Decision | None) -> dict[str, Any]:
    """The answer for a gateway: what to do, the status and headers to show, and, unpublished, the row to complete."""
    found: dict[str, Any] = {
        "allowed": answer.allowed,
        "verdict": answer.verdict,
        "status": answers.status(answer),
        "route": answer.route,
        "tier": answer.tier,
        "cost": answer.cost,
        "mode": answer.mode,
        "headers": dict(answers.headers(answer)),
    }
    found.update({name: value for name in TOLD if (value := getattr(answer, name)) is not None})
    if slots := answer.slots:
        found["slots"] = slots
    if decision is not None:
        found["decision"] = decision
    return found


def rows(body: bytes) -> tuple[list[Decision], list[tuple[int, bytes, BadMessageError]]]:
    """JSON decisions: the good ones, and each bad one with its place and bytes.

    Raises `BadMessageError` when the body as a whole is not one object or an array of objects.
    """
    try:
        return _good(codec.rows_from_json(body)), []
    except BadMessageError:
        if body.lstrip()[:1] != b"[":
            raise
    try:
        parts = _ROWS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:  # it may nest without end
        raise BadMessageError("bad_json", "body", str(error), "send one JSON object or an array of objects") from error
    good: list[Decision] = []
    bad: list[tuple[int, bytes, BadMessageError]] = []
    for at, part in enumerate(parts):
        try:
            good.extend(_good(codec.rows_from_json(bytes(part))))
        except BadMessageError as error:
            bad.append((at, bytes(part), error))
    return good, bad


def _good(found: list[Decision]) -> list[Decision]:
    codec.from_rows(found)  # values are judged here, on the columns
    return found


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        whole, part = _PARTS[decoder.type]
        raise _named(error, whole, part) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if field := _no_text(body):
            fix = "send UTF-8; where it came from a client, refuse the client"
            raise BadMessageError("bad_json", field.lstrip("."), "is not UTF-8", fix) from error
        raise BadMessageError("bad_json", "body", str(error), "send a JSON object") from error


def _no_text(body: bytes) -> str:
    """Which text in JSON is not UTF-8, as `requests[1].user`; empty where it is something else that is wrong."""
    try:
        return _halved(json.loads(body.decode("utf-8", "surrogateescape")), "", 4)
    except (ValueError, RecursionError):
        return ""


def _halved(found: object, at: str, deep: int) -> str:
    if isinstance(found, str):
        return "" if found.isascii() or not _HALF.search(found) else at
    parts: Iterable[tuple[str, object]] = ()
    if isinstance(found, dict):
        parts = ((f"{at}.{name}", value) for name, value in found.items())
    elif isinstance(found, list):
        parts = ((f"{at}[{n}]", value) for n, value in enumerate(found))
    return next((hit for where, value in parts if (hit := _halved(value, where, deep - 1))), "") if deep else ""


def _named(error: msgspec.ValidationError, whole: type[msgspec.Struct], part: type[msgspec.Struct]) -> BadMessageError:
    reason, _, at = str(error).partition(" - at `$")
    quoted = reason.split("`")
    named = quoted[1] if "field `" in reason and len(quoted) > 2 else ""
    field = ".".join(each for each in (at.rstrip("`").lstrip("."), named) if each) or "body"
    known = (part if at else whole).__struct_fields__
    if named:
        fix = one_of(named, known) if "unknown" in reason else f"it has {', '.join(known)}"
    else:
        fix = f"send `{quoted[1]}`" if len(quoted) > 2 else "see docs/gateways.md"
    return BadMessageError("bad_value", field, reason, fix)


def said(given: Mapping[str, object]) -> Check:
    """One question, from a program's own values. Raises `BadMessageError` naming the field."""
    try:
        return checked(msgspec.convert(given, Check), "")
    except msgspec.ValidationError as error:
        raise _named(error, Check, Check) from error


def checked(one: Check, at: str) -> Check:
    """`one`, when its values can be taken. Raises `BadMessageError` naming the field; `at` stands before its name."""
    for name in _TEXTS:
        if (text := getattr(one, name)) is not None and "\0" in text:
            raise BadMessageError("bad_value", f"{at}{name}", "holds a NUL", "refuse the client")
    if len(one.path) > PATH_CHARS_TAKEN:
        raise too_long(one.path, f"{at}path")
    if one.cost is not None and not 0 <= one.cost <= COST_MAX:
        raise BadMessageError("bad_value", f"{at}cost", f"{one.cost} is out of range", f"0 to {COST_MAX}")
    if one.ip is not None and address(one.ip) is None:
        raise BadMessageError("bad_value", f"{at}ip", f"{one.ip[:64]!r} is no address", "IPv4 or IPv6, no network")
    if one.key_id is not None and len(one.key_id) > 64:
        raise BadMessageError("too_large", f"{at}key_id", f"{len(one.key_id)} characters", "a keyed hash, at most 64")
    if one.api_key is not None:
        _key_checked(one.api_key, f"{at}api_key")
    if not 1 <= len(one.method) <= 16:
        raise BadMessageError("bad_value", f"{at}method", "is empty or too long", "an HTTP method: GET")
    if one.attributes:
        attributes.checked(one.attributes, f"{at}attributes")
    return one


def _key_checked(key: str, field: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise BadMessageError("bad_value", field, "is not UTF-8", "send the key as it was given to you") from error
    if length > KEY_BYTES_MAX:
        reason = f"{len(key)} characters"
        raise BadMessageError("too_large", field, reason, f"at most {KEY_BYTES_MAX} bytes; refuse the client")
