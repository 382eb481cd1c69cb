from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from servers import ROOT
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typer.main import get_command

from floodwarden.cli import app as command_line
from limiter.asgi import RateLimitMiddleware
from limiter.service import Service
from schemas.settings import load

README = (ROOT / "README.md").read_text("utf-8")


def test_every_command_it_names_is_one() -> None:
    known = set(get_command(command_line).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"floodwarden ([a-z]+(?:-[a-z]+)*)", re.sub(r"#.*", "", README)))
    assert named <= known, named - known


def test_every_page_it_names_is_there() -> None:
    pages = re.findall(r"\]\(([^)#]+)\)", README)
    assert pages
    assert [page for page in pages if not (ROOT / page).exists()] == []


@pytest.mark.integration
async def test_the_middleware_goes_in_as_it_says(redis_url: str) -> None:
    service = Service(load(redis=redis_url, kafka="127.0.0.1:1"))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service:
            yield

    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))], lifespan=lifespan)
    app.add_middleware(RateLimitMiddleware, node=service.node, publisher=service.publisher, settings=service.settings)
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get("/")
    assert (answer.text, answer.status_code) == ("hello", 200)
    assert "ratelimit" in answer.headers
