"""What is no HTTP is refused like all that cannot be taken: by a problem, where uvicorn has a line of text."""

from __future__ import annotations

from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from limiter import answers
from schemas.errors import BadMessageError

_FIX: Final = "HTTP/1.1 as RFC 9112 has it, request line and headers together at most 64 KiB"


class ProblemProtocol(H11Protocol):
    """uvicorn's own protocol, but for how it refuses what it cannot read. Only its connection ends."""

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser could not read, and hangs up."""
        body = answers.bad_request(BadMessageError("bad_value", "request", msg.rstrip("."), _FIX))
        headers = [("content-type", answers.PROBLEM), ("content-length", str(len(body))), ("connection", "close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
