"""What bouncers tell of their own work (`POST /v1/usage-metrics`), as counters of ours."""

from __future__ import annotations

from typing import Final

import msgspec

from enforcer.metrics import BOUNCER_ITEMS, BOUNCER_STANDING

COUNTED: Final = frozenset({"processed", "dropped"})  # of the time since the last report
STANDING: Final = "active_decisions"


class _Item(msgspec.Struct):
    name: str
    value: float = 0.0


class _Metrics(msgspec.Struct):
    items: list[_Item] | None = None


class _Component(msgspec.Struct):
    metrics: list[_Metrics] | None = None


class _Report(msgspec.Struct):
    remediation_components: list[_Component] | None = None


def record(bouncer: str, body: bytes) -> None:
    """Count what `bouncer` reports. Lenient: of real bouncers one sends an object where CrowdSec has an array.

    Raises:
        ValueError: it is no report at all.
    """
    try:
        report = msgspec.json.decode(body, type=_Report)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ValueError(f"usage metrics: {error}") from error
    standing = 0.0
    for item in _items(report):
        if item.name in COUNTED and 0 <= item.value < 2**53:
            BOUNCER_ITEMS.labels(bouncer, item.name).inc(item.value)
        elif item.name == STANDING:
            standing += item.value
    BOUNCER_STANDING.labels(bouncer).set(standing)


def _items(report: _Report) -> list[_Item]:
    components = report.remediation_components or ()
    return [item for c in components for metrics in c.metrics or () for item in metrics.items or ()]
