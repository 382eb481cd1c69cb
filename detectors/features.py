"""What the forest looks at: an owner's recent requests as counts that fade, every ten seconds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
HOP_S: Final = 10
TAUS_S: Final = (60.0, 600.0)
HABIT_S: Final = 4 * 3600.0  # over so long an owner's own pace is known
MARKS: Final = (
    "refused",
    "auth_failed",
    "client_error",
    "server_error",
    "login",
    "new_path",
    "new_account",
    "novel_path",
    "same_path",
    "same_route",
    "new_agent",
    "new_address",
    "new_user",
)
COUNTS: Final = ("requests", *MARKS, "gap_s", "gap_s2")
GAP_S_MAX: Final = 60.0  # a longer pause is no gap between requests
WORDS: Final = {
    "refused": "refusals by a limit",
    "auth_failed": "refused credentials",
    "client_error": "client errors",
    "server_error": "server errors",
    "login": "logins",
    "new_path": "paths new to it",
    "new_account": "failures at accounts new to it",
    "novel_path": "paths nobody ever asked for",
    "same_path": "the same path as the request before",
    "same_route": "the same route as the request before",
    "new_agent": "user agents new to it",
    "new_address": "addresses new to it",
    "new_user": "accounts new to it",
}
FEATURES: Final = (
    *(f"requests_{tau:.0f}s" for tau in TAUS_S),
    *(f"regular_{tau:.0f}s" for tau in TAUS_S),
    *(f"{mark}_share_{tau:.0f}s" for mark in MARKS for tau in TAUS_S),
    *(f"{mark}_{tau:.0f}s" for mark in MARKS for tau in TAUS_S),
    "beyond_habit",
    "youth",
)
REQUESTS_MIN: Final = 4.0  # faded requests in ten minutes, before there is anything to look at
_SPAN: Final = {"60s": "minute", "600s": "ten minutes"}


def features(recent: F64, habit: F64, age_s: F64) -> F64:
    """Rows of `FEATURES` from faded counts (rows, count, time constant), requests over hours, and ages."""
    n, marks = recent[:, 0], recent[:, 1 : 1 + len(MARKS)]
    gap_s, gap_s2 = recent[:, -2], recent[:, -1]
    squared = n * gap_s2 / np.maximum(gap_s, 1e-3) ** 2 - 1.0
    regular = n / (n + 5.0) / (0.05 + np.sqrt(np.maximum(squared, 0.0)))
    pace = n[:, 0] / np.minimum(TAUS_S[0], age_s)
    usual = habit / np.minimum(HABIT_S, age_s)
    return np.column_stack(
        [
            np.log1p(n),
            regular,
            (marks / (n[:, None, :] + 2.0)).reshape(len(n), 2 * len(MARKS)),
            np.log1p(marks).reshape(len(n), 2 * len(MARKS)),
            np.log((pace + 0.01) / (usual + 0.01)),
            -np.log1p(age_s),
        ]
    )


def words(feature: str, value: float) -> str:
    """A feature's value as a person reads it."""
    if feature == "beyond_habit":
        return f"the last minute at {np.exp(value):.1f} times its own pace of hours"
    if feature == "youth":
        return f"first seen {np.expm1(-value) / 60:.0f} min ago"
    name, _, span = feature.rpartition("_")
    if name == "regular":
        return f"evenly spaced requests in the last {_SPAN[span]}"
    if name.endswith("_share"):
        return f"{WORDS[name.removesuffix('_share')]}: {_number(100 * value)} % of the last {_SPAN[span]}'s requests"
    what = "requests" if name == "requests" else WORDS[name]
    return f"{what}: {_number(float(np.expm1(value)))} in the last {_SPAN[span]}"


def _number(value: float) -> str:
    """Counts that fade are seldom whole: one digit more of what is small."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
