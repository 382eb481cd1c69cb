"""Which allowed rows stand for others, where every one would be too many. Chance is handed in.

Only what is ordinary is sampled: allowed, answered below 400 or not known, on a route that takes no credential. A row
that is kept says in `weight` for how many it stands, so that sums come out right on average; a refusal, an error and a
login are always there. What is counted as *distinct* (paths, users, addresses) is not scaled: of the rest nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from schemas.decision import Decision
from schemas.routes import is_login

_ROUTES_MAX: Final = 10_000


class Sampler:
    """Keeps `share` (0 < share <= 1) of the ordinary rows. `chance` gives uniform numbers of [0, 1)."""

    def __init__(self, share: float, login_globs: tuple[str, ...], chance: Callable[[], float]) -> None:
        self._share = share
        self._weight, self._rest = int(1 / share), 1 / share % 1
        self._globs = login_globs
        self._chance = chance
        self._logins: dict[tuple[str | None, str | None], bool] = {}

    def sampled(self, row: Decision) -> Decision | None:
        """`row` as it is published, None when another one stands for it."""
        if not self._ordinary(row):
            return row
        if self._chance() >= self._share:
            return None
        # A share that is no 1/n has no whole weight: one of the two beside it, right on average.
        weight = self._weight + (self._rest > 0 and self._chance() < self._rest)
        return row if weight == 1 else msgspec.structs.replace(row, weight=weight)

    def _ordinary(self, row: Decision) -> bool:
        if row.verdict != "allow" or row.status >= 400 or row.shadow not in (None, "allow") or row.weight is not None:
            return False
        return not self._login(row.route, row.method)

    def _login(self, route: str | None, method: str | None) -> bool:
        known = self._logins.get((route, method))
        if known is None:
            if len(self._logins) >= _ROUTES_MAX:
                self._logins.clear()
            known = self._logins[route, method] = is_login(route, method, self._globs)
        return known
