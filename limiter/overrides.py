"""What the enforcer put in force, in memory: denials, challenges, throttles, brownout, and what is exempt of them.

Pure: time is handed in. Look-ups are O(1) in the number of actions: a table by `kind:value`, and for networks one
table per prefix length in use. Allow always wins.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, assert_never

from limiter.matcher import Identity
from limiter.policy import PPM
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

ENTRIES_MAX: Final = 200_000
PER_TARGET_MAX: Final = 32
FOREVER_MS: Final = 1 << 53
_ADDRESS_BITS: Final = {4: 32, 6: 128}
_Networks = dict[tuple[int, int], dict[int, dict[str, "Entry"]]]  # (version, prefix length) -> network -> uid -> entry


@dataclass(frozen=True, slots=True)
class Entry:
    """An action as a check needs it."""

    uid: str
    kind: ActionKind
    route: str | None
    factor_ppm: int
    level: int
    rule: str | None
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the actions in force say about a request: a refusal, or what is left of its limits.

    `refusal` is a denial (or, where there is none, a challenge). `throttle` is the strictest one in force.
    """

    refusal: Entry | None = None
    throttle: Entry | None = None
    level: int = 0
    allowed: Entry | None = None


NOTHING: Final = Ruling()


class Overrides:
    """Actions in force. At most `entries_max`; beyond that, what would end soonest gives way.

    `changes` counts what was put and removed: while it stands still, only time changes what `judge` says.
    """

    def __init__(self, allowlist: Iterable[Target] = (), entries_max: int = ENTRIES_MAX) -> None:
        self._max = entries_max
        self.changes = 0
        self._targets: dict[str, dict[str, Entry]] = {}
        self._networks: _Networks = {}
        self._where: dict[str, Target] = {}
        self._expiries: list[tuple[int, str]] = []
        for number, target in enumerate(allowlist):
            entry = Entry(f"allowlist:{number}", ActionKind.ALLOW, None, PPM, 0, "allowlist", FOREVER_MS)
            self._table(target)[entry.uid] = entry

    def __len__(self) -> int:
        return len(self._where)

    def put(self, action: Action, now_ms: int) -> None:
        """`action` is in force (or, by its status, no longer); the same uid replaces what stood before."""
        self.changes += 1
        self.remove(action.uid)
        if action.status is not ActionStatus.ACTIVE or action.expires_ms <= now_ms:
            return
        if action.kind is ActionKind.NOTICE:
            return
        table = self._table(action.target)
        if len(table) >= PER_TARGET_MAX:
            self.remove(min(table.values(), key=lambda entry: entry.expires_ms).uid)
            table = self._table(action.target)
        table[action.uid] = _entry(action)
        self._where[action.uid] = action.target
        heapq.heappush(self._expiries, (action.expires_ms, action.uid))
        while len(self._where) > self._max:
            self.remove(self._expiries[0][1])
            heapq.heappop(self._expiries)

    def remove(self, uid: str) -> None:
        """The action is over; one not known is no error."""
        target = self._where.pop(uid, None)
        if target is None:
            return
        self.changes += 1
        table = self._table(target)
        table.pop(uid, None)
        if not table:
            self._drop(target)

    def replace(self, actions: Iterable[Action], now_ms: int) -> None:
        """Exactly `actions` are in force (a snapshot)."""
        known = {action.uid: action for action in actions}
        for uid in [uid for uid in self._where if uid not in known]:
            self.remove(uid)
        for action in known.values():
            self.put(action, now_ms)

    def sweep(self, now_ms: int) -> int:
        """Forgets what has ended; returns how many actions stand."""
        while self._expiries and self._expiries[0][0] <= now_ms:
            expires_ms, uid = heapq.heappop(self._expiries)
            target = self._where.get(uid)
            entry = self._table(target).get(uid) if target else None
            if entry and entry.expires_ms == expires_ms:
                self.remove(uid)
        if len(self._expiries) > 2 * len(self._where) + 1000:  # renewed actions leave old expiries behind
            self._expiries = [pair for pair in self._expiries if pair[1] in self._where]
            heapq.heapify(self._expiries)
        return len(self._where)

    def judge(self, identity: Identity, route: str, now_ms: int) -> Ruling:
        """What is in force for a request of `identity` on the template `route` at `now_ms`."""
        if not self._targets and not self._networks:
            return NOTHING
        matching = [
            entry
            for table in self._tables(identity, route)
            for entry in table.values()
            if entry.expires_ms > now_ms and entry.route in (None, route)
        ]
        return _ruling(matching) if matching else NOTHING

    def _tables(self, identity: Identity, route: str) -> list[dict[str, Entry]]:
        get = self._targets.get
        found = [get("global:*"), get(f"route:{route}")]
        if identity.ip is not None:
            found.append(get(f"ip:{identity.ip}"))
            if self._networks:
                found.extend(self._around(identity.ip))
        if identity.key_id is not None:
            found.append(get(f"key:{identity.key_id}"))
        if identity.user is not None:
            found.append(get(f"user:{identity.user}"))
        if identity.tenant is not None:
            found.append(get(f"tenant:{identity.tenant}"))
        return [table for table in found if table]

    def _around(self, ip: str) -> list[dict[str, Entry] | None]:
        try:
            address = ip_address(ip)
        except ValueError:
            return []
        number, bits = int(address), _ADDRESS_BITS[address.version]
        return [
            networks.get(number >> (bits - length))
            for (version, length), networks in self._networks.items()
            if version == address.version
        ]

    def _table(self, target: Target) -> dict[str, Entry]:
        at = _network(target)
        if at is None:
            return self._targets.setdefault(_key(target), {})
        return self._networks.setdefault(at[0], {}).setdefault(at[1], {})

    def _drop(self, target: Target) -> None:
        at = _network(target)
        if at is None:
            self._targets.pop(_key(target), None)
            return
        self._networks[at[0]].pop(at[1], None)
        if not self._networks[at[0]]:
            del self._networks[at[0]]


def _ruling(matching: list[Entry]) -> Ruling:
    refusal: Entry | None = None
    throttle: Entry | None = None
    level = 0
    for entry in matching:
        match entry.kind:
            case ActionKind.ALLOW:
                return Ruling(allowed=entry)
            case ActionKind.DENY | ActionKind.CHALLENGE:
                refusal = entry if refusal is None else max(refusal, entry, key=_severity)
            case ActionKind.THROTTLE:
                throttle = entry if throttle is None or entry.factor_ppm < throttle.factor_ppm else throttle
            case ActionKind.BROWNOUT:
                level = max(level, entry.level)
            case ActionKind.NOTICE:
                pass
            case _:
                assert_never(entry.kind)
    return Ruling(refusal, throttle, level)


def _severity(entry: Entry) -> tuple[bool, int]:
    return entry.kind is ActionKind.DENY, entry.expires_ms


def _entry(action: Action) -> Entry:
    factor_ppm = PPM if action.factor is None else max(1, round(action.factor * PPM))
    return Entry(action.uid, action.kind, action.route, factor_ppm, action.level or 0, action.rule, action.expires_ms)


def _key(target: Target) -> str:
    if target.kind is TargetKind.GLOBAL:
        return "global:*"
    if target.kind is TargetKind.IP:
        try:
            return f"ip:{ip_address(target.value)}"
        except ValueError:
            return target.key
    return target.key


def _network(target: Target) -> tuple[tuple[int, int], int] | None:
    if target.kind is not TargetKind.IP or "/" not in target.value:
        return None
    try:
        network = ip_network(target.value, strict=False)
    except ValueError:
        return None
    host_bits = _ADDRESS_BITS[network.version] - network.prefixlen
    return (network.version, network.prefixlen), int(network.network_address) >> host_bits
