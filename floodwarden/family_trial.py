"""`floodwarden families try`: a file of families on recorded traffic beside those in force: who would have been hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.columns import Finding
from detectors.family_pair import Pair, pair
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects
from floodwarden.replay import progress_bar
from floodwarden.traffic import ENTITIES, Traffic, names
from floodwarden.training import counted
from schemas.settings import Settings
from schemas.usage import Kind
from stream.family_trial import Case, tried
from stream.models import configured
from stream.networks import network
from stream.train import gather

LISTED_MAX: Final = 1_000
"""Incidents told one by one: of more, the newest. Counts are of all."""
EXAMPLES_MAX: Final = 3
_CHARS_MAX: Final = 128
_NONE: Final = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Incidents of a family; `otherwise` are those of both sets that ask for something else now."""

    both: int
    otherwise: int
    only_tried: int
    only_live: int

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Counts:
        """How both sets fare on them."""
        both = [(case.live, case.tried) for case in cases if case.live and case.tried]
        otherwise = sum(one.answer != other.answer for one, other in both if one and other)
        only_tried = sum(case.live is None for case in cases)
        return cls(len(both), otherwise, only_tried, len(cases) - len(both) - only_tried)


@dataclass(frozen=True, slots=True)
class Tried:
    """One family of the file: `against` which it was held (`refused/1`, empty: none of that name is in force)."""

    name: str
    revision: int
    against: str
    counts: Counts
    answers: dict[str, int]
    populations: dict[str, int]
    tenants: dict[str, int]
    """By tenant whom the file's family alarms about; by the empty name who is of none or of several."""


@dataclass(frozen=True, slots=True)
class Told:
    """One incident in words: what the families in force ask for, and what those tried do (None: nothing)."""

    kind: str
    entity: str
    population: str
    tenant: str
    family: str
    crossed_ms: int
    live: str | None
    tried: str | None
    sentence: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FamilyTrial:
    """What a replay showed: of the file's families, of whom else they changed something, and whom."""

    file: str
    source: str
    decisions: int
    from_ms: int
    until_ms: int
    model: str
    families: list[Tried]
    others: dict[str, Counts]
    incidents: list[Told]


def run(settings: Settings, file: Path, traffic: Traffic) -> FamilyTrial:
    """Try the families of `file` beside those in force, under the live model.

    Raises:
        FileError: the file, or one in force, cannot be taken.
        ArtifactError: the live model cannot be used.
        CommandError: the traffic cannot be read, or holds nothing.
    """
    families = pair(settings.families, file)
    live, other = (configured(settings, families=of) for of in (families.live, families.tried))
    rows = [0]
    with progress_bar() as progress:
        flows = gather(counted(progress, traffic.batches(Rejects()), rows), settings.login_globs, families.both)
        if not rows[0]:
            raise CommandError(f"no request in {traffic.name}{traffic.fix}")
        cases = tried(live, other, flows)
    of_file = {name: [case for case in cases if case.first.family == name] for name in families.names}
    differing = [c for c in cases if c.first.family in of_file and _answer(c.live) != _answer(c.tried)]
    shown = differing[: -LISTED_MAX - 1 : -1]
    texts = names(_hashes(shown) | {c.tenant for c in cases} - {0}, traffic, (*ENTITIES, "path"))
    return FamilyTrial(
        file=str(file),
        source=traffic.name,
        decisions=rows[0],
        from_ms=int(flows.pane_s.min()) * 1000 if len(flows) else 0,
        until_ms=(int(flows.pane_s.max()) + 1) * 1000 if len(flows) else 0,
        model=configured(settings).version,
        families=[_tried(name, of, families, texts) for name, of in of_file.items()],
        others=_others(cases, families),
        incidents=[_told(case, texts) for case in shown],
    )


def _tried(name: str, cases: Sequence[Case], families: Pair, texts: Mapping[int, str]) -> Tried:
    """What became of one family of the file."""
    [family] = [each for each in families.tried if each.name == name]
    before = families.in_force(name)
    hit = [case for case in cases if case.tried is not None]
    return Tried(
        name=name,
        revision=family.version,
        against=f"{name}/{before.version}{' in shadow' * before.shadow}" if before else "",
        counts=Counts.of(cases),
        answers=_counted(case.tried.answer for case in hit if case.tried),
        populations=_counted(case.population for case in hit),
        tenants=_counted(texts.get(case.tenant, _NONE) for case in hit),
    )


def _others(cases: Sequence[Case], families: Pair) -> dict[str, Counts]:
    """Of families that the file does not name, those with an incident more or less."""
    by: dict[str, list[Case]] = {}
    for case in cases:
        if case.first.family not in families.names:
            by.setdefault(case.first.family, []).append(case)
    counts = {name: Counts.of(of) for name, of in sorted(by.items())}
    return {name: of for name, of in counts.items() if of.otherwise or of.only_tried or of.only_live}


def _hashes(cases: Sequence[Case]) -> set[int]:
    return {at for case in cases for at in (case.first.entity, *case.first.examples[:EXAMPLES_MAX])}


def _told(case: Case, texts: Mapping[int, str]) -> Told:
    finding = case.first
    return Told(
        kind=Kind(finding.kind).name.lower(),
        entity=_entity(finding, texts),
        population=case.population,
        tenant=texts.get(case.tenant, _NONE),
        family=finding.family,
        crossed_ms=finding.crossed_ms,
        live=_answer(case.live),
        tried=_answer(case.tried),
        sentence=finding.facts[0].sentence if finding.facts else f"evidence of {finding.family}",
        examples=tuple(texts[at][:_CHARS_MAX] for at in finding.examples[:EXAMPLES_MAX] if at in texts),
    )


def _entity(finding: Finding, texts: Mapping[int, str]) -> str:
    """What it is called; a network by an address that was seen in it."""
    if finding.kind == Kind.NETWORK:
        inside = (network(texts[at]) for at in finding.examples if at in texts)
        return next((name for name in inside if name), f"#{finding.entity:016x}")
    return texts.get(finding.entity, f"#{finding.entity:016x}")


def _answer(finding: Finding | None) -> str | None:
    return finding.answer if finding is not None else None


def _counted(words: Iterable[str]) -> dict[str, int]:
    """How often each stands there, the most frequent first."""
    return dict(Counter(words).most_common())
