"""Where crawlers come from, as far as anybody knows it: a directory that the stream and the enforcer read alike.

NAME.json, NAME.txt    networks, all of them, as the crawler's operator publishes them
NAME.verified.txt      addresses looked up one by one (`floodwarden rules verify-bots`): it may have others
*.yaml                 crawlers of your own, as detectors/data/rules/bots.yaml declares ours; for the stream alone
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.documents import read
from schemas.errors import FileError
from schemas.ranges import Interval, joined, ranges

VERIFIED: Final = ".verified"
_SETTING: Final = "FLOODWARDEN_BOTS"
_SUFFIXES: Final = (".json", ".txt")
Ranges = Mapping[str, tuple[Interval, ...]]


@dataclass(frozen=True, slots=True)
class Origins:
    """By crawler's name: networks that are all it has, and addresses that are some of them."""

    published: Ranges = field(default_factory=dict)
    verified: Ranges = field(default_factory=dict)

    @property
    def all(self) -> Ranges:
        """Both together."""
        names = {*self.published, *self.verified}
        return {name: joined((*self.published.get(name, ()), *self.verified.get(name, ()))) for name in sorted(names)}


def load(folder: Path | None) -> Origins:
    """What stands in `folder`; nothing where there is none.

    Raises:
        FileError: a file cannot be read, or none of it holds ranges.
    """
    if folder is None:
        return Origins()
    found: tuple[dict[str, list[Interval]], ...] = defaultdict(list), defaultdict(list)
    for path in sorted(folder.glob("*")):
        if path.suffix in _SUFFIXES:
            some = path.stem.endswith(VERIFIED)
            found[some][path.stem.removesuffix(VERIFIED)] += ranges(read(path, _SETTING), str(path))
    if not any(found):
        raise FileError(str(folder), 0, "directory", "holds no ranges", f"googlebot.json; check {_SETTING}")
    published, verified = ({name: joined(some) for name, some in each.items()} for each in found)
    return Origins(published, verified)
