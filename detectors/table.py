"""Columns of equal length as one value: some rows of it, and its way into a snapshot and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray


class Table:
    """What a dataclass whose fields are all arrays of one length inherits."""

    __slots__ = ()

    def take(self, at: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """The given rows."""
        return type(self)(*(getattr(self, f.name)[at] for f in fields(cast("Any", self))))

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """A copy of it under names that begin with `name`."""
        return {f"{name}.{f.name}": getattr(self, f.name).copy() for f in fields(cast("Any", self))}

    @classmethod
    def restored(cls, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """What `arrays` gave, as arrays of its own."""
        return cls(*(arrays[f"{name}.{f.name}"].copy() for f in fields(cast("Any", cls))))
