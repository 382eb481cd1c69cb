"""What the tests of Envoy's rate limit service share: a service that answers, and stubs that others generated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import RateLimitDescriptor, RateLimitDescriptorEntry
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
    RateLimitServiceAsyncStub,
)
from grpclib.client import Channel
from limiter_world import settings

from floodwarden.embedded import free_port
from limiter.rls import RateLimitService, serving
from limiter.service import Service
from schemas.decision import Decision

POLICY = """
version: 1
name: test
routes: [ "/items/{id}", "POST /login" ]
limits:
  - { name: ip, per: ip, rate: 3/h, burst: 3 }
  - { name: key, per: key, rate: 2/h, burst: 2 }
  - { name: queue, per: ip, route: /slow, algorithm: leaky_bucket, rate: 1/s, queue: 5 }
brownout:
  levels:
    1: { factor: 0.34 }
"""
OK, OVER = RateLimitResponseCode.OK, RateLimitResponseCode.OVER_LIMIT
Entries = dict[str, str]


@dataclass
class World:
    """A service that answers on `port`; `kept` are the rows it published."""

    service: Service
    port: int
    kept: list[Decision]

    async def ask(self, *descriptors: Entries, hits: int = 0, each: list[int] | None = None) -> RateLimitResponse:
        """What grpclib and the stubs of envoy-data-plane make of the answer."""
        channel = Channel("127.0.0.1", self.port)
        try:
            stub = RateLimitServiceAsyncStub(channel)
            return await asyncio.wait_for(stub.should_rate_limit(question(*descriptors, hits=hits, each=each)), 10)
        finally:
            channel.close()

    def channel(self) -> grpc.aio.Channel:
        """gRPC's own client."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")


def question(*descriptors: Entries, hits: int = 0, each: list[int] | None = None) -> RateLimitRequest:
    found = [
        RateLimitDescriptor(
            entries=[RateLimitDescriptorEntry(key=key, value=value) for key, value in entries.items()],
            hits_addend=each[at] if each else None,
        )
        for at, entries in enumerate(descriptors)
    ]
    return RateLimitRequest(domain="shop", descriptors=found, hits_addend=hits)


@asynccontextmanager
async def world_of(redis_url: str, tmp_path: Path, **more: object) -> AsyncIterator[World]:
    (tmp_path / "p.yaml").write_text(POLICY)
    fields = {"policies": tmp_path / "p.yaml", "grpc_port": free_port()} | more
    async with Service(settings(redis_url, **fields)) as service:
        kept: list[Decision] = []
        service.publisher.offer = lambda row: kept.append(row) or True  # type: ignore[method-assign,func-returns-value]
        async with serving(RateLimitService(service)) as port:
            yield World(service, port, kept)


def headers_of(answer: RateLimitResponse) -> dict[str, str]:
    return {header.key: header.value for header in answer.response_headers_to_add}


def metadata_of(answer: RateLimitResponse) -> dict[str, Any]:
    assert answer.dynamic_metadata is not None
    return {
        name: value.string_value if value.string_value is not None else value.number_value
        for name, value in answer.dynamic_metadata.fields.items()
    }
