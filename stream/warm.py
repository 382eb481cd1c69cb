"""The compiled loops made ready before the first decision waits for them: a minute the first time, once a machine.

`python -m stream.warm` does it where something was just installed, so that no first start takes that minute.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from detectors.artifact import Model, load
from detectors.compiled import looked_up
from detectors.entities import Entities
from detectors.memories import Memories
from detectors.outlook import Outlook
from detectors.rows import canonical
from detectors.rule_file import gathered
from detectors.rules import Ruleset
from schemas import codec
from schemas.decision import TS_MS_MIN, Decision
from schemas.usage import Kind
from stream import flows as flow_rows
from stream.bounds import Config
from stream.combine import combine
from stream.panes import COLUMNS, merged
from stream.pipeline import Pipeline
from stream.plan import Plan
from stream.profile import profile
from stream.rule_source import shipped

_WINDOWS: Final = b"""
rules:
  - {name: warm, means: requests, by: ip, distinct: path, over: 60s, answer: notice,
     when: {requests: above 100, different: above 100, bits: above 1, gap_variation: below 2}}
"""
_TIGHT: Final = 16
FAR_MS = 10_000_000  # panes enough to be found by table; hours are closed one by one


def warm(model: Model, rules: Ruleset | None = None) -> None:
    """Take a request on every way it could go, by windows too where one of `rules` has one, and forget it."""
    blocks, plan = [], shipped()
    for part, ts_ms in enumerate((TS_MS_MIN, TS_MS_MIN, TS_MS_MIN + FAR_MS)):
        guess = Decision(
            ts_ms=TS_MS_MIN, verdict="allow", ip="192.0.2.1", method="POST", route="/login", path="/login", status=401
        )
        # More than flows take, and than are counted one by one.
        rows = [msgspec.structs.replace(guess, user=f"{part}-{i}") for i in range(80)]
        # Panes few, and many.
        rows.append(Decision(ts_ms=ts_ms, verdict="limit", ip="192.0.2.2", path=f"/{part}", tenant="t"))
        rows.append(Decision(ts_ms=TS_MS_MIN, verdict="allow", ip="192.0.2.2", key_id="key", path="/", status=200))
        exploits = ("/?${jndi:a}", "/?%24{jndi:a}")
        rows += [msgspec.structs.replace(guess, ip="192.0.2.3", route=None, path=path) for path in exploits]
        batch = codec.from_rows(rows)
        blocks += combine(
            batch,
            partition=0,
            start=part,
            end=part + 1,
            ts_ms_max=0,
            usage_partitions=1,
            login_globs=("/login",),
            plan=plan,
        )
    pipeline = Pipeline(model, Config(rules=plan.rules))
    for some in (blocks[:2], blocks[2:]):
        pipeline.step(some, TS_MS_MIN)
        pipeline.totals()  # what is counted when somebody asks
    pipeline.finish()
    tight = Pipeline(model, Config(entities_max=_TIGHT))
    tight.step(blocks[:2], TS_MS_MIN)  # more come than may be held
    tight.finish()
    few, owners = Entities(1, len(model.families)), np.arange(1, 4, dtype=np.uint64)
    few.place(owners, np.zeros(3, np.uint8), owners, np.zeros(3, np.int64))
    few.purge(np.zeros(few.used))
    profile(pipeline.windows, Kind.IP, "192.0.2.1", 60)
    held = flow_rows.read(blocks[0].flows)  # as they lie in a message, which nobody may write to: another type of array
    canonical(held)
    open_ = Outlook()
    open_.add(held)
    open_.on_routes(np.unique(held.route))
    open_.count(held, Memories(1))
    none, empty = np.zeros(2, np.int64), np.zeros((2, COLUMNS), np.int64)
    merged([(none, empty)])  # else only of many rows
    looked_up(none, none, empty, empty)
    if rules is not None and any(rule.over_s for rule in rules.rules):
        _warm_windows(model)


def _warm_windows(model: Model) -> None:
    """More paths than are counted one by one, in two seconds, of one client."""
    plan = Plan.of(gathered([("warm", _WINDOWS)]))
    read = Decision(ts_ms=TS_MS_MIN, verdict="allow", ip="192.0.2.1", method="GET", status=200)
    rows = [msgspec.structs.replace(read, ts_ms=TS_MS_MIN + 10 * i, path=f"/{i}") for i in range(150)]
    blocks = combine(
        codec.from_rows(rows), partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=(), plan=plan
    )
    pipeline = Pipeline(model, Config(rules=plan.rules))
    pipeline.step(blocks, TS_MS_MIN)
    pipeline.finish()


if __name__ == "__main__":
    warm(load(), gathered([("warm", _WINDOWS)]))
