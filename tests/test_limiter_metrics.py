"""What is counted on every check is the histogram that the client library would have made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from limiter.metrics import Tally

BOUNDS = (0.00005, 0.0001, 0.25)


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 1))))
def test_a_tally_reads_as_a_histogram_of_the_same_values(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("check_seconds", "time", BOUNDS)
    ours.register(tally)
    histogram = Histogram("check_seconds", "time", buckets=BOUNDS, registry=theirs)
    for value in values:
        tally.observe(value)
        histogram.observe(value)
    said = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert generate_latest(ours).splitlines() == said
