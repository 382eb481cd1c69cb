"""What the command line has to say of models itself: they are registered here, and judged as workers would."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from detectors import artifact
from detectors.errors import ArtifactError
from detectors.family_file import with_own
from enforcer.errors import CommandError
from enforcer.model_command import By, Thresholds, checked
from schemas.model_registry import Registry
from schemas.models import Version
from schemas.settings import Settings
from stream.models import registered

KINDS: Final = ("ip", "key", "user")
"""Kinds of client, in the order in which a model has their thresholds."""


def register(settings: Settings, path: Path, by: By) -> Version:
    """Register the model at `path`: the same file keeps the version it has.

    Raises:
        ArtifactError: this program's workers could not use it.
        CommandError: a word cannot be taken.
        FileError: it cannot be written.
    """
    checked(by)
    model = artifact.load(path, with_own(settings.families))
    made = Version(0, "", model.version, model.made_from, model.span_s, by.author, by.reason, _now_ms())
    return Registry(settings.registry).add(path.read_bytes(), made)


def judge(settings: Settings, number: int) -> Thresholds:
    """A version's thresholds by family and kind of client. Raises `CommandError` where workers could not use it."""
    try:
        model = registered(settings, number)
    except ArtifactError as error:
        fix = "its workers would not take it; see docs/models.md"
        raise CommandError("unusable", "version", str(error), fix) from error
    return {
        family.name: {kind: round(float(model.h[k, family.index]), 3) for k, kind in enumerate(KINDS)}
        for family in model.families
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
