"""A request and its answer as a row of `decisions`: secrets masked, texts cut. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from limiter.identity import cut
from limiter.verdict import Answer, Request
from schemas.decision import PATH_BYTES_MAX, TEXT_BYTES_MAX, Decision

MASK: Final = "***"
_SECRET: Final = re.compile(
    r"([?&;](?:[^=&;#]*[_.-])?"
    r"(?:password|passwd|pass|pwd|secret|token|api_?-?key|apikey|key|auth|authorization|credential|credentials"
    r"|signature|sig|session|sessionid|sid|jwt|otp|pin|code|ticket|assertion|access|refresh)"
    r"(?:[_.-][^=&;#]*)?=)[^&;#]*",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"//[^/@?#]*@")
_PERCENT: Final = re.compile(r"%([46-7][0-9a-fA-F]|5[0-9aA]|5[fF])")  # letters and _ in disguise


def masked(path: str) -> str:
    """`path` without the values of query parameters whose names look secret, and at most 512 bytes long."""
    if "?" in path:
        before, _, query = path.partition("?")
        names = _PERCENT.sub(lambda match: chr(int(match[1], 16)), query) if "%" in query else query
        path = before + _SECRET.sub(rf"\g<1>{MASK}", "?" + names)
    if "@" in path:
        path = _USERINFO.sub(f"//{MASK}@", path)
    return cut(path, PATH_BYTES_MAX) or "/"


def row(request: Request, answer: Answer, ts_ms: int, node: str) -> Decision:
    """What `decisions` says of a request answered at `ts_ms`; the upstream's part is added by `completed`."""
    identity = request.identity
    return Decision(
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


def completed(decision: Decision, status: int, latency_ms: float) -> Decision:
    """`decision` with what the upstream said."""
    return msgspec.structs.replace(decision, status=status, latency_ms=latency_ms)


def cleaned(decision: Decision) -> Decision:
    """A row from elsewhere as we would have written it: path masked and cut."""
    if decision.path is None:
        return decision
    path = masked(decision.path)
    return decision if path == decision.path else msgspec.structs.replace(decision, path=path, path_hash=None)
