"""The model that settings ask for: which file, for which families, with how many false alarms a day."""

from __future__ import annotations

from pathlib import Path

from detectors import artifact, budget
from detectors.artifact import Model
from detectors.errors import ArtifactError
from detectors.family_file import with_own
from schemas.settings import PREFIX, Settings


def configured(settings: Settings, path: Path | None = None) -> Model:
    """The model at `path`, else the one settings name, else the shipped one.

    Raises:
        ArtifactError: it cannot be used, or `false_alarms` not be read; the message says what to do.
    """
    return budgeted(artifact.load(path or settings.model, with_own(settings.families)), settings)


def budgeted(model: Model, settings: Settings) -> Model:
    """`model` with the thresholds that `false_alarms` asks for. Raises `ArtifactError` as `configured`."""
    try:
        return budget.at(model, budget.parse(settings.false_alarms))
    except ValueError as error:
        raise ArtifactError(f"{PREFIX}FALSE_ALARMS: {error}") from error
