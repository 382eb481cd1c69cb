"""Batches on disk: in order, whole, bounded, of one process at a time, and there again after any kind of end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limiter.segment import HEAD_BYTES
from limiter.spool import BYTES_MIN, Record, Spool
from limiter.spool_directory import writable

BIG = 64 << 20


class Losses:
    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.times: Counter[str] = Counter()

    def __call__(self, reason: str, rows: int) -> None:
        self.rows[reason] += rows
        self.times[reason] += 1


def opened(root: Path, losses: Losses | None = None, bytes_max: int = BIG) -> Spool:
    spool = Spool(root, "n1", bytes_max, losses or Losses())
    spool.open_left()
    return spool


def drained(spool: Spool) -> list[Record]:
    """Everything unread, taken but not acknowledged."""
    records = []
    while (record := spool.peek()) is not None:
        spool.take(record)
        records.append(record)
    return records


def batch(i: int, size: int = 40) -> bytes:
    return f"batch {i:09d} ".encode().ljust(size, b".")


def newest_segment(root: Path) -> Path:
    return max((root / "n1").glob("*.seg"))


def test_batches_come_back_in_order_with_what_was_said_of_them(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(100):
        spool.append(batch(i), rows=i, ts_ms=1000 + i)
    assert spool.rows == sum(range(100))
    records = drained(spool)
    assert [(r.value, r.rows, r.ts_ms, r.in_doubt) for r in records] == [
        (batch(i), i, 1000 + i, False) for i in range(100)
    ]
    assert spool.rows == 0


def test_what_is_acknowledged_leaves_the_disk_and_the_rest_is_there_for_the_next_run(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(10):
        spool.append(batch(i), 1, i)
    taken = drained(spool)
    for record in taken[:4]:
        spool.done(record.place)
    spool.close()
    again = opened(tmp_path)
    assert again.rows == 6
    left = drained(again)
    assert [(r.value, r.in_doubt) for r in left] == [(batch(i), True) for i in range(4, 10)], (
        "handed over, not answered"
    )
    for record in left:
        again.done(record.place)
    assert not list(tmp_path.glob("n1/*.seg"))
    again.append(batch(99), 1, 1)
    assert [r.value for r in drained(again)] == [batch(99)]


def test_what_librdkafka_still_holds_is_for_the_next_run_only(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    held = [spool.append(batch(i), 1, i, handed=True) for i in range(3)]
    spool.append(batch(3), 1, 3)
    assert spool.rows == 1
    spool.done(held[0])
    assert [r.value for r in drained(spool)] == [batch(3)]
    spool.close()
    again = drained(opened(tmp_path))
    assert [(r.value, r.in_doubt) for r in again] == [(batch(1), True), (batch(2), True), (batch(3), True)]


@pytest.mark.parametrize("cut", [1, 10, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + 39])
def test_an_end_that_a_kill_tore_off_is_counted_and_cut_and_costs_nothing_else(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path)
    for i in range(5):
        spool.append(batch(i), 1, i)
    spool.close()
    os.truncate(newest_segment(tmp_path), 4 * (HEAD_BYTES + 40) + cut)
    losses = Losses()
    again = opened(tmp_path, losses)
    assert losses.times == {"spool_torn": 1}
    again.append(batch(7), 1, 7)
    assert [r.value for r in drained(again)] == [batch(i) for i in (0, 1, 2, 3, 7)]


def test_a_batch_the_disk_garbled_is_counted_and_the_next_one_read(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(3):
        spool.append(batch(i), 10, i)
    with newest_segment(tmp_path).open("r+b") as file:
        file.seek(HEAD_BYTES + 40 + HEAD_BYTES + 5)
        file.write(b"!")
    losses = Losses()
    spool.close()
    again = opened(tmp_path, losses)
    assert [r.value for r in drained(again)] == [batch(0), batch(2)]
    assert losses.rows == {"spool_damaged": 10}
    assert again.rows == 0


def test_a_full_spool_lets_the_oldest_go_counts_every_row_of_it_and_never_outgrows_its_bound(tmp_path: Path) -> None:
    losses = Losses()
    spool = opened(tmp_path, losses, BYTES_MIN)
    for i in range(300):
        spool.append(batch(i, 50_000), 7, i)
        assert spool.size_bytes <= BYTES_MIN
        assert sum(f.stat().st_size for f in tmp_path.glob("n1/*.seg")) <= BYTES_MIN
    records = drained(spool)
    assert [r.ts_ms for r in records] == list(range(300 - len(records), 300)), "the newest, without a gap"
    assert len(records) * 50_000 > BYTES_MIN * 0.9
    assert losses.rows == {"spool_full": (300 - len(records)) * 7}


def test_what_was_handed_over_is_not_lost_when_its_segment_is_dropped(tmp_path: Path) -> None:
    losses = Losses()
    spool = opened(tmp_path, losses, BYTES_MIN)
    handed = spool.append(batch(0), 1, 0, handed=True)
    spool.append(batch(1), 1, 1)
    record = spool.peek()
    assert record is not None
    spool.take(record)
    for i in range(2, 200):
        spool.append(batch(i, 50_000), 1, i)
    spool.done(handed)
    spool.done(record.place)
    kept = drained(spool)
    assert losses.rows["spool_full"] == 198 - len(kept)


def test_two_of_one_name_do_not_share_and_the_next_run_finds_what_both_left(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.append(b"one", 1, 1)
    two.append(b"two", 1, 1)
    assert [r.value for r in drained(one)] == [b"one"]
    assert not opened(tmp_path).rows, "both are taken"
    one.close()
    two.close()
    three = opened(tmp_path)
    [first] = drained(three)
    assert not three.open_left(), "not before its own is empty"
    three.done(first.place)
    assert three.open_left()
    [second] = drained(three)
    assert {first.value, second.value} == {b"one", b"two"}


_WRITER = """
import sys
from pathlib import Path
from limiter.spool import Spool
spool = Spool(Path(sys.argv[1]), "n1", 1 << 30, lambda *_: None)
i = 0
while True:
    spool.append(b"batch %09d " % i + bytes(i % 9000), 1, i)
    i += 1
    if i % 50 == 0:
        print(i, flush=True)
"""


def test_a_killed_process_leaves_every_batch_it_had_put_there(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = 0
        while told < 2000:
            told = int(writer.stdout.readline())
        writer.kill()
        told = int((writer.stdout.read().split() or [told])[-1])
    losses = Losses()
    records = drained(opened(tmp_path, losses, 1 << 30))
    assert len(records) >= told
    assert [r.ts_ms for r in records] == list(range(len(records)))
    assert losses.times["spool_torn"] <= 1
    assert not losses.rows.total()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_done_and_whenever_it_ends_what_was_not_acknowledged_is_there_once_and_in_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("spool")
    size = 90_000  # so that it goes over many segments, and never reaches the bound
    spool, made, acked, out = opened(root, None, BYTES_MIN), 0, set[int](), dict[int, tuple[int, int]]()
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["append", "append", "handed", "take", "done", "crash"])):
            case "append":
                spool.append(batch(made, size), 1, made)
                made += 1
            case "handed":
                out[made] = spool.append(batch(made, size), 1, made, handed=True)
                made += 1
            case "take":
                if (record := spool.peek()) is not None:
                    assert record.ts_ms not in out
                    spool.take(record)
                    out[record.ts_ms] = record.place
            case "done":
                if out:
                    one = data.draw(st.sampled_from(sorted(out)))
                    spool.done(out.pop(one))
                    acked.add(one)
            case _:
                spool._leave()  # what the kernel does to a killed process
                spool, out = opened(root, None, BYTES_MIN), {}
    spool._leave()
    there = [record.ts_ms for record in drained(opened(root, None, BYTES_MIN))]
    assert there == sorted(set(there))
    assert set(range(made)) - acked <= set(there) <= set(range(made))


def test_a_directory_nobody_may_write_to_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    assert writable(tmp_path / "not" / "there" / "yet")
    assert not writable(file / "spool")
    with pytest.raises(OSError, match="file"):
        Spool(file, "n1", BIG, Losses()).append(b"x", 1, 1)


def test_a_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "../../x/é" + "y" * 300, BIG, Losses())
    spool.append(b"x", 1, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["spool"]
    assert len(list((tmp_path / "spool").iterdir())) == 1
