"""Snapshots on disk: whole or not at all, and never replaced by an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detectors.artifact import load
from schemas.settings import Settings
from stream import snapshot, storage
from stream.errors import SnapshotError
from stream.keeper import Keeper
from stream.metrics import Metrics
from stream.pipeline import Config, Pipeline


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


def test_a_packed_state_is_of_the_moment_it_was_packed_and_comes_back_with_its_types_and_shapes() -> None:
    arrays = {
        "of.rows": np.arange(6, dtype=np.int64).reshape(2, 3), "flags": np.array([True, False]),
        "none": np.empty((0, 4), np.float64), "one": np.array(7, np.uint64), "strided": np.arange(10)[::3],
    }  # fmt: skip
    before = {name: array.copy() for name, array in arrays.items()}
    packed = snapshot.pack(arrays, {"words": b"said"})
    for array in arrays.values():
        array[...] = 1
    again, words = snapshot.unpack(bytes(packed))
    assert words == {"words": b"said"}
    assert {n: (a.dtype, a.tolist()) for n, a in again.items()} == {n: (a.dtype, a.tolist()) for n, a in before.items()}


@pytest.mark.parametrize("damage", [lambda d: d[:40], lambda d: d[:-70], lambda d: b"x" + d[1:], lambda _: b""])
def test_a_packed_state_that_is_cut_or_of_another_kind_is_refused(damage: Callable[[bytes], bytes]) -> None:
    packed = bytes(snapshot.pack({"rows": np.arange(100)}, {}))
    with pytest.raises(SnapshotError):
        snapshot.unpack(damage(packed))


def test_the_keeper_writes_beside_the_work_and_finds_what_it_wrote(tmp_path: Path) -> None:
    settings, model = Settings(data_dir=tmp_path, snapshot_every_ms=3_600_000), load()

    async def kept() -> None:
        keeper, pipeline = Keeper(settings, Metrics()), Pipeline(model)
        await keeper.keep(0, pipeline, 7)
        await keeper.settle()
        assert keeper.load(0, (0, 9), model, Config())[1] == 7
        await keeper.keep(0, pipeline, 8)
        await keeper.settle()
        assert keeper.load(0, (0, 9), model, Config())[1] == 7, "not due yet"
        await keeper.keep(0, pipeline, 8, at_once=True)
        await keeper.settle()
        assert keeper.load(0, (0, 9), model, Config())[1] == 8
        assert keeper.load(0, (8, 9), model, Config())[1] == 8
        assert keeper.load(0, (9, 9), model, Config())[1] == 9, "the topic holds no more what came after it"

    asyncio.run(kept())
