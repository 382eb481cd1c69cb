"""Signatures: what in a request's texts says enough by itself. Declarations; the texts are looked at by the stream.

A signature holds for a text, percent-decoded and in lower case, that contains one of `has` and, where there is a
pattern, fits it. `has` is what makes it cheap: one pass over a text asks for those of all signatures at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

COLUMNS: Final = ("url", "agent", "referer")


@dataclass(frozen=True, slots=True)
class Signature:
    """One sign. `group` is what rules ask for; `columns` are where it is looked for; `match` is empty without one."""

    name: str
    group: str
    title: str
    columns: tuple[str, ...]
    has: tuple[str, ...]
    match: str = ""
    behaviour: str = ""
    ids: tuple[str, ...] = ()
    source: str = ""


class Signs:
    """Which signatures texts of one column bear. Attackers write the texts: time grows with their length, no faster."""

    def __init__(self, signatures: Iterable[Signature], column: str) -> None:
        self.signatures = tuple(s for s in signatures if column in s.columns)
        by: dict[str, list[int]] = {}
        for at, signature in enumerate(self.signatures):
            for literal in signature.has:
                by.setdefault(literal, []).append(at)
        self._literals = list(by)
        self._by = by

    def borne(self, texts: pl.Series) -> dict[int, tuple[str, ...]]:
        """Names of the signatures that texts bear, by their place; texts that bear none are left out.

        `texts` are decoded, none is null.
        """
        if not self._literals or not len(texts):
            return {}
        suspect = texts.str.contains_any(self._literals, ascii_case_insensitive=True).arg_true()
        if not len(suspect):
            return {}
        lower = texts.gather(suspect).str.to_lowercase()
        asked = self._asked(lower)
        found: dict[int, list[str]] = {}
        for at, rows in sorted(asked.items()):
            signature = self.signatures[at]
            if signature.match:
                fits = lower.gather(rows).str.contains(signature.match).to_list()
                rows = [row for row, holds in zip(rows, fits, strict=True) if holds]  # noqa: PLW2901 - those that fit
            for row in rows:
                found.setdefault(row, []).append(signature.name)
        places = suspect.to_list()
        return {places[row]: tuple(names) for row, names in sorted(found.items())}

    def _asked(self, lower: pl.Series) -> dict[int, list[int]]:
        """By signature the texts that contain what it has."""
        asked: dict[int, list[int]] = {}
        for row, literals in enumerate(lower.str.extract_many(self._literals, overlapping=True).to_list()):
            for at in sorted({at for literal in set(literals) for at in self._by[literal]}):
                asked.setdefault(at, []).append(row)
        return asked
