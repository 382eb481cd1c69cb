"""Poison on the whole path: each goes to dead-letter with its reason, is counted, and the stream goes on."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from stream_worker import Worker, batch, make_settings, reading, send, worker

from schemas import codec, topics
from schemas import decision as d
from schemas.decision import Decision
from schemas.settings import Settings

pytestmark = pytest.mark.integration
TEN_MEGABYTES = 10 << 20


def rows(count: int) -> list[Decision]:
    now_ms = int(time.time() * 1000)
    return [Decision(ts_ms=now_ms, verdict="allow", ip="192.0.2.1", route="/a") for _ in range(count)]


def with_column(name: str, column: pa.Array, metadata: dict[bytes, bytes] | None = None) -> bytes:
    good = codec.from_rows(rows(len(column)))
    arrays = [column if field.name == name else good.column(field.name) for field in d.SCHEMA]
    names = d.SCHEMA.names
    made = pa.RecordBatch.from_arrays(arrays, names=names)
    return codec.encode(made.replace_schema_metadata(metadata or d.SCHEMA.metadata))


def poison() -> dict[str, tuple[bytes, str]]:
    """Code and field that each is refused with, and its bytes."""
    good, now_ms = batch(rows(20)), int(time.time() * 1000)
    times = pa.array([now_ms, now_ms])
    return {
        "truncated": (good[: len(good) // 2], "bad_arrow"),
        "garbage": (b"\x00\x01\x02garbage", "bad_arrow"),
        "future version": (with_column("ts_ms", times, {d.VERSION_KEY: b"2"}), "future_version"),
        "version of nonsense": (with_column("ts_ms", times, {d.VERSION_KEY: b"one"}), "bad_value"),
        "no time": (with_column("ts_ms", pa.array([now_ms, None], pa.int64())), "bad_value"),
        "no verdict": (with_column("verdict", pa.array(["allow", None])), "bad_value"),
        "a time long gone": (with_column("ts_ms", pa.array([now_ms, 5])), "bad_value"),
        "a time to come": (with_column("ts_ms", pa.array([now_ms, 2**62])), "bad_value"),
        "bomb": (with_column("cost", pa.repeat(pa.scalar(1, pa.int32()), 400_000)), "too_large"),
    }


def test_each_kind_of_poison_is_put_aside_with_its_reason_and_the_stream_goes_on(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    bad = poison()
    with worker(settings, tmp_path) as one, reading(settings, topics.DEAD_LETTER) as dead:
        good = batch(rows(50))
        for value, _ in bad.values():
            send(settings, [good, value, good])
        send(settings, [b'[{"ts_ms":' * 50_000], topics.JSON)
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 100 * len(bad))
        letters = told(dead, len(bad) + 1)
        for name, (value, code) in bad.items():
            assert letters[value]["code"] == code, name
            assert letters[value]["origin-topic"] == settings.topic(topics.DECISIONS)
        assert counted(one) == len(bad) + 1
        send(settings, [good])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 100 * len(bad) + 50)


def test_a_record_of_ten_megabytes_is_put_aside_cut_and_the_stream_goes_on(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    take_large(settings)
    with worker(settings, tmp_path) as one, reading(settings, topics.DEAD_LETTER) as dead:
        producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 2 * TEN_MEGABYTES})
        producer.produce(settings.topic(topics.DECISIONS), b" " * TEN_MEGABYTES, partition=0)
        assert producer.flush(30) == 0
        for _ in range(4):
            send(settings, [batch(rows(50))] * 4)
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 800)
        ((value, headers),) = told(dead, 1).items()
        assert (headers["code"], headers["cut-from"]) == ("too_large", str(TEN_MEGABYTES))
        assert len(value) < topics.MESSAGE_BYTES_MAX
        assert counted(one) == 1


def take_large(settings: Settings) -> None:
    """A broker whose operator lets larger messages in than we take."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    entry = ConfigEntry("max.message.bytes", str(2 * TEN_MEGABYTES), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, settings.topic(topics.DECISIONS), incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        try:
            future.result(20)
        except KafkaException:  # the embedded broker has no such limit to lift
            return


def told(dead: Any, count: int) -> dict[bytes, dict[str, str]]:
    letters: dict[bytes, dict[str, str]] = {}
    deadline = time.monotonic() + 60
    while len(letters) < count and time.monotonic() < deadline:
        message = dead.poll(0.2)
        if message is not None and not message.error():
            letters[message.value()] = {name: said.decode() for name, said in message.headers()}
    assert len(letters) == count
    return letters


def counted(one: Worker) -> int:
    """Dead letters by the worker's own counter."""
    with urllib.request.urlopen(f"http://127.0.0.1:{one.settings.port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(
        sum(float(line.split()[-1]) for line in lines if line.startswith("floodwarden_stream_dead_letters_total"))
    )
