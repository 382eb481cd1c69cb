"""Keys of bouncers, as settings have them: `NAME=KEY`, comma separated. Held as digests."""

from __future__ import annotations

import hashlib
from typing import Final

from schemas.errors import SettingsError

CHARS_MIN: Final = 16


class Keys:
    """Whose key a text is. Digests are compared, so the time it takes tells nothing about a key."""

    def __init__(self, text: str, setting: str) -> None:
        """Keys from `text`; `setting` is what an error names.

        Raises:
            SettingsError: an entry is no `NAME=KEY`, or a key is too short; never shows a key.
        """
        self._names: dict[bytes, str] = {}
        for number, entry in enumerate((part for part in text.split(",") if part.strip()), 1):
            name, equals, key = entry.strip().partition("=")
            if not name or not equals or len(key) < CHARS_MIN:
                why = f"entry {number} is no NAME=KEY with a key of at least {CHARS_MIN} characters"
                raise SettingsError(f"{setting}: {why}; make one with `openssl rand -hex 16`")
            self._names[_digest(key)] = name

    def name_of(self, key: str) -> str | None:
        """The bouncer whose key it is; None: nobody's."""
        return self._names.get(_digest(key)) if key else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
