"""Leaky bucket as a queue: requests pass one by one, `emission_us` apart; who comes early is told how long to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
WAIT_US_MAX: Final = 60_000_000  # longer than that clients do not wait


@dataclass(frozen=True, slots=True)
class Queue:
    """One token passes every `emission_us`; besides the one that passes now, at most `size` wait."""

    algorithm: ClassVar[str] = "leaky_bucket"
    emission_us: int
    size: int

    @property
    def limit(self) -> int:
        """What may come at once: one passes, the others wait."""
        return self.size + 1

    @property
    def window_us(self) -> int:
        """Time in which a full queue is worked off."""
        return self.emission_us * self.limit

    def scaled(self, numerator: int, denominator: int, cost: int) -> Queue:
        """The queue at `numerator / denominator` of its rate and size, but never too small for one `cost`."""
        bucket = self.local().scaled(numerator, denominator, cost)
        return Queue(bucket.emission_us, bucket.burst - 1)

    def local(self) -> Bucket:
        """A bucket that lets in what the queue would."""
        return Bucket(self.emission_us, self.limit)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:
        """What the script is called with to let in `cost`, take it out again (negative), or look."""
        return self.local().arguments(cost, slot, look=look)

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:
        """What the script's `reply` to that means."""
        let_in, delay_us, free_us, now_us = reply
        work_us, ahead_us = cost * self.emission_us, free_us - now_us
        remaining = self.limit - -(-ahead_us // self.emission_us)
        if delay_us + work_us <= self.window_us if look else let_in == 1:
            return Taken(True, free_us, remaining, 0, ahead_us, delay_us if cost > 0 else 0)
        retry_after_us = None if cost > self.limit else delay_us + work_us - self.window_us
        return Taken(False, free_us, remaining, retry_after_us, ahead_us)


def step(queue: Queue, free_us: int | None, cost: int, now_us: int, *, look: bool = False) -> tuple[Taken, int | None]:
    """Lets `cost` into `queue`, which is empty at `free_us` (None: is empty): the answer, and the state that is kept.

    A refused request changes nothing; a negative `cost` takes out what an earlier one put in.
    """
    held = now_us if free_us is None else free_us
    free = min(max(held, now_us), now_us + queue.window_us)
    delay_us, work_us = free - now_us, 0 if look else cost * queue.emission_us
    let_in = work_us < 0 or delay_us + work_us <= queue.window_us
    after = max(free + work_us, now_us) if let_in else free
    kept = free_us
    if held > free or (let_in and work_us):
        kept = after if after > now_us else None
    return queue.taken(cost, (int(let_in), delay_us, after, now_us), look=look), kept
