"""Decisions -> usage: a batch of one decisions partition becomes one block for each usage partition.

Nothing is done per decision: text is looked at once per distinct value, rows are grouped by integer keys, and a
histogram over (verdict, outcome, login) gives every count at once. What a block says does not depend on how its rows
were batched: counts add up, and of an owner's flows in a pane those of the smallest rank stay, wherever they are cut.
A row of a sample counts as often as its weight says; what is distinct it makes no more of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest as _xxh

from schemas import codec, routes
from schemas.decision import VERDICTS
from schemas.usage import COUNTS, FLOWS, FLOWS_PER_PANE_MAX, Block, Kind, Outcome
from stream.grouping import (
    I64,
    U64,
    Bool,
    beyond,
    distinct,
    first_rows,
    flow_rank,
    grouped,
    highest,
    lowest,
    mixed,
    summed,
)
from stream.rows import Named, split

COLUMNS: Final = (
    "ts_ms", "verdict", "ip", "user", "key_id", "method", "route", "path", "path_hash", "cost", "status", "latency_ms",
    "weight", "tenant", "country",
)  # fmt: skip
"""What combine reads of a decision."""
NO_ROUTE: Final = "?"
EVERYTHING: Final = "*"
PATH_NAME_CHARS_MAX: Final = 128
_ALLOW, _LIMIT, _DENY, _CHALLENGE = range(len(VERDICTS))
_OUTCOMES: Final = len(Outcome)
_CLASSES: Final = len(VERDICTS) * _OUTCOMES * 2
_LATENCY_STEPS: Final = 1024.0  # of a millisecond: sums of whole steps are exact in any order
_SALTS: Final = mixed(np.arange(1, len(Kind) + 1, dtype=np.uint64))


def entity_hash(kind: int, value: str) -> int:
    """What places an entity: it lives in usage partition `entity_hash % usage_partitions`."""
    return int(placement(np.array([kind]), np.array([codec.text_hash(value)], np.uint64))[0])


def placement(kinds: NDArray[np.integer], hashes: U64) -> U64:
    """`entity_hash` of entities, given their kinds and the hashes of their values."""
    return mixed(hashes ^ _SALTS[kinds])


def combine(
    batch: pa.RecordBatch,
    *,
    partition: int,
    start: int,
    end: int,
    ts_ms_max: int,
    usage_partitions: int,
    login_globs: tuple[str, ...],
) -> list[Block]:
    """Blocks [start, end) of decisions `partition`, one for each usage partition, empty ones too.

    `batch` has at least `COLUMNS`, checked; `ts_ms_max` is the newest event time the partition has shown before it.
    """
    if batch.num_rows == 0:
        counts, flows = _empty(COUNTS), _empty(FLOWS)
        return [Block(partition, start, end, ts_ms_max, counts, flows) for _ in range(usage_partitions)]
    rows = _Rows.read(batch, login_globs)
    newest_ms = max(ts_ms_max, int(rows.ts_ms.max()))
    flow_rows, dropped = _flows(rows)
    count_rows = _counts(rows, dropped)
    parts = zip(
        split(count_rows, COUNTS, _home(count_rows), usage_partitions),
        split(flow_rows, FLOWS, _home(flow_rows), usage_partitions),
        strict=True,
    )
    return [Block(partition, start, end, newest_ms, counts, flows) for counts, flows in parts]


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _home(rows: Named) -> U64:
    return placement(rows.columns["kind"], rows.columns["hash"])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Text:
    """A text column: a code per row, -1 where absent, the distinct values, their hashes, and the hash per row."""

    codes: I64
    values: pa.Array
    hashes: U64
    hashed: U64  # of each row's value, 0 where absent
    absent: bool  # whether any is

    @staticmethod
    def of(codes: I64, values: pa.Array) -> _Text:
        hashes = _hashes(values)
        absent = bool(len(codes)) and int(codes.min()) < 0
        return _Text(codes, values, hashes, np.append(hashes, np.uint64(0))[codes], absent)

    @staticmethod
    def read(column: pa.DictionaryArray, instead: str | None = None) -> _Text:
        """`instead` stands for absent values."""
        if column.dictionary.null_count:
            column = column.cast(pa.utf8()).dictionary_encode()
        values = column.dictionary
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        if instead is not None and column.null_count:
            values = pa.concat_arrays([values, pa.array([instead], values.type)])
            codes[codes < 0] = len(values) - 1
        return _Text.of(codes, values)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Decisions as integers; `pane` counts from the batch's first pane, of `panes`."""

    ts_ms: I64
    pane: I64
    panes: int
    pane_first_s: int
    ip: _Text
    key: _Text
    user: _Text
    route: _Text
    tenant: _Text
    country: _Text
    path: _Text
    path_hash: U64
    verdict: I64
    outcome: I64
    login: Bool
    told: I64  # the class of the request, its place among `classes`
    classes: I64  # classes (verdict, outcome, login) there are
    refused_credential: Bool
    cost: I64
    latency_ms: NDArray[np.float64]
    timed: Bool
    weight: I64 | None  # for how many requests each row stands; None where each stands for itself

    @staticmethod
    def read(batch: pa.RecordBatch, login_globs: tuple[str, ...]) -> _Rows:
        ts_ms = batch.column("ts_ms").to_numpy(zero_copy_only=False)
        pane_s = ts_ms // 1000
        first_s = int(pane_s.min())
        verdict = _verdicts(batch.column("verdict"))
        status = batch.column("status").to_numpy(zero_copy_only=False)
        login = _logins(batch, login_globs)
        outcome = _outcomes(verdict, status, login)
        path = _Text.read(batch.column("path"))
        told, classes = grouped((verdict * _OUTCOMES + outcome) * 2 + login, _CLASSES)
        latency_ms = batch.column("latency_ms").fill_null(np.nan).to_numpy(zero_copy_only=False).astype(np.float64)
        timed = np.isfinite(latency_ms)
        return _Rows(
            ts_ms=ts_ms,
            pane=pane_s - first_s,
            panes=int(pane_s.max()) - first_s + 1,
            pane_first_s=first_s,
            ip=_Text.read(batch.column("ip")),
            key=_Text.read(batch.column("key_id")),
            user=_Text.read(batch.column("user")),
            route=_Text.read(batch.column("route"), NO_ROUTE),
            tenant=_Text.read(batch.column("tenant")),
            country=_Text.read(batch.column("country")),
            path=path,
            path_hash=_paths(path, batch.column("path_hash")),
            verdict=verdict,
            outcome=outcome,
            login=login,
            told=told,
            classes=classes,
            refused_credential=(status == 401) | (status == 403),
            cost=batch.column("cost").to_numpy(zero_copy_only=False).astype(np.int64),
            latency_ms=np.rint(np.where(timed, latency_ms, 0.0) * _LATENCY_STEPS) / _LATENCY_STEPS,
            timed=timed,
            weight=_weights(batch.column("weight")),
        )

    def tally(self, groups: I64, count: int, at: I64 | slice) -> I64:
        """Requests of each group, given the group of each of the rows `at`."""
        if self.weight is None:
            return np.bincount(groups, minlength=count)
        return np.bincount(groups, weights=self.weight[at], minlength=count).astype(np.int64)  # whole, far below 2^53


def _weights(column: pa.Array) -> I64 | None:
    if column.null_count == len(column):
        return None
    weights: I64 = column.fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64)
    return weights


def _hashes(values: pa.Array) -> U64:
    texts = pl.Series(values).cast(pl.Binary).to_list()
    hashes = np.fromiter(map(_xxh, texts), np.uint64, len(texts))
    hashes[hashes == 0] = 1
    return hashes


def _verdicts(column: pa.DictionaryArray) -> I64:
    known = {name: code for code, name in enumerate(VERDICTS)}
    # A dictionary may hold words no row uses, which nobody has judged.
    table = np.array([known.get(value, _ALLOW) for value in column.dictionary.to_pylist()], np.int64)
    verdicts: I64 = table[column.indices.to_numpy(zero_copy_only=False)]
    return verdicts


def _paths(path: _Text, given: pa.Array) -> U64:
    if given.null_count == len(given):
        return path.hashed
    return np.where(path.codes >= 0, path.hashed, given.fill_null(0).to_numpy(zero_copy_only=False))


def _logins(batch: pa.RecordBatch, globs: tuple[str, ...]) -> Bool:
    route, method = batch.column("route"), batch.column("method")
    route_names, method_names = [*route.dictionary.to_pylist(), None], [*method.dictionary.to_pylist(), None]
    r = route.indices.fill_null(len(route_names) - 1).to_numpy(zero_copy_only=False)
    m = method.indices.fill_null(len(method_names) - 1).to_numpy(zero_copy_only=False)
    takes = np.zeros((len(route_names), len(method_names)), np.bool_)
    for i, name in enumerate(route_names):
        if routes.is_login(name, None, globs):
            takes[i] = [routes.is_login(name, verb, globs) for verb in method_names]
    logins: Bool = takes[r, m]
    return logins


def _outcomes(verdict: I64, status: NDArray[np.int16], login: Bool) -> I64:
    by_status = np.full(600, Outcome.OK, np.int64)
    by_status[400:500] = Outcome.CLIENT_ERROR
    by_status[500:] = Outcome.SERVER_ERROR
    by_status[[401, 403]] = Outcome.AUTH_FAILED
    by_status[429] = Outcome.LIMITED
    outcome = by_status[status]
    outcome[login & ((status == 400) | (status == 422))] = Outcome.AUTH_FAILED
    outcome[verdict == _LIMIT] = Outcome.LIMITED
    return outcome


def _flows(rows: _Rows) -> tuple[Named, dict[Kind, tuple[I64, I64]]]:
    """Flows, and per kind of owner the requests in flows that were cut: (owner code * panes + pane, requests)."""
    keyed = (rows.key.codes >= 0) & ~rows.refused_credential
    owned = (keyed | (rows.ip.codes >= 0)) & ((rows.verdict == _ALLOW) | (rows.verdict == _LIMIT))
    at = np.flatnonzero(owned)
    ips, panes = len(rows.ip.values), rows.panes
    owner = np.where(keyed, ips + rows.key.codes, rows.ip.codes)[at]
    place = owner * panes + rows.pane[at]
    told = rows.outcome[at] * 2 + rows.login[at]
    route, path, user, ip = (c[at] for c in (rows.route.hashed, rows.path_hash, rows.user.hashed, rows.ip.hashed))
    rank = flow_rank(route, path, user, ip, told.astype(np.uint64))
    groups, uniques = distinct(mixed(rank + np.uint64(1)) ^ mixed(place.astype(np.uint64)))
    one, count = first_rows(groups, len(uniques)), len(uniques)
    n = rows.tally(groups, count, at)
    places, owners = grouped(place[one], (ips + len(rows.key.values)) * panes)
    cut = beyond(places, len(owners), rank[one], FLOWS_PER_PANE_MAX)
    dropped = _dropped(place[one[cut]], n[cut], ips * panes)
    kept = np.flatnonzero(~cut)
    row = at[one[kept]]
    by_key = keyed[row]
    first_ms, last_ms = lowest(groups, count, rows.ts_ms[at]), highest(groups, count, rows.ts_ms[at])
    columns = {
        "kind": np.where(by_key, Kind.KEY, Kind.IP).astype(np.uint8),
        "hash": np.where(by_key, rows.key.hashed[row], rows.ip.hashed[row]),
        "entity": owner[one[kept]],
        "pane_s": rows.pane[row] + rows.pane_first_s,
        "first_ms": first_ms[kept],
        "last_ms": last_ms[kept],
        "route": rows.route.hashed[row],
        "route_name": rows.route.codes[row],
        "path": rows.path_hash[row],
        "path_name": rows.path.codes[row],
        "user": rows.user.hashed[row],
        "ip": rows.ip.hashed[row],
        "outcome": rows.outcome[row].astype(np.uint8),
        "login": rows.login[row],
        "n": n[kept],
    }
    texts = {
        "entity": pa.concat_arrays([rows.ip.values, rows.key.values]),
        "route_name": rows.route.values,
        "path_name": pc.utf8_slice_codeunits(rows.path.values, 0, PATH_NAME_CHARS_MAX),
    }
    return Named(columns, texts), dropped


def _dropped(place: I64, n: I64, first_key: int) -> dict[Kind, tuple[I64, I64]]:
    of_key = place >= first_key
    return {Kind.IP: (place[~of_key], n[~of_key]), Kind.KEY: (place[of_key] - first_key, n[of_key])}


def _counts(rows: _Rows, dropped: dict[Kind, tuple[I64, I64]]) -> Named:
    everything = _Text.of(np.zeros(len(rows.ts_ms), np.int64), pa.array([EVERYTHING], pa.utf8()))
    kinds = {
        Kind.IP: rows.ip, Kind.KEY: rows.key, Kind.USER: rows.user, Kind.ROUTE: rows.route, Kind.GLOBAL: everything,
        Kind.TENANT: rows.tenant, Kind.COUNTRY: rows.country,
    }  # fmt: skip
    kinds = {kind: text for kind, text in kinds.items() if len(text.values)}  # a column nobody fills costs nothing
    parts: list[dict[str, NDArray[np.generic]]] = []
    offset = 0
    for kind, text in kinds.items():
        parts.append(_counts_of(rows, kind, text, dropped.get(kind), offset))
        offset += len(text.values)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COUNTS.names}
    return Named(columns, {"entity": pa.concat_arrays([text.values for text in kinds.values()])})


def _counts_of(
    rows: _Rows, kind: Kind, text: _Text, dropped: tuple[I64, I64] | None, offset: int
) -> dict[str, NDArray[np.generic]]:
    at = np.flatnonzero(text.codes >= 0) if text.absent else slice(None)
    place = text.codes[at] * rows.panes + rows.pane[at]
    groups, uniques = grouped(place, len(text.values) * rows.panes)
    count = len(uniques)
    width = len(rows.classes)
    histogram = rows.tally(groups * width + rows.told[at], count * width, at)
    measures = histogram.reshape(count, width) @ _MEASURED[rows.classes]
    code, pane = uniques // rows.panes, uniques % rows.panes
    flows_dropped = np.zeros(count, np.int64)
    if dropped is not None and len(dropped[0]):
        order = np.argsort(uniques)
        np.add.at(flows_dropped, order[np.searchsorted(uniques, dropped[0], sorter=order)], dropped[1])
    by = 1 if rows.weight is None else rows.weight[at]
    columns: dict[str, NDArray[np.generic]] = {
        "kind": np.full(count, kind, np.uint8),
        "hash": text.hashes[code],
        "entity": code + offset,
        "pane_s": pane + rows.pane_first_s,
        "cost": summed(groups, count, rows.cost[at] * by),
        "latency_ms_sum": np.bincount(groups, weights=rows.latency_ms[at] * by, minlength=count),
        "latency_n": np.bincount(groups, weights=rows.timed[at] * by, minlength=count).astype(np.int64),
        "flows_dropped": flows_dropped,
        "first_ms": lowest(groups, count, rows.ts_ms[at]),
        "last_ms": highest(groups, count, rows.ts_ms[at]),
    }
    return columns | {name: measures[:, i] for i, name in enumerate(_BY_CLASS)}


_BY_CLASS: Final = (
    "n", "allowed", "limited", "denied", "challenged", "auth_failed", "client_error", "server_error", "logins",
)  # fmt: skip


def _measured() -> I64:
    """What one request of each class (verdict, outcome, login) adds to each of `_BY_CLASS`."""
    verdict, outcome, login = (
        a.ravel() for a in np.meshgrid(range(len(VERDICTS)), range(_OUTCOMES), range(2), indexing="ij")
    )
    answered = verdict == _ALLOW  # only then is the status the upstream's
    return np.stack(
        [
            np.ones(_CLASSES, np.int64),
            verdict == _ALLOW,
            verdict == _LIMIT,
            verdict == _DENY,
            verdict == _CHALLENGE,
            answered & (outcome == Outcome.AUTH_FAILED),
            answered & (outcome == Outcome.CLIENT_ERROR),
            answered & (outcome == Outcome.SERVER_ERROR),
            login == 1,
        ],
        axis=1,
    ).astype(np.int64)


_MEASURED: Final = _measured()
