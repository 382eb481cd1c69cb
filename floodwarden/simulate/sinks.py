"""Where simulated traffic goes: a JSONL or Arrow file, standard output, Kafka, or a limiter over HTTP."""

from __future__ import annotations

import gzip
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from confluent_kafka import KafkaError, Producer

from floodwarden.errors import CommandError, UnreachableError
from floodwarden.formats_trace import Labelled, write_arrow, write_jsonl
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from schemas import codec, topics

HTTP_ROWS_MAX: Final = 500
HTTP_TIMEOUT_S: Final = 10
FLUSH_TIMEOUT_S: Final = 30
_PACED_ROWS: Final = 200
OnRows = Callable[[int], None]


def write(config: SimulationConfig, to: str, *, speed: float = 0.0, on_rows: OnRows = lambda _: None) -> int:
    """Simulate into `to` and give back how many decisions that were.

    `to` is a file (`.jsonl`, `.jsonl.gz`, `.arrow`), `-` (JSONL on standard output), `kafka://HOST:PORT/TOPIC` or
    `http://HOST:PORT` (a limiter's `/v1/decisions`). Only files carry labels. `speed` 1 sends as time goes by, 10 ten
    times as fast, 0 at once. `on_rows` hears of every part written.

    Raises:
        CommandError: the place cannot be written to, or takes no decisions.
    """
    if speed > 0:
        config = replace(config, batch_rows=min(config.batch_rows, _PACED_ROWS))
    parts = simulate(config)
    paced = _paced(parts, config.start_ms, speed) if speed > 0 else parts
    total = 0
    for rows in _sink(to)(paced):
        total += rows
        on_rows(rows)
    return total


def _sink(to: str) -> Callable[[Iterable[Labelled]], Iterator[int]]:
    if to.startswith("kafka://"):
        return lambda parts: _to_kafka(parts, to)
    if to.startswith(("http://", "https://")):
        return lambda parts: _to_http(parts, to)
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
        producer.produce(topic, codec.encode(batch), headers=headers, on_delivery=told)
        producer.poll(0)
        if failures:
            break
        yield batch.num_rows
    left = producer.flush(FLUSH_TIMEOUT_S)
    if failures or left:
        why = failures[0].str() if failures else f"{left} messages not acknowledged"
        raise UnreachableError(f"{to}: {why}; is the broker there and the topic made?")


def _to_http(parts: Iterable[Labelled], to: str) -> Iterator[int]:
    url = to.rstrip("/") + ("" if urlsplit(to).path.strip("/") else "/v1/decisions")
    for batch, _ in parts:
        rows = codec.to_rows(batch)
        for begin in range(0, len(rows), HTTP_ROWS_MAX):
            body = codec.rows_to_json(rows[begin : begin + HTTP_ROWS_MAX])
            request = Request(url, data=body, headers={topics.CONTENT_TYPE: topics.JSON}, method="POST")  # noqa: S310 - `_sink` lets only http and https through
            try:
                with urlopen(request, timeout=HTTP_TIMEOUT_S):  # noqa: S310 - as above
                    pass
            except (URLError, TimeoutError, OSError) as error:
                raise UnreachableError(f"{url}: {error}; is it a limiter?") from error
        yield batch.num_rows


def _paced(parts: Iterable[Labelled], start_ms: int, speed: float) -> Iterator[Labelled]:
    begun_s = time.monotonic()
    for part in parts:
        due_s = (part.batch.column("ts_ms")[-1].as_py() - start_ms) / 1000 / speed
        time.sleep(max(0.0, due_s - (time.monotonic() - begun_s)))
        yield part
