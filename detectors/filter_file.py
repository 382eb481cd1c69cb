"""The words of conditions in files of families and rules. Pure.

where:
  method: [POST, PUT]                       any of a list; `*` stands for any text
  path: {begins: /api/, ends: [.php, .bak]} of one column all that is said must hold
  status: [401, 4xx, 500-503]
  agent: {contains: [sqlmap, nikto], any_case: yes}
  not: {country: [DE, AT]}
  any: [{route: /login}, {route: /signup}]

Errors name the file, the line, the field and the fix.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from detectors.filters import FLAGS, NUMBERS, TEXTS, By, Every, Filter, Is, Never, Number, Some, Test, Text
from schemas.documents import Map
from schemas.reading import At

WORDS: Final = (*TEXTS, *NUMBERS, *FLAGS, "not", "any")
VALUES_MAX: Final = 20_000
DEPTH_MAX: Final = 5
_HOW: Final = (*By, "any_case", "absent")
_STATUS: Final = re.compile(r"([1-5])xx|(\d{3})(?:-(\d{3}))?|unknown")
_STATUS_FIX: Final = "401, a class 4xx, a range 500-503, or unknown"
_PATTERN_FIX: Final = "a pattern without look-around and back-references, which take time an attacker can stretch"
NUMBER_MAX: Final = 1e9


def where(at: At, depth: int = 0) -> Filter:
    """The condition at `at`: all of its words hold.

    Raises:
        FileError: a word is not known, or has a value it cannot have.
    """
    if depth > DEPTH_MAX:
        raise at.wrong("is nested too deep", f"at most {DEPTH_MAX} `not` and `any` inside each other")
    fields = at.fields(*WORDS)
    if not fields:
        raise at.wrong("is empty", f"name a column: {', '.join(WORDS)}")
    parts: list[Filter] = []
    for name, item in fields.items():
        if name == "not":
            parts.append(Never(where(item, depth + 1)))
        elif name == "any":
            parts.append(Some(tuple(where(each, depth + 1) for each in item.one_or_more())))
        elif name in TEXTS:
            parts.append(_text(name, item))
        elif name in FLAGS:
            parts.append(Is(name, item.yes()))
        else:
            parts.append(_statuses(item) if name == "status" else _amount(name, item))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def statuses(at: At) -> tuple[tuple[int, int], ...]:
    """Statuses, classes and ranges of them, both ends included; `unknown` is 0."""
    return tuple(_status(item) for item in at.one_or_more())


def _text(column: str, at: At) -> Text:
    if not isinstance(at.node, Map):
        return Text(column, _plain(at, any_case=False))
    fields = at.fields(*_HOW)
    if not set(fields) - {"any_case"}:
        raise at.wrong("says nothing", f"one of {', '.join(_HOW)}, or a value instead")
    any_case = "any_case" in fields and fields["any_case"].yes()
    tests: tuple[Test, ...] = ()
    for name, item in fields.items():
        if name == By.IS:
            tests += _plain(item, any_case=any_case)
        elif name == By.LONGER:
            tests += (Test(By.LONGER, (str(item.whole(0, 512)),)),)
        elif name == By.MATCHES:
            tests += (Test(By.MATCHES, tuple(pattern(each, any_case=any_case) for each in item.one_or_more())),)
        elif name not in ("any_case", "absent"):
            tests += (Test(By(name), _values(item), any_case),)
    absent = "absent" in fields and fields["absent"].yes()
    if not tests:
        tests = (Test(By.IS, ()),) if absent else (Test(By.BEGINS, ("",)),)  # no text there is, or any
    return Text(column, tests, absent)


def _plain(at: At, *, any_case: bool) -> tuple[Test, ...]:
    """Values as they are, or with `*` in them: one test where all are of one sort, else one pattern for all."""
    values = _values(at)
    return (Test(By.LIKE if any("*" in value for value in values) else By.IS, values, any_case),)


def _values(at: At) -> tuple[str, ...]:
    items = at.one_or_more()
    if len(items) > VALUES_MAX:
        raise at.wrong(f"has {len(items)} values", f"at most {VALUES_MAX}")
    values = tuple(item.text() for item in items)
    if not all(values):
        raise at.wrong("has an empty value", "write it, or `absent: yes` for requests that have none")
    return values


def pattern(at: At, *, any_case: bool) -> str:
    """A pattern that takes time linear in the text. Raises `FileError` where it is none."""
    found = f"(?i:{at.text()})" if any_case else at.text()
    try:
        pl.Series([""]).str.contains(found)
    except pl.exceptions.ComputeError as error:
        said = next((line[7:] for line in str(error).splitlines() if line.startswith("error: ")), "cannot be read")
        raise at.wrong(f"{at.text()[:80]!r} is no pattern: {said}", _PATTERN_FIX) from error
    return found


def _statuses(at: At) -> Number:
    return Number("status", statuses(at))


def _status(at: At) -> tuple[int, int]:
    match = _STATUS.fullmatch(at.text().strip())
    if match is None:
        raise at.wrong(f"{at.text()[:40]!r} is no status", _STATUS_FIX)
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    low, high = int(match[2] or 0), int(match[3] or match[2] or 0)
    if low > high or high > 599 or (match[2] and low < 100):
        raise at.wrong(f"{at.text()[:40]!r} is no status", _STATUS_FIX)
    return low, high


def _amount(column: str, at: At) -> Number:
    fields = at.fields("from", "to")
    if not fields:
        raise at.wrong("says no amount", "write `{from: 500}`, `{to: 10}` or both")
    low = fields["from"].number(0, NUMBER_MAX) if "from" in fields else 0.0
    high = fields["to"].number(0, NUMBER_MAX) if "to" in fields else NUMBER_MAX
    if low > high:
        raise at.wrong("ends before it begins", "`from` at most `to`")
    return Number(column, ((low, high),))
