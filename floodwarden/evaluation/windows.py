"""What peers of ours see: per address or key and whole minute, plain counts and shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from floodwarden.formats_trace import Labelled
from stream.requests import logins

WINDOW_MS: Final = 60_000
KINDS: Final = ("ip", "key")
FEATURES: Final = (
    "requests", "failed_share", "client_error_share", "server_error_share", "limited_share", "logins", "paths",
    "routes", "users", "agents",
)  # fmt: skip
_COLUMNS: Final = ("ts_ms", "verdict", "ip", "key_id", "user", "route", "path_hash", "ua", "status")


@dataclass(frozen=True, slots=True)
class Window:
    """One minute of one kind of entity: who, and a row of `FEATURES` each (counts as ln(1 + n))."""

    kind: str
    end_ms: int
    who: list[str]
    features: NDArray[np.float64]
    requests: NDArray[np.int64]


@dataclass(slots=True)
class Minutes:
    """Gathers slices until a minute is over. Requests with a key count for the key alone; our denials do not count."""

    globs: tuple[str, ...]
    _parts: list[pl.DataFrame] = field(default_factory=list)
    _minute: int | None = None

    def add(self, batch: pa.RecordBatch) -> list[Window]:
        """Take in a slice of one minute; the windows of the minute before when it is over."""
        minute = int(batch.column("ts_ms")[0].as_py()) // WINDOW_MS
        over = self.close() if self._minute is not None and minute != self._minute else []
        self._minute = minute
        frame = pl.DataFrame(pa.Table.from_batches([batch.select(list(_COLUMNS))]))
        text = [pl.col(name).cast(pl.Utf8) for name in ("verdict", "ip", "key_id", "user", "route", "ua")]
        login = pl.Series("login", logins(batch, self.globs))
        self._parts.append(frame.with_columns(*text, login).filter(~pl.col("verdict").is_in(["deny", "challenge"])))
        return over

    def close(self) -> list[Window]:
        """The windows of what there is."""
        if not self._parts or self._minute is None:
            return []
        rows, end_ms = pl.concat(self._parts), (self._minute + 1) * WINDOW_MS
        self._parts = []
        keyed = pl.col("key_id").is_not_null()
        made = (
            _window("ip", "ip", rows.filter(~keyed & pl.col("ip").is_not_null()), end_ms),
            _window("key", "key_id", rows.filter(keyed), end_ms),
        )
        return [window for window in made if window.who]


def windows(parts: Iterable[Labelled], globs: tuple[str, ...]) -> Iterator[Window]:
    """All windows of slices of a minute each at the most, in time order."""
    minutes = Minutes(globs)
    for part in parts:
        yield from minutes.add(part.batch)
    yield from minutes.close()


def _window(kind: str, column: str, rows: pl.DataFrame, end_ms: int) -> Window:
    status, limited = pl.col("status"), pl.col("verdict") == "limit"
    failed = status.is_in([401, 403])
    by = rows.group_by(column, maintain_order=True).agg(
        pl.len().alias("n"),
        pl.len().log1p().alias("requests"),
        failed.mean().alias("failed_share"),
        (status.is_between(400, 499) & ~failed & ~limited).mean().alias("client_error_share"),
        (status >= 500).mean().alias("server_error_share"),
        limited.mean().alias("limited_share"),
        pl.col("login").sum().log1p().alias("logins"),
        *(
            pl.col(name).n_unique().log1p().alias(alias)
            for name, alias in (("path_hash", "paths"), ("route", "routes"), ("user", "users"), ("ua", "agents"))
        ),
    )
    features = by.select(FEATURES).to_numpy().astype(np.float64)
    return Window(kind, end_ms, by[column].to_list(), features, by["n"].to_numpy().astype(np.int64))
