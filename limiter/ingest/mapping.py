"""What a source's records mean: for each column of ours the ways to get its value, in their order. Pure."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from schemas.decision import SCHEMA

Path = tuple[str, ...]
"""Names of the objects on the way to a value, and its own."""
IDS_KEPT: Final = 200_000
IDS_KEPT_MAX: Final = 10_000_000
COLUMNS: Final = tuple(name for name in SCHEMA.names if name != "path_hash")  # that one is ours to work out


class Time(StrEnum):
    """How a source writes an instant."""

    ISO = "iso"
    CLF = "clf"  # 10/Oct/2000:13:55:36 -0700
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


class Unit(StrEnum):
    """How a source writes a length of time; `duration` is protobuf's JSON: "1.5s"."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"
    DURATION = "duration"


class Format(StrEnum):
    """What a source's records are."""

    JSON = "json"
    COMBINED = "combined"
    NGINX = "nginx"
    COMMON = "common"
    TSV = "tsv"


@dataclass(frozen=True, slots=True)
class Term:
    """One way to get a value: a constant, or the first of `paths` that holds one.

    `values` says what each value means here; one it does not list is `otherwise`, which absent is no value.
    """

    paths: tuple[Path, ...] = ()
    constant: str | int | float | None = None
    values: Dict[str, str] | None = None
    otherwise: str | None = None
    time: Time = Time.MS
    zone: str | None = None
    unit: Unit = Unit.MS
    hop: int = 0
    hashed: bool = True
    template: bool = False


@dataclass(frozen=True, slots=True)
class Mapping:
    """The columns a source fills, where it names an event, and whether a field that is not named is an error."""

    columns: Dict[str, tuple[Term, ...]]
    event_id: tuple[Path, ...] = ()
    exact: bool = False

    @property
    def paths(self) -> list[Path]:
        """Every field that is read, once."""
        named = [path for terms in self.columns.values() for term in terms for path in term.paths]
        return list(dict.fromkeys([*named, *self.event_id]))


AS_OURS: Final = Mapping({name: (Term(((name,),), hashed=False),) for name in COLUMNS}, exact=True)
"""Records that name their fields as our columns are named, in our units."""


@dataclass(frozen=True, slots=True)
class TopicAt:
    """A foreign topic: `servers` empty means our own broker; `options` are librdkafka's."""

    topic: str
    servers: str = ""
    group: str = ""
    options: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from (one of `topic`, `files`, neither: HTTP) and what they mean."""

    name: str
    mapping: Mapping
    format: Format = Format.JSON
    topic: TopicAt | None = None
    files: tuple[str, ...] = ()
    latest: bool = False
    header: str = ""
    ids_kept: int = IDS_KEPT
