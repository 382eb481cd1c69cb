"""Flows as the detectors take them: read from blocks, and the flows of several blocks cut as those of one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.columns import DTYPES, IP, Flows
from schemas.usage import FLOWS_PER_PANE_MAX
from stream.grouping import I64, U64, distinct, first_rows, flow_rank, highest, lowest, mixed, summed
from stream.lowest import beyond
from stream.networks import network_hashes

_PLACES: Final = np.uint64((1 << 16) - 1)
_NAMES: Final = {field.name: "hash" if field.name == "entity" else field.name for field in fields(Flows)}


def read(batch: pa.RecordBatch) -> Flows:
    """Rows of `schemas.usage.FLOWS` without their text."""
    columns = {
        name: batch.column(column).to_numpy(zero_copy_only=False).astype(DTYPES[name], copy=False)
        for name, column in _NAMES.items()
        if name != "network"
    }
    return Flows(**columns, network=_networks(batch, columns["kind"]))


def _networks(batch: pa.RecordBatch, kind: NDArray[np.generic]) -> U64:
    """The network of each owner that is an address, 0 of others."""
    owners = batch.column("entity")
    if not len(owners.dictionary):
        return np.zeros(len(kind), np.uint64)
    codes = owners.indices.fill_null(0).to_numpy(zero_copy_only=False)
    addresses = kind == IP
    asked = np.zeros(len(owners.dictionary), np.bool_)
    asked[codes[addresses]] = True  # the names of keys and users stand among them
    return np.where(addresses, network_hashes(owners.dictionary, asked)[codes], np.uint64(0))


def bounded(parts: list[Flows]) -> Flows:
    """Flows of several blocks, of each owner and pane no more than combine lets through in one, the same ones."""
    flows = Flows.concat(parts)
    if not len(flows):
        return flows
    owner = mixed(flows.entity ^ mixed(flows.pane_s.astype(np.uint64))) + flows.kind
    crowded = _crowded((owner & _PLACES).astype(np.int64), int(_PLACES) + 1)  # those of a place, or more: a first sieve
    if not len(crowded):
        return flows
    places, owners = distinct(owner[crowded])
    crowded = crowded[_crowded(places, len(owners))]
    if not len(crowded):
        return flows
    fits = np.ones(len(flows), np.bool_)
    fits[crowded] = False
    row, first_ms, last_ms, n = _cut(flows.take(crowded), owner[crowded])
    few = np.flatnonzero(fits)
    out = flows.take(np.concatenate([few, crowded[row]]))  # copied once
    out.first_ms[len(few) :], out.last_ms[len(few) :], out.n[len(few) :] = first_ms, last_ms, n
    return out


def no_sooner(flows: Flows, pane_s: int) -> Flows:
    """`flows`, with those of panes before `pane_s` moved there."""
    return replace(flows, pane_s=np.maximum(flows.pane_s, pane_s))


def _crowded(groups: I64, count: int) -> I64:
    """Rows of groups that have more than an owner may have in a pane."""
    rows: I64 = np.flatnonzero((np.bincount(groups, minlength=count) > FLOWS_PER_PANE_MAX)[groups])
    return rows


def _cut(flows: Flows, owner: U64) -> tuple[I64, I64, I64, I64]:
    """Like rows made one, and of each owner and pane the lowest-ranked, as combine cuts: a row of each.

    Beside it their first and last time, and their sum.
    """
    told = flows.outcome.astype(np.uint64) * np.uint64(2) + flows.login
    parts = (flows.route, flows.path, flows.user, flows.ip, flows.agent, flows.asn, flows.tenant)
    rank = flow_rank(parts, told, flows.tags)
    groups, uniques = distinct(mixed(rank + np.uint64(1)) ^ owner)
    count = len(uniques)
    one = first_rows(groups, count)
    first_ms, last_ms = lowest(groups, count, flows.first_ms), highest(groups, count, flows.last_ms)
    n = summed(groups, count, flows.n)
    places, owners = distinct(owner[one])
    kept = ~beyond(places, len(owners), rank[one], FLOWS_PER_PANE_MAX)
    return one[kept], first_ms[kept], last_ms[kept], n[kept]
