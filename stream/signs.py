"""Texts as signatures look at them: percent-decoded twice, for who hides what he asks for encodes it so."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import polars as pl

TIMES: Final = 2


def decoded(texts: pl.Series) -> pl.Series:
    """`texts` decoded, nulls empty. Of a text without `%` nothing is done."""
    texts = texts.fill_null("")
    encoded = texts.str.contains("%", literal=True).arg_true()
    if not len(encoded):
        return texts
    plain = [_decoded(text) for text in texts.gather(encoded).to_list()]
    return texts.scatter(encoded, plain)


def _decoded(text: str) -> str:
    for _ in range(TIMES):
        if "%" not in text:
            break
        text = unquote(text, errors="replace")
    return text
