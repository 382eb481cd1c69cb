from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from stream_blocks import message
from stream_traffic import NOW_MS, row

from stream.blocks import Message
from stream.event_time import Rule, Timed, timed

RULE = Rule(lateness_ms=2000, skew_ms=2000)


def times(messages: list[tuple[list[int], Message]], newest_ms: int = 0) -> Timed:
    """Rows given by their times after `NOW_MS`."""
    ts_ms = np.array([NOW_MS + at for rows, _ in messages for at in rows], np.int64)
    return timed(ts_ms, [len(rows) for rows, _ in messages], [m for _, m in messages], newest_ms, RULE)


def sent(ahead_ms: int = 0, *, at_ms: int = 0, by_broker: bool = True) -> Message:
    stamp_ms = NOW_MS + at_ms
    return message(0, [row()], stamp_ms=stamp_ms, by_broker=by_broker, sent_ms=stamp_ms + ahead_ms)


def test_rows_of_a_clock_that_is_right_enough_stay_as_they_are() -> None:
    found = times([([-30, 0], sent(ahead_ms=1500)), ([1500], sent(ahead_ms=-1900, at_ms=1500))])
    assert (found.ts_ms - NOW_MS).tolist() == [-30, 0, 1500]
    assert (found.skewed, found.judged_s, found.late) == ((), None, 0)
    assert found.newest_ms == NOW_MS + 1500


def test_rows_of_a_clock_five_minutes_off_are_set_right_by_what_it_said_when_it_sent_them() -> None:
    for ahead_ms in (300_000, -300_000):
        found = times([([-30, 0], sent()), ([ahead_ms - 40, ahead_ms], sent(ahead_ms=ahead_ms))])
        assert (found.ts_ms - NOW_MS).tolist() == [-30, 0, -40, 0]
        assert [(s.index, s.ahead_ms) for s in found.skewed] == [(1, ahead_ms)]


def test_what_waited_on_disk_for_an_hour_keeps_its_time() -> None:
    found = times([([-3_600_000], sent())])
    assert (found.ts_ms - NOW_MS).tolist() == [-3_600_000]
    assert found.skewed == ()


def test_no_row_is_later_than_its_message_when_the_sender_tells_no_clock() -> None:
    silent = message(0, [row()], stamp_ms=NOW_MS)
    found = times([([0, 1999, 2001, 300_000], silent)])
    assert (found.ts_ms - NOW_MS).tolist() == [0, 1999, 0, 0]
    assert [(s.index, s.ahead_ms) for s in found.skewed] == [(0, 300_000)]


def test_a_stamp_by_the_producer_says_nothing_of_its_clock() -> None:
    found = times([([0], sent(ahead_ms=600_000, by_broker=False))])
    assert found.skewed == ()


def test_a_row_is_late_when_its_second_had_closed_before_its_message_came_and_is_evidence_in_the_oldest_open_one() -> (
    None
):
    bare = message(0, [row()])
    found = times([([0, 10_000], bare), ([7_999, 8_000, 100], bare)])
    assert found.judged_s is not None
    assert (found.judged_s - NOW_MS // 1000).tolist() == [0, 10, 8, 8, 8]
    assert found.late == 2, "of its own message a row is never late"


def test_the_time_that_a_partition_had_come_to_before_counts() -> None:
    found = times([([0], message(0, [row()]))], newest_ms=NOW_MS + 60_000)
    assert found.judged_s is not None
    assert found.judged_s.tolist() == [NOW_MS // 1000 + 58]
    assert found.newest_ms == NOW_MS + 60_000


@given(
    rows=st.lists(st.lists(st.integers(0, 20_000), max_size=4), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_times_do_not_depend_on_where_a_log_is_cut(rows: list[list[int]], cut: int) -> None:
    log = [(each, message(0, [row()])) for each in rows]
    whole = times(log)
    head = times(log[:cut])
    tail = times(log[cut:], head.newest_ms)
    judged = [(t.ts_ms // 1000 if t.judged_s is None else t.judged_s).tolist() for t in (whole, head, tail)]
    assert judged[1] + judged[2] == judged[0]
    assert (tail.newest_ms, head.late + tail.late) == (whole.newest_ms, whole.late)
