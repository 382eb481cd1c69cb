"""Who asks: the client's address behind proxies we trust, its API key as a keyed hash, user and tenant from headers.

Nothing a client sends is believed unless the connection comes from a trusted proxy: not its forwarded address, not its
user, not its tenant. A key is only a claim, and never leaves this module except hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from limiter.attributes import Attributes, canonical_value, checked
from limiter.matcher import Identity
from schemas.decision import TEXT_BYTES_MAX
from schemas.errors import SettingsError
from schemas.privacy import cut
from schemas.settings import Settings

HOPS_MAX: Final = 20
VALUE_BYTES_MAX: Final = 256


@lru_cache(maxsize=10_000)
def address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, with or without port, zone, brackets or an IPv6 mapping of IPv4; None: no address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


class Identifier:
    """Headers and peer -> `Identity`, by the settings. Total: whatever a client sends, there is an answer."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = _networks(settings.trusted_proxies)
        self._secret = settings.secret.get_secret_value().encode()[:64]
        self._names = (settings.key_header.lower(), settings.user_header.lower(), settings.tenant_header.lower())
        self._said = {"country": settings.country_header.lower(), "asn": settings.asn_header.lower()}
        self._service = settings.service or None
        self._trusts = lru_cache(maxsize=1_000)(self._is_trusted)

    def identify(self, peer: str | None, header: Callable[[str], str | None]) -> Identity:
        """Who asks, when the connection comes from `peer` (None: a Unix socket) and `header` looks one up by name."""
        key_name, user_name, tenant_name = self._names
        key = header(key_name) or _bearer(header("authorization"))
        key_id = self.key_id(key) if key else None
        if peer is not None and not self._trusts(peer):
            found = address(peer)
            return Identity(str(found) if found else None, key_id)
        ip = self.client_ip(peer, header("x-forwarded-for"))
        return Identity(ip, key_id, cut(header(user_name), VALUE_BYTES_MAX), cut(header(tenant_name), VALUE_BYTES_MAX))

    def attributes(
        self, peer: str | None, header: Callable[[str], str | None], wanted: Iterable[str]
    ) -> Attributes | None:
        """What policies may look at beside: country and ASN as a trusted proxy says them, this node's service, headers.

        `wanted` are the headers, in lower case; a client may have made up what they say.
        """
        found: dict[str, str] = {"service": self._service} if self._service else {}
        if peer is None or self._trusts(peer):
            for name, said in self._said.items():
                value = header(said) if said else None
                plain = canonical_value(name, value) if value else None
                if plain is not None:
                    found[name] = plain
        for name in wanted:
            value = cut(header(name), VALUE_BYTES_MAX)
            if value is not None:
                found[f"header:{name}"] = value
        return found or None

    def given(self, attributes: Mapping[str, str] | None) -> Attributes | None:
        """What a gateway itself says of its client, with this node's service where it names none.

        Raises `BadMessageError` naming the attribute that is wrong.
        """
        found = checked(attributes) if attributes else {}
        if self._service:
            found.setdefault("service", self._service)
        return found or None

    def client_ip(self, peer: str | None, forwarded_for: str | None) -> str | None:
        """The client's address: from the right of X-Forwarded-For, the first hop that is no trusted proxy.

        A hop that is no address ends the search at the last good one: what stands left of it may be invented.
        """
        last = address(peer) if peer is not None else None
        if forwarded_for and (peer is None or self._trusts(peer)):
            for hop in reversed(forwarded_for.rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
                found = address(hop)
                if found is None:
                    break
                last = found
                if not self._trusts(str(found)):
                    break
        return str(last) if last is not None else None

    def key_id(self, key: str) -> str:
        """The keyed hash of an API key, 16 hex digits: the same on every node with the same secret."""
        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=self._secret).hexdigest()

    def _is_trusted(self, text: str) -> bool:
        found = address(text)
        return found is not None and any(found in network for network in self._trusted)


def _bearer(authorization: str | None) -> str | None:
    if authorization and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip() or None
    return None


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(
            f"FLOODWARDEN_TRUSTED_PROXIES: {error}; write CIDRs, comma separated: 10.0.0.0/8,::1/128"
        ) from error


def user_agent(text: str | None) -> str | None:
    """A user agent as it stands in a row."""
    return cut(text, TEXT_BYTES_MAX)
