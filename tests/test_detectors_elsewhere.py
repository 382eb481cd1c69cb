"""Accounts that turn up where hardly any are; a crowd in one place is told of and left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from detectors_traffic import closed, flows, tags_of

from detectors.artifact import NEVER, defaults
from detectors.columns import ASN, AUTH_FAILED, EVERYBODY, GLOBAL, IP, Finding, Flows
from detectors.evidence import Engine

WARM_S = 2 * 3600
HOMES = np.arange(101, 107)
STRANGE = np.arange(901, 913)


def accounts(
    seed: int, begin_s: int, span_s: int, n: int, at: np.ndarray, *, failed: bool = False, entity: int = 0
) -> Flows:
    """`n` accounts, each signed in at an address of its own (or all at one `entity`) with one of some operators."""
    g = np.random.default_rng(seed)
    user = g.integers(1 << 20, 1 << 60, n)
    t_ms = np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n))
    return flows(
        n,
        entity=entity or user + 1,
        t_ms=t_ms,
        user=user,
        asn=at[np.arange(n) % len(at)],
        login=failed,
        outcome=AUTH_FAILED if failed else 0,
    )


def usual(span_s: int = WARM_S + 2400) -> Flows:
    """Some 150 accounts in ten minutes at six operators."""
    return accounts(1, 0, span_s, span_s // 4, HOMES)


def told(parts: list[Flows], step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    model = defaults()
    engine = Engine(replace(model, h=np.full_like(model.h, NEVER)))  # no family speaks
    traffic = Flows.concat(parts)
    found = closed(engine, traffic, step_s, restart_s)
    return [finding for finding in found if finding.family == "elsewhere"]


def kinds(found: list[Finding]) -> set[tuple[int, int, str]]:
    return {(f.kind, f.entity, f.answer) for f in found}


def test_accounts_at_an_operator_that_has_none_are_told_of_and_nobody_there_is_answered() -> None:
    found = told([usual(), accounts(2, WARM_S, 2400, 24, STRANGE[:1])])
    assert kinds(found) == {(ASN, int(STRANGE[0]), "notice")}
    assert "accounts turned up in this autonomous system" in found[0].facts[0].sentence


def test_a_crowd_at_the_operators_people_come_from_is_nothing_and_a_new_office_only_told_of() -> None:
    assert told([usual(), accounts(3, WARM_S, 1200, 3000, HOMES)]) == []
    office = told([usual(), accounts(4, WARM_S, 1200, 300, STRANGE[:1], entity=7)])
    assert kinds(office) == {(ASN, int(STRANGE[0]), "notice")}


def test_programs_whose_keys_are_refused_at_many_hosters_are_no_accounts() -> None:
    """Partners' builds see to it that a wrong key is refused: it comes with a key, and names no account."""
    tried = accounts(5, WARM_S, 1200, 48, STRANGE, failed=True)
    key = tags_of("key-guess", marked=True)
    refused = replace(tried, tags=np.full(len(tried), key, np.uint64))
    assert told([usual(), tried])
    assert not told([usual(), refused])


def test_accounts_at_many_rare_operators_at_once_are_challenged_and_those_at_home_are_not() -> None:
    for failed in (False, True):
        bots = accounts(5, WARM_S, 2400, 50, STRANGE, failed=failed)
        found = told([usual(), bots])
        assert (GLOBAL, EVERYBODY, "notice") in kinds(found)
        members = [f for f in found if f.kind == IP]
        assert len({f.entity for f in members}) >= 20
        assert {f.entity for f in members} <= set(bots.entity.tolist())
        assert {f.answer for f in members} == {"challenge"}
        assert {f.campaign for f in members} == {(GLOBAL, EVERYBODY)}


def test_two_new_offices_at_once_are_no_spread() -> None:
    found = told([usual(), accounts(6, WARM_S, 2400, 200, STRANGE[:2])])
    assert {f.kind for f in found} == {ASN}


def test_what_is_told_hangs_neither_on_batches_nor_on_a_restart() -> None:
    parts = [usual(), accounts(7, WARM_S, 1200, 60, STRANGE)]
    whole = told(parts)
    assert {f.kind for f in whole} >= {IP, GLOBAL}
    assert told(parts, step_s=37) == whole
    assert told(parts, step_s=200, restart_s=WARM_S + 400) == whole
