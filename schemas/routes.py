"""Which routes take a credential: globs over route templates, judged once per distinct route."""

from __future__ import annotations

from fnmatch import fnmatchcase


def is_login(route: str | None, method: str | None, globs: tuple[str, ...]) -> bool:
    """Whether a request by `method` on `route` presents a credential (POST or PUT on a login route)."""
    if route is None or method not in ("POST", "PUT", None):
        return False
    return any(fnmatchcase(route.lower(), glob) for glob in globs)
