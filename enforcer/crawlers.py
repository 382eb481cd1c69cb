"""Addresses of crawlers, as their operators publish them: never acted on by automation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from enforcer.guardrails import network_of
from schemas.action import Target
from schemas.documents import read
from schemas.errors import FileError
from schemas.ranges import V6, Interval, holds, ranges
from schemas.settings import PREFIX

SUFFIXES: Final = (".json", ".txt")


@dataclass(frozen=True, slots=True)
class Crawlers:
    """Ranges by the crawler's name."""

    ranges: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)

    def covering(self, target: Target) -> str | None:
        """The crawler whose addresses these are, or None."""
        network = network_of(target)
        if network is None or not self.ranges:
            return None
        base = V6 if network.version == 6 else 0
        low, high = base + int(network.network_address), base + int(network.broadcast_address)
        return next((name for name, known in self.ranges.items() if holds(known, low, high)), None)


def load(folder: Path | None) -> Crawlers:
    """The ranges in `folder`, a file a crawler. Raises `FileError`."""
    if folder is None:
        return Crawlers()
    files = [path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES]
    if not files:
        raise FileError(str(folder), 0, "directory", "holds no ranges", f"googlebot.json; check {PREFIX}BOTS")
    return Crawlers({path.stem: ranges(read(path, PREFIX + "BOTS"), str(path)) for path in files})
