"""Snapshots on disk: whole or not at all, and never replaced by an older one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import storage
from stream.errors import SnapshotError


def test_a_snapshot_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "usage-0.snapshot"
    assert storage.read(path) is None
    storage.write(path, 7, b"state")
    assert storage.read(path) == (7, b"state")
    storage.write(path, 9, b"later")
    assert storage.read(path) == (9, b"later")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_worker_that_was_replaced_does_not_put_back_the_state_of_its_day(tmp_path: Path) -> None:
    path = tmp_path / "usage-0.snapshot"
    storage.write(path, 9, b"of the successor")
    storage.write(path, 7, b"of the one before")
    assert storage.read(path) == (9, b"of the successor")
    storage.remove(path)
    storage.write(path, 7, b"of another topic")
    assert storage.read(path) == (7, b"of another topic")


@pytest.mark.parametrize("damage", [lambda d: d[:10], lambda d: d[:-1], lambda d: b"x" + d[1:], lambda d: d + b"x"])
def test_a_damaged_snapshot_is_refused_and_can_be_written_anew(damage: object, tmp_path: Path) -> None:
    path = tmp_path / "usage-0.snapshot"
    storage.write(path, 9, b"state")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(SnapshotError):
        storage.read(path)
    storage.remove(path)
    storage.write(path, 1, b"state")
    assert storage.read(path) == (1, b"state")
