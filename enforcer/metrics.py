"""Every metric of the enforcer, in one table.

| name | labels | meaning |
|---|---|---|
| floodwarden_enforcer_alerts_total | status | alerts considered |
| floodwarden_enforcer_actions_total | kind, status | actions published by the planner |
| floodwarden_enforcer_held_back_total | guard | answers that a guardrail held back, by which |
| floodwarden_enforcer_waiting | | actions that wait for somebody's word |
| floodwarden_enforcer_playbooks_total | outcome | playbooks read because they changed: ok, failed (the one before stays) |
| floodwarden_enforcer_dead_letters_total | topic, code | records nobody could take |
| floodwarden_enforcer_active | | actions in force as the projector knows them |
| floodwarden_enforcer_writes_total | what | the script's answers: done, same, stale, absent, lost |
| floodwarden_enforcer_rebuilds_total | | snapshots put in place anew |
| floodwarden_enforcer_redis_errors_total | | Redis calls that failed and are tried again |
| floodwarden_enforcer_kafka_errors_total | | sends that failed and are tried again |
| floodwarden_enforcer_pending | | deltas waiting for Redis |
| floodwarden_enforcer_live_nodes | | limiter nodes heard of in the last 5 s |
| floodwarden_enforcer_time_to_enforce_seconds | since | from `crossed` (evidence sufficed) or `created` (planned) to the last node's acknowledgement |
| floodwarden_enforcer_node_time_to_enforce_seconds | since | the same to each node's acknowledgement, one for each node |
| floodwarden_enforcer_notices_total | destination, outcome | messages: delivered, failed (tried again), dead (in `dead-letter`) |
| floodwarden_enforcer_notices_waiting | destination | incidents of which a destination is told, or looked at again, later |
| floodwarden_enforcer_stored_total | | words of alerts and actions written to the store |
| floodwarden_enforcer_store_errors_total | | attempts of the store's writer that failed and are tried again |
| floodwarden_enforcer_not_stored_total | | words that no database has room for |
| floodwarden_enforcer_unacknowledged_total | | actions some live node had not acknowledged in time |
| floodwarden_enforcer_leads | | 1 where this enforcer does what only one does |
| floodwarden_enforcer_brownout_level | | level the leader wants, in quarters; in force unless it only observes |
| floodwarden_enforcer_bouncer_pulls_total | bouncer | deltas of decisions that a bouncer fetched |
| floodwarden_enforcer_bouncer_items_total | bouncer, name | requests or packets a bouncer reports: processed, dropped |
| floodwarden_enforcer_bouncer_decisions | bouncer | decisions a bouncer reports to hold |
"""  # noqa: E501 - one row a metric

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_P: Final = "floodwarden_enforcer_"
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10)

ALERTS: Final = Counter(_P + "alerts", "Alerts considered", ["status"])
ACTIONS: Final = Counter(_P + "actions", "Actions published by the planner", ["kind", "status"])
HELD_BACK: Final = Counter(_P + "held_back", "Answers that a guardrail held back", ["guard"])
WAITING: Final = Gauge(_P + "waiting", "Actions that wait for somebody's word")
PLAYBOOKS: Final = Counter(_P + "playbooks", "Playbooks read", ["outcome"])
DEAD_LETTERS: Final = Counter(_P + "dead_letters", "Records nobody could take", ["topic", "code"])
ACTIVE: Final = Gauge(_P + "active", "Actions in force")
WRITES: Final = Counter(_P + "writes", "Answers of the script", ["what"])
REBUILDS: Final = Counter(_P + "rebuilds", "Snapshots put in place anew")
REDIS_ERRORS: Final = Counter(_P + "redis_errors", "Redis calls tried again")
KAFKA_ERRORS: Final = Counter(_P + "kafka_errors", "Sends tried again")
PENDING: Final = Gauge(_P + "pending", "Deltas waiting for Redis")
LIVE_NODES: Final = Gauge(_P + "live_nodes", "Limiter nodes heard of lately")
TIME_TO_ENFORCE: Final = Histogram(
    _P + "time_to_enforce_seconds", "To the last node's acknowledgement", ["since"], buckets=_SECONDS
)
NODE_TIME_TO_ENFORCE: Final = Histogram(
    _P + "node_time_to_enforce_seconds", "To each node's acknowledgement", ["since"], buckets=_SECONDS
)
NOTICES: Final = Counter(_P + "notices", "Messages to destinations", ["destination", "outcome"])
NOTICES_WAITING: Final = Gauge(_P + "notices_waiting", "Incidents to be told of, or looked at again", ["destination"])
STORED: Final = Counter(_P + "stored", "Words written to the store")
STORE_ERRORS: Final = Counter(_P + "store_errors", "Attempts of the store's writer tried again")
NOT_STORED: Final = Counter(_P + "not_stored", "Words that no database has room for")
UNACKNOWLEDGED: Final = Counter(_P + "unacknowledged", "Actions not acknowledged by every live node in time")
SIGHTS: Final = Gauge(_P + "history_sights", "Addresses of keys and accounts in memory")
SIGHTS_LEFT_OUT: Final = Gauge(_P + "history_left_out", "Those for which there was no room")
LEADS: Final = Gauge(_P + "leads", "Whether it does what only one does")
BROWNOUT: Final = Gauge(_P + "brownout_level", "Level the leader wants")
BOUNCER_PULLS: Final = Counter(_P + "bouncer_pulls", "Deltas of decisions that a bouncer fetched", ["bouncer"])
BOUNCER_ITEMS: Final = Counter(_P + "bouncer_items", "Requests or packets a bouncer reports", ["bouncer", "name"])
BOUNCER_STANDING: Final = Gauge(_P + "bouncer_decisions", "Decisions a bouncer reports to hold", ["bouncer"])
