"""What an alert says beside its finding: who else is live, who was seen at its entity, its history, its tenant.

Asked about all alerts of a step at once, so that a thousand of them go over what is held as often as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.evidence import Engine
from detectors.pairs import mix
from schemas import codec
from schemas.alert import Alert, Status
from schemas.usage import Kind
from stream.grouping import U64
from stream.tallies import Tallies
from stream.tenants import Tenants

LIVE_MS: Final = 600_000


def told(alerts: list[Alert], tallies: Tallies, tenants: Tenants, engine: Engine) -> list[Alert]:
    """The alerts with their circumstances; one that is over tells of none."""
    at = [i for i, alert in enumerate(alerts) if alert.status is not Status.CLOSED]
    if not at:
        return alerts
    kinds, entities = _entities([alerts[i] for i in at])
    live = tallies.windows.live()
    good = min(live, engine.regulars(LIVE_MS))
    accounts, addresses = _crowds(kinds, entities, tallies)
    regular = engine.regular(mix(entities, kinds.astype(np.uint64)), kinds)
    owned = tenants.told(kinds, entities, tallies.names)
    out = list(alerts)
    for n, i in enumerate(at):
        more = {
            "live_clients": live,
            "good_clients": good,
            "accounts": int(accounts[n]),
            "addresses": int(addresses[n]),
            "established": bool(regular[n]),
        }
        out[i] = alerts[i].model_copy(update=more | owned[n])
    return out


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
