"""Targets as people write them: in settings and at the command line, one spelling for every program."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from schemas.action import Target, TargetKind
from schemas.errors import SettingsError
from schemas.networks import network


def parse_target(text: str) -> Target:
    """`KIND:VALUE`, an address or a network as a target.

    Raises:
        ValueError: it is none of these; the message says what would do.
    """
    text = text.strip()
    try:
        return Target(kind=TargetKind.IP, value=plain(network(text)))
    except ValueError:
        kind, colon, value = text.partition(":")
    if not colon or not value or kind not in set(TargetKind):
        kinds = ", ".join(TargetKind)
        raise ValueError(f"{text!r} is neither KIND:VALUE (kinds: {kinds}) nor an address or network")
    return target(kind, value)


def target(kind: str, value: str) -> Target:
    """A target in its one spelling: `203.0.113.7`, `203.0.113.0/24`, `64500`, `DE`, other kinds as they are.

    Raises:
        ValueError: an unknown kind, an empty value, a malformed address, number or country.
    """
    if kind not in set(TargetKind):
        raise ValueError(f"{kind!r} is no kind; one of {', '.join(TargetKind)}")
    if not value or len(value) > 512:
        raise ValueError("a value has 1 to 512 characters")
    if kind == TargetKind.IP:
        value = plain(network(value))
    elif kind == TargetKind.ASN:
        value = _asn(value)
    elif kind == TargetKind.COUNTRY:
        value = _country(value)
    return Target(kind=TargetKind(kind), value=value)


def _asn(text: str) -> str:
    digits = text.upper().removeprefix("AS")
    if not (digits.isascii() and digits.isdigit() and int(digits) < 1 << 32):
        raise ValueError(f"{text[:40]!r} is no autonomous system; write it like AS64500")
    return str(int(digits))


def _country(text: str) -> str:
    if not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{text[:40]!r} is no country; write its two letters, like DE")
    return text.upper()


def parse_targets(text: str, setting: str) -> tuple[Target, ...]:
    """Comma-separated targets; an empty text is an empty list.

    Raises:
        SettingsError: names `setting` and the entry that is wrong.
    """
    try:
        return tuple(parse_target(entry) for entry in text.split(",") if entry.strip())
    except ValueError as error:
        raise SettingsError(f"{setting}: {error}; write it like ip:203.0.113.0/24,key:partner-1") from error


def plain(network: IPv4Network | IPv6Network) -> str:
    """A network as it is written: an address alone where it is one."""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)
