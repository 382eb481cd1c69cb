"""Decisions -> usage: a batch of one decisions partition becomes one block for each usage partition.

Nothing is done per decision in Python: text is looked at once per distinct value, compiled loops group rows by
integer keys, and a histogram over (verdict, outcome, login) gives every count at once. What a block says does not
depend on how its rows were batched: counts add up, and of an owner's flows in a pane those of the smallest rank stay,
wherever they are cut. A row of a sample counts as often as its weight says; what is distinct it makes no more of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.browsers import BIT, BROWSER
from detectors.compiled import numbered
from detectors.credential import HAS_KEY, KEYED
from detectors.filters import Decisions, Filter, mask
from schemas import codec
from schemas.decision import VERDICTS
from schemas.usage import COUNTS, FLOWS, FLOWS_PER_PANE_MAX, HITS, NO_HITS, Block, Kind, Outcome
from stream import compiled, hits
from stream.compiled import I32
from stream.decisions import decisions
from stream.grouping import I64, U64, Bool, grouped, mixed, summed
from stream.kinds import accounts, entity, kinds, origins_of, subscribers_of
from stream.lowest import beyond
from stream.plan import Plan
from stream.requests import CLASSES, OUTCOMES, Requests, Text
from stream.rows import Named, split
from stream.uniques import Seen, Uniques, dealt, seen

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
    return int(placement(np.array([kind]), np.array([codec.text_hash(entity(Kind(kind), value))], np.uint64))[0])


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
    conditions: tuple[Filter, ...] = (),
) -> list[Block]:
    """Blocks [start, end) of decisions `partition`, one for each usage partition, empty ones too.

    `batch` has at least `COLUMNS`, checked; `ts_ms_max` is the newest event time the partition has shown before it.
    Each row is counted in its own second and is evidence in `judged_s` (`stream.event_time`), its own unless given.
    `plan`: the rules that are asked which rows they want.
    `conditions` are those of the families in force (`detectors.family_file.conditions`): bits of a flow's `tags`,
    beside that of who comes with a browser; without them there are no tags.
    """
    if batch.num_rows == 0:
        counts, flows = _empty(COUNTS), _empty(FLOWS)
        return [Block(partition, start, end, ts_ms_max, counts, flows) for _ in range(usage_partitions)]
    rows = Requests.read(batch, login_globs, judged_s)
    newest_ms = max(ts_ms_max, int(rows.ts_ms.max()))
    expected = hits.expected(rows, plan) if plan else np.zeros(len(rows.ts_ms), np.bool_)
    asked = decisions(batch, rows.classes % 2 == 1)  # columns are made once for families and rules
    flow_rows, dropped, seen = _flows(hits.evidence(rows, expected), _tags(asked, conditions))
    uniques = Uniques(rows, seen)
    count_rows = _counts(rows, dropped, uniques)
    home = _home(count_rows)
    found = hits.hits(rows, batch, plan, expected, asked) if plan else None
    parts = zip(
        split(count_rows, COUNTS, home, usage_partitions),
        split(flow_rows, FLOWS, _home(flow_rows), usage_partitions),
        split(found, HITS, _home(found), usage_partitions) if found else [NO_HITS] * usage_partitions,
        dealt(uniques.items(), (home % np.uint64(usage_partitions)).astype(np.int64), usage_partitions),
        strict=True,
    )
    return [Block(partition, start, end, newest_ms, *part) for part in parts]


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _home(rows: Named) -> U64:
    return placement(rows.columns["kind"], rows.columns["hash"])  # type: ignore[arg-type]


def _tags(asked: Decisions, conditions: tuple[Filter, ...]) -> U64:
    if not conditions:
        return np.empty(0, np.uint64)
    tags = np.zeros(asked.rows, np.uint64)
    for bit, condition in (*enumerate(conditions), (BIT, BROWSER), (KEYED, HAS_KEY)):
        tags |= mask(condition, asked).astype(np.uint64) << np.uint64(bit)
    return tags


def _flows(rows: Requests, tags: U64) -> tuple[Named, dict[Kind, tuple[I64, I64]], Seen]:
    """Flows; per kind of owner those that were cut: (a row of each, its requests); and rows."""
    ips = len(rows.ip.values)
    of = compiled.owners(rows.ip.codes, rows.key.codes, rows.classes, rows.status, ips)
    owned = _owned(replace(rows, user=accounts(rows)), tags, of, ips + len(rows.key.values))
    by_key = owned.owner >= ips
    owned.columns["kind"] = np.where(by_key, Kind.KEY, Kind.IP).astype(np.uint8)
    owned.columns["hash"] = np.where(by_key, rows.key.hashed(owned.row), rows.ip.hashed(owned.row))
    owned.columns["entity"] = owned.owner
    owned.columns["subscriber"] = np.zeros(len(owned.row), np.uint64)
    keyed = np.flatnonzero(by_key)
    owned.columns["subscriber"][keyed] = origins_of(rows.address, owned.row[keyed])
    parts = [owned.columns]
    cut, requests = owned.cut
    of_key = of[cut] >= ips
    dropped = {Kind.IP: (cut[~of_key], requests[~of_key]), Kind.KEY: (cut[of_key], requests[of_key])}
    results = _results(rows)
    if len(results):
        logins = _under(rows, tags, results, Kind.USER, rows.user)
        logins.columns["entity"] = logins.owner + ips + len(rows.key.values)
        logins.columns["subscriber"] = subscribers_of(rows.address, results[logins.row])
        parts.append(logins.columns)
        cut, requests = logins.cut
        dropped[Kind.USER] = results[cut], requests
    # A login that is refused is evidence about its address whatever key it came with, so one that is not is, too.
    for_others = results[(of[results] >= ips) & (rows.ip.codes[results] >= 0)]
    if len(for_others):
        parts.append(_under(rows, tags, for_others, Kind.IP, rows.ip).columns)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in FLOWS.names}
    names = {
        "entity": pa.concat_arrays([rows.ip.values, rows.key.values, rows.user.values]),
        "route_name": rows.route.values,
        "path_name": pc.utf8_slice_codeunits(rows.path.values, 0, PATH_NAME_CHARS_MAX),
        "asn_name": rows.asn.values,
        "tenant_name": rows.tenant.values,
    }
    return Named(columns, names), dropped, owned.seen


def _under(rows: Requests, tags: U64, at: I64, kind: Kind, owner: Text) -> _Owned:
    """Flows of some rows under owners of one kind, whoever they are evidence about otherwise."""
    some = rows.take(at)
    codes = owner.codes[at]
    owned = _owned(some, tags[at] if len(tags) else tags, codes, len(owner.values))
    owned.columns["kind"] = np.full(len(owned.row), kind, np.uint8)
    owned.columns["hash"] = owner.table[codes[owned.row]]
    owned.columns["entity"] = owned.owner
    owned.columns["subscriber"] = np.zeros(len(owned.row), np.uint64)
    return owned


@dataclass(frozen=True, slots=True)
class _Owned:
    """Flows of owners: a row of each, the owner's code, columns, of those cut (a row, requests); and rows."""

    row: I64
    owner: I64
    columns: dict[str, NDArray[np.generic]]
    cut: tuple[I64, I64]
    seen: Seen


def _owned(rows: Requests, tags: U64, of: I32, owners: int) -> _Owned:
    panes = rows.panes
    route, user, ip, agent, asn, tenant = rows.route, rows.user, rows.ip, rows.agent, rows.asn, rows.tenant
    texts = (route.codes, user.codes, ip.codes, agent.codes, asn.codes, tenant.codes)
    tables = (route.table, user.table, ip.table, agent.table, asn.table, tenant.table)
    codes, ranks = compiled.flow_codes(of, rows.judged, panes, texts, tables, rows.path_hash, rows.classes, tags)
    groups, uniques = numbered(codes)
    row, n, first_ms, last_ms = compiled.spans(groups, len(uniques), rows.ts_ms, rows.weight)
    place = of[row].astype(np.int64) * panes + rows.judged[row]
    cut = _beyond(place, owners * panes, ranks[row])
    kept = np.flatnonzero(~cut)
    looked_at = seen(of, rows, groups, row, cut)
    lost = row[cut], n[cut]
    row = row[kept]
    traits = rows.classes[row] % (OUTCOMES * 2)
    columns: dict[str, NDArray[np.generic]] = {
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
        "agent": rows.agent.hashed(row),
        "asn": rows.asn.hashed(row),
        "tags": tags[row] if len(tags) else np.zeros(len(row), np.uint64),
        "asn_name": rows.asn.codes[row],
        "tenant": rows.tenant.hashed(row),
        "tenant_name": rows.tenant.codes[row],
        "host": rows.hosted(row),
    }
    return _Owned(row, place[kept] // panes, columns, lost, looked_at)


def _beyond(place: I64, bound: int, rank: U64) -> Bool:
    """Which flows are more than their owner may have in a pane; places lie in [0, `bound`)."""
    if bound <= 4 * len(place) + 1024:
        return beyond(place, bound, rank, FLOWS_PER_PANE_MAX)
    groups, held = grouped(place, bound)
    return beyond(groups, len(held), rank, FLOWS_PER_PANE_MAX)


def _results(rows: Requests) -> I64:
    """Logins to named accounts that came to a result: they stand under their account as well."""
    found: I64 = np.flatnonzero(_RESULT[rows.classes] & (rows.user.codes >= 0))
    return found


def _counts(rows: Requests, dropped: dict[Kind, tuple[I64, I64]], uniques: Uniques) -> Named:
    parts: list[dict[str, NDArray[np.generic]]] = []
    offset = told = 0
    texts = kinds(rows)
    for kind, text in texts.items():
        groups, count = compiled.grouped(text.codes, rows.pane, rows.panes, len(text.values))
        parts.append(_counts_of(rows, kind, text, (groups, count), dropped.get(kind), offset))
        uniques.add(kind, groups, count, told)
        offset, told = offset + len(text.values), told + count
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COUNTS.names}
    return Named(columns, {"entity": pa.concat_arrays([text.values for text in texts.values()])})


def _counts_of(
    rows: Requests,
    kind: Kind,
    text: Text,
    grouped_by: tuple[I32, int],
    dropped: tuple[I64, I64] | None,
    offset: int,
) -> dict[str, NDArray[np.generic]]:
    groups, count = grouped_by
    row, sums, latency_ms = compiled.counted(
        groups, count, rows.ts_ms, rows.told, rows.cost, rows.latency_ms, rows.weight, _MEASURED[rows.present]
    )
    cost, timed, first_ms, last_ms = sums[len(_BY_CLASS) :]
    code, pane = text.codes[row].astype(np.int64), rows.pane[row]
    cut, requests = dropped or (np.empty(0, np.int64), np.empty(0, np.int64))
    columns: dict[str, NDArray[np.generic]] = {
        "kind": np.full(count, kind, np.uint8),
        "hash": text.table[code],
        "entity": code + offset,
        "pane_s": pane + rows.pane_first_s,
        "cost": cost,
        "latency_ms_sum": latency_ms,
        "latency_n": timed,
        "flows_dropped": summed(groups[cut].astype(np.int64), count, requests),
        "first_ms": first_ms,
        "last_ms": last_ms,
    }
    return columns | dict(zip(_BY_CLASS, sums, strict=False))


_RESULT: Final = np.array(
    [
        code % 2 == 1 and code // (OUTCOMES * 2) < _DENY and code // 2 % OUTCOMES in (Outcome.OK, Outcome.AUTH_FAILED)
        for code in range(CLASSES)
    ]
)  # by class: a login that was let through to its result
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
