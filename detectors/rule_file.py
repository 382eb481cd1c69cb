"""Files of rules: signatures, rules and requests that fail as a matter of course, in YAML. Pure.

rules:
  - name: login-storm
    means: logins that were refused             what was counted, said after its number
    where: {login: yes, status: 401}            `detectors.filter_file` has the words
    sign: exploit                               or a list: a signature's name or group
    by: ip                                      whose bucket: client (the default), ip, key, user, route
    distinct: url                               count different ones: url, path, agent, user, ip, route, sign
    capacity: 5                                 what the bucket holds; one more overflows it (0: the first does)
    leak: 10s                                   it loses one in such a time
    over: 60s                                   instead of a bucket a window, and `when` its limits hold
    when: {different: above 300}                (`detectors.rule_when`)
    answer: challenge                           to newcomers: notice, throttle, challenge, deny
    known: notice                               to clients with a history: nothing stricter than throttle

Errors name the file, the line, the field and the fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from detectors.family_file import built_in
from detectors.filter_file import pattern, where
from detectors.filters import Filter
from detectors.rule_when import OVER_S_MAX, Limit, limits
from detectors.rules import (
    ANSWERS,
    BY,
    CAPACITY_MAX,
    DISTINCT,
    DISTINCT_MAX,
    LEAK_MS_MAX,
    SEVERITIES,
    Rule,
    Ruleset,
    said_ms,
)
from detectors.signatures import COLUMNS, Signature
from schemas.documents import documents
from schemas.errors import one_of
from schemas.reading import At

WORDS: Final = ("source", "date", "signatures", "rules", "expected")
_RULE: Final = (
    "name", "version", "means", "where", "sign", "spoofed", "by", "aimed", "distinct", "capacity", "leak", "over",
    "when", "answer", "known", "severity", "behaviour", "ids", "avoid", "source",
)  # fmt: skip
_SIGNATURE: Final = ("name", "group", "title", "columns", "has", "match", "behaviour", "ids", "source")
_TIME: Final = re.compile(r"(\d{1,9})(ms|s|m|h)")
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_MILD: Final = {"deny": "throttle", "challenge": "notice", "throttle": "throttle", "notice": "notice"}
RULES_MAX: Final = 240
EXPECTED: Final = "expected"
_TAKEN: Final = frozenset({*(f.name for f in built_in()), "cardinality", "drift", "overload"})


@dataclass(slots=True)
class Gathered:
    """What some files say, to be made one set."""

    rules: list[tuple[Rule, At]] = field(default_factory=list)
    signatures: dict[str, Signature] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)

    def read(self, data: bytes, file: str) -> None:
        """Take in a file.

        Raises:
            FileError: it is none of rules; the error names the line and the fix.
        """
        for document in documents(data, file):
            top = At(file, "rules", document.tree, document.line)
            fields = top.fields(*WORDS)
            if not fields.keys() & {"signatures", "rules", "expected"}:
                raise top.wrong("holds no rules", "begin with `rules:`; docs/rules.md has an example")
            source = " ".join(fields[name].text() for name in ("source", "date") if name in fields)
            for item in fields["signatures"].items() if "signatures" in fields else ():
                self._add(_signature(item, source), item)
            for item in fields["expected"].items() if "expected" in fields else ():
                found = _signature(item, source, group=EXPECTED)
                self._add(found, item)
                self.expected.append(found.name)
            for item in fields["rules"].items() if "rules" in fields else ():
                self.rules.append((_rule(item, source), item))

    def whole(self) -> Ruleset:
        """All of it as one set.

        Raises:
            FileError: two rules of one name, or a rule that asks for a sign nobody described.
        """
        names: set[str] = set()
        rules: list[Rule] = []
        for rule, at in self.rules:
            if rule.name in names or rule.name in _TAKEN:
                raise at.wrong(f"`{rule.name}` is taken", "give it a name of its own")
            names.add(rule.name)
            rules.append(self._signed(rule, at))
        if len(rules) > RULES_MAX:
            raise self.rules[RULES_MAX][1].wrong(f"is one of {len(rules)} rules", f"at most {RULES_MAX}")
        return Ruleset.of(tuple(rules), tuple(self.signatures.values()), tuple(self.expected))

    def _add(self, signature: Signature, at: At) -> None:
        if signature.name in self.signatures:
            raise at.wrong(f"`{signature.name}` is taken", "give the signature a name of its own")
        self.signatures[signature.name] = signature

    def _signed(self, rule: Rule, at: At) -> Rule:
        """`rule` with the signatures that its words mean."""
        known = [s for s in self.signatures.values() if s.group != EXPECTED]
        meant: list[str] = []
        for word in rule.signs:
            found = [s.name for s in known if word in (s.name, s.group)]
            if not found:
                words = sorted({s.group for s in known} | {s.name for s in known})
                raise at.wrong(f"asks for the sign {word!r}, which nobody described", one_of(word, words))
            meant += found
        return rule.bearing(tuple(dict.fromkeys(meant)))


def gathered(files: Iterable[tuple[str, bytes]]) -> Ruleset:
    """The set that files (name, content) make together. Raises `FileError`."""
    found = Gathered()
    for file, data in files:
        found.read(data, file)
    return found.whole()


def _signature(at: At, source: str, group: str = "") -> Signature:
    required = {"name": "walk", "title": "a path that leaves its directory", "has": '["../"]'}
    fields = at.fields(*_SIGNATURE, required=required | ({} if group else {"group": "traversal"}))
    has = tuple(item.text() for item in fields["has"].one_or_more())
    for item, text in zip(fields["has"].one_or_more(), has, strict=True):
        if len(text) < 2 or text != text.lower():
            raise item.wrong(f"{text[:40]!r} stands in no text", "two characters or more, letters in lower case")
    looked_in = fields["columns"].one_or_more() if "columns" in fields else []
    return Signature(
        name=fields["name"].name(),
        group=group or fields["group"].name(),
        title=fields["title"].text(),
        columns=tuple(_one(item, COLUMNS) for item in looked_in) or ("url",),
        has=tuple(dict.fromkeys(has)),
        match=pattern(fields["match"], any_case=False) if "match" in fields else "",
        behaviour=_text(fields, "behaviour"),
        ids=_texts(fields, "ids"),
        source=_text(fields, "source") or source,
    )


def _rule(at: At, source: str) -> Rule:
    fields = at.fields(*_RULE, required={"name": "login-storm", "means": "logins refused", "answer": "challenge"})
    if not fields.keys() & {"where", "sign", "spoofed", "over", "when"}:
        raise at.wrong(
            "asks for every request", "say which: `where`, `sign` or both; or count them in a window, `over`"
        )
    if "spoofed" in fields and fields.keys() & {"where", "sign"}:
        raise fields["spoofed"].wrong("stands beside `where` or `sign`", "make it a rule of its own")
    condition: Filter | None = where(fields["where"]) if "where" in fields else None
    capacity = fields["capacity"].whole(0, CAPACITY_MAX) if "capacity" in fields else 0
    distinct = _one(fields["distinct"], DISTINCT) if "distinct" in fields else ""
    over_s, when = _window(at, fields, distinct)
    if distinct and capacity > DISTINCT_MAX:
        fix = f"at most {DISTINCT_MAX} where different ones are counted; a window takes more: `over`"
        raise fields["capacity"].wrong(f"is {capacity}", fix)
    if capacity and "leak" not in fields:
        raise at.wrong("never forgets", "say after what time the bucket loses one: `leak: 10s`")
    answer = _one(fields["answer"], ANSWERS)
    known = _one(fields["known"], ("notice", "throttle")) if "known" in fields else _MILD[answer]
    return Rule(
        name=fields["name"].name(),
        version=fields["version"].whole(1, 1_000_000) if "version" in fields else 1,
        means=fields["means"].text(),
        where=condition,
        signs=tuple(item.text() for item in fields["sign"].one_or_more()) if "sign" in fields else (),
        spoofed="spoofed" in fields and fields["spoofed"].yes(),
        by=_one(fields["by"], BY) if "by" in fields else "client",
        aimed="aimed" in fields and fields["aimed"].yes(),
        distinct=distinct,
        capacity=capacity,
        leak_ms=_time_ms(fields["leak"]) if "leak" in fields else 60_000,
        answer=answer,
        known=known,
        severity=_one(fields["severity"], SEVERITIES) if "severity" in fields else "medium",
        behaviour=_text(fields, "behaviour"),
        ids=_texts(fields, "ids"),
        avoid=_text(fields, "avoid"),
        source=" ".join(filter(None, (_text(fields, "source"), source))),
        file=at.file,
        line=at.line,
        over_s=over_s,
        when=when,
    )


def _window(at: At, fields: dict[str, At], distinct: str) -> tuple[int, tuple[Limit, ...]]:
    """Its length in seconds and its limits; none of a rule that has a bucket."""
    if not fields.keys() & {"over", "when"}:
        return 0, ()
    for word, example in (("over", "60s"), ("when", "{requests: above 100}")):
        if word not in fields:
            raise at.wrong(f"has no `{word}` for its window", f"add `{word}: {example}`")
    for word in ("capacity", "leak"):
        if word in fields:
            raise fields[word].wrong("stands beside `over`", "a rule has a bucket or a window: leave one out")
    over_ms = _time_ms(fields["over"])
    if over_ms % 1000 or over_ms > OVER_S_MAX * 1000:
        raise fields["over"].wrong(f"is {said_ms(over_ms)}", "whole seconds, at most 1h")
    return over_ms // 1000, limits(fields["when"], distinct)


def _one(at: At, known: Iterable[str]) -> str:
    word, words = at.text(), tuple(known)
    if word not in words:
        raise at.wrong(f"{word[:40]!r} is not known", one_of(word[:40], words))
    return word


def _time_ms(at: At) -> int:
    match = _TIME.fullmatch(at.text().strip())
    time_ms = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if not 1 <= time_ms <= LEAK_MS_MAX:
        raise at.wrong(f"{at.text()[:40]!r} is no time we can take", "500ms, 10s, 2m or 1h, at most 24h")
    return time_ms


def _text(fields: dict[str, At], name: str) -> str:
    return fields[name].text() if name in fields else ""


def _texts(fields: dict[str, At], name: str) -> tuple[str, ...]:
    return tuple(item.text() for item in fields[name].one_or_more()) if name in fields else ()
