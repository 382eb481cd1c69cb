"""A hundred checks in one POST to `/v1/checks` beside a hundred POSTs to `/v1/check`, one after the other.

`floodwarden bench batch` calls `run()`; it starts a Redis and a limiter process of its own. The client is a socket and
requests packed beforehand, so that what is measured is the limiter. A `leased` check is answered from what the limiter
has on lease, an `exact` one asks Redis. `check` and `local_check` have the same of the library, without HTTP.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import time
from typing import Any, Final, Self

from limiter_process import limiter

from floodwarden import embedded

ROUNDS: Final = 40
BATCH: Final = 100
KINDS: Final = ("leased", "exact")
_POLICY: Final = """
version: 1
name: bench
limits:
  - { name: ip, per: ip, route: /exact/*, rate: 1000000/s, burst: 1000000, lease: off }
  - { name: leased-ip, per: ip, route: /leased/*, rate: 1000000/s, burst: 1000000 }
"""


def run() -> dict[str, Any]:
    """Microseconds of one check, alone and in a batch."""
    with embedded.redis() as url, limiter(url, _POLICY) as (port, _), Client(port) as client:
        figures = _measure(client)
    ratios = {f"{kind}_single_to_batch": figures[f"single_{kind}"] / figures[f"batch_{kind}"] for kind in KINDS}
    return {
        "name": "batch",
        "unit": "us a check",
        "ours": figures["batch_leased"],
        "peers": figures,
        "limit": f"{BATCH} checks of as many clients; one connection, kept open; Redis and limiter on the same machine",
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


class Client:
    """One connection: a request out, its answer in."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """The answer's body."""
        self._socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._socket.recv(65_536)
        head, _, body = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not what is to be measured: {got[:200]!r}")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(65_536)
        return body


def _measure(client: Client) -> dict[str, float]:
    found: dict[str, list[float]] = {f"{how}_{kind}": [] for kind in KINDS for how in ("single", "batch")}
    for kind in KINDS:
        checks = [{"path": f"/{kind}/{n}?page=2", "ip": f"10.1.0.{n}", "api_key": f"key-{n}"} for n in range(BATCH)]
        single = [_packed("/v1/check", each) for each in checks]
        batch = _packed("/v1/checks", {"requests": checks})
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for each in single:
                client.ask(each)
            between = time.perf_counter()
            answers = json.loads(client.ask(batch))["answers"]
            ended = time.perf_counter()
            if len(answers) != BATCH or any(each["verdict"] != "allow" for each in answers):
                raise RuntimeError("not what is to be measured")
            found[f"single_{kind}"].append((between - began) / BATCH * 1e6)
            found[f"batch_{kind}"].append((ended - between) / BATCH * 1e6)
    return {name: round(statistics.median(taken), 1) for name, taken in found.items()}


def _packed(path: str, asked: object) -> bytes:
    body = json.dumps(asked).encode()
    head = (f"POST {path} HTTP/1.1", "host: limiter", "content-type: application/json", f"content-length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
