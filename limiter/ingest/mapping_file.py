"""Mapping files -> sources. Every error names file, line, field and the fix; nothing unknown is passed over.

docs/ingest.md explains every word; deploy/ingest/example.yaml has one source of each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path as File
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from limiter.errors import PolicyError, one_of
from limiter.ingest.mapping import (
    AS_OURS,
    COLUMNS,
    IDS_KEPT,
    IDS_KEPT_MAX,
    Format,
    Mapping,
    Path,
    Source,
    Term,
    Time,
    TopicAt,
    Unit,
)
from limiter.reading import At
from schemas.decision import SCHEMA, TEXT_BYTES_MAX, TEXT_COLUMNS, VERDICTS
from schemas.documents import documents

SOURCES_MAX: Final = 100
PATH_DEPTH_MAX: Final = 16
_BYTES_MAX: Final = 4 << 20
_WORDS: Final = ("from", "constant", "values", "otherwise", "time", "zone", "unit", "hop", "hash", "template")
_OF: Final = {
    "time": "ts_ms",
    "zone": "ts_ms",
    "unit": "latency_ms",
    "hop": "ip",
    "hash": "key_id",
    "template": "route",
}
_OPTIONS: Final = re.compile(
    r"(?:sasl|ssl|security|client|fetch|socket|broker|group\.instance)[a-z.]*|session\.timeout\.ms"
)
_OURS: Final = frozenset({"enable.auto.commit", "bootstrap.servers", "group.id", "auto.offset.reset"})
_VERDICT_FIX: Final = "add `verdict: {from: status, values: {429: limit, 403: deny}, otherwise: allow}`"
_TIME_FIX: Final = "add `ts_ms: {from: FIELD, time: iso}` (iso, clf, s, ms, us, ns)"
E = TypeVar("E", bound=StrEnum)


@dataclass(slots=True)
class Examined:
    """What a mapping file holds, and everything that is wrong with it."""

    sources: list[Source] = field(default_factory=list)
    errors: list[PolicyError] = field(default_factory=list)


def load(file: File) -> list[Source]:
    """The sources of a mapping file.

    Raises:
        PolicyError: the first thing that is wrong with it.
    """
    found = examine(file)
    if found.errors:
        raise found.errors[0]
    return found.sources


def examine(file: File) -> Examined:
    """Everything in a mapping file that can be taken, and every error."""
    found = Examined()
    try:
        top = At(str(file), "mapping", _tree(file), 1).fields("version", "sources", required={"sources": "{NAME: ...}"})
        if "version" in top:
            top["version"].whole(1, 1)
        sources = top["sources"].fields()
        if not 1 <= len(sources) <= SOURCES_MAX:
            raise top["sources"].wrong(f"has {len(sources)} sources", f"1 to {SOURCES_MAX}")
    except PolicyError as error:
        found.errors.append(error)
        return found
    for name, at in sources.items():
        known = len(found.errors)
        try:
            made = _source(name, at, found.errors.append)
            if len(found.errors) == known:
                found.sources.append(made)
        except PolicyError as error:
            found.errors.append(error)
    return found


def _tree(file: File) -> object:
    try:
        with file.open("rb") as opened:
            data = opened.read(_BYTES_MAX)
    except OSError as error:
        fix = "name a mapping file, see docs/ingest.md"
        raise PolicyError(str(file), 0, "file", error.strerror or str(error), fix) from error
    if not data.strip():
        raise PolicyError(str(file), 1, "file", "is empty", "start from deploy/ingest/example.yaml")
    found = documents(data, str(file), lines=True)
    if len(found) > 1:
        raise PolicyError(str(file), found[1].line, "file", "has a second document", "write all under one `sources`")
    return found[0].tree


def _source(name: str, at: At, wrong: Callable[[PolicyError], None]) -> Source:
    At(at.file, at.field, name, at.line).name()
    known = ("kafka", "files", "http", "format", "header", "begin", "id", "ids_kept", "columns")
    given = at.fields(*known)
    ways = [word for word in ("kafka", "files", "http") if word in given]
    if len(ways) != 1:
        raise at.wrong(f"has {' and '.join(ways) or 'no place'} to read from", "one of `kafka`, `files`, `http: true`")
    if "http" in given and given["http"].text() != "true":
        raise given["http"].wrong("is not `true`", "write `http: true`, or leave the source out")
    form = _word(given["format"], Format) if "format" in given else Format.JSON
    if (form is Format.TSV) != ("header" in given):
        raise at.wrong("`header` goes with `format: tsv`", "write the names of the columns there, with tabs between")
    return Source(
        name,
        _mapping(given, form, at, wrong),
        form,
        _topic(given["kafka"]) if "kafka" in given else None,
        tuple(_pattern(one) for one in given["files"].one_or_more()) if "files" in given else (),
        _latest(given["begin"]) if "begin" in given else False,
        given["header"].text() if "header" in given else "",
        given["ids_kept"].whole(1, IDS_KEPT_MAX) if "ids_kept" in given else IDS_KEPT,
    )


def _topic(at: At) -> TopicAt:
    given = at.fields("topic", "servers", "group", "options", required={"topic": "NAME"})
    text = {name: given[name].text() for name in ("topic", "servers", "group") if name in given}
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text["topic"]):
        raise given["topic"].wrong(f"{text['topic'][:80]!r} is no topic", "letters, digits, . _ - (at most 249)")
    options: dict[str, str] = {}
    if "options" in given:
        for name, value in given["options"].fields().items():
            if name in _OURS or not _OPTIONS.fullmatch(name):
                fix = "security.*, ssl.*, sasl.*, client.*, fetch.*, socket.*; the rest is ours"
                raise value.wrong("is not an option to set here", fix)
            options[name] = value.text()
    return TopicAt(text["topic"], text.get("servers", ""), text.get("group", ""), options)


def _pattern(at: At) -> str:
    pattern = at.text()
    if not File(pattern).is_absolute():
        raise at.wrong(f"{pattern[:80]!r} is not absolute", "write the whole path, with * where there are several")
    return pattern


def _latest(at: At) -> bool:
    if at.text() not in ("earliest", "latest"):
        raise at.wrong(f"{at.text()[:40]!r} is not known", "earliest (the default) or latest, of the very first start")
    return at.text() == "latest"


def _mapping(given: dict[str, At], form: Format, at: At, wrong: Callable[[PolicyError], None]) -> Mapping:
    event_id = tuple(_path(one) for one in given["id"].one_or_more()) if "id" in given else ()
    if form is not Format.JSON:
        if event_id:
            raise given["id"].wrong("log lines have no id", "leave it out")
        return Mapping(_constants(given["columns"]) if "columns" in given else {})
    if "columns" not in given:
        return Mapping(AS_OURS.columns, event_id, exact=not event_id)
    columns: dict[str, tuple[Term, ...]] = {}
    named = given["columns"].fields()
    for name, column in named.items():
        try:
            if name not in COLUMNS:
                raise _unknown(name, column)
            columns[name] = tuple(_term(name, one) for one in column.one_or_more())
        except PolicyError as error:
            wrong(error)
    for name, fix in (("ts_ms", _TIME_FIX), ("verdict", _VERDICT_FIX)):
        if name not in named:
            wrong(given["columns"].wrong(f"has no `{name}`", fix))
    mapping = Mapping(columns, event_id)
    _no_prefixes(mapping.paths, given.get("columns", at), wrong)
    return mapping


def _unknown(name: str, at: At) -> PolicyError:
    return at.wrong("is no column of ours", one_of(name[:80], COLUMNS))


def _constants(at: At) -> dict[str, tuple[Term, ...]]:
    columns: dict[str, tuple[Term, ...]] = {}
    for name, column in at.fields(*(name for name in COLUMNS if name in TEXT_COLUMNS)).items():
        term = _term(name, column)
        if term.constant is None:
            raise column.wrong("is read from the line already", "only `{constant: ...}` beside a log format")
        columns[name] = (term,)
    return columns


def _term(name: str, at: At) -> Term:
    if isinstance(at.node, str):
        return _bare(name, at)
    given = at.fields(*_WORDS)
    if ("from" in given) == ("constant" in given):
        raise at.wrong("needs `from` or `constant`, one of them", "`{from: FIELD}` or `{constant: VALUE}`")
    for word, column in _OF.items():
        if word in given and name != column:
            raise given[word].wrong(f"is a word of `{column}`", "leave it out here")
    if "constant" in given:
        if extra := sorted(set(given) - {"constant"}):
            raise given[extra[0]].wrong("does not go with a constant", "leave it out")
        return Term(constant=_constant(name, given["constant"]))
    values = None
    if "values" in given:
        values = {value: _constant_text(name, said) for value, said in given["values"].fields().items()}
    if name == "ts_ms" and "time" not in given:
        raise at.wrong("does not say how the time is written", "add `time: iso` (iso, clf, s, ms, us, ns)")
    return Term(
        paths=tuple(_path(one) for one in given["from"].one_or_more()),
        values=values,
        otherwise=_constant_text(name, given["otherwise"]) if "otherwise" in given else None,
        time=_word(given["time"], Time) if "time" in given else Time.MS,
        zone=_zone(given["zone"]) if "zone" in given else None,
        unit=_word(given["unit"], Unit) if "unit" in given else Unit.MS,
        hop=given["hop"].whole(1, 20) if "hop" in given else 0,
        hashed=_truth(given["hash"]) if "hash" in given else True,
        template=_truth(given["template"]) if "template" in given else False,
    )


def _bare(name: str, at: At) -> Term:
    """`ip: remote_addr`, short for `ip: {from: remote_addr}`."""
    if name == "ts_ms":
        raise at.wrong("does not say how the time is written", f"write `{{from: {at.text()[:40]}, time: iso}}`")
    if name == "verdict" and at.text() in VERDICTS:
        raise at.wrong("is a verdict, not a field", f"write `{{constant: {at.text()}}}`")
    return Term(paths=(_path(at),))


def _constant(name: str, at: At) -> str | float:
    return _constant_text(name, at) if name in TEXT_COLUMNS else float(_constant_text(name, at))


def _constant_text(name: str, at: At) -> str:
    text = at.text()
    if name in ("verdict", "shadow") and text not in VERDICTS:
        raise at.wrong(f"{text[:40]!r} is no verdict", "one of " + ", ".join(VERDICTS))
    if name in TEXT_COLUMNS:
        if not 1 <= len(text.encode()) <= TEXT_BYTES_MAX:
            raise at.wrong("is empty or too long", f"1 to {TEXT_BYTES_MAX} bytes")
        return text
    try:
        float(text)
    except ValueError as error:
        raise at.wrong(f"{text[:40]!r} is no number", f"the column is {SCHEMA.field(name).type}") from error
    return text


def _path(at: At) -> Path:
    """`request.headers.user-agent`, or a JSON pointer where names hold dots: `/labels/app.kubernetes.io~1name`."""
    text = at.text()
    if text.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]
    else:
        parts = text.split(".")
    if not all(parts) or not 1 <= len(parts) <= PATH_DEPTH_MAX:
        fix = f"names with dots between, at most {PATH_DEPTH_MAX}; or /a/b where names hold dots"
        raise at.wrong(f"{text[:80]!r} names no field", fix)
    if "[" in text or "$" in text:
        raise at.wrong(f"{text[:80]!r} points into a list", "only fields of objects can be read")
    return tuple(parts)


def _no_prefixes(paths: list[Path], at: At, wrong: Callable[[PolicyError], None]) -> None:
    for path in paths:
        if any(other[: len(path)] == path and other != path for other in paths):
            wrong(at.wrong(f"`{'.'.join(path)}` is read as a value and as an object", "name the fields inside it"))


def _zone(at: At) -> str:
    try:
        ZoneInfo(at.text())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise at.wrong(f"{at.text()[:40]!r} is no time zone", "write UTC or Europe/Berlin") from error
    return at.text()


def _truth(at: At) -> bool:
    if at.text() not in ("true", "false"):
        raise at.wrong(f"{at.text()[:40]!r} is neither", "true or false")
    return at.text() == "true"


def _word(at: At, of: type[E]) -> E:
    try:
        return of(at.text())
    except ValueError as error:
        raise at.wrong(f"{at.text()[:40]!r} is not known", "one of " + ", ".join(of)) from error
