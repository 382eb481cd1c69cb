"""Real servers for tests and benchmarks: Apache Kafka from .kafka/libs, on free loopback ports, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from floodwarden.embedded import free_port

ROOT = Path(__file__).resolve().parent.parent
KAFKA_LIBS = ROOT / ".kafka" / "libs"
KAFKA_START_S = 60

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
num.partitions=4
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


def why_no_kafka() -> str | None:
    """The reason real Kafka cannot be started here, None when it can."""
    if shutil.which("java") is None:
        return "no java on this machine: install a JDK 17+ and run `make kafka`"
    if not (KAFKA_LIBS / ".complete").exists():
        return "Apache Kafka is not fetched: run `make kafka`"
    return None


class Kafka:
    """One Apache Kafka node; `stop`, `kill` and `start` again keep its data."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = directory / "kafka.log"
        self._properties = directory / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(port=self.port, controller=free_port(), data=directory / "data"), encoding="utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._java(
            "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self._properties)
        ).wait()

    def start(self) -> None:
        self._process = self._java("-Xmx512m", "-Xms256m", "kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + KAFKA_START_S
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        while True:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("Apache Kafka did not start:\n" + self._log.read_text("utf-8", "replace")[-2000:])

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(20)

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(["java", "-cp", f"{KAFKA_LIBS}/*", *arguments], stdout=log, stderr=log)


@contextmanager
def kafka(directory: Path) -> Iterator[Kafka]:
    """A running Apache Kafka with its data under `directory`."""
    node = Kafka(directory)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def why_no_postgres() -> str | None:
    """The reason PostgreSQL cannot be started here, None when it can."""
    if os.environ.get("FW_TEST_POSTGRES") or _postgres_bin() is not None:
        return None
    return "no PostgreSQL on this machine: install postgresql, or set FW_TEST_POSTGRES"


class Postgres:
    """A PostgreSQL of our own under `directory`; `stop` and `start` again keep its data."""

    def __init__(self, directory: str) -> None:
        tools, port = _postgres_bin(), free_port()
        assert tools
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if user:
            shutil.chown(directory, user)
        self._run = partial(
            subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, user=user, cwd=directory
        )
        data = f"{directory}/data"
        self._run([tools / "initdb", "-A", "trust", "-U", "floodwarden", "-D", data])
        self._options = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory} -c fsync=off"
        )
        self._control = [tools / "pg_ctl", "-D", data, "-w", "-l", f"{directory}/log"]
        self.url = f"postgresql+psycopg://floodwarden@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        self._run([*self._control, "-o", self._options, "start"])

    def stop(self) -> None:
        self._run([*self._control, "-m", "immediate", "stop"])


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    """A running PostgreSQL that the test may stop and start; running again at the end."""
    with tempfile.TemporaryDirectory(prefix="floodwarden-postgres-", ignore_cleanup_errors=True) as scratch:
        server = Postgres(scratch)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL in which databases may be made; one of our own unless FW_TEST_POSTGRES names one."""
    if url := os.environ.get("FW_TEST_POSTGRES"):
        yield url
        return
    with own_postgres() as server:
        yield server.url


def why_no_own_postgres() -> str | None:
    """The reason a PostgreSQL that a test may stop cannot be had here, None when it can."""
    return None if _postgres_bin() else "no PostgreSQL on this machine: install postgresql"


def _postgres_bin() -> Path | None:
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *(Path(p) for p in os.get_exec_path())]
    return next((path for path in found if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)
