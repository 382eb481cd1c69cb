"""Allowed rows that stand for others: sums stay right, and what matters singly is never left out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_traffic import GLOBS, NOW_MS, blocks, crowd, row

from limiter.sampling import Sampler
from schemas import codec, topics
from schemas.decision import SCHEMA, Decision
from schemas.errors import BadMessageError
from schemas.usage import MEASURES, Kind
from stream.combine import combine

SHARES = st.floats(0.01, 1.0)
ADDED = [name for name in MEASURES if name != "flows_dropped"]


def counts(rows: list[Decision]) -> dict[tuple[int, str, int], dict[str, object]]:
    [block] = blocks(rows)
    return {(r["kind"], r["entity"], r["pane_s"]): r for r in block.counts.to_pylist()}


def flows(rows: list[Decision]) -> list[tuple[object, ...]]:
    [block] = blocks(rows)
    return sorted(tuple(sorted(r.items())) for r in block.flows.to_pylist())


@settings(max_examples=50, deadline=None)
@given(share=SHARES)
def test_whatever_the_share_a_row_weighs_one_on_average(share: float) -> None:
    steps = 60

    def grid() -> Iterator[float]:
        for i in range(steps):
            for j in range(steps):
                first = (i + 0.5) / steps * share  # only those that are kept: each is kept with probability `share`
                yield first
                if 1 / share % 1 > 0:
                    yield (j + 0.5) / steps

    chance = grid()
    sampler = Sampler(share, GLOBS, lambda: next(chance))
    weights = [kept.weight or 1 for _ in range(steps * steps) if (kept := sampler.sampled(row())) is not None]
    assert len(weights) == steps * steps
    assert share * sum(weights) / len(weights) == pytest.approx(1.0, abs=1 / steps)


@settings(max_examples=25, deadline=None)
@given(share=SHARES, seed=st.integers(0, 1 << 30))
def test_the_windows_of_a_sample_are_those_of_all_rows_within_what_chance_explains(share: float, seed: int) -> None:
    chance = random.Random(seed)
    everything = [row(i % 1000, ip=f"192.0.2.{i % 3}", cost=1 + i % 4, latency_ms=float(i % 64)) for i in range(3000)]
    sampler = Sampler(share, GLOBS, chance.random)
    kept = [one for each in everything if (one := sampler.sampled(each)) is not None]
    whole, sample = counts(everything), counts(kept)
    for key, told in whole.items():
        n = told["n"]
        deviation = math.sqrt(n * (1 / share - 1 + 0.25)) + 1e-9
        estimate = sample.get(key, dict.fromkeys(ADDED, 0))
        for measure, most in (("n", 1), ("allowed", 1), ("latency_n", 1), ("cost", 4), ("latency_ms_sum", 63)):
            if n < 100 and measure != "n":
                continue
            assert abs(estimate[measure] - told[measure]) <= 6 * deviation * most + most, (key, measure)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), weights=st.lists(st.sampled_from([None, 1, 2, 7, 100]), min_size=60, max_size=60))
def test_a_row_of_weight_n_counts_like_n_rows(seed: int, weights: list[int | None]) -> None:
    rows = crowd(seed, 60)
    weighted = [
        Decision(**{f: getattr(r, f) for f in r.__struct_fields__ if f != "weight"}, weight=w)
        for r, w in zip(rows, weights, strict=True)
    ]
    copies = [r for r, w in zip(rows, weights, strict=True) for _ in range(w or 1)]
    assert counts(weighted) == counts(copies)
    assert flows(weighted) == flows(copies)


REFUSALS = [
    {"verdict": "limit"}, {"verdict": "deny"}, {"verdict": "challenge"}, {"status": 404}, {"status": 401},
    {"status": 500}, {"status": 429}, {"shadow": "limit"}, {"method": "POST", "route": "/login"},
    {"route": "/items#basic-auth"}, {"weight": 3},
]  # fmt: skip


@pytest.mark.parametrize("columns", REFUSALS, ids=str)
def test_refusals_errors_logins_and_rows_that_stand_for_others_already_are_never_left_out(
    columns: dict[str, object],
) -> None:
    sampler = Sampler(0.001, GLOBS, lambda: 0.999)
    assert sampler.sampled(row()) is None
    one = row(**columns)
    assert sampler.sampled(one) is one


def test_a_message_of_a_node_that_knows_no_weight_counts_each_row_once() -> None:
    old = codec.from_rows([row(), row()]).drop_columns(["weight"])
    batch = codec.decode(codec.encode(old), None)
    assert batch.schema.equals(SCHEMA)
    [block] = combine(batch, partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=GLOBS)
    assert {r["n"] for r in block.counts.to_pylist()} == {2}
    assert {r["kind"] for r in block.counts.to_pylist()} >= {Kind.IP, Kind.ROUTE, Kind.GLOBAL}


def test_a_reader_that_knows_no_weight_takes_a_row_of_a_sample_for_an_ordinary_one() -> None:
    value = codec.encode(codec.from_rows([row(weight=10)]))
    batch = codec.decode_many([(value, topics.ARROW)], tuple(name for name in SCHEMA.names if name != "weight"))
    assert batch.column("ip").to_pylist() == ["192.0.2.1"]


@pytest.mark.parametrize("weight", [0, -1, 10_001])
def test_a_weight_nobody_can_mean_is_refused_by_name(weight: int) -> None:
    with pytest.raises(BadMessageError) as told:
        codec.from_rows([Decision(ts_ms=NOW_MS, verdict="allow", weight=weight)])
    assert told.value.field == "weight"
