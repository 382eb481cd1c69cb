"""What an alert says beside its finding: who else is live, who was seen at its entity and where, its history, tenant.

Asked about all alerts of a step at once, so that a thousand of them go over what is held as often as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.columns import Flows
from detectors.evidence import Engine
from detectors.pairs import mix
from schemas import codec
from schemas.alert import SEEN_AT, Alert, EntityKind, Evidence, Status
from schemas.usage import Kind
from stream.grouping import U64
from stream.inside import Inside
from stream.snapshot import Arrays, under
from stream.tallies import Tallies
from stream.tenants import Tenants

LIVE_MS: Final = 600_000


class Circumstances:
    """What is kept of one usage partition for alerts alone: whose who is, and where he was seen."""

    def __init__(self) -> None:
        self._tenants, self._inside = Tenants(), Inside()

    def add(self, flows: Flows, batch: pa.RecordBatch, until_s: int) -> None:
        """`flows` as they come, and the rows of `schemas.usage.FLOWS` they are; none counts as later than `until_s`."""
        self._tenants.add(flows, until_s)
        self._inside.add(batch)

    def told(self, alerts: list[Alert], tallies: Tallies, engine: Engine) -> list[Alert]:
        """The alerts with their circumstances; one that is over tells of none."""
        at = [i for i, alert in enumerate(alerts) if alert.status is not Status.CLOSED]
        if not at:
            return alerts
        kinds, entities = _entities([alerts[i] for i in at])
        live = tallies.windows.live()
        good = min(live, engine.regulars(LIVE_MS))
        accounts, addresses = _crowds(kinds, entities, tallies)
        regular = engine.regular(mix(entities, kinds.astype(np.uint64)), kinds)
        owned = self._tenants.told(kinds, entities, tallies.names)
        out = list(alerts)
        for n, i in enumerate(at):
            more = {
                "live_clients": live,
                "good_clients": good,
                "accounts": int(accounts[n]),
                "addresses": int(addresses[n]),
                "established": bool(regular[n]),
                "evidence": _seen_at(alerts[i], int(addresses[n]), self._inside),
            }
            out[i] = alerts[i].model_copy(update=more | owned[n])
        return out

    def arrays(self) -> Arrays:
        """What `restore` needs."""
        parts = {"tenants": self._tenants.arrays(), "inside": self._inside.arrays()}
        return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self, arrays: Arrays) -> None:
        """Go on from `arrays`, among which others' may be."""
        self._tenants.restore(under(arrays, "tenants."))
        self._inside.restore(under(arrays, "inside."))


def _seen_at(alert: Alert, many: int, inside: Inside) -> tuple[Evidence, ...]:
    """Its evidence; of an IPv6 client, behind the first fact, at how many of its addresses and at which lately."""
    client = alert.entity.value
    found = inside.addresses(client) if alert.entity.kind is EntityKind.IP else ()
    if not found:
        return alert.evidence
    many = max(many, len(found))
    what = f"seen at {many} address{'es' * (many > 1)} of {client} in the last hour, such as {', '.join(found)}"
    seen = Evidence(name=SEEN_AT, value=many, sentence=what)
    return (*alert.evidence[:1], seen, *alert.evidence[1:])


def _entities(alerts: Sequence[Alert]) -> tuple[NDArray[np.uint8], U64]:
    kinds = np.array([Kind[alert.entity.kind.upper()] for alert in alerts], np.uint8)
    return kinds, np.array([codec.text_hash(alert.entity.value) for alert in alerts], np.uint64)


def _crowds(kinds: NDArray[np.uint8], entities: U64, tallies: Tallies) -> NDArray[np.int64]:
    """`Tallies.crowds` of entities of several kinds."""
    out = np.zeros((2, len(kinds)), np.int64)
    for kind in np.unique(kinds).tolist():
        of_kind = kinds == kind
        out[:, of_kind] = tallies.crowds(Kind(kind), entities[of_kind])
    return out
