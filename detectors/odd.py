"""`odd`: the forest asked every ten seconds about everyone active; what it marks is evidence like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import cusum
from detectors import families as fam
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, LIMITED, SERVER_ERROR, Fact, Finding, Share
from detectors.cusum import Event, Leak
from detectors.entities import RESERVED, Columns, Entities, Slots
from detectors.explain import score
from detectors.families import Family
from detectors.features import FEATURES, HOP_S, REQUESTS_MIN, TAUS_S, features, words
from detectors.forest import Forest
from detectors.judge import Judged, track_of, write_track

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
P_MARK: Final = 0.007
SHARES_MAX: Final = 6
_TAUS: Final = np.array(TAUS_S)


@dataclass(frozen=True, slots=True)
class Asked:
    """Owners the forest was asked about, a row an owner and minute, by owner and time."""

    slot: Slots
    kind: NDArray[np.uint8]
    owner: NDArray[np.uint64]
    hop: I64
    features: F64
    marked: NDArray[np.bool_]
    s: F64


def advance(entities: Entities, judged: Judged | None, slots: Slots, until_s: int) -> tuple[Slots, I64, F64]:
    """Take a run into the fading counts (mutates), and give (slot, hop, counts) of every ten seconds now complete."""
    c = entities.c
    made = _groups(judged, slots) if judged is not None else None
    touched = np.zeros(entities.used, np.bool_)
    if made is not None:
        touched[made[0]] = True
    # What stood open in an earlier run and is not touched now, or is left behind by a later ten seconds.
    waiting = np.flatnonzero(~c.asked[: entities.used] & ((c.hop[: entities.used] + 1) * HOP_S <= until_s))
    waiting = waiting[waiting >= RESERVED]
    if made is None:
        c.asked[waiting] = True
        return waiting, c.hop[waiting].copy(), c.recent[waiting].copy()
    slot, hop, counts = made
    heads = np.flatnonzero(np.diff(slot, prepend=-1))
    first_hop = np.full(entities.used, -1, np.int64)
    first_hop[slot[heads]] = hop[heads]
    waiting = waiting[~touched[waiting] | (first_hop[waiting] > c.hop[waiting])]
    old = waiting, c.hop[waiting].copy(), c.recent[waiting].copy()
    c.asked[waiting] = True
    standing = _faded(c, slot, hop, counts, heads)
    ends = np.append(heads[1:], len(slot)) - 1
    c.recent[slot[ends]], c.hop[slot[ends]] = standing[ends], hop[ends]
    whole = np.ones(len(slot), np.bool_)
    whole[ends] = (hop[ends] + 1) * HOP_S <= until_s
    c.asked[slot[ends]] = whole[ends]
    new = np.flatnonzero(whole)
    return (
        np.concatenate([old[0], slot[new]]),
        np.concatenate([old[1], hop[new]]),
        np.concatenate([old[2], standing[new]]),
    )


def _groups(judged: Judged, slots: Slots) -> tuple[Slots, I64, F64]:
    """Counts of a run by slot and ten seconds, in that order."""
    rows, sight = judged.rows, judged.sight
    f, n = rows.flows, rows.flows.n
    fresh = np.zeros(len(rows), np.int64)
    fresh[sight.logins.at] = sight.logins.fresh
    answered = [np.where(f.outcome == o, n, 0) for o in (LIMITED, AUTH_FAILED, CLIENT_ERROR, SERVER_ERROR)]
    counts = np.stack([n, *answered, np.where(f.login, n, 0), sight.new_path, fresh], axis=1).astype(np.float64)
    slot, hop = slots[rows.seg], f.pane_s // HOP_S
    order = np.lexsort((hop, slot))
    slot, hop = slot[order], hop[order]
    heads = np.flatnonzero((np.diff(slot, prepend=-1) != 0) | (np.diff(hop, prepend=-1) != 0))
    return slot[heads], hop[heads], np.add.reduceat(counts[order], heads, axis=0)


def _faded(c: Columns, slot: Slots, hop: I64, counts: F64, heads: NDArray[np.intp]) -> F64:
    """Standing counts after each group: sums in scaled time, each owner's own."""
    base = int(hop.min())
    begins = np.repeat(heads, np.diff(np.append(heads, len(slot))))
    grow = np.exp((hop - base)[:, None] * HOP_S / _TAUS)[:, None, :]
    carried = (
        c.recent[slot[heads]] * np.exp(np.minimum(c.hop[slot[heads]] - base, 0)[:, None] * HOP_S / _TAUS)[:, None, :]
    )
    later = c.hop[slot[heads]] > base
    if later.any():
        up = np.exp((c.hop[slot[heads[later]]] - base)[:, None] * HOP_S / _TAUS)[:, None, :]
        carried[later] = c.recent[slot[heads[later]]] * up
    value = counts[:, :, None] * grow
    value[heads] += carried
    total = np.cumsum(value, axis=0)
    out: F64 = np.maximum(total - (total[begins] - value[begins]), 0.0) / grow
    return out


def ask(
    entities: Entities, forests: Mapping[int, Forest], family: Family, h: F64, complete: tuple[Slots, I64, F64]
) -> tuple[Asked, list[Finding]]:
    """Ask the forests about complete ten seconds, once an owner and minute (mutates the owners' standing)."""
    c = entities.c
    asked = _opportunities(c, complete)
    marked, s = np.zeros(len(asked.slot), np.bool_), np.zeros(len(asked.slot))
    told: list[Finding] = []
    for kind, forest in forests.items():
        rows = np.flatnonzero(asked.kind == kind)
        if not len(rows):
            continue
        odds = forest.score(forest.surprise(asked.features[rows]))
        marked[rows] = forest.p_value(odds) <= P_MARK
        s[rows], found = _accumulate(c, forest, asked, rows, marked[rows], (family, float(h[kind, family.index])))
        told += found
    return Asked(asked.slot, asked.kind, asked.owner, asked.hop, asked.features, marked, s), told


def _opportunities(c: Columns, complete: tuple[Slots, I64, F64]) -> Asked:
    slot, hop, recent = complete
    order = np.lexsort((hop, slot))
    order = order[recent[order, 0, 1] >= REQUESTS_MIN]
    slot, hop, recent = slot[order], hop[order], recent[order]
    minute = hop * HOP_S // 60
    prior = np.concatenate([[-1], minute[:-1]])[: len(minute)]
    heads = np.diff(slot, prepend=-1) != 0
    prior[heads] = c.odd_minute[slot[heads]]
    keep = minute != prior
    slot, hop, recent = slot[keep], hop[keep], recent[keep]
    np.maximum.at(c.odd_minute, slot, hop * HOP_S // 60)
    none = np.zeros(len(slot))
    return Asked(slot, c.kind[slot], c.key[slot], hop, features(recent), none > 0, none)


def _accumulate(
    c: Columns,
    forest: Forest,
    asked: Asked,
    rows: NDArray[np.intp],
    marked: NDArray[np.bool_],
    of: tuple[Family, float],
) -> tuple[F64, list[Finding]]:
    family, h = of
    i, q1 = family.index, family.q1
    slot = asked.slot[rows]
    p = np.minimum(c.p0[slot, i], q1)
    x = np.where(marked, np.minimum(fam.MARK_MAX, np.log(q1 / p)), np.log((1 - q1) / (1 - p)))
    begins = np.diff(slot, prepend=-1) != 0
    owners, seg = slot[begins], np.cumsum(begins) - 1
    t_ms = (asked.hop[rows] + 1) * HOP_S * 1000 - 1
    s = cusum.run(seg, t_ms, x, c.s[owners, i], c.t_ms[owners, i])
    active = np.unique(seg[(s >= h - 1e-5) | c.episode[slot, i]])
    heads = np.flatnonzero(np.diff(seg, prepend=-1))
    ends = np.append(heads[1:], len(seg)) - 1
    hour = np.stack([np.add.reduceat(marked, heads), np.add.reduceat(~marked, heads)], axis=1)
    c.hour[owners, i] += hour
    tracks = [(int(owners[one]), track_of(c, int(owners[one]), i), np.flatnonzero(seg == one)) for one in active]
    c.s[owners, i], c.t_ms[owners, i] = s[ends], t_ms[ends]
    told: list[Finding] = []
    for who, track, part in tracks:
        steps = [
            cusum.Row(
                int(rows[k]), int(t_ms[k]) // 1000, int(t_ms[k]), float(x[k]), int(marked[k]), 1, 0, int(c.seen[who])
            )
            for k in part.tolist()
        ]
        events = cusum.walk(track, steps, h, Leak())
        write_track(c, who, i, track)
        c.alarmed[who] |= track.episode
        told += [_finding(c, who, forest, asked, event, of) for event in events]
    return s, told


def _finding(c: Columns, slot: int, forest: Forest, asked: Asked, event: Event, of: tuple[Family, float]) -> Finding:
    family, h = of
    track, row = event.track, asked.features[event.index]
    t = forest.surprise(row[None])[0]
    shares = np.maximum(forest.attribution(t), 0.0)
    shares /= max(float(shares.sum()), 1e-9)
    first = np.argsort(-shares)[:SHARES_MAX]
    rest = shares[first] / max(float(shares[first].sum()), 1e-9)
    told = tuple(
        Share(
            FEATURES[j],
            float(row[j]),
            float(share),
            f"{words(FEATURES[j], float(row[j]))} (good traffic: one in {10 ** t[j]:.0f})",
        )
        for j, share in zip(first.tolist(), rest.tolist(), strict=True)
        if share > 0.01
    )
    minutes = max(track.marks, 1)
    sentence = f"{minutes} minutes looked unlike good traffic, of which fewer than {100 * P_MARK:.1f} % do"
    facts = (
        Fact("odd_minutes", float(minutes), None, sentence),
        Fact("evidence", track.s, h, f"evidence {track.s:.1f} nats against a threshold of {h:.1f}"),
    )
    return Finding(
        kind=int(c.kind[slot]),
        entity=int(c.entity[slot]),
        family=family.name,
        version=family.version,
        pane_s=track.crossed_pane_s,
        at_s=event.pane_s,
        crossed_ms=track.crossed_ms,
        crossed_after=track.crossed_after,
        first_ms=track.first_ms or track.crossed_ms,
        last_ms=track.last_mark_ms,
        score=score(track.s, h),
        answer=family.answer(int(c.kind[slot]), established=False),
        severity=family.severity,
        route=0,
        facts=facts,
        contributions=told,
        avoid=family.words.avoid,
    )
