"""The whole loop as a process: it closes, survives kill -9 and a Redis that stops, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from floodwarden import embedded

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]
SECONDS = "20"


@pytest.fixture(autouse=True)
def _needs_embedded_parts() -> None:
    if reason := embedded.why_no_broker() or embedded.why_no_redis():
        pytest.skip(reason)


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOODWARDEN_")}
    command = [sys.executable, "-m", "floodwarden", "demo", "--json", "--keep", str(directory), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean)


def finish(demo: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    out, story = demo.communicate(timeout=240)
    assert out, story
    return json.loads(out.splitlines()[-1]), story


def processes(directory: Path) -> list[int]:
    """Processes whose environment, arguments or open files name the run's directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            opened = " ".join(str(one.readlink()) for one in (entry / "fd").iterdir())
        except OSError:
            continue
        if str(directory).encode() in told or str(directory) in opened:
            found.append(int(entry.name))
    return found


def until(true: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.1)


def test_both_attackers_are_stopped_and_nobody_else_is_touched(tmp_path: Path) -> None:
    demo = start(tmp_path, "--seconds", SECONDS)
    told, story = finish(demo)
    assert demo.returncode == 0, story
    assert told["ok"] is True
    assert (told["attackers"], told["attackers_stopped"], told["benign_denied"]) == (2, 2, 0)
    assert told["nodes_acknowledged"] == 2
    assert told["decisions"] == told["decisions_counted"] == told["decisions_answered"]
    assert told["benign_limited"] == 0
    assert told["time_to_enforce_ms"]["max"] < 5000  # well below a second on a machine that does nothing else
    until(lambda: not processes(tmp_path), 10)


def test_kill_9_of_the_worker_in_mid_attack_loses_no_decision_and_counts_none_twice(tmp_path: Path) -> None:
    demo = start(tmp_path, "--seconds", "30", "--kill-stream")
    told, story = finish(demo)
    assert "stream was killed by signal 9" in story
    assert told["counts_exact"] is True, story
    assert told["attackers_stopped"] == 2, story
    assert demo.returncode == 0, story
    until(lambda: not processes(tmp_path), 10)


def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    demo = start(tmp_path)
    until((tmp_path / "limiter-2.log").exists, 60)
    assert len(processes(tmp_path)) >= 6
    demo.send_signal(signal.SIGKILL)
    demo.communicate(timeout=10)
    until(lambda: not processes(tmp_path), 15)


def test_a_redis_that_stops_for_five_seconds_fails_no_check_and_the_feed_comes_back(tmp_path: Path) -> None:
    demo = start(tmp_path, "--seconds", "30")
    until(lambda: "started" in text(tmp_path / "limiter-2.log"), 90)
    server = next(pid for pid in processes(tmp_path) if b"redis-server" in cmdline(pid))
    node = next(pid for pid in processes(tmp_path) if b"demo.node" in cmdline(pid))
    until(lambda: len(ask(node, "actions", answered=False)) >= 2, 90)
    os.kill(server, signal.SIGSTOP)
    try:
        until(lambda: "redis_away" in text(tmp_path / "limiter-1.log"), 30)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun >= 5, 10)  # the fault itself lasts, it is not a result waited for
    finally:
        os.kill(server, signal.SIGCONT)
    (denied,) = ask(node, "deny", "add", "ip", "192.0.2.250")
    acknowledged = denied["ack_ms"]
    told, story = finish(demo)
    assert told["decisions_answered"] == told["decisions"] == told["decisions_counted"], story
    assert told["benign_denied"] == 0
    assert told["attackers_stopped"] == 2, story
    assert demo.returncode == 0, story
    assert sorted(acknowledged) == ["limiter-1", "limiter-2"]
    for node in ("limiter-1", "limiter-2"):
        log = text(tmp_path / f"{node}.log")
        assert "redis_back" in log
        assert "Traceback" not in log


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def ask(like: int, *words: str, answered: bool = True) -> list[dict[str, Any]]:
    """What `floodwarden WORDS --json` tells, asked as a person would, with the settings of a running node.

    Where it may come too early (nothing is in Redis yet) it need not be `answered`: that is nothing, too.
    """
    pairs = Path(f"/proc/{like}/environ").read_text("utf-8").split("\0")
    environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    command = [sys.executable, "-m", "floodwarden", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0 or not answered, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
