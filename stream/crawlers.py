"""Requests of crawlers that say who they are: from where their operator says, or in his name only.

Asked of distinct pairs of user agent and address, and of those alone whose user agent claims it.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from stream.plan import Plan
from stream.requests import Requests

I64 = NDArray[np.int64]


def verified(rows: Requests, plan: Plan) -> I64:
    """Rows of crawlers that come from where their operator says."""
    return _whose(rows, plan, comes_from=True)


def spoofed(rows: Requests, plan: Plan) -> I64:
    """Rows in the name of a crawler whose published ranges their address is in none of."""
    return _whose(rows, plan, comes_from=False)


def _whose(rows: Requests, plan: Plan, *, comes_from: bool) -> I64:
    row = _claiming(rows, plan)
    if not len(row):
        return row
    pairs, at = np.unique(np.stack([rows.agent.codes[row], rows.address.codes[row]]), axis=1, return_inverse=True)
    columns = rows.agent.values, rows.address.values
    agents, ips = (_texts(text, codes) for text, codes in zip(columns, pairs, strict=True))
    comes = np.zeros(len(agents), np.bool_)
    for place, (agent, ip) in enumerate(zip(agents, ips, strict=True)):
        bot = plan.bots.claimed(agent or "")
        comes[place] = bot is not None and ip is not None and plan.bots.comes_from(bot, ip) is comes_from
    return row[comes[at.ravel()]]


def _claiming(rows: Requests, plan: Plan) -> I64:
    """Rows whose user agent says it is a crawler; none while nobody said where crawlers come from."""
    values = pl.Series(rows.agent.values.cast(pa.utf8()))
    if plan.bots.is_blind or not len(values):
        return np.empty(0, np.int64)
    claims = values.str.contains_any(list(plan.bots.words), ascii_case_insensitive=True).fill_null(value=False)
    found: I64 = np.flatnonzero(np.append(claims.to_numpy(), np.False_)[rows.agent.codes])
    return found


def _texts(values: pa.Array, codes: NDArray[np.int32]) -> list[str | None]:
    """Texts by their codes, None for -1."""
    texts: list[str | None] = values.take(pa.array(codes, mask=codes < 0)).to_pylist()
    return texts
