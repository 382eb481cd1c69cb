"""Servers every suite runs on, found or started in this order, the same for each:
an address in the environment, a real server on this machine, a container, the embedded one; else a skip that says why.

    FW_TEST_REDIS=redis://...   FW_TEST_KAFKA=host:port   FW_TEST_POSTGRES=postgresql+psycopg://...
    FW_TEST_BROKER=kafka|embedded (only that one; unset: both)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from docker.errors import DockerException
from hypothesis import settings as hypothesis_settings
from limiter_world import Server
from servers import ROOT, kafka, postgres, why_no_kafka, why_no_postgres
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.redis import RedisContainer
from testcontainers.core.container import DockerContainer

from enforcer.store import database
from floodwarden import embedded
from floodwarden.embedded import free_port
from schemas import sql

# A loaded machine takes its time; what a test asserts is never that.
hypothesis_settings.register_profile("floodwarden", deadline=None)
hypothesis_settings.load_profile("floodwarden")


def _container(make: Callable[[], DockerContainer]) -> DockerContainer | None:
    """A started container, or None where there is no engine or no image to be had."""
    if shutil.which("docker") is None:
        return None
    if subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode:
        return None
    try:
        return make().start()
    except (DockerException, OSError, TimeoutError) as error:
        warnings.warn(f"no container, going on with the embedded server: {error}", stacklevel=2)
        return None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis that tests may empty."""
    with ExitStack() as stack:
        if url := os.environ.get("FW_TEST_REDIS"):
            yield url
        elif binary := shutil.which("redis-server"):
            yield stack.enter_context(_local_redis(binary, tmp_path_factory.mktemp("redis")))
        elif container := _container(RedisContainer):
            stack.callback(container.stop)
            yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
        elif reason := embedded.why_no_redis():
            pytest.skip(reason)
        else:
            yield stack.enter_context(embedded.redis())


class _local_redis:  # noqa: N801 - used as a context manager, like the embedded one
    def __init__(self, binary: str, directory: Path) -> None:
        port = free_port()
        self._url = f"redis://127.0.0.1:{port}/0"
        self._command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self._url)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                client.ping()
            except redis.ConnectionError:
                continue
            return self._url
        raise RuntimeError(f"{self._command[0]} did not start")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own, which it may stop and kill."""
    made = Server(tmp_path)
    yield made
    with suppress(ProcessLookupError):  # killed already
        made.resume()
    made.kill()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an emptied Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of real Kafka, shared by the session."""
    with ExitStack() as stack:
        if address := os.environ.get("FW_TEST_KAFKA"):
            yield address
        elif not (reason := why_no_kafka()):
            yield stack.enter_context(kafka(tmp_path_factory.mktemp("kafka"))).address
        elif container := _container(lambda: KafkaContainer().with_kraft()):
            stack.callback(container.stop)
            yield str(container.get_bootstrap_server())
        else:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def embedded_address() -> Iterator[str]:
    """Bootstrap address of the embedded broker."""
    if reason := embedded.why_no_broker():
        pytest.skip(reason)
    with embedded.broker() as address:
        yield address


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("embedded"),
    ],
)
def broker(request: pytest.FixtureRequest) -> str:
    """Bootstrap address of a broker; a test that takes it runs on real Kafka and on the embedded one."""
    only = os.environ.get("FW_TEST_BROKER", request.param)
    if only != request.param:
        pytest.skip(f"FW_TEST_BROKER={only}")
    address: str = request.getfixturevalue("kafka_address" if request.param == "kafka" else "embedded_address")
    return address


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL in which tests make databases."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Where each time there is an empty database; a test that takes it runs on SQLite and on PostgreSQL."""

    def make() -> str:
        name = f"t{uuid.uuid4().hex}"
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path / name / 'store.db'}"
        url = request.getfixturevalue("postgres_url")
        with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as at:
            at.execute(sa.text(f"CREATE DATABASE {name}"))
        return sa.make_url(url).set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def engine(new_url: Callable[[], str]) -> Iterator[sa.Engine]:
    """An empty store of the enforcer's, on each database."""
    made = sql.engine(new_url())
    database.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a test starts keeps its spools and snapshots out of the checkout, unless the test says where."""
    monkeypatch.setenv("FLOODWARDEN_DATA_DIR", str(tmp_path_factory.mktemp("data", numbered=True)))


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real logs that are not part of the project."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the real logs for judging are not on this machine")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on real servers is run once more where it fails; the summary names it: it is a fault all the same."""
    for item in items:
        if item.get_closest_marker("integration") or item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.flaky(reruns=1))
