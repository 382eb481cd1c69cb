"""Errors a person at the command line can do something about: the message is one line that says what."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot do what was asked; exit code 1."""


class EmbeddedError(CommandError):
    """An embedded server is missing or does not start."""


class UnreachableError(CommandError):
    """A broker, a Redis or a service does not answer."""
