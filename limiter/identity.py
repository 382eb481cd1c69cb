"""Who asks: the client's address behind proxies we trust, its API key as a keyed hash, what a verified token says.

Nothing a client sends is believed unless the connection comes from a trusted proxy, or it is signed by a key of ours:
not its forwarded address, not its user, not its tenant. A key is only a claim, and never leaves this module except
hashed. A token that cannot be verified is no more than such a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from limiter.addresses import Proxies, forwarded, listed
from limiter.attributes import Attributes, Told, canonical_value, checked
from limiter.matcher import Identity
from limiter.places import Places
from schemas.decision import TEXT_BYTES_MAX
from schemas.errors import BadMessageError, SettingsError
from schemas.privacy import cut, shortened
from schemas.settings import Settings

if TYPE_CHECKING:
    from limiter.tokens import Claims, Verifier

VALUE_BYTES_MAX: Final = 256
KEY_BYTES_MAX: Final = 8192
_CLAIM: Final = b"claim"  # sets hashes of claims apart: no API key a client makes up is ever one
Header = Callable[[str], str | None]  # a header by its name in lower case, as bytes read as Latin-1 (ASGI, WSGI)


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks. `fault`: what of it nobody can take; it is then left out, and the request deserves a 4xx."""

    identity: Identity
    tier: str | None = None
    fault: BadMessageError | None = None


class Identifier:
    """Headers and peer -> `Who`, by the settings. Total: whatever a client sends, there is an answer.

    Raises:
        SettingsError: proxies, what verifies tokens, or databases of places cannot be taken.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            self._proxies = Proxies(settings.trusted_proxies)
        except ValueError as error:
            raise SettingsError(
                f"FLOODWARDEN_TRUSTED_PROXIES: {error}; write CIDRs, comma separated: 10.0.0.0/8,::1/128"
            ) from error
        self._secret = settings.secret.get_secret_value().encode()[:64]
        self._names = (settings.key_header.lower(), settings.user_header.lower(), settings.tenant_header.lower())
        self._client_header = settings.client_header
        self._said = {"country": settings.country_header.lower(), "asn": settings.asn_header.lower()}
        self._service = settings.service or None
        self._jwt_header = settings.jwt_header.lower()
        self._tokens = _verifier(settings)
        self.places = Places(settings.geoip)

    def identify(self, peer: str | None, header: Header) -> Who:
        """Who asks, when the connection comes from `peer` (None: a Unix socket)."""
        key_name, user_name, tenant_name = self._names
        fault, key_id = None, None
        bearer = _bearer(header("authorization"))
        token = bearer if self._jwt_header == "authorization" else header(self._jwt_header)
        claims = self._claims(token)
        try:
            if key := header(key_name):
                key_id = self._sent_key(key, key_name)
            elif claims is not None and claims.key:
                key_id = self._hash(claims.key, _CLAIM)
            elif bearer and (claims is None or token is not bearer):
                key_id = self._sent_key(bearer, "authorization")
        except BadMessageError as error:
            fault = error
        believed = self._proxies.trust(peer)
        user, tenant = (_said(header(user_name)), _said(header(tenant_name))) if believed else (None, None)
        if claims is not None:
            user, tenant = claims.user or user, claims.tenant or tenant
        ip = self.client_ip(peer, header(self._client_header) if believed else None)
        identity = Identity(ip, key_id, shortened(user, VALUE_BYTES_MAX), shortened(tenant, VALUE_BYTES_MAX))
        return Who(identity, claims.tier if claims else None, fault)

    def trusts(self, peer: str | None) -> bool:
        """Whether `peer` is a proxy whose word about a client counts."""
        return self._proxies.trust(peer)

    def attributes(self, peer: str | None, ip: str | None, header: Header, wanted: Iterable[str]) -> Attributes | None:
        """What policies may look at beside: country and ASN, this node's service, headers.

        Country and ASN are those of the client's `ip`, unless a trusted proxy says them. `wanted` are the headers, in
        lower case; a client may have made up what they say.
        """
        found = dict(self.places.of(ip))
        if self._service:
            found["service"] = self._service
        if self._proxies.trust(peer):
            for name, said in self._said.items():
                value = header(said) if said else None
                plain = canonical_value(name, value) if value else None
                if plain is not None:
                    found[name] = plain
        for name in wanted:
            value = shortened(_said(header(name)), VALUE_BYTES_MAX)
            if value is not None:
                found[f"header:{name}"] = value
        return Told(found) if found else None

    def given(self, attributes: Mapping[str, str] | None, ip: str | None) -> Attributes | None:
        """What a gateway itself says of its client at `ip`, with what is known here where it says nothing.

        Raises `BadMessageError` naming the attribute that is wrong.
        """
        found = dict(self.places.of(ip))
        if self._service:
            found["service"] = self._service
        if attributes:
            found |= checked(attributes)
        return Told(found) if found else None

    def client_ip(self, peer: str | None, said: str | None) -> str | None:
        """The client's address, when `said` is the value of the header in which proxies name it."""
        return self._proxies.client(peer, self._hops(said or ""))

    def key_id(self, key: str) -> str:
        """The keyed hash of an API key, 16 hex digits: the same on every node with the same secret."""
        return self._hash(key, b"")

    def _hops(self, said: str) -> Iterator[str]:
        if not said:
            return iter(())
        match self._client_header:
            case "forwarded":
                return forwarded(said)
            case "x-real-ip":
                return iter((said.rpartition(",")[2],))
            case "x-forwarded-for":
                return listed(said)

    def _sent_key(self, sent: str, field: str) -> str:
        if len(sent) > KEY_BYTES_MAX:
            raise BadMessageError("too_large", field, f"{len(sent)} bytes", f"at most {KEY_BYTES_MAX}")
        try:
            return self._hash(sent.encode("latin-1").decode("utf-8"), b"")
        except UnicodeError as error:
            raise BadMessageError("bad_value", field, "is not UTF-8", "send the key as it was given to you") from error

    def _hash(self, text: str, person: bytes) -> str:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8, key=self._secret, person=person).hexdigest()

    def _claims(self, sent: str | None) -> Claims | None:
        if self._tokens is None or not sent:
            return None
        return self._tokens.claims(_bearer(sent) or sent)


def _verifier(settings: Settings) -> Verifier | None:
    if not (settings.jwt_secret.get_secret_value() or settings.jwt_public_key or settings.jwt_jwks):
        return None
    try:
        from limiter.tokens import Verifier  # noqa: PLC0415 - an extra; only who verifies tokens needs it
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FLOODWARDEN_JWT_*: {error.name} is not installed; install floodwarden with the extra `jwt`"
        ) from error
    return Verifier(settings)


def _bearer(authorization: str | None) -> str | None:
    if authorization and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip() or None
    return None


def _said(value: str | None) -> str | None:
    """A header's text, which travels as bytes read as Latin-1; what is no UTF-8 in it is replaced."""
    if value is None or value.isascii():
        return value
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def user_agent(text: str | None) -> str | None:
    """A user agent as it stands in a row."""
    return cut(text, TEXT_BYTES_MAX)
