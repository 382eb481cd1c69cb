"""What files of families may say, how what is wrong is named, and how families are explained."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from own_families import OWN, PAGE

from detectors.families import Each
from detectors.family_file import WORDS, built_in, load, numbered, parse, with_own
from detectors.filter_words import told as in_words
from floodwarden.errors import CommandError
from floodwarden.family_told import record, source
from schemas.errors import FileError


def test_a_built_in_family_printed_to_copy_from_is_that_family() -> None:
    for family in built_in():
        if family.each is Each.MINUTE:
            with pytest.raises(CommandError, match="cannot be written as a file"):
                source(family.name, family)
            continue
        [copied] = numbered(parse(source(family.name, family).encode(), "copy.yml"))
        [ours] = numbered([family])
        there = {"shadow": False, "words": ours.words}
        assert replace(copied, **there) == ours
        assert replace(copied.words, source="built in") == ours.words


def test_a_family_is_explained_with_its_conditions() -> None:
    told = record(next(family for family in built_in() if family.name == "refused"))
    assert told["where"] == "method is POST, PUT, PATCH or DELETE"
    assert "status 400, 402, 403, 404, 406, 409, 410, 422 or 423" in told["mark"][-1]
    assert "status 401, and there is no key, and there is no user" in told["mark"][-1]
    assert told["group"] == ["route", "asn", "network", "tenant"]
    assert told["on_route"]
    burst = record(next(family for family in built_in() if family.name == "burst"))
    assert "3 or more alike within a second" in burst["mark"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("{route: /cart/*}", "route is like /cart/*"),
        (
            "{agent: {begins: [curl/, python-], any_case: yes}}",
            "agent begins with curl/ or python- in upper or lower case",
        ),
        ("{key: {absent: no}}", "there is a key"),
        ("{key: {absent: yes}}", "there is no key"),
        ("{status: [401, 500-503]}", "status 401 or 500-503"),
        ("{latency_ms: {from: 500}}", "latency_ms 500 and more"),
        ("{not: {country: DE}, login: no}", "not (country is DE), and no login"),
        (
            "{any: [{route: /a}, {path: {ends: .php, longer_than: 9}}]}",
            "(route is /a; or path ends with .php and is longer than 9)",
        ),
    ],
)
def test_a_condition_is_said_in_words(condition: str, words: str) -> None:
    text = OWN.replace("route: /cart/*, method: POST, agent: {begins: curl/}", condition[1:-1])
    [family] = parse(text.encode(), "own.yml")
    assert family.mark.where is not None
    assert in_words(family.mark.where) == words


def test_a_family_that_only_groups_show_needs_a_group(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text(OWN.replace("    usual: 0.01", "    usual: 0.01\n    alone: no"))
    with pytest.raises(FileError, match="alone: says that groups alone find it, and there is no `group`"):
        load(file)


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
    file = as_refused(tmp_path, "    revision: 2\n    q1: 0.85\n    enforce: yes\n")
    with pytest.raises(FileError, match=r"`refused/2` is the built-in one.* .write `revision: 3`"):
        with_own(file)


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
        ("mark: {", "mark: {at_once: 1, ", "mark.at_once: "),
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
        ("mark: {", "mark: {new: path, at_once: 3, ", "mark.at_once: counts like requests, not what is new"),
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
        (
            "each: request}\n    mark: {",
            "each: return}\n    mark: {new: place, ",
            "an address is always in one network .write `about: .key.`",
        ),
    ],
)
def test_a_family_that_could_not_do_what_it_says_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "own.yml"
    assert old in OWN
    file.write_text(OWN.strip().replace(old, new))
    with pytest.raises(FileError, match=said):
        load(file)


def test_every_word_of_a_family_stands_on_the_page() -> None:
    words = set(re.findall(r"`([a-z_0-9]+)", PAGE.partition("## Words")[2])) | {"enforce", "repeated", "usual_per_hour"}
    assert not set(WORDS) - words - {"what"}


def test_oat_by_oat_there_is_a_family_or_a_sentence_why_not() -> None:
    rows = re.findall(r"^\| OAT-(\d{3}) [^|]+ \| ([^|]+) \|", PAGE, re.MULTILINE)
    assert [number for number, _ in rows] == [f"{n:03}" for n in range(1, 22)]
    told = {(f"OAT-{number}", word) for number, told in rows for word in re.findall(r"`([a-z-]+)`", told)}
    said = {(id_, family.name) for family in built_in() for id_ in family.words.owasp}
    without_file = ("cardinality", "influx", "elsewhere", "flood", "guise", "unheard")
    of_families = {(id_, word) for id_, word in told if word not in without_file}
    assert of_families == said, "by page, by alerts"
    assert all("`" in told or told.startswith("not by a decision stream: ") for _, told in rows)
