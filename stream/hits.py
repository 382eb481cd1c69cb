"""Decisions -> hits: of each rule the requests it asks for, as rows of their owners and panes. Seldom there are any.

Text is looked at once per distinct value, and rows only take their value's bits (`stream.plan`). What we denied or
challenged is no evidence, nor what a crawler asks that comes from where its operator says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.buckets import keep
from detectors.filters import Decisions, Filter, Texts, columns, mask
from detectors.hits import Hits, canonical
from detectors.rules import text_hash
from schemas.usage import Kind, Outcome
from stream import compiled, crawlers, text_hashes, ways
from stream.plan import Borne, Plan
from stream.requests import OUTCOMES, Requests, Text
from stream.rows import Named
from stream.signs import borne

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
    signs: Borne  # by the code of the column's value


def expected(rows: Requests, plan: Plan) -> Flag:
    """Rows that fail as a matter of course; logins never do."""
    out = np.zeros(len(rows.ts_ms), np.bool_)
    if plan.expected is None:
        return out
    outcome, login = rows.classes % (OUTCOMES * 2) // 2, rows.classes % 2 == 1
    failed = np.flatnonzero(((outcome == _ERRORS[0]) | (outcome == _ERRORS[1])) & ~login & (rows.path.codes >= 0))
    codes, at = np.unique(rows.path.codes[failed], return_inverse=True)
    bears = np.zeros(len(codes), np.bool_)
    bears[list(borne(plan.expected, rows.path.values.take(pa.array(codes))))] = True
    out[failed] = bears[at]
    return out


def evidence(rows: Requests, expected: Flag) -> Requests:
    """`rows` as flows see them: errors that are a matter of course are none."""
    if not expected.any():
        return rows
    classes = rows.classes.copy()
    classes[expected] -= (2 * (classes[expected] % (OUTCOMES * 2) // 2)).astype(np.uint8)  # Outcome.OK is 0
    return replace(rows, classes=classes)


def find(rows: Requests, batch: pa.RecordBatch, plan: Plan, expected: Flag, asked: Decisions) -> list[Found]:
    """Which rows each rule asks for. A row may be found twice for one rule, by different signs.

    `asked` is `batch` as conditions read it.

    Rows that are `expected` to fail are asked for only by what they bear.
    """
    if not plan.rules.rules:
        return []
    left, met, signs = ways.left(rows, asked, batch, plan)
    fair = rows.classes[left] < _DENIED
    left, met = left[fair], met[fair]
    spared = crawlers.verified(rows, plan) if len(left) else left
    fair = ~np.isin(left, spared)
    left, met = left[fair], met[fair]
    found: list[Found] = []
    for at, way in enumerate(plan.ways):
        row = left[(met[:, at // 64] >> np.uint64(at % 64)) & np.uint64(1) == 1]
        if len(row) and way.rest is not None:
            row = row[mask(way.rest, _some(asked, row, way.rest))]
        if len(row) and not way.signs:
            row = row[~expected[row]]
        if len(row):
            found.append(Found(row, way.rule, way.signs, signs.get(way.signs, {})))
    return found + _spoofed(rows, plan)


def _some(asked: Decisions, row: I64, condition: Filter) -> Decisions:
    """Some rows of a batch, with the columns a condition reads and only the texts these rows have."""
    texts: dict[str, Texts] = {}
    for name in set(columns(condition)) & set(asked.texts):
        used, codes = np.unique(asked.texts[name].codes[row], return_inverse=True)
        here = used >= 0
        absent = 0 if here.all() else 1  # then it is the first of them, and has to be -1
        texts[name] = Texts((codes - absent).astype(np.int32), asked.texts[name].values.gather(used[here]))
    numbers = {name: asked.numbers[name][row] for name in set(columns(condition)) & set(asked.numbers)}
    return Decisions(len(row), texts, numbers, {name: asked.flags[name][row] for name in asked.flags})


def hits(rows: Requests, batch: pa.RecordBatch, plan: Plan, expected: Flag, asked: Decisions) -> Named | None:
    """The hits of a batch, as rows of `schemas.usage.HITS`; None: there are none."""
    found = _once(find(rows, batch, plan, expected, asked), plan)
    parts = [part for one in found if len(part := _hits_of(one, rows, batch, plan))]
    if not parts:
        return None
    digests = np.array([rule.digest for rule in plan.rules.rules], np.uint64)
    one, _ = canonical(Hits.concat(parts), digests, keep(plan.rules))
    row = np.unique(np.concatenate([each.row for each in found]))
    return _named(one, row, rows, batch, plan)


def _once(found: list[Found], plan: Plan) -> list[Found]:
    """Each row once a rule, but where signs are counted: it may bear several."""
    seen: dict[int, list[I64]] = {}
    out = []
    for one in found:
        before = seen.setdefault(one.rule, [])
        if before and plan.rules.rules[one.rule].distinct != "sign":
            one = replace(one, row=one.row[~np.isin(one.row, np.concatenate(before))])  # noqa: PLW2901 - what is new
        before.append(one.row)
        out.append(one)
    return out


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
        texts = pc.fill_null(rows.path.values.take(pa.array(codes, mask=codes < 0)), "")
        values = text_hashes.hashes(pc.replace_substring_regex(texts, r"(?s)\?.*", ""))[at]
    else:
        texts_of = {"agent": rows.agent, "user": rows.user, "ip": rows.ip, "route": rows.route}
        values = texts_of[distinct].hashed(row)
    return np.maximum(values, np.uint64(1))


def _text(column: str, rows: Requests, batch: pa.RecordBatch) -> Text:
    if column == "referer":
        return Text.read(batch.column("referer"))
    return rows.agent if column == "agent" else rows.path


def _named(hits: Hits, row: I64, rows: Requests, batch: pa.RecordBatch, plan: Plan) -> Named:
    """`hits` with the texts of their hashes, which are those of rows `row`."""
    owners = [rows.ip, rows.key, rows.user, rows.route]
    examples = [rows.path, rows.agent, *(Text.read(batch.column(c)) for c in ("referer",) if c in batch.schema.names)]
    entity, entities = _coded(hits.entity, owners, row)
    route, routes = _coded(hits.route, [rows.route], row)
    example, names = _coded(hits.example, examples, row)
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


def _coded(hashes: U64, among: list[Text], row: I64) -> tuple[NDArray[np.int32], pa.Array]:
    """Places of hashes among the texts that rows have, -1 where there is none, and the texts."""
    used = [np.unique(text.codes[row]) for text in among]
    used = [codes[codes >= 0] for codes in used]
    texts = pa.concat_arrays([text.values.take(pa.array(codes)) for text, codes in zip(among, used, strict=True)])
    table = np.concatenate([text.table[codes] for text, codes in zip(among, used, strict=True)])
    uniques, at = np.unique(table, return_index=True)
    place = np.minimum(np.searchsorted(uniques, hashes), max(0, len(uniques) - 1))
    codes = np.full(len(hashes), -1, np.int32)
    if len(uniques):
        known = uniques[place] == hashes
        codes[known] = at[place[known]]
    return codes, texts


def _spoofed(rows: Requests, plan: Plan) -> list[Found]:
    """Rows that pass themselves off as a crawler, for the rules that ask for them."""
    asking = [at for at, rule in enumerate(plan.rules.rules) if rule.spoofed]
    row = crawlers.spoofed(rows, plan) if asking else np.empty(0, np.int64)
    row = row[rows.classes[row] < _DENIED]
    return [Found(row, at, "", {}) for at in asking if len(row)]
