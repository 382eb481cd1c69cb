"""Who comes with a browser: there may be somebody who can answer a challenge, so he is asked before he is denied.

By the user agent alone, which anybody may write: a program that says it is a browser is stopped by the question. What
says that it is a program, or runs where nobody types, cannot answer and is no browser.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from detectors.filters import By, Every, Filter, Flag, Never, Test, Text, holds

_ENGINE: Final = Test(By.MATCHES, (r"^Mozilla/5\.0 \([^)]*\).* (Firefox|Chrome|CriOS|FxiOS|Safari|Edg)/\d",))
_NOBODY: Final = Test(
    By.MATCHES,
    (
        r"(?i)bot\b|bot[/;_-]|crawl|spider|scan|monitor|preview|fetch|audit|compatible;|https?://",  # says what it is
        r"(?i)headless|phantom|selenium|playwright|puppeteer|lighthouse",  # nobody sits before it
        r"(?i)\bTV\b|SmartTV|Web0S|Tizen|PlayStation|Nintendo|; wv\)",  # nobody types
    ),
)
BIT: Final = 63  # of a flow's `tags`; the families' conditions have those from 0 on
BROWSER: Final[Filter] = Every((Text("agent", (_ENGINE,)), Never(Text("agent", (_NOBODY,)))))
"""Requests whose user agent is a browser's that people use."""


def mostly(tags: NDArray[np.uint64]) -> bool:
    """Whether half or more of the flows with these `tags`, and one at least, came with a browser."""
    return len(tags) > 0 and 2 * int((tags >> np.uint64(BIT)).sum()) >= len(tags)


def are(agents: pl.Series) -> Flag:
    """Which user agents are those of `BROWSER`."""
    found: Flag = holds((_ENGINE,), agents) & ~holds((_NOBODY,), agents)
    return found
