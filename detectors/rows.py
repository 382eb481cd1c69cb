"""Flows in canonical order: whatever the batches were, the same content gives the same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors import compiled
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

    def before(self, requests: I64) -> I64:
        """Requests of its owner before each row; `requests` before the run, by segment."""
        asked = np.cumsum(self.flows.n) - self.flows.n
        return np.asarray(requests[self.seg] + asked - asked[self.starts][self.seg])

    def in_time(self, at: NDArray[np.intp]) -> I64:
        """The order in time of some rows, ascending; of one time by owner, then content, as rows stand."""
        return compiled.ordered(self.t_ms[at].view(np.uint64))

    def places(self, seg: int) -> tuple[int, int]:
        """Where an owner's rows begin and end."""
        end = int(self.starts[seg + 1]) if seg + 1 < len(self.starts) else len(self.seg)
        return int(self.starts[seg]), end


def canonical(flows: Flows) -> Rows:
    """`flows` merged and ordered."""
    u = np.uint64
    owner = mix(flows.entity, flows.kind.astype(u))
    traits = flows.outcome.astype(u) << u(1) | flows.login.astype(u)
    said = (flows.route, flows.path, flows.user, flows.ip, flows.agent, flows.asn, flows.tags, flows.tenant)
    content = mix(owner, flows.pane_s.astype(u), *said, traits)
    groups, contents = compiled.numbered(content)
    row, first_ms, last_ms, n = compiled.merged(groups, len(contents), flows.first_ms, flows.last_ms, flows.n)
    pane_ms = flows.pane_s[row] * 1000
    t_ms = np.clip(first_ms, pane_ms, pane_ms + 999)
    owners, seg = compiled.unique(owner[row])
    order = _order(seg, t_ms, contents, len(owners))
    seg = seg[order]
    starts = np.flatnonzero(np.diff(seg, prepend=-1))
    held = flows.take(row[order])
    return Rows(
        replace(held, first_ms=first_ms[order], last_ms=last_ms[order], n=n[order]), seg, starts, owners, t_ms[order]
    )


def _order(seg: I64, t_ms: I64, content: U64, owners: int) -> I64:
    """By owner, time, content. One 64-bit key where it fits (a run is at most an hour: 22 bits of time)."""
    if not len(seg):
        return np.empty(0, np.int64)
    span = int(t_ms.max() - t_ms.min())
    if span >= 1 << 22 or owners >= 1 << 20:
        return np.lexsort((content, t_ms, seg))
    u = np.uint64
    key = seg.astype(u) << u(44) | (t_ms - t_ms.min()).astype(u) << u(22) | content >> u(42)
    order = compiled.ordered(key)
    tied = key[order[1:]] == key[order[:-1]]  # in 22 bits of their content: one pair in millions
    return np.lexsort((content, key)) if tied.any() else order
