"""A limiter as people run it, in a process of its own, for benchmarks that ask it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from floodwarden.embedded import free_port

START_S: Final = 90
_PROGRAM: Final = "from limiter.http import run; from schemas.settings import load; run(load())"


@contextmanager
def limiter(url: str, policy: str) -> Iterator[tuple[int, int]]:
    """Its HTTP and gRPC ports, under `policy`, on the Redis at `url`; without Kafka, so that rows wait."""
    port, grpc_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "policy.yaml"
        path.write_text(policy, "utf-8")
        more = {
            "FLOODWARDEN_REDIS": url,
            "FLOODWARDEN_KAFKA": "127.0.0.1:1",
            "FLOODWARDEN_PORT": str(port),
            "FLOODWARDEN_GRPC_PORT": str(grpc_port),
            "FLOODWARDEN_POLICIES": str(path),
            "FLOODWARDEN_REDIS_DEADLINE_MS": "1000",
            "FLOODWARDEN_LOG_LEVEL": "error",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], env=os.environ | more, stdout=subprocess.DEVNULL, cwd=directory
        )
        try:
            _until_ready(f"http://127.0.0.1:{port}/readyz")
            yield port, grpc_port
        finally:
            process.terminate()
            process.wait(20)


def _until_ready(url: str) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)
