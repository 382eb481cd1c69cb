"""The keys that verify tokens: an HMAC secret, a public key, or a JWKS, in a file or at a URL, that is read again."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas.errors import SettingsError

LOOK_EVERY_S: Final = 10.0
FETCH_EVERY_S: Final = 60.0
FETCH_S: Final = 3.0
JWKS_BYTES_MAX: Final = 1 << 20
_HMAC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # the least bytes RFC 7518 allows for a secret
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
log = structlog.get_logger("token_keys")


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and the only algorithms it is used with."""

    key: Any
    algorithms: tuple[str, ...]
    kid: str | None = None


class Source(Protocol):
    """Where a JWKS stands. `stamp` is another when it should be read again, None while that cannot be told."""

    def read(self) -> bytes:
        """All of it, as far as it may be long. Raises `OSError`."""

    def stamp(self) -> object:
        """Of what is there now."""


@dataclass(frozen=True, slots=True)
class File:
    """A JWKS in a file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """Its bytes."""
        with self.path.open("rb") as file:
            return file.read(JWKS_BYTES_MAX + 1)

    def stamp(self) -> object:
        """When it was written, and how long it is."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Url:
    """A JWKS at a URL: `https`, or `http` on this machine."""

    url: str

    def __str__(self) -> str:
        return self.url

    def read(self) -> bytes:
        """Its bytes, as the server gives them now."""
        with urllib.request.urlopen(self.url, timeout=FETCH_S) as answer:  # noqa: S310 - `source` took https alone
            return bytes(answer.read(JWKS_BYTES_MAX + 1))

    def stamp(self) -> object:
        """Another every minute: only reading it tells whether it changed."""
        return int(time.monotonic() / FETCH_EVERY_S)


def source(text: str, setting: str) -> Source:
    """A file or a URL, as the text says.

    Raises:
        SettingsError: a URL that anybody on the way could answer.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        return File(Path(text))
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError(f"{setting}: {text}: keys by http can be anybody's; use https")
    return Url(text)


class Keys:
    """What verifies tokens: the secret, the public key or the JWKS; `setting` is what the settings' names begin with.

    A JWKS at a URL that does not answer at first is asked again: until then no token is verified.

    Raises:
        SettingsError: what cannot be read, or more than one is named.
    """

    def __init__(
        self, setting: str, *, secret: bytes = b"", public_key: Path | None = None, jwks: Source | None = None
    ) -> None:
        if sum((bool(secret), public_key is not None, jwks is not None)) > 1:
            raise SettingsError(f"{setting}_SECRET, _PUBLIC_KEY and _JWKS: more than one is set; keep the issuer's")
        self._setting = setting
        self._jwks = jwks
        self._stamp: object = None
        self._looked_s = 0.0
        self._keys: tuple[Key, ...] = ()
        if isinstance(jwks, Url):
            self.changed(time.time())
        elif jwks is not None:
            self._stamp = jwks.stamp()
            self._keys = _jwks(jwks, setting)
        elif public_key is not None:
            self._keys = (_pem(public_key, setting),)
        else:
            self._keys = (_hmac(secret, setting),) if secret else ()

    def of(self, header: Mapping[str, Any]) -> Key | None:
        """The key for a token with this (unverified) header: the one it names, or the only one there is."""
        kid = header.get("kid")
        named = [key for key in self._keys if key.kid is not None and key.kid == kid]
        if not named and len(self._keys) == 1 and (kid is None or self._keys[0].kid is None):
            named = list(self._keys)
        fitting = [key for key in named if header.get("alg") in key.algorithms]
        return fitting[0] if fitting else None

    def changed(self, now_s: float) -> bool:
        """Whether the JWKS was read again since last looked; one that cannot be read changes nothing."""
        if self._jwks is None or abs(now_s - self._looked_s) < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        stamp = self._jwks.stamp()
        if stamp is None or stamp == self._stamp:
            return False
        try:
            keys = _jwks(self._jwks, self._setting)
        except SettingsError as error:
            log.warning("jwks_not_taken", why=str(error), goes_on_with="the keys read before")
            if isinstance(self._jwks, File):
                self._stamp = stamp  # as it stands it will not get better
            return False
        self._stamp, self._keys = stamp, keys
        return True


def _hmac(secret: bytes, setting: str) -> Key:
    algorithms = tuple(name for name, least in _HMAC.items() if len(secret) >= least)
    if not algorithms:
        raise SettingsError(
            f"{setting}_SECRET: {len(secret)} bytes can be guessed; HS256 takes 32, HS384 48, HS512 64 or more"
        )
    return Key(secret, algorithms)


def _pem(path: Path, setting: str) -> Key:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"{setting}_PUBLIC_KEY: {path}: {error}; a PEM file that begins with BEGIN PUBLIC KEY"
        ) from error
    algorithms: tuple[str, ...] = ()
    if isinstance(key, RSAPublicKey):
        algorithms = _RSA
    elif isinstance(key, EllipticCurvePublicKey):
        algorithms = _CURVES.get(key.curve.name, ())
    elif isinstance(key, Ed25519PublicKey):
        algorithms = ("EdDSA",)
    if not algorithms:
        raise SettingsError(f"{setting}_PUBLIC_KEY: {path}: signs no tokens; RSA, EC (P-256, P-384, P-521) or Ed25519")
    return Key(key, algorithms)


def _jwks(source: Source, setting: str) -> tuple[Key, ...]:
    name = f"{setting}_JWKS: {source}"
    try:
        data = source.read()
        if len(data) > JWKS_BYTES_MAX:
            raise SettingsError(f"{name}: more than {JWKS_BYTES_MAX} bytes")
        read = jwt.PyJWKSet.from_dict(json.loads(data))
    except (OSError, ValueError, AttributeError, RecursionError, HTTPException, jwt.PyJWTError) as error:
        raise SettingsError(f'{name}: {error}; JSON like {{"keys": [...]}}') from error
    keys = [_jwk(key) for key in read.keys if key.public_key_use in (None, "sig")]
    if any(key.algorithms[0].startswith("HS") for key in keys):
        raise SettingsError(f"{name}: holds a secret (kty oct); keys that verify are public ones")
    if not keys:
        raise SettingsError(f"{name}: no key in it verifies signatures; `use` is `sig` there")
    return tuple(keys)


def _jwk(key: jwt.PyJWK) -> Key:
    return Key(key.key, (str(key.algorithm_name),), key.key_id)
