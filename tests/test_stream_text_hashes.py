"""Hashes of whole columns are those of the texts one by one."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from stream.text_hashes import hashes


def test_a_text_of_any_length_has_the_hash_it_has_by_itself() -> None:
    texts = [("/päth?q=" + "abcdefghij" * 60)[:n] for n in range(500)] + ["é" * n for n in range(130)]
    found = hashes(pa.array(texts))
    assert found[:-1].tolist() == [codec.text_hash(text) for text in texts]
    assert found[-1] == 0


@given(st.lists(st.text(max_size=300), max_size=20), st.integers(0, 20))
def test_a_part_of_a_column_has_the_hashes_of_its_texts(texts: list[str], first: int) -> None:
    part = [text.encode("utf-8", "replace").decode() for text in texts]
    assert hashes(pa.array(part, pa.utf8()).slice(first))[:-1].tolist() == [codec.text_hash(t) for t in part[first:]]
