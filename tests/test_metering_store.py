"""The store, on SQLite and, where there is one, on PostgreSQL (FW_TEST_POSTGRES, or one on the machine)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
import sqlalchemy as sa
from metering_traffic import Cells, counted, messages, traffic
from stream_traffic import NOW_MS, row

from schemas.decision import Decision
from schemas.usage import Kind
from stream.metering import store
from stream.metering.errors import StoreError, TakenOverError
from stream.metering.minutes import MEASURES, MINUTE_S, Minutes
from stream.metering.questions import Questions
from stream.metering.store import HOUR_S, Store
from stream.metering.tables import HOURS, MINUTES

DAY_MS = 86_400_000


@pytest.fixture
def engine(new_url: Callable[[], str]) -> Iterator[sa.Engine]:
    """An empty store."""
    made = store.connect(new_url())
    yield made
    made.dispose()


def opened(engine: sa.Engine, heaviest: int = 1000) -> Store:
    return Store(engine, heaviest=heaviest, usage_partitions=1)


def put(into: Store, rows: list[Decision], turn: int = 0, partition: int = 0, heaviest: int = 1000) -> int:
    """Rows as a batch of a partition that ends with them."""
    minutes = Minutes(heaviest)
    minutes.add(messages([(0, rows)]))
    minutes.finish()
    batch = minutes.batch()
    assert batch is not None
    return into.write(partition, turn, batch)


def late(into: Store, rows: list[Decision], turn: int) -> int:
    """Rows of minutes that were over."""
    minutes = Minutes(1000)
    minutes.add(messages([(0, [row(DAY_MS)])], at_ms=NOW_MS + DAY_MS))
    minutes.finish()
    first = minutes.batch()
    assert first is not None
    minutes.stored(first)
    minutes.add([*messages([(0, []), (0, rows)])][1:])
    batch = minutes.batch()
    assert batch is not None
    assert batch.late.height
    assert not batch.closed.height
    return into.write(0, turn, batch)


def cells(engine: sa.Engine, table: sa.Table = MINUTES, *, other: bool = False) -> Cells:
    with engine.connect() as at:
        rows = at.execute(sa.select(table).where(table.c.other.is_(other))).all()
    return {(r.kind, r.start_s, r.entity): tuple(getattr(r, m) for m in MEASURES) for r in rows}


def hourly(of: Cells) -> Cells:
    made: Cells = {}
    for (kind, start_s, entity), sums in of.items():
        at = (kind, start_s // HOUR_S * HOUR_S, entity)
        made[at] = tuple(a + b for a, b in zip(made.get(at, (0,) * len(MEASURES)), sums, strict=True))
    return made


def test_meters_that_start_together_on_an_empty_store_all_find_it(new_url: Callable[[], str]) -> None:
    for _ in range(10):
        with ThreadPoolExecutor(6) as pool:
            engines = list(pool.map(store.connect, [new_url()] * 6))
        put(opened(engines[0]), [row(0)])
        for each in engines:
            assert cells(each)
            each.dispose()


def test_what_is_stored_is_what_was_counted_and_late_rows_are_added(engine: sa.Engine) -> None:
    chance, into = random.Random(1), opened(engine)
    first, second = traffic(chance, 200, 200_000), traffic(chance, 50, 200_000)
    turn = put(into, first)
    assert cells(engine) == counted(first)
    late(into, second, turn)
    assert cells(engine) == counted(first + second)


def test_a_write_that_does_not_know_the_last_one_is_refused_whole(engine: sa.Engine) -> None:
    one, two = opened(engine), opened(engine)
    rows = traffic(random.Random(2), 50, 60_000)
    turn = put(one, rows)
    with pytest.raises(TakenOverError):
        put(two, rows)
    with pytest.raises(TakenOverError):
        put(two, rows, turn + 1)
    assert cells(engine) == counted(rows)
    assert two.load(0).turn == turn
    progress = two.load(0).progress
    assert progress is not None
    assert (progress.mark, progress.written) == (1, 1)
    assert two.load(1).progress is None


def test_of_many_who_write_the_same_turn_at_once_one_does(engine: sa.Engine) -> None:
    rows = traffic(random.Random(3), 50, 60_000)

    def attempt(_: int) -> int:
        try:
            put(opened(engine), rows)
        except TakenOverError:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert cells(engine) == counted(rows)


def test_old_minutes_become_hours_and_old_hours_go_and_no_sum_changes(engine: sa.Engine) -> None:
    chance, into = random.Random(4), opened(engine)
    rows = traffic(chance, 400, 5 * HOUR_S * 1000)
    turn = put(into, rows)
    truth, now_s = counted(rows), NOW_MS // 1000 + 6 * HOUR_S
    assert into.upkeep(now_s, minutes_s=2 * HOUR_S, hours_s=24 * HOUR_S, every_s=600)
    cut_s = (now_s - 2 * HOUR_S) // HOUR_S * HOUR_S
    assert cells(engine) == {c: s for c, s in truth.items() if c[1] >= cut_s}
    assert cells(engine, HOURS) == hourly({c: s for c, s in truth.items() if c[1] < cut_s})
    assert not into.upkeep(now_s + 599, minutes_s=2 * HOUR_S, hours_s=24 * HOUR_S, every_s=600)
    more = traffic(chance, 50, HOUR_S * 1000)  # late by hours: a minute again, and an hour at the next upkeep
    late(into, more, turn)
    assert Questions(engine).top(Kind.GLOBAL, "n", NOW_MS // 1000, now_s, 1)["total"]["n"] == sum(
        r.weight or 1 for r in rows + more
    )
    assert into.upkeep(now_s + 600, minutes_s=2 * HOUR_S, hours_s=24 * HOUR_S, every_s=600)
    assert hourly(cells(engine) | cells(engine, HOURS)) == hourly(counted(rows + more))
    assert into.upkeep(now_s + 25 * HOUR_S, minutes_s=2 * HOUR_S, hours_s=24 * HOUR_S, every_s=600)
    assert not cells(engine)
    gone_s = (now_s + HOUR_S) // HOUR_S * HOUR_S
    assert cells(engine, HOURS) == {c: s for c, s in hourly(counted(rows + more)).items() if c[1] >= gone_s}


def test_upkeep_at_the_same_time_from_many_meters_moves_every_row_once(engine: sa.Engine) -> None:
    rows = traffic(random.Random(5), 300, 3 * HOUR_S * 1000)
    put(opened(engine), rows)

    def attempt(_: int) -> bool:
        try:
            return opened(engine).upkeep(NOW_MS // 1000 + DAY_MS, minutes_s=HOUR_S, hours_s=1 << 40, every_s=600)
        except sa.exc.OperationalError:  # PostgreSQL: another was first
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert cells(engine, HOURS) == hourly(counted(rows))


def test_an_hour_keeps_its_heaviest_and_the_sum_of_the_rest(engine: sa.Engine) -> None:
    into = opened(engine, heaviest=10)
    begin_ms = -(NOW_MS % (HOUR_S * 1000))
    rows = [row(begin_ms + m * 60_000, ip=f"198.51.{m}.{i}") for m in range(30) for i in range(8)]
    rows += [row(begin_ms + m * 60_000, ip="192.0.2.1", verdict="limit") for m in range(30)]
    turn = 0
    for at in range(0, len(rows), 60):
        turn = put(into, rows[at : at + 60], turn)
    into.upkeep(NOW_MS // 1000 + DAY_MS, minutes_s=HOUR_S, hours_s=1 << 40, every_s=600)
    truth = {c: s for c, s in hourly(counted(rows)).items() if c[0] == Kind.IP}
    held = {c: s for c, s in cells(engine, HOURS).items() if c[0] == Kind.IP}
    assert len(held) <= 5 * 10
    assert held.items() <= truth.items()
    assert "192.0.2.1" in {entity for *_, entity in held}
    [rest] = (s for c, s in cells(engine, HOURS, other=True).items() if c[0] == Kind.IP)
    for i in range(len(MEASURES)):
        assert sum(s[i] for s in held.values()) + rest[i] == sum(s[i] for s in truth.values())


def test_a_flood_of_late_rows_leaves_a_minute_bounded_and_its_sum_right(engine: sa.Engine) -> None:
    into = opened(engine, heaviest=20)
    turn = put(into, [row(0, ip="192.0.2.1"), *(row(0, ip=f"192.0.2.{i}") for i in range(100, 115))])
    flood = [row(0, ip=f"198.51.{i // 250}.{i % 250}") for i in range(1000)] + [row(0, ip="192.0.2.1")] * 5
    late(into, flood, turn)
    minute = (int(Kind.IP), NOW_MS // 1000 // MINUTE_S * MINUTE_S)
    held = {c: s for c, s in cells(engine).items() if c[0] == Kind.IP}
    assert len(held) == 20
    assert held[(*minute, "192.0.2.1")][0] == 6
    rest = cells(engine, other=True)[(*minute, "")]
    assert sum(s[0] for s in held.values()) + rest[0] == 16 + len(flood)


def test_the_top_is_ordered_by_what_is_asked_for_and_says_what_all_and_the_rest_used(engine: sa.Engine) -> None:
    rows = [row(i * 100, route="/cheap", cost=1) for i in range(50)]
    rows += [row(i * 100, route="/dear", cost=100) for i in range(5)]
    rows += [row(0, route="/hit", verdict="limit", cost=0)] * 9
    put(opened(engine), rows)
    ask, at_s = Questions(engine), NOW_MS // 1000
    for order, first in (("n", "/cheap"), ("cost", "/dear"), ("limited", "/hit"), ("allowed", "/cheap")):
        assert ask.top(Kind.ROUTE, order, at_s, at_s + 60, 10)["top"][0]["entity"] == first
    told = ask.top(Kind.ROUTE, "n", at_s, at_s + 60, 1)
    assert told["top"] == [
        {"entity": "/cheap", "n": 50, "allowed": 50, "limited": 0, "denied": 0, "challenged": 0, "cost": 50}
    ]
    assert told["total"]["n"] == 64
    assert told["other"]["n"] == 0
    assert (told["from_s"], told["until_s"]) == (at_s // 60 * 60, -(-(at_s + 60) // 60) * 60)
    assert ask.top(Kind.ROUTE, "n", at_s - 7200, at_s - 3600, 1)["top"] == []


def test_a_time_line_has_minutes_with_their_zeros_or_hours_where_only_those_are_kept(engine: sa.Engine) -> None:
    into, ask = opened(engine), Questions(engine)
    rows = [row(0, country="DE"), row(200_000, country="DE"), row(200_000, country="FR")]
    put(into, rows)
    from_s = NOW_MS // 1000 // HOUR_S * HOUR_S
    line = ask.timeline(Kind.COUNTRY, "DE", from_s, from_s + HOUR_S)
    assert line["step_s"] == MINUTE_S
    assert len(line["steps"]) == 60
    assert [step["start_s"] for step in line["steps"] if step["n"]] == [
        start_s for _, start_s, entity in sorted(counted(rows)) if entity == "DE"
    ]
    into.upkeep(from_s + DAY_MS, minutes_s=HOUR_S, hours_s=1 << 40, every_s=600)
    line = ask.timeline(Kind.COUNTRY, "DE", from_s + 60, from_s + 120)
    assert [(step["start_s"], step["n"]) for step in line["steps"]] == [(from_s, 2)]
    assert line["total"]["n"] == 2
    assert (line["from_s"], line["until_s"]) == (from_s, from_s + HOUR_S)


def test_a_hole_is_told_of_once_to_whoever_asks_for_its_time(engine: sa.Engine) -> None:
    into, ask = opened(engine), Questions(engine)
    for partition in (0, 1):
        minutes = Minutes(1000)
        minutes.add([m for m in messages([(3, [row(0)]), (3, [row(1)]), (3, [row(2)])]) if m.offset != 1])
        minutes.finish()
        batch = minutes.batch()
        assert batch is not None
        into.write(partition, 0, batch)
    at_s = NOW_MS // 1000
    [hole] = ask.top(Kind.IP, "n", at_s, at_s + 60, 1)["holes"]
    assert (hole["source"], hole["start"], hole["end"]) == (3, 1, 2)
    assert ask.top(Kind.IP, "n", at_s + 600, at_s + 660, 1)["holes"] == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://root:hunter2@db/x", "sqlite:///FILE or postgresql"),
        ("nonsense", "FLOODWARDEN_USAGE_STORE"),
        ("sqlite:////proc/nowhere/usage.db", "FLOODWARDEN_USAGE_STORE"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", "FLOODWARDEN_USAGE_STORE"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_without_its_password(url: str, says: str) -> None:
    with pytest.raises(StoreError) as error:
        store.connect(url)
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)


def test_names_that_clients_choose_are_text_and_nothing_else(engine: sa.Engine) -> None:
    names = ["'; DROP TABLE usage_minutes; --", "*other*", "%", "\N{PILE OF POO}", "x" * 512]
    put(opened(engine), [row(0, user=name) for name in names])
    at_s = NOW_MS // 1000
    for name in names:
        assert Questions(engine).timeline(Kind.USER, name, at_s, at_s + 60)["total"]["n"] == 1


def test_the_frames_of_a_batch_have_one_row_a_place() -> None:
    minutes = Minutes(1000)
    minutes.add(messages([(0, traffic(random.Random(6), 100, 1000))]))
    minutes.finish()
    batch = minutes.batch()
    assert batch is not None
    assert not batch.closed.select(pl.struct("start_s", "kind", "entity").is_duplicated()).to_series().any()
