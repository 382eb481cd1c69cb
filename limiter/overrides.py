"""What the enforcer put in force, in memory: denials, challenges, throttles, brownout, and what is exempt of them.

Pure: time is handed in. Look-ups are O(1) in the number of actions: a table for each kind of target, and for networks
one for each prefix length in use. Allow always wins. `entries` says how a million of them are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from limiter.conditions import FOREVER_MS
from limiter.entries import AUTOMATIC, BY_PERSON, KEPT, NONE, SEEN, STATIC, Entries, Shards, Table, Terms, new_seen
from limiter.holds import Holds
from limiter.matcher import Identity
from limiter.orders import Order, order
from limiter.policy import PPM
from limiter.ruling import NOTHING, Entry, Ruling, combined
from schemas import networks
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

ENTRIES_MAX: Final = 1_250_000
PER_TARGET_MAX: Final = 32
MARKS_MAX: Final = 4_000_000
EVERYBODY: Final = "*"
SLICE: Final = 50  # actions taken in or dropped without letting a check in between: about a millisecond
_ADDRESS_BITS: Final = {4: 32, 6: 128}
_NUMBERS_MAX: Final = 10_000
_64_BITS: Final = (1 << 64) - 1
# Where a request's value for each kind of target stands in what `judge` makes of it.
_AT: Final = {
    TargetKind.IP: 0, TargetKind.KEY: 1, TargetKind.USER: 2, TargetKind.TENANT: 3, TargetKind.ROUTE: 4,
    TargetKind.GLOBAL: 5, TargetKind.ASN: 6, TargetKind.COUNTRY: 7,
}  # fmt: skip
_Heads = list[tuple[int, int | None, str]]  # first row, and what proves it: a network's number, else the text
_NO_ENTRY: Final = frozenset({ActionKind.NOTICE, ActionKind.HOLD})
_RANK: Final = {ActionKind.ALLOW: KEPT, ActionKind.BROWNOUT: KEPT}


class Overrides:
    """Actions in force. At most `entries_max`, and `PER_TARGET_MAX` on one target.

    Beyond that what would end soonest gives way, automatic actions before those of people, allows and brownouts last:
    nothing gives way to what ranks below it, which is then not taken. `changes` counts what came and went: while it
    stands still, only time changes what `judge` says.

    While a hold stands no automatic answer counts, also those whose lift is still on its way: there may be thousands.
    """

    def __init__(self, allowlist: Iterable[Target] = (), entries_max: int = ENTRIES_MAX) -> None:
        self._max = entries_max
        self._entries = Entries()
        self._seen = new_seen()
        self._tables = {kind: Table(self._seen) for kind in TargetKind}
        self._networks: dict[tuple[int, int], Table] = {}  # (version, host bits) -> network number -> row
        self._asked: tuple[tuple[Shards, int], ...] = ()  # tables that hold anything, and whose value they hold
        self._numbers: dict[str, tuple[int, int]] = {}  # of addresses asked for lately
        self._seed = hash("networks")  # of this process: nobody outside can choose numbers that fall together
        self._holds = Holds()
        self.given_way = 0
        self.changes = 0
        for number, target in enumerate(allowlist):
            table, key, check = self._place(target.kind, target.value)
            terms = Terms(table, ActionKind.ALLOW, rule="allowlist")
            self._entries.add(f"allowlist:{number}", terms, key, check, FOREVER_MS, STATIC)
        self._note_tables()

    def __len__(self) -> int:
        return self._entries.count

    def put(self, action: Action | Order, now_ms: int) -> bool:
        """`action` is in force (or, by its status, no longer); the same uid replaces what stood before.

        False when there is no room for it.
        """
        one = order(action) if isinstance(action, Action) else action
        ended = one.status is not ActionStatus.ACTIVE or one.expires_ms <= now_ms
        if ended or one.kind in _NO_ENTRY:
            self.remove(one.uid)
            if one.kind is ActionKind.HOLD and not ended:
                self._holds.put(one.uid, one.expires_ms)
                self.changes += 1
            return True
        table, key, check = self._place(one.target.kind, one.target.value)
        terms = Terms.of(one, table)
        row = self._entries.row(one.uid)
        if row and self._entries.renew(row, terms, key, check, one.expires_ms):
            return True
        self.remove(one.uid)
        rank = _RANK.get(one.kind, AUTOMATIC if one.owner == "auto" else BY_PERSON)
        if not self._has_room(terms, key, check, one.expires_ms, rank):
            self.given_way += 1
            self._forget_network(table)
            return False
        if not table.size:  # what made room for it may have been the last of that table, which is forgotten then
            table, key, check = self._place(one.target.kind, one.target.value)
            terms = replace(terms, table=table)
        self._entries.add(one.uid, terms, key, check, one.expires_ms, rank)
        self.changes += 1
        if table.size == 1:
            self._note_tables()
        return True

    def remove(self, uid: str) -> None:
        """The action is over; one not known is no error."""
        self.changes += self._holds.remove(uid)
        row = self._entries.row(uid)
        if row and self._entries.rank[row] != STATIC:
            self._drop(row)

    def mark(self) -> None:
        """A snapshot begins: what is put from now on, by it or by deltas, belongs to it. `settle` ends it."""
        self._entries.mark()
        self._holds.mark()

    def settle(self) -> Iterator[int]:
        """Drops what was not put since `mark`, `SLICE` by `SLICE`: between two of them others may have their turn."""
        self.changes += self._holds.settle()
        yield from self._drop_all(self._entries.unmarked())

    def replace(self, actions: Iterable[Action | Order], now_ms: int) -> None:
        """Exactly `actions` are in force (a snapshot, whole)."""
        self.mark()
        for action in actions:
            self.put(action, now_ms)
        sum(self.settle())

    def sweep(self, now_ms: int) -> Iterator[int]:
        """Forgets what has ended, in slices as `settle` does; gives how many each. No answer depends on it."""
        yield from self._drop_all(self._entries.ended(now_ms))

    def judge(
        self,
        identity: Identity,
        route: str,
        now_ms: int,
        tier: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Ruling:
        """What is in force for a request of `identity` on the template `route` at `now_ms`.

        `attributes` are what its gateway says of it: `country`, `asn`.
        """
        asked, seen = self._asked, self._seen
        if not asked and not self._networks:
            return NOTHING
        asn, country = (attributes.get("asn"), attributes.get("country")) if attributes else (None, None)
        ip = identity.ip
        who = (ip, identity.key_id, identity.user, identity.tenant, route, EVERYBODY, asn, country)
        heads: _Heads | None = None
        for shards, at in asked:
            text = who[at]
            if text is not None:
                key = hash(text) >> 4
                if seen[key & SEEN] and (row := shards[key >> 54].get(key)):
                    heads = heads or []
                    heads.append((row, None, text))
        if self._networks and ip is not None:
            heads = self._around(ip, heads)
        return NOTHING if heads is None else self._ruling(heads, identity, route, tier, now_ms)

    def _around(
        self, ip: str, heads: list[tuple[int, int | None, str]] | None
    ) -> list[tuple[int, int | None, str]] | None:
        known = self._numbers.get(ip) or self._number(ip)
        if known is None:
            return heads
        own_version, number = known
        for (version, bits), table in self._networks.items():
            if version == own_version:
                network = number >> bits
                key = hash((self._seed, network)) >> 4
                if self._seen[key & SEEN] and (row := table.shards[key >> 54].get(key)):
                    heads = heads or []
                    heads.append((row, network & _64_BITS, ip))
        return heads

    def _number(self, ip: str) -> tuple[int, int] | None:
        try:
            address = networks.address(ip)
        except ValueError:
            return None
        if len(self._numbers) >= _NUMBERS_MAX:
            self._numbers.clear()
        found = self._numbers[ip] = (address.version, int(address))
        return found

    def _ruling(self, heads: _Heads, identity: Identity, route: str, tier: str | None, now_ms: int) -> Ruling:
        entries, matching = self._entries, []
        least = BY_PERSON if now_ms < self._holds.until_ms else AUTOMATIC
        for head, network, text in heads:
            check = _check(text) if network is None else network
            row = head
            while row:
                if entries.check[row] == check and entries.expires_ms[row] > now_ms and entries.rank[row] >= least:
                    terms = entries.terms(row)
                    if terms.covers(identity, route, tier):
                        matching.append(_entry(entries.uid(row), terms, entries.expires_ms[row]))
                row = entries.next[row]
        return combined(matching) if matching else NOTHING

    def _has_room(self, terms: Terms, key: int, check: int, ends_ms: int, rank: int) -> bool:
        if terms.known is not None and self._entries.marks + len(terms.known.marks) > MARKS_MAX:
            return False
        entries = self._entries
        there = list(entries.on(terms.table, key, check))
        if len(there) >= PER_TARGET_MAX:
            weakest = min(there, key=lambda row: (entries.rank[row], entries.expires_ms[row]))
            return self._gives_way(weakest, ends_ms, rank)
        return entries.count < self._max or self._gives_way(entries.victim(rank), ends_ms, rank)

    def _gives_way(self, row: int, ends_ms: int, rank: int) -> bool:
        if row == NONE or (self._entries.rank[row], self._entries.expires_ms[row]) > (rank, ends_ms):
            return False
        self._drop(row)
        self.given_way += 1
        return True

    def _drop_all(self, rows: NDArray[np.int64]) -> Iterator[int]:
        for at in range(0, len(rows), SLICE):
            part = rows[at : at + SLICE].tolist()
            for row in part:
                self._drop(row)
            yield len(part)

    def _drop(self, row: int) -> None:
        table = self._entries.terms(row).table
        self._entries.drop(row)
        self.changes += 1
        if not table.size:
            self._forget_network(table)
            self._note_tables()

    def _forget_network(self, table: Table) -> None:
        if not table.size:
            self._networks = {at: held for at, held in self._networks.items() if held is not table}

    def _note_tables(self) -> None:
        self._asked = tuple((table.shards, _AT[kind]) for kind, table in self._tables.items() if table.size)

    def _place(self, kind: TargetKind, value: str) -> tuple[Table, int, int]:
        """Where a target is looked up: its table, its key there, and the check that it is really meant."""
        network = _network(kind, value)
        if network is None:
            text = _spelt(kind, value)
            return self._tables[kind], hash(text) >> 4, _check(text)
        version, bits, number = network
        table = self._networks.get((version, bits))
        if table is None:
            table = self._networks[version, bits] = Table(self._seen)
        return table, hash((self._seed, number)) >> 4, number & _64_BITS


def _entry(uid: str, terms: Terms, expires_ms: int) -> Entry:
    return Entry(
        uid, terms.kind, terms.route, PPM if terms.factor_ppm is None else terms.factor_ppm, terms.level, terms.rule,
        expires_ms, terms.tier, terms.limit, terms.rate,
    )  # fmt: skip


def _check(text: str) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")))


def _spelt(kind: TargetKind, value: str) -> str:
    if kind is TargetKind.GLOBAL:
        return EVERYBODY
    if kind is TargetKind.IP:
        try:
            return str(networks.address(value))
        except ValueError:
            return value
    return value


def _network(kind: TargetKind, value: str) -> tuple[int, int, int] | None:
    if kind is not TargetKind.IP or "/" not in value:
        return None
    try:
        network = networks.network(value)
    except ValueError:
        return None
    bits = _ADDRESS_BITS[network.version] - network.prefixlen
    return network.version, bits, int(network.network_address) >> bits
