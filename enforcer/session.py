"""One command's view of Redis and its way to Kafka: what is in force, written, awaited until every node has it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException, Producer
from redis import Redis
from redis.exceptions import RedisError

from enforcer import finding, guardrails, records
from enforcer.acknowledgements import live, parse_acks
from enforcer.errors import CommandError
from enforcer.finding import Wanted
from schemas import topics
from schemas.action import Action, ActionKind, ActionStatus, Target
from schemas.errors import BadMessageError
from schemas.redis_client import connect, fix_of, shown
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets

BROKER_WAIT_S: Final = 5.0
FORCE_WAIT_S: Final = 5.0
ACK_WAIT_S: Final = 2.0
CLAIM_WAIT_S: Final = 1.0
PAGE: Final = 1_000
MANY: Final = 5_000  # of a list of actions: written, and awaited, at a time
MANY_WAIT_S: Final = 60.0
_POLL_S: Final = 0.005
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Result:
    """A command in force: the actions it wrote, the feed version that has them all, and how long everything took.

    `ack_ms` is, by node, from the command to that node's acknowledgement; `missing` are live nodes that had not
    acknowledged within `ACK_WAIT_S`. `also_lifted` are actions that the enforcer lifted because of an allow or a
    stop, as they stood before.
    """

    actions: tuple[Action, ...]
    version: int
    in_force_ms: int
    ack_ms: dict[str, int]
    missing: tuple[str, ...]
    also_lifted: tuple[Action, ...] = ()


class Session:
    """One command's view of Redis and its way to Kafka."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._keys = settings.keys
        self._redis: Any = redis

    def in_force(self, *kinds: ActionKind, target: Target | None = None, uid: str = "") -> list[Action]:
        """The snapshot's actions that have not run out: of `kinds`, on `target`, whose uid begins so, where given."""
        wanted = Wanted(kinds, target=target, uid=uid)
        return finding.actions(self.texts(wanted), wanted, now_ms())

    def texts(self, wanted: Wanted) -> list[str]:
        """The snapshot's actions, as JSON, that may be `wanted`: to be read when there is time (`finding.actions`)."""
        self.need_enforcer()
        return list(finding.texts(self._redis, self._keys.enforcement, wanted))

    def health(self) -> dict[str, Any] | None:
        """What the leading enforcer last said of the site, None where it was silent for seconds."""
        text = self._redis.get(self._keys.health)
        return json.loads(text) if text else None

    def pending(self) -> list[Action]:
        """What waits for somebody's word, the most urgent first."""
        self.need_enforcer()
        found = [records.action(text.encode()) for text in self._redis.hvals(self._keys.pending)]
        return sorted(found, key=lambda action: (action.approval.until_ms if action.approval else 0, action.uid))

    def claim(self, beginning: str) -> list[Action]:
        """Take the one pending action whose uid begins so, for nobody else to decide it; else those that begin so.

        One that was just asked for may still be on its way: it is waited for a little.
        """
        found = self._wait(lambda: [a for a in self.pending() if a.uid.startswith(beginning)] or None, CLAIM_WAIT_S)
        if found is None or len(found) > 1:
            return found or []
        return found if self._redis.hdel(self._keys.pending, found[0].uid) else []

    def need_enforcer(self) -> None:
        """Raises `CommandError` where no enforcer ever was: nobody would carry a command out."""
        if not self._redis.hexists(self._keys.enforcement, "version"):
            raise _no_enforcer("no enforcer has put a snapshot into Redis yet")

    def refuse_protected(self, target: Target) -> None:
        """Raises `CommandError` where `target`, or something inside it, is allowed or our own proxy."""
        configured = parse_targets(self._settings.allowlist, PREFIX + "ALLOWLIST")
        if entry := guardrails.Allowlist(configured).covering(target):
            raise CommandError("allowlisted", "value", f"{entry} is allowed", f"take it out of {PREFIX}ALLOWLIST")
        by_command = [a.target for a in self.in_force(ActionKind.ALLOW)]
        if entry := guardrails.Allowlist(by_command).covering(target):
            kind, _, value = entry.partition(":")
            raise CommandError("allowlisted", "value", f"{entry} is allowed", f"`allow remove {kind} {value}` first")
        proxies = parse_targets(self._settings.trusted_proxies, PREFIX + "TRUSTED_PROXIES")
        if entry := guardrails.Allowlist(proxies).covering(target):
            why = f"{entry} is where your own proxies are, and everybody comes through them"
            fix = f"name the client they tell of, or take it out of {PREFIX}TRUSTED_PROXIES"
            raise CommandError("own_proxy", "value", why, fix)

    def carry_out(self, actions: Sequence[Action], ends: Callable[[], Sequence[Action]] = tuple) -> Result:
        """Write `actions`, and wait until Redis and then the nodes have them, and what that `ends` is gone."""
        self.need_enforcer()
        begun_ms = now_ms()
        self._publish(actions)
        also_gone = tuple(ends())
        version = self._wait(lambda: self._version_with(actions), FORCE_WAIT_S)
        if version is None:
            raise _no_enforcer("the command is written, but no enforcer has put it in force")
        if gone := [action.uid for action in also_gone]:
            version = self._wait(lambda: self._gone(gone) and self._version_with(actions), MANY_WAIT_S)
        if version is None:
            raise _no_enforcer(f"it is in force, and {len(gone)} actions that it ends are not lifted yet")
        return self._in_force(actions, version, begun_ms, also_gone)

    def carry_out_many(self, actions: Sequence[Action], told: Callable[[int], None]) -> Result:
        """As `carry_out`, however many: `told` hears how many are in force so far."""
        self.need_enforcer()
        begun_ms, version = now_ms(), 0
        for start in range(0, len(actions), MANY):
            part = actions[start : start + MANY]
            self._publish(part)
            # The last is soon the last to come, and looking at one costs the enforcer's Redis little.
            reached = self._wait_for(part[-1:]) and self._wait_for(part)
            if reached is None:
                raise _no_enforcer(f"{start} of {len(actions)} are in force, the next are written and wait")
            version = reached
            told(start + len(part))
        return self._in_force(actions, version, begun_ms, ())

    def _wait_for(self, part: Sequence[Action]) -> int | None:
        return self._wait(lambda: self._version_with(part), MANY_WAIT_S)

    def protected(self) -> guardrails.Allowlist:
        """What settings and commands allow, and our own proxies."""
        settings = self._settings
        return guardrails.Allowlist([
            *parse_targets(settings.allowlist, PREFIX + "ALLOWLIST"),
            *parse_targets(settings.trusted_proxies, PREFIX + "TRUSTED_PROXIES"),
            *(action.target for action in self.in_force(ActionKind.ALLOW)),
        ])  # fmt: skip

    def _in_force(self, actions: Sequence[Action], version: int, begun_ms: int, gone: tuple[Action, ...]) -> Result:
        in_force_ms = now_ms() - begun_ms
        self._wait(lambda: None if self._acknowledged(version)[1] else True, ACK_WAIT_S)
        acks, missing = self._acknowledged(version)
        ack_ms = {node: at_ms - begun_ms for node, at_ms in acks.items()}
        return Result(tuple(actions), version, in_force_ms, ack_ms, missing, gone)

    def _publish(self, actions: Sequence[Action]) -> None:
        name = self._settings.topic(topics.ACTIONS)
        producer = Producer(
            {"bootstrap.servers": self._settings.kafka, "linger.ms": 0, "message.timeout.ms": int(BROKER_WAIT_S * 1000),
             "enable.idempotence": False, "max.in.flight": 1, "log_level": 0}
        )  # fmt: skip
        try:
            partitions = len(producer.list_topics(name, timeout=BROKER_WAIT_S).topics[name].partitions)
        except KafkaException as error:
            raise self._no_broker(error.args[0].str()) from error
        if not partitions:
            raise self._no_broker(f"there is no topic {name}")
        failed: list[str] = []
        for action in actions:
            producer.produce(
                name, records.encode(action), records.key(action), records.partition(action.target, partitions),
                on_delivery=lambda error, _: failed.append(str(error)) if error else None,
            )  # fmt: skip
        if producer.flush(BROKER_WAIT_S + 1) or failed:
            raise self._no_broker(failed[0] if failed else "no answer in time")

    def _no_broker(self, reason: str) -> CommandError:
        return CommandError(
            "broker_unreachable", f"Kafka at {self._settings.kafka}", reason, f"start it, or set {PREFIX}KAFKA"
        )

    def _gone(self, uids: list[str]) -> bool | None:
        """True once none of these stands any more, else None. A page of them is looked at; who is gone is taken out."""
        while page := uids[-PAGE:]:
            left = [
                uid for uid, text in zip(page, self._redis.hmget(self._keys.enforcement, *page), strict=True) if text
            ]
            uids[-PAGE:] = left
            if left:
                return None
        return True

    def _version_with(self, actions: Sequence[Action]) -> int | None:
        version, *held = self._redis.hmget(self._keys.enforcement, "version", *(action.uid for action in actions))
        right = all(
            (text is not None) == (a.status is ActionStatus.ACTIVE) for a, text in zip(actions, held, strict=True)
        )
        return int(version) if version is not None and right else None

    def _acknowledged(self, version: int) -> tuple[dict[str, int], tuple[str, ...]]:
        heartbeats = {node: int(at) for node, at in self._redis.hgetall(self._keys.nodes).items() if at.isdigit()}
        nodes = live(heartbeats, now_ms())
        acks = parse_acks(self._redis.hgetall(self._keys.acks))
        have = {node: acks[node][1] for node in nodes if node in acks and acks[node][0] >= version}
        return have, tuple(node for node in nodes if node not in have)

    @staticmethod
    def _wait(look: Callable[[], _T | None], within_s: float) -> _T | None:
        deadline = time.monotonic() + within_s
        while (found := look()) is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


@contextmanager
def session(settings: Settings) -> Iterator[Session]:
    """A session; its servers' absence is a `CommandError`."""
    try:
        with connect(settings.redis, timeout_s=BROKER_WAIT_S, text=True) as client:
            yield Session(settings, client)
    except RedisError as error:
        fix = fix_of(error)
        raise CommandError("redis_unreachable", f"Redis at {shown(settings.redis)}", str(error), fix) from error
    except BadMessageError as error:
        raise CommandError(
            "bad_value", "snapshot", str(error), "use a command line of the enforcer's version"
        ) from error


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _no_enforcer(reason: str) -> CommandError:
    fix = "start `floodwarden enforcer` (or `up`) with the same settings; it takes up what is written"
    return CommandError("enforcer_unreachable", "enforcer", reason, fix)
