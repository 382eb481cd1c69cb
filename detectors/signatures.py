"""Signatures: what in a request's texts says enough by itself. Declarations, and which of them a text bears.

A signature holds for a text, percent-decoded and in lower case, that contains one of `has` and, where there is a
pattern, fits it. `has` is what makes it cheap: one pass over a text looks for those of all signatures at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from detectors.compiled import unwritten
from detectors.strings import Strings

COLUMNS: Final = ("url", "agent", "referer")
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
_ENCODED: Final = "%"
_TIMES: Final = 2


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
        by: dict[str, list[int]] = {_ENCODED: []}
        for at, signature in enumerate(self.signatures):
            for literal in signature.has:
                by.setdefault(literal, []).append(at)
        self._strings = Strings.of(list(by))
        self._asked = list(by.values())

    def borne(self, data: U8, offsets: I32, text: Callable[[int], str]) -> dict[int, tuple[str, ...]]:
        """Names of the signatures that texts bear, by their place; texts that bear none are left out.

        Texts are bytes by offset, and each by its place; what has a `%` in it is decoded first.
        """
        place, literal = self._strings.found(data, offsets)
        if not len(place):
            return {}
        encoded = np.unique(place[literal == 0])
        plain = ~np.isin(place, encoded)
        lower = {at: text(at).lower() for at in np.unique(place[plain]).tolist()}
        pairs = set(zip(place[plain].tolist(), literal[plain].tolist(), strict=True))
        if len(encoded):
            clear = [decoded(text(at)).lower() for at in encoded.tolist()]
            again, literal = self._strings.found(*joined(clear))
            pairs |= set(zip(encoded[again].tolist(), literal.tolist(), strict=True))
            lower |= dict(zip(encoded.tolist(), clear, strict=True))
        asked: dict[int, set[int]] = {}
        for at, number in pairs:
            for signature in self._asked[number]:
                asked.setdefault(signature, set()).add(at)
        return self._fitting(asked, lower)

    def _fitting(self, asked: dict[int, set[int]], lower: dict[int, str]) -> dict[int, tuple[str, ...]]:
        """Of each signature, the texts that fit it among those that contain what it has."""
        found: dict[int, list[str]] = {}
        for number, places in sorted(asked.items()):
            signature, those = self.signatures[number], sorted(places)
            if signature.match:
                fits = pl.Series([lower[at] for at in those]).str.contains(signature.match).to_list()
                those = [at for at, holds in zip(those, fits, strict=True) if holds]
            for at in those:
                found.setdefault(at, []).append(signature.name)
        return {at: tuple(names) for at, names in sorted(found.items())}


def decoded(text: str) -> str:
    """`text` percent-decoded twice: who hides what he asks for encodes it so."""
    for _ in range(_TIMES):
        if _ENCODED not in text:
            break
        text = unquote(text, errors="replace")
    return text


def joined(texts: Sequence[str]) -> tuple[U8, I32]:
    """Texts as bytes one after the other, and where each begins and the last ends."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.zeros(len(parts) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, parts), np.int32, len(parts)), out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), unwritten(offsets)  # as those of a column
