"""Policy files: what they say, and that what is wrong is named with file, line, field and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from limiter import policy_file
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import Shape
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import Bucket
from limiter.errors import PolicyError
from limiter.lint import warnings
from limiter.policy import DEFAULT, PPM, Per

EXAMPLE = Path(__file__).parent.parent / "deploy" / "policies" / "example.yaml"
NOW_MS = 1_764_000_000_000
LIMIT = "version: 1\nlimits:\n  - name: a\n    per: ip\n    rate: 5/s\n"

SLOTS = "version: 1\nlimits:\n  - name: a\n    per: ip\n    algorithm: concurrency\n    concurrent: 5\n    lease: 30s\n"


def test_the_documented_example_is_a_policy() -> None:
    policy = policy_file.load(EXAMPLE)
    assert [limit.name for limit in policy.limits] == ["address", "key", "login-address", "search-user", "everybody"]
    assert policy.limits[0].shape == Bucket(20_000, 200)
    assert policy.limits[3].per == Per.USER
    assert policy.tier_of(None, None, None, None).name == "free"
    assert policy.tier_of(None, "k", None, "acme").name == "partner"
    assert policy.tier_of("free", "k", None, "acme").name == "free"
    assert policy.tier_of("unheard-of", "k", None, None).name == "standard"


def test_the_example_has_nothing_doubtful() -> None:
    found = policy_file.examine(EXAMPLE)
    assert (found.errors, warnings(found, NOW_MS)) == ([], [])


def test_a_brownout_reduces_by_route_then_tier_then_level_and_never_what_is_critical() -> None:
    brownout = policy_file.load(EXAMPLE).brownout
    assert brownout.factor_ppm(1, "standard", "GET", "/items") == 800_000
    assert brownout.factor_ppm(1, "free", "GET", "/items") == 500_000
    assert brownout.factor_ppm(2, "free", "GET", "/search") == 200_000
    assert brownout.factor_ppm(4, "free", "POST", "/checkout") == PPM
    assert brownout.factor_ppm(4, "free", "GET", "/checkout") == 20_000
    assert brownout.factor_ppm(0, "free", "GET", "/items") == PPM


def test_without_a_file_the_built_in_policy_holds() -> None:
    assert policy_file.load(None) is DEFAULT
    assert DEFAULT.brownout.factor_ppm(9, "default", "GET", "/") == 100_000


def test_a_rate_without_burst_keeps_a_seconds_worth() -> None:
    assert policy_file.parse(LIMIT.encode(), "p").limits[0].shape == Bucket(200_000, 5)
    assert policy_file.parse(LIMIT.replace("5/s", "60/min").encode(), "p").limits[0].shape == Bucket(1_000_000, 1)


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("rate: 5/s", Bucket(200_000, 5)),
        ("algorithm: token_bucket, rate: 5/s, burst: 7", Bucket(200_000, 7)),
        ("algorithm: leaky_bucket, rate: 5/s, queue: 9", Queue(200_000, 9)),
        ("algorithm: fixed_window, rate: 5/10s", FixedWindow(5, 10_000_000)),
        ("algorithm: sliding_log, rate: 5/10s", SlidingLog(5, 10_000_000)),
        ("algorithm: sliding_counter, rate: 5/10s", SlidingCounter(5, 10_000_000)),
        ("algorithm: concurrency, concurrent: 5, lease: 30s", Slots(5, 30_000_000)),
    ],
)
def test_a_limit_has_the_algorithm_it_asks_for(words: str, shape: Shape) -> None:
    policy = policy_file.parse(f"version: 1\nlimits: [{{ name: a, per: ip, {words} }}]".encode(), "p")
    assert policy.limits[0].shape == shape


def test_a_tier_has_numbers_of_its_own_for_the_limits_algorithm() -> None:
    text = SLOTS + "tiers: { gold: { limits: { a: { concurrent: 50, lease: 1min } } }, half: { factor: 0.5 } }\n"
    policy = policy_file.parse(text.encode(), "p")
    shapes = [tier.shape(policy.limits[0]) for tier in policy.tiers.values()]
    assert shapes == [Slots(50, 60_000_000), Slots(2, 30_000_000)]


def test_a_limit_with_its_lease_off_is_asked_of_redis_each_time() -> None:
    assert policy_file.parse(LIMIT.encode(), "p").limits[0].lease
    assert not policy_file.parse((LIMIT + "    lease: off\n").encode(), "p").limits[0].lease


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("", 1, "file", "example.yaml"),
        ("limits: []\n", 1, "policy", "add `version"),
        ("version: 2\nlimits: []\n", 1, "policy.version", "write `version: 1`"),
        ("version: 1\nlimit: []\n", 2, "policy.limit", "limits"),
        (LIMIT + "    brust: 5\n", 6, "policy.limits[0].brust", "burst"),
        (LIMIT.replace("per: ip", "per: ipv4"), 4, "policy.limits[0].per", "tenant"),
        (LIMIT.replace("5/s", "5 per second"), 5, "policy.limits[0].rate", "60/min"),
        (LIMIT.replace("5/s", "0/s"), 5, "policy.limits[0].rate", "100/s"),
        (LIMIT.replace("5/s", "600000/s"), 5, "policy.limits[0].rate", "500000/s"),
        (LIMIT.replace("    rate: 5/s\n", ""), 3, "policy.limits[0]", "60/min"),
        (LIMIT + "    algorithm: token\n", 6, "policy.limits[0].algorithm", "sliding_log"),
        (LIMIT + "    algorithm: fixed_window\n    burst: 5\n", 7, "policy.limits[0].burst", "token_bucket"),
        (LIMIT + "    queue: 5\n", 6, "policy.limits[0].queue", "leaky_bucket"),
        (LIMIT + "    algorithm: leaky_bucket\n    queue: -1\n", 7, "policy.limits[0].queue", "from 0"),
        (LIMIT + "    algorithm: leaky_bucket\n    queue: 900\n", 7, "policy.limits[0].queue", "at most 300"),
        (LIMIT.replace("5/s", "10001/h") + "    algorithm: sliding_log\n", 5, "policy.limits[0].rate", "10000"),
        (LIMIT.replace("5/s", "5/999d") + "    algorithm: fixed_window\n", 5, "policy.limits[0].rate", "100d"),
        (LIMIT + "    algorithm: concurrency\n", 5, "policy.limits[0].rate", "concurrent: 10"),
        (SLOTS.replace("    concurrent: 5\n", ""), 3, "policy.limits[0]", "concurrent"),
        (SLOTS.replace("    lease: 30s\n", ""), 3, "policy.limits[0]", "30s"),
        (SLOTS.replace("30s", "forever"), 7, "policy.limits[0].lease", "5min"),
        (SLOTS.replace("30s", "0s"), 7, "policy.limits[0].lease", "1s"),
        (SLOTS.replace("5\n", "0\n"), 6, "policy.limits[0].concurrent", "10000"),
        (LIMIT + "    concurrent: 5\n", 6, "policy.limits[0].concurrent", "algorithm: concurrency"),
        (LIMIT + "    lease: 30s\n", 6, "policy.limits[0].lease", "off"),
        (SLOTS + "    cost: 6\n", 8, "policy.limits[0].cost", "at most 5"),
        (LIMIT + "    burst: 2\n    cost: 3\n", 7, "policy.limits[0].cost", "raise `burst`"),
        (LIMIT + "    route: items\n", 6, "policy.limits[0].route", "/items/{id}"),
        (LIMIT + "  - name: a\n    per: ip\n    rate: 1/s\n", 6, "policy.limits[1]", "unique"),
        (LIMIT + "    per: key\n", 6, "policy.limits[0].per", "keep one"),
        (
            LIMIT + "tiers:\n  gold: { limits: { b: { rate: 1/s } } }\n",
            7,
            "policy.tiers.gold.limits.b",
            "the name of a limit",
        ),
        (LIMIT + "tiers:\n  gold: { factor: 0 }\n", 7, "policy.tiers.gold.factor", "above 0"),
        (
            LIMIT + "tiers:\n  gold: { limits: { a: { rate: 9/s, lease: off } } }\n",
            7,
            "policy.tiers.gold.limits.a.lease",
            "where the limit stands",
        ),
        (
            LIMIT + "    cost: 3\ntiers:\n  free: { limits: { a: { rate: 2/s } } }\n",
            8,
            "policy.tiers.free.limits.a",
            "at least 3",
        ),
        (LIMIT + "default_tier: gold\n", 6, "policy.default_tier", "one of default"),
        (LIMIT + "brownout:\n  levels:\n    2: { factor: 0.5 }\n", 8, "policy.brownout.levels.2", "without gaps"),
        (LIMIT + "brownout:\n  levels:\n    1: { factor: 1.5 }\n", 8, "policy.brownout.levels.1.factor", "at most 1"),
        (LIMIT + "    route: post /login\n", 6, "policy.limits[0].route", "GET,POST"),
        (LIMIT + "    brust: 5\n", 6, "policy.limits[0].brust", "did you mean `burst`? one of name"),
        (LIMIT.replace("per: ip", "per: api_key"), 4, "policy.limits[0].per", "did you mean `key`? one of ip"),
        (LIMIT + "    algorithm: fixed-window\n", 6, "policy.limits[0].algorithm", "did you mean `fixed_window`?"),
        (LIMIT + "    when: { county: DE }\n", 6, "policy.limits[0].when.county", "did you mean `country`?"),
        (LIMIT + "    when: { path: /a }\n", 6, "policy.limits[0].when.path", "stand in the limit's `route`"),
        (LIMIT + "    when: { country: Germany }\n", 6, "policy.limits[0].when.country", "two letters"),
        ("version: 1\nlimits: [\n", 3, "yaml", "quotes"),
        ("version: 1\nroutes: [ /items/{id} ]\n", 2, "yaml", "within [ ] quote"),
        (LIMIT + "    route: *login*\n", 6, "yaml", "quote what begins with * or &"),
        ("version: 1\nlimits:\n\t- name: a\n", 3, "yaml", "not tabs"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_the_fix(text: str, line: int, field: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_file.parse(text.encode(), "my.yaml")
    assert (caught.value.line, caught.value.field) == (line, field)
    assert says in caught.value.fix
    assert str(caught.value).startswith(f"my.yaml:{line}: {field}: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent\.yaml.*FLOODWARDEN_POLICIES"):
        policy_file.load(tmp_path / "absent.yaml")
