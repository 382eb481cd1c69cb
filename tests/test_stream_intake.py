from __future__ import annotations

import pyarrow as pa
import pytest
from stream_traffic import GLOBS, row

from schemas import codec, topics
from schemas.errors import BadMessageError
from stream.blocks import NOTHING, Cut, Message
from stream.event_time import Rule
from stream.intake import Taken
from stream.intake import take as take_cut

GOOD = codec.encode(codec.from_rows([row(1), row(2)]))


def take(messages: list[Message]) -> Taken:
    return take_cut(Cut(0, len(messages), tuple(messages)), 0, Rule(), GLOBS)


def test_good_messages_of_either_form_become_one_batch_in_their_order() -> None:
    json = codec.rows_to_json([row(3), row(4)])
    taken = take([Message(0, GOOD, topics.ARROW), Message(1, json, topics.JSON), Message(2, NOTHING, None)])
    assert taken.batch.column("ts_ms").to_pylist() == [row(i).ts_ms for i in (1, 2, 3, 4)]
    assert taken.rejected == []


def test_a_bad_message_among_good_ones_is_set_aside_alone_with_its_reason() -> None:
    taken = take([Message(0, GOOD, None), Message(1, GOOD[:200], None), Message(2, GOOD, "text/csv")])
    assert taken.batch.num_rows == 2
    assert [(r.message.offset, r.error.code) for r in taken.rejected] == [(1, "bad_arrow"), (2, "content_type")]


def test_a_batch_with_fewer_other_or_reordered_columns_is_taken_as_far_as_it_goes() -> None:
    plain = pa.record_batch({"verdict": ["allow"], "colour": ["red"], "ts_ms": [row().ts_ms], "ip": ["192.0.2.1"]})
    taken = take([Message(0, codec.encode(plain), None), Message(1, GOOD, None)])
    assert (taken.batch.num_rows, taken.rejected) == (3, [])
    assert taken.batch.column("cost").to_pylist() == [1, 1, 1]


def test_a_column_that_stands_twice_is_a_bad_message() -> None:
    twice = pa.RecordBatch.from_arrays([pa.array([row().ts_ms])] * 2, names=["ts_ms", "ts_ms"])
    with pytest.raises(BadMessageError, match="twice"):
        codec.decode(codec.encode(twice), topics.ARROW)
