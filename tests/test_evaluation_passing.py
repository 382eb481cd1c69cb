"""Good clients who are challenged: a browser is asked once in ten minutes, a program gets nothing until it ends."""

from __future__ import annotations

import numpy as np

from floodwarden.effects import Effect
from floodwarden.formats_trace import Labelled
from floodwarden.passing import CLEARED_MS, Passing
from floodwarden.simulate.world import BROWSERS
from schemas import codec
from schemas.decision import Decision

T0 = 1_767_571_200_000
BROWSER, OTHER = BROWSERS[:2]
ASKED, NONE, BARRED = Effect.CHALLENGED, Effect.NONE, Effect.BARRED


def slice_of(*rows: tuple[int, str | None], label: str = "benign/new_office", ip: str = "203.0.113.7") -> Labelled:
    """Rows of (milliseconds, user agent) of one address."""
    made = [Decision(ts_ms=T0 + at, verdict="allow", ip=ip, method="GET", route="/", ua=ua) for at, ua in rows]
    return Labelled(codec.from_rows(made), np.array([label] * len(rows), object))


def challenged(n: int) -> np.ndarray:
    return np.full(n, Effect.CHALLENGED, np.int8)


def test_a_browser_is_asked_once_in_ten_minutes() -> None:
    part = slice_of((0, BROWSER), (1000, BROWSER), (CLEARED_MS - 1, BROWSER), (CLEARED_MS, BROWSER))
    done, news = Passing().after(part, challenged(4))
    assert done.tolist() == [ASKED, NONE, NONE, ASKED]
    assert list(news.values()) == [T0 + CLEARED_MS]


def test_it_holds_from_slice_to_slice_once_it_is_taken_and_says_the_same_when_asked_again() -> None:
    passing, part = Passing(), slice_of((0, BROWSER), (5, BROWSER))
    assert passing.after(part, challenged(2))[0].tolist() == [ASKED, NONE]
    done, news = passing.after(part, challenged(2))
    assert done.tolist() == [ASKED, NONE]
    passing.take(news)
    assert passing.after(slice_of((10_000, BROWSER)), challenged(1))[0].tolist() == [NONE]


def test_each_of_those_behind_one_address_is_asked_himself() -> None:
    assert Passing().after(slice_of((0, BROWSER), (1, OTHER)), challenged(2))[0].tolist() == [ASKED, ASKED]


def test_a_program_and_who_names_nothing_are_barred() -> None:
    part = slice_of((0, "curl/8.5.0"), (1, None), (2, BROWSER), (3, "Mozilla/5.0 (compatible; Bingbot/2.0)"))
    assert Passing().after(part, challenged(4))[0].tolist() == [BARRED, BARRED, ASKED, BARRED]


def test_attackers_and_other_answers_stay_as_they_are() -> None:
    assert Passing().after(slice_of((0, BROWSER), (1, BROWSER), label="attack/x/weak/1"), challenged(2))[1] == {}
    effects = np.array([Effect.DENIED, Effect.THROTTLED, Effect.NONE], np.int8)
    done, news = Passing().after(slice_of((0, "curl/8"), (1, BROWSER), (2, BROWSER)), effects)
    assert (done.tolist(), news) == (effects.tolist(), {})
