"""At which addresses of its /64 an IPv6 client was seen lately: some of them, for people who read an alert.

A table of fixed size, by hash: who comes to the place of another begins it anew. It costs nothing until the first
client that has many addresses.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Final

import numpy as np
import pyarrow as pa

from schemas import codec
from schemas.networks import CLIENT_BITS
from schemas.usage import Kind
from stream.snapshot import Arrays

PLACES: Final = 1 << 16
KEPT: Final = 3


class Inside:
    """The newest addresses of each client of one usage partition."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._key, self._host = np.zeros(0, np.uint64), np.zeros((0, KEPT), np.uint64)

    def add(self, flows: pa.RecordBatch) -> None:
        """Rows of `schemas.usage.FLOWS` as they come."""
        host = flows.column("host").to_numpy()
        rows = np.flatnonzero(host)
        rows = rows[flows.column("kind").to_numpy()[rows] == Kind.IP]
        if not len(rows):
            return
        if not len(self._key):
            self._key, self._host = np.zeros(self._places, np.uint64), np.zeros((self._places, KEPT), np.uint64)
        rows = rows[np.argsort(flows.column("last_ms").to_numpy()[rows], kind="stable")]
        client = flows.column("hash").to_numpy()[rows]
        order = np.argsort(client, kind="stable")
        client, host = client[order], host[rows[order]]
        ends = np.append(np.flatnonzero(np.diff(client)), len(client) - 1)
        begins = np.append(0, ends[:-1] + 1)
        for back in range(KEPT - 1, -1, -1):  # of each the last ones, the newest at the end
            some = ends - back >= begins
            self._put(client[ends[some]], host[ends[some] - back])

    def addresses(self, client: str) -> tuple[str, ...]:
        """The newest first; none where the client is not a /64, or not known."""
        if not client.endswith(f"/{CLIENT_BITS}") or not len(self._key):
            return ()
        key = codec.text_hash(client)
        at = key % self._places
        if int(self._key[at]) != key:
            return ()
        network = int(IPv6Network(client).network_address)
        return tuple(str(IPv6Address(network | host)) for host in self._host[at].tolist() if host)

    def arrays(self) -> Arrays:
        """What `restore` needs."""
        used = np.flatnonzero(self._key)
        return {"key": self._key[used], "host": self._host[used]}

    def restore(self, arrays: Arrays) -> None:
        """Go on from `arrays`; a snapshot of before has none."""
        if not len(arrays.get("key", ())):
            return
        self._key, self._host = np.zeros(self._places, np.uint64), np.zeros((self._places, KEPT), np.uint64)
        at = (arrays["key"] % np.uint64(self._places)).astype(np.int64)
        self._key[at], self._host[at] = arrays["key"], arrays["host"]

    def _put(self, client: np.ndarray, host: np.ndarray) -> None:
        """One address of each of some distinct clients, newer than those known."""
        at = (client % np.uint64(self._places)).astype(np.int64)
        self._host[at[self._key[at] != client]] = 0
        self._key[at] = client
        fresh = ~(self._host[at] == host[:, None]).any(axis=1)
        at, host = at[fresh], host[fresh]
        self._host[at, 1:] = self._host[at, :-1]
        self._host[at, 0] = host
