"""What a client's token says of it, as far as the settings ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.settings import PREFIX, Settings
from schemas.token_keys import File, Keys
from schemas.tokens import Rules, Tokens, roles

_ROLES: Final = ("user", "tenant", "tier", "key")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says; None where it says nothing we can use."""

    user: str | None = None
    tenant: str | None = None
    tier: str | None = None
    key: str | None = None


class Verifier:
    """Token -> `Claims`, or None for one that is not to be believed. Total, and safe to call from several threads.

    Raises:
        SettingsError: a key that cannot be read, or claims that are not `role=claim`.
    """

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.time) -> None:
        keys = Keys(
            PREFIX + "JWT",
            secret=settings.jwt_secret.get_secret_value().encode(),
            public_key=settings.jwt_public_key,
            jwks=None if settings.jwt_jwks is None else File(settings.jwt_jwks),
        )
        rules = Rules(
            roles(settings.jwt_claims, _ROLES, PREFIX + "JWT_CLAIMS"),
            lambda said: Claims(**said),
            settings.jwt_issuer or None,
            settings.jwt_audience or None,
        )
        self.claims = Tokens(keys, rules, clock_s).verified
