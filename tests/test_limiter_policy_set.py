"""Policies of several files and formats, conditions, groups, states and lists, word by word."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from limiter import policy_file
from limiter.conditions import ALWAYS, Networks, When
from limiter.errors import PolicyError
from limiter.lists import Entry
from limiter.policy import PPM, Limit, Policy, State
from limiter.policy_file import examine, load, parse
from schemas.hours import Hours

HEAD = "version: 1\nlimits:\n  - name: a\n    per: ip\n    rate: 5/s\n"


def read(text: str, file: str = "p.yaml") -> Policy:
    return parse(text.encode(), file)


def limit(words: str) -> Limit:
    return read(f"version: 1\nlimits: [ {{ name: a, per: ip, rate: 5/s, {words} }} ]").limits[0]


def test_conditions_are_read_word_by_word() -> None:
    found = limit(
        "when: { tenant: acme, tier: [default], header:X-Plan: [gold, silver], country: de, asn: AS64500,"
        " ip: [203.0.113.7, 2001:db8::/32], hours: mon-fri 08:00-18:00 Europe/Berlin,"
        " from: 2026-12-01T00:00:00+01:00, until: 2026-12-31T00:00:00Z,"
        " not: { user: [root], ip: 203.0.113.0/24 } }"
    ).when
    assert dict(found.any_of) == {
        "tenant": {"acme"},
        "tier": {"default"},
        "header:x-plan": {"gold", "silver"},
        "country": {"DE"},
        "asn": {"64500"},
    }
    assert found.inside == Networks([(4, 32, 0xCB007107), (6, 32, 0x20010DB8)])
    assert found.none_of == (("user", frozenset({"root"})),)
    assert found.outside == Networks([(4, 24, 0xCB0071)])
    assert found.hours == (Hours(frozenset(range(5)), 480, 1080, ZoneInfo("Europe/Berlin")),)
    assert (found.from_ms, found.until_ms) == (1_796_079_600_000, 1_798_675_200_000)


@pytest.mark.parametrize(
    ("text", "days", "minutes"),
    [
        ("08:00-18:00 UTC", range(7), (480, 1080)),
        ("sat,sun 0:00-24:00 UTC", (5, 6), (0, 1440)),
        ("fri-mon 22:00-6:30 UTC", (4, 5, 6, 0), (1320, 390)),
    ],
)
def test_hours_may_name_days_and_run_over_midnight(text: str, days: tuple[int, ...], minutes: tuple[int, int]) -> None:
    (found,) = limit(f"when: {{ hours: '{text}' }}").when.hours
    assert (found.days, found.from_minute, found.until_minute) == (set(days), *minutes)


def test_a_limit_without_conditions_shares_the_empty_ones() -> None:
    assert limit("cost: 1").when is ALWAYS


def test_groups_states_and_kinds_together_are_read() -> None:
    found = limit("group: plan, priority: 10, state: canary, share: 0.05")
    assert (found.group, found.priority, found.state, found.share_ppm) == ("plan", 10, State.CANARY, PPM // 20)
    assert limit("state: shadow").state is State.SHADOW
    both = HEAD.replace("per: ip", "per: [tenant, 'header:X-App']") + "  - { name: b, rate: 5/s, per: ip+user }"
    assert [each.per for each in read(both).limits] == ["tenant+header:x-app", "ip+user"]


def test_lists_take_any_kind_of_client_with_or_without_a_name_for_the_rule() -> None:
    found = read(
        "version: 1\nlimits: []\nallow: [203.0.113.7, 'key:k1', 'header:x-app=probe']\n"
        "deny:\n  bad-hosts: [198.51.100.0/24, 'asn:AS64500', 'country:kp']\n  stolen: ['user:eve:2']\n"
    )
    assert found.allow == (
        Entry("allowlist", "ip", "203.0.113.7/32"),
        Entry("allowlist", "key", "k1"),
        Entry("allowlist", "header:x-app", "probe"),
    )
    assert found.deny == (
        Entry("bad-hosts", "ip", "198.51.100.0/24"),
        Entry("bad-hosts", "asn", "64500"),
        Entry("bad-hosts", "country", "KP"),
        Entry("stolen", "user", "eve:2"),
    )


def test_a_directory_is_one_policy_and_a_files_conditions_are_its_limits(tmp_path: Path) -> None:
    (tmp_path / "global.yaml").write_text(
        "version: 1\nname: all\nlimits: [ { name: site, per: global, rate: 9/s } ]\n"
        "default: [ { name: rest, per: ip, rate: 1/s } ]\ntiers: { free: {}, paid: { factor: 2 } }\n"
    )
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "acme.yaml").write_text(
        "version: 1\nwhen: { tenant: acme }\nlimits:\n  - { name: acme, per: tenant, rate: 5/s }\n"
        "  - { name: acme-paid, per: user, rate: 5/s, when: { tier: paid } }\n"
    )
    (tmp_path / "more.jsonl").write_text('{"name": "j1", "per": "key", "rate": "5/s", "burst": 7}\n')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "copy.yaml").write_text(HEAD)
    (tmp_path / "notes.txt").write_text("no policy")
    policy = load(tmp_path)
    assert policy.name == "all"
    assert [each.name for each in policy.limits] == ["site", "j1", "acme", "acme-paid"]
    assert [each.name for each in policy.default] == ["rest"]
    assert policy.limits[2].when == When(any_of=(("tenant", frozenset({"acme"})),))
    assert dict(policy.limits[3].when.any_of) == {"tenant": {"acme"}, "tier": {"paid"}}
    assert policy.limits[1].shape.limit == 7


def test_one_file_may_hold_several_documents_and_anchors() -> None:
    text = HEAD + "    when: &acme { tenant: acme }\n---\nversion: 1\nlimits: [ { name: b, per: ip, rate: 1/s } ]\n"
    assert [each.name for each in read(text).limits] == ["a", "b"]
    shared = HEAD + "    when: &acme { tenant: acme }\n  - { name: b, per: ip, rate: 1/s, when: *acme }\n"
    first, second = read(shared).limits
    assert first.when == second.when != ALWAYS


def test_json_says_the_same_as_yaml(tmp_path: Path) -> None:
    body = {"version": 1, "limits": [{"name": "a", "per": "ip", "rate": "5/s", "burst": 9, "lease": False}]}
    (tmp_path / "p.json").write_text(json.dumps(body))
    yaml = read("version: 1\nlimits: [ { name: a, per: ip, rate: 5/s, burst: 9, lease: off } ]")
    assert load(tmp_path / "p.json").limits == yaml.limits


def test_an_error_in_json_has_its_line_too(tmp_path: Path) -> None:
    body = {"version": 1, "limits": [{"name": "a", "per": "ip", "rate": "5/s", "brust": 9}]}
    (tmp_path / "p.json").write_text(json.dumps(body, indent=1))
    with pytest.raises(PolicyError) as caught:
        load(tmp_path / "p.json")
    assert (caught.value.line, caught.value.field) == (8, "policy.limits[0].brust")
    (tmp_path / "p.jsonl").write_text('{"name": "a", "per": "ip", "rate": "5/s"}\n\n{"name": "b", "per": "ip"}\n')
    with pytest.raises(PolicyError) as caught:
        load(tmp_path / "p.jsonl")
    assert (caught.value.line, caught.value.field) == (3, "policy.limits[1]")
    (tmp_path / "p.jsonl").write_text('{"name": "a", "name": "b", "per": "ip", "rate": "5/s"}\n')
    with pytest.raises(PolicyError, match="stands twice"):
        load(tmp_path / "p.jsonl")


@pytest.mark.parametrize(
    ("words", "field", "says"),
    [
        ("when: { plan: gold }", "when.plan", "header:NAME"),
        ("when: { country: Germany }", "when.country", "two letters: DE"),
        ("when: { tenant: [] }", "when.tenant", "at least one"),
        ("when: { ip: 203.0.113.0/33 }", "when.ip", "203.0.113.0/24"),
        ("when: { hours: 8-18 }", "when.hours", "mon-fri 08:00-18:00"),
        ("when: { hours: '08:00-18:00 Europe/Atlantis' }", "when.hours", "IANA"),
        ("when: { hours: '08:00-24:01 UTC' }", "when.hours", "08:00-18:00"),
        ("when: { hours: 'wkd 08:00-18:00 UTC' }", "when.hours", "mon, tue"),
        ("when: { from: 2026-12-01 }", "when.from", "Z or"),
        ("when: { from: '2026-12-01T00:00:00' }", "when.from", "+01:00"),
        ("when: { from: 2026-12-02T00:00:00Z, until: 2026-12-01T00:00:00Z }", "when", "after `from`"),
        ("when: { not: { hours: '08:00-18:00 UTC' } }", "when.not.hours", "tenant"),
        ("when: { tier: gold }", "", "one of default"),
        ("priority: 3", "priority", "group"),
        ("state: off", "state", "shadow"),
        ("state: canary", "", "share: 0.05"),
        ("share: 0.5", "share", "state: canary"),
        ("state: canary, share: 1.5", "share", "at most 1"),
        ("group: 'A B'", "group", "lower-case"),
    ],
)
def test_a_word_that_is_wrong_is_named_with_its_fix(words: str, field: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        limit(words)
    assert caught.value.field == "policy.limits[0]" + (f".{field}" if field else "")
    assert caught.value.line == 2
    assert says in caught.value.fix


@pytest.mark.parametrize(
    ("per", "says"),
    [
        ("ipv4", "network"),
        ("ip+ip", "different"),
        ("global+ip", "alone"),
        ("[]", "at least one"),
        ("header:a b", "NAME"),
    ],
)
def test_a_kind_of_key_that_is_none_is_named(per: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(f"version: 1\nlimits: [ {{ name: a, per: {per}, rate: 5/s }} ]")
    assert caught.value.field == "policy.limits[0].per"
    assert says in caught.value.fix


@pytest.mark.parametrize("entry", ["bob", "colour:red", "203.0.113.0/33", "user:", "country:Germany"])
def test_a_client_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(f"version: 1\nlimits: []\ndeny:\n  mine:\n    - '{entry}'\n")
    assert (caught.value.line, caught.value.field) == (5, "policy.deny.mine[0]")


def test_what_there_is_one_of_stands_in_one_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\nname: {name}\n")
    with pytest.raises(PolicyError, match=r"b\.yaml:2: policy\.name: stands in .*a\.yaml:2, too"):
        load(tmp_path)


def test_names_are_unique_over_all_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(HEAD)
    with pytest.raises(PolicyError, match=r"b\.yaml:3: .*a\.yaml:3"):
        load(tmp_path)


def test_a_files_conditions_and_a_limits_own_do_not_ask_for_the_same_twice() -> None:
    text = "version: 1\nwhen: { tenant: acme }\nlimits: [ { name: a, per: ip, rate: 1/s, when: { tenant: other } } ]"
    with pytest.raises(PolicyError, match="`tenant`"):
        read(text)


def test_an_empty_directory_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="0 files to read"):
        load(tmp_path)


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        HEAD + "    brust: 1\n  - { name: b, per: ip }\n  - { name: c, per: ip, rate: 1/s }\n"
    )
    found = examine(tmp_path)
    assert [(error.line, error.field) for error in found.errors] == [
        (6, "policy.limits[0].brust"),
        (7, "policy.limits[1]"),
    ]


@given(st.text(alphabet="-:[]{}#&*!|>'\" \n\tabc01,?%@`", max_size=80))
@hypothesis(deadline=None)
def test_no_text_at_all_makes_the_reader_fail_otherwise(text: str) -> None:
    for suffix in ("yaml", "json", "jsonl"):
        with contextlib.suppress(PolicyError):
            parse(("version: 1\nlimits:\n" + text).encode(), f"p.{suffix}")


@pytest.mark.parametrize("text", ["[" * 500, "a: " * 3, "? [a]\n: b", "*nobody", "\x00", "- \x07", "{" * 40 + "}" * 40])
def test_no_file_makes_the_reader_fail_otherwise(text: str) -> None:
    for suffix in ("yaml", "json", "jsonl"):
        with pytest.raises(PolicyError):
            policy_file.parse(text.encode(), f"p.{suffix}")
