"""What detectors take and give: flows as columns, findings as values. Hashes and numbers only, never text."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

IP: Final = 0
KEY: Final = 1
USER: Final = 2
ROUTE: Final = 3
KINDS_N: Final = 3  # kinds that evidence is kept about
GLOBAL: Final = 4
TENANT: Final = 5
NETWORK: Final = 7
ASN: Final = 8
EVERYBODY: Final = 0x79D03016B7AEED0D  # hash of `*`, whom findings of kind GLOBAL are about

OK: Final = 0
AUTH_FAILED: Final = 1
CLIENT_ERROR: Final = 2
SERVER_ERROR: Final = 3
LIMITED: Final = 4


@dataclass(frozen=True, slots=True)
class Flows:
    """Flows of owners (`schemas.usage.FLOWS` without its text): arrays of one length, a row per distinct combination.

    A row says that `entity` made `n` like requests within the one-second pane `pane_s`, the first at `first_ms`.
    `tags` has a bit for each condition of a family that holds (`family_file.conditions`). `network` is the /24 or /48
    of an owner that is an address, or the /64 of an IPv6 client.
    """

    kind: NDArray[np.uint8]
    entity: NDArray[np.uint64]
    pane_s: NDArray[np.int64]
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    route: NDArray[np.uint64]
    path: NDArray[np.uint64]
    user: NDArray[np.uint64]
    ip: NDArray[np.uint64]
    outcome: NDArray[np.uint8]
    login: NDArray[np.bool_]
    n: NDArray[np.int64]
    agent: NDArray[np.uint64]
    asn: NDArray[np.uint64]
    tags: NDArray[np.uint64]
    tenant: NDArray[np.uint64]
    network: NDArray[np.uint64]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.entity)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Flows:
        """The given rows, by index, mask or slice."""
        if isinstance(rows, slice):
            return Flows(*(getattr(self, f.name)[rows] for f in fields(self)))
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows  # a mask is read once, not for each column
        return Flows(*(getattr(self, f.name).take(at) for f in fields(self)))

    @staticmethod
    def empty() -> Flows:
        """No rows."""
        return Flows(*(np.empty(0, dtype) for dtype in DTYPES.values()))

    @staticmethod
    def concat(parts: list[Flows]) -> Flows:
        """All rows of `parts`, in their order."""
        if not parts:
            return Flows.empty()
        if len(parts) == 1:
            return parts[0]
        return Flows(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Flows)))


DTYPES: Final[dict[str, type[np.generic]]] = {
    "kind": np.uint8,
    "entity": np.uint64,
    "pane_s": np.int64,
    "first_ms": np.int64,
    "last_ms": np.int64,
    "route": np.uint64,
    "path": np.uint64,
    "user": np.uint64,
    "ip": np.uint64,
    "outcome": np.uint8,
    "login": np.bool_,
    "n": np.int64,
    "agent": np.uint64,
    "asn": np.uint64,
    "tags": np.uint64,
    "tenant": np.uint64,
    "network": np.uint64,
}


class Fact(NamedTuple):
    """One number behind a finding, what is usual (None: nothing to compare), and the sentence a person reads."""

    name: str
    value: float
    baseline: float | None
    sentence: str


class Share(NamedTuple):
    """What one feature or family added: `value` in its own unit, `share` of the whole in 0..1; shares add up to 1."""

    feature: str
    value: float
    share: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An entity whose evidence in one family suffices: on crossing, and again as an update on later panes with marks.

    `pane_s` is the pane in which the evidence crossed and stays the same in updates, so that the alert's identity
    comes from (kind, entity, family, pane_s); `at_s` is the pane this finding speaks of, later than `pane_s` in
    updates. `crossed_after` counts the entity's requests before the one that crossed. `score` is 0..1, higher is
    worse: .5 at the threshold, rising with the excess (`explain.score`). `examples` are hashes of paths or users.
    `behaviour` is what it is a case of, `ids` what catalogues of threats call it, `avoid` what would have avoided it.
    `campaign`: kind and value of the group whose attack it is part of, established clients faring well meanwhile.
    `browser`: most of what it is found by came with one.
    """

    kind: int
    entity: int
    family: str
    version: int
    pane_s: int
    at_s: int
    crossed_ms: int
    crossed_after: int
    first_ms: int
    last_ms: int
    score: float
    answer: str
    severity: str
    route: int
    facts: tuple[Fact, ...]
    contributions: tuple[Share, ...]
    examples: tuple[int, ...] = ()
    behaviour: str = ""
    ids: tuple[str, ...] = ()
    avoid: str = ""
    campaign: tuple[int, int] = (0, 0)
    browser: bool = False
