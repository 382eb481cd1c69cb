"""The keys that verify tokens: an HMAC secret, a public key, or a JWKS file that is read again when it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas.errors import SettingsError
from schemas.settings import Settings

LOOK_EVERY_S: Final = 10.0
JWKS_BYTES_MAX: Final = 1 << 20
_HMAC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # the least bytes RFC 7518 allows for a secret
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
log = structlog.get_logger("limiter.token_keys")


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and the only algorithms it is used with."""

    key: Any
    algorithms: tuple[str, ...]
    kid: str | None = None


class Keys:
    """What the settings name. Raises `SettingsError` for what cannot be read, and when two sources are named."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.jwt_secret.get_secret_value().encode()
        if sum((bool(secret), settings.jwt_public_key is not None, settings.jwt_jwks is not None)) > 1:
            raise SettingsError(
                "FLOODWARDEN_JWT_SECRET, _JWT_PUBLIC_KEY and _JWT_JWKS: more than one is set; keep the issuer's"
            )
        self._jwks = settings.jwt_jwks
        self._stamp = _stamp(self._jwks)
        self._looked_s = 0.0
        if self._jwks is not None:
            self._keys = _jwks(self._jwks)
        elif settings.jwt_public_key is not None:
            self._keys = (_pem(settings.jwt_public_key),)
        else:
            self._keys = (_hmac(secret),) if secret else ()

    def of(self, header: Mapping[str, Any]) -> Key | None:
        """The key for a token with this (unverified) header: the one it names, or the only one there is."""
        kid = header.get("kid")
        named = [key for key in self._keys if key.kid is not None and key.kid == kid]
        if not named and len(self._keys) == 1 and (kid is None or self._keys[0].kid is None):
            named = list(self._keys)
        fitting = [key for key in named if header.get("alg") in key.algorithms]
        return fitting[0] if fitting else None

    def changed(self, now_s: float) -> bool:
        """Whether the file was written since last looked, and read again; one that cannot be read changes nothing."""
        if self._jwks is None or abs(now_s - self._looked_s) < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        stamp = _stamp(self._jwks)
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._keys = _jwks(self._jwks)
        except SettingsError as error:
            log.warning("jwks_not_taken", why=str(error), goes_on_with="the keys read before")
            return False
        return True


def _hmac(secret: bytes) -> Key:
    algorithms = tuple(name for name, least in _HMAC.items() if len(secret) >= least)
    if not algorithms:
        raise SettingsError(
            f"FLOODWARDEN_JWT_SECRET: {len(secret)} bytes can be guessed; HS256 takes 32, HS384 48, HS512 64 or more"
        )
    return Key(secret, algorithms)


def _pem(path: Path) -> Key:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"FLOODWARDEN_JWT_PUBLIC_KEY: {path}: {error}; a PEM file that begins with BEGIN PUBLIC KEY"
        ) from error
    algorithms: tuple[str, ...] = ()
    if isinstance(key, RSAPublicKey):
        algorithms = _RSA
    elif isinstance(key, EllipticCurvePublicKey):
        algorithms = _CURVES.get(key.curve.name, ())
    elif isinstance(key, Ed25519PublicKey):
        algorithms = ("EdDSA",)
    if not algorithms:
        raise SettingsError(
            f"FLOODWARDEN_JWT_PUBLIC_KEY: {path}: signs no tokens; RSA, EC (P-256, P-384, P-521) or Ed25519"
        )
    return Key(key, algorithms)


def _jwks(path: Path) -> tuple[Key, ...]:
    try:
        data = path.read_bytes()
        if len(data) > JWKS_BYTES_MAX:
            raise SettingsError(f"FLOODWARDEN_JWT_JWKS: {path}: {len(data)} bytes; at most {JWKS_BYTES_MAX}")
        read = jwt.PyJWKSet.from_dict(json.loads(data))
    except (OSError, ValueError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise SettingsError(f'FLOODWARDEN_JWT_JWKS: {path}: {error}; a file like {{"keys": [...]}}') from error
    keys = [_jwk(key) for key in read.keys if key.public_key_use in (None, "sig")]
    if any(key.algorithms[0].startswith("HS") for key in keys):
        raise SettingsError(
            f"FLOODWARDEN_JWT_JWKS: {path}: holds a secret (kty oct); set FLOODWARDEN_JWT_SECRET instead"
        )
    if not keys:
        raise SettingsError(f"FLOODWARDEN_JWT_JWKS: {path}: no key in it verifies signatures; `use` is `sig` there")
    return tuple(keys)


def _jwk(key: jwt.PyJWK) -> Key:
    return Key(key.key, (str(key.algorithm_name),), key.key_id)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        return None if path is None else ((found := path.stat()).st_mtime_ns, found.st_size)
    except OSError:
        return None
