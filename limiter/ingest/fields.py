"""JSON records -> values of the fields that a mapping names; everything else in them is skipped unread. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec

from limiter.ingest.mapping import Path
from schemas.errors import BadMessageError

Scalar = str | int | float | bool | None
Column = list[Any]
RECORD_BYTES_MAX: Final = 8 << 20
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIX: Final = "send one JSON object, an array of objects, or an object a line"


@dataclass(frozen=True, slots=True)
class Decoded:
    """Records, for each the number of the value it stood in and its bytes; and what could not be read, with why."""

    records: Sequence[Any]
    places: Sequence[int]
    parts: Sequence[bytes]
    bad: list[tuple[int, bytes, BadMessageError]] = field(default_factory=list)


class Fields:
    """Reads records for `paths`; no path may begin with another one. `exact`: a field that is not named is an error."""

    def __init__(self, paths: Sequence[Path], *, exact: bool = False) -> None:
        names = {path: self._attributes(path, paths) for path in paths}
        self._getters: dict[Path, Callable[[Any], Any]] = {path: attrgetter(".".join(names[path])) for path in paths}
        self._decode = msgspec.json.Decoder(_struct(paths, 0, exact=exact)).decode

    def records(self, values: Sequence[bytes]) -> Decoded:
        """Records of all `values`, and what could not be read of which."""
        if max(map(len, values), default=0) <= RECORD_BYTES_MAX:
            try:
                return Decoded(list(map(self._decode, values)), range(len(values)), values)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass  # one of them is not one object
        return self._one_by_one(values)

    def columns(self, records: Sequence[Any]) -> dict[Path, Column]:
        """The value of each path in each record; None where it is absent."""
        found = {}
        for path, get in self._getters.items():
            try:
                found[path] = list(map(get, records))
            except AttributeError:  # null stands where an object might
                found[path] = [_reached(get, record) for record in records]
        return found

    def _one_by_one(self, values: Sequence[bytes]) -> Decoded:
        records: list[Any] = []
        places: list[int] = []
        parts: list[bytes] = []
        bad: list[tuple[int, bytes, BadMessageError]] = []
        for at, value in enumerate(values):
            try:
                found = _parts(value)
            except BadMessageError as error:
                bad.append((at, value, error))
                continue
            for part in found:
                try:
                    records.append(self._decode(part))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    bad.append((at, bytes(part), _named(error)))
                else:
                    places.append(at)
                    parts.append(bytes(part))
        return Decoded(records, places, parts, bad)

    @staticmethod
    def _attributes(path: Path, paths: Sequence[Path]) -> list[str]:
        """The path by the attributes of the structs made for it."""
        return [_attribute(path[: depth + 1], paths) for depth in range(len(path))]


def _struct(paths: Sequence[Path], depth: int, *, exact: bool) -> type[msgspec.Struct]:
    """A struct for what stands `depth` levels down; all of `paths` share what is above it."""
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for name in dict.fromkeys(path[depth] for path in paths):
        below = [path for path in paths if path[depth] == name]
        attribute = f"f{len(fields)}"
        names[attribute] = name
        if len(below[0]) == depth + 1:
            fields.append((attribute, Scalar, None))
            continue
        inner = _struct(below, depth + 1, exact=exact)
        fields.append((attribute, inner | None, inner()))
    return msgspec.defstruct("Record", fields, rename=names, frozen=True, gc=False, forbid_unknown_fields=exact)


def _attribute(prefix: Path, paths: Sequence[Path]) -> str:
    siblings = dict.fromkeys(path[: len(prefix)] for path in paths if path[: len(prefix) - 1] == prefix[:-1])
    return f"f{list(siblings).index(prefix)}"


def _reached(get: Callable[[Any], Any], record: Any) -> Any:
    try:
        return get(record)
    except AttributeError:
        return None


def _parts(value: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The objects in a value: itself, the items of an array, or a line each."""
    if len(value) > RECORD_BYTES_MAX:
        fix = f"at most {RECORD_BYTES_MAX} bytes a record"
        raise BadMessageError("too_large", "body", f"{len(value)} bytes", fix)
    bare = value.lstrip()
    if not bare:
        raise BadMessageError("bad_json", "body", "is empty", _FIX)
    if bare[:1] == b"[":
        try:
            return _RAW.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadMessageError("bad_json", "body", str(error)[:400], _FIX) from error
    lines = [line for line in bare.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines):
        return lines
    return [value]


def _named(error: Exception) -> BadMessageError:
    reason, _, at = str(error).partition(" - at `$")
    if isinstance(error, msgspec.ValidationError):
        named = reason.split("`")[1] if "field `" in reason else "body"
        where = at.rstrip("`").lstrip(".") or named
        fix = f"map a field inside it: {where}.NAME" if "got `object`" in reason else "see the source's mapping"
        return BadMessageError("bad_value", where, reason[:400], fix)
    return BadMessageError("bad_json", "body", str(error)[:400], _FIX)
