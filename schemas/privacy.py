"""What a text may look like once it leaves a node: secrets masked, lengths bounded. Pure."""

from __future__ import annotations

import re
from typing import Final

from schemas.decision import PATH_BYTES_MAX

MASK: Final = "***"
_SECRET: Final = re.compile(
    r"([?&;](?:[^=&;#]*[_.-])?"
    r"(?:password|passwd|pass|pwd|secret|token|api_?-?key|apikey|key|auth|authorization|credential|credentials"
    r"|signature|sig|session|sessionid|jsessionid|phpsessid|sid|jwt|otp|pin|code|ticket|assertion|access|refresh)"
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
    return cut(path, PATH_BYTES_MAX) or ""


def cut(text: str | None, bytes_max: int) -> str | None:
    """`text` in at most so many bytes of UTF-8, without what UTF-8 cannot say; None when nothing is left."""
    if not text:
        return None
    if len(text) * 4 <= bytes_max and text.isascii():
        return text
    return text.encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore") or None
