"""Writes enforcement into Redis: deltas by the one script, and the whole snapshot when there is none."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from redis.asyncio import Redis

from enforcer import records
from enforcer.ledger import Change, Ledger, Op
from schemas.action import Action, Target
from schemas.keys import Keys

FEED_MAX: Final = 10_000
CHUNK: Final = 500
APPLIED_MAX: Final = 32  # deltas of one call: Redis serves nobody else meanwhile, for about half a millisecond
BUILT_MAX: Final = 100  # actions of a call, of a snapshot that is being made: as long
BUILDING_MS: Final = 60_000
SNAPSHOT_FIELDS: Final = frozenset({"version", "id", "epoch"})
_NUMBERED: Final = re.compile(rb'"version":\d+')  # the field, as in enforce.lua
_SCRIPT: Final = (Path(__file__).parent / "enforce.lua").read_text(encoding="utf-8")
_T = TypeVar("_T")


class What(StrEnum):
    """What the script did; enforce.lua explains each."""

    DONE = "done"
    SAME = "same"
    STALE = "stale"
    ABSENT = "absent"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Written:
    """The script's answer: the snapshot's version and epoch after it, and the writer's clock."""

    what: What
    version: int
    epoch: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The snapshot as it is in Redis: its version, epoch, and the last offset of `actions` in it by partition."""

    version: int
    epoch: str
    applied: dict[int, int]


class Writer:
    """One Redis. Raises `redis.RedisError` whenever Redis does not answer; whoever calls tries again."""

    def __init__(self, client: Redis, keys: Keys, clock_ms: Callable[[], int]) -> None:
        self._redis = client
        self._keys = keys
        self._clock_ms = clock_ms
        self._script = client.register_script(_SCRIPT)
        self._applied = keys.applied

    async def apply(self, changes: Sequence[Change]) -> list[Written]:
        """Put some deltas in force, in their order, at once. One applied before changes nothing.

        One answer, `ABSENT`, where there is no snapshot: then none is applied.
        """
        args: list[str | bytes | int] = ["apply", self._clock_ms(), FEED_MAX]
        for change in changes:
            stands = change.stands
            args += [
                change.op, change.partition, change.offset, change.action.uid,
                records.encode(change.action) if change.op is Op.PUT else "",
                records.encode(stands) if stands else "", stands.expires_ms if stands else 0,
            ]  # fmt: skip
        return await self._run([self._target(change.action.target) for change in changes], args)

    async def seen(self) -> Seen | None:
        """What Redis holds; None when there is no snapshot."""
        version, epoch = await _reply(self._redis.hmget(self._keys.enforcement, ["version", "epoch"]))
        if version is None:
            return None
        applied = await _reply(self._redis.hgetall(self._applied))
        return Seen(int(version), _text(epoch), {int(part): int(offset) for part, offset in applied.items()})

    async def install(self, ledger: Ledger, seen: Seen | None, version_min: int) -> Written:
        """Put the ledger in place as a new snapshot with a new epoch, unless another did so since `seen`."""
        building = f"{self._keys.enforcement}:new:{uuid.uuid4().hex}"
        # As of now: the ledger goes on while this waits for Redis, and what it takes in meanwhile comes as deltas.
        actions, offsets = list(ledger.in_force()), dict(ledger.offsets)
        for some in _chunks(iter(actions), BUILT_MAX):
            await self._build(building, some, ledger)
        epoch = uuid.uuid4().hex
        args: list[str | bytes | int] = ["install", self._clock_ms(), seen.epoch if seen else "", epoch, version_min]
        for partition, offset in offsets.items():
            args += [partition, offset]
        return (await self._run([building], args))[0]

    async def _build(self, building: str, actions: Sequence[Action], ledger: Ledger) -> None:
        args: list[str | bytes | int] = ["build", BUILDING_MS]
        for action in actions:
            stands = ledger.stands_on(action.target) or action
            args += [action.uid, records.encode(action), "" if stands is action else records.encode(stands)]
            args.append(stands.expires_ms)
        await self._run([building, *(self._target(action.target) for action in actions)], args)

    async def pending(self, actions: Sequence[Action]) -> None:
        """Show `actions`, and no others, as what waits for somebody's word."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(self._keys.pending)
            if actions:
                pipe.hset(self._keys.pending, mapping={action.uid: records.encode(action) for action in actions})
            await pipe.execute()

    async def reconcile(self, ledger: Ledger) -> int:
        """Make the snapshot what the ledger says, by deltas; how many it took. Skips what is ahead of the ledger."""
        there: dict[str, bytes] = {}
        async for uid, value in self._redis.hscan_iter(self._keys.enforcement, count=CHUNK):
            there[_text(uid)] = value
        for name in SNAPSHOT_FIELDS:
            there.pop(name, None)
        wanted = {action.uid: action for action in ledger.in_force()}
        changes = [_removal(ledger, value) for uid, value in there.items() if not _agrees(value, wanted.get(uid))]
        changes += [
            Change(Op.PUT, action, ledger.stands_on(action.target), *ledger.position(action.target))
            for uid, action in wanted.items()
            if not _agrees(there.get(uid), action)
        ]
        for some in _chunks(iter(changes), APPLIED_MAX):
            await self.apply(some)
        return len(changes)

    def _target(self, target: Target) -> str:
        return self._keys.target(target.kind, target.value)

    async def _run(self, more: list[str], args: list[str | bytes | int]) -> list[Written]:
        keys = [self._keys.enforcement, self._keys.feed, self._applied, *more]
        epoch, *pairs = await self._script(keys=keys, args=args)
        at_ms = self._clock_ms()
        return [
            Written(What(_text(what)), int(version), _text(epoch), at_ms)
            for what, version in zip(pairs[::2], pairs[1::2], strict=True)
        ]


def _removal(ledger: Ledger, value: bytes) -> Change:
    action = records.action(value)
    return Change(Op.DEL, action, ledger.stands_on(action.target), *ledger.position(action.target))


def _agrees(value: bytes | str | None, action: Action | None) -> bool:
    if value is None or action is None:
        return value is None and action is None
    there = value.encode() if isinstance(value, str) else value
    if _NUMBERED.sub(b'"version":0', there, count=1) == records.encode(action):
        return True  # else an older release may have written it, with fewer fields
    return records.action(there).model_copy(update={"version": 0}) == action


async def _reply(pending: Any) -> Any:
    """redis-py types its replies for both its clients at once; this one is always awaited."""
    return await pending


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _chunks(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while chunk := list(islice(items, size)):
        yield chunk
