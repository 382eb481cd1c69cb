"""Machines that send: another address of one that is known, and a key that goes on writing where it always wrote.

    known   198.51.100.7    POST /hooks/payments, for hours, taken, and never anything else
    alike   198.51.100.91   POST /hooks/payments, nothing else; most of it is known here already (409)
    not     198.18.4.2      the same from elsewhere: anybody can post what a provider would

What is refused of it is told of; it is not asked whether it is a person (ADR 0062). It takes the very network (/24,
/48) of the known one, and that both only ever asked for this one path, with no account: who shops from a provider's
neighbourhood is a shopper.

    key     PUT /api/v1/stock/{id}, thing after thing, every hour; after an outage all that waited, from new machines

A key with a past that walks through all there is, but writes, and where it wrote in the hour before, is told of; and
for what is refused of it, as long as some of it is taken: of guesses hardly one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.chances import tagged
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, IP, KEY, OK, Fact
from detectors.cusum import Track
from detectors.entities import Columns, Slots
from detectors.families import HOUR_S, Each, Family, New
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]
TAKEN: Final = 3  # refusals for each request that is taken, and three for a start, at most, of who goes on as always
_SENDS, _WRITES = np.uint64(47), np.uint64(53)
_ALIKE: Final = (
    Fact("alike", 1.0, None, "a machine that is known sends its messages here from the same network: it is not asked"),
)
_GOES_ON: Final = (
    Fact("goes_on", 1.0, None, "a key with a history that writes where it wrote in the hour before: people are told"),
)


@dataclass(frozen=True, slots=True)
class Senders:
    """`alike`: rows refused of who is like a known sender. `goes_on`: rows of keys that write where they wrote before.

    `turned`: by segment, who asked for two things and more. `keys`: what to remember.
    """

    alike: Flag
    goes_on: Flag
    turned: Flag
    keys: U64


def look(rows: Rows, slots: Slots, c: Columns, sampled: PairSet, submitted: int) -> Senders:
    """Who sends in `rows`, and who is like who sent in earlier panes. `submitted`: the bit of `tags` that says so."""
    f, seg = rows.flows, rows.seg
    prior = np.concatenate([np.zeros(1, np.uint64), f.path])[: len(rows)]
    prior[rows.starts] = c.last[slots]
    turns = (prior != f.path) & (prior != 0)
    many = np.cumsum(turns)
    turned = c.turned[slots][seg] | (many > (many - turns)[rows.starts][seg])
    one = (f.kind == IP) & ~turned & ~f.login & (f.user == 0) & (f.network != 0)
    known = c.established[slots][seg] & ~c.alarmed[slots][seg]
    sends = np.flatnonzero(one & known & (f.outcome == OK))
    refused = np.flatnonzero(one & ~c.established[slots][seg] & np.isin(f.outcome, (AUTH_FAILED, CLIENT_ERROR)))
    alike = np.zeros(len(rows), np.bool_)
    keys = _key(rows, sends)
    alike[refused] = _earlier(rows, refused, sends, keys, sampled)
    past = c.established[slots][seg] & (submitted >= 0)
    writes = np.flatnonzero((f.kind == KEY) & past & tagged(f.tags, submitted))
    goes_on, hour = np.zeros(len(rows), np.bool_), f.pane_s // HOUR_S
    goes_on[writes] = sampled.contains(_where(rows, writes, hour - 1))
    taught = writes[(f.outcome[writes] == OK) & (known | goes_on)[writes]]  # whom an alert is about teaches nothing new
    keys = np.concatenate([keys, _where(rows, taught, hour)])
    ends = np.append(rows.starts[1:], len(rows)) - 1
    return Senders(alike, goes_on, turned[ends], keys[firsts(keys)])


def _where(rows: Rows, at: Index, hour: NDArray[np.int64]) -> U64:
    """Who wrote on which route, in which hour."""
    owner = rows.owner[rows.seg[at]]
    return mix(owner, rows.flows.route[at], hour[at].astype(np.uint64), np.full(len(at), _WRITES))


def _key(rows: Rows, at: Index) -> U64:
    return mix(rows.flows.network[at], rows.flows.path[at], np.full(len(at), _SENDS))


def _earlier(rows: Rows, refused: Index, sends: Index, keys: U64, sampled: PairSet) -> Flag:
    """Rows `refused` for whose network and path somebody sent before their pane, in this run or as is remembered."""
    key, pane_s = _key(rows, refused), rows.flows.pane_s
    found = sampled.contains(key)
    if len(sends) and len(refused):
        order = np.lexsort((pane_s[sends], keys))
        place = np.minimum(np.searchsorted(keys[order], key), len(keys) - 1)
        found |= (keys[order][place] == key) & (pane_s[sends][order][place] < pane_s[refused])
    return np.asarray(found)


def speaks(family: Family, found: Senders, at: Index, track: Track) -> tuple[Fact, ...]:
    """Why people are told and nobody is answered for marks `at` of a family of requests, empty for nothing."""
    if family.each is not Each.REQUEST or not len(at):
        return ()
    new, refusals = family.mark.new, OK not in family.mark.outcomes
    if refusals and new is None and found.alike[at].all():
        return _ALIKE
    writes = new is New.PATH or (refusals and new is None)
    taken = not refusals or TAKEN * (track.tries - track.marks + 1) >= track.marks
    return _GOES_ON if writes and taken and found.goes_on[at].all() else ()
