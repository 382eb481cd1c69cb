"""Prints raises : catch-alls, the figure that best separates code that fails loudly from code that swallows."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOMS = ("schemas", "limiter", "detectors", "stream", "enforcer", "floodwarden")
RATIO_MIN = 4.0


def figures(root: Path) -> tuple[int, int]:
    """Counts of `raise` statements and of handlers that catch everything."""
    raises = catch_alls = 0
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                raises += isinstance(node, ast.Raise)
                if isinstance(node, ast.ExceptHandler):
                    names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {""}
                    catch_alls += bool(names & {"", "Exception", "BaseException"})
    return raises, catch_alls


if __name__ == "__main__":
    raised, caught = figures(Path(__file__).resolve().parent.parent)
    ratio = raised / max(caught, 1)
    sys.stdout.write(f"raises : catch-alls = {raised} : {caught} ({ratio:.1f}; at least {RATIO_MIN:g})\n")
    sys.exit(ratio < RATIO_MIN)
