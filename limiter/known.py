"""What a node knows of shared limits without asking: what Redis last told, and what it gave out itself since.

A limit that is no bucket is known by the bucket that stands in for it (`shape.local()`), and by its last refusal.

From it come refusals that need no Redis (a bucket just heard to be empty fills by time only), the local share while
Redis does not answer (it begins where the shared bucket was last heard of, and no return of Redis refills it), and what
is owed to Redis for having given out locally. Pure: time is handed in. All times are of this node's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket, step, take
from limiter.matcher import Applied
from limiter.policy import PPM

BUCKETS_MAX: Final = 100_000
REFUSES_US: Final = 1_000_000  # so long a word of Redis is enough to refuse; a token given back elsewhere is seen then
LOCAL_SLOT: Final = "local"  # the slot of a request let in by this node alone
_Key = tuple[str, str]


@dataclass(slots=True)
class _Bucket:
    shared_us: int  # the shared bucket's tat when last heard of
    heard_us: int  # when that was
    whole_us: int  # the same with what was given out here since: the difference is owed
    share_us: int = 0  # tat of this node's share
    slot_us: int = 0  # of one slot of that
    refused: Taken | None = None  # the last word of Redis, where it was a refusal
    refused_of: Applied | None = None  # of that

    def owed_us(self, now_us: int) -> int:
        return max(0, self.whole_us - max(self.shared_us, now_us))


class Known:
    """What is known of at most `most` buckets; the longest untouched goes first.

    A share is a limit / the nodes x `factor_ppm`, and at most the limit.
    """

    def __init__(self, most: int = BUCKETS_MAX, factor_ppm: int = PPM) -> None:
        self._most = most
        self._factor_ppm = factor_ppm
        self._buckets: OrderedDict[_Key, _Bucket] = OrderedDict()
        self._owing: OrderedDict[_Key, Applied] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def owes(self) -> bool:
        """Whether anything given out here is still to be charged."""
        return bool(self._owing)

    def heard(self, one: Applied, taken: Taken, told_us: int, now_us: int, *, late: bool = False) -> None:
        """Redis said `taken` of `one`, when its clock was at `told_us`.

        `late`: nobody waited for it any more, and what it charged had been given out here.
        """
        bucket = self._bucket(one, now_us)
        owed_us = bucket.owed_us(now_us)
        if late:
            owed_us = max(0, owed_us - one.cost * one.shape.local().emission_us)
        bucket.shared_us = now_us + taken.tat_us - told_us
        bucket.heard_us = now_us
        bucket.whole_us = bucket.shared_us + owed_us
        bucket.refused, bucket.refused_of = (None, None) if taken.allowed else (taken, one)

    def refuses(self, applied: Sequence[Applied], now_us: int) -> list[Taken] | None:
        """What the limits of `applied` say where one is known to refuse; None where Redis has to be asked."""
        for one in applied:
            if self._refused(one, now_us) is not None:
                return [self._refused(each, now_us) or self._seen(each, now_us) for each in applied]
        return None

    def take(self, applied: Sequence[Applied], nodes: int, now_us: int) -> list[Taken]:
        """Takes what each of `applied` costs from a bucket of a `nodes`-th of its size, or nothing from any."""
        shares = self.shares(applied, nodes)
        buckets = [self._bucket(one, now_us) for one in applied]
        taken = [
            _taken(one, share, max(bucket.share_us, bucket.shared_us), now_us)
            for one, share, bucket in zip(applied, shares, buckets, strict=True)
        ]
        if all(each.allowed for each in taken):
            for one, share, bucket, each in zip(applied, shares, buckets, taken, strict=True):
                if one.look:
                    continue
                bucket.share_us = each.tat_us
                if isinstance(one.shape, Slots):  # they are free again before Redis could be told of them
                    bucket.slot_us = share.emission_us
                else:
                    bucket.whole_us = max(bucket.whole_us, now_us) + one.cost * one.shape.local().emission_us
                    self._owing[_key(one)] = one
        return taken

    def release(self, limit: str, identity: str, cost: int) -> None:
        """Frees what a concurrency limit gave out here; a share is never more than whole."""
        bucket = self._buckets.get((f"{Slots.algorithm}:{limit}", identity))
        if bucket is not None:
            bucket.share_us -= cost * bucket.slot_us

    def give_back(self, applied: Sequence[Applied], nodes: int) -> None:
        """Undoes an earlier `take` of all of `applied`."""
        for one, share in zip(applied, self.shares(applied, nodes), strict=True):
            bucket = self._buckets.get(_key(one))
            if bucket is not None and not one.look:
                bucket.share_us -= one.cost * share.emission_us
                back_us = one.cost * one.shape.local().emission_us
                bucket.whole_us = max(bucket.shared_us, bucket.whole_us - back_us)

    def shares(self, applied: Sequence[Applied], nodes: int) -> list[Bucket]:
        """The bucket that stands here for each limit, of which all nodes have one; it always has room for one cost."""
        whole_ppm = nodes * PPM
        part = min(self._factor_ppm, whole_ppm), whole_ppm
        return [_share(one, *part) for one in applied]

    def settle(self, most: int, now_us: int) -> list[tuple[Applied, int]]:
        """At most `most` buckets with what is owed to each, in microseconds; they owe no more. Time pays, too."""
        due: list[tuple[Applied, int]] = []
        while self._owing and len(due) < most:
            key, one = self._owing.popitem(last=False)
            bucket = self._buckets.get(key)
            if bucket is None:
                continue
            capacity_us = one.shape.local().capacity_us
            room_us = capacity_us - max(0, bucket.shared_us - now_us)  # a debt leaves a bucket empty, not emptier
            owed_us = min(bucket.owed_us(now_us), room_us)
            bucket.whole_us = bucket.shared_us
            if owed_us > 0:
                due.append((one, owed_us))
        return due

    def owe(self, one: Applied, owed_us: int) -> None:
        """What `settle` named could not be charged: it is owed again."""
        bucket = self._buckets.get(_key(one))
        if bucket is not None:
            bucket.whole_us += owed_us
            self._owing[_key(one)] = one

    def _refused(self, one: Applied, now_us: int) -> Taken | None:
        """The refusal Redis would answer, where that is certain: it says the same, or less, until then."""
        bucket = self._buckets.get(_key(one))
        if bucket is None or not 0 <= now_us - bucket.heard_us < REFUSES_US:
            return None
        shape = one.shape
        if isinstance(shape, Bucket | Queue):
            local = shape.local()
            short = bucket.shared_us + one.cost * local.emission_us - now_us > local.capacity_us
            return take(local, bucket.shared_us, one.cost, now_us) if short else None
        said, of = bucket.refused, bucket.refused_of
        if said is None or of is None or of.shape != shape or of.cost > one.cost or isinstance(shape, Slots):
            return None  # a slot may have been released since
        if said.retry_after_us is None:
            return said
        wait_us = said.retry_after_us - (now_us - bucket.heard_us)
        return replace(said, retry_after_us=wait_us) if wait_us > 0 else None

    def _seen(self, one: Applied, now_us: int) -> Taken:
        """What is to be said of a limit that does not refuse, beside one that does."""
        bucket = self._buckets.get(_key(one))
        seen = take(one.shape.local(), None if bucket is None else bucket.shared_us, 0, now_us)
        return replace(seen, allowed=True)

    def _bucket(self, one: Applied, now_us: int) -> _Bucket:
        key = _key(one)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(now_us, now_us - REFUSES_US, now_us)
            if len(self._buckets) > self._most:
                gone, _ = self._buckets.popitem(last=False)
                self._owing.pop(gone, None)
        else:
            self._buckets.move_to_end(key)
        return bucket


def _key(one: Applied) -> _Key:
    return one.state, one.identity


def _share(one: Applied, numerator: int, denominator: int) -> Bucket:
    share = one.shape.local().scaled(numerator, denominator, one.cost)
    if share.burst >= one.cost or one.cost > one.shape.limit:
        return share
    return Bucket(min(share.emission_us, CAPACITY_US_MAX // one.cost), one.cost)


def _taken(one: Applied, share: Bucket, tat_us: int, now_us: int) -> Taken:
    if one.look:
        return step(share, tat_us, one.cost, now_us, look=True)[0]
    taken = take(share, tat_us, one.cost, now_us)
    if taken.allowed and isinstance(one.shape, Slots):
        return replace(taken, slot=LOCAL_SLOT)
    if not taken.allowed or not isinstance(one.shape, Queue):
        return taken
    # Where a queue is stood in for, its requests wait for those before them.
    return replace(taken, delay_us=max(0, taken.tat_us - now_us - one.cost * share.emission_us))
