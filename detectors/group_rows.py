"""What groups did in the panes of a run: rows of a family summed by group and pane, before any evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import ASN, NETWORK, ROUTE, TENANT
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
    return [cell for kind in wanted for cell in _of_kind(judged, part, kind, of, held)]


def _of_kind(judged: Judged, part: Part, kind: int, of: tuple[Flag, Flag], held: Callable[[Place], bool]) -> list[Cell]:
    (known, explained), series = of, part.series
    rows, at = judged.rows, series.at[part.rows]
    value, pane_s, seg = value_of(judged, kind)[at], rows.flows.pane_s[at], rows.seg[at]
    order = np.lexsort((pane_s, value))
    order = order[value[order] != 0]
    if not len(order):
        return []
    counted = ~explained & (~known if series.family.newcomers_only else True)
    new, plain = series.distinct[part.rows], (series.tries - series.marks)[part.rows]
    heads = np.flatnonzero(
        (np.diff(value[order], prepend=np.uint64(0)) != 0) | (np.diff(pane_s[order], prepend=-1) != 0)
    )
    columns = (
        np.where(counted, new, 0),
        np.where(counted, plain, 0),
        np.where(known, new, 0),
        np.where(known, plain, 0),
    )
    sums = np.stack([np.add.reduceat(column[order], heads) for column in columns], axis=1)
    control = np.maximum.reduceat(series.control[part.rows][order], heads).tolist()
    last_ms = np.maximum.reduceat(rows.t_ms[at][order], heads).tolist()
    ends = np.append(heads[1:], len(order)).tolist()
    owner, agent = rows.owner[seg], rows.flows.agent[at]
    out = []
    for i, (begin, end, (marks, others, known_marks, known_others)) in enumerate(
        zip(heads.tolist(), ends, sums.tolist(), strict=True)
    ):
        first = order[begin]
        place = (kind, int(value[first]))
        if not marks and not held(place) and kind == NETWORK:
            continue
        here = order[begin:end]
        some = here[columns[0][here] > 0]
        new_here = some[~known[some]]
        out.append(
            Cell(
                place=place,
                pane_s=int(pane_s[first]),
                t_ms=last_ms[i],
                marks=_summed(owner[some], new[some]) if marks else {},
                before=_first(owner[new_here], judged.sight.before[at[new_here]]) if marks else {},
                plain=others,
                control=round(control[i], 9),
                known=(known_marks, known_others),
                agents=_summed(agent[some], new[some]) if marks else {},
                example=int(rows.flows.entity[at[some[0]]]) if marks else 0,
                seen=frozenset(owner[here].tolist()) if kind == NETWORK else frozenset(),
            )
        )
    return out


def _first(keys: U64, values: I64) -> dict[int, int]:
    return dict(zip(keys[::-1].tolist(), values[::-1].tolist(), strict=True))


def _summed(keys: U64, counts: I64) -> dict[int, int]:
    out: dict[int, int] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        out[key] = out.get(key, 0) + count
    return out
