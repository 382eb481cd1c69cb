"""Conditions on decisions: what a word means is shown by the rows it takes, what is wrong by the words that say so."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import filters
from detectors.filter_file import where
from detectors.filters import FEW, By, holds
from schemas import codec
from schemas.decision import Decision
from schemas.documents import documents
from schemas.errors import FileError
from schemas.reading import At
from stream.decisions import decisions

ROWS = [
    Decision(ts_ms=1_767_571_200_000 + i, verdict=verdict, method=method, route=route, path=path, status=status, ua=ua)
    for i, (verdict, method, route, path, status, ua) in enumerate(
        [
            ("allow", "GET", "/items/{id}", "/items/1", 200, "Mozilla/5.0"),
            ("allow", "POST", "/api/login", "/api/login", 401, None),
            ("limit", "GET", "/search", "/search?q=a%27--", 0, "sqlmap/1.8"),
            ("allow", "GET", None, "/%2e%2e/etc/passwd", 404, "Nikto"),
            ("allow", "PUT", "/items/{id}", None, 503, "curl/8"),
        ]
    )
]


def condition(text: str) -> filters.Filter:
    document = documents(text.encode(), "family.yml")[0]
    return where(At("family.yml", "where", document.tree, document.line))


def taken(text: str) -> list[int]:
    batch = codec.from_rows(ROWS)
    login = np.array([False, True, False, False, False])
    return np.flatnonzero(filters.mask(condition(text), decisions(batch, login))).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("method: [POST, PUT]", [1, 4]),
        ("route: /items/*", [0, 4]),
        ("path: {ends: passwd}", [3]),
        ("path: {begins: '/../'}", [3]),  # as the server reads it
        ("url: {contains: '%2e'}", [3]),
        ("query: {contains: [\"'\", ';']}", [2]),
        ("query: {absent: yes}", [0, 1, 3, 4]),
        ("query: {absent: no}", [2]),
        ("agent: {contains: [SQLMAP, nikto], any_case: yes}", [2, 3]),
        ("agent: {matches: '^curl/[0-9]+$', absent: yes}", [1, 4]),
        ("agent: {matches: '^CURL', any_case: yes}", [4]),
        ("url: {longer_than: 9}", [1, 2, 3]),
        ("path: {begins: /items, ends: '1'}", [0]),
        ("status: [4xx, 500-503]", [1, 3, 4]),
        ("status: unknown", [2]),
        ("login: yes", [1]),
        ("cost: {from: 2}", []),
        ("verdict: limit", [2]),
        ("not: {method: GET}", [1, 4]),
        ("any: [{method: PUT}, {status: 404}]", [3, 4]),
        ("method: GET\nnot: {status: 2xx}", [2, 3]),
        ("country: DE", []),
        ("not: {country: DE}", [0, 1, 2, 3, 4]),
    ],
)
def test_a_condition_takes_the_rows_it_means(text: str, rows: list[int]) -> None:
    assert taken(text) == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pth: /x", r"family.yml:1: where.pth: is not known \(did you mean `path`\?"),
        ("method: GET\nstatus: 9xx", r"family.yml:2: where.status: '9xx' is no status \(401, a class 4xx"),
        ("path: {matches: '(?=a)'}", r"where.path.matches: '\(\?=a\)' is no pattern: look-around"),
        ("path: {matches: 'a('}", "is no pattern: unclosed group"),
        ("agent: {any_case: yes}", r"where.agent: says nothing \(one of is, like"),
        ("agent: {starts: x}", r"where.agent.starts: is not known"),
        ("login: perhaps", r"where.login: 'perhaps' is neither yes nor no"),
        ("latency_ms: {from: 9, to: 2}", "ends before it begins"),
        ("method: []", r"where.method: is empty"),
        ("agent: ''", r"has an empty value \(write it, or `absent: yes`"),
        ("not: {not: {not: {not: {not: {not: {method: GET}}}}}}", "is nested too deep"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_the_fix(text: str, said: str) -> None:
    with pytest.raises(FileError, match=said):
        condition(text)


@given(st.text(min_size=1, max_size=12), st.text(max_size=20))
def test_no_letter_of_a_plain_word_is_taken_for_a_pattern(word: str, text: str) -> None:
    of = pl.Series([text, word + text, text + word])
    for by, expected in (
        (filters.By.BEGINS, [each.startswith(word) for each in of]),
        (filters.By.ENDS, [each.endswith(word) for each in of]),
        (filters.By.CONTAINS, [word in each for each in of]),
    ):
        assert filters.holds((filters.Test(by, (word,)),), of).tolist() == expected


LETTERS = "ab/*.İΣςß\n%é-A"


@settings(max_examples=300, deadline=None)
@given(
    by=st.sampled_from([by for by in By if by not in {By.MATCHES, By.LONGER}]),
    wanted=st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=3),
    texts=st.lists(st.none() | st.text(LETTERS, max_size=8), min_size=1, max_size=20),
    any_case=st.booleans(),
)
def test_few_texts_are_compared_as_many_are(
    by: By, wanted: list[str], texts: list[str | None], *, any_case: bool
) -> None:
    among = (*texts, *wanted)
    few = holds((filters.Test(by, tuple(wanted), any_case),), pl.Series(among, dtype=pl.String))
    many = holds((filters.Test(by, tuple(wanted), any_case),), pl.Series(among * FEW, dtype=pl.String))
    assert many[: len(among)].tolist() == few.tolist()
