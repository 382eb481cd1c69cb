"""What signatures and rules cost: nanoseconds a distinct path, and their share of what combine takes for a decision.

`floodwarden bench rules` calls `run()`; no service. Decisions are of a simulated site with nothing bad in it, which is
what rules are asked of nearly always; beside it the same with every hundredth request an exploit. `re`: the same
strings as one alternation of Python's `re`, asked of each path.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from floodwarden.closed_loop import sliced
from floodwarden.formats_trace import Labelled
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from schemas.settings import Settings
from stream import hits
from stream.combine import combine
from stream.decisions import decisions
from stream.plan import Plan
from stream.requests import Requests
from stream.rule_source import shipped
from stream.signs import borne

ROWS: Final = 20_000
ROUNDS: Final = 30
EXPLOIT: Final = "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"


def run() -> dict[str, Any]:
    """Nanoseconds of CPU time, each the least of so many rounds."""
    plan, batch = shipped(), _batch()
    globs = Settings.model_construct().login_globs
    rows = Requests.read(batch, globs)
    paths = rows.path.values
    texts = paths.to_pylist()
    pattern = re.compile("|".join(re.escape(text) for s in plan.signs["url"].signatures for text in s.has))
    figures = _ns(
        {
            "a distinct path": (lambda: borne(plan.signs["url"], paths), len(paths)),
            "a distinct path, re": (lambda: [pattern.search(text) for text in texts[:1000]], 1000),
            "a decision, all rules": (lambda: _asked(rows, batch, plan), ROWS),
            "combine without rules": (_combine(batch, globs, None), ROWS),
            "combine with rules": (_combine(batch, globs, plan), ROWS),
            "combine with rules, 1 % exploits": (_combine(_hostile(batch), globs, plan), ROWS),
        }
    )
    share = figures["combine with rules"] / figures["combine without rules"] - 1
    return {
        "name": "rules",
        "unit": "ns a distinct path",
        "ours": figures["a distinct path"],
        "peers": figures,
        "limit": f"{len(paths):,} distinct paths in {ROWS:,} decisions; {len(plan.rules.rules)} rules, "
        f"{len(plan.rules.signatures)} signatures",
        "ratios": {
            "re_to_ours": round(figures["a distinct path, re"] / figures["a distinct path"], 1),
            "added_to_combine": round(share, 3),
        },
    }


def _batch() -> pa.RecordBatch:
    config = SimulationConfig(seed=3, duration_s=3600, requests_per_s=20, batch_rows=ROWS)
    part = next(part for part in simulate(config) if part.batch.num_rows >= ROWS)
    first = Labelled(part.batch.slice(0, ROWS), part.labels[:ROWS])
    return next(sliced([first], span_ms=1 << 40, rows_max=ROWS)).batch


def _hostile(batch: pa.RecordBatch) -> pa.RecordBatch:
    paths = np.array(batch.column("path").to_pylist(), object)
    paths[::100] = [f"{EXPLOIT}?{i}" for i in range(len(paths[::100]))]
    at = batch.schema.get_field_index("path")
    return batch.set_column(at, batch.schema.field(at), pa.array(paths, pa.utf8()).dictionary_encode())


def _asked(rows: Requests, batch: pa.RecordBatch, plan: Plan) -> None:
    hits.hits(rows, batch, plan, hits.expected(rows, plan), decisions(batch, rows.classes % 2 == 1))


def _combine(batch: pa.RecordBatch, globs: tuple[str, ...], plan: Plan | None) -> Callable[[], object]:
    return lambda: combine(
        batch, partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=globs, plan=plan
    )


def _ns(calls: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    """By turns, so that whatever else runs meets all of them."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, (call, _) in calls.items():
            began_s = time.process_time()
            call()
            took[name].append(time.process_time() - began_s)
    return {name: round(min(took[name]) / count * 1e9, 1) for name, (_, count) in calls.items()}
