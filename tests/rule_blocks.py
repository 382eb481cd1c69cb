"""Decisions as blocks of usage with the hits of rules."""

from __future__ import annotations

from collections.abc import Sequence

from schemas import codec
from schemas.decision import Decision
from schemas.usage import Block
from stream import rule_source
from stream.combine import combine
from stream.plan import Plan

PLAN = rule_source.shipped()


def blocks(rows: Sequence[Decision], plan: Plan = PLAN, size: int = 1000) -> list[Block]:
    """One block for each `size` rows."""
    return [
        combine(
            codec.from_rows(rows[at : at + size]), partition=0, start=at, end=min(at + size, len(rows)), ts_ms_max=0,
            usage_partitions=1, login_globs=("/login",), plan=plan,
        )[0]
        for at in range(0, len(rows), size)
    ]  # fmt: skip
