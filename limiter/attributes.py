"""What a request carries beside path and identity: country, ASN, service, headers, descriptors. Pure; all bounded.

A name is `country`, `asn`, `service`, or `header:NAME`, `descriptor:NAME`, `attribute:NAME`; in policies, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from schemas.errors import BadMessageError
from schemas.privacy import shortened

Attributes = Mapping[str, str]
NAMES_MAX: Final = 32
VALUE_BYTES_MAX: Final = 256
PLAIN: Final = ("country", "asn", "service")
KINDS: Final = ("header", "descriptor", "attribute")
FIX: Final = f"one of {', '.join(PLAIN)}, or {', '.join(kind + ':NAME' for kind in KINDS)}"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_ASN: Final = re.compile(r"(?:[Aa][Ss])?(\d{1,10})")
_ASN_MAX: Final = (1 << 32) - 1


class Told(dict[str, str]):
    """Attributes of a request, which nobody changes any more: what it comes to is remembered under them, too."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override] # a dict has none because it may change
        return hash(frozenset(self.items()))


def canonical_name(name: str) -> str | None:
    """The one spelling of an attribute's name (headers in lower case); None: it is none."""
    if name in PLAIN:
        return name
    kind, _, rest = name.partition(":")
    if kind not in KINDS or not _NAME.fullmatch(rest):
        return None
    return name.lower() if kind == "header" else name


def canonical_value(name: str, value: str) -> str | None:
    """The one spelling of a value of `name`: `DE`, `64500`, other text, hashed beyond `VALUE_BYTES_MAX`; None: none."""
    if name == "country":
        return value.upper() if _COUNTRY.fullmatch(value) else None
    if name == "asn":
        match = _ASN.fullmatch(value)
        return str(int(match[1])) if match and int(match[1]) <= _ASN_MAX else None
    return shortened(value, VALUE_BYTES_MAX)


def checked(given: Mapping[str, str], at: str = "attributes") -> dict[str, str]:
    """Attributes that a gateway sent, in their one spelling. Raises `BadMessageError` naming the one that is wrong."""
    if len(given) > NAMES_MAX:
        raise BadMessageError("too_large", at, f"{len(given)} attributes", f"at most {NAMES_MAX}")
    found: dict[str, str] = {}
    for name, value in given.items():
        plain = canonical_name(name)
        if plain is None:
            raise BadMessageError("bad_value", f"{at}.{name[:80]}", "is no attribute", FIX)
        taken = canonical_value(plain, value)
        if taken is None:
            raise BadMessageError("bad_value", f"{at}.{plain}", f"{value[:40]!r} is none", "write it like DE or 64500")
        found[plain] = taken
    return found


def asn_of(attributes: Attributes | None) -> int | None:
    """The autonomous system as a row has it."""
    text = attributes.get("asn") if attributes else None
    return int(text) if text is not None else None
