"""Whether a program can listen where it is to, asked before it starts: half a start is hard to read in a log."""

from __future__ import annotations

import os
import socket

from floodwarden.errors import CommandError
from schemas.settings import PREFIX, Settings


def need_ports(settings: Settings, program: str) -> None:
    """Look whether the ports that `program` is to listen on are free.

    Raises:
        CommandError: one is not, or `host` is no address of this machine; it names the setting.
    """
    named = {"PORT": settings.port}
    if program == "enforcer":
        named["API_PORT"] = settings.api_port
    for name, port in named.items():
        if port:
            _need(settings.host, port, program, name)


def _need(host: str, port: int, program: str, name: str) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        fix = f"set {PREFIX}{name} to a free one or end what listens there; {PREFIX}HOST is the address"
        why = os.strerror(error.errno) if error.errno else str(error)  # `strerror` of a bind repeats the address
        raise CommandError(f"{program}: cannot listen on {host}:{port}: {why} ({fix})") from error
