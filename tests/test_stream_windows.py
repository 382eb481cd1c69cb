from __future__ import annotations

import random
from collections import Counter

from stream_traffic import NOW_MS, blocks, row

from schemas import codec
from schemas.usage import Kind
from stream.windows import Windows


def add(windows: Windows, *rows: object) -> None:
    [block] = blocks(list(rows))  # type: ignore[arg-type]
    windows.add([block.counts], block.ts_ms_max)


def n(windows: Windows, value: str, window_s: int, kind: Kind = Kind.IP) -> int:
    return int(windows.usage(kind, codec.text_hash(value), window_s).measures[0])


def test_a_window_holds_its_panes_and_lets_them_go() -> None:
    #   s   0 ........ 5 ........ 10 ........ 61 ......... 620
    #       x          x                      |            |
    windows = Windows(100)
    add(windows, row(0), row(5000))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (2, 2, 2)
    add(windows, row(10_000, ip="192.0.2.9"))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60)) == (1, 2)
    add(windows, row(61_000, ip="192.0.2.9"))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (0, 1, 2)
    add(windows, row(620_000, ip="192.0.2.9"))
    assert n(windows, "192.0.2.1", 600) == 0


def test_a_late_row_joins_its_own_pane_while_that_is_inside() -> None:
    windows = Windows(100)
    add(windows, row(30_000, ip="192.0.2.9"))
    add(windows, row(0))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (0, 1, 1)
    add(windows, row(-700_000))
    assert n(windows, "192.0.2.1", 600) == 1
    assert windows.totals[Kind.GLOBAL][0] == 3, "what is older than every window still counts in the totals"


def test_windows_equal_a_recount_whatever_came_when() -> None:
    chance = random.Random(4)
    windows, sent = Windows(1000), []
    head_s = 0
    for _ in range(60):
        head_s += chance.choice([0, 1, 1, 3, 40])
        rows = [row((head_s - chance.randrange(20)) * 1000, ip=f"192.0.2.{chance.randrange(30)}") for _ in range(20)]
        rows.append(row(head_s * 1000, ip="198.51.100.1"))
        add(windows, *rows)
        sent += rows
        end_s = NOW_MS // 1000 + head_s + 1
        for window_s in (10, 60):
            wanted = Counter(r.ip for r in sent if r.ts_ms // 1000 >= end_s - window_s)
            assert {f"192.0.2.{i}": n(windows, f"192.0.2.{i}", window_s) for i in range(30)} == {
                f"192.0.2.{i}": wanted[f"192.0.2.{i}"] for i in range(30)
            }
        tens = Counter(r.ip for r in sent if r.ts_ms // 10_000 >= -(-end_s // 10) - 60)
        assert n(windows, "192.0.2.3", 600) == tens["192.0.2.3"]


def test_entities_are_bounded_the_longest_idle_go_first_and_are_counted() -> None:
    windows = Windows(50)
    for second in range(20):
        add(
            windows,
            *(row(second * 1000, ip=f"10.{second}.0.{i}") for i in range(10)),
            row(second * 1000, ip="192.0.2.1"),
        )
    assert windows.entities()[Kind.IP] <= 50
    assert windows.evicted() > 0
    assert n(windows, "10.0.0.1", 600) == 0
    assert n(windows, "192.0.2.1", 600) == n(windows, "192.0.2.1", 60) == 20
    assert n(windows, "10.19.0.1", 10) == 1
    assert windows.totals[Kind.IP][0] == 220, "eviction forgets whom, never how many"


def test_idle_entities_leave_without_being_counted_as_evicted() -> None:
    windows = Windows(50)
    for minute in range(0, 60, 15):
        add(windows, *(row(minute * 60_000, ip=f"10.{minute}.0.{i}") for i in range(40)))
    assert windows.evicted() == 0


def test_a_restored_window_goes_on_as_if_nothing_had_happened() -> None:
    windows = Windows(100)
    for second in (0, 7, 30, 200):
        add(windows, row(second * 1000), row(second * 1000, ip="192.0.2.2", latency_ms=1.5))
    again = Windows.restore(100, windows.arrays())
    for each in (windows, again):
        add(each, row(203_000))
    for window_s in (10, 60, 600):
        for value in ("192.0.2.1", "192.0.2.2"):
            key = codec.text_hash(value)
            assert again.usage(Kind.IP, key, window_s) == windows.usage(Kind.IP, key, window_s)
