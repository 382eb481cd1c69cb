"""The families in force, and as they would be with those of a file enforced: numbered so that the same flows do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from detectors.families import Families, Family
from detectors.family_file import SHADOW, load, merged, numbered, with_own
from detectors.filters import Filter


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sets of families; a bit of a flow's `tags` means the same condition to both."""

    live: Families
    tried: Families
    names: tuple[str, ...]
    """The families that the file has."""

    @property
    def both(self) -> Families:
        """All whose conditions flows are to carry."""
        return (*self.live, *self.tried)

    def in_force(self, name: str) -> Family | None:
        """What the file's family of that name would take the place of."""
        return next((family for family in self.live if family.name == name), None)


def pair(own: Path | None, file: Path) -> Pair:
    """The families that `own` gives (`family_file.with_own`), and with those of `file` in their place or beside them.

    What the file has is taken as enforced. An own one in shadow of a built-in name that the file has as well is left
    out of both: the built-in one is in force.

    Raises:
        FileError: a file cannot be taken.
    """
    new = [replace(family, shadow=False) for family in load(file)]
    names = tuple(family.name for family in new)
    kept = [family for family in load(own) if family.name not in names] if own is not None else []
    shadows = {f"{name}{SHADOW}" for name in names}
    tags: list[Filter] = []
    live = numbered([family for family in with_own(own) if family.name not in shadows], tags)
    return Pair(live, numbered(merged([*kept, *new], str(file)), tags), names)
