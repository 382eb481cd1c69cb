"""Recorded decisions to learn from or to try a model on: files, or the last hours of the topic."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from floodwarden import topic_reading
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled
from limiter.located import located
from limiter.places import Places
from schemas import codec, topics
from schemas.errors import BadMessageError
from schemas.networks import client
from schemas.settings import Settings

ROWS_MAX: Final = 20_000_000
"""Decisions of the topic that are read at most: their flows are held in memory, about 100 bytes each."""
ENTITIES: Final = ("ip", "key_id", "user", "route", "tenant", "asn")
"""The columns that say whom an alert is about."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Files to learn from."""

    files: tuple[str, ...]
    form: str | None = None
    geoip: str = ""

    @property
    def name(self) -> str:
        """As a model says what it was made from."""
        return ", ".join(Path(file).name for file in self.files)

    @property
    def fix(self) -> str:
        """What to do where it holds no decisions."""
        return "; name the --format"

    @property
    def again(self) -> bool:
        """Whether they can be read a second time."""
        return "-" not in self.files

    def batches(self, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Their decisions. Raises `CommandError` where they cannot be read."""
        return (part.batch for part in at_places(read(self.files, form=self.form, rejects=rejects), self.geoip))


@dataclass(frozen=True, slots=True)
class Recorded:
    """The topic `decisions` of an installation, from `from_ms` by the broker's stamps."""

    settings: Settings
    from_ms: int
    again: bool = True

    @classmethod
    def last(cls, settings: Settings, seconds: int) -> Recorded:
        """Of the last `seconds`."""
        return cls(settings, time.time_ns() // 1_000_000 - seconds * 1000)

    @property
    def name(self) -> str:
        """As a model says what it was made from."""
        return self.settings.topic(topics.DECISIONS)

    @property
    def fix(self) -> str:
        """What to do where it holds no decisions."""
        return "; give a longer --over"

    def batches(self, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Its decisions, partitions mixed. Messages that are none are counted: the stream has put them aside.

        Raises:
            CommandError: no broker, no such topic, or more decisions than are read at once.
        """
        rows = 0
        for message in topic_reading.read(self.settings, topics.DECISIONS, since_ms=self.from_ms):
            kind = dict(message.headers() or []).get(topics.CONTENT_TYPE)
            try:
                batch = codec.decode(message.value() or b"", kind.decode("latin-1") if kind else None)
            except BadMessageError as error:
                rejects.add(self.name, message.offset() or 0, str(error), "")
                continue
            rows += batch.num_rows
            if rows > ROWS_MAX:
                raise CommandError(
                    f"{self.name} has more than {ROWS_MAX:,} decisions of that time; give a shorter --over"
                )
            yield batch


def at_places(parts: Iterable[Labelled], geoip: str) -> Iterator[Labelled]:
    """`parts` with the clients' countries and networks where they do not say, as a limiter's rows have them.

    Raises:
        SettingsError: `geoip` names a database that cannot be read.
    """
    known = Places(geoip).of
    for part in parts:
        yield Labelled(located(part.batch, known), part.labels) if geoip else part


Traffic = Sources | Recorded


def names(wanted: set[int], traffic: Traffic, columns: Sequence[str] = ENTITIES) -> dict[int, str]:
    """Texts of hashes, looked for in a second reading; what cannot be read twice names nobody."""
    if not wanted or not traffic.again:
        return {}
    out: dict[int, str] = {}
    for batch in traffic.batches(Rejects()):
        for column in columns:
            for text in _texts(batch.column(column)):
                name = client(text) if text and column == "ip" else text
                if name and (number := codec.text_hash(name)) in wanted:
                    out[number] = name
    return out


def _texts(column: pa.Array) -> list[str | None]:
    """The distinct texts of a column; of numbers as they are written."""
    distinct = column.dictionary if pa.types.is_dictionary(column.type) else column.unique().cast(pa.utf8())
    texts: list[str | None] = distinct.to_pylist()
    return texts
