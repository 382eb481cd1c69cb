"""Which answer an alert gets: plays, asked one after the other; the first that is for it decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from enforcer.asking import Ask
from enforcer.canary import Canary
from enforcer.ladder import Ladder
from schemas.action import ActionKind
from schemas.alert import Alert, Answer, EntityKind, Severity
from schemas.exempt import Exempt
from schemas.hours import Hours

CLIENTS: Final = frozenset({EntityKind.IP, EntityKind.KEY, EntityKind.USER})
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class When:
    """Which alerts a play is for; an empty condition holds for every alert. Globs know `*`, `?` and `[...]`.

    `about` says what the alert must be about; empty: a client, never a group.
    """

    alert: tuple[str, ...] = ()
    about: frozenset[EntityKind] = frozenset()
    asks: frozenset[Answer] = frozenset()
    severity: Severity = Severity.INFO
    confidence: float = 0.0
    route: tuple[str, ...] = ()
    behaviour: tuple[str, ...] = ()
    hours: tuple[Hours, ...] = ()

    def against(self, alert: Alert, now_ms: int) -> str:
        """Why it is not for `alert`, in words; empty where it is."""
        return next(self._reasons(alert, now_ms), "")

    def _reasons(self, alert: Alert, now_ms: int) -> Iterator[str]:
        if alert.entity.kind not in (self.about or CLIENTS):
            yield f"about {_listed(self.about or CLIENTS)}; the alert is about {alert.entity.kind}"
        if self.alert and not _any(self.alert, alert.kind):
            yield f"alert {' or '.join(self.alert)}; this one is {alert.kind}"
        if self.asks and alert.answer not in self.asks:
            yield f"asks {_listed(self.asks)}; the alert asks for {alert.answer}"
        if _SEVERITIES.index(alert.severity) < _SEVERITIES.index(self.severity):
            yield f"severity {self.severity}; the alert's is {alert.severity}"
        if alert.score < self.confidence:
            yield f"confidence {self.confidence:g}; the alert's is {alert.score:g}"
        if self.route and not _any(self.route, alert.route or ""):
            yield f"route {' or '.join(self.route)}; the alert names {alert.route or 'none'}"
        if self.behaviour and not _any(self.behaviour, alert.behaviour or ""):
            yield f"behaviour {' or '.join(self.behaviour)}; the alert is a case of {alert.behaviour or 'none'}"
        if self.hours and not any(each.holds(now_ms) for each in self.hours):
            yield "hours; it is another time"

    def covers(self, other: When) -> bool:
        """Whether it is surely for every alert that `other` is for."""
        return (
            (other.about or CLIENTS) <= (self.about or CLIENTS)
            and (not self.asks or (bool(other.asks) and other.asks <= self.asks))
            and _SEVERITIES.index(self.severity) <= _SEVERITIES.index(other.severity)
            and self.confidence <= other.confidence
            and self.alert in ((), other.alert)
            and self.route in ((), other.route)
            and self.behaviour in ((), other.behaviour)
            and self.hours in ((), other.hours)
        )


class Kept(StrEnum):
    """What of itself is known, for an answer to spare: a client's addresses, or accounts at theirs."""

    ADDRESSES = "addresses"
    PAIRS = "pairs"


@dataclass(frozen=True, slots=True)
class Play:
    """What is done about the alerts of `when`.

    `seconds` is the length of a first answer and `factor` what a throttle leaves of limits; None: as settings have it.
    `on_route`: on the route that an alert names, where it names one; else on every request. `spare`: whom it leaves
    alone, and `kept`: known by itself (nobody is, and `tells_unknown`: it is only told of); `told`: what is said of
    them. `page`: somebody is to be called. `ask`: when
    somebody is asked first. `canary`: on whom it is tried first. `level`: a notice that asks for a brownout.
    """

    name: str
    when: When
    kind: ActionKind
    seconds: int | None = None
    factor: float | None = None
    on_route: bool = True
    spare: Exempt | None = None
    kept: Kept | None = None
    tells_unknown: bool = False
    told: str = ""
    ladder: Ladder | None = None
    page: bool = False
    ask: Ask | None = None
    canary: Canary | None = None
    level: int | None = None


OBSERVE: Final = Play("", When(), ActionKind.NOTICE)


@dataclass(frozen=True, slots=True)
class Playbook:
    """Plays in the order in which they are asked. What none is for is observed: recorded, and nothing done."""

    plays: tuple[Play, ...]

    def slowest(self, usual: Ladder) -> Ladder:
        """The ladder that remembers longest of all in use, `usual` among them."""
        ladders = [usual, *(play.ladder for play in self.plays if play.ladder is not None)]
        return replace(usual, quiet_ms=max(e.quiet_ms for e in ladders), hold_ms=max(e.hold_ms for e in ladders))

    def canaries(self) -> dict[str, Canary]:
        """The canary of each play that has one, by its name."""
        return {play.name: play.canary for play in self.plays if play.canary is not None}

    def asking_for_brownouts(self) -> list[Play]:
        """The plays that do."""
        return [play for play in self.plays if play.level is not None]

    def play(self, alert: Alert, now_ms: int) -> Play:
        """The play for `alert`."""
        return next((play for play in self.plays if not play.when.against(alert, now_ms)), OBSERVE)

    def tried(self, alert: Alert, now_ms: int) -> list[tuple[Play, str]]:
        """Plays as they are asked, each with what it is for and `alert` is not, up to the one that is for it."""
        told: list[tuple[Play, str]] = []
        for play in self.plays:
            told.append((play, play.when.against(alert, now_ms)))
            if not told[-1][1]:
                break
        return told


def _any(globs: tuple[str, ...], text: str) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs)


def _listed(words: frozenset[EntityKind] | frozenset[Answer]) -> str:
    return " or ".join(sorted(words))
