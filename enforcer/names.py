"""What actions and their owners are called. Pure."""

from __future__ import annotations

from typing import Final

import xxhash

AUTO: Final = "auto"
PEOPLE: Final = ("cli:", "api:")  # what begins the names of those who asked


def uid(*parts: str) -> str:
    """The name of what these are: the same for the same."""
    return str(xxhash.xxh3_128_hexdigest("\0".join(parts).encode("utf-8", "surrogatepass")))
