"""Which requests of a target a person means: a route's, a tier's, all but those of known good clients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from enforcer.errors import CommandError
from schemas.action import FACTOR_MAX, Rate
from schemas.exempt import Exempt, exempt_addresses, exempt_pairs

FILE_BYTES_MAX: Final = 16 << 20
_RATE: Final = re.compile(r"\s*(\d{1,10})\s*/\s*(\d{0,6})\s*(s|min|m|h|d)\s*")
_PERIOD_MS: Final = {"s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Scope:
    """What narrows an action; nothing set: every request of its target."""

    route: str | None = None
    tier: str | None = None
    exempt: Exempt | None = None

    @classmethod
    def of(cls, route: str | None, tier: str | None, addresses: Sequence[str] = (), pairs: Path | None = None) -> Scope:
        """A scope in a person's words: `addresses` (`@FILE`: those in it, a line each), or a file of USER ADDRESS.

        Raises:
            CommandError: names the word that is wrong.
        """
        if route is not None and not route.startswith("/"):
            raise CommandError("bad_value", "route", f"{route!r} is no route", "a template, like /items/{id}")
        if addresses and pairs is not None:
            fix = "either addresses, or users at addresses"
            raise CommandError("bad_value", "except-pairs", "beside except-from", fix)
        try:
            if pairs is not None:
                return cls(route, tier, exempt_pairs(pairs_in(pairs)))
            return cls(route, tier, exempt_addresses(_addresses(addresses)) if addresses else None)
        except ValueError as error:
            if isinstance(error, CommandError):
                raise
            field = "except-from" if pairs is None else "except-pairs"
            raise CommandError(
                "bad_value", field, str(error), "addresses like 203.0.113.7 or 203.0.113.0/24"
            ) from error


@dataclass(frozen=True, slots=True)
class Change:
    """What a throttle does: to the limit of that name (None: to all), a factor or a rate in its place."""

    limit: str | None = None
    factor: float | None = None
    rate: Rate | None = None


def changes(
    factor: float | None, rate: str | None, limits: Sequence[str], burst: int | None = None
) -> tuple[Change, ...]:
    """The changes in a person's words: `limits` are NAME (of which `factor` or `rate` is meant) or NAME=RATE.

    Raises:
        CommandError: names the word that is wrong.
    """
    if factor is not None and not 0 < factor <= FACTOR_MAX:
        raise CommandError("bad_value", "factor", f"{factor:g}", f"above 0 and up to {FACTOR_MAX:g}; 0.1 is a tenth")
    if factor is not None and rate is not None:
        raise CommandError("bad_value", "rate", "beside a factor", "either multiply a limit, or replace it")
    everywhere = Change(None, factor, None if rate is None else _rate("rate", rate, burst))
    found = []
    for text in limits:
        name, equals, own = text.partition("=")
        if not name.strip():
            raise CommandError("bad_value", "limit", f"{text!r} names no limit", "NAME, or NAME=100/s")
        if not equals and everywhere.factor is None and everywhere.rate is None:
            raise CommandError("bad_value", "limit", f"{name}: to what?", f"{name}=100/s, or add --factor 0.5")
        change = Change(name.strip(), factor, everywhere.rate)
        found.append(Change(name.strip(), None, _rate("limit", own, burst)) if equals else change)
    if not found and everywhere.factor is None and everywhere.rate is None:
        raise CommandError("bad_value", "factor", "nothing to change", "--factor 0.1, --rate 10/s or --limit NAME=10/s")
    return tuple(found) or (everywhere,)


def _rate(field: str, text: str, burst: int | None) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise CommandError("bad_value", field, f"{text[:40]!r} is no rate", "TOKENS/PERIOD: 100/s, 60/min, 5000/h")
    try:
        return Rate(tokens=int(match[1]), period_ms=int(match[2] or 1) * _PERIOD_MS[match[3]], burst=burst)
    except ValidationError as error:
        first = error.errors()[0]
        where = "burst" if first["loc"] == ("burst",) else field
        raise CommandError("bad_value", where, first["msg"], "1 to 1000000000 tokens in at most a year") from error


def _addresses(words: Iterable[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        found += addresses_in(Path(word[1:])) if word.startswith("@") else [word]
    return found


def addresses_in(path: Path) -> list[str]:
    """The addresses and networks of a file, a line each. Raises `CommandError`."""
    return _lines("except-from", path)


def pairs_in(path: Path) -> list[tuple[str, str]]:
    """The pairs of a file, USER ADDRESS a line each. Raises `CommandError`."""
    found = []
    for number, line in enumerate(_lines("except-pairs", path), 1):
        user, _, ip = line.rpartition(" ")
        if not user.strip():
            raise CommandError("bad_value", "except-pairs", f"{path}, pair {number}: {line[:60]!r}", "USER ADDRESS")
        found.append((user.strip(), ip))
    return found


def _lines(field: str, path: Path) -> list[str]:
    """Lines that say something: not empty, no comment."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise CommandError("bad_value", field, f"{path} is too large", f"at most {FILE_BYTES_MAX >> 20} MiB")
        lines = (line.replace("\t", " ").strip() for line in path.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            "bad_value", field, f"{path}: {_why(error)}", "name a text file in UTF-8 that can be read"
        ) from error
    return [line for line in lines if line and not line.startswith("#")]


def _why(error: OSError | UnicodeDecodeError) -> str:
    return "is no UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
