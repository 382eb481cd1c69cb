"""The one table of Kafka topics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"
CONTENT_TYPE: Final = "content-type"
SENT: Final = "sent-ms"  # header: epoch milliseconds by the sender's clock when it sent the message, for its skew
MESSAGE_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created: `name` without prefix, default partitions, broker configuration."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)

    def full(self, prefix: str) -> str:
        """The name on the broker."""
        return prefix + self.name


_HOUR_MS: Final = 3_600_000

# The broker's clock stamps every message: nodes' clocks are held to it (docs/adr/0022).
DECISIONS: Final = Topic(
    "decisions", 4, {"retention.ms": str(24 * _HOUR_MS), "message.timestamp.type": "LogAppendTime"}
)
# A row per entity and one-second pane; every block of a decisions partition goes to every partition (docs/adr/0005).
# A block is of many decision messages, so its message may be larger than theirs.
USAGE_BYTES_MAX: Final = 16 << 20
USAGE: Final = Topic("usage", 2, {"retention.ms": str(2 * _HOUR_MS), "max.message.bytes": str(USAGE_BYTES_MAX)})
ALERTS: Final = Topic("alerts", 2, {"retention.ms": str(7 * 24 * _HOUR_MS)})
ACTIONS: Final = Topic("actions", 1, {"cleanup.policy": "compact"})
# What a usage partition knows of keys' and accounts' addresses, in a fixed number of records (docs/adr/0053).
HISTORY: Final = Topic("history", USAGE.partitions, {"cleanup.policy": "compact"})
DEAD_LETTER: Final = Topic("dead-letter", 1, {"retention.ms": str(7 * 24 * _HOUR_MS)})
# Holds no messages: its committed offsets say which block of a decisions partition is open (docs/adr/0005).
INTENTS: Final = Topic("intents", DECISIONS.partitions, {})
TERMS: Final = Topic("terms", DECISIONS.partitions, {})  # the same for what that block depends on (docs/adr/0022)

TOPICS: Final = (DECISIONS, USAGE, ALERTS, ACTIONS, DEAD_LETTER, INTENTS, TERMS, HISTORY)
ENFORCING: Final = (ALERTS, ACTIONS, HISTORY, DEAD_LETTER)  # what an enforcer needs
