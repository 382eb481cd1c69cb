"""Families as files: what the built-in ones find beyond the first seven, and what an operator writes himself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows, site, tags_of
from own_families import EXAMPLE, OWN

from detectors import artifact
from detectors.columns import AUTH_FAILED, IP, KEY, OK, USER, Finding, Flows
from detectors.credential import KEYED
from detectors.evidence import Engine
from detectors.family_file import built_in, conditions, with_own
from schemas import codec
from schemas.decision import Decision
from stream.combine import combine
from stream.flows import read

END_S = T0_S + 7200


def found(traffic: Flows, seed: int = 1) -> dict[tuple[int, str], Finding]:
    out: dict[tuple[int, str], Finding] = {}
    for one in Engine(artifact.load()).close(Flows.concat([site(seed), traffic]), END_S):
        out.setdefault((one.entity, one.family), one)
    return out


def key_use(n: int, /, **columns: object) -> Flows:
    """A key that asks for one thing, once a second from the half hour on."""
    return flows(n, kind=KEY, entity=8_001, t_ms=1_800_000 + np.arange(n) * 1000, **columns)


def test_a_key_with_a_new_user_agent_each_time_is_challenged_within_twenty_requests() -> None:
    one = found(key_use(60, agent=70_000 + np.arange(60)))[8_001, "agent"]
    assert one.answer == "challenge"
    assert one.crossed_after < 20


def test_a_key_in_one_network_after_the_other_is_challenged() -> None:
    one = found(key_use(60, ip=90_000 + np.arange(60), asn=64_500 + np.arange(60)))[8_001, "leak"]
    assert one.answer == "challenge"
    assert one.crossed_after < 30


@pytest.mark.parametrize(
    "columns",
    [
        {"ip": 90_000 + np.arange(60), "asn": 64_500},  # a fleet of devices at one provider
        {"ip": 90_000 + np.arange(60), "asn": 64_500 + np.arange(60) % 4},  # that roams between four
        {"ip": 90_000, "asn": 64_500, "agent": 70_000 + np.arange(60) // 25},  # an app that is updated twice
    ],
)
def test_keys_that_move_as_good_ones_do_are_left_alone(columns: dict[str, object]) -> None:
    assert not {family for entity, family in found(key_use(60, **columns)) if entity == 8_001}


def signing_in(accounts: int, every_s: float, outcome: int = 0, tags: int | None = None) -> Flows:
    return flows(
        accounts,
        entity=8_002,
        t_ms=1_800_000 + (np.arange(accounts) * every_s * 1000).astype(np.int64),
        route=LOGIN_ROUTE,
        path=LOGIN_ROUTE,
        user=60_000 + np.arange(accounts),
        outcome=outcome,
        login=True,
        tags=tags_of("fan-out", marked=True) if tags is None else tags,
    )


def address_use(n: int, /, **columns: object) -> Flows:
    """An address that asks for one thing, once a second from the half hour on."""
    return flows(n, entity=8_002, t_ms=1_800_000 + np.arange(n) * 1000, **columns)


def test_an_address_with_another_user_agent_at_each_request_is_challenged() -> None:
    one = found(address_use(60, agent=70_000 + np.arange(60)))[8_002, "disguise"]
    assert one.answer == "challenge"
    assert one.crossed_after < 30


def codes(route: int) -> Flows:
    """One account, whose password fits every ten tries; all else is refused, on a route."""
    n = 120
    fits = np.arange(n) % 10 == 0
    doors = np.where(fits, LOGIN_ROUTE, route)
    outcome = np.where(fits, OK, AUTH_FAILED)
    return address_use(n, user=5_001, login=True, route=doors, path=doors, outcome=outcome)


def test_a_password_that_fits_excuses_what_fails_with_it_and_no_codes_after_it() -> None:
    assert (8_002, "guess") not in found(codes(LOGIN_ROUTE))
    one = found(codes(LOGIN_ROUTE + 1))[8_002, "guess"]
    assert one.answer == "deny"
    assert one.crossed_after < 60


def test_an_address_that_many_share_is_left_alone_however_many_user_agents_there_are() -> None:
    assert (8_002, "disguise") not in found(address_use(300, agent=70_000 + np.arange(300) // 3))


def test_what_an_address_first_comes_with_is_no_change_of_its_user_agent() -> None:
    once = flows(500, entity=100_000 + np.arange(500), t_ms=np.arange(500) * 1000, agent=70_000 + np.arange(500))
    assert not [one for one in found(once).values() if one.family == "disguise"]


@pytest.mark.parametrize("kind", [IP, KEY])
def test_who_asks_for_hardly_anything_but_what_takes_the_servers_long_is_challenged_there(kind: int) -> None:
    slow = replace(address_use(60, tags=tags_of("costly", marked=True), route=55), kind=np.full(60, kind, np.uint8))
    one = found(slow)[8_002, "costly"]
    assert (one.answer, one.route) == ("challenge", 55)
    assert one.crossed_after < 20


def test_now_and_then_a_slow_answer_is_nothing() -> None:
    often = np.arange(300) % 4 == 0
    assert (8_002, "costly") not in found(address_use(300, tags=np.where(often, tags_of("costly", marked=True), 0)))


def posted(status: int, **who: str) -> set[str]:
    """Families of the alerts about somebody whose messages are refused with a status."""
    rows = [
        Decision(ts_ms=(T0_S + 1800 + i * 5) * 1000, verdict="allow", ip="203.0.113.9", method="POST",
                 route="/hooks/payments", path="/hooks/payments", status=status, **who)
        for i in range(40)
    ]  # fmt: skip
    model = artifact.load()
    blocks = combine(
        codec.from_rows(rows), partition=0, start=0, end=40, ts_ms_max=0, usage_partitions=1, login_globs=(),
        conditions=conditions(model.families),
    )  # fmt: skip
    told = Engine(model).close(Flows.concat([site(1), *(read(block.flows) for block in blocks)]), END_S)
    return {one.family for one in told if one.family == "refused"}


def test_messages_refused_for_their_signature_are_told_of_and_an_expired_login_is_not() -> None:
    assert posted(401) == {"refused"}
    assert posted(401, user="installation-7") == set()
    assert posted(401, key_id="key-of-last-year") == set()


def test_an_address_that_signs_in_to_one_account_after_the_other_is_challenged_where_it_signs_in() -> None:
    one = found(signing_in(60, 20))[8_002, "fan-out"]
    assert (one.answer, one.route) == ("challenge", LOGIN_ROUTE)
    assert "signed in to" in one.facts[0].sentence


def test_a_program_that_signs_people_in_with_its_key_is_left_alone() -> None:
    assert (8_002, "fan-out") not in found(signing_in(60, 20, tags=1 << KEYED))


def test_an_office_where_twelve_people_sign_in_within_an_hour_is_left_alone() -> None:
    assert (8_002, "fan-out") not in found(signing_in(12, 300))


def account_tried(addresses: int, outcome: int) -> Flows:
    """One account, from one address after the other, under the account and under each address."""
    of_account = {"route": LOGIN_ROUTE, "path": LOGIN_ROUTE, "user": 5, "outcome": outcome, "login": True}
    ip = 80_000 + np.arange(addresses)
    t_ms = 1_800_000 + np.arange(addresses) * 20_000
    by_ip = flows(addresses, entity=ip, ip=ip, t_ms=t_ms, **of_account)
    return Flows.concat([by_ip, flows(addresses, kind=USER, entity=5, ip=ip, t_ms=t_ms, **of_account)])


def test_an_account_whose_logins_fail_at_one_address_after_the_other_is_challenged_itself() -> None:
    told = found(account_tried(40, AUTH_FAILED))
    one = told[5, "account"]
    assert (one.kind, one.answer) == (USER, "challenge")
    assert not {entity for entity, _ in told if entity >= 80_000}, "one failure each says nothing of the addresses"


def test_an_account_good_at_many_addresses_is_left_alone() -> None:
    assert not found(account_tried(40, 0))


SILENT = """
version: 1
families:
  - name: repeated-logins
    what: logins that repeat without a later success
    about: [ip]
    opportunity: {each: login}
    mark: {same: route}
    usual: 0.15
    enforce: yes
    answer: {ip: challenge}
    severity: high
"""


@pytest.mark.parametrize("between", [0, 1])
def test_where_the_status_says_nothing_logins_that_only_logins_follow_are_found(tmp_path: Path, between: int) -> None:
    """Each login is answered 200; who succeeds goes on to something else."""
    file = tmp_path / "own.yml"
    file.write_text(SILENT)
    login = np.arange(60) % (1 + between) == 0
    route = np.where(login, LOGIN_ROUTE, 3)
    asked = {"route": route, "path": route, "user": np.where(login, 500 + np.arange(60), 0), "login": login}
    traffic = flows(60, entity=8_003, t_ms=1_800_000 + np.arange(60) * 5_000, **asked)
    model = artifact.load(families=with_own(file))
    found = Engine(model).close(Flows.concat([site(1), traffic]), END_S)
    assert (8_003 in {one.entity for one in found if one.family == "repeated-logins"}) == (between == 0)


def test_every_built_in_family_tells_what_it_is_and_what_would_have_avoided_it() -> None:
    for family in built_in():
        assert family.words.what
        assert family.words.avoid
        assert not family.shadow
        assert {*family.answers} == family.about


def shopper(n: int, agent: str, route: str = "/cart/items") -> list[Decision]:
    ts_ms = (T0_S + 1800) * 1000
    return [
        Decision(ts_ms=ts_ms + i * 1000, verdict="allow", ip="203.0.113.9", method="POST", route=route, ua=agent)
        for i in range(n)
    ]


def judged_with_own(tmp_path: Path, text: str, agent: str, route: str = "/cart/items") -> list[Finding]:
    file = tmp_path / "own.yml"
    file.write_text(text)
    model = artifact.load(families=with_own(file))
    [block] = combine(
        codec.from_rows(shopper(30, agent, route)),
        partition=0,
        start=0,
        end=30,
        ts_ms_max=0,
        usage_partitions=1,
        login_globs=(),
        conditions=conditions(model.families),
    )
    return Engine(model).close(read(block.flows), END_S)


def test_an_operators_family_is_in_shadow_and_tells_what_it_would_have_asked_for(tmp_path: Path) -> None:
    told = [one for one in judged_with_own(tmp_path, OWN, "curl/8") if one.family == "scalping"]
    assert told[0].answer == "notice"
    assert told[0].facts[0].sentence.endswith("baskets in 8 s")
    assert told[0].facts[-1].sentence == "in shadow: it would have asked for deny"


def test_once_enforced_it_asks_for_its_answer(tmp_path: Path) -> None:
    told = judged_with_own(tmp_path, OWN + "    enforce: yes\n", "curl/8")
    assert {one.answer for one in told if one.family == "scalping"} == {"deny"}


def test_requests_its_condition_does_not_mean_are_no_evidence(tmp_path: Path) -> None:
    assert not [one for one in judged_with_own(tmp_path, OWN, "Mozilla/5.0") if one.family == "scalping"]


def test_a_model_takes_families_it_was_not_trained_for_as_their_file_states_them(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(OWN)
    shipped, both = artifact.load(), artifact.load(families=with_own(tmp_path / "own.yml"))
    assert both.families[-1].name == "scalping"
    assert np.array_equal(both.h[:, :-1], shipped.h)
    assert both.version != shipped.version
    artifact.save(both, tmp_path / "both.npz")
    assert artifact.load(tmp_path / "both.npz").version == shipped.version, "and lets go of those nobody asks for"


@pytest.mark.parametrize(
    ("agent", "route", "told"),
    [
        ("curl/8", "/cart/items", {"scalping"}),
        ("Mozilla/5.0", "/cart/items", set()),
        ("curl/8", "/api/metrics", set()),  # a mark elsewhere is no mark: `opportunity.where` narrows both
    ],
)
def test_the_example_of_the_page_tells_of_baskets_filled_by_a_tool_and_of_nothing_else(
    tmp_path: Path, agent: str, route: str, told: set[str]
) -> None:
    assert {one.family for one in judged_with_own(tmp_path, EXAMPLE, agent, route)} == told
