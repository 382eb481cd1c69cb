"""Typed errors of trained models that cannot be taken."""

from __future__ import annotations


class ArtifactError(ValueError):
    """A model file that is not ours, damaged, or made for other families or features; the message says what to do."""
