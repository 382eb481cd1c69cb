"""An attacker whose login an answer stopped has no session: what he did signed in does not come."""

from __future__ import annotations

import numpy as np

from floodwarden.effects import Effect
from floodwarden.formats_trace import Labelled
from floodwarden.sessions import Sessions
from schemas import codec
from schemas.decision import Decision

T0 = 1_767_571_200_000
ATTACK = "attack/takeover/weak/1"
GLOBS = ("*/login",)
IP = "203.0.113.7"


def slice_of(*rows: tuple[str, str | None], label: str = ATTACK) -> Labelled:
    """Rows of (route, account) of one address, a second apart."""
    made = [
        Decision(ts_ms=T0 + 1000 * n, verdict="allow", ip=IP, method="POST", route=route, user=user)
        for n, (route, user) in enumerate(rows)
    ]
    return Labelled(codec.from_rows(made), np.array([label] * len(rows), object))


def effects(*each: Effect) -> np.ndarray:
    return np.array(each, np.int8)


def test_what_follows_a_stopped_login_is_stopped_and_another_accounts_is_not() -> None:
    part = slice_of(("/login", "a"), ("/account", "a"), ("/account", "b"), ("/items", None))
    done, _ = Sessions(GLOBS).after(part, effects(Effect.CHALLENGED, *[Effect.NONE] * 3))
    assert done.tolist() == [Effect.CHALLENGED, Effect.CHALLENGED, Effect.NONE, Effect.NONE]


def test_it_holds_from_slice_to_slice_until_a_login_passes() -> None:
    kept = Sessions(GLOBS)
    for _ in range(2):  # asked again before it is taken, it says the same
        _, news = kept.after(slice_of(("/login", "a")), effects(Effect.DENIED))
    kept.take(news)
    later = slice_of(("/orders", "a"), ("/login", "a"), ("/orders", "a"))
    done, news = kept.after(later, effects(*[Effect.NONE] * 3))
    assert done.tolist() == [Effect.DENIED, Effect.NONE, Effect.NONE]
    kept.take(news)
    done, _ = kept.after(slice_of(("/orders", "a")), effects(Effect.NONE))
    assert done.tolist() == [Effect.NONE]


def test_a_code_sent_after_a_stopped_login_gives_no_session() -> None:
    part = slice_of(("/login", "a"), ("/verify/login", "a"), ("/account", "a"))
    done, _ = Sessions(GLOBS).after(part, effects(Effect.CHALLENGED, Effect.NONE, Effect.NONE))
    assert done.tolist() == [Effect.CHALLENGED, Effect.NONE, Effect.CHALLENGED]


def test_who_means_well_passes_a_challenge_and_has_his_session() -> None:
    part = slice_of(("/login", "a"), ("/account", "a"), label="benign/new_office")
    done, news = Sessions(GLOBS).after(part, effects(Effect.CHALLENGED, Effect.NONE))
    assert done.tolist() == [Effect.CHALLENGED, Effect.NONE]
    assert not news
