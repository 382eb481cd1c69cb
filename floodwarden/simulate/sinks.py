"""Where simulated traffic goes: a JSONL or Arrow file, standard output, Kafka, or limiters over HTTP."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, cast
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, Producer

from floodwarden.errors import CommandError, UnreachableError
from floodwarden.formats_trace import Labelled, write_arrow, write_jsonl
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.gateway import Gateway
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.pace import Pace, announced
from schemas import codec, topics

FLUSH_TIMEOUT_S: Final = 30
_PACED_ROWS: Final = 200  # each part sent carries the texts of its batch
_HTTP: Final = ("http://", "https://")
_AT_ONCE: Final = Pace()
OnRows = Callable[[int], None]


def write(
    config: SimulationConfig,
    to: str,
    *,
    pace: Pace = _AT_ONCE,
    ask: bool = False,
    on_rows: OnRows = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Simulate into `to` and give back how many decisions that were.

    `to` is a file (`.jsonl`, `.jsonl.gz`, `.arrow`), `-` (JSONL on standard output), `kafka://HOST:PORT/TOPIC` or
    limiters, `http://HOST:PORT`, several by comma. Only files carry labels. With `ask` the limiters decide, else they
    are told what the made-up site decided. `on_rows` hears of every part written, `tell` of each attack as it begins.

    Raises:
        CommandError: the place cannot be written to, or takes no decisions.
    """
    if ask and not to.startswith(_HTTP):
        raise CommandError(f"{to}: only limiters can be asked; say http://HOST:PORT")
    if pace.speed:
        config = replace(config, batch_rows=min(config.batch_rows, _PACED_ROWS))
    paced = announced(pace.keep(simulate(config), config.start_ms), tell)
    total = 0
    for rows in _sink(to, pace, ask=ask)(paced):
        total += rows
        on_rows(rows)
    return total


def _sink(to: str, pace: Pace, *, ask: bool) -> Callable[[Iterable[Labelled]], Iterator[int]]:
    if to.startswith("kafka://"):
        return lambda parts: _to_kafka(parts, to)
    if to.startswith(_HTTP):
        return lambda parts: _to_http(parts, to.split(","), pace, ask=ask)
    if to == "-":
        return lambda parts: write_jsonl(parts, sys.stdout.buffer)
    if to.endswith((".jsonl", ".jsonl.gz", ".arrow")):
        return lambda parts: _to_file(parts, Path(to))
    raise CommandError(
        f"{to}: end a file in .jsonl, .jsonl.gz or .arrow, or say kafka://HOST:PORT/TOPIC or http://HOST:PORT"
    )


def _to_file(parts: Iterable[Labelled], path: Path) -> Iterator[int]:
    """Into a file that bears its name only once it is whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=4, mtime=0, filename="") as file:
                    yield from write_jsonl(parts, cast("IO[bytes]", file))
            else:
                yield from (write_arrow if path.suffix == ".arrow" else write_jsonl)(parts, raw)
        unfinished.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _to_kafka(parts: Iterable[Labelled], to: str) -> Iterator[int]:
    where = urlsplit(to)
    topic = where.path.strip("/") or topics.DECISIONS.full("floodwarden.")
    failures: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": where.netloc, "linger.ms": 20, "message.timeout.ms": 20_000})

    def told(error: KafkaError | None, _message: object) -> None:
        if error is not None and not failures:
            failures.append(error)

    headers = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
    for batch, _ in parts:
        while True:
            try:
                producer.produce(topic, codec.encode(batch), headers=headers, on_delivery=told)
                break
            except BufferError:  # its queue is full: wait for the broker to take some
                producer.poll(0.1)
        producer.poll(0)
        if failures:
            break
        yield batch.num_rows
    left = producer.flush(FLUSH_TIMEOUT_S)
    if failures or left:
        why = failures[0].str() if failures else f"{left} messages not acknowledged"
        raise UnreachableError(f"{to}: {why}; is the broker there and the topic made?")


def _to_http(parts: Iterable[Labelled], addresses: list[str], pace: Pace, *, ask: bool) -> Iterator[int]:
    gateway = Gateway([address.strip() for address in addresses], pace.stop)
    send = gateway.ask if ask else gateway.tell
    try:
        for batch, _ in parts:
            send(codec.to_rows(batch))
            yield batch.num_rows
    finally:
        gateway.close()
