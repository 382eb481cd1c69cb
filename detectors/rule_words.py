"""What overflowed, as a finding in plain words: what was counted, what the bucket holds, which signs were borne."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import pour
from detectors.columns import Fact, Finding, Share
from detectors.explain import span
from detectors.hits import Hits
from detectors.rules import Rule, Ruleset, said_ms
from detectors.signatures import Signature

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
_FIRST: Final = ("different", "requests", "bits", "gap_variation")
_SCORE: Final = {"info": 0.5, "low": 0.6, "medium": 0.7, "high": 0.85, "critical": 0.95}


def finding(rules: Ruleset, hits: Hits, at: int, state: I64, shown: tuple[U64, U64], *, known: bool) -> Finding:
    """Of the bucket that row `at` of `hits` overflowed: `state` (`pour`), and the signs and examples it `shown`.

    `known`: its owner has a history.
    """
    rule = rules.rules[int(hits.rule[at])]
    signs = [rules.signs[int(sign)] for sign in shown[0] if int(sign) in rules.signs]
    return Finding(
        kind=int(hits.kind[at]),
        entity=int(hits.entity[at]),
        family=rule.name,
        version=rule.version,
        pane_s=int(state[pour.PANE]),
        at_s=int(hits.pane_s[at]),
        crossed_ms=int(state[pour.CROSSED]),
        crossed_after=int(state[pour.AFTER]),
        first_ms=int(state[pour.FIRST]),
        last_ms=int(hits.last_ms[at]),
        score=_SCORE[rule.severity],
        answer=rule.known if known else rule.answer,
        severity=rule.severity,
        route=int(hits.route[at]) if rule.aimed else 0,
        facts=_facts(rule, state, int(hits.last_ms[at]), signs, known=known),
        contributions=(Share(rule.name, 1.0, 1.0, f"{rule.name}: {rule.fires}"),),
        examples=tuple(int(e) for e in shown[1] if e),
        behaviour=next((s.behaviour for s in signs if s.behaviour), rule.behaviour),
        ids=tuple(dict.fromkeys((*(i for s in signs for i in s.ids), *rule.ids))),
        avoid=rule.avoid,
    )


def _facts(rule: Rule, state: I64, last_ms: int, signs: list[Signature], *, known: bool) -> tuple[Fact, ...]:
    n, distinct = int(state[pour.N]), int(state[pour.DISTINCT])
    count = distinct if rule.distinct else n
    over = span(int(state[pour.FIRST]), last_ms)
    borne = [f"{sign.title}{_ids(sign)}" for sign in signs]
    counted = f"{count:,} {rule.means} in {over}"
    if rule.capacity or not borne:
        facts = [Fact("count", float(count), float(rule.capacity) or None, counted)]
        facts += [Fact("sign", 1.0, None, sign) for sign in borne]
    else:  # one was enough: then what it is says more than how many
        facts = [Fact("sign", 1.0, None, "; ".join(borne))]
        facts += [Fact("count", float(n), None, f"{n:,} such requests in {over}")] if n > 1 else []
    if rule.capacity:
        level = int(state[pour.LEVEL]) / rule.leak_ms
        said = f"{level:.1f} in a bucket for {rule.capacity}, which loses one every {said_ms(rule.leak_ms)}"
        facts.append(Fact("level", level, float(rule.capacity), said))
    if rule.distinct and n > distinct:
        facts.append(Fact("requests", float(n), None, f"{n:,} requests in all"))
    answered = int(state[pour.ANSWERED])
    if rule.signs and answered:
        facts.append(Fact("answered", float(answered), 0.0, f"{answered:,} of {n:,} were answered below 400: look"))
    if known and rule.known != rule.answer:
        facts.append(Fact("known", 1.0, None, f"has a history here: {rule.known} instead of {rule.answer}"))
    return tuple(facts)


def window_facts(rule: Rule, measured: Mapping[str, float]) -> tuple[Fact, ...]:
    """What a rule counted in its window, by measure, and which limits hold; what its words are about comes first."""
    over = said_ms(rule.over_s * 1000)
    facts = []
    order = sorted(rule.when, key=lambda limit: _FIRST.index(limit.measure))
    for limit in order:
        value, bound = measured[limit.measure], limit.above if limit.above is not None else limit.below
        said = _measured(limit.measure, value, rule.distinct)
        if limit is order[0] and limit.measure in ("different", "requests"):
            said = f"{_number(value)} {rule.means} in {over}"
        elif limit is order[0]:
            said = f"{rule.means}: {said} in {over}"
        facts.append(Fact(limit.measure, round(value, 3), bound, f"{said} (limit: {limit.text})"))
    return tuple(facts)


def _measured(measure: str, value: float, distinct: str) -> str:
    return {
        "different": f"{_number(value)} different {distinct}s",
        "requests": f"{_number(value)} requests",
        "bits": f"an entropy of {distinct}s of {value:.2f} bits",
        "gap_variation": f"gaps between requests that vary by {value:.0%}",
    }[measure]


def _number(value: float) -> str:
    return f"{round(value):,}"


def _ids(sign: Signature) -> str:
    return f" ({', '.join(sign.ids)})" if sign.ids else ""
