"""The words of `when`, `allow` and `deny` in a policy file. Pure."""

from __future__ import annotations

from typing import Final

from limiter.attributes import PLAIN, canonical_name, canonical_value
from limiter.conditions import NOWHERE, Networks, When, at_of
from limiter.conditions import At as Network
from limiter.errors import meant
from limiter.lists import Entry
from limiter.reading import At
from schemas.documents import Map
from schemas.hours import hours
from schemas.networks import network

OWN: Final = ("tenant", "user", "key", "tier")
NAMES_FIX: Final = (
    "one of tenant, user, key, tier, service, ip, country, asn, hours, from, until, not, or header:NAME, "
    "descriptor:NAME, attribute:NAME; paths and methods stand in the limit's `route`"
)
KNOWN: Final = (*OWN, *PLAIN, "ip", "hours", "from", "until", "not")
_VALUE_FIX: Final = {"country": "two letters: DE", "asn": "a number: 64500"}
_OTHERS: Final = ("ip", "hours", "from", "until", "not")
_ENTRY_FIX: Final = (
    "write an address, a network, or KIND:VALUE (key, user, tenant, country, asn, service); header:NAME=VALUE"
)


def when(at: At) -> When:
    """The conditions at `at`."""
    fields = at.fields()
    never = fields["not"].fields() if "not" in fields else {}
    found = When(
        any_of=tuple(_values(item, name) for name, item in fields.items() if name not in _OTHERS),
        none_of=tuple(_values(item, name) for name, item in never.items() if name != "ip"),
        inside=_networks(fields["ip"]) if "ip" in fields else NOWHERE,
        outside=_networks(never["ip"]) if "ip" in never else NOWHERE,
        hours=tuple(hours(each) for each in fields["hours"].one_or_more()) if "hours" in fields else (),
        from_ms=fields["from"].moment_ms() if "from" in fields else None,
        until_ms=fields["until"].moment_ms() if "until" in fields else None,
    )
    if found.from_ms is not None and found.until_ms is not None and found.from_ms >= found.until_ms:
        raise at.wrong("ends before it begins", "`until` after `from`")
    return found


def both(whole: When, own: When, at: At) -> When:
    """`own` within `whole`, the conditions of the file it stands in."""
    again = sorted({name for name, _ in whole.any_of} & {name for name, _ in own.any_of})
    again += ["ip"] if whole.inside and own.inside else []
    again += ["hours"] if whole.hours and own.hours else []
    if again:
        raise at.wrong(f"asks for `{again[0]}`, which the file's own `when` asks for already", "keep one of them")
    begins = [each for each in (whole.from_ms, own.from_ms) if each is not None]
    ends = [each for each in (whole.until_ms, own.until_ms) if each is not None]
    return When(
        any_of=whole.any_of + own.any_of,
        none_of=whole.none_of + own.none_of,
        inside=whole.inside or own.inside,
        outside=Networks(whole.outside.members | own.outside.members),
        hours=whole.hours or own.hours,
        from_ms=max(begins, default=None),
        until_ms=min(ends, default=None),
    )


def clients(at: At, rule: str) -> list[tuple[At, str]]:
    """What stands on a list, or on lists by the name of their rule; `rule` is for those without."""
    if not isinstance(at.node, Map):
        return [(item, rule) for item in at.items()]
    return [
        (item, at.under(name, name, group.line).name()) for name, group in at.fields().items() for item in group.items()
    ]


def entry(at: At, rule: str) -> Entry:
    """One client on a list."""
    text = at.text().strip()
    try:
        return Entry(rule, "ip", str(network(text.removeprefix("ip:"))))
    except ValueError as error:
        kind, separator, value = text.partition("=")
        if not separator:
            kind, separator, value = text.partition(":")
        name = kind if kind in OWN[:3] else canonical_name(kind)
        plain = value if name in OWN else canonical_value(name, value) if name is not None else None
        if name is None or not plain:
            raise at.wrong(f"{text[:80]!r} is no client", _ENTRY_FIX) from error
        return Entry(rule, name, plain)


def _values(at: At, name: str) -> tuple[str, frozenset[str]]:
    plain = name if name in OWN else canonical_name(name)
    if plain is None:
        raise at.wrong("is not known", meant(name, KNOWN) + NAMES_FIX)
    values: set[str] = set()
    for item in at.one_or_more():
        text = item.text()
        value = text if name in OWN else canonical_value(plain, text)
        if not value:
            raise item.wrong(f"{text[:40]!r} is no {plain}", _VALUE_FIX.get(plain, "write it as it is sent"))
        values.add(value)
    return plain, frozenset(values)


def _networks(at: At) -> Networks:
    found: set[Network] = set()
    for item in at.one_or_more():
        try:
            found.add(at_of(network(item.text().strip())))
        except ValueError as error:
            raise item.wrong(f"{item.text()[:80]!r} is no address or network", "write 203.0.113.0/24") from error
    return Networks(found) if found else NOWHERE
