"""What people tell the enforcer: deny, allow, undo, brownout. Each waits until it is in force, and says where.

Commands go the way of every action: written to `actions`, put in force by a running enforcer. All raise `CommandError`
naming the argument or the server that is wrong, and the fix.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from redis import Redis
from redis.exceptions import RedisError

from enforcer import guardrails, records
from enforcer.acknowledgements import live, parse_acks
from enforcer.errors import CommandError
from enforcer.plan import lifted
from schemas import topics
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.errors import BadMessageError
from schemas.redis_client import connect, shown
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets
from schemas.targets import target as target_of

BROKER_WAIT_S: Final = 5.0
FORCE_WAIT_S: Final = 5.0
ACK_WAIT_S: Final = 2.0
ALLOW_SECONDS_MAX: Final = 10 * 365 * 86_400
REASON_CHARS_MAX: Final = 500
_POLL_S: Final = 0.005
_META: Final = frozenset({"version", "id", "epoch"})


@dataclass(frozen=True, slots=True)
class Result:
    """A command in force: the actions it wrote, the feed version that has them all, and how long everything took.

    `ack_ms` is, by node, from the command to that node's acknowledgement; `missing` are live nodes that had not
    acknowledged within `ACK_WAIT_S`. `also_lifted` are actions that the enforcer lifted because of an allow.
    """

    actions: tuple[Action, ...]
    version: int
    in_force_ms: int
    ack_ms: dict[str, int]
    missing: tuple[str, ...]
    also_lifted: tuple[Action, ...] = ()


def deny_add(settings: Settings, kind: str, value: str, seconds: int, reason: str, by: str) -> Result:
    """Deny a target for `seconds`. Refused where the allowlist protects it, or something inside it."""
    target = _target(kind, value)
    if target.kind is TargetKind.GLOBAL:
        raise CommandError("bad_value", "kind", "global denies everyone", "use `brownout set` to shed load")
    _seconds(seconds, settings.action_seconds_max, f"raise {PREFIX}ACTION_SECONDS_MAX")
    with _session(settings) as session:
        session.refuse_allowlisted(target)
        return session.carry_out([_action(ActionKind.DENY, target, seconds, reason, by)])


def deny_remove(settings: Settings, kind: str, value: str, by: str, reason: str = "") -> Result:
    """Lift whatever restricts exactly this target: denials, challenges, throttles, by whomever.

    The planner takes it as a person's word: the incident that led there leads there no more.
    """
    target = _target(kind, value)
    with _session(settings) as session:
        found = [a for a in session.in_force() if a.target == target and guardrails.restricts(a)]
        if not found:
            raise CommandError("not_found", "value", f"nothing restricts {target.key}", "see `deny list`")
        return session.carry_out(_lifts(found, by, reason))


def deny_list(settings: Settings) -> list[Action]:
    """What restricts clients now: denials, challenges, throttles, by whomever; the newest first."""
    with _session(settings) as session:
        return _newest_first(a for a in session.in_force() if guardrails.restricts(a))


def undo(settings: Settings, action_uid: str, by: str, reason: str = "") -> Result:
    """Lift one action by its uid, or by the first characters of it when they name only one."""
    with _session(settings) as session:
        found = [a for a in session.in_force() if a.uid.startswith(action_uid)] if action_uid else []
        if len(found) != 1:
            what = f"{len(found)} actions in force begin with {action_uid!r}"
            raise CommandError("not_found", "action_uid", what, "see `deny list`, and write one uid out")
        return session.carry_out(_lifts(found, by, reason))


def allow_add(settings: Settings, kind: str, value: str, seconds: int, reason: str, by: str) -> Result:
    """Allow a target for `seconds`: nothing may be done to it, and what restricts it now is lifted at once."""
    target = _target(kind, value)
    _seconds(seconds, ALLOW_SECONDS_MAX, f"or set {PREFIX}ALLOWLIST, which has no end")
    with _session(settings) as session:
        covered = guardrails.Allowlist([target])
        hit = tuple(a for a in session.in_force() if guardrails.restricts(a) and covered.covering(a.target))
        return session.carry_out([_action(ActionKind.ALLOW, target, seconds, reason, by)], also_gone=hit)


def allow_remove(settings: Settings, kind: str, value: str, by: str, reason: str = "") -> Result:
    """End an allow. One from the settings stays: it is changed there."""
    target = _target(kind, value)
    with _session(settings) as session:
        found = [a for a in session.in_force() if a.target == target and a.kind is ActionKind.ALLOW]
        if not found:
            fix = f"see `allow list`; what {PREFIX}ALLOWLIST allows is changed there"
            raise CommandError("not_found", "value", f"no command allows {target.key}", fix)
        return session.carry_out(_lifts(found, by, reason))


def allow_list(settings: Settings) -> list[Action]:
    """Allows by command; those of the settings are in `settings.allowlist`."""
    with _session(settings) as session:
        return _newest_first(a for a in session.in_force() if a.kind is ActionKind.ALLOW)


def brownout_set(settings: Settings, level: int, seconds: int, reason: str, by: str) -> Result:
    """Shed load at `level` 1..4 for `seconds`, in place of any level before."""
    if not 1 <= level <= 4:
        raise CommandError("bad_value", "level", f"{level} is no level", "1 to 4; `brownout clear` ends it")
    _seconds(seconds, settings.action_seconds_max, f"raise {PREFIX}ACTION_SECONDS_MAX")
    with _session(settings) as session:
        action = _action(ActionKind.BROWNOUT, Target(kind=TargetKind.GLOBAL, value="*"), seconds, reason, by, level)
        before = [a for a in session.in_force() if a.kind is ActionKind.BROWNOUT]
        return session.carry_out([action, *_lifts(before, by, f"level {level} in its place")])


def brownout_clear(settings: Settings, by: str, reason: str = "") -> Result:
    """End the brownout."""
    with _session(settings) as session:
        found = [a for a in session.in_force() if a.kind is ActionKind.BROWNOUT]
        if not found:
            raise CommandError("not_found", "brownout", "there is none", "see `brownout status`")
        return session.carry_out(_lifts(found, by, reason))


def brownout_status(settings: Settings) -> Action | None:
    """The brownout in force, or None."""
    with _session(settings) as session:
        return next(iter(_newest_first(a for a in session.in_force() if a.kind is ActionKind.BROWNOUT)), None)


class _Session:
    """One command's view of Redis and its way to Kafka."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._keys = settings.keys
        self._redis: Any = redis

    def in_force(self) -> list[Action]:
        """The snapshot's actions that have not run out."""
        fields = self._redis.hgetall(self._keys.enforcement)
        if "version" not in fields:
            raise _no_enforcer("no enforcer has put a snapshot into Redis yet")
        actions = (records.action(text.encode()) for uid, text in fields.items() if uid not in _META)
        return [action for action in actions if action.expires_ms > _now_ms()]

    def refuse_allowlisted(self, target: Target) -> None:
        configured = parse_targets(self._settings.allowlist, PREFIX + "ALLOWLIST")
        if entry := guardrails.Allowlist(configured).covering(target):
            raise CommandError("allowlisted", "value", f"{entry} is allowed", f"take it out of {PREFIX}ALLOWLIST")
        by_command = [a.target for a in self.in_force() if a.kind is ActionKind.ALLOW]
        if entry := guardrails.Allowlist(by_command).covering(target):
            kind, _, value = entry.partition(":")
            raise CommandError("allowlisted", "value", f"{entry} is allowed", f"`allow remove {kind} {value}` first")

    def carry_out(self, actions: Sequence[Action], also_gone: tuple[Action, ...] = ()) -> Result:
        """Write `actions`, and wait until Redis and then the nodes have them (and `also_gone` is gone)."""
        self.in_force()  # without a snapshot nobody is there to act: say so before writing
        begun_ms = _now_ms()
        self._publish(actions)
        gone = {action.uid for action in also_gone}
        version = self._wait(lambda: self._version_with(actions, gone), FORCE_WAIT_S)
        if version is None:
            raise _no_enforcer("the command is written, but no enforcer has put it in force")
        in_force_ms = _now_ms() - begun_ms
        self._wait(lambda: None if self._acknowledged(version)[1] else True, ACK_WAIT_S)
        acks, missing = self._acknowledged(version)
        ack_ms = {node: at_ms - begun_ms for node, at_ms in acks.items()}
        return Result(tuple(actions), version, in_force_ms, ack_ms, missing, also_gone)

    def _publish(self, actions: Sequence[Action]) -> None:
        name = self._settings.topic(topics.ACTIONS)
        producer = Producer(
            {"bootstrap.servers": self._settings.kafka, "linger.ms": 0, "message.timeout.ms": int(BROKER_WAIT_S * 1000),
             "enable.idempotence": False, "max.in.flight": 1, "log_level": 0}
        )  # fmt: skip
        try:
            partitions = len(producer.list_topics(name, timeout=BROKER_WAIT_S).topics[name].partitions)
        except KafkaException as error:
            raise self._no_broker(str(error.args[0])) from error
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

    def _version_with(self, actions: Sequence[Action], gone: set[str]) -> int | None:
        version, *held = self._redis.hmget(self._keys.enforcement, "version", *(action.uid for action in actions))
        right = all(
            (text is not None) == (a.status is ActionStatus.ACTIVE) for a, text in zip(actions, held, strict=True)
        )
        if version is None or not right:
            return None
        if gone and any(text is not None for text in self._redis.hmget(self._keys.enforcement, *gone)):
            return None
        return int(version)

    def _acknowledged(self, version: int) -> tuple[dict[str, int], tuple[str, ...]]:
        heartbeats = {node: int(at) for node, at in self._redis.hgetall(self._keys.nodes).items() if at.isdigit()}
        nodes = live(heartbeats, _now_ms())
        acks = parse_acks(self._redis.hgetall(self._keys.acks))
        have = {node: acks[node][1] for node in nodes if node in acks and acks[node][0] >= version}
        return have, tuple(node for node in nodes if node not in have)

    @staticmethod
    def _wait(look: Callable[[], int | None], within_s: float) -> int | None:
        deadline = time.monotonic() + within_s
        while (found := look()) is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


@contextmanager
def _session(settings: Settings) -> Iterator[_Session]:
    try:
        with connect(settings.redis, timeout_s=BROKER_WAIT_S, text=True) as client:
            yield _Session(settings, client)
    except RedisError as error:
        fix = f"start it, or set {PREFIX}REDIS"
        raise CommandError("redis_unreachable", f"Redis at {shown(settings.redis)}", str(error), fix) from error
    except BadMessageError as error:
        raise CommandError(
            "bad_value", "snapshot", str(error), "use a command line of the enforcer's version"
        ) from error


def _target(kind: str, value: str) -> Target:
    try:
        return target_of(kind, value)
    except ValueError as error:
        field = "value" if kind in set(TargetKind) else "kind"
        raise CommandError("bad_value", field, str(error), "like ip 203.0.113.7, ip 203.0.113.0/24, key ID") from error


def _seconds(seconds: int, most: int, fix: str) -> None:
    if not 1 <= seconds <= most:
        raise CommandError("bad_value", "seconds", f"{seconds} is not between 1 and {most}", fix)


def _action(kind: ActionKind, target: Target, seconds: int, reason: str, by: str, level: int | None = None) -> Action:
    now_ms = _now_ms()
    return Action(
        uid=uuid.uuid4().hex, kind=kind, status=ActionStatus.ACTIVE, target=target, level=level, reason=_reason(reason),
        owner=_owner(by), created_ms=now_ms, expires_ms=now_ms + seconds * 1000,
    )  # fmt: skip


def _lifts(actions: Sequence[Action], by: str, reason: str) -> list[Action]:
    now_ms = _now_ms()
    return [
        lifted(
            a.model_copy(update={"version": 0}), now_ms, _owner(by), reason.strip()[:REASON_CHARS_MAX] or "by command"
        )
        for a in actions
    ]


def _reason(text: str) -> str:
    if not text.strip():
        raise CommandError("bad_value", "reason", "empty", "say why; whoever undoes this will want to know")
    return text.strip()[:REASON_CHARS_MAX]


def _owner(by: str) -> str:
    if not by.strip() or len(by) > 100:
        raise CommandError("bad_value", "by", f"{by[:20]!r} is no name", "a name of 1 to 100 characters")
    return f"cli:{by.strip()}"


def _newest_first(actions: Iterator[Action]) -> list[Action]:
    return sorted(actions, key=lambda action: (-action.created_ms, action.uid))


def _no_enforcer(reason: str) -> CommandError:
    fix = "start `floodwarden enforcer` (or `up`) with the same settings; it takes up what is written"
    return CommandError("enforcer_unreachable", "enforcer", reason, fix)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
