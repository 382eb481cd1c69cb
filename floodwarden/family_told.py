"""What a family is, in words for people and as records; and where the built-in ones stand, to copy from."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from detectors.families import BUILT_IN, KINDS, OUTCOMES, Each, Family
from detectors.family_file import FILES
from detectors.filter_words import told
from floodwarden.errors import CommandError

_ITEM: Final = "  - name: "
_NO_FILE: Final = "no file of families says otherwise: it is not one of them"
NO_FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "influx": {
        "name": "influx",
        "what": "a route that newcomers begin to come for, more of them than ever did",
        "about": ["route"],
        "told in": "docs/detection.md, What newcomers come for",
        "source": _NO_FILE,
    },
    "elsewhere": {
        "name": "elsewhere",
        "what": "accounts that turn up at operators (autonomous systems) where hardly any account is",
        "about": ["asn", "everybody", "ip"],
        "told in": "docs/detection.md, Where accounts turn up",
        "source": _NO_FILE,
    },
    "afar": {
        "name": "afar",
        "what": "newcomers from operators (autonomous systems) where hardly anybody comes from, all for one route",
        "about": ["route", "ip"],
        "told in": "docs/detection.md, What newcomers come for",
        "source": _NO_FILE,
    },
    "guise": {
        "name": "guise",
        "what": "newcomers with user agents that hardly anybody has, all for one route",
        "about": ["route", "ip"],
        "told in": "docs/detection.md, What newcomers come for",
        "source": _NO_FILE,
    },
    "unheard": {
        "name": "unheard",
        "what": "newcomers who each ask one route for a path that nobody ever asked for, many at once",
        "about": ["route", "ip"],
        "told in": "docs/detection.md, What newcomers come for",
        "source": _NO_FILE,
    },
    "flood": {
        "name": "flood",
        "what": "newcomers who ask one route for thing after thing, all at once, where its visitors ask for one or two",
        "about": ["route", "ip"],
        "told in": "docs/detection.md, Floods of one route",
        "source": _NO_FILE,
    },
    "misfit": {
        "name": "misfit",
        "what": "a newcomer who is like nobody else where he is: in a place few come to, from elsewhere, for more",
        "about": ["ip", "key"],
        "told in": "docs/detection.md, Like nobody else there",
        "source": _NO_FILE,
    },
    "cardinality": {
        "name": "cardinality",
        "what": "many addresses or keys that come, ask once and are not back: a flood of made-up identities",
        "about": ["everybody"],
        "told in": "docs/detection.md, Floods of made-up identities",
        "source": _NO_FILE,
    },
    "drift": {
        "name": "drift",
        "what": "evidence against good clients that rises higher than the model says: what is normal has changed",
        "about": ["everybody"],
        "told in": "docs/models.md, When good traffic drifts",
        "source": _NO_FILE,
    },
}
"""What alerts are about beside families."""


def about(family: Family) -> str:
    """The kinds of clients it looks at."""
    return " ".join(name for name, kind in KINDS.items() if kind in family.about)


def asks(family: Family) -> str:
    """What its alerts ask for, of all kinds."""
    words = {answer for kind in family.about for answer in family.answers.get(kind, ("notice",))}
    return "/".join(sorted(words)) + (" (shadow)" if family.shadow else "")


def source(name: str, family: Family | None) -> str:
    """The file of one built-in family, to write one's own from.

    Raises:
        CommandError: it is none, or one that no file can say anew.
    """
    if family is None or family.each is Each.MINUTE:
        raise CommandError(f"{name} cannot be written as a file: it is no family of marks")
    if family.words.source != BUILT_IN:
        raise CommandError(f"{name} is your own: it stands in {family.words.source}")
    for file in FILES:
        text = resources.files("detectors").joinpath(f"data/families/{file}.yml").read_text("utf-8")
        begin, _, after = f"\n{text}".partition(f"\n{_ITEM}{name}\n")
        if after:
            return f"{begin.partition(_ITEM)[0].strip()}\n{_ITEM}{name}\n{after.partition(_ITEM)[0].rstrip()}\n"
    raise CommandError(f"{name} stands in no file")


def record(family: Family) -> dict[str, Any]:
    """Everything its file says, in words."""
    mark = family.mark
    marked = _answered(mark.outcomes)
    if mark.new is not None:
        marked.append(f"{mark.new} new to {'anyone' if mark.to_anyone else 'it'}")
    if mark.again:
        marked.append("path asked for before")
    if mark.at_once > 1:
        marked.append(f"{mark.at_once} or more alike within a second")
    if not mark.waits:
        marked.append("not asked for again as one waits for it")
    if mark.same_route:
        marked.append("same route as before")
    if mark.where is not None:
        marked.append(told(mark.where))
    group = [str(by) for by in family.groups]
    usual = [each * 3600 if family.rate else each for each in family.usual]
    return {
        "name": family.name,
        "revision": family.version,
        "what": family.words.what,
        "about": about(family).split(),
        "opportunity": str(family.each),
        "where": told(family.where) if family.where is not None else "",
        "counts": _answered(family.outcomes),
        "mark": marked,
        "null": str(family.null),
        "q1": None if family.rate else family.q1,
        "usual": [f"{each:g}{' an hour' if family.rate else ''}" for each in dict.fromkeys(usual)],
        "control": family.control,
        "group": [*group, "of newcomers alone"] if family.newcomers_only else group,
        "alone": family.alone,
        "answers": [
            f"{name}: {new}" + (f", established {known}" if known != new else "")
            for name, kind in KINDS.items()
            if kind in family.answers
            for new, known in [family.answers[kind]]
        ],
        "on_route": family.on_route,
        "shadow": family.shadow,
        "severity": family.severity,
        "sentence": family.words.sentence,
        "repeated": family.words.repeated,
        "avoid": family.words.avoid,
        "behaviour": family.words.behaviour,
        "owasp": list(family.words.owasp),
        "attack": list(family.words.attack),
        "source": family.words.source,
    }


def _answered(outcomes: frozenset[int]) -> list[str]:
    every = len(outcomes) == len(OUTCOMES)
    return [] if every else ["answered " + " or ".join(name for name, code in OUTCOMES.items() if code in outcomes)]
