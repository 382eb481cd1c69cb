"""Decisions -> hits: of each rule the requests it asks for, as rows of their owners and panes. Seldom there are any.

Text is looked at once per distinct value, and rows only take their value's bits (`stream.plan`). What we denied or
challenged is no evidence, nor what a crawler asks that comes from where its operator says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.buckets import keep
from detectors.filters import mask
from detectors.hits import Hits, canonical
from detectors.rules import text_hash
from schemas.usage import Kind, Outcome
from stream import compiled, crawlers
from stream.decisions import decisions
from stream.plan import NUMBERS, Plan
from stream.requests import OUTCOMES, Requests, Text
from stream.rows import Named
from stream.signs import decoded

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
EXAMPLE_CHARS_MAX: Final = 128
_DENIED: Final = 2 * OUTCOMES * 2  # the first class of what we refused ourselves
_ERRORS: Final = (Outcome.AUTH_FAILED, Outcome.CLIENT_ERROR)
_KINDS: Final = {"ip": Kind.IP, "key": Kind.KEY, "user": Kind.USER, "route": Kind.ROUTE}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that a rule asks for (`row`, `rule`), and the column and name of the sign they bear (empty: none)."""

    row: I64
    rule: int
    column: str
    signs: dict[int, tuple[str, ...]]  # by the code of the column's value


def evidence(rows: Requests, plan: Plan) -> Requests:
    """`rows` as flows see them: errors that are a matter of course are none."""
    if plan.expected is None:
        return rows
    outcome, login = rows.classes % (OUTCOMES * 2) // 2, rows.classes % 2 == 1
    failed = np.flatnonzero(((outcome == _ERRORS[0]) | (outcome == _ERRORS[1])) & ~login & (rows.path.codes >= 0))
    at = failed[_expected(rows, failed, plan)]
    if not len(at):
        return rows
    classes = rows.classes.copy()
    classes[at] -= (2 * outcome[at]).astype(np.uint8)  # Outcome.OK is 0
    return replace(rows, classes=classes)


def find(rows: Requests, batch: pa.RecordBatch, plan: Plan) -> list[Found]:
    """Which rows each rule asks for. A row may be found twice for one rule, by different signs."""
    if not plan.rules.rules:
        return []
    asked = decisions(batch, rows.classes % 2 == 1)
    borne: dict[str, dict[int, tuple[str, ...]]] = {}
    left = np.arange(len(rows.ts_ms))
    met = np.full((len(left), max(1, -(-len(plan.ways) // 64))), np.uint64(2**64 - 1))
    for column in plan.columns():
        if column in NUMBERS:
            codes, values = (rows.status if column == "status" else rows.classes % 2).astype(np.int32), None
        elif column in asked.texts:
            codes, values = asked.texts[column].codes, asked.texts[column].values
            signs = plan.signs.get(column)
            borne[column] = signs.borne(decoded(values)) if signs is not None else {}
        else:  # a column the batch does not have
            codes, values = np.full(len(rows.ts_ms), -1, np.int32), pl.Series([], dtype=pl.String)
        met &= plan.table(column, values, borne.get(column, {}))[codes[left]]
        some = met.any(axis=1)
        left, met = left[some], met[some]
        if not len(left):
            break
    fair = rows.classes[left] < _DENIED
    left, met = left[fair], met[fair]
    spared = crawlers.verified(rows, plan) if len(left) else left
    fair = ~np.isin(left, spared)
    left, met = left[fair], met[fair]
    found: list[Found] = []
    for at, way in enumerate(plan.ways):
        row = left[(met[:, at // 64] >> np.uint64(at % 64)) & np.uint64(1) == 1]
        if len(row) and way.rest is not None:
            some_rows = batch.take(pa.array(row))
            row = row[mask(way.rest, decisions(some_rows, rows.classes[row] % 2 == 1))]
        if len(row) and not way.signs:
            row = row[~(_failed(rows, row) & _expected(rows, row, plan))]
        if len(row):
            found.append(Found(row, way.rule, way.signs, borne.get(way.signs, {})))
    return found + _spoofed(rows, plan)


def hits(rows: Requests, batch: pa.RecordBatch, plan: Plan) -> Named | None:
    """The hits of a batch, as rows of `schemas.usage.HITS`; None: there are none."""
    found = find(rows, batch, plan)
    parts = [part for one in found if len(part := _hits_of(one, rows, batch, plan))]
    if not parts:
        return None
    digests = np.array([rule.digest for rule in plan.rules.rules], np.uint64)
    one, _ = canonical(Hits.concat(parts), digests, keep(plan.rules))
    return _named(one, rows, batch, plan)


def _hits_of(found: Found, rows: Requests, batch: pa.RecordBatch, plan: Plan) -> Hits:
    rule, row = plan.rules.rules[found.rule], found.row
    kind, entity = owners(rule.by, rows, row)
    owned = entity != 0
    row, kind, entity = row[owned], kind[owned], entity[owned]
    sign = np.zeros(len(row), np.uint64)
    text = _text("agent" if rule.distinct == "agent" or rule.spoofed else found.column or "url", rows, batch)
    if found.column:
        wanted = set(rule.signs)
        by_code = {c: text_hash(next(s for s in names if s in wanted))
                   for c, names in found.signs.items() if not wanted.isdisjoint(names)}  # fmt: skip
        sign = np.array([by_code.get(c, 0) for c in text.codes[row].tolist()], np.uint64)
    outcome = rows.classes[row] % (OUTCOMES * 2) // 2
    n = rows.weight[row] if len(rows.weight) else np.ones(len(row), np.int64)
    pane_s = rows.judged[row].astype(np.int64) + rows.pane_first_s
    return Hits(
        rule=np.full(len(row), found.rule, np.int16),
        kind=kind,
        entity=entity,
        pane_s=pane_s,
        first_ms=rows.ts_ms[row],
        last_ms=rows.ts_ms[row],
        route=rows.route.hashed(row),
        value=_values(rule.distinct, rows, row, sign),
        sign=sign,
        example=text.hashed(row),
        n=n,
        answered=np.where((outcome == Outcome.OK) & (rows.status[row] > 0), n, 0),
    )


def owners(by: str, rows: Requests, row: I64) -> tuple[NDArray[np.uint8], U64]:
    """Kind and hash of whose bucket each row falls into; hash 0: nobody's."""
    if by != "client":
        text = {"ip": rows.ip, "key": rows.key, "user": rows.user, "route": rows.route}[by]
        return np.full(len(row), _KINDS[by], np.uint8), text.hashed(row)
    ips = len(rows.ip.values)
    of = compiled.owners(rows.ip.codes[row], rows.key.codes[row], rows.classes[row], rows.status[row], ips)
    by_key = of >= ips
    return np.where(by_key, Kind.KEY, Kind.IP).astype(np.uint8), np.where(
        by_key, rows.key.hashed(row), rows.ip.hashed(row)
    )


def _values(distinct: str, rows: Requests, row: I64, sign: U64) -> U64:
    """Hashes of what the rule counts as different; an absent one is 1."""
    if not distinct:
        return np.zeros(len(row), np.uint64)
    if distinct == "sign":
        values = sign
    elif distinct == "url":
        values = rows.path_hash[row]
    elif distinct == "path":
        codes, at = np.unique(rows.path.codes[row], return_inverse=True)
        texts = rows.path.values.take(pa.array(codes, mask=codes < 0)).to_pylist()
        values = np.array([text_hash((text or "").partition("?")[0]) for text in texts], np.uint64)[at]
    else:
        texts_of = {"agent": rows.agent, "user": rows.user, "ip": rows.ip, "route": rows.route}
        values = texts_of[distinct].hashed(row)
    return np.maximum(values, np.uint64(1))


def _text(column: str, rows: Requests, batch: pa.RecordBatch) -> Text:
    if column == "referer":
        return Text.read(batch.column("referer"))
    return rows.agent if column == "agent" else rows.path


def _named(hits: Hits, rows: Requests, batch: pa.RecordBatch, plan: Plan) -> Named:
    """`hits` with the texts of their hashes."""
    owners = [rows.ip, rows.key, rows.user, rows.route]
    examples = [rows.path, rows.agent, *(Text.read(batch.column(c)) for c in ("referer",) if c in batch.schema.names)]
    entity, entities = _coded(hits.entity, owners)
    route, routes = _coded(hits.route, [rows.route])
    example, names = _coded(hits.example, examples)
    columns: dict[str, NDArray[np.generic]] = {
        "kind": hits.kind, "hash": hits.entity, "entity": entity, "pane_s": hits.pane_s, "rule": hits.rule,
        "first_ms": hits.first_ms, "last_ms": hits.last_ms, "route": hits.route, "route_name": route,
        "value": hits.value, "sign": hits.sign, "example": hits.example, "example_name": example, "n": hits.n,
        "answered": hits.answered,
    }  # fmt: skip
    texts = {
        "entity": entities,
        "rule": pa.array([rule.name for rule in plan.rules.rules], pa.utf8()),
        "route_name": routes,
        "example_name": pc.utf8_slice_codeunits(names, 0, EXAMPLE_CHARS_MAX),
    }
    return Named(columns, texts)


def _coded(hashes: U64, among: list[Text]) -> tuple[NDArray[np.int32], pa.Array]:
    """Places of hashes among texts, -1 where there is none, and the texts."""
    table = np.concatenate([text.table[:-1] for text in among])
    uniques, at = np.unique(table, return_index=True)
    place = np.minimum(np.searchsorted(uniques, hashes), max(0, len(uniques) - 1))
    codes = np.full(len(hashes), -1, np.int32)
    if len(uniques):
        known = uniques[place] == hashes
        codes[known] = at[place[known]]
    used, codes = _used(codes)
    return codes, pa.concat_arrays([text.values for text in among]).take(pa.array(used))


def _used(codes: NDArray[np.int32]) -> tuple[I64, NDArray[np.int32]]:
    used = np.unique(codes[codes >= 0]).astype(np.int64)
    return used, np.where(codes >= 0, np.searchsorted(used, codes), -1).astype(np.int32)


def _failed(rows: Requests, row: I64) -> Flag:
    outcome = rows.classes[row] % (OUTCOMES * 2) // 2
    found: Flag = (outcome == _ERRORS[0]) | (outcome == _ERRORS[1])
    return found


def _expected(rows: Requests, row: I64, plan: Plan) -> Flag:
    """Of some rows, those that fail as a matter of course."""
    out = np.zeros(len(row), np.bool_)
    if plan.expected is None or not len(row):
        return out
    codes, at = np.unique(rows.path.codes[row], return_inverse=True)
    known = np.flatnonzero(codes >= 0)
    texts = pl.Series(rows.path.values.take(pa.array(codes[known])).cast(pa.utf8()))
    borne = np.zeros(len(codes), np.bool_)
    borne[known[list(plan.expected.borne(decoded(texts)))]] = True
    found: Flag = borne[at]
    return found


def _spoofed(rows: Requests, plan: Plan) -> list[Found]:
    """Rows that pass themselves off as a crawler, for the rules that ask for them."""
    asking = [at for at, rule in enumerate(plan.rules.rules) if rule.spoofed]
    row = crawlers.spoofed(rows, plan) if asking else np.empty(0, np.int64)
    row = row[rows.classes[row] < _DENIED]
    return [Found(row, at, "", {}) for at in asking if len(row)]
