"""`floodwarden model try`: a model on recorded traffic beside the live one, and whom only one alarms about."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from detectors.artifact import Model
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects
from floodwarden.replay import progress_bar
from floodwarden.traffic import Traffic, names
from floodwarden.training import counted
from schemas.model_registry import Registry
from schemas.models import Agreement, Incident, Trial
from schemas.settings import Settings
from stream.models import configured, registered
from stream.train import gather
from stream.trial import tried


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried: a version of the registry, or (`version` 0) a file that is not registered."""

    model: Model
    version: int

    @classmethod
    def of(cls, settings: Settings, text: str) -> Candidate:
        """By its number or file. Raises `ArtifactError` where it cannot be used."""
        if text.isdecimal():
            return cls(registered(settings, int(text)), int(text))
        return cls(configured(settings, Path(text)), 0)


def run(settings: Settings, candidate: Candidate, traffic: Traffic, author: str) -> Trial:
    """Try `candidate` against the live model; a registered version's replay is kept beside it.

    Raises:
        ArtifactError: the live model cannot be used.
        CommandError: the traffic cannot be read, or holds nothing.
    """
    live = configured(settings)
    rows = [0]
    with progress_bar() as progress:
        batches = counted(progress, traffic.batches(Rejects()), rows)
        flows = gather(batches, settings.login_globs, live.families)
        if not rows[0]:
            raise CommandError(f"no request in {traffic.name}{traffic.fix}")
        agreement = tried(live, candidate.model, flows)
    _name(agreement, traffic)
    at_ms = time.time_ns() // 1_000_000
    trial = Trial(candidate.version, live.version, traffic.name, rows[0], agreement, author, at_ms)
    if candidate.version:
        Registry(settings.registry).tried(trial)
    return trial


def _name(agreement: Agreement, traffic: Traffic) -> None:
    """Put texts in the place of hashes (mutates)."""
    told: list[Incident] = [*agreement.only_live, *agreement.only_shadow]
    known = names({int(one.entity[1:], 16) for one in told}, traffic)
    for one in told:
        one.entity = known.get(int(one.entity[1:], 16), one.entity)
