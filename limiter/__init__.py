"""Decides about each request and says so: limits, what the enforcer put in force, and a row for every decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limiter.limiter import AsyncLimiter, Limiter

__all__ = ["AsyncLimiter", "Limiter"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from limiter import limiter  # noqa: PLC0415 - whoever imports one module of ours does not pay for all of them

        return getattr(limiter, name)
    raise AttributeError(f"module 'limiter' has no attribute {name!r}")
