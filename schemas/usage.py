"""What `combine` tells `detect`: a block of a decisions partition, as counts and flows.

Counts: a row per (entity kind, entity, one-second pane). Flows: a row per distinct combination of what the detectors
remember, under the one entity that owns the request (its key where there is one that was accepted, else its address);
results of logins stand under their account as well, and under their address whatever key was accepted.
Hits: a row per rule, entity and pane that has requests a rule asks for, and per value where the rule counts different
ones; mostly there are none.
Items: what is distinct about an entity in a second, beside what its flows say: 32-bit marks of values, and where there
are more than `ITEMS_EXACT_MAX`, the cells that they set (`stream.cells`).
Hashes are 64-bit xxh3 of UTF-8 text, 0 where absent; `entity` is the text itself, for people and for actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import pyarrow as pa

VERSION: Final = 1
VERSION_KEY: Final = b"floodwarden.usage"
REQUIRED: Final = ("kind", "hash", "pane_s", "n")  # in both parts; any other number an older worker lacks is 0
FLOWS_PER_PANE_MAX: Final = 64  # of one owner; the rest are counted in `flows_dropped` of its counts row


class Kind(IntEnum):
    """Entity kinds as they stand in columns."""

    IP = 0  # a client by its address: of IPv6 a /64 (`schemas.networks.client`)
    KEY = 1
    USER = 2
    ROUTE = 3
    GLOBAL = 4
    TENANT = 5
    COUNTRY = 6
    NETWORK = 7  # an address's /24, or /48
    ASN = 8
    AGENT = 9  # a user agent, as it was sent
    TENANT_ROUTE = 10  # "tenant route"


class Outcome(IntEnum):
    """What came of a request, as evidence sees it."""

    OK = 0  # answered below 400, or not known
    AUTH_FAILED = 1  # 401, 403; on a login route also 400 and 422
    CLIENT_ERROR = 2  # other 4xx
    SERVER_ERROR = 3  # 5xx
    LIMITED = 4  # refused by a limit: our verdict, or an upstream's 429


class What(IntEnum):
    """What distinct values of are counted for an entity."""

    ADDRESS = 0
    USER = 1
    ROUTE = 2
    PATH = 3
    AGENT = 4


_TEXT: Final = pa.dictionary(pa.int32(), pa.utf8())

COUNTS: Final = pa.schema(
    [
        ("kind", pa.uint8()),
        ("hash", pa.uint64()),
        ("entity", _TEXT),
        ("pane_s", pa.int64()),  # epoch second the pane begins with; panes are half-open
        ("n", pa.int64()),
        ("allowed", pa.int64()),
        ("limited", pa.int64()),
        ("denied", pa.int64()),
        ("challenged", pa.int64()),
        ("auth_failed", pa.int64()),
        ("client_error", pa.int64()),
        ("server_error", pa.int64()),
        ("logins", pa.int64()),
        ("cost", pa.int64()),
        ("latency_ms_sum", pa.float64()),
        ("latency_n", pa.int64()),
        ("flows_dropped", pa.int64()),
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
MEASURES: Final = (
    "n", "allowed", "limited", "denied", "challenged", "auth_failed", "client_error", "server_error",
    "logins", "cost", "latency_ms_sum", "latency_n", "flows_dropped",
)  # fmt: skip

FLOWS: Final = pa.schema(
    [
        ("kind", pa.uint8()),  # Kind.IP or Kind.KEY; Kind.USER for logins, which stand under their account as well
        ("hash", pa.uint64()),  # of the owner
        ("entity", _TEXT),
        ("pane_s", pa.int64()),
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
        ("route", pa.uint64()),
        ("route_name", _TEXT),
        ("path", pa.uint64()),
        ("path_name", _TEXT),  # for evidence; at most 128 bytes
        ("user", pa.uint64()),
        ("ip", pa.uint64()),  # the client by its address, also where the owner is a key
        ("outcome", pa.uint8()),
        ("login", pa.bool_()),  # a credential was presented on a login route
        ("n", pa.int64()),
        ("agent", pa.uint64()),  # the user agent
        ("asn", pa.uint64()),
        ("tags", pa.uint64()),  # a bit for each condition in force, 63 for a browser, 62 for a key
        ("asn_name", _TEXT),
        ("tenant", pa.uint64()),
        ("tenant_name", _TEXT),
        ("host", pa.uint64()),  # lower half of an address the requests came from, where its client has many
        (
            "subscriber",
            pa.uint64(),
        ),  # in numbers of `schemas.networks`: of accounts the `subscriber`, of keys the `origin`
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)

HITS: Final = pa.schema(
    [
        ("kind", pa.uint8()),
        ("hash", pa.uint64()),
        ("entity", _TEXT),
        ("pane_s", pa.int64()),
        ("rule", _TEXT),  # its name
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
        ("route", pa.uint64()),  # the one all were on, else 0
        ("route_name", _TEXT),
        ("value", pa.uint64()),  # of what the rule counts as different; 0: it counts requests, or they were too many
        ("sign", pa.uint64()),  # hash of the name of a signature they bear
        ("example", pa.uint64()),  # one of the texts
        ("example_name", _TEXT),  # at most 128 bytes
        ("n", pa.int64()),
        ("answered", pa.int64()),  # of them, answered below 400
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
NO_HITS: Final = pa.RecordBatch.from_pylist([], schema=HITS)

ITEMS: Final = pa.schema(
    [
        ("row", pa.uint32()),  # of the counts of the same block
        ("what", pa.uint8()),  # What; or WORDS + What * ITEM_WORDS + the word's number
        ("item", pa.uint32()),  # the mark of a value; or a word of 32 cells
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
ITEM_WORDS: Final = 32
WORDS: Final = 8
ITEMS_EXACT_MAX: Final = 64
NO_ITEMS: Final = pa.RecordBatch.from_pylist([], ITEMS)


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of decisions [start, end) of one partition that belong to one usage partition.

    `ts_ms_max` is the newest event time the decisions partition has shown so far (0: none yet). A block may be empty:
    every block goes to every usage partition, so that each can tell that it missed none.
    """

    partition: int
    start: int
    end: int
    ts_ms_max: int
    counts: pa.RecordBatch
    flows: pa.RecordBatch
    hits: pa.RecordBatch = field(default_factory=lambda: NO_HITS)
    items: pa.RecordBatch = field(default_factory=lambda: NO_ITEMS)
