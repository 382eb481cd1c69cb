"""Who of the good gets past a challenge: somebody with a browser, for ten minutes; no program does.

    challenged, a browser      asked once in ten minutes, as docs/gateways.md has it    -> CHALLENGED, then NONE
    challenged, anything else  nobody is there who could answer                         -> BARRED

Of attackers nobody passes (`sessions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from detectors import browsers
from floodwarden.effects import Effect, Effects
from floodwarden.formats_trace import Labelled, is_attack

CLEARED_MS: Final = 600_000
_Who = tuple[str | None, str | None]  # address and user agent


class Passing:
    """When each of the good last passed a challenge."""

    def __init__(self) -> None:
        self._passed: dict[_Who, int] = {}

    def after(self, part: Labelled, effects: Effects) -> tuple[Effects, dict[_Who, int]]:
        """`effects` with what becomes of challenged good rows; and who passes when, for `take`."""
        asked = np.flatnonzero(effects == Effect.CHALLENGED)
        asked = asked[~is_attack(part.labels[asked])]
        news: dict[_Who, int] = {}
        if not len(asked):
            return effects, news
        done, ua = effects.copy(), part.batch.column("ua")
        of = np.append(browsers.are(pl.Series(ua.dictionary.to_pylist(), dtype=pl.Utf8)), False)
        code = ua.indices.fill_null(len(ua.dictionary)).to_numpy(zero_copy_only=False)[asked]
        done[asked[~of[code]]] = Effect.BARRED
        asked = asked[of[code]]
        told = (part.batch.column(name).take(asked).to_pylist() for name in ("ip", "ua", "ts_ms"))
        for row, ip, agent, at_ms in zip(asked.tolist(), *told, strict=True):
            since_ms = news.get((ip, agent), self._passed.get((ip, agent), at_ms - CLEARED_MS))
            if at_ms >= since_ms + CLEARED_MS:
                news[ip, agent] = at_ms
            elif at_ms != since_ms:
                done[row] = Effect.NONE
        return done, news

    def take(self, news: Mapping[_Who, int]) -> None:
        """Go on from what `after` told."""
        self._passed |= news
