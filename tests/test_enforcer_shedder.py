"""The leader's loop, without servers: what it writes comes back to it, and people's words go before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from enforcer.brownout import Rules
from enforcer.drafts import lifted
from enforcer.health import Sums
from enforcer.ladder import Ladder
from enforcer.leadership import PARTITION, Leadership
from enforcer.ledger import Ledger
from enforcer.shedder import Shedder
from schemas.action import Action

NOW = 1_750_000_000_000
FAILING = Sums(100, 90, 100_000.0, 100)


class Site:
    """A site that fails, and the leader of its enforcers; `written` waits until `deliver` has it come back."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.ledger = Ledger(Ladder(4.0, 1000, 86_400))
        self.written: list[Action] = []
        self.offset = 0
        leadership = Leadership(lambda: 0.0)
        leadership.assigned([PARTITION])
        leadership.proven(0.0)
        self.shedder = Shedder(
            Rules(), self.ledger, leadership, tail=lambda: self, publish=self.publish, tell=self.tell,  # type: ignore[arg-type,return-value] # reads and closes as a tail does
            clock_ms=lambda: self.now_ms, acts=True,
        )  # fmt: skip

    def read(self, _: float) -> Sums:
        return FAILING

    def close(self) -> None:
        """Nothing is held."""

    async def publish(self, actions: Sequence[Action]) -> None:
        self.written += actions

    async def tell(self, told: dict[str, Any]) -> None:
        """Nobody looks."""

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            self.now_ms += 1000
            await self.shedder.turn()
            self.deliver()

    def deliver(self, *before: Action) -> None:
        told, self.written = [*before, *self.written], []
        while told:
            action = told.pop(0)
            folded = self.ledger.fold(action.uid, action, 0, self.offset)
            self.offset += 1
            told += [folded.again] if folded.again is not None else []

    def in_force(self) -> list[Action]:
        return list(self.ledger.in_force())


@pytest.mark.parametrize("first", ["somebody", "leader"])
async def test_a_brownout_renewed_in_the_moment_somebody_clears_it_ends(first: str) -> None:
    site = Site()
    await site.seconds(8)
    (begun,) = site.in_force()
    while not site.written:  # it rises or is renewed, and that is on its way
        site.now_ms += 1000
        await site.shedder.turn()
    word = lifted(begun, site.now_ms, "cli:ann", "enough")
    if first == "somebody":
        site.deliver(word)
    else:
        site.deliver()
        site.deliver(word)
    assert site.in_force(), "the next one stands"
    await site.seconds(2)
    assert site.in_force() == []
    await site.seconds(Rules().rest_s - 5)
    assert site.in_force() == [], "and it is not contradicted for a while"
