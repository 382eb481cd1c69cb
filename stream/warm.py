"""The compiled loops made ready before the first decision waits for them: seconds the first time, once a machine."""

from __future__ import annotations

from detectors.artifact import Model
from schemas import codec
from schemas.decision import TS_MS_MAX, TS_MS_MIN, Decision
from stream.combine import combine
from stream.pipeline import Pipeline


def warm(model: Model) -> None:
    """Take a request on every way it could go, and forget it."""
    rows = [
        Decision(ts_ms=ts_ms, verdict="allow", ip="192.0.2.1", method="POST", route="/login", path="/login", status=401)
        for ts_ms in (TS_MS_MIN, TS_MS_MAX)
    ]
    batch = codec.from_rows(rows)
    for some in (batch, batch.slice(0, 1)):  # panes many, and few
        blocks = combine(some, partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=("/login",))
    pipeline = Pipeline(model)
    pipeline.step(blocks, TS_MS_MIN)
    pipeline.finish()
