"""Follows the loop from outside, with what any operator has: the alerts topic and the list of enforcements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pydantic import ValidationError

from floodwarden import topic_reading
from floodwarden.errors import UnreachableError
from floodwarden.http_client import HttpError, get_json
from schemas import codec, topics
from schemas.alert import Alert
from schemas.errors import BadMessageError
from schemas.settings import Settings

BATCH: Final = 500
ALERTS_KEPT: Final = 10_000
TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Enforced:
    """An action's way to the limiters; `nodes` acknowledged, `in_force_ms` (epoch) is when the last of them had it."""

    uid: str
    kind: str
    target: str
    crossed_ms: int | None
    created_ms: int
    in_force_ms: int
    nodes: tuple[str, ...]
    missing: tuple[str, ...]
    level: int | None = None

    @property
    def took_ms(self) -> int | None:
        """From the decision with which the evidence sufficed until every node had it; None where none decided it."""
        return None if self.crossed_ms is None else self.in_force_ms - self.crossed_ms

    @property
    def after(self) -> str:
        """How long it took, and since when."""
        if self.took_ms is None:
            return f"{self.in_force_ms - self.created_ms} ms after it was decided"
        return f"{self.took_ms} ms after the deciding request"

    @property
    def what(self) -> str:
        """The kind of action and on whom; of a brownout, the level."""
        return f"{self.kind} {f'level {self.level}' if self.level else self.target}"


class _Row(msgspec.Struct):
    action: str
    kind: str
    target: str
    created_ms: int
    ack_ms: dict[str, int]
    missing: list[str]
    crossed_ms: int | None = None
    level: int | None = None


@dataclass(slots=True)
class AlertTail:
    """The alerts topic from `start` on, every partition, in no group: looking changes nothing."""

    consumer: Consumer
    alerts: dict[str, Alert] = field(default_factory=dict)  # as they stand now
    first: dict[str, Alert] = field(default_factory=dict)  # as they were first told

    def poll(self) -> list[Alert]:
        """Alerts that arrived since the last call, updates too; never waits."""
        fresh: list[Alert] = []
        for message in self.consumer.consume(BATCH, 0):
            if message.error() or message.value() is None:
                continue
            try:
                alert = Alert.model_validate_json(message.value(), extra="ignore")
            except ValidationError:
                continue  # the enforcer dead-letters it; here it is only not shown
            if alert.uid in self.alerts or len(self.alerts) < ALERTS_KEPT:
                self.alerts[alert.uid] = alert
                self.first.setdefault(alert.uid, alert)
            fresh.append(alert)
        return fresh

    def close(self) -> None:
        """Stop looking."""
        self.consumer.close()


def tail_alerts(settings: Settings) -> AlertTail:
    """Begin to follow the alerts topic from its beginning."""
    return AlertTail(_consumer(settings, settings.topic(topics.ALERTS)))


async def enforcements(address: str) -> list[Enforced]:
    """What the enforcer at `address` says of each action's way to the limiters.

    Raises:
        HttpError: it does not answer, or not as it should.
    """
    body = await get_json(address, "/v1/enforcements")
    if isinstance(body, dict):
        body = body.get("enforcements", body)
    try:
        rows = msgspec.convert(body, list[_Row])
    except msgspec.ValidationError as error:
        raise HttpError(f"{address}/v1/enforcements: {error}") from error
    return [
        Enforced(
            row.action,
            row.kind,
            row.target,
            row.crossed_ms,
            row.created_ms,
            row.created_ms + max(row.ack_ms.values()),
            tuple(sorted(row.ack_ms)),
            tuple(row.missing),
            row.level,
        )
        for row in rows
        if row.ack_ms
    ]


def decisions_in_topic(settings: Settings) -> int:
    """Rows in the decisions topic, counted from the topic itself.

    Raises:
        UnreachableError: the broker does not give them.
    """
    return sum(_rows(message.value() or b"") for message in topic_reading.read(settings, topics.DECISIONS))


def _rows(value: bytes) -> int:
    try:
        return int(codec.decode(value, None).num_rows)
    except BadMessageError:
        return 0  # no decision, and the stream dead-letters it


def _consumer(settings: Settings, name: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": "floodwarden-watch",  # required by the client, never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        found = consumer.list_topics(name, TIMEOUT_S).topics[name]
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka}: {error.args[0].str()}; set FLOODWARDEN_KAFKA") from error
    if found.error is not None:
        fix = "make it with `floodwarden topics`" if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART else ""
        raise UnreachableError(f"{name}: {found.error.str()} {fix}".strip())
    consumer.assign([TopicPartition(name, partition, 0) for partition in found.partitions])
    return consumer
