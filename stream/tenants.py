"""Whose each client, account and route is: the one tenant of all its requests lately, where there is only one.

A table of fixed size, by hash: who comes to the place of another begins it anew, so it is bounded whoever makes up
clients. It costs nothing until the first request with a tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Flows
from detectors.compiled import compiled, numbered, within
from schemas.alert import TENANT_CHARS_MAX
from schemas.usage import Kind
from stream.compiled import I32, I64, U64
from stream.snapshot import Arrays

PLACES: Final = 1 << 17
FORGET_S: Final = 3600  # who was silent for so long may come back as another's
LIVE_S: Final = 600
_APART: Final = np.uint64(0x9E3779B97F4A7C15)  # an address and a user of one hash stand in two places
_NONE: Final = np.uint64(0)
_CLIENTS: Final = (Kind.IP, Kind.KEY)
Named = Callable[[Iterable[int]], Mapping[int, str]]


class Tenants:
    """What is known of one usage partition. A tenant of 0: none, or several, or requests without one among them."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._newest_s = 0
        self._held = _empty(0)

    def add(self, flows: Flows, until_s: int) -> None:
        """Requests as they come; none counts as later than `until_s`."""
        if not len(flows) or not (len(self._held["key"]) or flows.tenant.any()):
            return
        if not len(self._held["key"]):
            self._held = _empty(self._places)
        at_s = np.minimum(flows.last_ms // 1000, until_s)
        self._newest_s = max(self._newest_s, int(at_s.max()))
        self._put(flows.kind, flows.entity, flows.tenant, at_s)
        self._put(np.full(len(flows), Kind.ROUTE, np.uint8), flows.route, flows.tenant, at_s)

    def of(self, kinds: NDArray[np.uint8], entities: U64) -> U64:
        """The hash of the only tenant of each entity; 0: there is none such."""
        held = self._held
        if not len(held["key"]):
            return np.zeros(len(entities), np.uint64)
        keys = _keys(kinds, entities)
        at = (keys % np.uint64(self._places)).astype(np.int64)
        known = (held["key"][at] == keys) & (self._newest_s - held["at_s"][at] < FORGET_S)
        return np.where(known, held["tenant"][at], np.uint64(0))

    def clients(self, tenants: U64) -> dict[int, int]:
        """By tenant its own clients with a request in the last ten minutes; fewer where places were shared."""
        held = self._held
        live = np.flatnonzero((held["at_s"] > self._newest_s - LIVE_S) & within(held["tenant"], tenants))
        own = held["tenant"][live[np.isin(held["kind"][live], _CLIENTS)]]
        counted = dict(zip(*(part.tolist() for part in np.unique(own, return_counts=True)), strict=True))
        return {tenant: counted.get(tenant, 0) for tenant in tenants.tolist()}

    def told(self, kinds: NDArray[np.uint8], entities: U64, named: Named) -> list[dict[str, str | int]]:
        """What an alert about each entity says of its tenant; `named` has the texts of hashes."""
        of = self.of(kinds, entities)
        some = np.unique(of[of != 0])
        names, clients = (named(some.tolist()), self.clients(some)) if len(some) else ({}, {})
        short = {tenant: name for tenant, name in names.items() if len(name) <= TENANT_CHARS_MAX}
        return [{"tenant": short[t], "tenant_clients": clients[t]} if t in short else {} for t in of.tolist()]

    def arrays(self) -> Arrays:
        """What `restore` needs."""
        used = np.flatnonzero(self._held["at_s"])
        return {name: array[used] for name, array in self._held.items()}

    def restore(self, arrays: Arrays) -> None:
        """Go on from `arrays`; a snapshot of before has none."""
        if not len(arrays.get("key", ())):
            return
        self._held = _empty(self._places)
        at = (arrays["key"] % np.uint64(self._places)).astype(np.int64)
        for name, array in self._held.items():
            array[at] = arrays[name]
        self._newest_s = int(self._held["at_s"].max())

    def _put(self, kind: np.ndarray, entity: U64, tenant: U64, at_s: np.ndarray) -> None:
        keys = _keys(kind, entity)
        groups, places = numbered(keys % np.uint64(self._places) + np.uint64(1))
        row, one, seen_s = _came(groups, len(places), keys, np.array(tenant), at_s)
        key, at = keys[row], (places - np.uint64(1)).astype(np.int64)
        held = self._held
        known = (held["key"][at] == key) & (seen_s - held["at_s"][at] < FORGET_S)
        held["tenant"][at] = np.where(known & (held["tenant"][at] != one), 0, one)
        held["at_s"][at] = np.where(known, np.maximum(seen_s, held["at_s"][at]), seen_s)
        held["key"][at], held["kind"][at] = key, kind[row]


@compiled
def _came(groups: I32, count: int, keys: U64, tenant: U64, at_s: I64) -> tuple[I64, U64, I64]:
    """By place, of who comes there, the greatest of several: a row, his only tenant (else 0), and the last time."""
    row, one, last_s = np.full(count, -1, np.int64), np.zeros(count, np.uint64), np.zeros(count, np.int64)
    for i in range(len(groups)):
        g = groups[i]
        if row[g] < 0 or keys[i] > keys[row[g]]:
            row[g], one[g], last_s[g] = i, tenant[i], at_s[i]
        elif keys[i] == keys[row[g]]:
            one[g] = one[g] if one[g] == tenant[i] else _NONE
            last_s[g] = max(last_s[g], at_s[i])
    return row, one, last_s


def _keys(kind: np.ndarray, entity: U64) -> U64:
    with np.errstate(over="ignore"):
        return entity + (kind.astype(np.uint64) + np.uint64(1)) * _APART


def _empty(places: int) -> Arrays:
    types = {"key": np.uint64, "kind": np.uint8, "tenant": np.uint64, "at_s": np.int64}
    return {name: np.zeros(places, of) for name, of in types.items()}
