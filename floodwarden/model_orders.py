"""What the command line has to say of models itself: they are registered here, and judged as workers would."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from detectors import artifact
from detectors.errors import ArtifactError
from detectors.family_file import with_own
from enforcer import model_command
from enforcer.errors import CommandError
from enforcer.model_command import By, Thresholds
from schemas.models import Version
from schemas.settings import Settings
from stream.models import registered

KINDS: Final = ("ip", "key", "user")
"""Kinds of client, in the order in which a model has their thresholds."""


def register(settings: Settings, path: Path, by: By) -> Version:
    """Register the model at `path`: the same file keeps the version it has.

    Raises:
        CommandError: it cannot be read, or as `model_command.register`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        fix = "name what `train` or `calibrate` wrote"
        raise CommandError("bad_value", "file", f"{path}: {error.strerror or error}", fix) from error
    return model_command.register(settings, data, by, inspect)


def inspect(settings: Settings, data: bytes) -> Version:
    """What a model's file is, not yet numbered. Raises `CommandError` where this program's workers could not use it."""
    try:
        model = artifact.parse(data, "the file", with_own(settings.families))
    except ArtifactError as error:
        fix = "send what `train` or `calibrate` wrote; see docs/models.md"
        raise CommandError("bad_value", "file", str(error), fix) from error
    return Version(0, "", model.version, model.made_from, model.span_s, "", "", 0, dict(model.metrics))


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
