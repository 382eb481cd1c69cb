"""Leaky buckets filled in order of event time, as machine code.

All numbers are whole. A level is the milliseconds a bucket takes to run dry: a request adds its rule's leak, and time
takes itself away, so nothing is rounded and every order of calls gives the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from detectors.families import QUIET_MS

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]

# Columns of a bucket. N, ANSWERED, DISTINCT count from FIRST on, when it last was dry; FILL is how many values it saw.
LEVEL, AT, FIRST, N, ANSWERED, DISTINCT, FILL, EPISODE, MARK, PANE, CROSSED, AFTER, COLUMNS = range(13)
SEEN: Final = 64
SHOWN: Final = 3  # signs and examples kept
_QUIET: Final = np.int64(QUIET_MS)
_ROOM: Final = 64


@compiled
def poured(
    slot: I64,
    pane_s: I64,
    times: tuple[I64, I64],
    counts: tuple[I64, I64],
    texts: tuple[U64, U64, U64],
    rule: tuple[I64, I64, Flag],
    held: tuple[I64, U32, U64, U64],
) -> tuple[I64, I64, U64, U64]:
    """Fill buckets (`held` is mutated: state, values seen, signs, examples); rows stand by pane, bucket, time.

    `times` are first and last, `counts` requests and those answered, `texts` value, sign and example, `rule` capacity,
    leak in ms and whether it counts different values: then a row is one value, and 0 none that can be told. Requests of
    a row stand evenly between its times. Gives of each pane and bucket that overflowed in it the last row, and how
    the bucket stood then: state, signs, examples.
    """
    first_ms, last_ms = times
    state, seen, signs, examples = held
    told, states = np.empty(_ROOM, np.int64), np.empty((_ROOM, COLUMNS), np.int64)
    borne, shown = np.empty((_ROOM, SHOWN), np.uint64), np.empty((_ROOM, SHOWN), np.uint64)
    many, over = 0, False
    for i in range(len(slot)):
        s = slot[i]
        b = state[s]
        if i == 0 or slot[i - 1] != s or pane_s[i - 1] != pane_s[i]:
            over = False
        if _leak(b, first_ms[i]):
            signs[s, :] = 0
            examples[s, :] = 0
        before = b[N]
        pours = _count(b, seen[s], counts[0][i], counts[1][i], rule[2][i], texts[0][i])
        if pours:
            _show(signs[s], texts[1][i])
            _show(examples[s], texts[2][i])
            over = _fill(b, (first_ms[i], last_ms[i], pane_s[i]), pours, before, rule[0][i], rule[1][i]) or over
        if over and (i + 1 == len(slot) or slot[i + 1] != s or pane_s[i + 1] != pane_s[i]):
            if many == len(told):
                told, states = np.concatenate((told, told)), np.concatenate((states, states))
                borne, shown = np.concatenate((borne, borne)), np.concatenate((shown, shown))
            told[many], states[many], borne[many], shown[many] = i, b, signs[s], examples[s]
            many += 1
    return told[:many], states[:many], borne[:many], shown[:many]


@compiled
def _leak(b: I64, now_ms: np.int64) -> bool:
    """Take off what leaked by `now_ms`. Whether the bucket begins anew: it is dry, and of no incident that stands."""
    b[LEVEL] = max(b[LEVEL] - max(now_ms - b[AT], 0), 0)
    b[AT] = max(b[AT], now_ms)
    b[EPISODE] = np.int64(b[EPISODE] == 1 and now_ms - b[MARK] <= _QUIET)
    if b[LEVEL]:
        return False
    b[FILL] = 0
    if b[EPISODE]:
        return False
    b[FIRST], b[N], b[ANSWERED], b[DISTINCT] = now_ms, 0, 0, 0
    return True


@compiled
def _count(b: I64, seen: U32, n: np.int64, answered: np.int64, distinct: np.bool_, value: np.uint64) -> np.int64:
    """Count requests. How many of them fill the bucket."""
    b[N] += n
    b[ANSWERED] += answered
    if not distinct:
        return n
    small = np.uint32(value & np.uint64(0xFFFFFFFF))
    if value == 0 or (seen[: min(b[FILL], SEEN)] == small).any():
        return np.int64(0)
    seen[b[FILL] % SEEN] = small
    b[FILL] += 1
    b[DISTINCT] += 1
    return np.int64(1)


@compiled
def _fill(
    b: I64,
    when: tuple[np.int64, np.int64, np.int64],
    pours: np.int64,
    before: np.int64,
    capacity: np.int64,
    leak: np.int64,
) -> bool:
    """Fill `pours` requests in, evenly between two times of a pane. Whether that overflows."""
    first_ms, last_ms, pane_s = when
    gap = (last_ms - first_ms) // (pours - 1) if pours > 1 else np.int64(0)
    full, level = capacity * leak, b[LEVEL] + leak
    which = np.int64(level > full)  # number of the request that overflows; 0: none does
    after = max(level + (pours - 1) * (leak - gap), leak)
    if which == 0 and after > full:
        which = (full - level) // (leak - gap) + 2
    b[LEVEL] = min(after, full + leak)
    b[AT] = max(b[AT], first_ms + (pours - 1) * gap)
    if which == 0:
        return False
    b[MARK] = b[AT]
    if not b[EPISODE]:
        b[EPISODE], b[PANE], b[CROSSED], b[AFTER] = 1, pane_s, first_ms + (which - 1) * gap, before + which - 1
    return True


@compiled
def _show(shown: U64, value: np.uint64) -> None:
    """Put `value` among the few that are shown, where there is room."""
    for j in range(len(shown)):
        if value == 0 or shown[j] == value:
            return
        if shown[j] == 0:
            shown[j] = value
            return
