"""What bouncers are told, judged by a bouncer that does as it is told and may lose answers."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.bouncers import lists
from enforcer.bouncers.book import Book
from enforcer.bouncers.decisions import Decision, decision_of, expanded
from enforcer.bouncers.pulls import PULLS_MAX, Puller, Pulls
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.exempt import exempt_addresses

NOW_MS = 1_700_000_000_000


def action(value: str = "203.0.113.7", **changes: Any) -> Action:
    fields: dict[str, Any] = {
        "uid": f"{changes.get('kind', 'deny')}-{value}-{changes.pop('n', 0)}",
        "kind": ActionKind.DENY,
        "status": ActionStatus.ACTIVE,
        "target": Target(kind=changes.pop("of", TargetKind.IP), value=value),
        "reason": "six failed logins",
        "rule": "guess/1",
        "owner": "auto",
        "created_ms": NOW_MS,
        "expires_ms": NOW_MS + 600_000,
    }
    return Action(**(fields | changes))


def told(decision: Decision | None) -> dict[str, Any]:
    assert decision is not None
    found: dict[str, Any] = json.loads(decision.encoded(NOW_MS))
    return found


def test_a_decision_has_what_real_bouncers_cannot_do_without() -> None:
    found = told(decision_of(action(), scoped=False))
    assert 0 < found.pop("id") < 2**53
    assert found == {
        "duration": "600s", "origin": "floodwarden", "scenario": "guess/1", "scope": "Ip", "type": "ban",
        "value": "203.0.113.7",
    }  # fmt: skip
    network = told(decision_of(action("203.0.113.0/24", kind=ActionKind.CHALLENGE, owner="cli:ann"), scoped=False))
    assert (network["scope"], network["type"], network["origin"]) == ("Range", "captcha", "manual")
    assert told(decision_of(action("::ffff:203.0.113.7"), scoped=False))["value"] == "203.0.113.7"


@pytest.mark.parametrize(
    "narrow",
    [{"route": "/login"}, {"tier": "free"}, {"exempt": exempt_addresses(["192.0.2.1"])}, {"kind": ActionKind.NOTICE},
     {"kind": ActionKind.ALLOW}, {"kind": ActionKind.THROTTLE, "factor": 0.1}, {"of": TargetKind.ROUTE}],
)  # fmt: skip
def test_what_a_bouncer_would_do_to_more_requests_than_meant_is_not_told(narrow: dict[str, Any]) -> None:
    value = "/login" if "of" in narrow else "203.0.113.7"
    assert decision_of(action(value, **narrow), scoped=False) is None


def test_a_denial_on_a_route_is_told_where_the_operator_says_so() -> None:
    assert decision_of(action(route="/login"), scoped=True) is not None
    assert decision_of(action(route="/login", exempt=exempt_addresses(["192.0.2.1"])), scoped=True) is None


_VALUES = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.0/30", "2001:db8::1", "2001:db8::/64"])
_KINDS = st.sampled_from([ActionKind.DENY, ActionKind.CHALLENGE])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _VALUES, _KINDS, st.integers(0, 2)),
        st.tuples(st.just("remove"), _VALUES, _KINDS, st.integers(0, 2)),
        st.tuples(st.just("poll"), st.booleans(), st.just(None), st.just(0)),
    ),
    max_size=60,
)


@given(_STEPS)
def test_a_bouncer_that_never_loses_two_answers_in_a_row_holds_what_stands(steps: list[Any]) -> None:
    book, pulls, puller = Book(), Pulls(), Puller("edge", "127.0.0.1", "custom")
    held: dict[tuple[str, str, str], Decision] = {}
    lost = False

    def poll(*, afresh: bool = False) -> None:
        delta = book.since(pulls.ask(puller, book.position, NOW_MS, afresh=afresh))
        for decision in delta.deleted:
            held.pop((*decision.place, decision.type), None)
        held.update({(*decision.place, decision.type): decision for decision in delta.new})

    poll(afresh=True)
    for what, value, kind, n in steps:
        if what == "poll":
            if value and not lost:
                pulls.ask(puller, book.position, NOW_MS, afresh=False)  # its answer never arrived
                lost = True
                continue
            poll()
            lost = False
        elif what == "put":
            book.put(action(value, kind=kind, n=n))
        else:
            book.remove(action(value, kind=kind, n=n))
    poll()
    assert held == {(*decision.place, decision.type): decision for decision in book.all()}


@given(_STEPS)
def test_what_stands_on_an_address_is_found_by_every_network_it_is_in(steps: list[Any]) -> None:
    book = Book()
    for what, value, kind, n in steps:
        if what == "put":
            book.put(action(value, kind=kind, n=n))
        elif what == "remove":
            book.remove(action(value, kind=kind, n=n))
    for asked in ("192.0.2.1", "192.0.2.3", "192.0.2.9", "2001:db8::1", "2001:db8::9", "192.0.2.0/30", "192.0.2.0/31"):
        network: Any = ip_network(asked)
        alike = [d for d in book.all() if ip_network(d.value).version == network.version]
        covering = {d for d in alike if network.subnet_of(ip_network(d.value))}
        within = {d for d in alike if ip_network(d.value).subnet_of(network)}
        assert set(book.covering(network)) == covering
        assert {d for d in book.within(network) if d} == within


def test_of_two_actions_on_one_address_the_strictest_stands_until_it_ends() -> None:
    book = Book()
    ban, captcha = action(), action(kind=ActionKind.CHALLENGE)
    book.put(captcha)
    book.put(ban)
    assert [d.type for d in book.all()] == ["ban"]
    position = book.position
    book.remove(ban)
    delta = book.since(position)
    assert ([d.type for d in delta.new], [d.type for d in delta.deleted]) == (["captcha"], ["ban"])


def test_a_bouncer_that_slept_through_our_restart_learns_what_ended_meanwhile() -> None:
    lifted = action(status=ActionStatus.LIFTED, ended_ms=NOW_MS - 5_000)
    refused = action("192.0.2.9", status=ActionStatus.REFUSED)
    long_ago = action("192.0.2.8", status=ActionStatus.EXPIRED, ended_ms=NOW_MS - 2 * 86_400_000)
    standing = action("198.51.100.1")
    book, pulls = Book(), Pulls()
    book.put(standing)
    book.recall([lifted, refused, long_ago], NOW_MS)
    delta = book.since(pulls.ask(Puller("edge", "127.0.0.1", "custom"), book.position, NOW_MS, afresh=False))
    assert [d.value for d in delta.new] == ["198.51.100.1"]
    assert [d.value for d in delta.deleted] == ["203.0.113.7"]


def test_the_log_of_changes_and_the_memory_of_bouncers_are_bounded() -> None:
    book, pulls = Book(log_max=10), Pulls()
    book.put(action("192.0.2.1"))
    first = book.position
    coming = action()
    for _ in range(10):
        book.put(coming)
        book.remove(coming)
    delta = book.since(first)
    assert [d.value for d in delta.new] == ["192.0.2.1"]  # too far behind: told all that stands
    assert [d.value for d in delta.deleted] == ["203.0.113.7"]
    for number in range(PULLS_MAX + 5):
        pulls.ask(Puller("edge", f"a{number}", ""), 1, NOW_MS, afresh=True)
    assert len(pulls.seen()) == PULLS_MAX


def test_a_small_network_is_spelt_out_and_a_large_one_is_not() -> None:
    small, large = decision_of(action("192.0.2.0/30"), scoped=False), decision_of(action("10.0.0.0/8"), scoped=False)
    assert small
    assert large
    assert [json.loads(d.encoded(NOW_MS))["value"] for d in expanded(small)] == [f"192.0.2.{n}" for n in range(4)]
    assert list(expanded(large)) == [large]


def test_lists_are_in_the_words_of_who_reads_them() -> None:
    book = Book()
    for value in ("192.0.2.1", "2001:db8::/64"):
        book.put(action(value))
    book.put(action("198.51.100.0/24", kind=ActionKind.CHALLENGE))
    book.put(action("mallory", of=TargetKind.USER))
    assert list(lists.lines("plain", book.all())) == ["192.0.2.1", "2001:db8::/64", "198.51.100.0/24"]
    assert list(lists.lines("nginx-deny", book.all())) == ["deny 192.0.2.1;", "deny 2001:db8::/64;"]
    assert "198.51.100.0/24 captcha;" in list(lists.lines("nginx-geo", book.all()))
    assert "192.0.2.1 ban" in list(lists.lines("haproxy-map", book.all()))
    ipset = list(lists.lines("ipset", book.all()))
    assert "add floodwarden-v4-new 192.0.2.1 -exist" in ipset
    assert "add floodwarden-v6-new 2001:db8::/64 -exist" in ipset
    assert ipset.index("swap floodwarden-v4 floodwarden-v4-new") > ipset.index(
        "add floodwarden-v4-new 192.0.2.1 -exist"
    )


def test_a_network_is_not_told_while_somebody_in_it_is_allowed() -> None:
    book = Book(allowed=[Target(kind=TargetKind.IP, value="198.51.100.9")])
    for value in ("203.0.113.0/24", "203.0.114.0/24", "198.51.100.0/24", "2001:db8::/64", "203.0.113.7"):
        book.put(action(value))
    allow = action("203.0.113.9", kind=ActionKind.ALLOW, owner="cli:ann")
    position = book.position
    book.put(allow)
    assert {d.value for d in book.all()} == {"203.0.114.0/24", "2001:db8::/64", "203.0.113.7"}
    assert [d.value for d in book.since(position).deleted] == ["203.0.113.0/24"]
    assert book.covering(ip_network("203.0.113.8/32")) == []
    book.put(action("203.0.113.0/24", kind=ActionKind.CHALLENGE))
    book.remove(allow)
    assert {d.value: d.type for d in book.all()}["203.0.113.0/24"] == "ban"
