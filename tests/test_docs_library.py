"""The examples of docs/library.md, run as they stand there but for the address of Redis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from servers import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text("utf-8"), re.DOTALL)
POLICY = """
version: 1
name: example
limits: [ { name: ip, per: ip, rate: 9/h, burst: 9 } ]
"""
# What an example of an application is asked, once it is loaded.
FASTAPI = """
from fastapi.testclient import TestClient
with TestClient(app, client=("203.0.113.7", 50000)) as client:
    answer = client.get("/items/7")
    print(answer.json(), answer.headers["ratelimit"])
"""
FLASK = """
answer = app.test_client().get("/items/7")
print(answer.json, answer.headers["ratelimit"])
limiter.__exit__(None, None, None)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("about", "more", "said"),
    [
        ("with Limiter.open(policies", "", "allow 8"),
        ("asyncio.run", "", "allow 8"),
        (
            "limiter.refund(job)",
            "    print('left', limiter.check('/exports', ip='203.0.113.7', peek=True).remaining)\n",
            "left 9",
        ),
        ("FastAPI(", FASTAPI, "{'item': '7'} \"ip\";r=8"),
        ("Flask(", FLASK, "{'item': '7'} \"ip\";r=8"),
    ],
)
def test_an_example_does_what_it_says(redis_url: str, tmp_path: Path, about: str, more: str, said: str) -> None:
    example = next(each for each in EXAMPLES if about in each)
    assert "redis://127.0.0.1:6379/0" in example
    (tmp_path / "policies.yaml").write_text(POLICY)
    environment = os.environ | {"FLOODWARDEN_REDIS_DEADLINE_MS": "2000", "PYTHONPATH": str(ROOT)}
    program = example.replace("redis://127.0.0.1:6379/0", redis_url) + more
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert said in told.stdout
    assert told.stdout.count("\n") == 1  # what we log is no part of what a program prints
    assert "limiter_started" not in told.stderr
    assert "secret_is_default" in told.stderr


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 5
