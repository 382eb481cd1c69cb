"""What the forest looks at: an owner's recent requests as counts that fade, every ten seconds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
HOP_S: Final = 10
TAUS_S: Final = (60.0, 600.0)
COUNTS: Final = (
    "requests",
    "refused",
    "auth_failed",
    "client_error",
    "server_error",
    "login",
    "new_path",
    "new_account",
)
MARKS: Final = COUNTS[1:]
WORDS: Final = {
    "requests": "requests",
    "refused": "refusals by a limit",
    "auth_failed": "refused credentials",
    "client_error": "client errors",
    "server_error": "server errors",
    "login": "logins",
    "new_path": "paths new to it",
    "new_account": "failures at accounts new to it",
}
FEATURES: Final = (
    "requests_60s",
    "requests_600s",
    "burst",
    *(f"{mark}_share_60s" for mark in MARKS),
    *(f"{mark}_600s" for mark in MARKS),
)
REQUESTS_MIN: Final = 4.0  # faded requests in ten minutes, before there is anything to look at


def features(recent: F64) -> F64:
    """Rows of `FEATURES` from faded counts (rows, count, time constant)."""
    n60, n600 = recent[:, 0, 0], recent[:, 0, 1]
    burst = np.log((n60 / TAUS_S[0] + 0.01) / (n600 / TAUS_S[1] + 0.01))
    shares = recent[:, 1:, 0] / (n60[:, None] + 2.0)
    return np.column_stack([np.log1p(n60), np.log1p(n600), burst, shares, np.log1p(recent[:, 1:, 1])])


def words(feature: str, value: float) -> str:
    """A feature's value as a person reads it."""
    for mark in MARKS:
        if feature == f"{mark}_share_60s":
            return f"{WORDS[mark]}: {100 * value:.0f} % of the last minute's requests"
        if feature == f"{mark}_600s":
            return f"{WORDS[mark]}: {np.expm1(value):.0f} in the last ten minutes"
    if feature == "burst":
        return f"the last minute at {np.exp(value):.1f} times the pace of the last ten"
    return f"requests: {np.expm1(value):.0f} in the last {'minute' if feature == 'requests_60s' else 'ten minutes'}"
