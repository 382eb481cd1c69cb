"""A policy between the store and the limiters: its files, the order which version holds, what a node says of it.

The store numbers versions; in Redis a version is its files under the digest of them, so that no two that differ ever
share a name, and a node that runs the same files already has nothing to do.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.errors import BadMessageError, FileError

Files = Mapping[str, bytes]
"""Name within the policy (`limits.yaml`, `teams/search.jsonl`) -> what stands in it."""

NAME: Final = r"[a-z0-9][a-z0-9_.-]{0,62}"
FILES_MAX: Final = 1_000
BYTES_MAX: Final = 64 << 20  # of all files together; 100,000 limits of YAML are 11 million
SUFFIXES: Final = (".yaml", ".yml", ".json", ".jsonl")
_FILE: Final = re.compile(r"[\w.@+ -]+(/[\w.@+ -]+)*")


class Candidate(msgspec.Struct, frozen=True):
    """A version on trial beside the one that holds: both judge every request, and it holds for a share of clients."""

    version: int
    digest: str
    share_ppm: int


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which version holds. Of two orders that of the higher serial is the later one, whatever their versions."""

    serial: int
    version: int
    digest: str
    at_ms: int
    candidate: Candidate | None = None

    @property
    def versions(self) -> dict[str, int]:
        """Each version that limiters need for it, under its digest."""
        return {self.digest: self.version} | ({c.digest: c.version} if (c := self.candidate) else {})


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node says: the order it saw last, the version it runs and since when; or why it did not take that one."""

    name: str
    serial: int
    version: int | None
    at_ms: int
    refused: str = ""
    candidate_refused: str = ""


class Tried(msgspec.Struct, frozen=True):
    """What a node saw of a candidate since the order `serial`: the same requests, judged by both versions.

    `refused` is of the version that holds, `candidate_refused` of the other; `canary_checks` are those that the
    candidate decided. Of `good` clients the version that holds refused nothing and no action is in force on them;
    `harmed` are those of them whom the candidate refused something. `routes` has the first three, route by route.
    """

    serial: int
    checks: int
    refused: int
    candidate_refused: int
    canary_checks: int
    canary_refused: int
    good: int
    harmed: int
    faults: int
    routes: dict[str, tuple[int, int, int]]


def digest(files: Files) -> str:
    """A name for exactly these files: 32 hex digits."""
    hashed = hashlib.sha256()
    for name, data in sorted(files.items()):
        hashed.update(f"{len(name.encode())}:{name}:{len(data)}:".encode())
        hashed.update(data)
    return hashed.hexdigest()[:32]


def checked(files: Files) -> Files:
    """The same files. Raises `FileError` where they are too many, too large, or have names no policy file has."""
    if not 1 <= len(files) <= FILES_MAX:
        raise FileError("policy", 0, "files", f"{len(files)} of them", f"1 to {FILES_MAX}")
    whole = sum(len(data) for data in files.values())
    if whole > BYTES_MAX:
        raise FileError("policy", 0, "files", f"{whole} bytes", f"at most {BYTES_MAX} together")
    for name, data in files.items():
        if not name.endswith(SUFFIXES) or not _FILE.fullmatch(name) or len(name) > 200 or ".." in name.split("/"):
            raise FileError(name[:80], 0, "file", "is no name of a policy's file", f"write NAME{SUFFIXES[0]}")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FileError(name, 0, "file", "is not UTF-8", "save it as UTF-8") from error
    return files


def packed(data: bytes) -> bytes:
    """A file as it stands in Redis."""
    return zlib.compress(data, 1)


def unpacked(value: bytes) -> bytes:
    """The file again. Raises `BadMessageError` for what is none, or larger than any."""
    opened = zlib.decompressobj()
    try:
        data = opened.decompress(value, BYTES_MAX + 1)
    except zlib.error as error:
        raise BadMessageError("bad_value", "policy", "is damaged", "publish it again") from error
    if len(data) > BYTES_MAX or not opened.eof:
        raise BadMessageError("too_large", "policy", "is larger than any, or cut off", "publish it again")
    return data


def as_text(files: Files) -> str:
    """Files as one text, for the store."""
    return json.dumps({name: data.decode("utf-8") for name, data in sorted(files.items())}, ensure_ascii=False)


def of_text(text: str) -> dict[str, bytes]:
    """The files again."""
    return {name: data.encode() for name, data in json.loads(text).items()}


def encode(said: Order | Word | Tried) -> bytes:
    """As JSON."""
    return msgspec.json.encode(said)


def order(value: bytes) -> Order:
    """An order of Redis. Raises `BadMessageError`."""
    try:
        return msgspec.json.decode(value, type=Order)
    except msgspec.DecodeError as error:
        raise BadMessageError("bad_value", "policy order", str(error), "publish it again") from error


def word(value: bytes) -> Word | None:
    """What a node says; None where that cannot be read, as of a later version's node."""
    try:
        return msgspec.json.decode(value, type=Word)
    except msgspec.DecodeError:
        return None


def tried(value: bytes) -> Tried | None:
    """What a node counted; None where that cannot be read."""
    try:
        return msgspec.json.decode(value, type=Tried)
    except msgspec.DecodeError:
        return None
