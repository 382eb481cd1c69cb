"""Decisions lost through a minute without Kafka at 20,000 a second, row by row, and what a check felt of it.

`floodwarden bench outage` calls `run()`: a publisher in this process, an Apache Kafka of its own that is killed, and
started again a minute later. What the topic holds is compared with what was offered: each row, its own time, how often.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from outage_world import Topic, Traffic, lost, make_topics, metric, poll_until
from servers import Kafka, kafka, why_no_kafka

from floodwarden.errors import CommandError
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from schemas.settings import Settings

OUTAGE_S = 60.0
ROWS_PER_S = 20_000
BEFORE_S = AFTER_S = 5.0


def run() -> dict[str, Any]:
    """Rows lost and repeated, and the figures of the way there."""
    if reason := why_no_kafka():
        raise CommandError(reason)
    with tempfile.TemporaryDirectory() as directory, kafka(Path(directory)) as node:
        settings = Settings(kafka=node.address, data_dir=Path(directory) / "limiter", node="bench")
        make_topics(settings)
        metrics = Metrics()
        publisher = Publisher(settings, metrics)
        publisher.start()
        traffic = Traffic(publisher, ROWS_PER_S)
        traffic.start()
        figures = _outage(node, metrics, traffic)
        traffic.stop()
        topic = Topic(settings)
        topic.read_until(lambda: len(topic.times) >= len(traffic.offered), 120)
        publisher.stop()
        topic.close()
        return _result(traffic, topic, metrics, figures)


def _outage(node: Kafka, metrics: Metrics, traffic: Traffic) -> dict[str, float]:
    time.sleep(BEFORE_S)  # a length of traffic, nothing that is waited for
    figures = {"offer_p99_us_before": _p99(traffic.offer_us)}
    first, rows_before, began = len(traffic.offer_us), len(traffic.offered), time.monotonic()
    node.kill()
    poll_until(lambda: metric(metrics, "kafka_away") == 1, OUTAGE_S)
    figures["noticed_s"] = time.monotonic() - began
    time.sleep(max(0.0, began + OUTAGE_S - time.monotonic()))
    figures["spool_bytes"] = metric(metrics, "spool_bytes")
    node.start()
    figures["outage_s"] = time.monotonic() - began
    figures["rows_per_s"] = (len(traffic.offered) - rows_before) / figures["outage_s"]
    figures["offer_p99_us_during"] = _p99(traffic.offer_us[first:])
    came_back = time.monotonic()
    poll_until(lambda: metric(metrics, "spool_bytes") == 0 and metric(metrics, "kafka_away") == 0, 300)
    figures["caught_up_s"] = time.monotonic() - came_back
    time.sleep(AFTER_S)
    return figures


def _result(traffic: Traffic, topic: Topic, metrics: Metrics, figures: dict[str, float]) -> dict[str, Any]:
    offered = dict(enumerate(traffic.offered))
    wrong_time = sum(1 for i, ts_ms in topic.ts_ms.items() if offered.get(i) != ts_ms)
    return {
        "name": "outage",
        "unit": "decisions lost",
        "ours": len(offered) - len(topic.ts_ms) + wrong_time,
        "peers": {},
        "limit": f"one publisher, one Apache Kafka killed for {OUTAGE_S:.0f} s, {ROWS_PER_S} decisions a second",
        "ratios": {"offer_p99_during_to_before": figures["offer_p99_us_during"] / figures["offer_p99_us_before"]},
        "offered": len(offered),
        "in_topic": len(topic.ts_ms),
        "repeated": topic.repeated(),
        "refused": traffic.refused,
        "counted_lost": lost(metrics),
        "spooled": int(metric(metrics, "decisions_spooled_total")),
        "replayed": int(metric(metrics, "decisions_replayed_total")),
        "bytes_a_decision": round(topic.value_bytes / max(1, len(topic.ts_ms)), 1),
        **{name: round(value, 2) for name, value in figures.items()},
    }


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
