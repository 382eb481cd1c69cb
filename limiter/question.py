"""A client's HTTP request as a question to the node: the same for ASGI, WSGI and a gateway's sub-request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from limiter.identity import Header, Identifier, user_agent
from limiter.verdict import Request
from schemas.errors import BadMessageError

METHOD_CHARS_MAX: Final = 16
PATH_CHARS_MAX: Final = 8192  # of what we look at; an application may take longer ones
PATH_CHARS_TAKEN: Final = 65_536  # beyond that nobody means it: no server takes it either


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `fault`: what of it nobody can take.

    A request with a fault is asked about all the same, without the faulty part: it counts, and is refused with a 4xx
    where it would have passed. Otherwise a malformed key would be the way around every limit.
    """

    request: Request
    fault: BadMessageError | None = None

    @property
    def status(self) -> int:
        """The status that answers the fault."""
        if self.fault is None or self.fault.code != "too_large":
            return 400
        return 414 if self.fault.field == "path" else 431


def question(
    identifier: Identifier, peer: str | None, header: Header, method: str, path: str, wanted: frozenset[str]
) -> Question:
    """The question of a request by `method` for `path`, which `peer` sent; `wanted` are headers that policies name."""
    who = identifier.identify(peer, header)
    fault = who.fault
    if not 1 <= len(method) <= METHOD_CHARS_MAX:
        fault = BadMessageError("bad_value", "method", f"{len(method)} characters", f"1 to {METHOD_CHARS_MAX}")
    if len(path) > PATH_CHARS_TAKEN:
        fault = too_long(path, "path")
    request = Request(
        method=method[:METHOD_CHARS_MAX] or "GET",
        path=path[:PATH_CHARS_MAX],
        identity=who.identity,
        tier=who.tier,
        ua=user_agent(header("user-agent")),
        attributes=identifier.attributes(peer, who.identity.ip, header, wanted),
    )
    return Question(request, fault)


def too_long(path: str, field: str) -> BadMessageError:
    """Of a path that nobody can mean."""
    return BadMessageError("too_large", field, f"{len(path)} characters", f"at most {PATH_CHARS_TAKEN}")
