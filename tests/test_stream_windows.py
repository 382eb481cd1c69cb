from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_traffic import NOW_MS, blocks, row

from schemas import codec
from schemas.usage import Kind
from stream.kind_windows import KindWindows
from stream.panes import COLUMNS, Panes, merged
from stream.rings import WINDOWS_S
from stream.windows import Windows


def add(windows: Windows, *rows: object) -> None:
    [block] = blocks(list(rows))  # type: ignore[arg-type]
    windows.add([block.counts], block.ts_ms_max)


def n(windows: Windows, value: str, window_s: int, kind: Kind = Kind.IP) -> int:
    return int(windows.usage(kind, codec.text_hash(value), window_s).measures[0])


def test_a_window_holds_its_panes_and_lets_them_go() -> None:
    #   s   0 ........ 5 ........ 10 ........ 61 ......... 620 ........ 3700
    #       x          x                      |            |            |
    windows = Windows(100)
    add(windows, row(0), row(5000))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (2, 2, 2)
    add(windows, row(10_000, ip="192.0.2.9"))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60)) == (1, 2)
    add(windows, row(61_000, ip="192.0.2.9"))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (0, 1, 2)
    add(windows, row(620_000, ip="192.0.2.9"))
    assert (n(windows, "192.0.2.1", 600), n(windows, "192.0.2.1", 3600)) == (0, 2)
    add(windows, row(3_700_000, ip="192.0.2.9"))
    assert n(windows, "192.0.2.1", 3600) == 0


def test_a_late_row_joins_its_own_pane_while_that_is_inside() -> None:
    windows = Windows(100)
    add(windows, row(30_000, ip="192.0.2.9"))
    add(windows, row(0))
    assert (n(windows, "192.0.2.1", 10), n(windows, "192.0.2.1", 60), n(windows, "192.0.2.1", 600)) == (0, 1, 1)
    add(windows, row(-700_000))
    assert (n(windows, "192.0.2.1", 600), n(windows, "192.0.2.1", 3600)) == (1, 2)
    add(windows, row(-3_700_000))
    assert n(windows, "192.0.2.1", 3600) == 2
    assert windows.totals[Kind.GLOBAL][0] == 4, "what is older than every window still counts in the totals"


def test_windows_equal_a_recount_whatever_came_when() -> None:
    chance = random.Random(4)
    windows, sent = Windows(1000), []
    head_s = 0
    for _ in range(90):
        head_s += chance.choice([0, 1, 1, 3, 40, 700])
        rows = [
            row(
                (head_s - chance.choice([1, 9, 80, 900])) * 1000 + chance.randrange(999),
                ip=f"192.0.2.{chance.randrange(30)}",
            )
            for _ in range(20)
        ]
        rows.append(row(head_s * 1000, ip="198.51.100.1"))
        add(windows, *rows)
        sent += rows
        end_s = NOW_MS // 1000 + head_s + 1
        for window_s in (10, 60):
            wanted = Counter(r.ip for r in sent if r.ts_ms // 1000 >= end_s - window_s)
            assert {f"192.0.2.{i}": n(windows, f"192.0.2.{i}", window_s) for i in range(30)} == {
                f"192.0.2.{i}": wanted[f"192.0.2.{i}"] for i in range(30)
            }
        for pane_s, window_s in ((10, 600), (60, 3600)):
            coarse = Counter(
                r.ip for r in sent if r.ts_ms // (1000 * pane_s) >= -(-end_s // pane_s) - window_s // pane_s
            )
            assert n(windows, "192.0.2.3", window_s) == coarse["192.0.2.3"]
        many = [*(f"192.0.2.{i}" for i in range(5)), "203.0.113.1", "192.0.2.0"]
        asked = np.array([codec.text_hash(ip) for ip in many], np.uint64)
        counts = windows.counts(Kind.IP, asked, 600)
        assert counts[:, 0].tolist() == [n(windows, ip, 600) for ip in many]


def test_entities_are_bounded_the_longest_idle_go_first_and_are_counted() -> None:
    windows = Windows(50)
    for second in range(20):
        add(
            windows,
            *(row(second * 1000, ip=f"10.{second}.0.{i}") for i in range(10)),
            row(second * 1000, ip="192.0.2.1"),
        )
    assert windows.entities()[Kind.IP] <= 50
    assert windows.evicted()[Kind.IP] > 0
    assert n(windows, "10.0.0.1", 600) == 0
    assert n(windows, "192.0.2.1", 600) == n(windows, "192.0.2.1", 60) == 20
    assert n(windows, "10.19.0.1", 10) == 1
    assert windows.totals[Kind.IP][0] == 220, "eviction forgets whom, never how many"


def test_idle_entities_leave_without_being_counted_as_evicted() -> None:
    windows = Windows(50)
    for minute in range(0, 280, 70):
        add(windows, *(row(minute * 60_000, ip=f"10.{minute}.0.{i}") for i in range(40)))
    assert windows.evicted()[Kind.IP] == 0


def test_a_restored_window_goes_on_as_if_nothing_had_happened() -> None:
    windows = Windows(100)
    for second in (0, 7, 30, 200):
        add(windows, row(second * 1000), row(second * 1000, ip="192.0.2.2", latency_ms=1.5))
    again = Windows.restore(100, windows.arrays())
    for each in (windows, again):
        add(each, row(203_000))
    for window_s in WINDOWS_S:
        for value in ("192.0.2.1", "192.0.2.2"):
            key = codec.text_hash(value)
            assert again.usage(Kind.IP, key, window_s) == windows.usage(Kind.IP, key, window_s)


def rested(windows: Windows, kind: Kind = Kind.IP) -> int:
    return int(windows.rest(kind, 600).measures[0])


def test_what_the_evicted_did_stays_in_the_rest_so_that_windows_add_up() -> None:
    windows, ips = Windows(16), [f"10.0.{i}.1" for i in range(200)]
    for i, ip in enumerate(ips):
        add(windows, row(i * 50, ip=ip), row(i * 50, ip=ips[i // 2]))
    assert windows.entities()[Kind.IP] <= 16
    assert sum(n(windows, ip, 600) for ip in ips) + rested(windows) == 400
    assert 0 < rested(windows) < 400
    assert n(windows, "*", 600, Kind.GLOBAL) == 400


@settings(max_examples=40)
@given(
    size=st.integers(8, 40),
    steps=st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 30)), max_size=60), max_size=25),
    alive=st.integers(0, 300),
)
def test_whatever_the_stream_the_bound_holds_and_heavy_hitters_and_attackers_alive_stay(
    size: int, steps: list[list[tuple[int, int]]], alive: int
) -> None:
    windows, sent = KindWindows(size), Counter[int]()
    attacker = np.array([alive + 1], np.uint64)
    for second, step in enumerate(steps):
        hashes = np.array([who + 1 for who, _ in step], np.uint64)
        rows = np.zeros((len(step), COLUMNS), np.int64)
        rows[:, 0] = [count for _, count in step]
        windows.add(hashes, np.full(len(step), second), rows, second + 1, lambda: attacker)
        sent.update({who + 1: 0 for who, _ in step})
        for who, count in step:
            sent[who + 1] += count
        assert len(windows) <= size
        got = {who: int(windows.usage(who, 600, second + 1).measures[0]) for who in sent}
        assert sum(got.values()) + int(windows.rest(600, second + 1).measures[0]) == sent.total()
        assert got.get(alive + 1, 0) == sent[alive + 1], "an attacker alive is never evicted"
        assert all(got[who] > 0 for who in sent if sent[who] * (size // 4 + 1) > sent.total()), "heavy hitters stay"


def test_rows_are_bounded_too_and_the_longest_idle_go_for_them() -> None:
    windows = Windows(1000, rows_max=400)
    for second in range(30):
        add(windows, *(row(second * 1000, ip=f"10.0.{second // 3}.{i}") for i in range(20)))
    kept = [n(windows, f"10.0.{third}.1", 600) for third in range(10)]
    assert kept[-1] == 3
    assert kept[0] == 0
    assert windows.rows() <= 400
    assert rested(windows) + sum(n(windows, f"10.0.{a}.{i}", 600) for a in range(10) for i in range(20)) == 600


def test_an_eviction_in_the_midst_of_a_call_mixes_nobody_up() -> None:
    windows = Windows(8)
    add(windows, *(row(i, ip=f"10.0.0.{i}") for i in range(8)))
    add(windows, *(row(1000 + i, ip=f"10.0.0.{i}") for i in range(0, 16, 3)))
    for i in range(0, 16, 3):
        assert n(windows, f"10.0.0.{i}", 10) <= 1 + (i < 8)
    assert sum(n(windows, f"10.0.0.{i}", 600) for i in range(16)) + rested(windows) == 14


def asked(*values: str) -> np.ndarray:
    return np.array([codec.text_hash(value) for value in values], np.uint64)


def test_the_first_request_of_an_entity_is_known_as_long_as_it_is_held() -> None:
    windows = Windows(100)
    add(windows, row(5_500), row(7_000))
    add(windows, row(900_000, ip="192.0.2.9"))
    add(windows, row(4_250))
    assert windows.first_seen_ms(Kind.IP, asked("192.0.2.1", "192.0.2.8")).tolist() == [NOW_MS + 4_250, 0]


def test_a_machine_keeps_time_and_people_do_not() -> None:
    chance, windows = random.Random(7), Windows(100)
    poller = [row(at, ip="192.0.2.1") for at in range(300, 60_000, 5_000)]
    quick = [row(at, ip="192.0.2.2") for at in range(0, 60_000, 250)]
    people = [row(chance.randrange(60_000), ip="192.0.2.3") for _ in range(40)]
    burst = [row(second * 20_000 + at, ip="192.0.2.4") for second in range(3) for at in range(0, 900, 30)]
    add(windows, *poller, *quick, *people, *burst, row(59_999, ip="192.0.2.5"))
    pace = windows.pace(Kind.IP, asked(*(f"192.0.2.{i}" for i in range(1, 6))), 60)
    assert pace.gaps.tolist() == [11, 239, 39, 89, 0]
    assert pace.mean_ms[:2].tolist() == [5000.0, 250.0]
    assert pace.variation[0] == pace.variation[1] == 0
    assert 0.5 < pace.variation[2] < 2
    assert pace.variation[3] > 3
    assert np.isnan(pace.variation[4])


@settings(max_examples=40, deadline=None)
@given(times_ms=st.lists(st.integers(0, 59_999), min_size=3, max_size=40), cuts=st.integers(1, 5))
def test_gaps_are_as_many_and_as_long_on_average_as_they_were_and_never_said_to_vary_more(
    times_ms: list[int], cuts: int
) -> None:
    windows = Windows(100)
    for part in range(cuts):
        add(windows, *(row(at) for at in times_ms[part::cuts]), row(60_000 - 1, ip="192.0.2.9"))
    gaps = np.diff(np.sort(times_ms))
    pace = windows.pace(Kind.IP, asked("192.0.2.1"), 60)
    assert pace.gaps[0] == len(gaps)
    assert np.isclose(pace.mean_ms[0], gaps.mean())
    assert pace.variation[0] <= gaps.std() / max(gaps.mean(), 1e-9) + 1e-6
    if gaps.any() and max(Counter(at // 1000 for at in times_ms).values()) <= 2:
        assert np.isclose(pace.variation[0], gaps.std() / gaps.mean()), "two a second are known each"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=30, unique=True), st.integers(0, 5), st.integers(0, 99))
def test_slots_given_anew_leave_rows_in_order_and_those_who_go_as_one(slots: list[int], every: int, seed: int) -> None:
    chance, held = np.random.default_rng(seed), np.array(sorted(slots), np.int64)
    rows = chance.integers(0, 9, (len(held), COLUMNS))
    slot_of = np.zeros(13, np.int64)
    stay = [slot for slot in range(1, 13) if not every or slot % every]
    slot_of[stay] = np.arange(1, len(stay) + 1)
    panes = Panes(1)
    panes.add(held, np.zeros(len(held), np.int64), rows)
    panes.keep(slot_of)
    got = panes.parts[0][0] if len(held) else (held, rows)
    wanted = merged([(slot_of[held], rows)]) if len(held) else (held, rows)
    assert [part.tolist() for part in got] == [part.tolist() for part in wanted]
