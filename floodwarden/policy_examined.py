"""What a limiter would say of a policy's files, in the enforcer's words: the two programs do not know of each other."""

from __future__ import annotations

import time

from enforcer.policy_plan import Examined, Finding
from limiter import policy_file
from limiter.errors import PolicyError
from limiter.lint import Warned, warnings
from schemas.policies import Files


def examine(files: Files) -> Examined:
    """All that is wrong, and all that is doubtful."""
    found = policy_file.examine(files)
    doubts = [] if found.errors else warnings(found, time.time_ns() // 1_000_000)
    return Examined(
        len(found.limits) + len(found.default),
        tuple(_finding(each) for each in found.errors),
        tuple(_finding(each) for each in doubts),
    )


def _finding(each: PolicyError | Warned) -> Finding:
    return Finding(each.file, each.line, each.field, each.reason, each.fix)
