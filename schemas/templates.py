"""Paths of a log or a gateway that knows no routes: a bounded template for each."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

STATIC: Final = frozenset(
    "css js mjs map png jpg jpeg gif svg ico webp avif bmp xbm woff woff2 ttf eot otf mp4 webm mp3 ogg wav mpg".split()  # noqa: SIM905 - as a list it is a page
)
SEGMENTS_MAX: Final = 3
ROUTES_MAX: Final = 2000
OTHER: Final = "/{other}"
MALFORMED: Final = "{malformed}"
_HEX: Final = re.compile(r"[0-9a-fA-F-]{16,}")
_WORD: Final = re.compile(r"[A-Za-z_.~@-][A-Za-z_.~@-]{0,23}(?:\d{1,2}[A-Za-z_.~-]{0,8})?")


def route_of(path: str) -> str:
    """The template of `path`: words stay, whatever looks like a value becomes `{id}`, three segments are kept.

    Static files become `/FIRST/*.EXT`, so that a page and its pictures are two routes and not fifty. What is no path at
    all (binary, a proxy's CONNECT) is `{malformed}`. Words an attacker makes up stay words: `Templates` bounds them.

    >>> route_of("/users/4711/orders/9?page=2"), route_of("/img/a/b/logo.PNG"), route_of("/wp-login.php")
    ('/users/{id}/orders/**', '/img/*.png', '/wp-login.php')
    """
    bare = path_only(path)
    if not bare.startswith("/"):
        return bare if bare == "*" else MALFORMED
    segments = [segment for segment in bare.split("/") if segment]
    if not segments:
        return "/"
    stem, dot, extension = segments[-1].rpartition(".")
    if dot and stem and extension.lower() in STATIC:
        folder = f"/{_segment(segments[0])}" if len(segments) > 1 else ""
        return f"{folder}/*.{extension.lower()}"
    kept = [_segment(segment) for segment in segments[:SEGMENTS_MAX]]
    return "/" + "/".join(kept + ["**"] * (len(segments) > SEGMENTS_MAX))


def is_static(route: str) -> bool:
    """Whether a template of `route_of` stands for static files."""
    return "/*." in route


def path_only(path: str) -> str:
    """`path` without query, fragment, scheme and host."""
    bare = path.partition("?")[0].partition("#")[0]
    if "://" in bare[:10]:
        try:
            return urlsplit(bare).path or "/"
        except ValueError:
            return MALFORMED
    return bare


class Templates:
    """`route_of` with a bound on how many templates there may be; the first come are the ones kept.

    Beyond it paths fall back to their first segment (`/FIRST/**`), a quarter as many of those, and then to `/{other}`.
    """

    def __init__(self, routes_max: int = ROUTES_MAX) -> None:
        self._routes_max = routes_max
        self._known: set[str] = set()

    def __call__(self, path: str) -> str:
        """The template of `path`."""
        route = route_of(path)
        if self._keeps(route, self._routes_max):
            return route
        first = f"/{route.split('/')[1]}/**" if route.startswith("/") else OTHER
        return first if self._keeps(first, self._routes_max * 5 // 4) else OTHER

    def _keeps(self, route: str, routes_max: int) -> bool:
        if route not in self._known:
            if len(self._known) >= routes_max:
                return False
            self._known.add(route)
        return True


def _segment(segment: str) -> str:
    return segment if _WORD.fullmatch(segment) and not _HEX.fullmatch(segment) else "{id}"
