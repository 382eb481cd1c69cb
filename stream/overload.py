"""The stream's word about itself: that it cannot keep up and samples, how much, and that it is over."""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_128_hexdigest

from schemas.alert import Alert, Answer, Entity, EntityKind, Evidence, Severity, Status
from stream.sampling import LEVEL_MAX, weights

KIND: Final = "overload"
VERSION: Final = 1


def alert(worker: str, level: int, since_ms: int, behind_ms: int, now_ms: int) -> Alert:
    """Sampling began, changed or ended (`level` 0) at `worker`; `since_ms`: when it had begun, 0 when it begins now."""
    began_ms = since_ms or now_ms
    by, behind_s = weights(level), behind_ms / 1000
    status = Status.CLOSED if not level else Status.UPDATE if since_ms else Status.OPEN
    ordinary, others = by.ordinary * by.message, by.marked * by.message
    taken = (
        f"takes 1 of {ordinary} ordinary requests and 1 of {others} others, each with the weight of those it stands "
        "for: windows are estimates, small attacks may be missed. Add workers, partitions or cores"
    )
    said = f"{behind_s:.0f} s behind: {taken}" if level else "no longer behind: every decision counts again"
    return Alert(
        uid=xxh3_128_hexdigest(f"{KIND}:{worker}:{began_ms}".encode()),
        status=status,
        kind=KIND,
        severity=Severity.HIGH,
        answer=Answer.NOTICE,
        entity=Entity(kind=EntityKind.GLOBAL, value="*"),
        first_ms=began_ms,
        last_ms=now_ms,
        crossed_ms=began_ms,
        score=min(1.0, 0.5 + level / (2 * LEVEL_MAX)),
        rule=f"{KIND}/{VERSION}",
        summary=f"stream worker {worker} is {said}",
        evidence=(
            Evidence(name="behind_s", value=behind_s, sentence=f"the oldest decision waits for {behind_s:.0f} s"),
            Evidence(name="one_in", value=float(ordinary), sentence=taken),
        ),
    )


def left(open_: Alert, worker: str, now_ms: int) -> Alert:
    """The end of an alert whose worker is gone, told by the one that took over from it."""
    return open_.model_copy(
        update={
            "status": Status.CLOSED,
            "last_ms": max(now_ms, open_.last_ms),
            "summary": f"the stream worker that could not keep up is gone; {worker} goes on in its place",
        }
    )
