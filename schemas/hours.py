"""Hours of the week, as people write them: `mon-fri 08:00-18:00 Europe/Berlin`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.reading import At

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"(?:([a-z,-]+)\s+)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})\s+(\S+)")
_HOURS_FIX: Final = "write `mon-fri 08:00-18:00 Europe/Berlin`; days may be left out, and night is 22:00-06:00"


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day, [from, until), on `days` (0 = Monday) in `zone`; over midnight where until <= from.

    A stretch over midnight belongs to the day on which it begins.
    """

    days: frozenset[int]
    from_minute: int
    until_minute: int
    zone: ZoneInfo

    @property
    def text(self) -> str:
        """As people write them."""
        days = ",".join(_DAYS[day] for day in sorted(self.days))
        times = (f"{minute // 60:02}:{minute % 60:02}" for minute in (self.from_minute, self.until_minute))
        return f"{'mon-sun' if len(self.days) == 7 else days} {'-'.join(times)} {self.zone}"

    def holds(self, now_ms: int) -> bool:
        """Whether `now_ms` is in these hours, by the zone's own clock, summer time and all."""
        local = datetime.fromtimestamp(now_ms // 1000, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.from_minute < self.until_minute:
            return day in self.days and self.from_minute <= minute < self.until_minute
        return (day in self.days and minute >= self.from_minute) or (
            (day - 1) % 7 in self.days and minute < self.until_minute
        )


def hours(at: At) -> Hours:
    """The hours at `at`. Raises `FileError`."""
    match = _HOURS.fullmatch(at.text().strip())
    if match is None:
        raise at.wrong(f"{at.text()[:80]!r} says no hours", _HOURS_FIX)
    begins, ends = (int(match[n]) * 60 + int(match[n + 1]) for n in (2, 4))
    if int(match[3]) > 59 or int(match[5]) > 59 or begins > 1439 or ends > 1440:
        raise at.wrong(f"{at.text()[:80]!r} has no such time of day", _HOURS_FIX)
    try:
        zone = ZoneInfo(match[6])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise at.wrong(f"{match[6][:40]!r} is no time zone", "an IANA name: UTC, Europe/Berlin") from error
    return Hours(frozenset(_days(at, match[1])), begins, ends, zone)


def _days(at: At, text: str | None) -> Iterable[int]:
    for part in text.split(",") if text else ("mon-sun",):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise at.wrong(f"{part[:40]!r} are no days", "mon, tue, wed, thu, fri, sat, sun; mon-fri; fri-mon")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        yield from ((begin + n) % 7 for n in range((end - begin) % 7 + 1))
