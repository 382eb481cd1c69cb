"""From where keys and accounts are known, as the stream tells: what an answer spares by itself. Bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas import history
from schemas.action import Target, TargetKind
from schemas.codec import text_hash
from schemas.exempt import MARKS_MAX, NETWORKS_MAX, Exempt, ExemptBy
from schemas.exempt_kept import exempt_kept
from schemas.history import SIGHT_BYTES, SLICES, Sights
from schemas.networks import network_of
from schemas.usage import Kind

_KINDS: Final = {TargetKind.KEY: Kind.KEY, TargetKind.USER: Kind.USER}


@dataclass(frozen=True, slots=True)
class Spared:
    """Whom an answer spares by what is known, and that in half a sentence; `exempt` None: nobody, and why."""

    exempt: Exempt | None
    told: str


class History:
    """What the topic `history` holds: each slice whole, the newest sights of it where memory is full.

    `seconds` is how long one must have been seen somewhere to be known there. It is asked seldom, once an answer, and
    looks through all it has.
    """

    def __init__(self, seconds: int, bytes_max: int, partitions: int) -> None:
        self._seconds = seconds
        self._rows_max = max(1, bytes_max // SIGHT_BYTES // (partitions * SLICES))
        self._slices: dict[bytes, Sights] = {}
        self._pairs: tuple[int, Spared] | None = None  # as they were before that second
        self.left_out = 0

    def __len__(self) -> int:
        """Number of sights held."""
        return sum(map(len, self._slices.values()))

    def fold(self, key: bytes, value: bytes) -> None:
        """A slice is now as `value` says. Raises `BadMessageError`; what was known of it stays."""
        sights = history.decode(value)
        if len(sights) > self._rows_max:
            self.left_out += len(sights) - self._rows_max
            newest = np.argpartition(sights.last_s, -self._rows_max)[-self._rows_max :]
            sights = sights.take(newest)
        self._slices[key] = sights
        self._pairs = None

    def addresses(self, target: Target, before_ms: int) -> Spared:
        """The networks in which a key or an account was known before something began."""
        owner, kind = np.uint64(text_hash(target.value)), _KINDS.get(target.kind)
        found: set[int] = set()
        for sights in self._slices.values():
            known = (sights.owner == owner) & sights.known(self._seconds, before_ms // 1000)
            found |= set(sights.subscriber[known & (sights.kind == kind)].tolist())
        networks = sorted({name for number in found if (name := network_of(number)) is not None})
        if not networks:
            return Spared(None, "it is not known yet where it comes from")
        if len(networks) > NETWORKS_MAX:
            return Spared(None, f"it comes from {len(networks)} networks, too many to tell it by")
        many = f"{len(networks)} networks" if len(networks) > 1 else "network"
        return Spared(Exempt(by=ExemptBy.IP, networks=tuple(networks)), f"except from the {many} it is known from")

    def pairs(self, before_ms: int) -> Spared:
        """Accounts at the addresses they signed in from before something began; the newest, when they are many."""
        before_s = before_ms // 1000
        if self._pairs is None or self._pairs[0] != before_s:
            self._pairs = before_s, self._all_pairs(before_s)
        return self._pairs[1]

    def _all_pairs(self, before_s: int) -> Spared:
        sights = Sights.concat(list(self._slices.values()))
        sights = sights.take(sights.known(self._seconds, before_s) & (sights.kind == Kind.USER))
        if not len(sights):
            return Spared(None, "no account is known yet at any address")
        more = len(sights) - MARKS_MAX
        if more > 0:
            sights = sights.take(np.argpartition(sights.last_s, -MARKS_MAX)[-MARKS_MAX:])
        told = f"except {len(sights):,} accounts where they are known" + (
            f", {more:,} more left out" if more > 0 else ""
        )
        return Spared(exempt_kept(sights.owner, sights.subscriber), told)
