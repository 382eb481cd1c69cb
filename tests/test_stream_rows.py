"""Rows are dealt to usage partitions: each once, in their order, with only the texts that they use."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from schemas import codec
from stream.rows import Named, split

SCHEMA = pa.schema(
    [("n", pa.int64()), ("name", pa.dictionary(pa.int32(), pa.utf8())), ("yes", pa.bool_()),
     ("other", pa.dictionary(pa.int32(), pa.utf8()))]
)  # fmt: skip
WORDS = pa.array([f"word-{n}" for n in range(9)])


def some(rows: int) -> tuple[Named, np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    chance = np.random.default_rng(rows)
    columns = {
        "n": chance.integers(0, 1000, rows),
        "name": chance.integers(-1, 9, rows),
        "yes": chance.random(rows) < 0.5,
        "other": np.where(chance.random(rows) < 0.5, 3, -1),
    }
    return Named(columns, {"name": WORDS, "other": WORDS}), chance.integers(0, 1 << 60, rows).astype(np.uint64)


@pytest.mark.parametrize("rows", [0, 1, 7, 500])
@pytest.mark.parametrize("partitions", [1, 3, 64])
def test_each_partition_gets_its_rows_in_their_order_and_no_texts_but_theirs(rows: int, partitions: int) -> None:
    named, home = some(rows)
    texts = [None, *WORDS.to_pylist()]
    made = split(named, SCHEMA, home, partitions)
    assert len(made) == partitions
    for partition, batch in enumerate(made):
        mine = np.flatnonzero(home % np.uint64(partitions) == partition)
        wanted = {
            "n": named.columns["n"][mine].tolist(),
            "name": [texts[code + 1] for code in named.columns["name"][mine].tolist()],
            "yes": named.columns["yes"][mine].tolist(),
            "other": [texts[code + 1] for code in named.columns["other"][mine].tolist()],
        }
        assert batch.schema == SCHEMA
        assert batch.to_pydict() == wanted
        for name in ("name", "other"):
            held = batch.column(name).dictionary.to_pylist()
            assert sorted(held) == sorted(set(wanted[name]) - {None})


def test_a_partition_s_rows_are_written_alone_though_they_are_a_slice_of_all() -> None:
    named, home = some(5000)
    whole, one = (split(named, SCHEMA, home, partitions)[0] for partitions in (1, 50))
    assert len(codec.encode(one, compress=False)) < len(codec.encode(whole, compress=False)) / 10
