"""Decisions of a block thinned, by the level recorded for it; who is kept stands for those who are not.

    level       0    1    2  ...   6    7  ...  12   13  ...  16
    ordinary    1    2    4       64   64       64   64       64   one row of so many
    marked      1    1    1        1    2       64   64       64   refusals, errors, logins
    messages    1    1    1        1    1        1    2       16   not even opened

What detectors look for goes last. A row is kept by a hash of the block's place and its own in it, with the same chance
as any other of its class, and its weight is multiplied by what it stands for: sums stay right on average, and the same
block at the same level keeps the same rows, whoever writes it. What is counted as distinct is not scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from schemas.decision import VERDICTS
from stream.blocks import Message
from stream.grouping import I64, Bool, mixed
from stream.requests import logins

LEVEL_MAX: Final = 16
_STEPS: Final = 6
_ALLOW: Final = VERDICTS[0]


@dataclass(frozen=True, slots=True)
class Weights:
    """For how many rows a kept one stands, by class; and messages."""

    ordinary: int
    marked: int
    message: int


def weights(level: int) -> Weights:
    """What a level (0 to `LEVEL_MAX`) takes."""
    marked, message = max(0, level - _STEPS), max(0, level - 2 * _STEPS)
    return Weights(1 << min(level, _STEPS), 1 << min(marked, _STEPS), 1 << message)


def opened(messages: Sequence[Message], partition: int, level: int) -> Sequence[Message]:
    """Those that are looked at."""
    one_in = weights(level).message
    if one_in == 1 or not messages:
        return messages
    offsets = np.array([message.offset for message in messages], np.int64)
    kept = _chosen(offsets, _seed(partition, 0), np.array([one_in]))
    return [message for message, keep in zip(messages, kept.tolist(), strict=True) if keep]


def thinned(
    batch: pa.RecordBatch, place: tuple[int, int], level: int, login_globs: tuple[str, ...]
) -> tuple[pa.RecordBatch, I64 | None]:
    """The rows kept of a block's batch, weighted, and which they are; None: all. `place`: its partition and start."""
    if not level or not batch.num_rows:
        return batch, None
    by = weights(level)
    one_in = np.where(_ordinary(batch, login_globs), by.ordinary, by.marked)
    kept: I64 = np.flatnonzero(_chosen(np.arange(batch.num_rows), _seed(*place), one_in))
    batch = batch.take(pa.array(kept))
    own = batch.column("weight").fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64)
    at = batch.schema.get_field_index("weight")
    column = pa.array((own * one_in[kept] * by.message).astype(np.int32))
    return batch.set_column(at, batch.schema.field(at), column), kept


def _ordinary(batch: pa.RecordBatch, login_globs: tuple[str, ...]) -> Bool:
    verdicts = batch.column("verdict")
    allowed = np.array([value == _ALLOW for value in verdicts.dictionary.to_pylist()], np.bool_)
    plain = allowed[verdicts.indices.to_numpy(zero_copy_only=False)]
    status = batch.column("status").to_numpy(zero_copy_only=False)
    found: Bool = plain & (status < 400) & ~logins(batch, login_globs)
    return found


def _seed(partition: int, start: int) -> np.uint64:
    return np.uint64(mixed(np.array([start << 10 | partition], np.uint64))[0])


def _chosen(places: I64, seed: np.uint64, one_in: I64) -> Bool:
    found: Bool = mixed(places.astype(np.uint64) ^ seed) % one_in.astype(np.uint64) == 0
    return found
