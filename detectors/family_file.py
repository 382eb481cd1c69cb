"""Files of families -> `Family`. Every error names file, line, field and the fix. Pure but for reading the files.

docs/families.md has every word; the built-in families (data/families) are written in them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Final

from detectors.families import BUILT_IN, KINDS, OUTCOMES, Each, Families, Family, GroupBy, Mark, New, Null, Words
from detectors.family_checks import check
from detectors.filter_file import where
from detectors.filters import Filter, columns
from schemas.documents import Map, documents, files_of, read
from schemas.errors import FileError, one_of
from schemas.reading import At

FAMILIES_MAX: Final = 64
TAGS_MAX: Final = 62  # and one each for who comes with a browser, and with a key
SETTING: Final = "FLOODWARDEN_FAMILIES"
SHADOW: Final = "-shadow"  # an operator's family that would take a built-in one's place, until it is enforced
BEGIN: Final = "write `version: 1` and `families:`; docs/families.md has an example"
ANSWERS: Final = ("notice", "challenge", "throttle", "deny")
SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_ALL: Final = frozenset(OUTCOMES.values())
WORDS: Final = (
    "name", "revision", "what", "about", "opportunity", "mark", "null", "q1", "usual", "usual_per_hour", "control",
    "answer", "on_route", "group", "alone", "severity", "sentence", "repeated", "avoid", "behaviour", "owasp", "attack",
    "enforce",
)  # fmt: skip
_NEEDS: Final = {
    "name": "scalping",
    "what": "baskets filled and left",
    "about": "[ip, key]",
    "opportunity": "{each: request}",
    "mark": "{new: path}",
    "answer": "{ip: challenge}",
    "severity": "medium",
}
_FIELDS: Final = frozenset({"marks", "tries", "span", "usual", "whom", "again"})
_OWASP: Final = re.compile(r"OAT-0(0[1-9]|1\d|2[01])")
_ATTACK: Final = re.compile(r"T\d{4}(\.\d{3})?")
_UNREAD: Final = frozenset({"rule", "tier", "node"})
FILES: Final = ("logins", "reading", "shop", "keys", "limits", "unknown")
_NEW_OF: Final = {
    Each.LOGIN: (New.USER, New.IP),
    Each.REQUEST: (New.PATH, New.AGENT, New.USER, New.HOME, New.ROUTE),
    Each.RETURN: (New.PLACE,),
    Each.ADDRESS: (New.ASN,),
}


@cache
def built_in() -> Families:
    """The families that come with the detectors."""
    at = resources.files("detectors").joinpath("data/families")
    found = [
        family for name in FILES for family in parse(at.joinpath(f"{name}.yml").read_bytes(), f"{name}.yml", ours=True)
    ]
    return numbered(found)


def load(path: Path) -> list[Family]:
    """The families in a file or a directory of them, in shadow unless they say `enforce: yes`.

    Raises:
        FileError: what is wrong first.
    """
    return [family for file in files_of(path) for family in parse(read(file, SETTING), str(file))]


def with_own(path: Path | None) -> Families:
    """The built-in families, and those of an operator's file. One with a built-in name takes its place when enforced.

    Until then the built-in one goes on, and the other is tried beside it as `NAME-shadow`.

    Raises:
        FileError: the file cannot be taken.
    """
    return built_in() if path is None else merged(load(path), str(path))


def merged(own: list[Family], file: str) -> Families:
    """The built-in families and `own`, as `with_own` has them. Raises `FileError` about `file`."""
    ours = {family.name: family for family in built_in()}
    own = [_beside(family, ours) for family in own]
    names = [family.name for family in own]
    for at, family in enumerate(own):
        if family.name in names[:at]:
            raise FileError(file, 0, "families", f"`{family.name}` stands twice", "keep one of them")
        there = ours.get(family.name)
        if there and there.signature == family.signature and _means(there) != _means(family):
            reason = f"`{family.name}/{family.version}` is the built-in one, and what was learned is of its marks"
            raise FileError(file, 0, "families", reason, f"write `revision: {there.version + 1}`")
    by_name = {family.name: family for family in own}
    kept = [by_name.pop(family.name, family) for family in built_in()]
    return numbered([*kept, *by_name.values()])


def _beside(family: Family, ours: Container[str]) -> Family:
    shadowed = family.shadow and family.name in ours
    return replace(family, name=f"{family.name}{SHADOW}") if shadowed else family


def _means(family: Family) -> tuple[object, ...]:
    return family.each, family.outcomes, family.where, family.null, replace(family.mark, tag=-1)


def numbered(families: Iterable[Family], tags: list[Filter] | None = None) -> Families:
    """Each with its place, its conditions with their bits: their places in `tags`, which grows."""
    made: list[Family] = []
    tags = [] if tags is None else tags
    for index, family in enumerate(families):
        own, mark = (_tag(each, tags) for each in (family.where, family.mark.where))
        made.append(replace(family, index=index, tag=own, mark=replace(family.mark, tag=mark)))
    if len(made) > FAMILIES_MAX or len(tags) > TAGS_MAX:
        raise FileError(SETTING, 0, "families", f"{len(made)} with {len(tags)} conditions", f"at most {FAMILIES_MAX}")
    return tuple(made)


def conditions(families: Families) -> tuple[Filter, ...]:
    """Whose masks are the bits of a flow's `tags`, in their order."""
    both = [pair for f in families for pair in ((f.tag, f.where), (f.mark.tag, f.mark.where))]
    found = {tag: condition for tag, condition in both if condition is not None}
    return tuple(found[tag] for tag in sorted(found))


def _tag(condition: Filter | None, tags: list[Filter]) -> int:
    if condition is None:
        return -1
    if condition not in tags:
        tags.append(condition)
    return tags.index(condition)


def parse(data: bytes, file: str, *, ours: bool = False) -> list[Family]:
    """The families in a file's bytes. Raises FileError."""
    found: list[Family] = []
    for document in documents(data, file, lines=True, begin=BEGIN):
        top = At(file, "file", document.tree, document.line).fields(
            "version", "families", required={"version": "1", "families": "[{name: ...}]"}
        )
        top["version"].whole(1, 1)
        found += [_family(item, ours=ours) for item in top["families"].items()]
    return found


def _family(at: At, *, ours: bool) -> Family:
    f = at.fields(*WORDS, required=_NEEDS)
    each, outcomes, condition = _opportunity(f["opportunity"])
    if each is Each.MINUTE and not ours:
        raise f["opportunity"].wrong("is the forest's own: `odd` has it", "another sort of opportunity")
    null = Null(_one(f["null"], [*Null])) if "null" in f else Null.LEARNED
    usual = _usual(at, f, null)
    mark = _mark(f["mark"], each)
    groups, newcomers_only = _group(f.get("group"), null)
    alone = "alone" not in f or f["alone"].yes()
    if not alone and not groups:
        raise f["alone"].wrong("says that groups alone find it, and there is no `group`", "write `group: {by: route}`")
    if (null is Null.BY_AGE) and (each is not Each.REQUEST or mark.new is not New.PATH or mark.to_anyone):
        raise f["null"].wrong("is only known of paths new to the entity", "write `null: learned`")
    family = Family(
        index=-1,
        name=f["name"].name(),
        version=f["revision"].whole(1, 9999) if "revision" in f else 1,
        each=each,
        about=frozenset(KINDS[_one(item, KINDS)] for item in f["about"].one_or_more()),
        outcomes=outcomes,
        mark=mark,
        null=null,
        q1=f["q1"].number(0.05, 0.99) if "q1" in f else 0.9,
        usual=usual,
        control="control" in f and f["control"].yes(),
        answers=_answers(f["answer"]),
        severity=_one(f["severity"], SEVERITIES),
        words=_words(at, f, ours=ours),
        shadow=not ours and not ("enforce" in f and f["enforce"].yes()),
        on_route="on_route" in f and f["on_route"].yes(),
        where=condition,
        groups=groups,
        newcomers_only=newcomers_only,
        alone=alone,
    )
    check(family, f)
    return family


def _opportunity(at: At) -> tuple[Each, frozenset[int], Filter | None]:
    f = at.fields("each", "outcome", "where", required={"each": "request"})
    return Each(_one(f["each"], [*Each])), _outcomes(f.get("outcome")), _condition(f.get("where"))


def _mark(at: At, each: Each) -> Mark:
    if each is Each.MINUTE and at.node in ("", None):
        return Mark()
    f = at.fields("outcome", "new", "to", "same", "again", "at_once", "waits", "where")
    new = New(_one(f["new"], _NEW_OF.get(each, ()))) if "new" in f else None
    same = "same" in f and _one(f["same"], ["route"]) == "route"
    if "to" in f and new is not New.PATH:
        raise f["to"].wrong("is only known of paths", "write `new: path` beside it")
    to_anyone = "to" in f and _one(f["to"], ["anyone", "entity"]) == "anyone"
    again = "again" in f and _one(f["again"], ["path"]) == "path"
    at_once = f["at_once"].whole(2, 1_000) if "at_once" in f else 1
    waits = "waits" not in f or f["waits"].yes()
    return Mark(_outcomes(f.get("outcome")), new, to_anyone, same, again, at_once, waits, _condition(f.get("where")))


def _group(at: At | None, null: Null) -> tuple[tuple[GroupBy, ...], bool]:
    if at is None:
        return (), False
    if null is not Null.LEARNED:
        raise at.wrong("is only known where p0 is learned", "leave it out")
    f = at.fields("by", "members", required={"by": "route"})
    wanted = {GroupBy(_one(item, [*GroupBy])) for item in f["by"].one_or_more()}
    newcomers_only = "members" in f and _one(f["members"], ["all", "newcomers"]) == "newcomers"
    return tuple(by for by in GroupBy if by in wanted), newcomers_only


def _outcomes(at: At | None) -> frozenset[int]:
    return _ALL if at is None else frozenset(OUTCOMES[_one(item, OUTCOMES)] for item in at.one_or_more())


def _condition(at: At | None) -> Filter | None:
    if at is None:
        return None
    found = where(at)
    if unread := sorted(_UNREAD & set(columns(found))):
        raise at.wrong(f"asks for `{unread[0]}`, which usage is not counted by", "leave it out")
    return found


def _usual(at: At, f: dict[str, At], null: Null) -> tuple[float, float]:
    wanted, other = ("usual_per_hour", "usual") if null is Null.RATE else ("usual", "usual_per_hour")
    if other in f:
        raise f[other].wrong("does not fit its null", f"write `{wanted}`")
    if wanted not in f:
        raise at.wrong(f"has no `{wanted}`", "say what good clients do, until it is learned")
    high, per = (1e6, 3600.0) if null is Null.RATE else (0.99, 1.0)
    if not isinstance(f[wanted].node, Map):
        value = f[wanted].number(0, high) / per
        return value, value
    two = f[wanted].fields("newcomer", "established", required={"newcomer": "0.1", "established": "0.05"})
    return two["newcomer"].number(0, high) / per, two["established"].number(0, high) / per


def _answers(at: At) -> dict[int, tuple[str, str]]:
    made = {}
    for name, item in at.fields(*KINDS).items():
        if isinstance(item.node, Map):
            two = item.fields("newcomer", "established", required={"newcomer": "deny", "established": "throttle"})
            made[KINDS[name]] = (_one(two["newcomer"], ANSWERS), _one(two["established"], ANSWERS))
        else:
            made[KINDS[name]] = (_one(item, ANSWERS), _one(item, ANSWERS))
    return made


def _words(at: At, f: dict[str, At], *, ours: bool) -> Words:
    plain = "{marks} of {tries} in {span}; good clients come to that up to {usual} of the time"
    sentences = {}
    for name in ("sentence", "repeated"):
        sentences[name] = f[name].text() if name in f else plain if name == "sentence" else ""
        try:
            asked = {field for _, field, _, _ in Formatter().parse(sentences[name]) if field is not None}
        except ValueError as error:
            raise f[name].wrong(f"cannot be read: {error}", "write {{ for a brace") from error
        if asked - _FIELDS:
            raise f[name].wrong(f"{{{min(asked - _FIELDS)}}} is not known", one_of("", sorted(_FIELDS)))
    return Words(
        what=f["what"].text(),
        sentence=sentences["sentence"],
        repeated=sentences["repeated"],
        avoid=f["avoid"].text() if "avoid" in f else "",
        behaviour=f["behaviour"].text() if "behaviour" in f else "",
        owasp=_ids(f.get("owasp"), _OWASP, "an OWASP automated threat: OAT-001 to OAT-021"),
        attack=_ids(f.get("attack"), _ATTACK, "a MITRE ATT&CK technique: T1110 or T1110.004"),
        source=BUILT_IN if ours else at.file,
    )


def _ids(at: At | None, pattern: re.Pattern[str], fix: str) -> tuple[str, ...]:
    items = at.one_or_more() if at is not None else []
    for item in items:
        if not pattern.fullmatch(item.text()):
            raise item.wrong(f"{item.text()[:40]!r} is none", fix)
    return tuple(item.text() for item in items)


def _one(at: At, known: Iterable[str]) -> str:
    words, text = list(known), at.text().strip()
    if text not in words:
        fix = one_of(text[:40], words) if words else "leave it out: this sort of opportunity has none"
        raise at.wrong(f"{text[:40]!r} is not known here", fix)
    return text
