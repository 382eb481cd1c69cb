"""The topic `dead-letter` as people work with it: what is in it, and sending again what its reader takes now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from enforcer import records
from floodwarden import topic_reading
from floodwarden.errors import CommandError, UnreachableError
from limiter.identity import Identifier
from limiter.ingest import mapping_file
from limiter.ingest.reader import reader
from limiter.rows import cleaned
from schemas import codec, dead_letter, decision, topics
from schemas.dead_letter import Letter, Origin, Retried
from schemas.errors import BadMessageError
from schemas.settings import Settings

_TIMEOUT_S: Final = 10.0
_OVER_HTTP: Final = "/v1/decisions"  # of a limiter


@dataclass(frozen=True, slots=True)
class Stored:
    """A letter where it stands in the topic; `retried` is the newest note that it was sent again."""

    partition: int
    offset: int
    at_ms: int
    letter: Letter
    retried: Retried | None

    @property
    def id(self) -> str:
        """By which people name it."""
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; what is left empty leaves all in. `topic` and `reason` are looked for as parts."""

    topic: str = ""
    reason: str = ""
    since_ms: int = 0
    until_ms: int = 1 << 62
    ids: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Filter()

    def takes(self, stored: Stored) -> bool:
        """Whether `stored` is meant."""
        one = stored.letter
        why = (one.code, one.field, one.reason)
        return (
            self.since_ms <= stored.at_ms < self.until_ms
            and (not self.ids or stored.id in self.ids)
            and any(self.topic in said for said in (one.origin.topic, one.origin.source))
            and any(self.reason.lower() in said.lower() for said in why)
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a letter that was to be sent again: `to` where it stands now, or why it was left."""

    stored: Stored
    to: Origin | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _Again:
    """A message to publish."""

    topic: str
    value: bytes
    content_type: str
    key: bytes | None = None
    partition: int = -1


def letters(settings: Settings, chosen: Filter) -> list[Stored]:
    """Letters that are meant, oldest first.

    Raises:
        UnreachableError: the broker does not answer.
    """
    found: list[tuple[int, int, int, Letter]] = []
    notes: dict[tuple[int, int], Retried] = {}
    for message in topic_reading.read(settings, topics.DEAD_LETTER):
        read = dead_letter.read(message.value() or b"", message.headers() or ())
        match read:
            case Retried():
                notes[read.partition, read.offset] = read
            case Letter():
                found.append((message.partition(), message.offset(), message.timestamp()[1], read))
    stored = (Stored(p, at, ms, one, notes.get((p, at))) for p, at, ms, one in found)
    return sorted((one for one in stored if chosen.takes(one)), key=lambda one: (one.at_ms, one.partition, one.offset))


def one_letter(settings: Settings, name: str) -> Stored:
    """The letter of that name, PARTITION:OFFSET; an offset alone where the topic has one partition.

    Raises:
        CommandError: there is none.
    """
    wanted = full_id(name)
    found = letters(settings, Filter(ids=(wanted,)))
    if not found:
        raise CommandError(f"no dead letter {wanted}: `floodwarden dead-letter list` shows them")
    return found[0]


def full_id(name: str) -> str:
    """PARTITION:OFFSET, also where only an offset is given.

    Raises:
        CommandError: it is neither.
    """
    partition, colon, offset = name.rpartition(":")
    if not offset.isdigit() or (colon and not partition.isdigit()):
        raise CommandError(f"{name!r} names no dead letter; write PARTITION:OFFSET as `dead-letter list` does")
    return f"{int(partition or 0)}:{int(offset)}"


def trial(settings: Settings, letter: Letter) -> BadMessageError | None:
    """Whether today's reader of the letter's origin takes it: None, or why not."""
    try:
        _again(settings, letter)
    except BadMessageError as error:
        return error
    return None


def retry(settings: Settings, chosen: Sequence[Stored], by: str, *, again: bool, dry_run: bool) -> Iterator[Sent]:
    """Sends each that its reader takes now to where it came from, and notes that; says of each what came of it.

    Raises:
        UnreachableError: the broker does not take it.
    """
    producer: Any = None if dry_run else Producer(_options(settings) | {"enable.idempotence": True, "linger.ms": 0})
    for stored in chosen:
        if stored.retried is not None and not again:
            yield Sent(stored, None, f"was sent again by {stored.retried.by} already; --again repeats it")
            continue
        try:
            message = _again(settings, stored.letter)
        except BadMessageError as error:
            yield Sent(stored, None, str(error))
            continue
        if producer is None:
            yield Sent(stored, Origin(message.topic, -1, -1))
            continue
        to = _publish(producer, message)
        note = dead_letter.retried(stored.partition, stored.offset, by, to)
        _delivered(producer, settings.topic(topics.DEAD_LETTER), b"", headers=note, partition=stored.partition)
        yield Sent(stored, to)


def _again(settings: Settings, letter: Letter) -> _Again:
    """The letter as it is published again. Raises `BadMessageError` where its reader would refuse it still."""
    origin, value = letter.origin, letter.value
    if letter.cut_from:
        reason = f"only {len(value)} of {letter.cut_from} bytes were kept"
        raise BadMessageError("too_large", "body", reason, "send it from where it came, in parts")
    content_type = letter.content_type or ""
    if origin.topic == settings.topic(topics.DECISIONS):
        codec.decode_many([(value, letter.content_type)], tuple(decision.SCHEMA.names))
        return _Again(origin.topic, value, content_type)
    if origin.source:
        return _mapped(settings, letter)
    if origin.topic == _OVER_HTTP:
        rows = [cleaned(row) for row in codec.to_rows(codec.decode(value, letter.content_type))]
        return _Again(settings.topic(topics.DECISIONS), codec.encode(codec.from_rows(rows)), topics.ARROW)
    if origin.topic == settings.topic(topics.ALERTS):
        return _Again(origin.topic, value, content_type, records.alert(value).uid.encode())
    if origin.topic == settings.topic(topics.ACTIONS):
        action = records.action(value)
        if action.expires_ms <= time.time_ns() // 1_000_000:
            raise BadMessageError("bad_value", "expires_ms", "the action would have ended by now", "act anew")
        place = records.partition(action.target, topics.ACTIONS.partitions)
        return _Again(origin.topic, value, content_type, records.key(action), place)
    if origin.topic == settings.topic(topics.USAGE):
        fix = "combine writes blocks again by itself: decisions are what is sent again"
        raise BadMessageError("bad_value", "origin-topic", "a usage block has its place in a chain", fix)
    raise BadMessageError("bad_value", "origin-topic", f"{origin.topic[:200]} is no topic of ours", "send it yourself")


def _mapped(settings: Settings, letter: Letter) -> _Again:
    """What a source of `ingest` could not take, by its mapping of today."""
    name = letter.origin.source
    if settings.ingest is None:
        fix = "set FLOODWARDEN_INGEST to the mapping it is in"
        raise BadMessageError("bad_value", "origin-source", f"{name} is a source of ingest", fix)
    known = {source.name: source for source in mapping_file.load(settings.ingest)}
    if name not in known:
        raise BadMessageError("bad_value", "origin-source", f"{name} is not in {settings.ingest}", "add it")
    read = reader(known[name], Identifier(settings).key_id).read([letter.value])
    if read.bad:
        raise read.bad[0][2]
    if len(read.batches) != 1:
        raise BadMessageError("too_large", "body", f"{read.rows} rows", "give it to its source again, in parts")
    return _Again(settings.topic(topics.DECISIONS), codec.encode(read.batches[0]), topics.ARROW)


def _publish(producer: Any, message: _Again) -> Origin:
    headers = [(topics.CONTENT_TYPE, message.content_type.encode())] if message.content_type else []
    return _delivered(
        producer, message.topic, message.value, headers=headers, key=message.key, partition=message.partition
    )


def _delivered(producer: Any, topic: str, value: bytes, **more: Any) -> Origin:
    told: list[tuple[KafkaError | None, Message]] = []
    try:
        producer.produce(topic, value, on_delivery=lambda error, message: told.append((error, message)), **more)
    except (BufferError, KafkaException) as error:
        raise UnreachableError(f"{topic}: {error}") from error
    producer.flush(_TIMEOUT_S)
    if not told or told[0][0] is not None:
        raise UnreachableError(f"{topic}: {told[0][0].str() if told and told[0][0] else 'no answer from the broker'}")
    message = told[0][1]
    return Origin(topic, message.partition(), message.offset())


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.kafka,
        "message.max.bytes": topics.MESSAGE_BYTES_MAX,
        "log_level": 0,
    }
