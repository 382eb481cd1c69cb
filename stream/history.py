"""From which addresses keys and accounts are known: where they fared well, first and last when.

A table of fixed size, in sets of four places: who comes to a full set takes the place of who is not known yet, the
longest unseen first, and never of who is. So strangers, however many, crowd out strangers alone. It costs nothing
until the first key or login.

Whom an alert is about is not learned from while it is open, and what was not known of it by then is forgotten: who has
a stolen key does not become known by using it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.columns import Finding
from detectors.compiled import compiled, ordered
from schemas.history import KEPT_S, SLICES, Sights
from schemas.usage import Kind, Outcome
from stream.episodes import QUIET_MS
from stream.grouping import I64, U64, Bool, mixed
from stream.snapshot import Arrays

U32 = NDArray[np.uint32]
PLACES: Final = 1 << 18
WAYS: Final = 4
BARRED_MAX: Final = 32_768
_TYPES: Final = {
    "key": np.uint64, "kind": np.uint8, "owner": np.uint64, "subscriber": np.uint64, "first_s": np.uint32,
    "last_s": np.uint32,
}  # fmt: skip
_OWNERS: Final = (Kind.KEY, Kind.USER)
_COLUMNS: Final = ("kind", "hash", "subscriber", "pane_s")
_WORTH: Final = np.int64(1) << 32  # above any second


class History:
    """What is known of one usage partition. `known_s`: so long one is seen to be known; `rows_max`: of open panes."""

    def __init__(self, known_s: int, rows_max: int, places: int = PLACES) -> None:
        self._known_s, self._rows_max, self._places = known_s, rows_max, places
        self._held = _empty(0)
        self._open: list[Arrays] = []
        self._barred: dict[tuple[int, int], tuple[int, int]] = {}  # (kind, owner): panes it is not learned from
        self._newest_s = 0
        self._told = -1  # the period it was last told in
        self._changed = np.zeros(SLICES, np.bool_)
        self.unheld = 0

    def __len__(self) -> int:
        """Number of pairs held."""
        return int(np.count_nonzero(self._held["last_s"]))

    def add(self, flows: pa.RecordBatch, least_s: int) -> None:
        """Rows of `schemas.usage.FLOWS` as they come; those of panes before `least_s` belong to that."""
        kind, outcome = flows.column("kind").to_numpy(), flows.column("outcome").to_numpy()
        fine = (outcome == Outcome.OK) & ((kind == Kind.KEY) | (kind == Kind.USER))
        if not fine.any():
            return
        fine &= flows.column("subscriber").to_numpy() > 0
        fine &= (kind == Kind.KEY) | flows.column("login").to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(fine)[: max(0, self._rows_max - sum(len(part["hash"]) for part in self._open))]
        self.unheld += int(np.count_nonzero(fine)) - len(rows)
        if len(rows):
            part = {name: flows.column(name).to_numpy()[rows] for name in _COLUMNS}
            self._open.append(part | {"pane_s": np.maximum(part["pane_s"], least_s)})

    def close(self, until_s: int, findings: Sequence[Finding]) -> None:
        """Panes before `until_s` are closed, and `findings` are what came of them."""
        fresh = self._bar(findings)
        self._newest_s = until_s
        whole = _concat(self._open)
        due = whole["pane_s"] < until_s
        self._open = [_some(whole, ~due)] if len(due) and not due.all() else []
        if due.any():
            whole = _some(whole, due)
            self._learn(_some(whole, ~self._is_barred(whole)))
        if fresh:
            self._forget(fresh)

    def told(self, every_s: int) -> list[tuple[int, Sights]]:
        """The slices to be told, once every `every_s` of event time: those in which anything is new, each whole."""
        period = self._newest_s // every_s
        if self._told < 0:
            self._told = period
        if period <= self._told or not self._changed.any():
            self._told = max(self._told, period)
            return []
        self._told = period
        parts = np.flatnonzero(self._changed).tolist()
        self._changed[:] = False
        return [(part, self._slice(part)) for part in parts]

    def seed(self, slices: Sequence[Sights]) -> None:
        """Begin with what was told before, where nothing else is left of it."""
        sights = Sights.concat(list(slices))
        if len(sights):
            self._put({name: getattr(sights, name) for name in Sights.__slots__})

    def arrays(self) -> Arrays:
        """What `restore` needs."""
        used = np.flatnonzero(self._held["last_s"])
        barred = [(*owner, *span) for owner, span in self._barred.items()]
        return {
            **{name: array[used] for name, array in self._held.items()},
            "at": used,
            **{f"open_{name}": array for name, array in _concat(self._open).items()},
            "barred": np.array(barred, np.uint64).reshape(-1, 4),
            "changed": self._changed.copy(),
            "clock": np.array([self._newest_s, self._told, self.unheld], np.int64),
        }

    def restore(self, arrays: Arrays) -> None:
        """Go on from `arrays`; a snapshot of before has none."""
        if "clock" not in arrays:
            return
        if len(arrays["at"]):
            self._held = _empty(self._places)
            for name, array in self._held.items():
                array[arrays["at"]] = arrays[name]
        left = {name: arrays[f"open_{name}"] for name in _COLUMNS}
        self._open = [left] if len(left["hash"]) else []
        self._barred = {(kind, owner): (begin, end) for kind, owner, begin, end in arrays["barred"].tolist()}
        self._changed = arrays["changed"].copy()
        self._newest_s, self._told, self.unheld = arrays["clock"].tolist()

    def _bar(self, findings: Sequence[Finding]) -> set[tuple[int, int]]:
        """Note who is not learned from; those of whom that is new."""
        self._barred = {owner: span for owner, span in self._barred.items() if span[1] > self._newest_s}
        fresh: set[tuple[int, int]] = set()
        for finding in findings:
            if finding.kind not in _OWNERS:
                continue
            owner, end = (finding.kind, finding.entity), (finding.last_ms + QUIET_MS) // 1000
            begin, before = self._barred.get(owner, (finding.at_s, 0))
            if before <= finding.at_s:
                fresh.add(owner)
                begin = finding.at_s
            self._barred[owner] = begin, max(before, end)
        if len(self._barred) > BARRED_MAX:
            newest = sorted(self._barred.items(), key=lambda one: (one[1][1], one[0]))[-BARRED_MAX:]
            self._barred = dict(newest)
        return fresh

    def _is_barred(self, rows: Arrays) -> Bool:
        barred = np.zeros(len(rows["hash"]), np.bool_)
        if self._barred:
            some = np.fromiter((owner for _, owner in self._barred), np.uint64, len(self._barred))
            for at in np.flatnonzero(np.isin(rows["hash"], some)).tolist():
                begin, end = self._barred.get((int(rows["kind"][at]), int(rows["hash"][at])), (0, 0))
                barred[at] = begin <= rows["pane_s"][at] < end
        return barred

    def _learn(self, rows: Arrays) -> None:
        if not len(rows["hash"]):
            return
        keys = _keys(rows["kind"], rows["hash"], rows["subscriber"])
        order = ordered(keys)
        first = np.flatnonzero(np.concatenate([[True], np.diff(keys[order]) > 0]))
        one = order[first]
        self._put({
            "kind": rows["kind"][one], "owner": rows["hash"][one], "subscriber": rows["subscriber"][one],
            "first_s": np.minimum.reduceat(rows["pane_s"][order], first),
            "last_s": np.maximum.reduceat(rows["pane_s"][order], first),
        })  # fmt: skip

    def _put(self, pairs: Arrays) -> None:
        """Take in distinct pairs, of each set one after the other."""
        if not len(self._held["key"]):
            self._held = _empty(self._places)
        pairs["key"] = _keys(pairs["kind"], pairs["owner"], pairs["subscriber"])
        sets = (pairs["key"] % np.uint64(self._places // WAYS)).astype(np.int64)
        first_s, last_s = pairs["first_s"].astype(np.int64), pairs["last_s"].astype(np.int64)
        held, since_s = self._held, max(0, self._newest_s - KEPT_S)
        stands = held["key"], held["first_s"], held["last_s"]
        places = _placed(sets, pairs["key"], first_s, last_s, *stands, since_s, self._known_s)
        some = np.flatnonzero(places >= 0)
        self.unheld += len(places) - len(some)
        for name in ("kind", "owner", "subscriber"):
            held[name][places[some]] = pairs[name][some]
        self._changed[places[some] * SLICES // self._places] = True

    def _forget(self, owners: set[tuple[int, int]]) -> None:
        held = self._held
        young = held["last_s"].astype(np.int64) - held["first_s"] < self._known_s
        young &= (held["last_s"] > 0) & np.isin(held["owner"], np.array([owner for _, owner in owners], np.uint64))
        for at in np.flatnonzero(young).tolist():
            if (int(held["kind"][at]), int(held["owner"][at])) in owners:
                held["last_s"][at] = 0
                self._changed[at * SLICES // self._places] = True

    def _slice(self, part: int) -> Sights:
        size = self._places // SLICES
        rows = {name: self._held[name][part * size : (part + 1) * size] for name in Sights.__slots__}
        there = rows["last_s"].astype(np.int64) > max(0, self._newest_s - KEPT_S)
        return Sights(*(rows[name][there] for name in Sights.__slots__))


@compiled
def _placed(  # noqa: PLR0913, PLR0917 - columns
    sets: I64, key: U64, first_s: I64, last_s: I64, held: U64, since: U32, until: U32, gone_s: int, known_s: int
) -> I64:
    """The place of each of some pairs, taken one after the other (mutates `held`, `since`, `until`); -1: it has none.

    Who was last seen at `gone_s` or before is not there any more, and who is seen for `known_s` is known.
    """
    places = np.empty(len(sets), np.int64)
    for i in range(len(sets)):
        place, least, again, taken = -1, 2 * _WORTH, False, False
        for at in range(sets[i] * WAYS, (sets[i] + 1) * WAYS):
            last = np.int64(until[at])
            there = last > gone_s
            if there and held[at] == key[i]:
                place, again = at, True
                break
            known = bool(there and last - np.int64(since[at]) >= known_s)
            worth = last if there else np.int64(0)
            if known:
                worth += _WORTH
            if worth < least:
                place, least, taken = at, worth, known
        if again:
            since[place], until[place] = min(np.int64(since[place]), first_s[i]), max(np.int64(until[place]), last_s[i])
        elif taken:
            place = -1
        else:
            held[place], since[place], until[place] = key[i], first_s[i], last_s[i]
        places[i] = place
    return places


def _keys(kind: NDArray[np.uint8], owner: U64, subscriber: U64) -> U64:
    return mixed(mixed(owner ^ mixed(kind.astype(np.uint64) + np.uint64(1))) ^ subscriber)


def _empty(places: int) -> Arrays:
    return {name: np.zeros(places, of) for name, of in _TYPES.items()}


def _some(rows: Arrays, at: NDArray[np.intp] | Bool) -> Arrays:
    return {name: array[at] for name, array in rows.items()}


def _concat(parts: list[Arrays]) -> Arrays:
    if not parts:
        return {"kind": np.empty(0, np.uint8), "hash": np.empty(0, np.uint64), "subscriber": np.empty(0, np.uint64),
                "pane_s": np.empty(0, np.int64)}  # fmt: skip
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
