"""What a program imports is what it uses: each service starts through the command line, several in a demo."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "numpy polars pyarrow scipy sklearn faust aiokafka confluent_kafka redis uvicorn"


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("floodwarden.__main__", ""),
        ("limiter.http", "numpy pyarrow confluent_kafka redis uvicorn"),
        ("limiter.ingest.app", "numpy pyarrow confluent_kafka uvicorn"),
        ("enforcer.consumer", "numpy pyarrow aiokafka redis uvicorn"),
        ("enforcer.app", "numpy pyarrow aiokafka confluent_kafka redis uvicorn"),
        ("stream.app", "numpy polars pyarrow scipy faust aiokafka confluent_kafka"),  # numba asks scipy for its version
    ],
)
def test_a_program_imports_only_what_it_uses(module: str, needed: str) -> None:
    script = f"import sys, {module}; print(*(name for name in {HEAVY.split()} if name in sys.modules))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert set(told.stdout.split()) <= set(needed.split())
