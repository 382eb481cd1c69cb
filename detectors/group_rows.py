"""What groups did in the panes of a run: rows of a family summed by group and pane, before any evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors.columns import ASN, NETWORK, ROUTE, TENANT
from detectors.compiled import compiled
from detectors.families import GroupBy
from detectors.judge import Judged
from detectors.series import Series

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Index = NDArray[np.intp]
Flag = NDArray[np.bool_]
Place = tuple[int, int]  # kind and value of a group
KINDS: Final = {GroupBy.ROUTE: ROUTE, GroupBy.TENANT: TENANT, GroupBy.ASN: ASN, GroupBy.NETWORK: NETWORK}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a group did in a pane. `marks` by owner are of those not under an alert of their own.

    `before`: by newcomer of these his requests before the first. `known`: marks of established clients, and what they
    did without one. `agents`: marks by user agent. `example`: an
    entity that made one. `seen`: of a network, all owners that had an opportunity.
    """

    place: Place
    pane_s: int
    t_ms: int
    marks: dict[int, int]
    before: dict[int, int]
    plain: int
    control: float
    known: tuple[int, int]
    agents: dict[int, int]
    example: int
    seen: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a family in a run: their places in the series, ascending."""

    series: Series
    rows: Index


def value_of(judged: Judged, kind: int) -> U64:
    """By row of a run the group of a kind it belongs to, 0 for none."""
    f = judged.rows.flows
    return {ROUTE: f.route, TENANT: f.tenant, ASN: f.asn, NETWORK: f.network}[kind]


def cells(
    judged: Judged, part: Part, kinds: tuple[int, ...], of: tuple[Flag, Flag], held: Callable[[Place], bool]
) -> list[Cell]:
    """What some rows of a family say of its groups of some kinds, those of a kind together, pane by pane.

    `of`: which rows are established clients', and which are explained already and left out. Networks not `held` that
    have no mark are left out too: most are one client's.
    """
    wanted = [KINDS[by] for by in part.series.family.groups if KINDS[by] in kinds]
    rows = _Rows.of(judged, part, of) if wanted else None
    return [cell for kind in wanted for cell in _of_kind(rows, kind, value_of(judged, kind), held)] if rows else []


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of some rows of a family; `is_`: bits, whether it counts for groups, and is an established client's."""

    at: Index
    pane_s: I64
    t_ms: I64
    new: I64
    plain: I64
    known: Flag
    is_: NDArray[np.uint8]
    control: NDArray[np.float64]
    owner: U64
    agent: U64
    before: I64
    entity: U64

    @classmethod
    def of(cls, judged: Judged, part: Part, of: tuple[Flag, Flag]) -> Self:
        (known, explained), series = of, part.series
        at, flows = series.at[part.rows], judged.rows.flows
        counted = ~(explained | known) if series.family.newcomers_only else ~explained
        return cls(
            at=at,
            pane_s=flows.pane_s[at],
            t_ms=judged.rows.t_ms[at],
            new=series.distinct[part.rows],
            plain=(series.tries - series.marks)[part.rows],
            known=known,
            is_=(counted + 2 * known).astype(np.uint8),
            control=series.control[part.rows],
            owner=judged.rows.owner[judged.rows.seg[at]],
            agent=flows.agent[at],
            before=judged.sight.before[at],
            entity=flows.entity[at],
        )


def _of_kind(rows: _Rows, kind: int, values: U64, held: Callable[[Place], bool]) -> list[Cell]:
    value = values[rows.at]
    if not value.any():
        return []
    order = np.lexsort((rows.pane_s, value))
    begins, sums, control, last_ms, marking, parts = _tallied(
        order, value, rows.pane_s, rows.t_ms, rows.new, rows.plain, rows.is_, rows.control
    )
    heads, edges, parted = order[begins[:-1]], begins.tolist(), parts.tolist()
    groups, panes_s = value[heads].tolist(), rows.pane_s[heads].tolist()
    owner, agent, new = rows.owner[marking].tolist(), rows.agent[marking].tolist(), rows.new[marking].tolist()
    entity, before, newcomer = (c[marking].tolist() for c in (rows.entity, rows.before, ~rows.known))
    out = []
    for i, (told, control_, t_ms) in enumerate(zip(sums.tolist(), control.tolist(), last_ms.tolist(), strict=True)):
        place, some = (kind, groups[i]), slice(parted[i], parted[i + 1])
        marks = told[0] > 0
        if kind == NETWORK and not marks and not held(place):
            continue
        seen = rows.owner[order[edges[i] : edges[i + 1]]].tolist() if kind == NETWORK else ()
        out.append(
            Cell(
                place=place,
                pane_s=panes_s[i],
                t_ms=t_ms,
                marks=_summed(owner[some], new[some]) if marks else {},
                before=_first(owner[some], before[some], newcomer[some]) if marks else {},
                plain=told[1],
                control=round(control_, 9),
                known=(told[2], told[3]),
                agents=_summed(agent[some], new[some]) if marks else {},
                example=entity[some.start] if marks else 0,
                seen=frozenset(seen),
            )
        )
    return out


@compiled
def _tallied(
    order: Index,
    value: U64,
    pane_s: I64,
    t_ms: I64,
    new: I64,
    plain: I64,
    is_: NDArray[np.uint8],
    control: NDArray[np.float64],
) -> tuple[I64, I64, NDArray[np.float64], I64, I64, I64]:
    """By group (not 0) and pane, in `order`: where each begins in it, sums, control, last time, and rows that mark.

    Sums are marks and others of rows that count, and of established clients. Last stands where the marking rows of each
    begin; both lists of beginnings have the end behind them.
    """
    size, cells = len(order), 0
    begins, sums = np.empty(size + 1, np.int64), np.zeros((size, 4), np.int64)
    highest, last_ms = np.empty(size, np.float64), np.empty(size, np.int64)
    marking, parts, marked = np.empty(size, np.int64), np.empty(size + 1, np.int64), 0
    for place in range(size):
        row = order[place]
        if value[row] == 0:
            continue
        before = order[place - 1] if cells else row
        if cells == 0 or value[row] != value[before] or pane_s[row] != pane_s[before]:
            begins[cells], parts[cells] = place, marked
            highest[cells], last_ms[cells] = control[row], t_ms[row]
            cells += 1
        cell = cells - 1
        highest[cell], last_ms[cell] = max(highest[cell], control[row]), max(last_ms[cell], t_ms[row])
        if is_[row] & 1:
            sums[cell, 0] += new[row]
            sums[cell, 1] += plain[row]
            if new[row] > 0:
                marking[marked] = row
                marked += 1
        if is_[row] & 2:
            sums[cell, 2] += new[row]
            sums[cell, 3] += plain[row]
    begins[cells], parts[cells] = size, marked
    return begins[: cells + 1], sums[:cells], highest[:cells], last_ms[:cells], marking[:marked], parts[: cells + 1]


def _first(keys: list[int], values: list[int], wanted: list[bool]) -> dict[int, int]:
    return {key: value for key, value, want in zip(keys[::-1], values[::-1], wanted[::-1], strict=True) if want}


def _summed(keys: list[int], counts: list[int]) -> dict[int, int]:
    out: dict[int, int] = {}
    for key, count in zip(keys, counts, strict=True):
        out[key] = out.get(key, 0) + count
    return out
