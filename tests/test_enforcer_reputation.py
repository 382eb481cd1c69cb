"""Reputation lists: what a line says, what a list changes, and what it may not touch."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from test_bouncers_book import NOW_MS

from enforcer.guardrails import Allowlist
from enforcer.reputation import Rules, Sync, read, sync
from schemas.action import Action, ActionKind, ActionStatus
from schemas.targets import parse_targets

DAY = Rules(86_400)


def of(text: str, standing: tuple[Action, ...] = (), allow: str = "", rules: Rules = DAY, now_ms: int = NOW_MS) -> Sync:
    listed, bad = read(text.splitlines(), "list.txt")
    assert not bad
    return sync(listed, standing, Allowlist(parse_targets(allow, "ALLOW")), "drop", rules, now_ms)


def test_plain_lists_are_read_whatever_stands_behind_an_address() -> None:
    text = "# a list|; another comment||203.0.113.7|198.51.100.0/24 ; SBL1|2001:db8::/32 # ours|192.0.2.9, seen twice"
    listed, bad = read(text.split("|"), "list.txt")
    assert not bad
    assert [(e.target.value, e.note) for e in listed] == [
        ("203.0.113.7", ""), ("198.51.100.0/24", "SBL1"), ("2001:db8::/32", "ours"), ("192.0.2.9", "seen twice"),
    ]  # fmt: skip


def test_a_table_is_read_by_its_header() -> None:
    text = (
        "reason,ip,weight,expires\n"
        '"ssh, again",203.0.113.7,90,2026-01-31T12:00:00Z\n'
        "scan,203.0.113.8,50,1700000600\n"
        "scan,203.0.113.7,10,\n"
    )
    first, second = read(text.splitlines(), "list.csv")[0]
    assert (first.weight, first.note, first.until_ms) == (90, "ssh, again", 1_769_860_800_000)  # the surest of two
    assert (second.weight, second.until_ms) == (50, 1_700_000_600_000)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nowhere", "list.txt:2: 'nowhere' is no address"),
        ("0.0.0.0/0", "wider than /8"),
        ("2001::/8", "wider than /16"),
        ("203.0.113.7/33", "no address or network"),
    ],
)
def test_a_line_that_is_no_entry_is_named(line: str, why: str) -> None:
    listed, bad = read(["203.0.113.7", line], "list.txt")
    assert len(listed) == len(bad) == 1
    assert why in bad[0]


@pytest.mark.parametrize(("row", "why"), [("192.0.2.7,200,", "weight '200'"), ("192.0.2.7,1,soon", "expires 'soon'")])
def test_a_cell_that_is_wrong_is_named(row: str, why: str) -> None:
    assert why in read(["ip,weight,expires", row], "list.csv")[1][0]


def test_weight_says_what_is_done() -> None:
    made = of("ip,weight\n203.0.113.1,75\n203.0.113.2,74\n203.0.113.3,39\n")
    assert [(a.target.value, a.kind) for a in made.add] == [
        ("203.0.113.1", ActionKind.DENY), ("203.0.113.2", ActionKind.CHALLENGE),
    ]  # fmt: skip
    assert made.left_out == {"weight": 1}
    assert made.add[0].reason == "listed by drop, weight 75"


def test_a_list_never_touches_the_allowed_our_own_networks_or_what_is_over() -> None:
    text = "ip,expires\n198.51.100.7,\n10.1.2.3,\nfe80::1,\n203.0.113.1,1600000000\n203.0.113.2,\n"
    made = of(text, allow="198.51.100.0/24")
    assert [a.target.value for a in made.add] == ["203.0.113.2"]
    assert made.left_out == {"allowed": 1, "private": 2, "expired": 1}
    assert [a.target.value for a in of("10.1.2.3", rules=Rules(60, private=True)).add] == ["10.1.2.3"]


def test_a_later_list_of_the_same_source_takes_the_place_of_the_one_before() -> None:
    first = of("203.0.113.1\n203.0.113.2")
    standing = tuple(first.add)
    again = of("203.0.113.1\n203.0.113.2", standing, now_ms=NOW_MS + 3_600_000)
    assert (again.add, again.lift, again.kept) == ([], [], 2)
    late = of("203.0.113.1\n203.0.113.2", standing, now_ms=NOW_MS + 50_000_000)
    assert len(late.add) == 2  # more than half of the day is over
    changed = of("203.0.113.2\n203.0.113.3", standing)
    assert [a.target.value for a in changed.add] == ["203.0.113.3"]
    assert [(a.target.value, a.status, a.ended_by) for a in changed.lift] == [
        ("203.0.113.1", ActionStatus.LIFTED, "import:drop"),
    ]  # fmt: skip


def test_another_source_is_left_alone() -> None:
    others = tuple(a.model_copy(update={"owner": "import:other"}) for a in of("203.0.113.1").add)
    made = of("203.0.113.2", others)
    assert not made.lift
    assert ip_network(made.add[0].target.value)
