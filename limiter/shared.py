"""Limits shared by all nodes, in Redis: one script call each, all of a request in one round trip."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha1
from itertools import islice
from typing import Any, Final, assert_never

import msgspec

from limiter.algorithms import concurrency
from limiter.algorithms import shape as algorithms
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.guarded import AWAY, PATIENCE_S, AwayError
from limiter.known import Known
from limiter.leases import LOT_MIN, SHARE, Lease, Leases, may_be_leased
from limiter.leases import SCRIPT as LOT_SCRIPT
from limiter.line import Hear, packed
from limiter.link import Command, Link
from limiter.matcher import Applied
from limiter.memo import Memo
from limiter.verdict import Slot
from schemas.keys import Keys

SETTLED_AT_ONCE: Final = 256
UNHELD_MAX: Final = 10_000
PACKED_MAX: Final = 20_000
_LOT: Final = "lot"
_TEXTS: Final = algorithms.SCRIPTS | {_LOT: LOT_SCRIPT}
_SHAS: Final = {name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _TEXTS.items()}
SCRIPTS: Final = tuple(_TEXTS.values())


class _Call(msgspec.Struct):
    """One script on the state of one limit for one identity: what it costs (negative: gives back), by which slot.

    With a `lease`, a lot comes for that beside. `command` is it packed, once it was.
    """

    one: Applied
    cost: int
    arguments: tuple[str, ...]
    slot: str = ""
    lease: Lease | None = None
    command: Command | None = None

    @property
    def script(self) -> str:
        """The name of the script."""
        return self.one.shape.algorithm if self.lease is None else _LOT


class SharedLimits:
    """Tells `known` whatever Redis says, also what it says too late.

    All but `take` raise `redis.RedisError`, `OSError` or `TimeoutError` when there is no answer within `deadline_ms`.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        deadline_ms: float,
        known: Known,
        leases: Leases,
        clock_ms: Callable[[], int],
        nodes: Callable[[], int],
    ) -> None:
        self._link = link
        self._keys = keys
        self._deadline_s = deadline_ms / 1000
        self._known = known
        self._leases = leases
        self._clock_ms = clock_ms
        self._nodes = nodes
        self._name = secrets.token_hex(8)  # slots are named after this node's life, so that no other releases them
        self._slots = 0
        self._packed: Memo[tuple[str, str, tuple[str, ...]], Command] = Memo(PACKED_MAX)
        self._same: Memo[int, _Call] = Memo(PACKED_MAX)  # by the identity of what is applied, which a call holds
        self._unheld: OrderedDict[str, Slot] = OrderedDict()
        self.has_unheld: Callable[[], None] = lambda: None

    @property
    def unheld(self) -> int:
        """Slots nobody holds that Redis was not told of: given too late, or not released in time. `free` tells it."""
        return len(self._unheld)

    async def take(self, applied: Sequence[Applied]) -> list[Taken | Exception]:
        """Takes what each of `applied` costs where there is enough; from those that only look, nothing.

        Who asks often gets a lot on lease with it. Never raises: what was not answered has the error in its place.
        """
        calls = [self._taking(one) for one in applied]
        try:
            replies = await self._link.ask(self._commands(calls), self._within_s(len(calls)), self._late(calls))
        except asyncio.CancelledError:
            self._nobody_holds(calls)
            raise
        answers = self._answers(calls, replies)
        late = [call for call, its in zip(calls, answers, strict=True) if type(its) is not Taken and _is_late(its)]
        if late:
            self._nobody_holds(late)
        return answers

    async def give_back(self, given: Sequence[tuple[Applied, Taken]]) -> None:
        """Undoes what an earlier `take` answered."""
        calls = [_call(one, -one.cost, its.slot) for one, its in given if not one.look]
        try:
            await self._ask(calls, self._within_s(len(calls)))
        except AWAY:
            self._nobody_holds(calls)
            raise

    async def release(self, slots: Sequence[Slot]) -> None:
        """Frees `slots`, whose leases may be over. What Redis could not be told of it is told when it answers."""
        try:
            await self._release(slots, self._within_s(len(slots)))
        except AWAY:
            self._remember(slots)
            raise

    async def _release(self, slots: Sequence[Slot], within_s: float) -> None:
        # As if there were no limit on slots and leases: what others hold stays as it is.
        any_slots = Slots(concurrency.TOKENS_MAX, concurrency.LEASE_US_MAX)
        commands = []
        for slot in slots:
            key = self._keys.limiter(f"{Slots.algorithm}:{slot.limit}", slot.identity)
            arguments = any_slots.arguments(-slot.cost, slot.id)
            commands.append((key, packed("EVALSHA", _SHAS[Slots.algorithm], "1", key, *arguments)))
        _raised(await self._link.ask(commands, within_s))

    async def free(self) -> None:
        """Releases what nobody holds: after a moment of a slow Redis those slots would be gone for their lease."""
        while slots := list(islice(self._unheld.values(), SETTLED_AT_ONCE)):
            await self._release(slots, PATIENCE_S)
            for slot in slots:
                self._unheld.pop(slot.id, None)

    async def refill(self, due: Sequence[tuple[Lease, int]]) -> None:
        """Asks for the next lot of each lease, of the size it wants."""
        share = SHARE * self._nodes()
        await self._ask([_lot(lease.one, 0, lease, wanted, share) for lease, wanted in due], PATIENCE_S)

    async def return_lots(self) -> None:
        """Gives back what serves no more, best effort: what fails on the way is lost until time fills it."""
        while due := self._leases.returns(SETTLED_AT_ONCE):
            await self._ask([_unused(one, unused_us) for one, unused_us in due], PATIENCE_S)

    async def settle(self) -> None:
        """Charges what was given out locally, best effort: what was not asked is owed on, what fails then is not."""
        await self._link.probe()
        while due := self._known.settle(SETTLED_AT_ONCE, self._clock_ms() * 1000):
            calls = [_charge(one, owed_us) for one, owed_us in due]
            replies = await self._link.ask(self._commands(calls), PATIENCE_S, self._late(calls))
            now_us = self._clock_ms() * 1000
            for call, (one, owed_us), reply in zip(calls, due, replies, strict=True):
                if isinstance(reply, AwayError):
                    self._known.owe(one, owed_us)
                elif not isinstance(reply, Exception):
                    self._heard(call, reply, now_us)
            _raised(replies)

    def _taking(self, one: Applied) -> _Call:
        same = self._same.get(id(one))
        if same is not None:
            return same
        share = SHARE * self._nodes()
        asking = self._leases.asking(one, share, self._clock_ms() * 1000)
        if asking is not None:
            return _lot(one, one.cost, *asking, share)
        if not isinstance(one.shape, Slots) or one.look or not one.cost:
            call = _call(one, one.cost, "")
            if not may_be_leased(one):
                self._same.put(id(one), call)
            return call
        self._slots += 1
        return _call(one, one.cost, f"{self._name}{self._slots:x}")

    def _nobody_holds(self, calls: Sequence[_Call]) -> None:
        self._remember(
            [Slot(call.one.limit.name, call.one.identity, call.slot, abs(call.cost)) for call in calls if call.slot]
        )

    def _remember(self, slots: Sequence[Slot]) -> None:
        self._unheld.update({slot.id: slot for slot in slots})
        while len(self._unheld) > UNHELD_MAX:
            self._unheld.popitem(last=False)
        if self._unheld:
            self.has_unheld()

    def _within_s(self, calls: int) -> float:
        return self._deadline_s + calls // 16 * 0.001  # a batch may take its own work longer

    async def _ask(self, calls: list[_Call], within_s: float) -> None:
        _raised(self._answers(calls, await self._link.ask(self._commands(calls), within_s, self._late(calls))))

    def _answers(self, calls: list[_Call], replies: Sequence[Any]) -> list[Taken | Exception]:
        now_us = self._clock_ms() * 1000
        return [
            reply if isinstance(reply, Exception) else self._heard(call, reply, now_us)
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _heard(self, call: _Call, reply: Sequence[int], now_us: int, *, late: bool = False) -> Taken:
        known = _told(call, reply)
        if call.lease is not None:
            self._leases.lend(call.lease, reply[2], now_us + known.tat_us - reply[-1], now_us)
        taken = self._leases.beside(call.one, known)
        charged = late and taken.allowed and call.cost > 0 and not call.one.look
        self._known.heard(call.one, known, reply[-1], now_us, late=charged)
        return msgspec.structs.replace(taken, slot=call.slot) if call.slot and taken.allowed else taken

    def _late(self, calls: list[_Call]) -> Hear:
        def hear(replies: list[Any]) -> None:
            now_us = self._clock_ms() * 1000
            for call, reply in zip(calls, replies, strict=True):
                if not isinstance(reply, Exception):
                    self._heard(call, reply, now_us, late=True)

        return hear

    def _commands(self, calls: list[_Call]) -> list[Command]:
        return [self._command(call) for call in calls]

    def _command(self, call: _Call) -> Command:
        """`call` packed; kept, for who asks every time asks the same."""
        if call.command is not None:
            return call.command
        one = call.one
        of = (one.state, one.identity, call.arguments)
        command = self._packed.get(of)
        if command is None:
            key = self._keys.limiter(one.state, one.identity)
            command = key, packed("EVALSHA", _SHAS[call.script], "1", key, *call.arguments)
            if call.cost == one.cost and call.lease is None and not call.slot:
                self._packed.put(of, command)
        call.command = command
        return command


def _is_late(its: Taken | Exception) -> bool:
    return isinstance(its, Exception) and not isinstance(its, AwayError)


def _told(call: _Call, reply: Sequence[int]) -> Taken:
    if call.lease is None:
        return call.one.shape.taken(call.cost, reply, look=call.one.look)
    allowed, after_us, _, told_us = reply
    return call.lease.bucket.taken(call.cost, (allowed, after_us, told_us))


def _call(one: Applied, cost: int, slot: str) -> _Call:
    return _Call(one, cost, one.shape.arguments(cost, slot, look=one.look), slot)


def _lot(one: Applied, cost: int, lease: Lease, wanted: int, share: int) -> _Call:
    bucket = lease.bucket
    numbers = (bucket.emission_us, wanted, share, lease.left, LOT_MIN)
    return _Call(one, cost, (*bucket.arguments(cost), *map(str, numbers)), lease=lease)


def _unused(one: Applied, unused_us: int) -> _Call:
    return _Call(one, -1, Bucket(1, one.shape.window_us).arguments(-unused_us))


def _charge(one: Applied, owed_us: int) -> _Call:
    """What was given out locally, `owed_us` of the bucket that stood in; with more room, so that it is not refused."""
    shape = one.shape
    match shape:
        case Bucket() | Queue():  # to the microsecond
            return _Call(one, 1, Bucket(1, shape.window_us + owed_us).arguments(owed_us))
        case FixedWindow() | SlidingLog() | SlidingCounter():
            tokens = owed_us // shape.local().emission_us
            return _Call(one, tokens, replace(shape, tokens=shape.tokens + tokens).arguments(tokens))
        case Slots():  # who holds a slot that Redis never gave has nothing to release there
            return _Call(one, 0, shape.arguments(0))
        case _ as never:
            assert_never(never)


def _raised(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
