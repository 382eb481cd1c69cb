from __future__ import annotations

import random

import pytest
from stream_traffic import GLOBS, crowd

from schemas import codec
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings
from schemas.usage import Block
from stream.combine import combine
from stream.own_blocks import OwnBlocks, held_bytes
from stream.rule_source import plan_of

ROWS = crowd(3, 3000)


def made(usage_partitions: int, start: int = 0) -> list[Block]:
    chance = random.Random(1)
    rows = [row if chance.random() < 0.9 else _odd(row) for row in ROWS]
    return combine(
        codec.from_rows(rows),
        partition=1,
        start=start,
        end=start + 1,
        ts_ms_max=0,
        usage_partitions=usage_partitions,
        login_globs=GLOBS,
        plan=plan_of(Settings()),
    )


def _odd(row: Decision) -> Decision:
    return Decision(
        ts_ms=row.ts_ms,
        verdict="allow",
        ip="2001:db8::7",
        ua="sqlmap/1.8",
        path="/.env?x=' or 1=1--",
        tenant="a",
        asn=7,
    )


def alike(a: Block, b: Block) -> bool:
    places = (a.partition, a.start, a.end, a.ts_ms_max) == (b.partition, b.start, b.end, b.ts_ms_max)
    parts = ((a.counts, b.counts), (a.flows, b.flows), (a.hits, b.hits), (a.items, b.items))
    return places and all(x.schema.equals(y.schema) and x.to_pylist() == y.to_pylist() for x, y in parts)


@pytest.mark.parametrize("usage_partitions", [1, 2])
def test_what_this_worker_wrote_is_what_decoding_it_would_give(usage_partitions: int) -> None:
    own = OwnBlocks()
    own.want(range(usage_partitions))
    blocks = made(usage_partitions)
    assert sum(block.hits.num_rows for block in blocks), "rules were met"
    for number, block in enumerate(blocks):
        value = codec.encode_block(block)
        own.keep(number, block, value)
        read = own.read(number, bytes(bytearray(value)))
        assert read is block, "its bytes came back, so it is not decoded"
        assert alike(read, codec.decode_block(value))
        assert own.read(number, value) is not block, "once: a repeat is decoded"


def test_another_s_message_for_the_same_place_is_not_taken_for_ours() -> None:
    own = OwnBlocks()
    own.want([0])
    (block,) = made(1)
    value = codec.encode_block(block)
    own.keep(0, block, value)
    (emptied,) = [Block(block.partition, block.start, block.end, block.ts_ms_max, block.counts, block.flows)]
    other = codec.encode_block(emptied)
    assert codec.begins(other) == codec.begins(value)
    assert other != value
    assert alike(own.read(0, other), emptied)


def test_what_nobody_here_reads_and_what_there_is_no_room_for_is_not_kept() -> None:
    (first,), (second,) = made(1), made(1, start=1)
    own = OwnBlocks(held_bytes(first) * 3 // 2)
    for block in (first, second):
        own.keep(0, block, codec.encode_block(block))
    assert own.read(0, codec.encode_block(first)) is not first, "nobody wants partition 0"
    own.want([0])
    for block in (first, second):
        own.keep(0, block, codec.encode_block(block))
    assert own.read(0, codec.encode_block(second)) is not second, "no room"
    assert own.read(0, codec.encode_block(first)) is first
    own.keep(0, second, codec.encode_block(second))
    assert own.read(0, codec.encode_block(second)) is second, "there is room again"
    for block in (first, first, first):
        own.keep(0, block, codec.encode_block(block))
    own.keep(0, second, codec.encode_block(second))
    assert own.read(0, codec.encode_block(first)) is first, "made anew, it takes the place of the one before"
    own.want([0])
    own.keep(0, second, codec.encode_block(second))
    assert own.read(0, codec.encode_block(second)) is second, "after a rebalance nothing is kept, and all is room"


def test_what_is_no_block_is_refused_as_ever() -> None:
    with pytest.raises(BadMessageError):
        OwnBlocks().read(0, b"x")
