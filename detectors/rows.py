"""Flows in canonical order: whatever the batches were, the same content gives the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Flows
from detectors.pairs import mix

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Flows sorted by owner, then time, then content; like flows of one pane are one row.

    `seg` numbers the owners from 0, `starts` is where each begins, `owner` its hash (kind and entity mixed), `t_ms` the
    event time held inside the row's pane.
    """

    flows: Flows
    seg: I64
    starts: NDArray[np.intp]
    owner: U64
    t_ms: I64

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.seg)


def canonical(flows: Flows) -> Rows:
    """`flows` merged and ordered."""
    u = np.uint64
    owner = mix(flows.entity, flows.kind.astype(u))
    traits = flows.outcome.astype(u) << u(1) | flows.login.astype(u)
    content = mix(owner, flows.pane_s.astype(u), flows.route, flows.path, flows.user, flows.ip, traits)
    flows, owner, content = _merged(flows, owner, content)
    t_ms = np.clip(flows.first_ms, flows.pane_s * 1000, flows.pane_s * 1000 + 999)
    owners, seg = np.unique(owner, return_inverse=True)
    order = _order(seg, t_ms, content, len(owners))
    seg = seg[order].astype(np.int64)
    starts = np.flatnonzero(np.diff(seg, prepend=-1))
    return Rows(flows.take(order), seg, starts, owners, t_ms[order])


def _order(seg: NDArray[np.intp], t_ms: I64, content: U64, owners: int) -> NDArray[np.intp]:
    """By owner, time, content. One 64-bit key where it fits (a run is at most an hour: 22 bits of time)."""
    if not len(seg):
        return np.empty(0, np.intp)
    span = int(t_ms.max() - t_ms.min())
    if span >= 1 << 22 or owners >= 1 << 20:
        return np.lexsort((content, t_ms, seg))
    u = np.uint64
    key = seg.astype(u) << u(44) | (t_ms - t_ms.min()).astype(u) << u(22) | content >> u(42)
    return np.argsort(key, kind="stable")


def _merged(flows: Flows, owner: U64, content: U64) -> tuple[Flows, U64, U64]:
    """Rows of one content as one row, ordered by content."""
    order = np.argsort(content)
    content = content[order]
    starts = np.flatnonzero(np.diff(content, prepend=content[:1] ^ np.uint64(1)))
    first = order[starts]
    if len(starts) == len(content):
        return flows.take(first), owner[first], content
    kept = flows.take(first)
    merged = Flows(
        kept.kind,
        kept.entity,
        kept.pane_s,
        np.minimum.reduceat(flows.first_ms[order], starts),
        np.maximum.reduceat(flows.last_ms[order], starts),
        kept.route,
        kept.path,
        kept.user,
        kept.ip,
        kept.outcome,
        kept.login,
        np.add.reduceat(flows.n[order], starts),
    )
    return merged, owner[first], content[starts]
