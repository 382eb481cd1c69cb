"""JSON Web Tokens: what a token that we could verify says of its bearer. One that we could not says nothing.

The algorithm is the key's, never the token's choice: an HMAC secret takes HS256 and its kin, a public key only its own
kind, and `none` fits no key. Verified tokens are remembered, by a hash, until they expire or the keys change.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import jwt
import structlog

from limiter.token_keys import Keys
from schemas.errors import SettingsError
from schemas.settings import Settings

TOKEN_CHARS_MAX: Final = 8192
REMEMBERED_MAX: Final = 10_000
LEEWAY_S: Final = 30  # clocks of issuers differ from ours
_ROLES: Final = ("user", "tenant", "tier", "key")
# What PyJWT raises on tokens made to hurt, beside its own errors.
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError)
log = structlog.get_logger("limiter.tokens")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says, as far as the settings ask; None where it says nothing we can use."""

    user: str | None = None
    tenant: str | None = None
    tier: str | None = None
    key: str | None = None
    expires_s: float | None = None


class Verifier:
    """Token -> `Claims`, or None for one that is not to be believed. Total, and safe to call from several threads.

    Raises:
        SettingsError: a key that cannot be read, or claims that are not `role=claim`.
    """

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.time) -> None:
        self._keys = Keys(settings)
        self._issuer = settings.jwt_issuer or None
        self._audience = settings.jwt_audience or None
        self._roles = _roles(settings.jwt_claims)
        self._clock_s = clock_s
        self._lock = Lock()
        self._remembered: OrderedDict[bytes, Claims] = OrderedDict()

    def claims(self, token: str) -> Claims | None:
        """What `token` says, when it is signed by a key of ours and in its time."""
        if len(token) > TOKEN_CHARS_MAX or token.count(".") != 2:
            return None
        now_s = self._clock_s()
        if self._keys.changed(now_s):
            with self._lock:
                self._remembered.clear()
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._remembered.get(digest)
        if known is not None:
            return known if known.expires_s is None or now_s < known.expires_s + LEEWAY_S else None
        found = self._verified(token)
        if found is not None:
            with self._lock:
                self._remembered[digest] = found
                if len(self._remembered) > REMEMBERED_MAX:
                    self._remembered.popitem(last=False)
        return found

    def _verified(self, token: str) -> Claims | None:
        try:
            key = self._keys.of(jwt.get_unverified_header(token))
            if key is None:
                return None
            said = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"verify_aud": self._audience is not None, "verify_sub": False, "verify_iat": False},
            )
            expires_s = float(said["exp"]) if said.get("exp") is not None else None
        except _UNREADABLE:
            return None
        values = {role: _text(said, claim) for role, claim in self._roles.items()}
        return Claims(**values, expires_s=expires_s)


def _roles(text: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, _, claim = part.partition("=")
        if role not in _ROLES or not claim or role in roles:
            raise SettingsError(
                f"FLOODWARDEN_JWT_CLAIMS: {part!r} is not taken; {', '.join(_ROLES)}, each once: user=sub,tier=plan"
            )
        roles[role] = claim
    return roles


def _text(said: Mapping[str, Any], claim: str) -> str | None:
    """The claim of that whole name, else the one that its dots lead to."""
    found: Any = said.get(claim)
    if found is None and "." in claim:
        found = said
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and found.bit_length() <= 64:
        return str(found)
    return found if isinstance(found, str) and found else None
