"""The demo's traffic and its judge: what would let it pass wrongly, and what must not."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import replace

import pytest

from floodwarden.demo import story, traffic
from floodwarden.demo.ledger import Ledger, Outcome, Seen
from floodwarden.demo.node import POLICY
from floodwarden.demo.verdict import Attacker, Held, Tallies, Verdict, judge, percentile
from floodwarden.demo.watch import Enforced
from floodwarden.http_client import Answer
from limiter import policy_file
from limiter.algorithms.token_bucket import Bucket
from schemas import settings as settings_of

NODES = ("a", "b")
BRUTE = Attacker("brute", "the guesser", "ip:203.0.113.66", {"deny": Held()})
HAMMER = Attacker("hammer", "the hammer", "key:k", {"throttle": Held(1.0, 2.0), "deny": Held()})
DENIED = Enforced("1", "deny", "ip:203.0.113.66", 1000, 1200, 1300, NODES, ())
THROTTLED = Enforced("2", "throttle", "key:k", 2000, 2200, 2300, NODES, ())
EXACT = Tallies(answered=100, lost=0, published=100, counted=100)
BRUTE_CLIENT = traffic.Client("brute", "203.0.113.66", "brute")
HAMMER_CLIENT = traffic.Client("hammer", "203.0.113.80", "hammer", "k")
PERSON = traffic.Client("person", "192.0.2.1", "person")


def ledger(*, brute_after: Outcome = Outcome.DENIED, hammer_served_after: int = 10) -> Ledger:
    made = Ledger()
    for n in range(30):
        made.note(BRUTE_CLIENT, Seen(n * 50, n * 50 + 5, Outcome.FAILED if n * 50 < 1300 else Outcome.DENIED))
    for n in range(20):
        made.note(BRUTE_CLIENT, Seen(3000 + n * 50, 3005 + n * 50, brute_after))
    for n in range(200):  # twenty seconds
        outcome = Outcome.SERVED if n < hammer_served_after else Outcome.THROTTLED
        made.note(HAMMER_CLIENT, Seen(3000 + n * 100, 3005 + n * 100, outcome))
    made.note(PERSON, Seen(10, 20, Outcome.SERVED))
    return made


def verdict(
    made: Ledger, *enforced: Enforced, tallies: Tallies = EXACT, good: frozenset[str] = frozenset({"ip:192.0.2.1"})
) -> Verdict:
    return judge(made, (BRUTE, HAMMER), good, enforced, (), NODES, tallies)


def test_all_promises_kept_is_ok() -> None:
    told = verdict(ledger(), DENIED, THROTTLED)
    assert told.ok, told.problems
    assert told.as_json()["time_to_enforce_ms"] == {"p50": 300, "p99": 300, "max": 300}
    assert told.as_json()["nodes_acknowledged"] == 2


@pytest.mark.parametrize(
    "told",
    [
        verdict(ledger(), THROTTLED),
        verdict(ledger(), DENIED),
        verdict(ledger(brute_after=Outcome.FAILED), DENIED, THROTTLED),
        verdict(ledger(hammer_served_after=100), DENIED, THROTTLED),
        verdict(ledger(), replace(DENIED, nodes=("a",), missing=("b",)), THROTTLED),
        verdict(ledger(), DENIED, THROTTLED, tallies=replace(EXACT, counted=99)),
        verdict(ledger(), DENIED, THROTTLED, tallies=replace(EXACT, counted=None)),
        verdict(ledger(), DENIED, THROTTLED, tallies=replace(EXACT, published=99, counted=99)),
        verdict(ledger(), DENIED, THROTTLED, replace(DENIED, target="ip:192.0.2.1")),
    ],
    ids=["no denial", "no throttle", "denied in name only", "throttled in name only", "one node without it",
         "a count short", "no count", "a decision lost", "a good client named"],
)  # fmt: skip
def test_a_broken_promise_is_not_ok_and_says_which(told: Verdict) -> None:
    assert not told.ok
    assert told.problems


@pytest.mark.parametrize("outcome", [Outcome.DENIED, Outcome.THROTTLED, Outcome.CHALLENGED])
def test_one_good_client_refused_by_an_action_is_not_ok(outcome: Outcome) -> None:
    made = ledger()
    made.note(PERSON, Seen(30, 40, outcome))
    told = verdict(made, DENIED, THROTTLED)
    assert not told.ok
    assert told.as_json()["benign_denied"] == 1


def test_percentiles_are_by_nearest_rank() -> None:
    assert (percentile([], 50), percentile([7], 99), percentile([1, 2, 3, 4], 50)) == (None, 7, 2)


def test_the_same_seed_gives_the_same_traffic_and_another_another() -> None:
    assert traffic.schedule(1, 20) == traffic.schedule(1, 20)
    assert traffic.schedule(1, 20) != traffic.schedule(2, 20)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_addresses_are_documentation_and_no_good_client_shares_one_with_an_attacker(seed: int) -> None:
    shots = traffic.schedule(seed, 30)
    nets = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    clients = {shot.client for shot in shots}
    assert all(any(ipaddress.ip_address(c.ip) in net for net in nets) for c in clients)
    assert {c.ip for c in clients if c.good}.isdisjoint(c.ip for c in clients if not c.good)
    assert [shot.at_s for shot in shots] == sorted(shot.at_s for shot in shots)
    assert sum(c.role == "crowd" for c in clients) == traffic.CROWD


@pytest.mark.parametrize("seed", range(5))
def test_no_good_client_comes_near_the_limits_of_the_policy(seed: int) -> None:
    per_s = Counter((shot.client, int(shot.at_s)) for shot in traffic.schedule(seed, 30) if shot.client.good)
    assert max(per_s.values()) < 10


def test_the_judge_knows_the_limits_of_the_policy() -> None:
    limits = {limit.name: limit.shape for limit in policy_file.load(POLICY).limits}
    assert limits["key"] == Bucket(1_000_000 // story.KEY_PER_S, story.KEY_BURST)
    assert settings_of.Settings.model_fields["throttle_factor"].default == story.THROTTLE_FACTOR


@pytest.mark.parametrize(
    ("status", "headers", "body", "meant"),
    [
        (200, {"content-type": "application/json"}, b"{}", Outcome.SERVED),
        (401, {"content-type": "application/json"}, b"{}", Outcome.FAILED),
        (429, {"content-type": "application/problem+json"}, b'{"type":"x"}', Outcome.LIMITED),
        (429, {"content-type": "application/problem+json"}, b'{"action":"u"}', Outcome.THROTTLED),
        (403, {"content-type": "application/problem+json"}, b'{"action":"u"}', Outcome.DENIED),
        (
            403,
            {"content-type": "application/problem+json", "floodwarden-challenge": "required"},
            b"{}",
            Outcome.CHALLENGED,
        ),
    ],
)
def test_answers_mean_what_the_limiter_says(status: int, headers: dict[str, str], body: bytes, meant: Outcome) -> None:
    assert story.outcome(Answer(status, headers, body)) is meant
