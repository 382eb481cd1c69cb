"""What attackers cannot do for want of a session: an answer stopped their login.

    login as A, challenged   ->   A's account, orders, payment do not come, until a login as A passes

A trace was written down as if nobody was ever stopped. Somebody who means well gets past a challenge, so he has his.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from floodwarden.effects import Effect, Effects
from floodwarden.formats_trace import Labelled, is_attack
from stream.requests import logins

_STOPS: Final = (Effect.CHALLENGED, Effect.DENIED)
_Who = tuple[str, str]  # address, account
_Stopped = tuple[str, Effect]  # on which route his login was, and by what


class Sessions:
    """Addresses and accounts of attackers whose last login there an answer stopped, with what stopped it."""

    def __init__(self, globs: tuple[str, ...]) -> None:
        self._globs = globs
        self._missing: dict[_Who, _Stopped] = {}

    def after(self, part: Labelled, effects: Effects) -> tuple[Effects, dict[_Who, _Stopped | None]]:
        """`effects` with what does not come in a slice whose rows these are; and what is new after it, for `take`."""
        attack, news = is_attack(part.labels), dict[_Who, _Stopped | None]()
        if not attack.any() or not (self._missing or np.isin(effects[attack], _STOPS).any()):
            return effects, news
        user = part.batch.column("user")
        at = np.flatnonzero(attack & user.is_valid().to_numpy(zero_copy_only=False))
        login, done = logins(part.batch, self._globs)[at], effects.copy()
        told = (_texts(part.batch.column(name), at) for name in ("ip", "user", "route"))
        for row, ip, name, route, signs_in in zip(at.tolist(), *told, login.tolist(), strict=True):
            who = ip, name
            stopped = news[who] if who in news else self._missing.get(who)
            if not signs_in:
                done[row] = max(done[row], stopped[1] if stopped else Effect.NONE)
            elif done[row] in _STOPS:
                news[who] = route, Effect(int(done[row]))
            elif stopped and stopped[0] == route:  # a code that is sent after a login is none
                news[who] = None
        return done, news

    def take(self, news: Mapping[_Who, _Stopped | None]) -> None:
        """Go on from what `after` told: whose login was stopped, and (None) whose passed."""
        for who, stopped in news.items():
            if stopped is None:
                self._missing.pop(who, None)
            else:
                self._missing[who] = stopped


def _texts(column: pa.Array, at: np.ndarray) -> list[str]:
    return [str(text) for text in column.take(pa.array(at)).to_pylist()]
