"""(method, path) -> route template. Pure; its memory has a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from limiter.policy import Scope
from schemas.templates import Templates

PATH_CHARS_MAX: Final = 2048


@dataclass(slots=True)
class _Branch:
    literals: dict[str, _Branch] = field(default_factory=dict)
    parameter: _Branch | None = None
    here: dict[str, str] = field(default_factory=dict)  # method ("" = any) -> template
    rest: dict[str, str] = field(default_factory=dict)  # the same for a template that ends in /*


def segments(path: str) -> list[str]:
    """The segments of a request's path: no query, decoded once, empty and dot segments resolved as a server does."""
    path = path[:PATH_CHARS_MAX].partition("?")[0].partition("#")[0]
    if "%" in path:
        path = unquote(path)
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if found:
                found.pop()
        elif part not in ("", "."):
            found.append(part)
    return found


class Routes:
    """(method, path) -> route template: known ones by a trie, literals before parameters before `/*`.

    Paths that fit none get the template that a log's reader would give them (`schemas.templates`), bounded in number.
    """

    def __init__(self, scopes: Iterable[Scope], breathe: Callable[[], None] = lambda: None) -> None:
        self._root = _Branch()
        self._generic = Templates()
        for scope in scopes:
            breathe()
            if scope.route.startswith("/") and "*" not in scope.route.removesuffix("/*"):
                self._add(scope.route, scope.methods)

    def _add(self, template: str, methods: frozenset[str]) -> None:
        branch = self._root
        for part in segments(template.removesuffix("/*")):
            if part.startswith("{") and part.endswith("}"):
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
            else:
                branch = branch.literals.setdefault(part, _Branch())
        ends = branch.rest if template.endswith("/*") else branch.here
        for method in methods or {""}:
            ends.setdefault(method, template)

    def match(self, method: str, path: str) -> str:
        """The template of a request; total, and bounded whatever is asked for."""
        parts = segments(path)
        return _find(self._root, parts, 0, method) or self._generic("/" + "/".join(parts))


def _find(branch: _Branch, parts: list[str], at: int, method: str) -> str | None:
    if at == len(parts):
        found = branch.here.get(method) or branch.here.get("")
    else:
        literal = branch.literals.get(parts[at])
        found = _find(literal, parts, at + 1, method) if literal else None
        if found is None and branch.parameter:
            found = _find(branch.parameter, parts, at + 1, method)
    return found or branch.rest.get(method) or branch.rest.get("")
