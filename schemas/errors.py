"""Typed errors of data that came from outside. Each names the field, what is wrong and the fix."""

from __future__ import annotations


class BadMessageError(ValueError):
    """A message that cannot be taken: `field` names the culprit, `reason` what is wrong, `fix` what would do.

    `code` is a short stable word for counters and for the dead-letter topic (`bad_value`, `bad_json`,
    `bad_arrow`, `missing_field`, `unknown_field`, `future_version`, `content_type`, `too_large`).
    """

    def __init__(self, code: str, field: str, reason: str, fix: str = "") -> None:
        super().__init__(f"{field}: {reason}" + (f" ({fix})" if fix else ""))
        self.code = code
        self.field = field
        self.reason = reason
        self.fix = fix


class SettingsError(ValueError):
    """A setting that is unknown or malformed; the message names the environment variable and the fix."""
