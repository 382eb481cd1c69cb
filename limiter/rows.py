"""A request and its answer as a row of `decisions`: secrets masked, texts cut. Pure."""

from __future__ import annotations

import msgspec

from limiter.attributes import asn_of
from limiter.verdict import Answer, Request
from schemas.decision import TEXT_BYTES_MAX, Decision
from schemas.privacy import cut, masked


def row(request: Request, answer: Answer, ts_ms: int, node: str) -> Decision:
    """What `decisions` says of a request answered at `ts_ms`; the upstream's part is added by `completed`."""
    identity, attributes = request.identity, request.attributes
    # Python calls with more than 15 named arguments by way of a dictionary, which takes five times as long.
    told = Decision(
        ts_ms=ts_ms,
        verdict=answer.verdict,
        node=node,
        tenant=identity.tenant,
        ip=identity.ip,
        user=identity.user,
        key_id=identity.key_id,
        method=cut(request.method.upper(), 16),
        route=cut(answer.route, TEXT_BYTES_MAX),
        path=masked(request.path),
        rule=answer.rule,
        tier=answer.tier,
        cost=answer.cost,
        ua=request.ua,
    )
    if answer.shadow is None and not attributes:
        return told
    return msgspec.structs.replace(
        told,
        shadow=answer.shadow,
        shadow_rule=answer.shadow_rule,
        country=attributes.get("country") if attributes else None,
        asn=asn_of(attributes),
    )


def completed(decision: Decision, status: int, latency_ms: float) -> Decision:
    """`decision` with what the upstream said."""
    return msgspec.structs.replace(decision, status=status, latency_ms=latency_ms)


def cleaned(decision: Decision) -> Decision:
    """A row from elsewhere as we would have written it: path and referer masked and cut."""
    if decision.referer is not None:
        decision = msgspec.structs.replace(decision, referer=masked(decision.referer) or None)
    if decision.path is None:
        return decision
    path = masked(decision.path)
    return decision if path == decision.path else msgspec.structs.replace(decision, path=path, path_hash=None)
