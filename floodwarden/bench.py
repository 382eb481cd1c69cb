"""Runs the benchmarks of the repository (tests/bench/*.py), found by path: they are not part of the package.

A benchmark is a module with a docstring and `run()`, which returns one object: `name unit ours peers{name: figure}
limit ratios{name: ratio} machine`. Its name is its file name.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from floodwarden.cli_output import table
from floodwarden.errors import CommandError

DIRECTORY: Final = Path(__file__).resolve().parent.parent / "tests" / "bench"


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: where it is and the first line of what it says about itself."""

    name: str
    path: Path
    about: str

    def run(self) -> dict[str, Any]:
        """Import the module and measure."""
        spec = importlib.util.spec_from_file_location(f"floodwarden_bench_{self.path.stem}", self.path)
        if spec is None or spec.loader is None:
            raise CommandError(f"{self.path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        sys.path += [str(DIRECTORY), str(DIRECTORY.parent)]  # last: a benchmark may have the name of a room
        spec.loader.exec_module(module)
        result = dict(module.run())
        result.setdefault("name", self.name)
        result.setdefault("machine", machine())
        return result


def find(directory: Path = DIRECTORY) -> dict[str, Bench]:
    """Benchmarks by name, found without running any code of theirs.

    Raises:
        CommandError: this is no checkout of the repository.
    """
    if not directory.is_dir():
        raise CommandError("benchmarks are in the repository, not in the package: run this in a checkout (tests/bench)")
    found: dict[str, Bench] = {}
    for path in sorted(directory.glob("*.py")):
        code = ast.parse(path.read_text("utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in code.body):
            found[path.stem] = Bench(path.stem, path, (ast.get_docstring(code) or "").partition("\n")[0])
    return found


def machine() -> str:
    """Where it was measured, in a line."""
    return f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def show(result: Mapping[str, Any], console: Console) -> None:
    """A result for people."""
    unit = result.get("unit", "")
    console.print(f"{result['name']}: {_number(result.get('ours'))} {unit}")
    peers, ratios = result.get("peers", {}), result.get("ratios", {})
    rows = [(name, _number(figure), f"{ratios[name]:.2f}x" if name in ratios else "") for name, figure in peers.items()]
    table(("peer", unit, "ratio"), rows, "no peers in this one")


def _number(value: object) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, int | float)
        else str(value)
    )
