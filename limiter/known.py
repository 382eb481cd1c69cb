"""What a node knows of shared buckets without asking: what Redis last told, and what it gave out itself since.

From it come refusals that need no Redis (a bucket just heard to be empty fills by time only), the local share while
Redis does not answer (it begins where the shared bucket was last heard of, and no return of Redis refills it), and what
is owed to Redis for having given out locally. Pure: time is handed in. All times are of this node's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import take
from limiter.matcher import Applied

BUCKETS_MAX: Final = 100_000
REFUSES_US: Final = 1_000_000  # so long a word of Redis is enough to refuse; a token given back elsewhere is seen then
_Key = tuple[str, str]


@dataclass(slots=True)
class _Bucket:
    shared_us: int  # the shared bucket's tat when last heard of
    heard_us: int  # when that was
    whole_us: int  # the same with what was given out here since: the difference is owed
    share_us: int = 0  # tat of this node's share

    def owed_us(self, now_us: int) -> int:
        return max(0, self.whole_us - max(self.shared_us, now_us))


class Known:
    """What is known of at most `most` buckets; the longest untouched goes first."""

    def __init__(self, most: int = BUCKETS_MAX) -> None:
        self._most = most
        self._buckets: OrderedDict[_Key, _Bucket] = OrderedDict()
        self._owing: OrderedDict[_Key, Applied] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def owes(self) -> bool:
        """Whether anything given out here is still to be charged."""
        return bool(self._owing)

    def heard(self, one: Applied, ahead_us: int, now_us: int, *, late: bool = False) -> None:
        """Redis said that the bucket of `one` is full again in `ahead_us`.

        `late`: nobody waited for it any more, and what it charged had been given out here.
        """
        bucket = self._bucket(one, now_us)
        owed_us = bucket.owed_us(now_us)
        if late:
            owed_us = max(0, owed_us - one.cost * one.shape.local().emission_us)
        bucket.shared_us = now_us + ahead_us
        bucket.heard_us = now_us
        bucket.whole_us = bucket.shared_us + owed_us

    def refuses(self, applied: Sequence[Applied], now_us: int) -> list[Taken] | None:
        """What the buckets of `applied` say where one is known to refuse; None where Redis has to be asked."""
        get = self._buckets.get
        for one in applied:
            bucket = get((one.limit.name, one.identity))
            if (
                bucket is not None
                and bucket.shared_us + one.cost * one.shape.local().emission_us - now_us > one.shape.local().capacity_us
                and 0 <= now_us - bucket.heard_us < REFUSES_US
            ):
                return [take(each.shape.local(), self._shared(each), each.cost, now_us) for each in applied]
        return None

    def take(self, applied: Sequence[Applied], nodes: int, now_us: int) -> list[Taken]:
        """Takes what each of `applied` costs from a bucket of a `nodes`-th of its size, or nothing from any."""
        shares = [one.shape.local().scaled(1, nodes, one.cost) for one in applied]
        buckets = [self._bucket(one, now_us) for one in applied]
        taken = [
            take(share, max(bucket.share_us, bucket.shared_us), one.cost, now_us)
            for one, share, bucket in zip(applied, shares, buckets, strict=True)
        ]
        if all(each.allowed for each in taken):
            for one, bucket, each in zip(applied, buckets, taken, strict=True):
                bucket.share_us = each.tat_us
                bucket.whole_us = max(bucket.whole_us, now_us) + one.cost * one.shape.local().emission_us
                self._owing[one.limit.name, one.identity] = one
        return taken

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

    def _shared(self, one: Applied) -> int | None:
        bucket = self._buckets.get((one.limit.name, one.identity))
        return bucket.shared_us if bucket is not None else None

    def _bucket(self, one: Applied, now_us: int) -> _Bucket:
        key = (one.limit.name, one.identity)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(now_us, now_us - REFUSES_US, now_us)
            if len(self._buckets) > self._most:
                gone, _ = self._buckets.popitem(last=False)
                self._owing.pop(gone, None)
        else:
            self._buckets.move_to_end(key)
        return bucket
