"""Makes the topics of an installation: those missing, with the partitions and configuration of the one table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from floodwarden.errors import UnreachableError
from schemas import topics
from schemas.settings import Settings

WAIT_S: Final = 30.0
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it stands on the broker; `made` when this call made it, `partitions` 0 when it is missing."""

    name: str
    partitions: int
    partitions_wanted: int
    fixed: bool  # whether programs reckon with this number
    made: bool = False

    @property
    def as_wanted(self) -> bool:
        """Whether it has the partitions that the settings say; those the settings say nothing of may have any."""
        return self.partitions == self.partitions_wanted or not self.fixed


def ensure_topics(settings: Settings, wait_s: float = WAIT_S) -> list[TopicState]:
    """Make the topics that are missing, and say how all of them stand; those that are there stay as they are.

    Retries for `wait_s` while the broker is not there yet; another process may make the same topics meanwhile.

    Raises:
        UnreachableError: the broker did not answer in time, or refused; the message says why.
    """
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    deadline = time.monotonic() + wait_s
    made: set[str] = set()
    while True:
        try:
            states = _states(admin, settings, made)
            missing = [state for state in states if not state.partitions]
            if not missing:
                return states
            made |= _make(admin, settings, {state.name for state in missing})
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise UnreachableError(f"Kafka at {settings.kafka}: {reason(error)}; set FLOODWARDEN_KAFKA") from error
        if time.monotonic() > deadline:
            raise UnreachableError(f"Kafka at {settings.kafka} did not make the topics within {wait_s:g} s")
        time.sleep(0.05)


def states(settings: Settings) -> list[TopicState]:
    """How the topics of this installation stand, making none.

    Raises:
        UnreachableError: the broker did not answer.
    """
    try:
        return _states(AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0}), settings, set())
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka}: {reason(error)}; set FLOODWARDEN_KAFKA") from error


def partitions_wanted(topic: topics.Topic, settings: Settings) -> int:
    """Partitions a topic is made with: what the settings say, else the table."""
    if topic in (topics.DECISIONS, topics.INTENTS, topics.TERMS):
        return settings.decisions_partitions
    return settings.usage_partitions if topic in (topics.USAGE, topics.HISTORY) else topic.partitions


def reason(error: KafkaException) -> str:
    """What a Kafka exception says, without its wrapping."""
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


def _states(admin: AdminClient, settings: Settings, made: set[str]) -> list[TopicState]:
    there = admin.list_topics(timeout=_TIMEOUT_S).topics
    result = []
    for topic in topics.TOPICS:
        name = settings.topic(topic)
        found = there.get(name)
        count = len(found.partitions) if found is not None and found.error is None else 0
        fixed = topic in (topics.DECISIONS, topics.USAGE, topics.INTENTS, topics.TERMS, topics.HISTORY)
        result.append(TopicState(name, count, partitions_wanted(topic, settings), fixed, name in made))
    return result


def _make(admin: AdminClient, settings: Settings, names: set[str]) -> set[str]:
    wanted = [
        NewTopic(
            settings.topic(topic),
            num_partitions=partitions_wanted(topic, settings),
            replication_factor=-1,  # the broker's default
            config=topic.config,
        )
        for topic in topics.TOPICS
        if settings.topic(topic) in names
    ]
    made = set()
    for name, future in admin.create_topics(wanted, operation_timeout=_TIMEOUT_S, request_timeout=_TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            made.add(name)
    return made
