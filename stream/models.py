"""The model that settings ask for: which version or file, for which families, with how many false alarms a day."""

from __future__ import annotations

from pathlib import Path

from detectors import artifact, budget
from detectors.artifact import Model
from detectors.errors import ArtifactError
from detectors.families import Families
from detectors.family_file import with_own
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.settings import PREFIX, Settings


def configured(settings: Settings, path: Path | None = None, families: Families | None = None) -> Model:
    """The model at `path`, else the version that is live, else the one settings name, else the shipped one.

    For `families`, else those of the settings.

    Raises:
        ArtifactError: it cannot be used, or `false_alarms` not be read; the message says what to do.
    """
    if path is None:
        registry = Registry(settings.registry)
        try:
            live = registry.order().live
        except FileError as error:
            raise ArtifactError(str(error)) from error
        if live:
            return registered(settings, live, families)
    return stated(settings, path, families)


def stated(settings: Settings, path: Path | None = None, families: Families | None = None) -> Model:
    """The same, whatever version is live; for `families`, else those of the settings. Raises as `configured`."""
    return budgeted(artifact.load(path or settings.model, families or with_own(settings.families)), settings)


def registered(settings: Settings, number: int, families: Families | None = None) -> Model:
    """A version of the registry; for `families`, else those of the settings. Raises `ArtifactError` as `configured`."""
    registry = Registry(settings.registry)
    try:
        data = registry.data(number)
    except FileError as error:
        raise ArtifactError(str(error)) from error
    return budgeted(artifact.parse(data, f"version {number}", families or with_own(settings.families)), settings)


def budgeted(model: Model, settings: Settings) -> Model:
    """`model` with the thresholds that `false_alarms` asks for. Raises `ArtifactError` as `configured`."""
    try:
        return budget.at(model, budget.parse(settings.false_alarms))
    except ValueError as error:
        raise ArtifactError(f"{PREFIX}FALSE_ALARMS: {error}") from error
