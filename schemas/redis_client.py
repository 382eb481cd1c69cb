"""The one place that opens Redis, whichever way the URL says it is reached (`schemas.redis_url`).

A cluster's client and a sentinel's are used through the methods they share with a plain one, so all are called Redis.
All fail alike, with a `redis.RedisError`: what a cluster's client raises besides is made one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.retry
import redis.sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisClusterException

from schemas.errors import SettingsError
from schemas.redis_url import Kind, RedisUrl, Verify, parse

SENTINEL_S: Final = 0.25  # for a sentinel's answer; then the next one is asked
CONNECT_S: Final = 1.0
_NAME: Final = "FLOODWARDEN_REDIS"


@contextmanager
def _as_redis_error() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise RedisConnectionError(str(error)) from error


class _Cluster(redis.cluster.RedisCluster):
    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _as_redis_error():
            return cast("Any", super()).execute_command(*args, **kwargs)


class _AsyncCluster(redis.asyncio.cluster.RedisCluster):
    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        with _as_redis_error():
            return await super().initialize(*args, **kwargs)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _as_redis_error():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        return cast("Any", _AsyncPipeline)(self, bool(transaction or shard_hint))  # its base is typed as abstract


class _AsyncPipeline(redis.asyncio.cluster.ClusterPipeline):
    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        with _as_redis_error():
            return await super().execute(*args, **kwargs)


def connect(url: str, *, timeout_s: float, text: bool = False) -> redis.Redis:
    """A client that blocks, at most `timeout_s` for each answer; `text` makes it answer text instead of bytes.

    Raises:
        SettingsError: the URL cannot be taken, or a file it names cannot be used.
        RedisError: none of a cluster's nodes answers; the others are first asked by the first command.
    """
    where, options = _options(url, timeout_s, timeout_s)
    options |= {"decode_responses": text, "retry": redis.retry.Retry(NoBackoff(), 0)}
    match where.kind:
        case Kind.CLUSTER:
            node: Any = redis.cluster.ClusterNode
            nodes = [node(host, port) for host, port in where.nodes]
            with _as_redis_error():
                return cast("redis.Redis", _Cluster(startup_nodes=nodes, require_full_coverage=False, **options))
        case Kind.SENTINEL:
            found_by: Any = redis.sentinel.Sentinel
            sentinel = found_by(where.nodes, sentinel_kwargs=_sentinel(where, options))
            made: redis.Redis = sentinel.master_for(where.master, **options)
            return made
        case Kind.SOCKET:
            return redis.Redis(unix_socket_path=where.path, **options)
        case Kind.SERVER:
            ((host, port),) = where.nodes
            return redis.Redis(host=host, port=port, **options)


def connect_async(
    url: str, *, timeout_s: float | None, connect_timeout_s: float = CONNECT_S, text: bool = False
) -> redis.asyncio.Redis:
    """A client of the event loop. It asks once: whoever calls tries again, for a script sent twice takes twice.

    Raises:
        SettingsError: the URL cannot be taken, or a file it names cannot be used.
    """
    where, options = _options(url, timeout_s, connect_timeout_s)
    options |= {"decode_responses": text, "retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    match where.kind:
        case Kind.CLUSTER:
            nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in where.nodes]
            made_cluster = _AsyncCluster(startup_nodes=nodes, require_full_coverage=False, **options)
            return cast("redis.asyncio.Redis", made_cluster)
        case Kind.SENTINEL:
            sentinel: Any = cast("Any", redis.asyncio.sentinel.Sentinel)(
                where.nodes, sentinel_kwargs=_sentinel(where, options)
            )
            made: redis.asyncio.Redis = sentinel.master_for(where.master, **options)
            return made
        case Kind.SOCKET:
            return redis.asyncio.Redis(unix_socket_path=where.path, **options)
        case Kind.SERVER:
            ((host, port),) = where.nodes
            return redis.asyncio.Redis(host=host, port=port, **options)


def shown(url: str) -> str:
    """`url` without what is secret in it."""
    try:
        return parse(url).shown
    except ValueError:
        return "an address that cannot be read"


def fix_of(error: Exception) -> str:
    """What to do about a Redis that failed so: one that refuses us is not to be started."""
    if isinstance(error, redis.AuthenticationError):
        return f"correct the user and password in {_NAME}, or make that user: docs/redis.md"
    if isinstance(error, NoPermissionError):
        return f"give the user of {_NAME} what deploy/redis/users.acl gives it: docs/redis.md"
    return f"start it, or set {_NAME}"


def _options(url: str, timeout_s: float | None, connect_timeout_s: float) -> tuple[RedisUrl, dict[str, Any]]:
    try:
        where = parse(url)
    except ValueError as error:
        raise SettingsError(f"{_NAME}: {error}") from error
    options: dict[str, Any] = {
        "username": where.user,
        "password": where.password,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
    }
    if where.kind is not Kind.CLUSTER:
        options["db"] = where.db
    return where, options | (_tls(where) if where.tls else {})


def _tls(where: RedisUrl) -> dict[str, Any]:
    for name, file in (("ca", where.ca), ("cert", where.cert), ("key", where.key)):
        if file is not None and not Path(file).is_file():
            raise SettingsError(f"{_NAME}: {name}: no file {file}; give the path of a PEM file that this process reads")
    try:
        context = ssl.create_default_context(cafile=where.ca)
        if where.cert is not None:
            context.load_cert_chain(where.cert, where.key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"{_NAME}: ca, cert or key cannot be used: {error}; they are PEM, and the key is the certificate's"
        ) from error
    return {
        "ssl": True,
        "ssl_ca_certs": where.ca,
        "ssl_certfile": where.cert,
        "ssl_keyfile": where.key or where.cert,
        "ssl_cert_reqs": "none" if where.verify is Verify.NONE else "required",
        "ssl_check_hostname": where.verify is Verify.HOST,
    }


def _sentinel(where: RedisUrl, options: dict[str, Any]) -> dict[str, Any]:
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    return tls | {
        "username": where.sentinel_user,
        "password": where.sentinel_password,
        "socket_timeout": SENTINEL_S,
        "socket_connect_timeout": SENTINEL_S,
        "retry": options["retry"],
    }
