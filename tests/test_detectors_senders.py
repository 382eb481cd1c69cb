"""Machines that send are not asked: another address of one that is known, a key that writes where it always wrote."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import closed, flows, shop, site, tags_of

from detectors import artifact
from detectors.columns import CLIENT_ERROR, KEY, OK, Finding, Flows
from detectors.evidence import Engine

HOOK = 512
PROVIDER, ELSEWHERE = 7_001, 7_002  # networks
SENT, REFUSED = (tags_of("refused", marked=marked) | tags_of("focus", marked=True) for marked in (False, True))
SPAN_S = 10_800
BEGINS_S = 7200


def messages(entity: int, begin_s: float, n: int, every_ms: int, refused: float, network: int = PROVIDER) -> Flows:
    """Messages that a machine posts, of which a share is refused."""
    bad = np.random.default_rng(entity).random(n) < refused
    return flows(
        n, entity=entity, network=network, t_ms=int(begin_s * 1000) + np.arange(n) * every_ms, route=HOOK, path=HOOK,
        outcome=np.where(bad, CLIENT_ERROR, OK), tags=np.where(bad, REFUSED, SENT),
    )  # fmt: skip


def told(*parts: Flows, of: int, step_s: int = SPAN_S) -> list[Finding]:
    """What is told of an address for what it was refused, beside a provider that has sent all day."""
    usual = messages(8_001, 0, SPAN_S // 12, 12_000, 0.0)
    found = closed(Engine(artifact.load()), Flows.concat([shop(3), usual, *parts]), step_s)
    return [one for one in found if one.family == "refused" and one.kind == 0 and one.entity == of]


@pytest.mark.parametrize("step_s", [SPAN_S, 30])
def test_another_machine_of_a_known_provider_is_told_of_for_messages_that_are_known(step_s: int) -> None:
    found = told(messages(8_002, BEGINS_S, 600, 700, 0.75), of=8_002, step_s=step_s)
    assert {one.answer for one in found} == {"notice"}
    assert any("sends its messages here from the same network" in fact.sentence for fact in found[0].facts)


def test_who_posts_what_the_provider_would_from_elsewhere_is_challenged() -> None:
    found = told(messages(8_003, BEGINS_S, 600, 700, 0.75, ELSEWHERE), of=8_003)
    assert {one.answer for one in found} == {"challenge"}


def test_who_asked_for_anything_else_is_no_such_machine() -> None:
    """He is a neighbour who shops, or who looked round before."""
    looked = flows(1, entity=8_004, network=PROVIDER, t_ms=(BEGINS_S - 60) * 1000, route=1, path=1001)
    found = told(looked, messages(8_004, BEGINS_S, 600, 700, 0.75), of=8_004)
    assert {one.answer for one in found} == {"challenge"}


def test_a_neighbour_who_shops_makes_nobody_known() -> None:
    shopped = flows(
        400, entity=8_005, network=ELSEWHERE, t_ms=np.arange(400) * 15_000, route=1, path=1000 + np.arange(400) % 9
    )
    posted = messages(8_005, 100, 300, 20_000, 0.0, ELSEWHERE)
    found = told(shopped, posted, messages(8_006, BEGINS_S, 600, 700, 0.75, ELSEWHERE), of=8_006)
    assert {one.answer for one in found} == {"challenge"}


PARTNER = 8_100
STOCK, OTHER = 601, 602


def writes(
    begin_s: float, n: int, every_ms: int, *, route: int = STOCK, read: bool = False, refused: float = 0.0
) -> Flows:
    """A partner's key that writes thing after thing, or reads them; of what it writes a share is refused."""
    g = np.random.default_rng(int(begin_s))
    bad = np.diff(np.floor(np.arange(n + 1) * refused)) > 0  # evenly
    return flows(
        n, kind=KEY, entity=PARTNER, t_ms=int(begin_s * 1000) + np.arange(n) * every_ms, route=route,
        path=5_000_000 + route * 1_000_000 + g.integers(0, 100_000, n), outcome=np.where(bad, CLIENT_ERROR, OK),
        tags=0 if read else np.where(bad, REFUSED, SENT),
    )  # fmt: skip


def walked(*parts: Flows, step_s: int = SPAN_S, family: str = "sweep") -> list[Finding]:
    """What is told of the partner's key, which asks for its orders' page, too, and writes now and then."""
    page = flows(700, kind=KEY, entity=PARTNER, t_ms=np.arange(700) * 15_000, route=603, path=603)
    everybody = Flows.concat([site(3, span_s=SPAN_S), page, writes(0, 500, 20_000), *parts])
    found = closed(Engine(artifact.load()), everybody, step_s)
    return [one for one in found if one.family == family and one.kind == KEY and one.entity == PARTNER]


@pytest.mark.parametrize("step_s", [SPAN_S, 30])
def test_a_key_that_hands_in_what_waited_where_it_always_writes_is_told_of(step_s: int) -> None:
    found = walked(writes(8000, 2400, 250), step_s=step_s)
    assert {one.answer for one in found} == {"notice"}
    assert any("writes where it wrote in the hour before" in fact.sentence for fact in found[0].facts)


@pytest.mark.parametrize("how", [{"route": OTHER}, {"read": True}])
def test_a_key_that_writes_where_it_never_did_or_reads_is_challenged(how: dict[str, int]) -> None:
    answers = [one.answer for one in walked(writes(8000, 2400, 250, **how))]
    assert answers.count("challenge") > 0.9 * len(
        answers
    )  # in a second in which it only wrote what it always does: not


@pytest.mark.parametrize(("refused", "answer"), [(0.67, "notice"), (0.98, "throttle")])
def test_what_is_refused_of_it_holds_it_back_where_hardly_anything_is_taken(refused: float, answer: str) -> None:
    found = walked(writes(8000, 2400, 250, refused=refused), family="refused")
    assert {one.answer for one in found} == {answer}
