from __future__ import annotations

import random
from dataclasses import replace

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from metering_traffic import Cells, counted, messages, traffic
from stream_traffic import NOW_MS, row

from schemas.usage import Kind
from stream.metering.minutes import AHEAD_S, MEASURES, MINUTE_S, Batch, Message, Minutes

IDLE_MS, LATENESS_MS = 3000, 2000
FIRST_S = NOW_MS // 1000 // MINUTE_S * MINUTE_S


class Shelf:
    """A store of one partition: batches added up, each with the progress that goes with it."""

    def __init__(self) -> None:
        self.cells: Cells = {}
        self.other: dict[tuple[int, int], tuple[int, ...]] = {}
        self.last: Batch | None = None

    def put(self, minutes: Minutes) -> None:
        batch = minutes.batch()
        if batch is None:
            return
        for frame in (batch.closed, batch.late):
            for kind, start_s, hashed, entity, *sums in frame.select(
                "kind", "start_s", "hash", "entity", *MEASURES
            ).rows():
                place = (kind, start_s, entity)
                if hashed:
                    before = self.cells.get(place, (0,) * len(MEASURES))
                    self.cells[place] = tuple(a + b for a, b in zip(before, sums, strict=True))
                else:
                    before = self.other.get(place[:2], (0,) * len(MEASURES))
                    self.other[place[:2]] = tuple(a + b for a, b in zip(before, sums, strict=True))
        minutes.stored(batch)
        self.last = batch

    def reopened(self, heaviest: int = 1000) -> Minutes:
        """What a meter that starts now begins with."""
        return Minutes(heaviest, self.last.progress if self.last else None)


def whole(sent: list[Message], heaviest: int = 1000, entities_max: int = 1_000_000) -> Shelf:
    minutes, shelf = Minutes(heaviest, entities_max=entities_max), Shelf()
    minutes.add(sent)
    minutes.finish()
    shelf.put(minutes)
    return shelf


@settings(max_examples=40)
@given(st.integers(0, 1 << 32))
def test_the_minutes_are_those_of_the_decisions_whatever_the_batching_the_repeats_and_the_kills(seed: int) -> None:
    chance = random.Random(seed)
    spans = [chance.choice((500, 30_000, 300_000)) for _ in range(chance.randrange(1, 15))]
    batches = [
        (chance.randrange(3), traffic(chance, chance.randrange(8), span, i * 20_000)) for i, span in enumerate(spans)
    ]
    sent: list[Message] = []
    for message in messages(batches, at_ms=NOW_MS + 900_000):  # a block may be written again, at once or after others
        sent.append(message)
        if chance.random() < 0.3:
            sent.append(chance.choice(sent))
    sent = [replace(message, offset=offset) for offset, message in enumerate(sent)]
    shelf, kills = Shelf(), chance.randrange(5)
    minutes = shelf.reopened()
    while minutes.next < len(sent):
        minutes.add(sent[minutes.next : minutes.next + chance.randrange(1, 6)])
        if chance.random() < 0.5:
            minutes.close(chance.choice((None, NOW_MS, NOW_MS + 1_000_000)), IDLE_MS, LATENESS_MS)
        if chance.random() < 0.5:
            shelf.put(minutes)
        if kills and chance.random() < 0.3:
            minutes, kills = shelf.reopened(), kills - 1
    minutes.finish()
    shelf.put(minutes)
    assert shelf.cells == counted([r for _, rows in batches for r in rows])
    assert not shelf.other


def test_a_minute_stays_open_while_a_source_that_speaks_is_behind_and_no_longer() -> None:
    ahead, behind = [row(70_000)], [row(10_000)]
    minutes, shelf = Minutes(1000), Shelf()
    minutes.add(messages([(0, ahead), (1, behind)], at_ms=NOW_MS + 75_000))
    minutes.close(NOW_MS + 76_000, IDLE_MS, LATENESS_MS)
    shelf.put(minutes)
    assert not shelf.cells
    minutes.close(NOW_MS + 79_000, IDLE_MS, LATENESS_MS)  # both are silent: the clock goes on
    shelf.put(minutes)
    assert shelf.cells == counted(behind)


def test_nothing_closes_by_the_clock_while_there_is_more_to_read() -> None:
    minutes = Minutes(1000)
    minutes.add(messages([(0, [row(0)])], at_ms=NOW_MS + 1000))
    minutes.close(None, IDLE_MS, LATENESS_MS)
    assert minutes.batch() is None
    minutes.close(NOW_MS + 600_000, IDLE_MS, LATENESS_MS)
    assert minutes.batch() is not None


def test_one_source_far_behind_holds_minutes_open_for_ten_minutes_at_the_most() -> None:
    minutes = Minutes(1000)
    minutes.add(messages([(0, [row(0)]), (1, [row(700_000)]), (0, [row(1)])], at_ms=NOW_MS + 700_000))
    minutes.close(NOW_MS + 700_000, IDLE_MS, LATENESS_MS)
    batch = minutes.batch()
    assert batch is not None
    assert batch.closed["start_s"].unique().to_list() == [FIRST_S]


def test_a_row_stamped_in_the_future_counts_in_the_last_minute_it_may() -> None:
    [message] = messages([(0, [row(86_400_000)])])
    shelf = whole([replace(message, at_ms=NOW_MS)])
    assert {start_s for _, start_s, _ in shelf.cells} == {(NOW_MS // 1000 + AHEAD_S) // MINUTE_S * MINUTE_S}


def test_of_a_crowd_the_heaviest_of_each_order_are_exact_and_the_rest_is_summed() -> None:
    chance = random.Random(7)
    crowd = [row(i, ip=f"198.51.{i // 250}.{i % 250}", cost=1) for i in range(500)]
    heavy = [row(i, ip=f"192.0.2.{i % 3}", cost=1) for i in range(60)]
    dear = [row(0, ip="192.0.2.9", cost=1000)]
    refused = [row(i, ip="192.0.2.8", verdict="limit", cost=1) for i in range(2)]
    rows = crowd + heavy + dear + refused
    chance.shuffle(rows)
    sent = messages([(0, rows[i : i + 50]) for i in range(0, len(rows), 50)])
    shelf = whole(sent, heaviest=10)
    truth = {cell: sums for cell, sums in counted(rows).items() if cell[0] == Kind.IP}
    held = {cell: sums for cell, sums in shelf.cells.items() if cell[0] == Kind.IP}
    assert held.items() <= truth.items()
    assert {"192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.8", "192.0.2.9"} <= {entity for *_, entity in held}
    assert len(held) <= 5 * 10
    for i in range(len(MEASURES)):
        known = sum(sums[i] for sums in held.values()) + shelf.other[int(Kind.IP), FIRST_S][i]
        assert known == sum(sums[i] for sums in truth.values())


def test_more_clients_than_memory_has_room_for_cost_no_count_and_no_heavy_client() -> None:
    minutes, shelf = Minutes(10, entities_max=2000), Shelf()
    strangers = [row(i // 2, ip=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(60_000)]
    heavy = [row(i * 50, ip="192.0.2.1") for i in range(600)]
    rows = sorted(strangers + heavy, key=lambda r: r.ts_ms)
    for message in messages([(0, rows[i : i + 10_000]) for i in range(0, len(rows), 10_000)]):
        minutes.add([message])
        assert len(minutes) < 100_000
    minutes.finish()
    shelf.put(minutes)
    minute = (int(Kind.IP), FIRST_S)
    assert shelf.cells[(*minute, "192.0.2.1")][0] == 600
    assert sum(s[0] for (kind, *_), s in shelf.cells.items() if kind == Kind.IP) + shelf.other[minute][0] == len(rows)


def test_a_hole_in_a_chain_is_told_with_the_time_it_may_belong_to() -> None:
    sent = messages([(0, [row(0)]), (0, [row(5000)]), (0, [row(9000)])], at_ms=NOW_MS + 9000)
    minutes = Minutes(1000)
    minutes.add([sent[0], sent[2]])
    minutes.finish()
    batch = minutes.batch()
    assert batch is not None
    [hole] = batch.holes
    assert (hole.source, hole.start, hole.end) == (0, 1, 2)
    assert (hole.from_s, hole.until_s) == (NOW_MS // 1000, NOW_MS // 1000 + 10)


def test_a_kind_that_is_not_metered_is_left_out() -> None:
    [message] = messages([(0, [row(0)])])
    counts = message.block.counts
    strange = counts.set_column(0, "kind", pl.Series([200] * counts.num_rows, dtype=pl.UInt8).to_arrow())
    assert not whole([replace(message, block=replace(message.block, counts=strange))]).cells
