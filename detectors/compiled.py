"""Loops as machine code, by numba: compiled at first use, kept beside the source or in `NUMBA_CACHE_DIR` after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Call = TypeVar("Call", bound=Callable[..., Any])


def compiled(function: Call) -> Call:
    """`function` as machine code, which holds no lock of the interpreter.

    Where nothing may be written it is compiled anew in each process.
    """
    try:
        return cast("Call", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place for the cache
        return cast("Call", numba.njit(nogil=True)(function))
