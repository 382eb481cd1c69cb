"""What no request may be, seen before anybody reads it: also those without a key may send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enforcer.api.problems import ProblemError, answer

BYTES_MAX: Final = 1 << 20
FILE_BYTES_MAX: Final = 16 << 20


class Bounded:
    """Stands before `app`. More than `BYTES_MAX` announced is refused; sent without a word it ends there.

    To the paths `files` people send files, of up to `FILE_BYTES_MAX`.

    So is a parameter given twice, of which a filter would take one in silence.
    """

    def __init__(self, app: ASGIApp, files: Collection[str] = ()) -> None:
        self._app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = FILE_BYTES_MAX if scope["path"] in self._files else BYTES_MAX
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said[:20]) > most:
            why, fix = f"more than {most} bytes", "send less at a time"
            await answer(ProblemError(413, "too_large", why, field="body", fix=fix))(scope, receive, send)
            return
        names = Counter(name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if twice := next((name for name, times in names.items() if times > 1), None):
            why, fix = f"given {names[twice]} times", "each parameter once; ask once for each value"
            await answer(ProblemError(422, "bad_value", why, field=twice[:100], fix=fix))(scope, receive, send)
            return
        left = most

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.request", "body": b"", "more_body": False}

        await self._app(scope, bounded, send)
