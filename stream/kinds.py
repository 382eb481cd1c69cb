"""Which entities a request belongs to, of every kind that is counted: a code per row into the kind's distinct values.

What derives from a value (the network of an address) is looked up once per distinct value, what joins two columns (a
tenant's route) once per distinct pair. A column nobody fills gives no entities and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.networks import client
from schemas.usage import Kind
from stream import compiled
from stream.compiled import I64, U64
from stream.grouping import Bool
from stream.networks import networks, origins, subscribers
from stream.requests import Requests, Text

EVERYTHING: Final = "*"


def kinds(rows: Requests) -> dict[Kind, Text]:
    """The kinds that have entities among these requests."""
    every = {
        Kind.IP: rows.ip,
        Kind.KEY: rows.key,
        Kind.USER: rows.user,
        Kind.ROUTE: rows.route,
        Kind.GLOBAL: Text.of(np.zeros(len(rows.ts_ms), np.int32), pa.array([EVERYTHING], pa.utf8())),
        Kind.TENANT: rows.tenant,
        Kind.COUNTRY: rows.country,
        Kind.NETWORK: _networks(rows.ip),
        Kind.ASN: rows.asn,
        Kind.AGENT: rows.agent,
        Kind.TENANT_ROUTE: _tenant_routes(rows.tenant, rows.route),
    }
    return {kind: text for kind, text in every.items() if len(text.values)}


def entity(kind: Kind, value: str) -> str:
    """As whom `value` is counted: an address as its client."""
    return client(value) if kind is Kind.IP else value


def _networks(ip: Text) -> Text:
    if not len(ip.values):
        return ip
    of_value, names = networks(ip.values)
    return Text.of(np.append(of_value, np.int32(-1))[ip.codes], names)


def _tenant_routes(tenant: Text, route: Text) -> Text:
    if not len(tenant.values):
        return tenant
    groups, count = compiled.grouped(tenant.codes, route.codes, len(route.values), len(tenant.values))
    row = np.zeros(count, np.int64)
    known = np.flatnonzero(groups >= 0)
    row[groups[known]] = known
    pair = (text.values.take(pa.array(text.codes[row])) for text in (tenant, route))
    return Text.of(groups, pc.binary_join_element_wise(*pair, " "))


def subscribers_of(ip: Text, rows: I64) -> U64:
    """Which clients are at the addresses of some rows, 0 where absent."""
    return _of_rows(subscribers, ip, rows)


def origins_of(ip: Text, rows: I64) -> U64:
    """Where the addresses of some rows are, 0 where absent."""
    return _of_rows(origins, ip, rows)


def _of_rows(numbers: Callable[[pa.Array, Bool], U64], ip: Text, rows: I64) -> U64:
    codes = ip.codes[rows]
    asked = np.zeros(len(ip.values) + 1, np.bool_)
    asked[codes] = True
    table = np.zeros(len(asked), np.uint64)
    if len(rows) and len(ip.values):
        table[:-1] = numbers(ip.values, asked[:-1])
    found: U64 = table[codes]
    return found


def accounts(rows: Requests) -> Text:
    """Whose each request says it is: its user, else the key it came with where that was refused."""
    user, key = rows.user, rows.key
    refused = ((rows.status == 401) | (rows.status == 403)) & (user.codes < 0) & (key.codes >= 0)
    if not refused.any():
        return user
    codes = np.where(refused, key.codes + np.int32(len(user.values)), user.codes)
    return Text(codes, user.values, np.concatenate([user.table[:-1], key.table]))
