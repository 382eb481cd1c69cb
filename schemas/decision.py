"""One decision of a limiter: the row, its columns, and what makes a row acceptable.

A batch of decisions is a `pyarrow.RecordBatch` of `SCHEMA`. Text columns are dictionary-encoded, because what
reads text runs on the distinct values of a batch and never on rows. Absent is null.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import pyarrow as pa

Verdict = Literal["allow", "limit", "deny", "challenge"]
VERDICTS: Final = ("allow", "limit", "deny", "challenge")

VERSION: Final = 1
VERSION_KEY: Final = b"floodwarden.decision"
TS_MS_MIN: Final = 315_532_800_000  # 1980: older is a broken clock, not an old log
TS_MS_MAX: Final = 4_102_444_800_000  # 2100
PATH_BYTES_MAX: Final = 512
TEXT_BYTES_MAX: Final = 512
COST_MAX: Final = 1_000_000
WEIGHT_MAX: Final = 10_000
LATENCY_MS_MAX: Final = 86_400_000


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A limiter's answer to one request, completed with what the upstream said.

    Times are epoch milliseconds of the event. `status` is the upstream's, 0 while unknown. `key_id` is the keyed
    hash of an API key, never the key. `route` is a template (`/items/{id}`), `path` the request's path with query.
    `shadow` is what rules not yet enforced would have said beside, `shadow_rule` the one that would have refused.
    `weight`: for how many requests like it the row stands, itself included; absent is 1. `referer` as it was sent,
    secrets masked.
    """

    ts_ms: int
    verdict: Verdict
    node: str | None = None
    tenant: str | None = None
    ip: str | None = None
    user: str | None = None
    key_id: str | None = None
    method: str | None = None
    route: str | None = None
    path: str | None = None
    path_hash: int | None = None
    shadow: Verdict | None = None
    shadow_rule: str | None = None
    rule: str | None = None
    tier: str | None = None
    cost: int = 1
    status: int = 0
    latency_ms: float | None = None
    ua: str | None = None
    country: str | None = None
    asn: int | None = None
    weight: int | None = None
    referer: str | None = None


_TEXT: Final = pa.dictionary(pa.int32(), pa.utf8())

SCHEMA: Final = pa.schema(
    [
        pa.field("ts_ms", pa.int64(), nullable=False),
        pa.field("verdict", _TEXT, nullable=False),
        pa.field("node", _TEXT),
        pa.field("tenant", _TEXT),
        pa.field("ip", _TEXT),
        pa.field("user", _TEXT),
        pa.field("key_id", _TEXT),
        pa.field("method", _TEXT),
        pa.field("route", _TEXT),
        pa.field("path", _TEXT),
        pa.field("path_hash", pa.uint64()),
        pa.field("shadow", _TEXT),
        pa.field("shadow_rule", _TEXT),
        pa.field("rule", _TEXT),
        pa.field("tier", _TEXT),
        pa.field("cost", pa.int32(), nullable=False),
        pa.field("status", pa.int16(), nullable=False),
        pa.field("latency_ms", pa.float32()),
        pa.field("ua", _TEXT),
        pa.field("country", _TEXT),
        pa.field("asn", pa.uint32()),
        pa.field("weight", pa.int32()),
        pa.field("referer", _TEXT),
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
TEXT_COLUMNS: Final = tuple(f.name for f in SCHEMA if pa.types.is_dictionary(f.type))
