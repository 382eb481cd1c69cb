"""Envoy's question as requests: what each descriptor says of a client, by the keys of its entries. Pure.

A descriptor is one request of its own, judged for itself. Keys with a meaning here (`remote_address`, `path` ...) fill
that field; any other is what policies call `descriptor:KEY`. The domain is `attribute:domain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from google.protobuf.message import DecodeError

from limiter.addresses import address
from limiter.attributes import FIX, canonical_name
from limiter.envoy.messages import RateLimitRequest
from limiter.identity import KEY_BYTES_MAX, VALUE_BYTES_MAX, Identifier
from limiter.matcher import Identity
from limiter.memo import Memo
from limiter.question import PATH_CHARS_MAX
from limiter.verdict import Request
from schemas.decision import COST_MAX, TEXT_BYTES_MAX
from schemas.errors import BadMessageError, SettingsError
from schemas.privacy import cut, shortened
from schemas.settings import PREFIX

DESCRIPTORS_MAX: Final = 64
ENTRIES_MAX: Final = 64
KEPT_MAX: Final = 10_000  # messages whose calls are remembered: a client that keeps asking sends the same bytes
KEPT_BYTES_MAX: Final = 1_024
UNKNOWN_ROUTE: Final = "/*"  # where no entry says which path was asked for
_FIELDS: Final = ("ip", "user", "tenant", "api_key", "key_id", "method", "path", "route", "tier", "user_agent")
_MEANINGS: Final = {
    "remote_address": "ip",
    "user": "user",
    "user_id": "user",
    "tenant": "tenant",
    "api_key": "api_key",
    "x-api-key": "api_key",
    "key_id": "key_id",
    "method": "method",
    ":method": "method",
    "path": "path",
    ":path": "path",
    "route": "route",
    "tier": "tier",
    "user_agent": "user_agent",
    "user-agent": "user_agent",
    "country": "country",
    "asn": "asn",
    "service": "service",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Envoy: a request for each descriptor, in their order, and all of them as the one that a row tells.

    `whole` has each field from the first descriptor that says it; without a path nobody knows what was asked for.
    """

    requests: tuple[Request, ...]
    whole: Request
    peeks: bool  # it only asks, by all its descriptors


class Reader:
    """Bytes of a `RateLimitRequest` -> `Call`, by the settings."""

    def __init__(self, identifier: Identifier, mapping: str = "") -> None:
        self._identifier = identifier
        self._meanings = _MEANINGS | meanings(mapping)
        self._before: Memo[bytes, Call] = Memo(KEPT_MAX)  # by what a message hashes to: keys of clients are not kept

    def read(self, message: bytes) -> Call:
        """Raises `BadMessageError` naming the field that cannot be taken."""
        if len(message) > KEPT_BYTES_MAX:
            return self._read(message)
        of = blake2b(message, digest_size=16).digest()
        call = self._before.get(of)
        if call is None:
            call = self._read(message)
            self._before.put(of, call)
        return call

    def _read(self, message: bytes) -> Call:
        asked = RateLimitRequest()
        try:
            asked.ParseFromString(message)
        except DecodeError as error:
            raise BadMessageError("bad_value", "message", str(error), "send a RateLimitRequest, v3") from error
        if not asked.domain:
            raise BadMessageError("missing_field", "domain", "is empty", "set `domain` of the filter")
        given = asked.descriptors
        if not given:
            raise BadMessageError("missing_field", "descriptors", "is empty", "give the route `rate_limits` actions")
        if len(given) > DESCRIPTORS_MAX:
            raise BadMessageError("too_large", "descriptors", f"{len(given)} of them", f"at most {DESCRIPTORS_MAX}")
        requests = tuple(
            self._request(one, f"descriptors[{at}]", asked.domain, asked.hits_addend) for at, one in enumerate(given)
        )
        whole = requests[0] if len(requests) == 1 else _whole(requests)
        return Call(requests, whole, all(request.peek for request in requests))

    def _request(self, one: Any, at: str, domain: str, hits: int) -> Request:
        if len(one.entries) > ENTRIES_MAX:
            raise BadMessageError("too_large", f"{at}.entries", f"{len(one.entries)} of them", f"at most {ENTRIES_MAX}")
        if one.is_negative_hits:
            raise BadMessageError("bad_value", f"{at}.is_negative_hits", "is set", "nothing is given back this way")
        fields: dict[str, str] = {}
        attributes = {"attribute:domain": domain}
        cost = _cost(one, at, hits)
        for n, entry in enumerate(one.entries):
            meaning = self._meanings.get(entry.key) or canonical_name(f"descriptor:{entry.key.removeprefix(':')}")
            if "\0" in entry.value:
                raise BadMessageError("bad_value", f"{at}.entries[{n}].value", "holds a NUL", "refuse the client")
            if meaning is None:
                raise BadMessageError("bad_value", f"{at}.entries[{n}].key", f"{entry.key[:80]!r} is no name", _NAMES)
            (fields if meaning in _FIELDS else attributes).setdefault(meaning, entry.value)
        identity = self._identity(fields, at)
        return Request(
            method=fields.get("method", "GET")[:16] or "GET",
            path=fields.get("path", "")[:PATH_CHARS_MAX],
            identity=identity,
            route=cut(fields.get("route"), TEXT_BYTES_MAX) or (None if fields.get("path") else UNKNOWN_ROUTE),
            tier=cut(fields.get("tier"), TEXT_BYTES_MAX),
            cost=cost or None,
            peek=cost == 0,
            ua=cut(fields.get("user_agent"), TEXT_BYTES_MAX),
            attributes=self._attributes(attributes, identity.ip, at),
        )

    def _identity(self, fields: Mapping[str, str], at: str) -> Identity:
        ip, key, key_id = fields.get("ip"), fields.get("api_key"), fields.get("key_id")
        found = address(ip) if ip else None
        if ip and found is None:
            raise BadMessageError("bad_value", at, f"{ip[:64]!r} is no address", "IPv4 or IPv6, no network")
        if key_id and len(key_id) > 64:
            raise BadMessageError("too_large", f"{at}.key_id", f"{len(key_id)} characters", "a keyed hash, at most 64")
        if key and len(key.encode()) > KEY_BYTES_MAX:
            raise BadMessageError(
                "too_large", f"{at}.api_key", f"{len(key)} characters", f"at most {KEY_BYTES_MAX} bytes"
            )
        return Identity(
            str(found) if found else None,
            key_id or (self._identifier.key_id(key) if key else None),
            shortened(fields.get("user"), VALUE_BYTES_MAX),
            shortened(fields.get("tenant"), VALUE_BYTES_MAX),
        )

    def _attributes(self, given: dict[str, str], ip: str | None, at: str) -> Mapping[str, str] | None:
        try:
            return self._identifier.given(given, ip)
        except BadMessageError as error:
            raise BadMessageError(error.code, f"{at}.{error.field}", error.reason, error.fix) from error


_NAMES: Final = "letters, digits, _ . and -, at most 64, or one that FLOODWARDEN_ENVOY_DESCRIPTORS gives a meaning"


def meanings(mapping: str) -> dict[str, str]:
    """`KEY=MEANING,...` as a table. Raises `SettingsError` naming the pair nobody can take."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in mapping.split(","))):
        key, _, meaning = (part.strip() for part in pair.rpartition("="))
        name = meaning if meaning in _FIELDS else canonical_name(meaning)
        if not key or name is None:
            raise SettingsError(
                f"{PREFIX}ENVOY_DESCRIPTORS: {pair!r}; write KEY=MEANING, comma separated, where MEANING is one of "
                f"{', '.join(_FIELDS)}, or {FIX.removeprefix('one of ')}"
            )
        found[key] = name
    return found


def _cost(one: Any, at: str, hits: int) -> int | None:
    """What the descriptor takes, 0 to only ask; None (nothing said): what the policy says."""
    own = one.HasField("hits_addend")
    cost = one.hits_addend.value if own else hits
    if cost > COST_MAX:
        field = f"{at}.hits_addend" if own else "hits_addend"
        raise BadMessageError("bad_value", field, f"{cost} is out of range", f"0 to {COST_MAX}")
    return cost if own or cost else None


def _whole(requests: Sequence[Request]) -> Request:
    def first(values: Sequence[Any]) -> Any:
        return next((value for value in values if value), None)

    attributes: dict[str, str] = {}
    for one in reversed(requests):
        attributes |= one.attributes or {}
    who = [one.identity for one in requests]
    asked = next((one for one in requests if one.path), requests[0])
    return Request(
        asked.method,
        asked.path,
        Identity(*(first([getattr(each, name) for each in who]) for name in ("ip", "key_id", "user", "tenant"))),
        asked.route,
        ua=first([one.ua for one in requests]),
        attributes=attributes or None,
    )
