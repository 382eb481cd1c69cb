"""Commands that look at what is in force and change it."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
