"""What one usage partition may hold, each part's share of the whole: everything keyed by a client has its bound here.

| part | share | bytes each | when it is full |
|---|---|---|---|
| owners: history, evidence | 1/4 | 2,004 | suspects, heavy hitters, regulars and the newest stay |
| of it what stands against them | | 80 a family, 3 an owner | what most stands in stays (`detectors.tracks`) |
| windows: a row an entity and pane | 7/32 | 128 | the same; what others had done becomes the rest |
| distinct values | 3/32 | 104 an entity, 8 a value, at most 4,096 of a sort | the same; they begin anew |
| windows of rules, of it where one has any | 1/32 | the same, and 72 an entity, 24 a count | the same |
| buckets of rules | 1/32 | 512 | the dry ones go, then the emptiest |
| hits of open panes | 1/32 | 120 | some go, by hash; who goes is counted |
| memories of pairs | 1/8 | 360 for one in each | the older half is forgotten, strangers' apart from regulars' |
| flows of open panes | 1/8 | 196 | owners as above; who goes is counted |
| texts of hashes | 1/16 | 64 | the oldest go, never those of owners held |
| open incidents | 1/16 | 2,560 | those quiet longest are closed; what stands against their owners stays |

What the shares leave out is small and bounded as well: samples of the control group (65,536 routes), counts of open
panes (4.5 MB), a second's counts, addresses that keys and accounts are known from (8.7 MB once there are any).
Arrays are copied when something goes, a part at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from detectors.rules import NONE, Ruleset
from schemas.settings import Settings

OWNER_BYTES: Final = 2_004  # 1,118, of which up to half more before a purge, and 80 for each of four rows of evidence
ROW_BYTES: Final = 128
PAIRS_BYTES: Final = 360
FLOW_BYTES: Final = 196
NAME_BYTES: Final = 64
EPISODE_BYTES: Final = 2_560
BUCKET_BYTES: Final = 512
HIT_BYTES: Final = 120
BYTES_MIN: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers of what may be held at most. `entities`: of each kind."""

    entities: int
    owners: int
    rows: int
    pairs: int  # in each memory; a power of two, so that its tables are just full
    flows: int
    names: int
    episodes: int
    buckets: int
    hits: int
    distinct_bytes: int
    rule_window_bytes: int

    @classmethod
    def of(cls, entities_max: int, state_bytes_max: int, *, rule_windows: bool = False) -> Self:
        """Bounds that take `state_bytes_max` together; `rule_windows`: some of it for rules that have a window."""
        share = max(state_bytes_max, BYTES_MIN) // 16
        return cls(
            entities=entities_max,
            owners=min(2 * entities_max, 4 * share // OWNER_BYTES),
            rows=7 * share // (2 * ROW_BYTES),
            pairs=1 << (2 * share // PAIRS_BYTES).bit_length() - 1,
            flows=2 * share // FLOW_BYTES,
            names=share // NAME_BYTES,
            episodes=share // EPISODE_BYTES,
            buckets=share // (2 * BUCKET_BYTES),
            hits=share // (2 * HIT_BYTES),
            distinct_bytes=(2 if rule_windows else 3) * share // 2,
            rule_window_bytes=share // 2 if rule_windows else 0,
        )


@dataclass(frozen=True, slots=True)
class Config:
    """How event time moves on, and the bounds (`stream.bounds`), which hold for one usage partition.

    `source_partitions` is the number of decisions partitions. `stalled_ms`: so long one is waited for that has more to
    say and does not, for its worker is being replaced.
    """

    source_partitions: int = 1
    lateness_ms: int = 2000
    idle_ms: int = 3000
    entities_max: int = 300_000
    state_bytes_max: int = 1 << 30
    stalled_ms: int = 30_000
    rules: Ruleset = NONE
    history_s: int = 3600  # an owner seen for so long at an address is known from there

    @property
    def bounds(self) -> Bounds:
        """What may be held at most."""
        windows = any(rule.over_s for rule in self.rules.rules)
        return Bounds.of(self.entities_max, self.state_bytes_max, rule_windows=windows)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say."""
        return cls(
            settings.decisions_partitions,
            settings.lateness_ms,
            settings.idle_ms,
            settings.entities_max,
            settings.state_bytes_max,
            history_s=settings.history_seconds,
        )
