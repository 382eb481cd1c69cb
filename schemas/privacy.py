"""What a text may look like once it leaves a node: secrets masked, lengths bounded. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from schemas.decision import PATH_BYTES_MAX

MASK: Final = "***"
_SECRET: Final = frozenset({
    "password", "passwd", "pass", "pwd", "secret", "token", "apikey", "key", "auth", "authorization", "credential",
    "credentials", "signature", "sig", "session", "sessionid", "jsessionid", "phpsessid", "sid", "jwt", "otp",
    "pin", "code", "ticket", "assertion", "access", "refresh",
})  # fmt: skip
_NAME: Final = re.compile(r"[?&;]([^=&;#]*)(=?)")  # matches wherever it is tried: time grows with the length, no faster
_PARTS: Final = re.compile(r"[_.-]")
_VALUE_END: Final = re.compile(r"[&;#]")
_USERINFO: Final = re.compile(r"//[^/@?#]*@")
_PERCENT: Final = re.compile(r"%([46-7][0-9a-fA-F]|5[0-9aA]|5[fF])")  # letters and _ in disguise


def masked(path: str) -> str:
    """`path` without the values of query parameters whose names look secret, and at most 512 bytes long."""
    if "?" in path:
        before, _, query = path.partition("?")
        names = _PERCENT.sub(lambda match: chr(int(match[1], 16)), query) if "%" in query else query
        path = before + _without_secrets("?" + names)
    if "@" in path:
        path = _USERINFO.sub(f"//{MASK}@", path)
    return cut(path, PATH_BYTES_MAX) or ""


def _without_secrets(query: str) -> str:
    kept: list[str] = []
    done = 0
    for match in _NAME.finditer(query):
        if match.start() >= done and match[2] and _looks_secret(match[1]):
            kept += (query[done : match.end()], MASK)
            ends = _VALUE_END.search(query, match.end())
            done = ends.start() if ends else len(query)
    return "".join((*kept, query[done:]))


def _looks_secret(name: str) -> bool:
    return any(part.rpartition("?")[2] in _SECRET for part in _PARTS.split(name.lower()))


def cut(text: str | None, bytes_max: int) -> str | None:
    """`text` in at most so many bytes of UTF-8, without what UTF-8 cannot say; None when nothing is left."""
    if not text:
        return None
    if len(text) * 4 <= bytes_max and text.isascii():
        return text
    return text.encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore") or None


def shortened(text: str | None, bytes_max: int) -> str | None:
    """`text` where it fits into so many bytes of UTF-8, else `h-` and its hash: two that differ never become one."""
    if not text or cut(text, bytes_max) == text:
        return text or None
    return "h-" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
