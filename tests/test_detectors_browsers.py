"""Who comes with a browser: by its name, in the bit of a flow, and in what is told of him."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from detectors_traffic import T0_S, brute_force, site

from detectors import artifact, browsers
from detectors.columns import Flows
from detectors.evidence import Engine
from detectors.family_file import built_in, conditions
from floodwarden.simulate.world import BROWSERS
from schemas import codec
from schemas.decision import Decision
from stream import flows as flow_rows
from stream.combine import combine

GUESSER = 9_001
CHROME_ON_IOS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "CriOS/138.0.7204.53 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize("agent", [*BROWSERS, CHROME_ON_IOS])
def test_what_people_have_is_a_browser(agent: str) -> None:
    assert browsers.are(pl.Series([agent])).all()


@pytest.mark.parametrize(
    "agent",
    [
        "curl/8.5.0",
        "",
        "Mozilla/5.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/8.0 TV Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; Storebot/1.0) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36",
    ],
)
def test_what_cannot_answer_is_none(agent: str) -> None:
    assert not browsers.are(pl.Series([agent])).any()


def test_flows_say_who_came_with_a_browser() -> None:
    rows = [
        Decision(ts_ms=1_767_571_200_000, verdict="allow", ip=f"192.0.2.{n}", method="GET", path="/", ua=ua, status=200)
        for n, ua in enumerate([BROWSERS[0], "curl/8.5.0", None], start=1)
    ]
    (block,) = combine(
        codec.from_rows(rows), partition=0, start=0, end=1, ts_ms_max=0, usage_partitions=1, login_globs=(),
        conditions=conditions(built_in()),
    )  # fmt: skip
    tags = flow_rows.read(block.flows).tags
    assert sorted((tags >> np.uint64(browsers.BIT)).tolist()) == [0, 0, 1]


@pytest.mark.parametrize("bit", [1, 0])
def test_a_guesser_is_told_of_with_whether_he_has_a_browser(bit: int) -> None:
    tries = brute_force(4_000, n=20)
    tries = replace(tries, tags=tries.tags | np.uint64(bit << browsers.BIT))
    found = Engine(artifact.load()).close(Flows.concat([site(3), tries]), T0_S + 5400)
    mine = {(one.answer, one.browser) for one in found if one.family == "guess" and one.entity == GUESSER}
    assert mine == {("deny", bool(bit))}
