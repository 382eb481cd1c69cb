"""Overrides against what they mean: a list of actions, read from end to end for every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from limiter_world import action

from limiter.matcher import Identity
from limiter.overrides import Overrides
from schemas.action import Action, ActionKind, ActionStatus, TargetKind
from schemas.exempt import exempt_addresses, exempt_pairs

NOW_MS = 1_764_000_000_000
IPS = ["192.0.2.7", "192.0.2.200", "198.51.100.1", "2001:db8::7", "2001:db8:0:1::7", "no address"]
TARGETS = [
    *(f"ip:{ip}" for ip in IPS[:5]), "ip:192.0.2.0/24", "ip:192.0.2.128/25", "ip:0.0.0.0/0", "ip:2001:db8::/64",
    "ip:2001:db8::/32", "key:k1", "key:k2", "user:ann", "user:bob", "tenant:acme", "route:/login", "route:/items",
    "global:*", "asn:64500", "country:DE",
]  # fmt: skip
EXEMPT = [
    None,
    exempt_addresses(["192.0.2.7", "2001:db8::/64"]),
    exempt_addresses([]),
    exempt_pairs([("ann", "192.0.2.7"), ("bob", "2001:db8::1")]),
]
RESTRICTS = (ActionKind.DENY, ActionKind.CHALLENGE, ActionKind.THROTTLE)
maybe = st.sampled_from


@dataclass(frozen=True)
class Asked:
    identity: Identity
    route: str
    tier: str
    attributes: dict[str, str] | None


asked = st.builds(
    Asked,
    st.builds(
        Identity, maybe([None, *IPS]), maybe([None, "k1", "k2"]), maybe([None, "ann", "bob"]), maybe([None, "acme"])
    ),
    maybe(["/login", "/items"]),
    maybe(["free", "gold"]),
    maybe([None, {"asn": "64500"}, {"asn": "64501", "country": "DE"}]),
)


@dataclass
class Listed:
    """The reference."""

    actions: dict[str, Action] = field(default_factory=dict)

    def judge(self, one: Asked, now_ms: int) -> tuple[str | None, set[str], int, bool]:
        stand = [a for a in self.actions.values() if a.expires_ms > now_ms]
        stopped = any(a.kind is ActionKind.HOLD for a in stand)
        found = [a for a in stand if _means(a, one) and not (stopped and a.owner == "auto" and a.kind in RESTRICTS)]
        if any(a.kind is ActionKind.ALLOW for a in found):
            return None, set(), 0, True
        refusals = [a for a in found if a.kind in (ActionKind.DENY, ActionKind.CHALLENGE)]
        refusal = max(refusals, key=lambda a: (a.kind is ActionKind.DENY, a.expires_ms, a.uid), default=None)
        throttles = {a.uid for a in found if a.kind is ActionKind.THROTTLE}
        level = max((a.level or 0 for a in found if a.kind is ActionKind.BROWNOUT), default=0)
        return refusal and refusal.uid, throttles, level, False


def _means(one: Action, asked: Asked) -> bool:
    who = asked.identity
    values = {
        TargetKind.KEY: who.key_id, TargetKind.USER: who.user, TargetKind.TENANT: who.tenant, TargetKind.GLOBAL: "*",
        TargetKind.ROUTE: asked.route, TargetKind.ASN: (asked.attributes or {}).get("asn"),
        TargetKind.COUNTRY: (asked.attributes or {}).get("country"),
    }  # fmt: skip
    if one.target.kind is TargetKind.IP:
        hit = _inside(who.ip, one.target.value)
    else:
        hit = values[one.target.kind] == one.target.value
    return hit and one.route in (None, asked.route) and one.tier in (None, asked.tier) and not _spared(one, who)


def _inside(ip: str | None, network: str) -> bool:
    if ip is None or ip == "no address":
        return False
    address = ip_address(ip)
    return address.version == ip_network(network).version and address in ip_network(network)


def _spared(one: Action, who: Identity) -> bool:
    if one.exempt is EXEMPT[1]:
        return who.ip == "192.0.2.7" or _inside(who.ip, "2001:db8::/64")
    if one.exempt is EXEMPT[3]:
        return (who.user, who.ip) == ("ann", "192.0.2.7") or (who.user == "bob" and _inside(who.ip, "2001:db8::/64"))
    return False


class OverridesEqualTheList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.overrides = Overrides()
        self.listed = Listed()

    @rule(
        uid=maybe([*(f"{n:032x}" for n in range(12)), "by hand", "F" * 32]),
        kind=maybe(["deny", "challenge", "throttle", "brownout", "allow", "notice", "hold"]),
        aim=maybe(TARGETS),
        seconds=st.integers(0, 50),
        route=maybe([None, None, "/login"]),
        tier=maybe([None, None, "free"]),
        exempt=maybe(EXEMPT),
        owner=maybe(["auto", "cli:ann"]),
        status=maybe([ActionStatus.ACTIVE] * 4 + [ActionStatus.LIFTED]),
    )
    def put(self, uid: str, kind: str, aim: str, seconds: int, status: ActionStatus, **scope: object) -> None:
        more = {"throttle": {"factor": 0.5}, "brownout": {"level": 1 + seconds % 4}}.get(kind, {})
        one = action(kind, aim, uid, status=status, expires_ms=self.now_ms + seconds * 1000, **more)
        one = one.model_copy(update=scope)
        self.overrides.put(one, self.now_ms)
        self.listed.actions.pop(uid, None)
        if status is ActionStatus.ACTIVE and seconds and kind != "notice":
            self.listed.actions[uid] = one

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        uid = data.draw(maybe([*self.listed.actions, "unknown"]))
        self.overrides.remove(uid)
        self.listed.actions.pop(uid, None)

    @rule(data=st.data())
    def take_a_snapshot_of_some(self, data: st.DataObject) -> None:
        kept = [one for one in self.listed.actions.values() if data.draw(st.booleans())]
        self.overrides.replace(kept, self.now_ms)
        self.listed.actions = {one.uid: one for one in kept}

    @rule(ms=st.integers(1, 30_000))
    def let_time_pass(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def sweep(self) -> None:
        sum(self.overrides.sweep(self.now_ms))
        self.listed.actions = {uid: a for uid, a in self.listed.actions.items() if a.expires_ms > self.now_ms}
        assert len(self.overrides) == sum(a.kind is not ActionKind.HOLD for a in self.listed.actions.values())

    @rule(one=asked)
    def ask(self, one: Asked) -> None:
        ruling = self.overrides.judge(one.identity, one.route, self.now_ms, one.tier, one.attributes)
        said = (
            ruling.refusal and ruling.refusal.uid,
            {entry.uid for entry in ruling.throttles},
            ruling.level,
            ruling.allowed is not None,
        )
        assert said == self.listed.judge(one, self.now_ms)

    @invariant()
    def nothing_is_left_behind(self) -> None:
        held = self.overrides._entries
        assert len(held._uids.shards) == 64
        assert held._uids.size == held.count
        assert held.count + len(held._free) + 1 == len(held.rank)
        assert len(held._terms_at) == len(held._terms) - len(held._terms_free)


TestOverridesEqualTheList = OverridesEqualTheList.TestCase
TestOverridesEqualTheList.settings = profile(max_examples=150, stateful_step_count=40, deadline=None)
