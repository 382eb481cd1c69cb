"""What attackers cannot do for want of a session: an answer stopped their login.

    login as A, challenged   ->   A's account, orders, payment do not come, until a login as A passes

A trace was written down as if nobody was ever stopped. Somebody who means well gets past a challenge, so he has his.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from floodwarden.effects import Effect, Effects
from floodwarden.formats_trace import Labelled, is_attack
from stream.requests import logins

_STOPS: Final = (Effect.CHALLENGED, Effect.DENIED)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Addresses and accounts of attackers whose last login there an answer stopped, with what stopped it."""

    globs: tuple[str, ...]
    missing: frozenset[tuple[str, str, Effect]] = frozenset()

    def after(self, part: Labelled, effects: Effects) -> tuple[Effects, Sessions]:
        """`effects` with what does not come in a slice whose rows these are, and how it stands after it."""
        attack = is_attack(part.labels)
        if not attack.any() or not (self.missing or np.isin(effects[attack], _STOPS).any()):
            return effects, self
        user = part.batch.column("user")
        at = np.flatnonzero(attack & user.is_valid().to_numpy(zero_copy_only=False))
        login, done = logins(part.batch, self.globs)[at], effects.copy()
        whom = zip(*(_texts(part.batch.column(name), at) for name in ("ip", "user")), strict=True)
        missing = {(ip, name): effect for ip, name, effect in self.missing}
        for row, who, signs_in in zip(at.tolist(), whom, login.tolist(), strict=True):
            if not signs_in:
                done[row] = max(done[row], missing.get(who, Effect.NONE))
            elif done[row] in _STOPS:
                missing[who] = Effect(int(done[row]))
            else:
                missing.pop(who, None)
        return done, Sessions(self.globs, frozenset((*who, effect) for who, effect in missing.items()))


def _texts(column: pa.Array, at: np.ndarray) -> list[str]:
    return [str(text) for text in column.take(pa.array(at)).to_pylist()]
