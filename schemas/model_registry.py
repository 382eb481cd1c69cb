"""Trained models with versions, in a directory that people and workers share: no database, no service.

    files/DIGEST.npz          a model under the digest of its bytes
    versions/N.json           `Version`
    orders/N.json             `Order`; the highest number holds
    trials/N.json             `Trial` of version N, the newest
    agreement/N/P.json        `Agreement` of the live model and version N in shadow, of usage partition P
    drift/P.json              `DriftDay` of usage partition P, the newest
    workers/NODE.json         `Word`

Files, versions and orders are written once and never changed: whoever makes one of two at once with the same number is
told so. What changes is replaced whole, so nobody reads half of anything.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from schemas import models
from schemas.errors import FileError
from schemas.models import Agreement, DriftDay, Order, Trial, Version, Word

T = TypeVar("T", Version, Order, Word, Trial, Agreement, DriftDay)
GONE_MS: Final = 24 * 3_600_000
NONE: Final = Order(0, 0, 0, "", "", 0)
_NUMBERED: Final = re.compile(r"([1-9]\d{0,8})\.json")
_STALE: Final = "somebody else was first"


class Registry:
    """The directory at `path`, which need not be there yet. Every read is of the disk, small and at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, data: bytes, version: Version) -> Version:
        """Register a model's file; one that is registered already keeps its version.

        The number and digest of `version` are settled here.

        Raises:
            FileError: the directory cannot be written, or another was registered at the same moment.
        """
        if len(data) > models.BYTES_MAX:
            raise FileError("model", 0, "file", f"{len(data)} bytes", f"at most {models.BYTES_MAX}")
        digest = models.digest(data)
        known = next((one for one in self.versions() if one.digest == digest), None)
        if known is not None:
            return known
        number = max(self._numbers("versions"), default=0) + 1
        made = msgspec.structs.replace(version, version=number, digest=digest)
        self._replace(self._file(digest), data)
        self._once(self.path / "versions" / f"{number}.json", made)
        return made

    def versions(self) -> list[Version]:
        """All of them, the newest first. Raises `FileError` where one is damaged."""
        return [self._read(self.path / "versions" / f"{n}.json", Version) for n in self._numbers("versions")]

    def version(self, number: int) -> Version:
        """One of them. Raises `FileError` where there is none."""
        return self._read(self.path / "versions" / f"{number}.json", Version)

    def data(self, number: int) -> bytes:
        """A version's file. Raises `FileError` where it is not there or not what was registered."""
        made = self.version(number)
        path = self._file(made.digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _fault(path, error.strerror or str(error)) from error
        if models.digest(data) != made.digest:
            raise FileError(str(path), 0, "file", "is not what was registered", "register the model again")
        return data

    def orders(self) -> list[Order]:
        """All that was ordered, the newest first."""
        return [self._read(self.path / "orders" / f"{n}.json", Order) for n in self._numbers("orders")]

    def order(self) -> Order:
        """What holds; `NONE` where nothing was ordered yet."""
        newest = max(self._numbers("orders"), default=0)
        return self._read(self.path / "orders" / f"{newest}.json", Order) if newest else NONE

    def put(self, order: Order) -> None:
        """Order something. Raises `FileError` where an order of this serial is there already."""
        self._once(self.path / "orders" / f"{order.serial}.json", order)

    def trial(self, number: int) -> Trial | None:
        """The newest replay of a version."""
        path = self.path / "trials" / f"{number}.json"
        return self._read(path, Trial) if path.exists() else None

    def tried(self, trial: Trial) -> None:
        """A version was replayed."""
        self._replace(self.path / "trials" / f"{trial.version}.json", msgspec.json.encode(trial))

    def agreement(self, number: int) -> Agreement | None:
        """How the live model and a version in shadow agreed, of all partitions together; None: nothing is known.

        Partitions last written while another model was live are left out: the newest says which one counts.
        """
        paths = sorted((self.path / "agreement" / str(number)).glob("*.json"))
        found = [self._read(path, Agreement) for path in paths]
        live = max(found, key=lambda one: one.until_ms).live if found else ""
        return models.summed([one for one in found if one.live == live])

    def agreed(self, number: int, partition: int, agreement: Agreement) -> None:
        """What one usage partition found of it until now."""
        self._replace(self.path / "agreement" / str(number) / f"{partition}.json", msgspec.json.encode(agreement))

    def days(self) -> list[DriftDay]:
        """What partitions watch for drift, each one's newest day."""
        return [self._read(path, DriftDay) for path in sorted((self.path / "drift").glob("*.json"))]

    def watched(self, partition: int, day: DriftDay) -> None:
        """The day of one usage partition went on."""
        self._replace(self.path / "drift" / f"{partition}.json", msgspec.json.encode(day))

    def words(self) -> list[Word]:
        """What workers said last, those long gone included."""
        return [self._read(path, Word) for path in sorted((self.path / "workers").glob("*.json"))]

    def say(self, word: Word) -> None:
        """A worker's word, in the place of its last one. Those of workers long gone go."""
        for path in (self.path / "workers").glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime * 1000 < word.at_ms - GONE_MS:
                    path.unlink()
        self._replace(self.path / "workers" / f"{quote(word.node, safe='')}.json", msgspec.json.encode(word))

    def _numbers(self, folder: str) -> list[int]:
        try:
            names = [path.name for path in (self.path / folder).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _fault(self.path / folder, error.strerror or str(error)) from error
        return sorted((int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))), reverse=True)

    def _file(self, digest: str) -> Path:
        return self.path / "files" / f"{digest}.npz"

    def _read(self, path: Path, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError as error:
            raise FileError(
                str(path), 0, kind.__name__.lower(), "there is none", "see `floodwarden model list`"
            ) from error
        except OSError as error:
            raise _fault(path, error.strerror or str(error)) from error
        except msgspec.DecodeError as error:
            raise FileError(
                str(path), 0, "file", f"is damaged ({error})", "remove it, and do again what made it"
            ) from error

    def _once(self, path: Path, value: Version | Order) -> None:
        beside = self._beside(path, msgspec.json.encode(value))
        try:
            path.hardlink_to(beside)
        except FileExistsError as error:
            raise FileError(str(path), 0, "number", _STALE, "look at what holds, and do it again") from error
        except OSError as error:
            raise _fault(path, error.strerror or str(error)) from error
        finally:
            beside.unlink(missing_ok=True)

    def _replace(self, path: Path, data: bytes) -> None:
        beside = self._beside(path, data)
        try:
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _fault(path, error.strerror or str(error)) from error

    def _beside(self, path: Path, data: bytes) -> Path:
        """`data` on disk under a name of its own, in the directory of `path`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
            return Path(file.name)
        except OSError as error:
            raise _fault(path, error.strerror or str(error)) from error


def _fault(path: Path, reason: str) -> FileError:
    return FileError(str(path), 0, "file", reason, "check FLOODWARDEN_MODELS and who may read and write there")
