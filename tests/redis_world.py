"""Redis as tests meet it: a real cluster, real sentinels, TLS and ACL, and a wire between that stalls, drops or resets.

All on free loopback ports, gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import redis

from floodwarden import embedded

START_S = 15


def until(holds: Callable[[], Any], within_s: float = START_S) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError, OSError):
            if holds():
                return
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


class Instance:
    """One redis-server, or a sentinel; `options` as of its configuration file."""

    def __init__(self, directory: Path, *lines: str, sentinel: bool = False, port: int | None = None) -> None:
        self.port = port or embedded.free_port()
        self._path = directory / f"{self.port}.conf"
        common = [f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", f"logfile {directory}/{self.port}.log"]
        own = [] if sentinel else ['save ""', "appendonly no", f"dbfilename {self.port}.rdb"]
        self._path.write_text("\n".join([*common, *own, *lines]) + "\n")
        self._sentinel = sentinel
        self.start()

    def start(self) -> None:
        binary = embedded.redis_binary()
        assert binary is not None
        command = [str(binary), str(self._path), *(["--sentinel"] if self._sentinel else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self.listens)

    def listens(self) -> bool:
        with contextlib.suppress(redis.AuthenticationError, redis.ResponseError), self.client() as client:
            client.ping()
        return True

    def client(self, **more: Any) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2, **more)

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


@contextmanager
def instances() -> Iterator[list[Instance]]:
    """What is put into the list is killed in the end."""
    made: list[Instance] = []
    try:
        yield made
    finally:
        for one in made:
            with contextlib.suppress(ProcessLookupError):
                one.resume()
            one.kill()


class Cluster:
    """Three nodes, a third of the slots each; replicas of the first where asked for."""

    def __init__(self, directory: Path, made: list[Instance], *, replica: bool = False, lines: Any = ()) -> None:
        self.directory = directory
        self.made = made
        more = list(lines) or [()] * 3
        self.nodes = [self.add(*more[n]) for n in range(3)]
        edges = [0, 5461, 10923, 16384]
        for node, first, after in zip(self.nodes, edges, edges[1:], strict=False):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        for other in self.nodes[1:]:
            self.meet(other)
        until(lambda: all(self._whole(self.info(node)) for node in self.nodes))
        self.replica = self._replica() if replica else None

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def add(self, *lines: str) -> Instance:
        port = embedded.free_port()
        options = ["cluster-enabled yes", f"cluster-config-file nodes-{port}.conf", "cluster-node-timeout 1000"]
        options += [f"cluster-port {embedded.free_port()}", "cluster-require-full-coverage no"]
        node = Instance(self.directory, *options, *lines, port=port)
        self.made.append(node)
        return node

    def meet(self, other: Instance) -> None:
        with other.client() as client, self.nodes[0].client() as first:
            bus = int(first.config_get("cluster-port")["cluster-port"])
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, bus)
        until(lambda: self.name(other) in self.listing(self.nodes[0]))

    def listing(self, node: Instance) -> str:
        with node.client(decode_responses=True) as client:
            return str(client.execute_command("CLUSTER", "NODES"))

    def info(self, node: Instance) -> dict[str, str]:
        with node.client() as client:
            return dict(client.execute_command("CLUSTER INFO"))

    @staticmethod
    def _whole(info: dict[str, str]) -> bool:
        return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == "16384"

    def name(self, node: Instance) -> str:
        with node.client() as client:
            return bytes(client.execute_command("CLUSTER", "MYID")).decode()

    def owner(self, key: str) -> Instance:
        slot = redis.crc.key_slot(key.encode())
        return self.nodes[0 if slot < 5461 else 1 if slot < 10923 else 2]

    def migrate(self, key: str, to: Instance, *, finish: bool = True) -> None:
        """Moves the slot of `key`; unfinished, its old owner answers ASK for what it has not."""
        slot, source = redis.crc.key_slot(key.encode()), self.owner(key)
        with to.client() as target, source.client() as owner:
            target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
            owner.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(to))
            while keys := owner.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                owner.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 2000, "KEYS", *keys)
            if finish:
                for client in (target, owner):
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.name(to))

    def _replica(self) -> Instance:
        made = self.add("cluster-replica-validity-factor 0", "repl-diskless-sync-delay 0")
        self.meet(made)
        with made.client() as client:
            until(lambda: client.execute_command("CLUSTER", "REPLICATE", self.name(self.nodes[0])))
            until(lambda: client.info("replication")["master_link_status"] == "up")
        return made


class Sentinels:
    """A master, a replica and three sentinels that fail it over after half a second."""

    def __init__(self, directory: Path, made: list[Instance]) -> None:
        self.master = Instance(directory, "repl-diskless-sync-delay 0")
        made.append(self.master)
        self.replica = Instance(directory, f"replicaof 127.0.0.1 {self.master.port}")
        made.append(self.replica)
        lines = [
            f"sentinel monitor main 127.0.0.1 {self.master.port} 2",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 3000",
        ]
        self.sentinels = [Instance(directory, *lines, sentinel=True) for _ in range(3)]
        made.extend(self.sentinels)
        until(self._whole)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/main/0"

    def _whole(self) -> bool:
        states = []
        for one in self.sentinels:
            with one.client(decode_responses=True) as client:
                states.append(client.execute_command("SENTINEL", "MASTER", "main"))
        with self.replica.client() as client:
            linked = client.info("replication")["master_link_status"] == "up"
        return linked and all(
            int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1 for state in states
        )


class Wire:
    """A TCP proxy: passes bytes on, and stalls, swallows or resets when told. With `tls` it is what speaks TLS."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.port = 0
        self.delay_s = 0.0
        self.swallows = False
        self.refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        self.reset()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def reset(self) -> None:
        """Every connection ends at once, without a goodbye."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer, answers=True))
        self._writers -= {writer, far_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if answers and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not self.swallows:
                    writer.write(data)
                    await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


@asynccontextmanager
async def wire(port: int, tls: ssl.SSLContext | None = None, listen: int = 0) -> AsyncIterator[Wire]:
    made = Wire(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", listen, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
