"""The pairs an engine remembers: which owner asked for what, with what, from where; and where they are good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.families import HOUR_S
from detectors.pairs import Memory, PairSet

SIZE_MAX: Final = 1 << 18


class Memories:
    """The pairs one engine remembers, each set bounded and ageing; 360 * `size_max` bytes when all are full."""

    def __init__(self, size_max: int = SIZE_MAX) -> None:
        self.paths = Memory(4 * size_max, 12 * HOUR_S)  # owner, path; and the same with where it is asked for
        self.anyone = Memory(size_max, 48 * HOUR_S)  # path
        self.failed = Memory(size_max, 24 * HOUR_S)  # address, account that failed there
        self.good = Memory(size_max, 24 * HOUR_S)  # address, account, route it is good at; and the same with the hour
        few = max(1, size_max // 4)
        self.agent = Memory(few, 7 * 24 * HOUR_S)  # owner, user agent
        self.asn = Memory(few, 7 * 24 * HOUR_S)  # owner, autonomous system
        self.address = Memory(few, 7 * 24 * HOUR_S)  # owner, address
        self.user = Memory(few, 7 * 24 * HOUR_S)  # owner, account it tried
        self.arrived = Memory(few, HOUR_S)  # owner, autonomous system of this hour; and owner, route
        self.homes = Memory(few, 7 * 24 * HOUR_S)  # the same, of hours that are over; and owners that have one
        self.present = Memory(few, HOUR_S)  # account that was answered well, signed in, in this hour
        self.accounts = Memory(few, 7 * 24 * HOUR_S)  # the same, of hours that are over
        self.sampled = PairSet(size_max, HOUR_S)  # owner, route, ten seconds: samples of control, `doubt`, `waits`
        self.visits = PairSet(size_max, HOUR_S)  # owner, route, hour; and path, route, ten minutes: `influx`
        self.whence = PairSet(few, HOUR_S)  # account, operator: `elsewhere`

    def by_owner(self, name: str) -> Memory:
        """What of one sort owners brought: `agent`, `asn`, `address`, `user`; `paths` and where it asks for them.

        `arrived` and `taken` are where it came from in this hour, and for which routes.
        """
        held = {"agent": self.agent, "asn": self.asn, "address": self.address, "user": self.user, "paths": self.paths}
        held["arrived"] = held["taken"] = self.arrived
        return held[name]

    def fits(self, rows: int) -> bool:
        """Whether so many more rows let none of them overflow; a row adds four keys to one at most."""
        return all(part.fits(4 * rows) for part in self.parts().values())

    def bytes(self) -> int:
        """What their tables take."""
        return 8 * sum(part.places() for part in self.parts().values())

    def age(self, now_s: int) -> None:
        """On the hour."""
        self.homes.take(self.arrived)
        self.accounts.take(self.present)
        for part in self.parts().values():
            part.age(now_s)

    def parts(self) -> dict[str, Memory | PairSet]:
        """Each by its name."""
        return {
            "paths": self.paths,
            "anyone": self.anyone,
            "failed": self.failed,
            "good": self.good,
            "agent": self.agent,
            "asn": self.asn,
            "address": self.address,
            "user": self.user,
            "arrived": self.arrived,
            "homes": self.homes,
            "present": self.present,
            "accounts": self.accounts,
            "sampled": self.sampled,
            "visits": self.visits,
            "whence": self.whence,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """State as plain arrays."""
        out: dict[str, NDArray[np.generic]] = {}
        for name, part in self.parts().items():
            out |= part.arrays(f"memory.{name}")
        return out

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        for name, part in self.parts().items():
            part.restore(f"memory.{name}", arrays)
