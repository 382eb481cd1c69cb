"""What a policy may look at in a request, and whose bucket it is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import msgspec

from limiter.attributes import FIX, PLAIN, Attributes, canonical_name
from limiter.errors import meant
from schemas.networks import CLIENT_BITS, client

Who = Callable[["Identity", Attributes | None], str | None]
PARTS_MAX: Final = 4
_PLAIN: Final = ("ip", "network", "key", "user", "tenant", "global")
PER_FIX: Final = f"one of {', '.join(_PLAIN)}; or {FIX.removeprefix('one of ')}; or several: ip+user"


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a canonical address, the keyed hash of an API key, user, tenant; None where absent."""

    ip: str | None = None
    key_id: str | None = None
    user: str | None = None
    tenant: str | None = None


class Facts(msgspec.Struct, frozen=True):
    """One request as conditions see it."""

    identity: Identity
    tier: str
    attributes: Attributes | None
    now_ms: int

    def value(self, name: str) -> str | None:
        """What the request has under `name`: key, user, tenant, tier or an attribute; None where it has nothing."""
        match name:
            case "tenant":
                return self.identity.tenant
            case "user":
                return self.identity.user
            case "key":
                return self.identity.key_id
            case "tier":
                return self.tier
            case _:
                return self.attributes.get(name) if self.attributes else None


def who_of(per: str) -> Who:
    """`per` as a function that names the bucket of a request, None where the request has none.

    Raises:
        ValueError: `per` is none; the message says what would do.
    """
    parts = per.split("+")
    if len(parts) == 1:
        return _one(per)
    if len(parts) > PARTS_MAX or len(set(parts)) < len(parts) or "global" in parts:
        raise ValueError(f"at most {PARTS_MAX} different kinds together, `global` alone")
    each = [_one(part) for part in parts]

    def together(identity: Identity, attributes: Attributes | None) -> str | None:
        values = [one(identity, attributes) for one in each]
        # Each with its length, so that no two clients can spell one bucket.
        known = [f"{len(value)}:{value}" for value in values if value is not None]
        return ",".join(known) if len(known) == len(values) else None

    return together


def header_of(part: str) -> str | None:
    """The header that a kind or a name of a condition looks at, if it is one."""
    return part.removeprefix("header:") if part.startswith("header:") else None


def _one(part: str) -> Who:
    simple: dict[str, Who] = {
        "ip": lambda identity, _: None if identity.ip is None else client_at(identity.ip),
        "network": lambda identity, _: None if identity.ip is None else network_of(identity.ip),
        "key": lambda identity, _: identity.key_id,
        "user": lambda identity, _: identity.user,
        "tenant": lambda identity, _: identity.tenant,
        "global": lambda *_: "*",
    }
    if part in simple:
        return simple[part]
    name = canonical_name(part)
    if name is None:
        raise ValueError(meant(part, (*_PLAIN, *PLAIN)) + PER_FIX)
    return lambda _, attributes: attributes.get(name) if attributes else None


def client_of(identity: Identity) -> str:
    """Who asks, in one word: the key, the user, the client at the address, the tenant; empty where nobody says."""
    ip = identity.ip
    return identity.key_id or identity.user or (client_at(ip) if ip else identity.tenant or "")


def client_at(ip: str) -> str:
    """The client at an address (`schemas.networks.client`), whose bucket it uses."""
    return _six(ip) if ":" in ip else ip


def network_of(ip: str) -> str:
    """The network whose bucket an address uses: its /24, of IPv6 its /64, also where that is several clients'."""
    address = address_of(ip)
    if address is None:
        return ip
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> CLIENT_BITS << CLIENT_BITS)}/{CLIENT_BITS}"
    return f"{IPv4Address(int(address) >> 8 << 8)}/24"


_six = lru_cache(maxsize=20_000)(client)


@lru_cache(maxsize=20_000)
def address_of(ip: str) -> IPv4Address | IPv6Address | None:
    """`ip` as an address; None where it is none."""
    try:
        return ip_address(ip)
    except ValueError:
        return None
