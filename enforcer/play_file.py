"""The words of one play in a playbook file. Pure, but for reading the files that `spare` names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from enforcer.asking import Ask
from enforcer.brownout import LEVELS
from enforcer.canary import Canary
from enforcer.errors import CommandError
from enforcer.ladder import RUNGS_MAX, Ladder
from enforcer.playbook import CLIENTS, Kept, Play, When
from enforcer.scope import addresses_in, pairs_in
from schemas.action import ActionKind, Otherwise
from schemas.alert import Answer, EntityKind, Severity
from schemas.errors import FileError, one_of
from schemas.exempt import Exempt, exempt_addresses, exempt_pairs
from schemas.hours import hours
from schemas.reading import At

W = TypeVar("W", bound=StrEnum)
GLOBS_MAX: Final = 200
SECONDS_MAX: Final = 366 * 86_400
BROWNOUT_SECONDS_MAX: Final = 86_400
CANARY_SECONDS: Final = (10, 3600)
ASKED_SECONDS_MAX: Final = 7 * 86_400
SPARED_MAX: Final = 1_000
SPARED_CHARS_MAX: Final = -(-SPARED_MAX * 4 // 3) * 4
WORDS: Final = ("name", "when", "do", "for", "level", "factor", "scope", "spare", "ladder", "approve", "canary")
WHEN_WORDS: Final = ("alert", "about", "asks", "severity", "confidence", "route", "behaviour", "hours")
LADDER_WORDS: Final = ("factor", "penalty", "floor", "hold", "decay", "longest")
SPARE_WORDS: Final = ("addresses", "unknown", "addresses_in", "pairs", "pairs_in")
HISTORY: Final = "history"
UNKNOWN: Final = "unknown"
CANARY_WORDS: Final = ("share", "watch")
ASK_WORDS: Final = ("above", "within", "otherwise")
OTHERWISE: Final = {"do": Otherwise.DO, "let-go": Otherwise.LET_GO}
SCOPES: Final = ("route", "entity")
DO: Final = {
    "observe": ActionKind.NOTICE,
    "challenge": ActionKind.CHALLENGE,
    "throttle": ActionKind.THROTTLE,
    "deny": ActionKind.DENY,
}
OWNERS: Final = frozenset({EntityKind.KEY, EntityKind.USER})
PAGE: Final = "page"
BROWNOUT: Final = "brownout"
OF_CLIENTS: Final = ("factor", "scope", "spare", "ladder", "approve", "canary")
_DURATION: Final = re.compile(r"(\d{1,9})\s*([smhd])")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION_FIX: Final = "write 90s, 10m, 6h or 1d"


def play(at: At, ladder: Ladder) -> tuple[Play, list[Path]]:
    """The play at `at`, and the files it names. `ladder` has what its own does not say. Raises `FileError`."""
    fields = at.fields(*WORDS, required={"name": "stolen-keys", "do": "challenge"})
    files: list[Path] = []
    level = _level(at, fields)
    spare = _spare(fields["spare"], files) if "spare" in fields else None
    found = _play(fields, spare, ladder)
    _of_groups(at, found)
    return replace(found, level=level), files


def _level(at: At, fields: Mapping[str, At]) -> int | None:
    """The level of the brownout that the play asks for."""
    if BROWNOUT not in {each.text() for each in fields["do"].one_or_more()}:
        if "level" in fields:
            raise fields["level"].wrong(f"beside `do: {fields['do'].one_or_more()[0].text()}`", "`do: brownout`")
        return None
    for name in OF_CLIENTS:
        if name in fields:
            raise fields[name].wrong("beside `do: brownout`", "leave it out: it is of what is done to one client")
    for name, example in (("level", "2"), ("for", "10m")):
        if name not in fields:
            raise at.wrong(f"asks for a brownout and has no `{name}`", f"add `{name}: {example}`")
    if duration(fields["for"]) > BROWNOUT_SECONDS_MAX:
        raise fields["for"].wrong("is longer than a day", "what lasts longer is a person's to set")
    return fields["level"].whole(1, LEVELS)


def _play(fields: Mapping[str, At], spare: Exempt | Kept | None, ladder: Ladder) -> Play:
    kind, page = _do(fields["do"])
    return Play(
        name=fields["name"].name(),
        when=_when(fields["when"]) if "when" in fields else When(),
        kind=kind,
        seconds=duration(fields["for"]) if "for" in fields else None,
        factor=_factor(fields["factor"], kind) if "factor" in fields else None,
        on_route=word(fields["scope"], SCOPES) == "route" if "scope" in fields else True,
        spare=spare if isinstance(spare, Exempt) else None,
        kept=spare if isinstance(spare, Kept) else None,
        tells_unknown="spare" in fields and _tells_unknown(fields["spare"], spare),
        ladder=_ladder(fields["ladder"], ladder) if "ladder" in fields else None,
        page=page,
        ask=_ask(fields["approve"], kind) if "approve" in fields else None,
        canary=_canary(fields["canary"], kind) if "canary" in fields else None,
    )


def _of_groups(at: At, play: Play) -> None:
    """A group is answered only where its known good are left alone, and in a way that others can get past."""
    if play.spare is not None and len(play.spare.marks) > SPARED_CHARS_MAX and play.when.about != {EntityKind.ROUTE}:
        fix = f"at most {SPARED_MAX}, or `about: route`: each client's answer carries them all"
        raise at.wrong("spares very many of single clients", fix)
    _of_history(at, play)
    groups = sorted(play.when.about - CLIENTS)
    if not groups or play.kind is ActionKind.NOTICE:
        return
    if groups != [EntityKind.ROUTE]:
        fix = "observe; its members are answered each on its own evidence"
        raise at.wrong(f"answers {groups[0]}, which is everybody there", fix)
    if (play.spare is None and play.kept is None) or play.kind not in (ActionKind.CHALLENGE, ActionKind.THROTTLE):
        fix = "`do: challenge` or `throttle`, and `spare: {pairs: history}` or `{pairs_in: FILE}`"
        raise at.wrong("answers everybody on a route", fix)


def _of_history(at: At, play: Play) -> None:
    """What is known by itself is known of keys and accounts, and spared where an answer would reach others."""
    if play.kept is Kept.ADDRESSES and not (play.when.about and play.when.about <= OWNERS):
        raise at.wrong("spares the addresses of whoever it is about", "`about: key`, `user` or both: they have some")
    if play.kept is Kept.PAIRS and play.when.about != {EntityKind.ROUTE}:
        raise at.wrong("spares all accounts where they are known", "`about: route`: one client's answer needs few")


def _do(at: At) -> tuple[ActionKind, bool]:
    said = [word(each, (*DO, BROWNOUT, PAGE)) for each in at.one_or_more()]
    kinds = [each for each in said if each != PAGE]
    if len(kinds) > 1 or len(said) > len(kinds) + 1:
        known = ", ".join((*DO, BROWNOUT))
        raise at.wrong(f"says {', '.join(said)}", f"one of {known}, and `page` beside it or alone")
    return DO.get(kinds[0], ActionKind.NOTICE) if kinds else ActionKind.NOTICE, PAGE in said


def _when(at: At) -> When:
    fields = at.fields(*WHEN_WORDS)
    globs = {name: _globs(fields[name]) for name in ("alert", "route", "behaviour") if name in fields}
    return When(
        **globs,
        about=_words(fields["about"], EntityKind) if "about" in fields else frozenset(),
        asks=_words(fields["asks"], Answer) if "asks" in fields else frozenset(),
        severity=Severity(word(fields["severity"], tuple(Severity))) if "severity" in fields else Severity.INFO,
        confidence=fields["confidence"].number(0, 1) if "confidence" in fields else 0.0,
        hours=tuple(hours(each) for each in fields["hours"].one_or_more()) if "hours" in fields else (),
    )


def _words(at: At, known: type[W]) -> frozenset[W]:
    return frozenset(known(word(each, tuple(known))) for each in at.one_or_more())


def _globs(at: At) -> tuple[str, ...]:
    found = tuple(sorted(each.text() for each in at.one_or_more()))
    if len(found) > GLOBS_MAX or "" in found:
        raise at.wrong(f"has {len(found)} of them, or an empty one", f"1 to {GLOBS_MAX}, like guess or /login*")
    return found


def _factor(at: At, kind: ActionKind) -> float:
    if kind is not ActionKind.THROTTLE:
        raise at.wrong(f"beside `do: {kind}`", "only a throttle has a factor")
    found = at.number(0, 1)
    if not found:
        raise at.wrong("0 leaves nothing", "above 0, or `do: deny`")
    return found


def _spare(at: At, files: list[Path]) -> Exempt | Kept:
    fields = {name: one for name, one in at.fields(*SPARE_WORDS).items() if name != UNKNOWN}
    if not fields or (not {"pairs", "pairs_in"}.isdisjoint(fields) and len(fields) > 1):
        raise at.wrong("names none, or both sorts", "addresses, addresses_in, or one of pairs and pairs_in alone")
    if kept := _kept(fields):
        return kept
    named = {
        name: Path(at.file).parent / fields[name].text() for name in ("addresses_in", "pairs_in") if name in fields
    }
    files += named.values()
    try:
        if "pairs_in" in named:
            return exempt_pairs(pairs_in(named["pairs_in"]))
        found = [each.text() for each in fields["addresses"].items()] if "addresses" in fields else []
        return exempt_addresses([*found, *(addresses_in(named["addresses_in"]) if "addresses_in" in named else ())])
    except (CommandError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        said = error.reason if isinstance(error, CommandError) else str(error)
        raise at.wrong(said, "addresses like 203.0.113.7 or 203.0.113.0/24; pairs USER ADDRESS, a line each") from error


def _tells_unknown(at: At, spare: Exempt | Kept | None) -> bool:
    """Whether it is only told of where nobody is known to be spared."""
    said = at.fields(*SPARE_WORDS).get(UNKNOWN)
    if said is None:
        return False
    if spare is not Kept.ADDRESSES:
        raise said.wrong("is said of what is known by itself", "beside `addresses: history`, or leave it out")
    return word(said, ("observe", "answer")) == "observe"


def _kept(fields: Mapping[str, At]) -> Kept | None:
    """What is to be spared that is known by itself."""
    for kept in Kept:
        one = fields.get(kept)
        if one is None or (kept is Kept.ADDRESSES and not isinstance(one.node, str)):
            continue
        if one.text() != HISTORY:
            raise one.wrong(f"{one.text()[:40]!r} is not known", f"`{kept}: {HISTORY}`, or a list of addresses")
        if len(fields) > 1:
            raise one.wrong("beside others", "either what is known by itself, or a list of yours")
        return kept
    return None


def _ask(at: At, kind: ActionKind) -> Ask:
    if kind is ActionKind.NOTICE:
        raise at.wrong("beside `do: observe`", "nobody needs to approve what does nothing")
    fields = at.fields(*ASK_WORDS, required={"within": "15m", "otherwise": "let-go"})
    within = fields["within"]
    if (within_s := duration(within)) > ASKED_SECONDS_MAX:
        raise within.wrong("is longer than a week", "a shorter time: what it is about is over by then")
    otherwise = OTHERWISE[word(fields["otherwise"], OTHERWISE)]
    return Ask(fields["above"].whole(0, 10**9) if "above" in fields else 0, within_s * 1000, otherwise)


def _canary(at: At, kind: ActionKind) -> Canary:
    if kind is ActionKind.NOTICE:
        raise at.wrong("beside `do: observe`", "nothing can go wrong with what does nothing")
    fields = at.fields(*CANARY_WORDS, required={"share": "0.1", "watch": "30s"})
    share, watch = fields["share"].number(0, 1), fields["watch"]
    if not 0 < share < 1:
        raise fields["share"].wrong(f"{share:g} is none or all of them", "between 0 and 1: 0.1 is a tenth")
    if not CANARY_SECONDS[0] <= (watch_s := duration(watch)) <= CANARY_SECONDS[1]:
        raise watch.wrong(f"{watch.text()} is too short to see anything, or too long", "10s to 1h")
    return Canary(share, watch_s * 1000)


def _ladder(at: At, usual: Ladder) -> Ladder:
    fields = at.fields(*LADDER_WORDS)
    made = {
        "factor": fields["factor"].number(1, 1000) if "factor" in fields else None,
        "penalty": fields["penalty"].whole(1, RUNGS_MAX) if "penalty" in fields else None,
        "floor": fields["floor"].whole(1, RUNGS_MAX) if "floor" in fields else None,
        "quiet_ms": 1000 * duration(fields["decay"]) if "decay" in fields else None,
        "hold_ms": 1000 * duration(fields["hold"], least=0) if "hold" in fields else None,
        "seconds_max": duration(fields["longest"]) if "longest" in fields else None,
    }
    return replace(usual, **{name: value for name, value in made.items() if value is not None})  # type: ignore[arg-type]


def duration(at: At, least: int = 1) -> int:
    """A length of time, in seconds."""
    match = _DURATION.fullmatch(at.text().strip())
    if match is None or not least <= (found := int(match[1]) * _UNITS_S[match[2]]) <= SECONDS_MAX:
        raise at.wrong(f"{at.text()[:40]!r} is no length of time we can take", _DURATION_FIX)
    return found


def word(at: At, known: Iterable[str]) -> str:
    """One of `known`."""
    if at.text() not in set(known):
        raise at.wrong(f"{at.text()[:80]!r} is not known", one_of(at.text()[:80], known))
    return at.text()
