"""Decisions as integers: what combine's compiled loops read. Text is looked at once per distinct value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import routes
from schemas.decision import VERDICTS
from schemas.usage import Outcome
from stream import compiled
from stream.compiled import F64, I32, I64, U8, U64
from stream.networks import clients
from stream.text_hashes import hashes

NO_ROUTE: Final = "?"
OUTCOMES: Final = len(Outcome)
CLASSES: Final = len(VERDICTS) * OUTCOMES * 2
_STATUSES: Final = 600
_LATENCY_STEPS: Final = 1024.0
_TABLES: Final = ("present", "hosts")  # not by row


@dataclass(frozen=True, slots=True)
class Text:
    """A text column: a code per row, -1 where absent, the distinct values, their hashes with a 0 behind the last."""

    codes: I32
    values: pa.Array
    table: U64

    @staticmethod
    def of(codes: I32, values: pa.Array) -> Text:
        """A column whose codes are known."""
        return Text(codes, values, hashes(values))

    @staticmethod
    def read(column: pa.DictionaryArray, instead: str | None = None) -> Text:
        """`instead` stands for absent values."""
        if column.dictionary.null_count:
            column = column.cast(pa.utf8()).dictionary_encode()
        values = column.dictionary
        if column.null_count == len(column):
            codes, values = np.full(len(column), -1, np.int32), values.slice(0, 0)
        else:
            codes = np.array(_filled(column.indices), np.int32)  # a copy: read-only arrays are compiled for once more
        if instead is not None and column.null_count:
            values = pa.concat_arrays([values, pa.array([instead], values.type)])
            codes = np.where(codes < 0, np.int32(len(values) - 1), codes)
        return Text.of(codes, values)

    def hashed(self, rows: I64) -> U64:
        """Hashes of some rows, 0 where absent."""
        return compiled.taken(self.table, self.codes, rows)


@dataclass(frozen=True, slots=True)
class Requests:
    """A batch of decisions; `pane` counts from its first pane, of `panes`, and so does `judged`, where it is evidence.

    `weight` is empty where every row is one. `ip` is the client by its address: of IPv6 a /64. `address` is the address
    as it came, and `hosts` the lower half of each of its values that is one of a /64, else 0; empty where none is.
    """

    ts_ms: I64
    pane: I32
    judged: I32
    panes: int
    pane_first_s: int
    ip: Text
    address: Text
    hosts: U64
    key: Text
    user: Text
    route: Text
    tenant: Text
    country: Text
    asn: Text
    agent: Text
    path: Text
    path_hash: U64
    status: NDArray[np.int16]
    classes: U8  # each row's place in (verdict, outcome, login)
    told: U8  # the same, as its place among `present`
    present: I64  # the classes there are
    cost: I32
    latency_ms: F64  # in whole 1/1024, so that sums are exact in any order; NaN: none
    weight: I64

    def take(self, rows: I64) -> Requests:
        """Some of the rows, with the texts of all."""
        taken = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, column in taken.items():
            if isinstance(column, Text):
                taken[name] = Text(column.codes[rows], column.values, column.table)
            elif isinstance(column, np.ndarray) and name not in _TABLES and len(column):
                taken[name] = column[rows]
        return Requests(**taken)

    def hosted(self, rows: I64) -> U64:
        """The lower half of the address of some rows, 0 where that is a client by itself, or absent."""
        if not len(self.hosts):
            return np.zeros(len(rows), np.uint64)
        return compiled.taken(self.hosts, self.address.codes, rows)

    @staticmethod
    def read(batch: pa.RecordBatch, login_globs: tuple[str, ...], judged_s: I64 | None = None) -> Requests:
        """`batch` has at least `combine.COLUMNS`, checked, and a row or more."""
        ts_ms = batch.column("ts_ms").to_numpy(zero_copy_only=False)
        pane_s = ts_ms // 1000
        first_s = int(pane_s.min())
        last_s = int(pane_s.max() if judged_s is None else judged_s.max())
        pane = (pane_s - first_s).astype(np.int32)
        status = batch.column("status").to_numpy(zero_copy_only=False)
        path = Text.read(batch.column("path"))
        address = Text.read(batch.column("ip"))
        ip, hosts = _clients(address)
        verdict = batch.column("verdict")
        classes = compiled.told(
            verdict.indices.to_numpy(zero_copy_only=False),
            _verdicts(verdict),
            status,
            logins(batch, login_globs),
            _OUTCOME,
        )
        if any("=" in glob for glob in login_globs):
            classes = _as_the_site_says(classes, batch.column("route"), status, login_globs)
        present = np.flatnonzero(np.bincount(classes, minlength=CLASSES))
        place = np.zeros(CLASSES, np.uint8)
        place[present] = np.arange(len(present))
        return Requests(
            ts_ms=ts_ms,
            pane=pane,
            judged=pane if judged_s is None else (judged_s - first_s).astype(np.int32),
            panes=last_s - first_s + 1,
            pane_first_s=first_s,
            ip=ip,
            address=address,
            hosts=hosts,
            key=Text.read(batch.column("key_id")),
            user=Text.read(batch.column("user")),
            route=Text.read(batch.column("route"), NO_ROUTE),
            tenant=Text.read(batch.column("tenant")),
            country=Text.read(batch.column("country")),
            asn=Text.read(_numbers(batch.column("asn"))),
            agent=Text.read(batch.column("ua")),
            path=path,
            path_hash=_paths(path, batch.column("path_hash")),
            status=status,
            classes=classes,
            told=place[classes],
            present=present,
            cost=batch.column("cost").to_numpy(zero_copy_only=False),
            latency_ms=_latencies(batch.column("latency_ms")),
            weight=_weights(batch.column("weight")),
        )


def _as_the_site_says(classes: U8, route: pa.DictionaryArray, status: NDArray[np.int16], globs: tuple[str, ...]) -> U8:
    """Classes, with logins failed where their route says so: a status of its own, whatever it means elsewhere."""
    out = classes.copy()
    codes = route.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    plain = (classes % 2 == 1) & (classes // 2 % OUTCOMES == Outcome.OK)
    for code, name in enumerate(route.dictionary.to_pylist()):
        failed = routes.failed_statuses(name, globs) if name is not None else frozenset()
        if failed:
            out[plain & (codes == code) & np.isin(status, list(failed))] += 2 * Outcome.AUTH_FAILED
    return out


def _clients(address: Text) -> tuple[Text, U64]:
    """The client of each row, and `hosts`."""
    found = clients(address.values) if len(address.values) else None
    if found is None:
        return address, np.empty(0, np.uint64)
    codes = np.append(found.codes, np.int32(-1))[address.codes]
    return Text.of(codes, found.names), np.append(found.hosts, np.uint64(0)) if found.hosts.any() else found.hosts[:0]


def _filled(indices: pa.Array) -> pa.Array:
    return indices.fill_null(-1) if indices.null_count else indices


def _latencies(column: pa.Array) -> F64:
    steps: F64 = column.fill_null(np.nan).to_numpy(zero_copy_only=False).astype(np.float64) * _LATENCY_STEPS
    steps[np.isinf(steps)] = np.nan
    np.rint(steps, out=steps)
    steps /= _LATENCY_STEPS
    return steps


def _weights(column: pa.Array) -> I64:
    if column.null_count == len(column):
        return np.empty(0, np.int64)
    weights: I64 = column.fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64)
    return weights


def _numbers(column: pa.Array) -> pa.DictionaryArray:
    """Numbers as text."""
    encoded = column.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices, encoded.dictionary.cast(pa.utf8()))


def _verdicts(column: pa.DictionaryArray) -> U8:
    known = {name: code for code, name in enumerate(VERDICTS)}
    # A dictionary may hold words no row uses, which nobody has judged.
    return np.array([known.get(value, 0) for value in column.dictionary.to_pylist()], np.uint8)


def _paths(path: Text, given: pa.Array) -> U64:
    hashed = path.table[path.codes]
    if given.null_count == len(given):
        return hashed
    return np.where(path.codes >= 0, hashed, given.fill_null(0).to_numpy(zero_copy_only=False))


def logins(batch: pa.RecordBatch, globs: tuple[str, ...]) -> NDArray[np.bool_]:
    """Rows that present a credential on a login route."""
    route, method = batch.column("route"), batch.column("method")
    route_names, method_names = [*route.dictionary.to_pylist(), None], [*method.dictionary.to_pylist(), None]
    r = route.indices.fill_null(len(route_names) - 1).to_numpy(zero_copy_only=False)
    m = method.indices.fill_null(len(method_names) - 1).to_numpy(zero_copy_only=False)
    takes = np.zeros((len(route_names), len(method_names)), np.bool_)
    for i, name in enumerate(route_names):
        if routes.is_login(name, None, globs):
            takes[i] = [routes.is_login(name, verb, globs) for verb in method_names]
    found: NDArray[np.bool_] = takes[r, m]
    return found


def _outcomes() -> U8:
    """What comes of a request, by (whether a limit of ours refused it, login, status)."""
    by = np.full((2, 2, _STATUSES), Outcome.OK, np.uint8)
    by[..., 400:500] = Outcome.CLIENT_ERROR
    by[..., 500:] = Outcome.SERVER_ERROR
    by[..., [401, 403]] = Outcome.AUTH_FAILED
    by[..., 429] = Outcome.LIMITED
    by[:, 1, [400, 422]] = Outcome.AUTH_FAILED
    by[1] = Outcome.LIMITED
    return by.ravel()


_OUTCOME: Final = _outcomes()
