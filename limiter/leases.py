"""Tokens this node has taken from shared token buckets in lots, to serve from its memory. Pure: time is handed in.

    first check ─► Redis, exactly ─► soon another ─► Redis: its own tokens and a lot ─► memory, memory, memory ...
                                                        ▲                                     │ a quarter is left
                                                        └───────── background ◄───────────────┘ idle, or old: given back

A lot is what the identity used of late at this node in `HORIZON_US`, but at most a `SHARE * nodes`-th of what the
bucket has left, less what is held: so all nodes together never hold more than a `SHARE`-th of it. Small buckets and
nearly empty ones lend nothing and are asked each time. ADR 0013 states the bounds that follow.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Applied
from limiter.policy import State

SCRIPT: Final = Path(__file__).with_name("lease.lua").read_text(encoding="utf-8")
LEASES_MAX: Final = 50_000
SHARE: Final = 4
LOT_MIN: Final = 4
LOT_MAX: Final = 1 << 20
ASKING_US: Final = 1_000_000  # a lot that was asked for and did not come is given up
LOT_FIRST: Final = 16
GROWTH: Final = 4  # from one lot to the next, at most
HORIZON_US: Final = 500_000
LIFE_US: Final = 1_500_000  # older than that a lot serves nobody: it goes back
_Key = tuple[str, str]


def granted(
    bucket: Bucket, tat_us: int | None, cost: int, wanted: int, share: int, held: int, now_us: int
) -> tuple[bool, int, int]:
    """(taken, tat after, lot): `cost` tokens for a request and, if possible, a lot beyond: the oracle of lease.lua."""
    tat = min(max(now_us if tat_us is None else tat_us, now_us), now_us + bucket.capacity_us)
    after = tat + cost * bucket.emission_us
    if after - now_us > bucket.capacity_us:
        return False, tat, 0
    left = (bucket.capacity_us - (after - now_us)) // bucket.emission_us
    lot = min(wanted, left // share - held)
    if lot < LOT_MIN:
        lot = 0
    return True, after + lot * bucket.emission_us, lot


class Lease:
    """What is held for one identity under one limit, and how fast it goes.

    `left` tokens may be served before `until_us`; `tat_us` is the shared bucket's when last heard of, by this node's
    clock. At `low` or less it is time for the next lot.
    """

    __slots__ = (
        "asked", "asking_us", "at_us", "bucket", "burst", "capacity_us", "emission_us", "held", "left", "lot", "low",
        "name", "one", "since_us", "spare", "tat_us", "until_us", "window_ms",
    )  # fmt: skip

    def __init__(self, one: Applied, bucket: Bucket, now_us: int) -> None:
        self.one = one
        self.bucket = bucket
        # At hand, for the way of nearly every check:
        self.name, self.burst, self.emission_us = one.limit.name, bucket.burst, bucket.emission_us
        self.capacity_us, self.window_ms = bucket.capacity_us, -(-bucket.capacity_us // 1000)
        self.left = 0
        self.until_us = 0
        self.tat_us = now_us
        self.spare = 0  # tokens the shared bucket had then; beside what is held
        self.low = -1
        self.lot = 0  # the size of the last one
        self.held = 0  # `left` just after it
        self.asked = 0  # tokens Redis gave one check at a time since `since_us`
        self.since_us = now_us
        self.at_us = now_us  # when it was last put at the end of the line
        self.asking_us = 0  # Redis is being asked for a lot; after this nobody waits for its word any more

    @property
    def used(self) -> int:
        """Tokens used since `since_us`."""
        return self.asked + self.held - self.left

    def wants(self, now_us: int) -> int:
        """How many tokens the next lot should have; 0: so slow an identity asks each time."""
        elapsed_us = now_us - self.since_us
        if elapsed_us > LIFE_US:  # a new spell
            self.asked, self.held, self.since_us = 0, self.left, now_us
            return 0
        wanted = self.used * HORIZON_US // max(elapsed_us, 1_000)
        wanted = min(wanted, max(LOT_FIRST, self.lot * GROWTH), LOT_MAX)
        return wanted if wanted >= LOT_MIN else 0

    def seen(self, now_us: int) -> Taken:
        """What a client who was served may know: what is held, and what the bucket had when last heard of."""
        reset_us = max(0, self.tat_us - now_us - self.left * self.emission_us)
        return Taken(True, self.tat_us, self.left + self.spare, 0, reset_us)


class Leases:
    """The leases of one node, at most `most`; what no longer serves waits in line to be given back.

    `ran_low` is called when there is something in `low` that was empty.
    """

    def __init__(self, most: int = LEASES_MAX) -> None:
        self._most = most
        self.ran_low: Callable[[], None] = lambda: None
        self._leases: OrderedDict[_Key, Lease] = OrderedDict()  # the longest without a lot first
        self.low: list[Lease] = []  # these need their next lot soon
        self._back: OrderedDict[_Key, tuple[Applied, int]] = OrderedDict()  # microseconds of the bucket

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def held(self) -> int:
        """Tokens in hand."""
        return sum(lease.left for lease in self._leases.values())

    def holding(self, one: Applied, now_us: int) -> Lease | None:
        """The lease that can serve `one` now."""
        lease = None if one.look else self.find(one)
        return lease if lease is not None and lease.left >= one.cost and now_us < lease.until_us else None

    def asking(self, one: Applied, share: int, now_us: int) -> tuple[Lease, int] | None:
        """The lease of `one`, which is about to be asked of Redis, with the lot to ask for; None: no lot.

        The first check of an identity asks for none, so nothing is held for who comes once; nor do checks that only
        look, and limits that are tried out (shadow, canary).
        """
        bucket = one.shape
        if not isinstance(bucket, Bucket) or bucket.burst < share * LOT_MIN or not may_be_leased(one):
            return None
        lease = self.find(one)
        if lease is None:
            self._open(one, bucket, now_us).asked = one.cost
            return None
        lease.asked += one.cost
        if now_us < lease.asking_us or (wanted := lease.wants(now_us)) == 0:
            return None
        lease.asking_us = now_us + ASKING_US
        return lease, wanted

    def beside(self, one: Applied, taken: Taken) -> Taken:
        """What Redis said of `one`, with what is held here beside it."""
        lease = self._leases.get((one.limit.name, one.identity))
        if lease is None or not lease.left or not taken.allowed or one.shape != lease.bucket:
            return taken
        reset_us = max(0, taken.reset_us - lease.left * lease.bucket.emission_us)
        return replace(taken, remaining=min(lease.bucket.burst, taken.remaining + lease.left), reset_us=reset_us)

    def run_low(self, lease: Lease) -> None:
        """`lease` needs its next lot soon."""
        lease.low = -1
        self.low.append(lease)
        if len(self.low) == 1:
            self.ran_low()

    def refills(self, now_us: int) -> list[tuple[Lease, int]]:
        """The leases that ran low and want another lot, and of which size; none of them twice."""
        low, self.low = self.low, []
        found = [(lease, lease.wants(now_us)) for lease in low if now_us >= lease.asking_us]
        for lease, _ in found:
            lease.asking_us = now_us + ASKING_US
        return [(lease, wanted) for lease, wanted in found if wanted]

    def reserve(self, applied: Sequence[Applied], now_us: int) -> list[Lease | None]:
        """For each limit the lease that served it, None where none could."""
        held = [self.holding(one, now_us) for one in applied]
        for one, lease in zip(applied, held, strict=True):
            if lease is not None:
                lease.left -= one.cost
                if lease.left <= lease.low:
                    self.run_low(lease)
        return held

    def restore(self, applied: Sequence[Applied], held: Sequence[Lease | None]) -> None:
        """What `reserve` served is not used after all."""
        for one, lease in zip(applied, held, strict=True):
            if lease is None:
                continue
            if self._leases.get((one.limit.name, one.identity)) is lease:
                lease.left += one.cost
            else:
                self._give_back(lease, one.cost)

    def find(self, one: Applied) -> Lease | None:
        """The lease of `one`.

        A limit of another shape by now (a throttle, a brownout, their end), or that another policy no longer lends
        (`lease: off`, shadow, canary), loses it.
        """
        lease = self._leases.get((one.limit.name, one.identity))
        if lease is None or (lease.one.shape is one.shape and lease.one.limit is one.limit):
            return lease
        if lease.one.shape != one.shape or not may_be_leased(one):
            self._drop(lease)
            return None
        lease.one = one  # the limit of a new policy, that says the same
        return lease

    def _open(self, one: Applied, bucket: Bucket, now_us: int) -> Lease:
        lease = self._leases[one.limit.name, one.identity] = Lease(one, bucket, now_us)
        if len(self._leases) > self._most:
            self._drop(next(iter(self._leases.values())))
        return lease

    def lend(self, lease: Lease, lot: int, tat_us: int, now_us: int) -> None:
        """Redis lent `lot` tokens to `lease`, whose bucket is full again at `tat_us` by this node's clock.

        None at all: each check asks, until there is something to be had in advance.
        """
        lease.asking_us = 0
        lease.tat_us = tat_us
        key = (lease.one.limit.name, lease.one.identity)
        if self._leases.get(key) is not lease:  # dropped while it was under way
            self._give_back(lease, lot)
            return
        if lot <= 0:
            lease.low = -1
            return
        if now_us >= lease.until_us:
            self._empty(lease)
        lease.left += lot
        spare = (lease.capacity_us - max(0, tat_us - now_us)) // lease.emission_us
        lease.spare = max(0, min(spare, lease.burst - lease.left))
        lease.held, lease.lot, lease.low = lease.left, lot, lease.left // 4
        lease.asked, lease.since_us = 0, now_us
        lease.at_us, lease.until_us = now_us, now_us + LIFE_US
        self._leases.move_to_end(key)

    def lapse(self, now_us: int) -> None:
        """Leases without a lot for `LIFE_US` give back what is left; those nobody used since are forgotten."""
        for lease in list(self._oldest(now_us)):
            if not lease.used:
                self._drop(lease)
                continue
            asked = lease.used
            self._empty(lease)
            lease.asked, lease.at_us = asked, now_us
            self._leases.move_to_end((lease.one.limit.name, lease.one.identity))

    def clear(self) -> None:
        """All is to be given back (the node stops)."""
        for lease in list(self._leases.values()):
            self._drop(lease)

    def returns(self, most: int) -> list[tuple[Applied, int]]:
        """At most `most` buckets, with the microseconds to give back to each; they wait no more."""
        back: list[tuple[Applied, int]] = []
        while self._back and len(back) < most:
            back.append(self._back.popitem(last=False)[1])
        return back

    def _oldest(self, now_us: int) -> Iterator[Lease]:
        for lease in self._leases.values():
            if 0 <= now_us - lease.at_us < LIFE_US:  # below 0: the clock stepped back
                return
            yield lease

    def _drop(self, lease: Lease) -> None:
        self._leases.pop((lease.one.limit.name, lease.one.identity), None)
        self._empty(lease)

    def _empty(self, lease: Lease) -> None:
        self._give_back(lease, lease.left)
        lease.left = lease.held = 0
        lease.low = -1

    def _give_back(self, lease: Lease, tokens: int) -> None:
        if tokens <= 0:
            return
        key = (lease.one.limit.name, lease.one.identity)
        before_us = self._back[key][1] if key in self._back else 0
        self._back[key] = (lease.one, before_us + tokens * lease.bucket.emission_us)
        if len(self._back) > self._most:
            self._back.popitem(last=False)


def may_be_leased(one: Applied) -> bool:
    """Whether tokens of it may be held here; else every check asks."""
    return one.limit.lease and not one.look and one.limit.state is State.ENABLED
