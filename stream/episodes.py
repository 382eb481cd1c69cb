"""Findings -> alerts: one incident about one entity, however many panes it lasts.

    pane          |  41  |  42  |  43  | ...                     |
    peek             x                                             crosses on the open pane: `open` at once, early
    close            x      x      x                               borne out; `update` at most every 10 s
                                      |<----- 20 min quiet ----->| `closed`

An early alert that the close of its pane does not bear out is `withdrawn`. Everything else follows from closed panes
alone, so the same decisions give the same alerts however they came.

An incident is named by the twenty minutes its evidence crossed in. Two of one entity and family lie at least that far
apart, so the name is its own; and what an open pane shows early, before all rows of it and of those before it are
there, has the name that the closed panes will give it, whichever of them it then began in. Where the oldest open pane
lies in the twenty minutes before, it may have begun there: so long nothing is told early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from xxhash import xxh3_128_hexdigest

from detectors.columns import Finding
from schemas.alert import Alert, Answer, Contribution, Entity, EntityKind, Evidence, Severity, Status
from schemas.usage import Kind
from stream.networks import network

QUIET_MS: Final = 20 * 60_000
SLOT_S: Final = QUIET_MS // 1000
UPDATE_EVERY_MS: Final = 10_000
EPISODES_MAX: Final = 32_768
DIGITS: Final = 6
_EXAMPLES_MAX: Final = 3
_VALUE_CHARS_MAX: Final = 512

Names = Callable[[Iterable[int]], Mapping[int, str]]
"""Texts of hashes, as far as they are still known."""


class Episode(msgspec.Struct, frozen=True):
    """An open incident. `finding` is the newest; `told_ms` the event time its last open or update was about.

    `canonical` is false while only an open pane speaks for it. Texts are kept: their hashes may be forgotten later.
    """

    finding: Finding
    told_ms: int
    canonical: bool
    entity: str
    route: str | None
    summary: str
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    at_ms: int
    uid: str
    status: Status
    episode: Episode


class Episodes:
    """The open incidents of one usage partition; beyond `episodes_max` those quiet longest are closed."""

    def __init__(self, model: str, episodes_max: int = EPISODES_MAX) -> None:
        self._model = model
        self._episodes_max = episodes_max
        self._open: dict[str, Episode] = {}

    def __len__(self) -> int:
        """Number of open incidents."""
        return len(self._open)

    def closed(self, findings: Sequence[Finding], until_ms: int, names: Names) -> list[Alert]:
        """What the panes before `until_ms`, now whole, say: opens, updates, ends, withdrawals in event-time order."""
        texts = self._texts(findings, names)
        said: list[_Said] = []
        for finding in findings:
            said += self._canonical(uid_of(finding), finding, texts)
        for uid, episode in list(self._open.items()):
            if not episode.canonical and (episode.finding.at_s + 1) * 1000 <= until_ms:
                said.append(self._end(uid, Status.WITHDRAWN, until_ms))
            elif episode.canonical and episode.finding.last_ms + QUIET_MS <= until_ms:
                said.append(self._end(uid, Status.CLOSED, episode.finding.last_ms + QUIET_MS))
        said.sort(key=lambda s: (s.at_ms, s.uid))
        return [self._alert(s) for s in said]

    def peeked(self, findings: Sequence[Finding], names: Names, oldest_s: int) -> list[Alert]:
        """What open panes, of which `oldest_s` is the oldest, already say: incidents not yet known open at once."""
        since = oldest_s // SLOT_S
        new = {uid: f for f in findings if f.pane_s // SLOT_S == since and (uid := uid_of(f)) not in self._open}
        if not new:
            return []
        texts = self._texts(list(new.values()), names)
        said: list[_Said] = []
        for uid, finding in new.items():
            said += self._room()
            said.append(self._begin(uid, finding, texts, canonical=False))
        return [self._alert(s) for s in said]

    def finish(self) -> list[Alert]:
        """End of input: every incident closes."""
        said = [self._end(uid, Status.CLOSED, e.finding.last_ms + QUIET_MS) for uid, e in list(self._open.items())]
        said.sort(key=lambda s: (s.at_ms, s.uid))
        return [self._alert(s) for s in said]

    def adopt(self, model: str) -> None:
        """From now on findings are of another model."""
        self._model = model

    def dump(self) -> bytes:
        """Everything, for a snapshot."""
        return msgspec.msgpack.encode(self._open)

    def load(self, data: bytes) -> None:
        """The inverse of `dump`."""
        self._open = msgspec.msgpack.decode(data, type=dict[str, Episode])

    def _canonical(self, uid: str, finding: Finding, texts: Mapping[int, str]) -> list[_Said]:
        said: list[_Said] = []
        episode = self._open.get(uid)
        if episode is not None and episode.canonical and episode.finding.last_ms + QUIET_MS <= finding.at_s * 1000:
            said.append(self._end(uid, Status.CLOSED, episode.finding.last_ms + QUIET_MS))
            episode = None
        if episode is None:
            said += self._room()
            said.append(self._begin(uid, finding, texts, canonical=True))
        elif not episode.canonical:
            restated = self._begin(uid, finding, texts, canonical=True).episode  # nothing of the early word stays
            if _evidence(restated.finding) != _evidence(episode.finding):
                said.append(_Said(finding.last_ms, uid, Status.UPDATE, restated))
        elif finding.last_ms >= episode.told_ms + UPDATE_EVERY_MS:
            self._open[uid] = _restated(episode, finding, finding.last_ms, texts)
            said.append(_Said(finding.last_ms, uid, Status.UPDATE, self._open[uid]))
        else:
            self._open[uid] = _restated(episode, finding, episode.told_ms, texts)
        return said

    def _begin(self, uid: str, finding: Finding, texts: Mapping[int, str], *, canonical: bool) -> _Said:
        entity = _text(finding.kind, finding.entity, finding, texts)
        route = texts.get(finding.route) if finding.route else None
        summary, campaign = _summary(entity, finding, texts), _campaign(finding, texts)
        episode = Episode(finding, finding.last_ms, canonical, entity, route, summary, campaign)
        self._open[uid] = episode
        return _Said(finding.crossed_ms, uid, Status.OPEN, episode)

    def _end(self, uid: str, status: Status, at_ms: int) -> _Said:
        return _Said(at_ms, uid, status, self._open.pop(uid))

    def _room(self) -> list[_Said]:
        if len(self._open) < self._episodes_max:
            return []
        by_quiet = sorted(self._open, key=lambda uid: (self._open[uid].finding.last_ms, uid))
        gone = by_quiet[: max(1, self._episodes_max // 16)]
        return [self._end(uid, Status.CLOSED, self._open[uid].finding.last_ms) for uid in gone]

    def _texts(self, findings: Sequence[Finding], names: Names) -> Mapping[int, str]:
        wanted = {h for f in findings for h in (f.entity, f.route, f.campaign[1], *f.examples[:_EXAMPLES_MAX]) if h}
        return names(wanted) if wanted else {}

    def _alert(self, said: _Said) -> Alert:
        finding, entity = said.episode.finding, said.episode.entity
        kind = EntityKind(Kind(finding.kind).name.lower())
        return Alert(
            uid=said.uid,
            status=said.status,
            kind=finding.family,
            severity=Severity(finding.severity),
            answer=Answer(finding.answer),
            entity=Entity(kind=kind, value=entity),
            route=said.episode.route,
            first_ms=finding.first_ms,
            last_ms=finding.last_ms,
            crossed_ms=finding.crossed_ms,
            crossed_after=finding.crossed_after,
            score=_told(min(1.0, max(0.0, finding.score))),
            rule=f"{finding.family}/{finding.version}",
            model=self._model,
            summary=said.episode.summary,
            behaviour=finding.behaviour or None,
            ids=finding.ids,
            avoid=finding.avoid or None,
            browser=finding.browser,
            campaign=said.episode.campaign,
            evidence=tuple(
                Evidence(
                    name=fact.name,
                    value=_told(fact.value),
                    baseline=None if fact.baseline is None else _told(fact.baseline),
                    sentence=fact.sentence,
                )
                for fact in finding.facts
            ),
            contributions=tuple(
                Contribution(
                    feature=part.feature, value=_told(part.value), share=_told(part.share), sentence=part.sentence
                )
                for part in finding.contributions
            ),
        )


def _told(number: float) -> float:
    """Without the digits that the order of additions, and so batching, moves."""
    return round(number, DIGITS)


def uid_of(finding: Finding) -> str:
    """The alert's identity: what it is about and the twenty minutes it began in, never when it was noticed."""
    began = finding.pane_s // SLOT_S
    return xxh3_128_hexdigest(f"{finding.kind}:{finding.entity:016x}:{finding.family}:{began}".encode())


def _restated(episode: Episode, finding: Finding, told_ms: int, texts: Mapping[int, str]) -> Episode:
    """The episode as its newest canonical finding leaves it."""
    summary, campaign = _summary(episode.entity, finding, texts), _campaign(finding, texts) or episode.campaign
    return Episode(finding, told_ms, True, episode.entity, episode.route, summary, campaign)


def _text(kind: int, value: int, finding: Finding, texts: Mapping[int, str]) -> str:
    """What an entity is called; a network by an address that was seen in it."""
    if kind == Kind.NETWORK:
        inside = (network(texts[example]) for example in finding.examples if example in texts)
        return next((name for name in inside if name), f"#{value:016x}")
    return texts.get(value, f"#{value:016x}")[:_VALUE_CHARS_MAX]


def _campaign(finding: Finding, texts: Mapping[int, str]) -> str | None:
    kind, value = finding.campaign
    if not value:
        return None
    name = _text(kind, value, finding, texts)
    return name if kind == Kind.ROUTE else f"{Kind(kind).name.lower()} {name}"


def _evidence(finding: Finding) -> Finding:
    return replace(finding, crossed_ms=0, first_ms=0)


def _summary(entity: str, finding: Finding, texts: Mapping[int, str]) -> str:
    kind = Kind(finding.kind).name.lower()
    what = finding.facts[0].sentence if finding.facts else f"evidence of {finding.family}"
    examples = [texts[h] for h in finding.examples[:_EXAMPLES_MAX] if h in texts]
    return f"{kind} {entity}: {what}" + (f"; for example {', '.join(examples)}" if examples else "")
