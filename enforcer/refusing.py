"""Whether guardrails let an answer be given, as things stand. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from enforcer import guardrails, wording
from enforcer.crawlers import Crawlers
from enforcer.guardrails import Caps, Refusal, protected
from enforcer.standing import Standing
from schemas.action import Action, Target, TargetKind
from schemas.alert import Alert

TENANTS_MAX: Final = 10_000


class Guard:
    """Asks one guardrail after the other. `live` is how many clients are alive, 0: unknown."""

    def __init__(
        self, standing: Standing, caps: Caps, proxies: Iterable[Target], crawlers: Crawlers, *, dry_run: bool
    ) -> None:
        self._standing = standing
        self._caps = caps
        self._proxies = guardrails.Allowlist(proxies)
        self._crawlers = crawlers
        self._dry_run = dry_run
        self.live = 0
        self.good = 0  # of them, those with a good history
        self._live_of: OrderedDict[str, int] = OrderedDict()

    def of_alert(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may answer `alert` now."""
        if action.target.kind is TargetKind.IP and guardrails.network_of(action.target) is None:
            return Refusal("no_address", f"{action.target.value[:80]!r} is no address")
        stale = _stale(alert, action, now_ms) if guardrails.restricts(action) else None
        return self._forbidden(action) or stale if stale is not None else self.of(action, now_ms)

    def of_demand(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may ask for a brownout now."""
        refusal = guardrails.stopped(self._standing.hold) or _stale(alert, action, now_ms)
        return refusal or (Refusal("dry_run", "dry run") if self._dry_run else None)

    def of(self, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may be done now."""
        if not guardrails.restricts(action):
            return None
        if refusal := self._forbidden(action):
            return refusal
        standing, minute = self._standing, self._standing.minute.count(now_ms)
        under, harm, campaign = self._under(action, None), guardrails.harm(action.kind), action.campaign is not None
        if refusal := guardrails.over_cap(self._caps, minute, under, self.live, harm, campaign=campaign):
            return refusal
        good = standing.good_under(action.target) if action.established else -1
        if refusal := guardrails.over_cap_of_good(self._caps, good, self.good) or self._of_tenant(action, now_ms):
            return refusal
        return Refusal("dry_run", "dry run") if self._dry_run else None

    def hear(self, alert: Alert, partitions: int) -> None:
        """Know how many clients are alive, as `alert` says of one of so many partitions."""
        if alert.live_clients:
            self.live, self.good = alert.live_clients * partitions, alert.good_clients * partitions
        if alert.tenant is not None and alert.tenant_clients:
            self._live_of[alert.tenant] = alert.tenant_clients * partitions
            self._live_of.move_to_end(alert.tenant)
            if len(self._live_of) > TENANTS_MAX:
                self._live_of.popitem(last=False)

    def _of_tenant(self, action: Action, now_ms: int) -> Refusal | None:
        tenant, harm, campaign = action.tenant, guardrails.harm(action.kind), action.campaign is not None
        if tenant is None:
            return None
        minute, live = self._standing.minute.count(now_ms, tenant), self._live_of.get(tenant, 0)
        under = self._under(action, tenant)
        return guardrails.over_cap_of_tenant(self._caps, tenant, minute, under, live, harm, campaign=campaign)

    def _under(self, action: Action, tenant: str | None) -> int:
        """How many suffer already what `action` does; -1: its target is one of them."""
        harm, alone = guardrails.harm(action.kind), action.campaign is None
        one_of_them = self._standing.suffers(action.target, harm, alone=alone)
        return -1 if one_of_them else self._standing.under(harm, alone=alone, tenant=tenant)

    def _forbidden(self, action: Action) -> Refusal | None:
        standing = self._standing
        if refusal := guardrails.stopped(standing.hold) or protected(action.target, standing.allowed, self._proxies):
            return refusal
        crawler = self._crawlers.covering(action.target)
        return (
            Refusal("verified_bot", f"{crawler} comes from {action.target.key}, as it publishes") if crawler else None
        )


def _stale(alert: Alert, action: Action, now_ms: int) -> Refusal | None:
    if now_ms - alert.last_ms <= action.expires_ms - action.created_ms:
        return None
    ago = wording.length((now_ms - alert.last_ms) // 1000)
    return Refusal("stale", f"its last evidence is {ago} old, older than the answer would last")
