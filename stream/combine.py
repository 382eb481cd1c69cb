"""Decisions -> usage: a batch of one decisions partition becomes one block for each usage partition.

Nothing is done per decision in Python: text is looked at once per distinct value, compiled loops group rows by
integer keys, and a histogram over (verdict, outcome, login) gives every count at once. What a block says does not
depend on how its rows were batched: counts add up, and of an owner's flows in a pane those of the smallest rank stay,
wherever they are cut. A row of a sample counts as often as its weight says; what is distinct it makes no more of.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.compiled import numbered
from schemas import codec
from schemas.decision import VERDICTS
from schemas.usage import COUNTS, FLOWS, FLOWS_PER_PANE_MAX, HITS, NO_HITS, Block, Kind, Outcome
from stream import compiled, hits
from stream.grouping import I64, U64, beyond, grouped, mixed
from stream.kinds import kinds
from stream.plan import Plan
from stream.requests import CLASSES, OUTCOMES, Requests, Text
from stream.rows import Named, split

COLUMNS: Final = (
    "ts_ms", "verdict", "ip", "user", "key_id", "method", "route", "path", "path_hash", "cost", "status", "latency_ms",
    "weight", "tenant", "country", "ua", "asn", "rule", "referer",
)  # fmt: skip
"""What combine reads of a decision."""
PATH_NAME_CHARS_MAX: Final = 128
_ALLOW, _LIMIT, _DENY, _CHALLENGE = range(len(VERDICTS))
_SALTS: Final = mixed(np.arange(1, len(Kind) + 1, dtype=np.uint64))


def entity_hash(kind: int, value: str) -> int:
    """What places an entity: it lives in usage partition `entity_hash % usage_partitions`."""
    return int(placement(np.array([kind]), np.array([codec.text_hash(value)], np.uint64))[0])


def placement(kinds: NDArray[np.integer], hashes: U64) -> U64:
    """`entity_hash` of entities, given their kinds and the hashes of their values."""
    return mixed(hashes ^ _SALTS[kinds])


def combine(  # noqa: PLR0913 - where a block stands, and what is asked of its rows
    batch: pa.RecordBatch,
    *,
    partition: int,
    start: int,
    end: int,
    ts_ms_max: int,
    usage_partitions: int,
    login_globs: tuple[str, ...],
    judged_s: I64 | None = None,
    plan: Plan | None = None,
) -> list[Block]:
    """Blocks [start, end) of decisions `partition`, one for each usage partition, empty ones too.

    `batch` has at least `COLUMNS`, checked; `ts_ms_max` is the newest event time the partition has shown before it.
    Each row is counted in its own second and is evidence in `judged_s` (`stream.event_time`), its own unless given.
    `plan`: the rules that are asked which rows they want.
    """
    if batch.num_rows == 0:
        counts, flows = _empty(COUNTS), _empty(FLOWS)
        return [Block(partition, start, end, ts_ms_max, counts, flows) for _ in range(usage_partitions)]
    rows = Requests.read(batch, login_globs, judged_s)
    newest_ms = max(ts_ms_max, int(rows.ts_ms.max()))
    flow_rows, dropped = _flows(hits.evidence(rows, plan) if plan else rows)
    count_rows = _counts(rows, dropped)
    parts = zip(
        split(count_rows, COUNTS, _home(count_rows), usage_partitions),
        split(flow_rows, FLOWS, _home(flow_rows), usage_partitions),
        _hits(rows, batch, plan, usage_partitions),
        strict=True,
    )
    return [Block(partition, start, end, newest_ms, *part) for part in parts]


def _hits(rows: Requests, batch: pa.RecordBatch, plan: Plan | None, usage_partitions: int) -> list[pa.RecordBatch]:
    found = hits.hits(rows, batch, plan) if plan else None
    return split(found, HITS, _home(found), usage_partitions) if found else [NO_HITS] * usage_partitions


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _home(rows: Named) -> U64:
    return placement(rows.columns["kind"], rows.columns["hash"])  # type: ignore[arg-type]


def _flows(rows: Requests) -> tuple[Named, dict[Kind, tuple[I64, I64]]]:
    """Flows, and per kind of owner the requests in flows that were cut: (owner code * panes + pane, requests)."""
    ips, panes = len(rows.ip.values), rows.panes
    of = compiled.owners(rows.ip.codes, rows.key.codes, rows.classes, rows.status, ips)
    texts = (rows.route.codes, rows.user.codes, rows.ip.codes)
    tables = (rows.route.table, rows.user.table, rows.ip.table)
    codes, ranks = compiled.flow_codes(of, rows.judged, panes, texts, tables, rows.path_hash, rows.classes)
    groups, uniques = numbered(codes)
    row, n, first_ms, last_ms = compiled.spans(groups, len(uniques), rows.ts_ms, rows.weight)
    rank, place = ranks[row], of[row].astype(np.int64) * panes + rows.judged[row]
    places, owners = grouped(place, (ips + len(rows.key.values)) * panes)
    cut = beyond(places, len(owners), rank, FLOWS_PER_PANE_MAX)
    counted = of[row[cut]].astype(np.int64) * panes + rows.pane[row[cut]]  # counts stand in the rows' own second
    dropped = _dropped(counted, n[cut], ips * panes)
    kept = np.flatnonzero(~cut)
    row, owner = row[kept], place[kept] // panes
    by_key = owner >= ips
    traits = rows.classes[row] % (OUTCOMES * 2)
    columns = {
        "kind": np.where(by_key, Kind.KEY, Kind.IP).astype(np.uint8),
        "hash": np.where(by_key, rows.key.hashed(row), rows.ip.hashed(row)),
        "entity": owner,
        "pane_s": place[kept] % panes + rows.pane_first_s,
        "first_ms": first_ms[kept],
        "last_ms": last_ms[kept],
        "route": rows.route.hashed(row),
        "route_name": rows.route.codes[row],
        "path": rows.path_hash[row],
        "path_name": rows.path.codes[row],
        "user": rows.user.hashed(row),
        "ip": rows.ip.hashed(row),
        "outcome": traits // 2,
        "login": traits % 2 == 1,
        "n": n[kept],
    }
    names = {
        "entity": pa.concat_arrays([rows.ip.values, rows.key.values]),
        "route_name": rows.route.values,
        "path_name": pc.utf8_slice_codeunits(rows.path.values, 0, PATH_NAME_CHARS_MAX),
    }
    return Named(columns, names), dropped


def _dropped(place: I64, n: I64, first_key: int) -> dict[Kind, tuple[I64, I64]]:
    of_key = place >= first_key
    return {Kind.IP: (place[~of_key], n[~of_key]), Kind.KEY: (place[of_key] - first_key, n[of_key])}


def _counts(rows: Requests, dropped: dict[Kind, tuple[I64, I64]]) -> Named:
    parts: list[dict[str, NDArray[np.generic]]] = []
    offset = 0
    texts = kinds(rows)
    for kind, text in texts.items():
        parts.append(_counts_of(rows, kind, text, dropped.get(kind), offset))
        offset += len(text.values)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COUNTS.names}
    return Named(columns, {"entity": pa.concat_arrays([text.values for text in texts.values()])})


def _counts_of(
    rows: Requests, kind: Kind, text: Text, dropped: tuple[I64, I64] | None, offset: int
) -> dict[str, NDArray[np.generic]]:
    groups, count = compiled.grouped(text.codes, rows.pane, rows.panes, len(text.values))
    row, _, first_ms, last_ms = compiled.spans(groups, count, rows.ts_ms, rows.weight)
    by_class, cost, timed, latency_ms = compiled.tallied(
        groups, count, rows.told, len(rows.present), rows.cost, rows.latency_ms, rows.weight
    )
    code, pane = text.codes[row].astype(np.int64), rows.pane[row]
    place = code * rows.panes + pane
    measures = by_class @ _MEASURED[rows.present]
    flows_dropped = np.zeros(count, np.int64)
    if dropped is not None and len(dropped[0]):
        order = np.argsort(place)
        np.add.at(flows_dropped, order[np.searchsorted(place, dropped[0], sorter=order)], dropped[1])
    columns: dict[str, NDArray[np.generic]] = {
        "kind": np.full(count, kind, np.uint8),
        "hash": text.table[code],
        "entity": code + offset,
        "pane_s": pane + rows.pane_first_s,
        "cost": cost,
        "latency_ms_sum": latency_ms,
        "latency_n": timed,
        "flows_dropped": flows_dropped,
        "first_ms": first_ms,
        "last_ms": last_ms,
    }
    return columns | {name: measures[:, i] for i, name in enumerate(_BY_CLASS)}


_BY_CLASS: Final = (
    "n", "allowed", "limited", "denied", "challenged", "auth_failed", "client_error", "server_error", "logins",
)  # fmt: skip


def _measured() -> I64:
    """What one request of each class (verdict, outcome, login) adds to each of `_BY_CLASS`."""
    verdict, outcome, login = (
        a.ravel() for a in np.meshgrid(range(len(VERDICTS)), range(OUTCOMES), range(2), indexing="ij")
    )
    answered = verdict == _ALLOW  # only then is the status the upstream's
    return np.stack(
        [
            np.ones(CLASSES, np.int64),
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
