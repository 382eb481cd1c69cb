"""A log as it grows, is rotated and cut, and as a reader comes back to it: each line once, in order.

Nothing here waits: the clock is handed in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limiter.ingest.files import FilesSource
from limiter.ingest.mapping import Mapping, Source
from limiter.ingest.metrics import Metrics
from limiter.ingest.outlet import Ticket
from limiter.ingest.reader import Read
from limiter.ingest.tail import GRACE_S, LINE_BYTES_MAX, Place, Tail
from schemas.dead_letter import Origin
from schemas.settings import Settings


class Log:
    """A log file, how it is written and rotated, and a reader with a clock of its own."""

    def __init__(self, directory: Path, *, latest: bool = False) -> None:
        self.path = directory / "access.log"
        self.path.touch()
        self.written: list[bytes] = []
        self.read: list[bytes] = []
        self.now_s = 0.0
        self.place: Place | None = None
        self.tail = Tail(self.path, None, latest=latest)
        self.mtime = 1_000_000_000

    def write(self, *lines: str, path: Path | None = None) -> None:
        with (path or self.path).open("ab") as file:
            for line in lines:
                file.write(line.encode() + b"\n")
                self.written.append(line.encode())
        self._touch(path or self.path)

    def _touch(self, path: Path) -> None:
        self.mtime += 1
        os.utime(path, (self.mtime, self.mtime))  # a real log is rotated seldom, a test's within a tick of the clock

    def poll(self) -> None:
        """Reads until nothing comes, however long that is."""
        idle = 0
        while idle < 3:
            lines = self.tail.read(self.now_s)
            if lines is None:
                idle += 1
                self.now_s += GRACE_S
                continue
            idle = 0
            self.read += lines.values
            self.place = lines.place

    def restart(self) -> None:
        self.tail.close()
        self.tail = Tail(self.path, self.place, latest=False)

    def rename(self) -> None:
        older = self.path.with_name("access.log.2")
        newer = self.path.with_name("access.log.1")
        if newer.exists():
            newer.rename(older)
        self.path.rename(newer)
        self.path.touch()

    def copy_and_cut(self) -> None:
        older, newer = self.path.with_name("access.log.2"), self.path.with_name("access.log.1")
        if newer.exists():
            newer.rename(older)
        shutil.copyfile(self.path, newer)
        self._touch(newer)
        os.truncate(self.path, 0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_lines_come_as_they_are_written_and_a_part_of_one_waits_for_its_end(log: Log) -> None:
    log.write("a", "b")
    with log.path.open("ab") as file:
        file.write(b"half")
    log.poll()
    assert log.read == [b"a", b"b"]
    assert log.place is not None
    assert log.place.offset == 4, "the place is behind whole lines only"
    with log.path.open("ab") as file:
        file.write(b" and half\nc\n")
    log.poll()
    assert log.read == [b"a", b"b", b"half and half", b"c"]


def test_a_renamed_log_is_read_to_its_end_before_the_new_one(log: Log) -> None:
    log.write("a")
    log.poll()
    old = log.path.with_name("access.log.1")
    log.rename()
    log.write("b", path=old)  # the server has it open still
    log.write("c")
    log.poll()
    assert log.read == [b"a", b"b", b"c"]


def test_a_log_that_ends_without_a_newline_when_it_is_renamed_gives_its_last_line(log: Log) -> None:
    log.write("a")
    with log.path.open("ab") as file:
        file.write(b"last")
    log.poll()
    log.rename()
    log.write("b")
    log.poll()
    assert log.read == [b"a", b"last", b"b"]


def test_a_log_that_was_copied_and_cut_is_read_to_its_end_in_the_copy(log: Log) -> None:
    log.write("a")
    log.poll()
    log.write("b")
    log.copy_and_cut()
    log.write("c")
    log.poll()
    assert log.read == [b"a", b"b", b"c"]
    assert log.tail.lost == 0


def test_a_log_cut_and_grown_beyond_where_it_was_is_known_by_how_it_begins(log: Log) -> None:
    log.write("a")
    log.poll()
    log.copy_and_cut()
    log.write("longer than it was", "c")
    log.poll()
    assert log.read == [b"a", b"longer than it was", b"c"]


def test_a_reader_that_comes_back_goes_on_where_it_was(log: Log) -> None:
    log.write("a", "b")
    log.poll()
    log.write("c")
    log.restart()
    log.poll()
    assert log.read == [b"a", b"b", b"c"]


@pytest.mark.parametrize("way", ["rename", "copy_and_cut"])
def test_rotations_while_nobody_read_are_made_up_for_in_order(log: Log, way: str) -> None:
    log.write("a")
    log.poll()
    log.write("b")
    getattr(log, way)()
    log.write("c")
    getattr(log, way)()
    log.write("d")
    log.restart()
    log.poll()
    assert log.read == [b"a", b"b", b"c", b"d"]
    assert log.tail.lost == 0


def test_a_log_that_is_gone_is_counted_and_the_new_one_read(log: Log) -> None:
    log.write("a")
    log.poll()
    log.path.unlink()
    log.write("new")
    log.restart()
    log.poll()
    assert (log.read, log.tail.lost) == ([b"a", b"new"], 1)


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.path.unlink()
    log.poll()
    log.write("a")
    log.poll()
    assert log.read == [b"a"]


def test_latest_begins_with_the_next_whole_line(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_bytes(b"old\nhalf")
    log = Log(tmp_path, latest=True)
    log.poll()
    with log.path.open("ab") as file:
        file.write(b" of an old one\nnew\n")
    log.poll()
    assert log.read == [b"new"]


def test_logs_of_another_name_are_not_taken_for_rotated_ones(log: Log) -> None:
    log.write("a")
    log.poll()
    (log.path.parent / "access.log.json").write_bytes(b"a\nother\n")
    (log.path.parent / "access.log.1.gz").write_bytes(b"a\npacked\n")
    log.rename()
    log.write("b")
    log.poll()
    assert log.read == [b"a", b"b"]


def test_of_a_line_without_end_only_the_beginning_is_kept(log: Log) -> None:
    with log.path.open("ab") as file:
        for _ in range(3):
            file.write(b"x" * (LINE_BYTES_MAX // 2))
        file.write(b"\nnext\n")
    log.poll()
    assert len(log.read) == 2
    assert LINE_BYTES_MAX <= len(log.read[0]) < 2 * LINE_BYTES_MAX
    assert log.read[1] == b"next"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["write", "write", "poll", "rename", "cut", "restart"]), max_size=25))
def test_whatever_happens_between_two_looks_no_line_is_lost_or_repeated(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    log = Log(tmp_path_factory.mktemp("log"))
    log.write("first")
    log.poll()
    rotations, begun = 0, True
    for number, step in enumerate(steps):
        match step:
            case "write":
                log.write(f"line {number}", f"and {number}")
            case "poll":
                log.poll()
                rotations, begun = 0, log.path.stat().st_size > 0
            case "restart":
                log.restart()
            case "rename" if rotations < 2 and log.path.stat().st_size:  # two are kept here, and no empty ones
                log.rename()
                rotations, begun = rotations + 1, False
            case "cut" if rotations < 2 and log.path.stat().st_size and begun:
                log.copy_and_cut()
                rotations, begun = rotations + 1, False
            case _:
                pass
    log.poll()
    assert log.read == log.written


class Kept:
    """An intake that keeps the lines it is given; each is delivered at once."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.metrics = Metrics()

    def take(self, values: Sequence[bytes], origin: Callable[[int], Origin]) -> tuple[Read, Ticket]:
        self.lines += values
        assert all(origin(at).offset >= 0 for at in range(len(values)))
        return Read(), Ticket(0, lambda: None)


def test_a_quiet_file_is_let_go_and_goes_on_where_it_was_when_it_grows(tmp_path: Path) -> None:
    logs = [tmp_path / f"day-{day}.log" for day in range(3)]
    for log in logs:
        log.write_bytes(b"first\n")
    kept = Kept()
    source = Source("days", Mapping({}), files=(f"{tmp_path}/*.log",))
    files = FilesSource(Settings(data_dir=tmp_path), source, kept)  # type: ignore[arg-type]
    files._turn(0.0)
    files._turn(1.5)
    assert (len(kept.lines), len(files._tails)) == (3, 3)
    files._turn(70.0)
    assert files._tails == {}, "what is quiet holds no file open"
    logs[0].unlink()
    with logs[1].open("ab") as file:
        file.write(b"second\n")
    logs[2].rename(tmp_path / "day-2.log.1")
    logs[2].write_bytes(b"third\n")
    for now_s in (72.0, 74.0, 76.0, 78.0):
        files._turn(now_s)
    assert sorted(kept.lines[3:]) == [b"second", b"third"]
    assert len(files._tails) == 2
