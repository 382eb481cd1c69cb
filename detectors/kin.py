"""Machines like one that is known: another address of a crawler that has walked here for hours, under the same name.

    known   192.0.2.7   examplebot   walks, a page in five seconds: that is its habit
    kin     192.0.2.91  examplebot   never seen; that it walks is no evidence, as long as it walks no faster
    not     198.18.4.2  examplebot   anybody can say a name: another network is nobody's kin

What excuses is where a request comes from, the /24 or /48 in which the other has its habit; the name beside it keeps
the neighbours in a rented network out. Whoever walked there unnoticed, slowly, has kin as slow as he is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import IP
from detectors.entities import RESERVED, Columns, Entities, Slots
from detectors.families import HOUR_S, Families, Null
from detectors.pairs import mix
from detectors.rows import Rows
from detectors.series import Series
from detectors.sight import Sight

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
KNOWN_MAX: Final = 4_096
WALKED_MAX: Final = 16_384  # an hour; who comes with another agent each time would fill more
AGE_S: Final = 48 * HOUR_S
FIRST: Final = 20  # requests that are not too fast, whatever they are: less than a walk shows by
_KIN: Final = np.uint64(23)


class Kin:
    """Networks and user agents of machines that walk by habit, and how fast; committed on the hour."""

    def __init__(self) -> None:
        self._key: U64 = np.empty(0, np.uint64)  # network and agent, ascending
        self._pace: F64 = np.empty(0)  # requests a second
        self._last_s: I64 = np.empty(0, np.int64)
        self._walked: dict[tuple[int, int], float] = {}  # this hour: key and owner, its pace

    def __len__(self) -> int:
        """How many are known."""
        return len(self._key)

    def like(self, rows: Rows, slots: Slots, c: Columns, sight: Sight) -> Flag:
        """Which rows are of addresses like a known machine, that ask no faster than it."""
        out = np.zeros(len(rows), np.bool_)
        at = np.flatnonzero(rows.flows.kind == IP) if len(self._key) else np.empty(0, np.intp)
        if not len(at):
            return out
        key = _keys(rows, at)
        place = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        near = self._key[place] == key
        at, pace = at[near], self._pace[place[near]]
        out[at] = sight.before[at] < FIRST + pace * _lived_s(rows, slots, c, at)
        return out

    def take(self, rows: Rows, slots: Slots, c: Columns, told: tuple[Sight, list[Series], Flag]) -> None:
        """Note whose walk is no evidence any more by their own habit. `told`: what the run was judged to be."""
        sight, series, like = told
        for one in series:
            if one.family.null is not Null.BY_AGE:
                continue
            walks = one.at[one.p0 >= one.family.q1]
            walks = walks[(rows.flows.kind[walks] == IP) & c.established[slots[rows.seg[walks]]]]
            walks = walks[(rows.flows.agent[walks] != 0) & (rows.flows.network[walks] != 0)]
            pace = np.where(like[walks], 0.0, sight.before[walks] / _lived_s(rows, slots, c, walks))
            who = np.stack([_keys(rows, walks), rows.owner[rows.seg[walks]]], axis=1)
            _, first, which = np.unique(mix(*who.T), return_index=True, return_inverse=True)
            fastest = np.zeros(len(first))
            np.maximum.at(fastest, which, pace)
            for walker, walked in zip(map(tuple, who[first].tolist()), fastest.tolist(), strict=True):
                if walker in self._walked or len(self._walked) < WALKED_MAX:
                    self._walked[walker] = max(self._walked.get(walker, 0.0), walked)

    def commit(self, entities: Entities, families: Families, now_s: int) -> None:
        """The hour ends: who walked in it is known, but for who was answered for something."""
        known = dict(zip(self._key.tolist(), zip(self._pace.tolist(), self._last_s.tolist(), strict=True), strict=True))
        owners = np.array([owner for _, owner in self._walked], np.uint64)
        slots = entities.find(owners, np.full(len(owners), IP, np.uint8))
        answered = np.array([family.answer(IP, established=True) != "notice" for family in families])
        tracks, at = entities.c.tracks, entities.c.at[slots]
        crossed = tracks.episode[at] | (tracks.crossed_pane_s[at] >= now_s - HOUR_S)
        calm = (slots >= RESERVED) & ~(crossed & answered).any(axis=1)
        before, walked = known.copy(), zip(self._walked.items(), calm.tolist(), strict=True)
        for ((key, _), pace), fine in sorted(walked, key=lambda one: one[1]):
            if not fine:
                known.pop(key, None)
            elif pace > 0 or key in before:
                known[key] = max(pace, before.get(key, (0.0, 0))[0], known.get(key, (0.0, 0))[0]), now_s
        self._walked = {}
        kept = [(key, *stood) for key, stood in known.items() if stood[1] > now_s - AGE_S]
        kept = sorted(sorted(kept, key=lambda one: (-one[2], one[0]))[:KNOWN_MAX])
        self._key = np.array([key for key, _, _ in kept], np.uint64)
        self._pace = np.array([pace for _, pace, _ in kept], np.float64)
        self._last_s = np.array([last for _, _, last in kept], np.int64)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return {
            f"{name}.key": self._key.copy(),
            f"{name}.pace": self._pace.copy(),
            f"{name}.last_s": self._last_s.copy(),
            f"{name}.walked": np.array(list(self._walked), np.uint64).reshape(-1, 2),
            f"{name}.walked_pace": np.array(list(self._walked.values()), np.float64),
        }

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self._key = arrays[f"{name}.key"].astype(np.uint64)
        self._pace = arrays[f"{name}.pace"].astype(np.float64)
        self._last_s = arrays[f"{name}.last_s"].astype(np.int64)
        both = zip(arrays[f"{name}.walked"].tolist(), arrays[f"{name}.walked_pace"].tolist(), strict=True)
        self._walked = {(int(key), int(owner)): float(pace) for (key, owner), pace in both}


def _keys(rows: Rows, at: NDArray[np.intp]) -> U64:
    f = rows.flows
    return mix(f.network[at], f.agent[at], np.full(len(at), _KIN))


def _lived_s(rows: Rows, slots: Slots, c: Columns, at: NDArray[np.intp]) -> F64:
    """How long the owner of each row is known, a second at the least."""
    seg = rows.seg[at]
    slot = slots[seg]
    born_ms = np.where(slot >= RESERVED, c.born_ms[slot], rows.t_ms[rows.starts[seg]])
    return np.maximum(1.0, (rows.t_ms[at] - born_ms) / 1000)
