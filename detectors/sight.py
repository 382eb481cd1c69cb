"""What each flow is, beside what was seen before: first visits, novelties, logins that count. No nulls yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import waits
from detectors.columns import AUTH_FAILED, IP, LIMITED, OK, USER, Flows
from detectors.entities import Columns, Slots
from detectors.families import (
    HOUR_S,
    PENALTY_S,
    REPEAT_GAP_MS,
    UNTIL_THE_HOUR,
    Each,
    Families,
    New,
    submissions,
)
from detectors.memories import Memories
from detectors.pairs import firsts, mix
from detectors.rows import Rows

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flag = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Logins:
    """Login results among the rows: `at` their rows; failures new to the pair, repeats of known ones, successes."""

    at: NDArray[np.intp]
    fresh: I64
    repeats: I64
    fine: I64
    failed: Flag
    failed_pairs: U64
    failed_at: NDArray[np.intp]  # their rows
    good_pairs: U64
    good_at: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Refusals:
    """Panes that speak of a standing penalty: `at` their rows, and whether they were refused again."""

    at: NDArray[np.intp]
    again: Flag


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything the families ask of rows."""

    plain: Flag  # answered, not a login
    results: Flag  # a login and its result
    new_path: Flag  # the owner's first request of this path
    anyone: Flag  # anyone's first request of this path
    new: Mapping[New, Flag]  # the owner's first of each thing
    address: Flag  # the owner's first request from this address
    same_route: Flag  # the owner's row before was on the same route
    turn: Flag  # or for another path, with the same user agent
    asks_again: Flag  # whether something it asked for is there by now: as the row before it, and a while after it
    homed: Mapping[New, Flag]  # where the owner has a home at all, or a route
    before: I64  # the owner's requests before this row
    logins: Logins
    refusals: Refusals
    waits: waits.Waits
    pair: U64  # owner, path
    seen: Mapping[str, tuple[U64, NDArray[np.intp]]]  # by memory: keys to remember and their rows


MEMORY: Final = {
    New.AGENT: "agent",
    New.ASN: "asn",
    New.USER: "user",
    New.IP: "address",
    New.PLACE: "paths",
    New.HOME: "arrived",
    New.ROUTE: "taken",
}
_WAY: Final = np.uint64(41)  # beside who has taken routes before this hour


def kinds_of(families: Families, memory: str) -> list[int]:
    """The kinds of owners for whom something is remembered."""
    return sorted(
        {
            kind
            for family in families
            if (family.mark.new is not None and MEMORY.get(family.mark.new) == memory)
            or (memory == "address" and family.each is Each.ADDRESS)
            for kind in family.about
        }
    )


def value_of(flows: Flows, thing: New) -> U64:
    """By row what may be new, 0 where nothing is known of it."""
    if thing is New.HOME:
        return flows.asn
    if thing is New.PLACE:
        return mix(flows.path, flows.asn)  # that nobody knows where it was is remembered, too
    found: U64 = getattr(flows, thing)  # a column has the name of what it holds
    return found


def look(rows: Rows, slots: Slots, c: Columns, memories: Memories, families: Families) -> Sight:
    """See `rows` against `memories` and the owners' columns `c` (none mutated). `slots` is by segment."""
    f = rows.flows
    whose = f.kind != USER
    plain = (f.outcome != LIMITED) & ~f.login & whose
    results = f.login & ((f.outcome == OK) | (f.outcome == AUTH_FAILED))
    pair = mix(rows.owner[rows.seg], f.path)
    new_path = np.zeros(len(rows), np.bool_)
    unknown = np.flatnonzero(plain & ~memories.paths.contains(pair))
    new_path[unknown[firsts(pair[unknown])]] = True
    novel = np.zeros(len(rows), np.bool_)
    new = np.flatnonzero(new_path)
    new = new[~memories.anyone.contains(mix(f.path[new]))]
    order = rows.in_time(new)
    novel[new[order][firsts(f.path[new][order])]] = True
    first: dict[New, Flag] = {New.PATH: new_path}
    seen: dict[str, tuple[U64, NDArray[np.intp]]] = {}
    homed: dict[New, Flag] = {}
    for thing, memory in MEMORY.items():
        values = value_of(f, thing)
        tried = results | (plain & (f.outcome == AUTH_FAILED))  # a login, or a credential that was refused
        shown = {New.AGENT: plain, New.PLACE: plain, New.USER: tried}.get(thing, f.outcome != LIMITED)
        table = np.zeros(256, np.bool_)
        table[kinds_of(families, memory)] = True
        at = np.flatnonzero(table[f.kind] & shown & (values != 0))
        key = mix(rows.owner[rows.seg[at]], values[at])
        one = np.flatnonzero(firsts(key))
        fresh = one[~memories.by_owner(memory).contains(key[one])]
        if thing is New.PLACE:
            fresh = fresh[_elsewhere(rows, at[fresh], memories)]
        first[thing] = np.zeros(len(rows), np.bool_)
        first[thing][at[fresh]] = True
        if thing in UNTIL_THE_HOUR:
            homed[thing] = np.zeros(len(rows), np.bool_)
            first[thing][at], homed[thing][at] = _away(rows, at, key, memories, thing)
        # Where a path is asked for is kept as long as the path.
        kept = one if thing in (New.PLACE, *UNTIL_THE_HOUR) else fresh
        seen[memory] = key[kept], at[kept]
    same_route = _as_before(rows, f.route, c.route[slots])
    total = np.cumsum(f.n) - f.n
    before = total - total[rows.starts][rows.seg] + c.seen[slots][rows.seg]
    waited = waits.look(rows, slots, c, memories.sampled)
    return Sight(
        plain=plain,
        results=results,
        new_path=new_path,
        anyone=novel,
        new=first,
        address=first[New.IP],
        same_route=same_route,
        homed=homed,
        turn=_as_before(rows, f.agent, c.agent[slots]) & ~_as_before(rows, f.path, c.last[slots]),
        asks_again=plain & same_route & ~new_path & waits.after_a_while(rows, slots, c, submissions(families)),
        before=before,
        logins=_logins(rows, slots, c, memories, waited.usual),
        refusals=_refusals(rows, slots, c),
        waits=waited,
        pair=pair,
        seen=seen,
    )


def _as_before(rows: Rows, values: U64, before: U64) -> Flag:
    """Rows of which something is as in the owner's row before; `before`: his last one's, by segment."""
    same = np.concatenate([[False], values[1:] == values[:-1]])[: len(rows)]
    same[rows.starts] = values[rows.starts] == before
    return same


def _elsewhere(rows: Rows, at: NDArray[np.intp], memories: Memories) -> Flag:
    """Of rows whose place is new to the path those of which it is known, as it was of all requests for the path."""
    f = rows.flows
    nowhere = mix(rows.owner[rows.seg[at]], mix(f.path[at], np.zeros(len(at), np.uint64)))
    found: Flag = (f.asn[at] != 0) & ~memories.paths.contains(nowhere)
    return found


def settled_key(owner: U64, thing: New) -> U64:
    """What says in the memories that owners have a home, or took a route, in an hour that is over."""
    return owner if thing is New.HOME else mix(owner, np.full(len(owner), _WAY))


def _away(rows: Rows, at: NDArray[np.intp], key: U64, memories: Memories, thing: New) -> tuple[Flag, Flag]:
    """Rows `at` which are in none of their owner's homes, and whose owner has one; `key`: owner and place."""
    homed = memories.homes.contains(settled_key(rows.owner, thing))[rows.seg[at]]
    return homed & ~memories.homes.contains(key), homed


def _logins(rows: Rows, slots: Slots, c: Columns, memories: Memories, waited: Flag) -> Logins:
    f = rows.flows
    results = f.login & (f.kind != USER) & ((f.outcome == OK) | (f.outcome == AUTH_FAILED))
    results[_healed(rows, results, memories)] = True
    at = np.flatnonzero(results)
    n = f.n[at]
    failed = f.outcome[at] == AUTH_FAILED
    pair = mix(f.ip[at], f.user[at])
    named = f.user[at] != 0
    # Good at one door is not good at the next: a password that fits excuses no code after it that does not.
    door = np.where(f.login[at], mix(pair, f.route[at]), pair)
    place, fine_at = np.arange(len(at)), ~failed & named
    known_good = (place > _first_ok(door, fine_at)) | (place > _first_ok(pair, fine_at & ~f.login[at]))
    known_good = named & (known_good | memories.good.contains(door) | memories.good.contains(pair))
    counts = failed & ~known_good & ~waited[at]
    fresh = counts & named & ~memories.failed.contains(pair)
    some = np.flatnonzero(fresh)
    fresh[some] = firsts(pair[some])
    quick = _quick(rows, slots, c, at, failed)
    repeats = np.where(counts & named, np.where(fresh | ~quick, n - 1, n), 0)
    hourly = mix(door, (f.pane_s[at] // HOUR_S).astype(np.uint64))
    ok_named = np.flatnonzero(~failed & named)
    ok_named = ok_named[~memories.good.contains(hourly[ok_named])]
    ok_named = ok_named[firsts(hourly[ok_named])]
    fine = np.where(~failed & ~named, n, 0)
    fine[ok_named] = 1
    return Logins(
        at=at,
        fresh=np.where(fresh, 1, 0) + np.where(counts & ~named, n, 0),
        repeats=repeats,
        fine=fine,
        failed=failed,
        failed_pairs=pair[failed & named],
        failed_at=at[failed & named],
        good_pairs=np.concatenate([door[fine_at], hourly[ok_named]]),
        good_at=np.concatenate([at[fine_at], at[ok_named]]),
    )


def _healed(rows: Rows, results: Flag, memories: Memories) -> NDArray[np.intp]:
    """Requests that accounts which failed at an address make there signed in: as good as a login that succeeds."""
    f = rows.flows
    signed_in = np.flatnonzero(~f.login & (f.kind == IP) & (f.outcome == OK) & (f.user != 0))
    pair = mix(f.ip[signed_in], f.user[signed_in])
    found = memories.failed.contains(pair)
    failed = np.flatnonzero(results & (f.kind == IP) & (f.outcome == AUTH_FAILED) & (f.user != 0))
    if len(failed):
        here, first = np.unique(mix(f.ip[failed], f.user[failed]), return_index=True)
        place = np.minimum(np.searchsorted(here, pair), len(here) - 1)
        found |= (here[place] == pair) & (failed[first][place] < signed_in)
    return signed_in[found]


def _first_ok(pair: U64, ok: Flag) -> I64:
    """For each row the place of its pair's first success among the rows (their number when there is none)."""
    size = len(pair)
    distinct, inverse = np.unique(pair, return_inverse=True)
    first = np.full(len(distinct), size, np.int64)
    np.minimum.at(first, inverse[ok], np.flatnonzero(ok))
    return first[inverse]


def _quick(rows: Rows, slots: Slots, c: Columns, at: NDArray[np.intp], failed: Flag) -> Flag:
    """Which failures follow the owner's failure before them within `REPEAT_GAP_MS`."""
    seg, t_ms = rows.seg[at], rows.t_ms[at]
    out = np.zeros(len(at), np.bool_)
    some = np.flatnonzero(failed)
    if len(some):
        s, t = seg[some], t_ms[some]
        prior = np.concatenate([[0], t[:-1]])
        begins = np.diff(s, prepend=-1) != 0
        prior[begins] = c.fail_ms[slots[s[begins]]]
        out[some] = t - prior <= REPEAT_GAP_MS
    return out


def _refusals(rows: Rows, slots: Slots, c: Columns) -> Refusals:
    """A pane with a refusal after another within the penalty: refused again. One answered throughout: obeyed."""
    f = rows.flows
    limited = f.outcome == LIMITED
    touched = np.zeros(len(rows.starts), np.bool_)
    touched[rows.seg[limited]] = True
    if len(f):
        touched |= f.pane_s[rows.starts] - c.refused_s[slots] <= PENALTY_S
    at = np.flatnonzero(touched[rows.seg])
    if not len(at):
        return Refusals(at, np.zeros(0, np.bool_))
    seg, pane, lim = rows.seg[at], f.pane_s[at], limited[at]
    begins = np.flatnonzero((np.diff(seg, prepend=-1) != 0) | (np.diff(pane, prepend=-1) != 0))
    group_refused = np.logical_or.reduceat(lim, begins)
    group_seg, group_pane = seg[begins], pane[begins]
    last = np.where(group_refused, group_pane, 0)
    heads = np.diff(group_seg, prepend=-1) != 0
    # The last refusal before a group: running maximum over panes, carried in from the columns at each owner's head.
    carried = np.concatenate([[0], last[:-1]])
    carried[heads] = c.refused_s[slots[group_seg[heads]]]
    width = int(group_pane.max()) + 1
    carried = np.maximum.accumulate(carried + group_seg * width) - group_seg * width
    standing = group_pane - carried <= PENALTY_S
    # A mark stands on the first refused row of its pane, as it is known from then on.
    place = np.where(lim, np.arange(len(at)), len(at))
    first_refused = np.minimum.reduceat(place, begins)
    row = np.where(group_refused, np.minimum(first_refused, len(at) - 1), begins)
    return Refusals(at[row[standing]], group_refused[standing])
