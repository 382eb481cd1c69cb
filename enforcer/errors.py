"""Typed errors of this room; each says what to do next."""

from __future__ import annotations


class CommandError(ValueError):
    """A command that cannot be carried out: `field` names what is wrong (an argument or a server), `fix` what helps.

    `code` is a stable word: `bad_value`, `allowlisted`, `own_proxy`, `not_found`, `not_in_force`, `not_held`,
    `not_pending`, `broker_unreachable`, `redis_unreachable`, `enforcer_unreachable`.
    """

    def __init__(self, code: str, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason} ({fix})")
        self.code = code
        self.field = field
        self.reason = reason
        self.fix = fix
