"""Text that clients may have chosen, made fit for where it is shown. Pure."""

from __future__ import annotations

import html
import unicodedata
from typing import Final

_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, format (also text direction), none


def plain(text: str, chars_max: int) -> str:
    """One line that shows all that is in it, at most so long: what has no shape of its own is spelled out."""
    shown = "".join(_spelled(c) if unicodedata.category(c) in _HIDDEN else c for c in text[: chars_max + 1])
    return shown if len(shown) <= chars_max else shown[: chars_max - 1] + "…"


def slack(text: str, chars_max: int) -> str:
    """For Slack's `mrkdwn`: names nobody, links nowhere, and is not cut within an entity."""
    cut = plain(text, chars_max)
    while len(escaped := cut.translate(_SLACK)) > chars_max:
        cut = cut[: -max(1, (len(escaped) - chars_max) // 5)]
    return escaped


def in_html(text: str, chars_max: int) -> str:
    """For HTML, in text and in attributes."""
    return html.escape(plain(text, chars_max), quote=True)


def _spelled(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
