"""What a program says in its log."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A client with a key and a token, a password of ours, and a fault in the midst of reading them.
FAULT = """
import asyncio, sys
from floodwarden.logs import configure
from limiter.asgi import RateLimitMiddleware
from limiter.wsgi import RateLimitMiddleware as Wsgi
from limiter.limiter import Limiter
from schemas.settings import Settings
settings = Settings(log_format=sys.argv[1] or "console", redis="redis://:PASSWORD@127.0.0.1:1/0", kafka="127.0.0.1:1")
if sys.argv[1]:
    configure(settings)

class Node:
    name, headers = "n", frozenset()

async def app(scope, receive, send):
    pass

def claims(token):
    password = settings.redis
    raise RuntimeError("a fault of ours")

asgi = RateLimitMiddleware(app, Node(), None, settings)
asgi._identifier._claims = claims
scope = {"type": "http", "path": "/", "headers": [(b"x-api-key", b"THEKEY"), (b"authorization", b"Bearer THETOKEN")]}
asyncio.run(asgi(scope, None, None))
with Limiter(settings) as limiter:
    limiter._parts()[1]._identifier._claims = claims
    wsgi = limiter.middleware(lambda environ, start: [])
    wsgi({"PATH_INFO": "/", "HTTP_X_API_KEY": "THEKEY", "HTTP_AUTHORIZATION": "Bearer THETOKEN"}, None)
"""


@pytest.mark.parametrize("log_format", ["console", "json", ""])  # none: a library whose application set up no log
def test_a_fault_is_logged_with_its_place_and_without_what_variables_hold(log_format: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FAULT, log_format],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    said = ran.stdout + ran.stderr
    assert said.count("check_fault") == 2
    assert said.count("a fault of ours") >= 2
    assert "in claims" in said or '"claims"' in said
    for secret in ("THEKEY", "THETOKEN", "PASSWORD"):
        assert secret not in said
