"""The loops that go over every decision: machine code by numba at first use, kept beside this file after that.

They hold no lock of the interpreter, so combine and detect run side by side on two cores. Arrays in, arrays out; text
is codes into values, -1 where absent. First rows get the number of their group, then groups of known size are summed:
two short loops are many times as fast as one whose arrays grow. What counts as what stands in tables handed in.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled, numbered

I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
_LATE: Final = np.int64(1 << 62)
_FEW: Final = 128
_NOBODY: Final = np.uint64(0)  # typed: an int beside unsigned words would make floats of them
_U1: Final = np.uint64(1)
_TOP: Final = np.uint64(1 << 63)
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = (np.uint64(s) for s in (27, 30, 31))


@compiled
def mixed_word(x: np.uint64) -> np.uint64:
    """`grouping.mixed` of one word."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@compiled
def told(verdict: I32, verdicts: U8, status: I16, login: NDArray[np.bool_], outcomes: U8) -> U8:
    """The class of each request, its place in (verdict, outcome, login).

    `verdicts` by the verdict's code; `outcomes` by (whether a limit of ours refused it, login, status), raveled.
    """
    out = np.empty(len(verdict), np.uint8)
    for i in range(len(verdict)):
        v = verdicts[verdict[i]]
        at = (np.int64(v == 1) * 2 + np.int64(login[i])) * 600 + status[i]
        out[i] = (np.int64(v) * 5 + outcomes[at]) * 2 + np.int64(login[i])
    return out


@compiled
def owners(ip: I32, key: I32, classes: U8, status: I16, ips: int) -> I32:
    """Who each request is evidence about: its address's code, or `ips` and its accepted key's; -1: denied, or nobody.

    `classes` as `told` gives them.
    """
    out = np.empty(len(ip), np.int32)
    for i in range(len(ip)):
        if classes[i] >= 20:
            out[i] = -1
        elif key[i] >= 0 and status[i] != 401 and status[i] != 403:
            out[i] = ips + key[i]
        else:
            out[i] = ip[i]
    return out


@compiled
def flow_codes(
    owner: I32,
    pane: I32,
    panes: int,
    texts: tuple[I32, I32, I32, I32, I32, I32],
    tables: tuple[U64, U64, U64, U64, U64, U64],
    path: U64,
    classes: U8,
    tags: U64,
) -> tuple[U64, U64]:
    """What makes requests alike, as one word with their owner and pane, 0 for nobody's; and their rank as flows.

    `texts` and `tables` are codes and hashes (0 behind the last, for absent) of route, user, address, agent,
    autonomous system and tenant. `tags` is empty where there are none.
    """
    route, user, ip, agent, asn, tenant = texts
    routes, users, ips, agents, asns, tenants = tables
    codes, rank = np.empty(len(owner), np.uint64), np.empty(len(owner), np.uint64)
    for i in range(len(owner)):
        trait = np.uint64(classes[i] % 10)  # outcome and login
        h = mixed_word(mixed_word(routes[route[i]] ^ mixed_word(trait + _U1)) ^ path[i])
        h = mixed_word(mixed_word(h + users[user[i]]) ^ ips[ip[i]])
        h = mixed_word(mixed_word(h + agents[agent[i]]) ^ asns[asn[i]])
        h = mixed_word(mixed_word(h ^ (tags[i] if len(tags) else _NOBODY)) + tenants[tenant[i]])
        h = h | _TOP if trait == 0 else h & ~_TOP
        rank[i] = h
        place = np.uint64(np.int64(owner[i]) * panes + pane[i])
        codes[i] = _NOBODY if owner[i] < 0 else mixed_word(h + _U1) ^ mixed_word(place)
    return codes, rank


@compiled
def placed(code: I32, pane: I32, panes: int, values: int) -> tuple[I32, int]:
    """The group of each row by its entity and pane where these are few, and how many groups; -1 where absent."""
    table = np.full(values * panes, -1, np.int32)
    groups, count = np.empty(len(code), np.int32), 0
    for i in range(len(code)):
        if code[i] < 0:
            groups[i] = -1
            continue
        at = np.int64(code[i]) * panes + pane[i]
        g = table[at]
        if g < 0:
            g = np.int32(count)
            table[at] = g
            count += 1
        groups[i] = g
    return groups, count


@compiled
def places(code: I32, pane: I32, panes: int) -> U64:
    """Entity and pane as one well mixed word; 0 where absent."""
    out = np.empty(len(code), np.uint64)
    for i in range(len(code)):
        out[i] = _NOBODY if code[i] < 0 else mixed_word(np.uint64(np.int64(code[i]) * panes + pane[i] + 1))
    return out


@compiled
def spans(groups: I32, count: int, ts_ms: I64, weight: I64) -> tuple[I64, I64, I64, I64]:
    """By group: its last row, how many requests, first and last time. `weight` is empty where each row is one."""
    row, n = np.empty(count, np.int64), np.zeros(count, np.int64)
    first_ms, last_ms = np.full(count, _LATE), np.full(count, -_LATE)
    for i in range(len(groups)):
        g = groups[i]
        if g < 0:
            continue
        row[g] = i
        n[g] += weight[i] if len(weight) else 1
        first_ms[g], last_ms[g] = min(first_ms[g], ts_ms[i]), max(last_ms[g], ts_ms[i])
    return row, n, first_ms, last_ms


@compiled
def counted(
    groups: I32, count: int, ts_ms: I64, classes: U8, cost: I32, latency_ms: F64, weight: I64, adds: I64
) -> tuple[I64, I64, F64]:
    """By group its last row, columns, and the sum of latencies (NaN: none).

    Columns are what the classes of its requests add up to by `adds` (class, measure), cost, requests with a latency,
    first and last time. A group's numbers stand together while rows are gone through, and are columns after that.
    """
    width, measures = adds.shape
    held = np.zeros((count, width + 4), np.int64)
    held[:, width + 2], held[:, width + 3] = _LATE, -_LATE
    row, latency = np.empty(count, np.int64), np.zeros(count)
    for i in range(len(groups)):
        g = groups[i]
        if g < 0:
            continue
        by = weight[i] if len(weight) else 1
        row[g] = i
        held[g, classes[i]] += by
        held[g, width] += cost[i] * by
        if not np.isnan(latency_ms[i]):
            held[g, width + 1] += by
            latency[g] += latency_ms[i] * by
        held[g, width + 2] = min(held[g, width + 2], ts_ms[i])
        held[g, width + 3] = max(held[g, width + 3], ts_ms[i])
    out = np.zeros((measures + 4, count), np.int64)
    for g in range(count):
        for c in range(width):
            if held[g, c]:
                for m in range(measures):
                    out[m, g] += held[g, c] * adds[c, m]
        for m in range(4):
            out[measures + m, g] = held[g, width + m]
    return row, out, latency


@compiled
def taken(table: U64, codes: I32, rows: I64) -> U64:
    """The hashes of some rows: `table[codes[rows]]`, the last of the table for code -1."""
    out = np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        code = codes[rows[i]]
        out[i] = table[code] if code >= 0 else table[len(table) - 1]
    return out


@compiled
def used(codes: I32, ends: I64, size: int) -> tuple[I32, I64, I64]:
    """Codes numbered anew among those that their span uses, -1 stays; which these are, ascending; and where they end.

    Spans lie between `ends`, of which there is one more, the first 0; so do those of the codes that they use.
    """
    number, out = np.zeros(size, np.int32), np.empty(len(codes), np.int32)
    of, of_ends, count = np.empty(min(len(codes), size * (len(ends) - 1)), np.int64), np.zeros(len(ends), np.int64), 0
    for span in range(len(ends) - 1):
        first, end = ends[span], ends[span + 1]
        for i in range(first, end):
            if codes[i] >= 0:
                number[codes[i]] = 1
        begun = count
        for code in range(size):
            if number[code]:
                number[code], of[count] = count - begun, code
                count += 1
        for i in range(first, end):
            out[i] = number[codes[i]] if codes[i] >= 0 else -1
        for i in range(first, end):
            if codes[i] >= 0:
                number[codes[i]] = 0
        of_ends[span + 1] = count
    return out, of[:count], of_ends


@compiled
def sorted_places(kind: U8, kinds: int) -> tuple[I64, I64]:
    """Where each row goes when rows are put together by kind, in their order; and where each kind begins."""
    begins, place = np.zeros(kinds + 1, np.int64), np.empty(len(kind), np.int64)
    for i in range(len(kind)):
        begins[np.int64(kind[i]) + 1] += 1
    for k in range(kinds):
        begins[k + 1] += begins[k]
    ends = begins.copy()
    for i in range(len(kind)):
        place[i] = ends[kind[i]]
        ends[kind[i]] += 1
    return place, begins


@compiled
def laid(place: I64, columns: tuple[I64, ...]) -> I64:
    """Columns as rows: a few rows are written whole, where a pass a column would go over all memory each time."""
    out = np.empty((len(place), len(columns)), np.int64)
    for begin in range(0, len(place), _FEW):
        for c in range(len(columns)):
            column = columns[c]  # taking one out of the tuple counts references: not for each row
            for i in range(begin, min(begin + _FEW, len(place))):
                out[place[i], c] = column[i]
    return out


@compiled
def totalled(rows: I64, width: int) -> I64:
    """The sums of the first `width` columns."""
    out = np.zeros(width, np.int64)
    for i in range(len(rows)):
        for c in range(width):
            out[c] += rows[i, c]
    return out


@compiled
def noted(slots: I64, pane_s: I64, rows: I64, first: int, of_slot: tuple[I64, I64, I64]) -> None:
    """Of each row in its slot (mutated): the newest pane, the earliest time, which stands at `first`, requests."""
    last_s, first_ms, weight = of_slot
    for i in range(len(slots)):
        s = slots[i]
        last_s[s] = max(last_s[s], pane_s[i])
        first_ms[s] = min(first_ms[s], rows[i, first])
        weight[s] += rows[i, 0]


def grouped(code: I32, pane: I32, panes: int, values: int) -> tuple[I32, int]:
    """The group of each row by its code, one of `values`, and pane, one of `panes`; how many. -1 where absent."""
    if values * panes <= 4 * len(code) + 1024:
        return placed(code, pane, panes, values)
    groups, uniques = numbered(places(code, pane, panes))
    return groups, len(uniques)
