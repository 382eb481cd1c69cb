"""Families as files: what the built-in ones find beyond the first seven, and what an operator writes himself."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows, site
from servers import ROOT

from detectors import artifact
from detectors.columns import AUTH_FAILED, KEY, USER, Finding, Flows
from detectors.evidence import Engine
from detectors.family_file import WORDS, built_in, conditions, load, with_own
from schemas import codec
from schemas.decision import Decision
from schemas.errors import FileError
from stream.combine import combine
from stream.flows import read

END_S = T0_S + 7200
OWN = """
version: 1
families:
  - name: scalping
    what: baskets filled by a tool
    about: [ip]
    opportunity: {each: request}
    mark: {where: {route: /cart/*, method: POST, agent: {begins: curl/}}}
    usual: 0.01
    answer: {ip: deny}
    severity: high
    sentence: "{marks} baskets in {span}"
    owasp: OAT-005
"""


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


def signing_in(accounts: int, every_s: float, outcome: int = 0) -> Flows:
    return flows(
        accounts,
        entity=8_002,
        t_ms=1_800_000 + (np.arange(accounts) * every_s * 1000).astype(np.int64),
        route=LOGIN_ROUTE,
        path=LOGIN_ROUTE,
        user=60_000 + np.arange(accounts),
        outcome=outcome,
        login=True,
    )


def test_an_address_that_signs_in_to_one_account_after_the_other_is_challenged() -> None:
    one = found(signing_in(60, 20))[8_002, "fan-out"]
    assert one.answer == "challenge"
    assert "signed in to" in one.facts[0].sentence


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


def test_a_family_that_only_groups_show_needs_a_group(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text(OWN.replace("    usual: 0.01", "    usual: 0.01\n    alone: no"))
    with pytest.raises(FileError, match="alone: says that groups alone find it, and there is no `group`"):
        load(file)


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


def as_refused(tmp_path: Path, more: str = "") -> Path:
    file = tmp_path / "own.yml"
    file.write_text(OWN.replace("name: scalping", "name: refused") + more)
    return file


def test_a_family_of_a_built_in_name_is_tried_beside_it(tmp_path: Path) -> None:
    found = {family.name: family for family in with_own(as_refused(tmp_path))}
    assert set(found) == {family.name for family in built_in()} | {"refused-shadow"}
    assert (found["refused"].shadow, found["refused"].words.source) == (False, "built in")
    assert found["refused-shadow"].shadow


def test_and_takes_its_place_once_it_is_enforced(tmp_path: Path) -> None:
    found = with_own(as_refused(tmp_path, "    enforce: yes\n"))
    assert [family.name for family in found] == [family.name for family in built_in()]
    assert {f.words.source for f in found if f.name == "refused"} == {str(tmp_path / "own.yml")}


def test_but_not_under_the_revision_that_models_learned_for_other_marks(tmp_path: Path) -> None:
    file = as_refused(tmp_path, "    q1: 0.85\n    enforce: yes\n")
    with pytest.raises(FileError, match=r"`refused/1` is the built-in one.* .write `revision: 2`"):
        with_own(file)


def test_a_model_takes_families_it_was_not_trained_for_as_their_file_states_them(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(OWN)
    shipped, both = artifact.load(), artifact.load(families=with_own(tmp_path / "own.yml"))
    assert both.families[-1].name == "scalping"
    assert np.array_equal(both.h[:, :-1], shipped.h)
    assert both.version != shipped.version
    artifact.save(both, tmp_path / "both.npz")
    assert artifact.load(tmp_path / "both.npz").version == shipped.version, "and lets go of those nobody asks for"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "each: request",
            "each: reqest",
            r"own.yml:6: file.families\[0\].opportunity.each: 'reqest' is not known here",
        ),
        ("severity: high", "severity: huge", "own.yml:10: .*severity: 'huge' is not known here .one of info, low"),
        ("usual: 0.01", "usual_per_hour: 3", "usual_per_hour: does not fit its null .write `usual`"),
        ("usual: 0.01", "q1: 0.8", "has no `usual` .say what good clients do"),
        ("mark: {", "mark: {new: asn, ", r"mark.new: 'asn' is not known here .*path, agent"),
        ("mark: {", "mark: {new: agent, to: anyone, ", "is only known of paths"),
        ("{marks} baskets", "{baskets} in", r"sentence: \{baskets\} is not known"),
        ("owasp: OAT-005", "owasp: OAT-022", "'OAT-022' is none .an OWASP automated threat"),
        ("agent: {", "rule: x, agent: {", "mark.where: asks for `rule`, which usage is not counted by"),
        ("each: request", "each: minute", "is the forest's own"),
        ("    what: baskets filled by a tool\n", "", "has no `what` .add `what: baskets filled and left`"),
    ],
)
def test_what_is_wrong_with_a_family_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "own.yml"
    assert old in OWN
    file.write_text(OWN.strip().replace(old, new))
    with pytest.raises(FileError, match=said):
        load(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "each: request}",
            "each: credential}",
            r"mark.where: is not looked at: a failed login marks .*opportunity.where",
        ),
        (
            "each: request}\n    mark: {",
            "each: penalty}\n    mark: {outcome: limited, ",
            "mark.where: is not looked at",
        ),
        (
            "request}\n    mark: {where: {route: /cart/*, method: POST, agent: {begins: curl/}}}",
            "credential}\n    mark: {}",
            "mark: is always a failed login .write `mark: {outcome: failed}`",
        ),
        ("about: [ip]", "about: [ip, user]", "about: `user`: an account has only logins .write `each: login`"),
        ("{ip: deny}", "{ip: deny, key: deny}", "answer.key: is an answer to what `about` does not name .add `key`"),
        ("usual: 0.01", "usual: 0.6\n    q1: 0.5", "usual: is not below q1, 0.5"),
        ("each: request", "each: refusal", "refusals are counted by the hour .add `null: rate`"),
        ("mark: {", "mark: {outcome: limited, ", "mark.outcome: never comes of a request .one of ok, failed"),
        ("each: request}", "each: address, outcome: ok}", "opportunity.outcome: is not looked at"),
        ("each: request}", "each: login, outcome: client_error}", "never comes of a login .one of ok, failed"),
        (
            "each: request}\n    mark: {where: {route: /cart/*, method: POST, agent: {begins: curl/}}}",
            "each: request, where: {route: /a}}\n    mark: {where: {route: /a}}",
            "mark: marks every opportunity .say what tells abuse",
        ),
        (
            "each: request}",
            "each: address}\n    control: yes",
            "control: is only known of shares",
        ),
        (
            "usual: 0.01",
            "null: rate\n    usual_per_hour: 5\n    q1: 0.5",
            "q1: is not looked at",
        ),
        (
            "[ip]\n    opportunity: {each: request}\n    mark: {",
            "[user]\n    opportunity: {each: login}\n    mark: {new: user, ",
            "an account is always the same one",
        ),
    ],
)
def test_a_family_that_could_not_do_what_it_says_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "own.yml"
    assert old in OWN
    file.write_text(OWN.strip().replace(old, new))
    with pytest.raises(FileError, match=said):
        load(file)


PAGE = (ROOT / "docs" / "families.md").read_text("utf-8")
EXAMPLE = dedent(PAGE.partition("## Your own\n")[2].partition("\n`FLOODWARDEN_FAMILIES")[0])


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


def test_every_word_of_a_family_stands_on_the_page() -> None:
    words = set(re.findall(r"`([a-z_0-9]+)", PAGE.partition("## Words")[2])) | {"enforce", "repeated", "usual_per_hour"}
    assert not set(WORDS) - words - {"what"}


def test_oat_by_oat_there_is_a_family_or_a_sentence_why_not() -> None:
    rows = re.findall(r"^\| OAT-(\d{3}) [^|]+ \| ([^|]+) \|", PAGE, re.MULTILINE)
    assert [number for number, _ in rows] == [f"{n:03}" for n in range(1, 22)]
    told = {(f"OAT-{number}", word) for number, told in rows for word in re.findall(r"`([a-z-]+)`", told)}
    said = {(id_, family.name) for family in built_in() for id_ in family.words.owasp}
    assert {(id_, word) for id_, word in told if word not in ("cardinality", "influx")} == said, "by page, by alerts"
    assert all("`" in told or told.startswith("not by a decision stream: ") for _, told in rows)
