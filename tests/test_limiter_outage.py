"""A broker that goes away: no row is lost, none is there twice, and checks do not feel it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from outage_world import Topic, Traffic, lost, make_topics, metric, poll_until, row
from servers import Kafka, kafka, why_no_kafka

from floodwarden.embedded import free_port
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from limiter.spool import Spool
from schemas import codec
from schemas.settings import Settings

pytestmark = pytest.mark.integration
OUTAGE_S = 8.0
ROWS_PER_S = 8000


@pytest.fixture
def away(tmp_path: Path, topic_prefix: str) -> Settings:
    """A broker that is not there."""
    return Settings(
        kafka=f"127.0.0.1:{free_port()}", topic_prefix=topic_prefix, data_dir=tmp_path, node="n1",
        publish_patience_ms=300, publish_batch_rows=100,
    )  # fmt: skip


@pytest.fixture
def back(away: Settings, broker: str) -> Settings:
    """The same node and disk, with a broker."""
    settings = away.model_copy(update={"kafka": broker})
    make_topics(settings)
    return settings


def offered(publisher: Publisher, first: int, count: int) -> None:
    for i in range(first, first + count):
        assert publisher.offer(row(i))


def in_order(topic: Topic) -> bool:
    return all(numbers == sorted(numbers) for numbers in topic.by_partition.values())


def test_what_a_run_left_on_disk_the_next_one_sends_first_once_and_with_its_own_times(
    away: Settings, back: Settings
) -> None:
    before = Metrics()
    publisher = Publisher(away, before)
    publisher.start()
    offered(publisher, 0, 3000)
    assert poll_until(lambda: metric(before, "kafka_away") == 1)
    offered(publisher, 3000, 1000)
    publisher.stop()
    assert lost(before) == {}
    assert publisher.waiting == 0

    stopped_ms = time.time_ns() // 1_000_000
    after = Metrics()
    publisher = Publisher(back, after)
    publisher.start()
    offered(publisher, 4000, 100)
    topic = Topic(back)
    topic.read_until(lambda: len(topic.times) == 4100)
    publisher.stop()
    topic.close()
    assert topic.times == dict.fromkeys(range(4100), 1)
    assert in_order(topic)
    assert max(topic.ts_ms[i] for i in range(4000)) <= stopped_ms
    assert metric(after, "decisions_replayed_total") in (4000, 4100), "new ones may queue behind old ones"
    assert 0 < metric(after, "decisions_in_doubt_total") <= 4000, "those librdkafka held when the first run ended"
    assert not list(Path(away.data_dir).glob("spool/*/*.seg"))


def test_rows_too_old_for_the_stream_to_judge_in_place_hold_no_fresh_one_up(back: Settings) -> None:
    settings = back.model_copy(update={"publish_queue_rows": 1000, "publish_linger_ms": 1})
    old, left = 100_000, Spool(Path(back.data_dir, "spool"), "n1", 1 << 30, lambda *_: None)
    for first in range(0, old, 100):
        rows = [msgspec.structs.replace(row(i), ts_ms=row(i).ts_ms - 3_600_000) for i in range(first, first + 100)]
        left.append(codec.encode(codec.from_rows(rows)), 100, rows[-1].ts_ms)
    left.close()
    metrics = Metrics()
    publisher = Publisher(settings, metrics)
    publisher.start()
    offered(publisher, old, 100)
    topic = Topic(settings)
    topic.read_until(lambda: len(topic.times) == old + 100)
    publisher.stop()
    topic.close()
    assert topic.times == dict.fromkeys(range(old + 100), 1)
    behind = [
        sum(n < old for n in numbers[numbers.index(max(numbers)) :])
        for numbers in topic.by_partition.values()
        if max(numbers) >= old
    ]
    assert max(behind) > 0, "old rows still came after the last fresh one"
    old_only = [[n for n in numbers if n < old] for numbers in topic.by_partition.values()]
    assert old_only == [sorted(numbers) for numbers in old_only], "in their order"


_NODE = """
import sys
from outage_world import metric, poll_until, row
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from schemas.settings import Settings
kafka, prefix, directory = sys.argv[1:]
settings = Settings(kafka=kafka, topic_prefix=prefix, data_dir=directory, node="n1", publish_patience_ms=300,
                    publish_batch_rows=100)
metrics = Metrics()
publisher = Publisher(settings, metrics)
publisher.start()
for i in range(1500):
    publisher.offer(row(i))
poll_until(lambda: metric(metrics, "kafka_away") == 1)
for i in range(1500, 3000):
    publisher.offer(row(i))
poll_until(lambda: metric(metrics, "spool_rows") >= 1500)
print("ready", flush=True)
import time
time.sleep(60)
"""


def test_a_limiter_killed_while_the_broker_is_away_leaves_even_what_librdkafka_held(
    away: Settings, back: Settings
) -> None:
    command = [sys.executable, "-c", _NODE, away.kafka, away.topic_prefix, str(away.data_dir)]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}) as node:
        assert node.stdout is not None
        while (line := node.stdout.readline()) and line != b"ready\n":
            pass
        node.kill()
    assert line == b"ready\n"
    metrics = Metrics()
    publisher = Publisher(back, metrics)
    publisher.start()
    topic = Topic(back)
    topic.read_until(lambda: len(topic.times) == 3000)
    publisher.stop()
    topic.close()
    assert topic.times == dict.fromkeys(range(3000), 1)
    assert metric(metrics, "decisions_in_doubt_total") > 0


def test_with_neither_broker_nor_disk_memory_holds_what_it_may_and_the_rest_is_counted(away: Settings) -> None:
    Path(away.data_dir, "spool").write_text("a file where the directory should be")
    metrics = Metrics()
    publisher = Publisher(away.model_copy(update={"publish_queue_rows": 1000}), metrics)
    publisher.start()
    kept = sum(publisher.offer(row(i)) for i in range(1200))
    assert kept == 1000
    assert poll_until(lambda: metric(metrics, "kafka_away") == 1)
    assert not publisher.offer(row(0))
    publisher.stop(0.5)
    assert lost(metrics) == {"queue_full": 201, "shutdown": 1000}
    assert metric(metrics, "spool_errors_total", reason="enotdir") > 0


def test_memory_stays_bounded_however_long_the_broker_is_away(away: Settings) -> None:
    metrics = Metrics()
    publisher = Publisher(away.model_copy(update={"publish_queue_rows": 2000}), metrics)
    publisher.start()
    refused = taken = 0
    while metric(metrics, "decisions_spooled_total") < 20_000:
        if publisher.offer(row(taken)):
            taken += 1
        else:
            refused += 1
            assert poll_until(lambda: publisher.waiting < 2000)
        assert publisher.waiting <= 2000
    publisher.stop()
    assert lost(metrics) == ({"queue_full": refused} if refused else {})


@pytest.fixture
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka of the test's own, to be killed."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    with kafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("how", ["killed", "stopped", "frozen"])
def test_through_an_outage_of_real_kafka_no_row_is_lost_and_none_is_there_twice(
    real_kafka: Kafka, tmp_path: Path, how: str
) -> None:
    settings = Settings(kafka=real_kafka.address, data_dir=tmp_path, node="n1")
    make_topics(settings)
    metrics = Metrics()
    publisher = Publisher(settings, metrics)
    publisher.start()
    traffic = Traffic(publisher, ROWS_PER_S)
    traffic.start()
    assert poll_until(lambda: metric(metrics, "decisions_published_total") > ROWS_PER_S)
    _end(real_kafka, how)
    began = time.monotonic()
    assert poll_until(lambda: metric(metrics, "kafka_away") == 1, 10)
    noticed_s = time.monotonic() - began
    assert poll_until(lambda: metric(metrics, "spool_rows") > ROWS_PER_S * (OUTAGE_S - 3))
    _revive(real_kafka, how)
    assert poll_until(lambda: metric(metrics, "spool_bytes") == 0 and metric(metrics, "kafka_away") == 0, 40)
    traffic.stop()
    topic = Topic(settings)
    topic.read_until(lambda: len(topic.times) >= len(traffic.offered), 40)
    publisher.stop()
    topic.close()
    print(  # noqa: T201 - a measurement
        f"{how}: {len(traffic.offered)} rows, noticed after {noticed_s:.1f} s, spooled "
        f"{metric(metrics, 'decisions_spooled_total'):.0f}, repeated {topic.repeated()}, "
        f"longest offer {max(traffic.offer_us):.0f} us"
    )
    assert traffic.refused == 0
    assert lost(metrics) == {}
    assert topic.ts_ms == dict(enumerate(traffic.offered)), "every row, with its own time, and nothing else"
    assert topic.repeated() == 0
    assert metric(metrics, "decisions_replayed_total") == metric(metrics, "decisions_spooled_total")


@pytest.mark.slow
@pytest.mark.kafka
def test_a_limiter_stopped_during_an_outage_of_real_kafka_loses_nothing_and_says_what_may_be_there_twice(
    real_kafka: Kafka, tmp_path: Path
) -> None:
    settings = Settings(kafka=real_kafka.address, data_dir=tmp_path, node="n1")
    make_topics(settings)
    first, second = Metrics(), Metrics()
    publisher = Publisher(settings, first)
    publisher.start()
    traffic = Traffic(publisher, ROWS_PER_S)
    traffic.start()
    assert poll_until(lambda: metric(first, "decisions_published_total") > ROWS_PER_S)
    real_kafka.kill()
    assert poll_until(lambda: metric(first, "spool_rows") > 2 * ROWS_PER_S)
    traffic.stop()
    began = time.monotonic()
    publisher.stop()
    assert time.monotonic() - began < 3, "a broker that is away is not waited for"
    real_kafka.start()
    publisher = Publisher(settings, second)
    publisher.start()
    topic = Topic(settings)
    topic.read_until(lambda: len(topic.times) >= len(traffic.offered), 40)
    publisher.stop()
    topic.close()
    assert lost(first) == lost(second) == {}
    assert topic.ts_ms == dict(enumerate(traffic.offered))
    in_doubt = metric(second, "decisions_in_doubt_total")
    print(f"in doubt {in_doubt:.0f}, repeated {topic.repeated()}")  # noqa: T201 - a measurement
    assert topic.repeated() <= in_doubt < len(traffic.offered)


def _end(node: Kafka, how: str) -> None:
    if how == "killed":
        node.kill()
    elif how == "stopped":
        node.stop()
    else:
        os.kill(node.pid, signal.SIGSTOP)


def _revive(node: Kafka, how: str) -> None:
    if how == "frozen":
        os.kill(node.pid, signal.SIGCONT)
    else:
        node.start()
