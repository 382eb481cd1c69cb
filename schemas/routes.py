"""Which routes take a credential: globs over route templates, judged once per distinct route."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

CACHED: Final = 4_096  # routes by method: of all that a site has
BASIC_AUTH: Final = "#basic-auth"  # ends the route of a request that presented its credential in a header


@lru_cache(CACHED)
def is_login(route: str | None, method: str | None, globs: tuple[str, ...]) -> bool:
    """Whether a request by `method` on `route` presents a credential (POST or PUT on a login route, or in a header)."""
    if route is not None and route.endswith(BASIC_AUTH):
        return True
    if route is None or method not in ("POST", "PUT", None):
        return False
    return any(fnmatchcase(route.lower(), glob.partition("=")[0]) for glob in globs)


def failed_statuses(route: str, globs: tuple[str, ...]) -> frozenset[int]:
    """Statuses that say beside the usual ones that a login on `route` failed: what stands behind its glob.

    >>> sorted(failed_statuses("/wp-login.php", ("*wp-login*=200|403", "*login*")))
    [200, 403]
    """
    for glob in globs:
        name, _, statuses = glob.partition("=")
        if fnmatchcase(route.lower(), name):
            return frozenset(int(status) for status in statuses.split("|") if status)
    return frozenset()
