"""What automation may not do: touch the allowlist or our own proxies, act too often, act on too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from schemas import networks
from schemas.action import Action, ActionKind, Target, TargetKind
from schemas.alert import Alert, Answer, EntityKind
from schemas.targets import plain

Network = IPv4Network | IPv6Network
RESTRICTIVE: Final = frozenset({ActionKind.DENY, ActionKind.CHALLENGE, ActionKind.THROTTLE})
SHARES: Final = frozenset({"live_share", "tenant_live_share"})
ALLOWLISTED: Final = "allowlisted"
CLIENTS: Final = frozenset({TargetKind.IP, TargetKind.KEY, TargetKind.USER})
MINUTE_MS: Final = 60_000
STRENGTH: Final = {ActionKind.NOTICE: 0, ActionKind.THROTTLE: 1, ActionKind.CHALLENGE: 2, ActionKind.DENY: 3}
_AT_SHARED_EXITS: Final = {ActionKind.DENY: ActionKind.CHALLENGE, ActionKind.THROTTLE: ActionKind.NOTICE}
ANSWERS: Final = {
    Answer.NOTICE: ActionKind.NOTICE,
    Answer.THROTTLE: ActionKind.THROTTLE,
    Answer.CHALLENGE: ActionKind.CHALLENGE,
    Answer.DENY: ActionKind.DENY,
}


class Harm(Enum):
    """What an answer would do to a client who is good: shut him out, or ask him something that he gets past."""

    SHUTS_OUT = "denied or throttled"
    ASKS = "challenged"


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds on automation: answers a minute, and the clients under action at once.

    At most `max(floor, share * live)` clients are under action: on a small site the share of thirty clients would be
    one, so `floor` lets a handful of attackers be answered however few clients are live, or known to be.

    They bound an outage of our own making, and a challenge makes none: it is counted apart, and does not use up what
    denials may take. Clients found one by one and those of campaigns are counted apart: five hundred bots are most of
    who is live, and good clients that fare well meanwhile vouch for it that no fault of the site is answered. So the
    challenges of a campaign have no share at all: that there are many of them must not protect attackers.
    """

    per_minute: int
    share: float
    floor: int
    campaign_share: float = 0.5
    tenant_share: float = 0.5  # of the answers a minute that one tenant's clients may take
    good_share: float = 0.05  # of those live with a good history: under action, in campaigns or not
    challenge_share: float = 0.25

    @property
    def tenant_per_minute(self) -> int:
        """Answers a minute to clients of one tenant."""
        return max(1, int(self.tenant_share * self.per_minute))

    def clients(self, live: int, harm: Harm, *, campaign: bool = False) -> int | None:
        """How many clients may be under action while `live` (0: unknown) are live; None: all of them."""
        if harm is Harm.ASKS:
            return None if campaign else max(self.floor, int(self.challenge_share * live))
        return max(self.floor, int((self.campaign_share if campaign else self.share) * live))


@dataclass(frozen=True, slots=True)
class Milder:
    """Why a guardrail has something milder done, a stable word and half a sentence, and what."""

    code: str
    reason: str
    kind: ActionKind


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a guardrail holds an answer back: a stable word and a sentence."""

    code: str
    reason: str


class Allowlist:
    """Targets nothing may be done to: exact `KIND:VALUE`s and networks. Looks an address up by prefix length."""

    def __init__(self, entries: Iterable[Target] = ()) -> None:
        self._exact: set[str] = set()
        self._networks: dict[tuple[int, int], set[int]] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Target) -> None:
        """Allow `entry`."""
        network = network_of(entry)
        if network is None:
            self._exact.add(entry.key)
        else:
            self._networks.setdefault((network.version, network.prefixlen), set()).add(_number(network))

    def covering(self, target: Target) -> str | None:
        """The entry that protects `target`, or None. An entry inside a wider target protects it too."""
        network, around = network_of(target), self.around(target)
        if network is None or around is not None:
            return around
        narrower = (of for of in self._networks if of[0] == network.version and of[1] > network.prefixlen)
        found = (_inside(network, length, self._networks[version, length]) for version, length in narrower)
        return next((entry for entry in found if entry is not None), None)

    def around(self, target: Target) -> str | None:
        """The entry that has all of `target` in it, or None."""
        if not self._exact and not self._networks:
            return None
        network = network_of(target)
        if network is None:
            return target.key if target.key in self._exact else None
        for (version, length), numbers in self._networks.items():
            if version == network.version and length <= network.prefixlen:
                wider = network.supernet(new_prefix=length)
                if _number(wider) in numbers:
                    return f"ip:{wider}"
        return None


class Minute:
    """Answers of the last 60 seconds. Bounded: it forgets the oldest beyond `size`, and the cap is at most that."""

    def __init__(self, size: int) -> None:
        self._times: deque[tuple[int, str | None]] = deque(maxlen=size)

    def add(self, at_ms: int, tenant: str | None = None) -> None:
        """An answer was given at `at_ms`, to a client of `tenant`."""
        self._times.append((at_ms, tenant))

    def count(self, now_ms: int, tenant: str | None = None) -> int:
        """Answers in (now - 60 s, now], and any dated later; of one tenant's clients."""
        while self._times and self._times[0][0] <= now_ms - MINUTE_MS:
            self._times.popleft()
        return len(self._times) if tenant is None else sum(one == tenant for _, one in self._times)


def network_of(target: Target) -> Network | None:
    """The addresses an `ip` target means; None for other kinds and for what is no address."""
    return _network(target.value) if target.kind is TargetKind.IP else None


@lru_cache(4096)  # an answer's target is held to one list after the other
def _network(text: str) -> Network | None:
    try:
        return networks.network(text)
    except ValueError:
        return None


def stopped(hold: Action | None) -> Refusal | None:
    """Whether `hold` lets nothing automatic be done."""
    return None if hold is None else Refusal("stopped", f"automation is stopped by {hold.owner}: {hold.reason}")


def protected(target: Target, allowed: Allowlist, proxies: Allowlist) -> Refusal | None:
    """Whether `target` is one automation may never touch."""
    if entry := allowed.covering(target):
        return Refusal(ALLOWLISTED, f"{target.key} is on the allowlist ({entry})")
    if entry := proxies.covering(target):
        return Refusal("own_proxy", f"{target.key} is a trusted proxy ({entry}): everyone behind it would be hit")
    if _LOOPBACK.covering(target):
        return Refusal("loopback", f"{target.key} is this machine, or everyone whom it stands before")
    return None


def milder(kind: ActionKind, alert: Alert, shared: int) -> Milder | None:
    """What to do instead of `kind`, where that would hit who is good; None: it may be done.

    An address at which `shared` accounts or more were seen in the last hour and did not fail is a shared exit, an
    office or a carrier's: in place of a denial there is a challenge, which whoever is a person there gets past. To ask
    much is what a crowd does, and limits refuse it what is too much: in place of a throttle people are told. A client
    with a history of its own gets no harsher answer than its family asks for.
    """
    instead = _AT_SHARED_EXITS.get(kind)
    if instead is not None and alert.entity.kind is EntityKind.IP and alert.accounts >= shared:
        why = f"{alert.accounts} accounts were fine there in the last hour, so it is shared"
        return Milder("shared_exit", why, instead)
    asked = ANSWERS[alert.answer]
    if alert.established and STRENGTH[kind] > STRENGTH[asked]:
        return Milder("known_good", "it has a good history, and its family asks for no more", asked)
    return None


def asked_first(kind: ActionKind, alert: Alert, step: int, times: int) -> Milder | None:
    """Whether he who is to be denied is asked instead, for he comes with a browser; `step`: the rung.

    Whoever is a person gets past a challenge, and a program that only says it is a browser does not. Who goes on though
    he was asked on `times` rungs is denied.
    """
    if kind is not ActionKind.DENY or not alert.browser or step > times:
        return None
    return Milder(
        "browser", "most of these requests name a browser, so somebody may be there to answer", ActionKind.CHALLENGE
    )


def harm(kind: ActionKind) -> Harm:
    """What an answer of that kind would do to a client who is good."""
    return Harm.ASKS if kind is ActionKind.CHALLENGE else Harm.SHUTS_OUT


def in_its_place(kind: ActionKind, refusal: Refusal) -> Milder | None:
    """What is done where `refusal` holds an answer of that kind back; None: nothing is.

    Where too many are denied already for one more, he is asked: had he been good, nothing is lost.
    """
    if kind is not ActionKind.DENY or refusal.code not in SHARES:
        return None
    return Milder(refusal.code, refusal.reason, ActionKind.CHALLENGE)


def over_cap(caps: Caps, minute: int, under: int, live: int, of: Harm, *, campaign: bool = False) -> Refusal | None:
    """Whether one more answer on one more client would pass a cap.

    `under`: clients that an answer does this harm to, in a `campaign` all of them, else those found one by one.
    """
    if minute >= caps.per_minute:
        return Refusal("actions_per_minute", f"{minute} answers in the last minute, at most {caps.per_minute}")
    limit = caps.clients(live, of, campaign=campaign)
    if limit is not None and under >= limit:
        known = f"{live} live clients" if live else "an unknown number of live clients"
        return Refusal("live_share", f"{under} of {known} are {of.value}, at most {limit}")
    return None


def over_cap_of_good(caps: Caps, under_action: int, good: int) -> Refusal | None:
    """The same for clients with a good history: many of them at once are a fault of the site, or of ours.

    `good`: how many of them are live, 0: unknown.
    """
    limit = max(caps.floor, int(caps.good_share * good))
    if under_action < limit:
        return None
    known = f"{good} live clients" if good else "an unknown number of live clients"
    return Refusal("good_share", f"{under_action} of {known} with a good history are under action, at most {limit}")


def over_cap_of_tenant(
    caps: Caps, tenant: str, minute: int, under: int, live: int, of: Harm, *, campaign: bool = False
) -> Refusal | None:
    """The same for one tenant: its answers a minute leave room for others', and its clients are not shut out."""
    most = caps.tenant_per_minute
    if minute >= most:
        why = f"{minute} answers in the last minute to clients of {tenant}, at most {most} to one tenant's"
        return Refusal("tenant_actions_per_minute", why)
    limit = caps.clients(live, of, campaign=campaign)
    if limit is not None and under >= limit:
        known = f"{live} live clients" if live else "an unknown number of live clients"
        return Refusal("tenant_live_share", f"{under} of {tenant}'s {known} are {of.value}, at most {limit}")
    return None


def restricts(action: Action) -> bool:
    """Whether a client feels it."""
    return action.kind in RESTRICTIVE


def _number(network: Network) -> int:
    return int(network.network_address)


def _inside(network: Network, length: int, numbers: set[int]) -> str | None:
    first, last = int(network.network_address), int(network.broadcast_address)
    found = min((number for number in numbers if first <= number <= last), default=None)
    if found is None:
        return None
    address = network.network_address + (found - first)
    return f"ip:{plain(ip_network((str(address), length)))}"


_LOOPBACK: Final = Allowlist(Target(kind=TargetKind.IP, value=text) for text in ("127.0.0.0/8", "::1"))
