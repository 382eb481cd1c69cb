"""JSON Web Tokens: what a token that we could verify says of its bearer. One that we could not says nothing.

The algorithm is the key's, never the token's choice: an HMAC secret takes HS256 and its kin, a public key only its own
kind, and `none` fits no key. Verified tokens are remembered, by a hash, until they expire or the keys change.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import jwt

from schemas.errors import SettingsError
from schemas.token_keys import Keys

TOKEN_CHARS_MAX: Final = 8192
REMEMBERED_MAX: Final = 10_000
LEEWAY_S: Final = 30  # clocks of issuers differ from ours
# What PyJWT raises on tokens made to hurt, beside its own errors.
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules(Generic[T]):
    """What a token must have, and what becomes of it: `roles` says by which claim each of our words stands.

    `make` is given the words, None for one that the token does not say. `ends`: a token without `exp` is not taken.
    """

    roles: Mapping[str, str]
    make: Callable[[dict[str, str | None]], T]
    issuer: str | None = None
    audience: str | None = None
    ends: bool = False


class Tokens(Generic[T]):
    """Token -> what `make` makes of it, or None for one that is not to be believed. Total; any thread may ask."""

    def __init__(self, keys: Keys, rules: Rules[T], clock_s: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._rules = rules
        self._clock_s = clock_s
        self._lock = Lock()
        self._remembered: OrderedDict[bytes, tuple[T, float | None]] = OrderedDict()

    def verified(self, token: str) -> T | None:
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
            made, expires_s = known
            return made if expires_s is None or now_s < expires_s + LEEWAY_S else None
        found = self._verified(token)
        if found is None:
            return None
        with self._lock:
            self._remembered[digest] = found
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return found[0]

    def _verified(self, token: str) -> tuple[T, float | None] | None:
        rules = self._rules
        try:
            key = self._keys.of(jwt.get_unverified_header(token))
            if key is None:
                return None
            said = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=LEEWAY_S,
                options={
                    "verify_aud": rules.audience is not None,
                    "verify_sub": False,
                    "verify_iat": False,
                    "require": ["exp"] if rules.ends else [],
                },
            )
            expires_s = float(said["exp"]) if said.get("exp") is not None else None
        except _UNREADABLE:
            return None
        return rules.make({role: _text(said, claim) for role, claim in rules.roles.items()}), expires_s


def roles(text: str, known: Iterable[str], setting: str) -> dict[str, str]:
    """`ROLE=CLAIM,...` as a mapping.

    Raises:
        SettingsError: names `setting` and the part that is wrong.
    """
    words = tuple(known)
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, _, claim = part.partition("=")
        if role not in words or not claim or role in found:
            raise SettingsError(
                f"{setting}: {part!r} is not taken; {', '.join(words)}, each once: {words[0]}=sub,{words[-1]}=plan"
            )
        found[role] = claim
    return found


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
