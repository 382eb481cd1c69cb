"""Addresses of crawlers, as their operators publish them or DNS says: never acted on by automation."""

from __future__ import annotations

from dataclasses import dataclass, field

from enforcer.guardrails import network_of
from schemas.action import Target
from schemas.crawlers import Ranges
from schemas.ranges import V6, meets


@dataclass(frozen=True, slots=True)
class Crawlers:
    """Where they come from, by the crawler's name."""

    ranges: Ranges = field(default_factory=dict)

    def covering(self, target: Target) -> str | None:
        """The crawler that has an address among these, or None."""
        network = network_of(target)
        if network is None or not self.ranges:
            return None
        base = V6 if network.version == 6 else 0
        low, high = base + int(network.network_address), base + int(network.broadcast_address)
        return next((name for name, known in self.ranges.items() if meets(known, low, high)), None)
