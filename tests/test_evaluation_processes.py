"""Processes that judge traces end with the one that asked for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

_PROGRAM = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from floodwarden.evaluation.processes import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""


def works(pid: int) -> bool:
    """Whether a process is there, and not merely unread by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_is_gone_when_its_parent_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "judge.py"
    file.write_text(_PROGRAM, "utf-8")
    parent = subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while works(worker):
        assert time.monotonic() < deadline, "it works on"
        time.sleep(0.05)
