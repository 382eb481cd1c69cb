"""What an action says for itself. Pure."""

from __future__ import annotations

from typing import Final

from schemas.action import ActionKind
from schemas.alert import Alert

SUMMARY_CHARS_MAX: Final = 500
_DONE: Final = {
    ActionKind.NOTICE: "Noted",
    ActionKind.THROTTLE: "Throttled",
    ActionKind.CHALLENGE: "Challenged",
    ActionKind.DENY: "Denied",
}
_NO_MORE: Final = ", and no more, for "


def done(
    kind: ActionKind, alert: Alert, route: str | None, seconds: int, step: int, milder: str = "", told: str = ""
) -> str:
    """What was done on `route` (None: everywhere) for `seconds` the `step`th time, and why.

    `milder`: why no more; `told`: whom it leaves alone.
    """
    where = f" on {route}" if route else ""
    again = f" (time {step})" if step > 1 else ""
    no_more = f"{_NO_MORE}{milder}" if milder else ""
    but = f", {told}" if told else ""
    return f"{_DONE[kind]}{where} for {length(seconds)}{again}{but}{no_more}: {alert.summary[:SUMMARY_CHARS_MAX]}"


def no_more(reason: str) -> str:
    """Of a reason that `done` made, why no more was done, as a part of a sentence; empty where nothing held it back."""
    _, found, rest = reason.partition(_NO_MORE)
    return f"{found}{rest.partition(': ')[0]}"


def not_done(kind: ActionKind, why: str, alert: Alert, level: int | None = None) -> str:
    """What was not done, and why not; `level` of a brownout that was to be asked for."""
    done = _DONE[kind].lower() if level is None else f"asked for brownout level {level}"
    return f"Not {done}: {why}. {alert.summary[:SUMMARY_CHARS_MAX]}"


def length(seconds: int) -> str:
    """A time in the largest unit that fits: `10 min`, `1.5 h`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole} {unit}" if rest * 10 < size else f"{seconds / size:.1f} {unit}"
    return f"{seconds} s"
