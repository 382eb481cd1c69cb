"""Services are kept alive, and none outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from floodwarden.leash import Leash
from floodwarden.supervisor import BACKOFF_S_MAX, Service, Supervisor, backoff_s, environment
from schemas import settings as settings_of


def until(true: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text("utf-8").rpartition(")")[2].split()[0] == "Z")


def test_waits_double_up_to_a_bound() -> None:
    assert [backoff_s(n, 0.5) for n in (0, 1, 2, 3)] == [0.0, 0.5, 1.0, 2.0]
    assert backoff_s(60, 0.5) == BACKOFF_S_MAX


def test_a_crashed_service_is_started_again_after_its_wait_and_not_before(tmp_path: Path) -> None:
    now_s = 100.0
    with Leash() as leash:
        supervisor = Supervisor(leash, tmp_path, restart_s=0.5, clock=lambda: now_s)
        supervisor.start(Service("sleeper", "timeit", ("-n1", "import time; time.sleep(60)"), dict(os.environ), "-"))
        first = supervisor.health()[0].pid
        assert supervisor.tend() == []
        supervisor.kill("sleeper")
        news: list[str] = []

        def noticed() -> bool:
            news.extend(supervisor.tend())
            return bool(news)

        until(noticed)
        assert news == ["sleeper was killed by signal 9; it starts again in 0.5 s"]
        assert supervisor.tend() == []
        now_s += 0.6
        assert supervisor.tend() == ["sleeper started again"]
        second = supervisor.health()[0]
        assert second.pid not in (None, first)
        assert second.crashes == 1
        supervisor.stop(1)
    assert second.pid is not None
    assert not alive(second.pid)


def test_a_child_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with Leash() as leash:
        child = leash.start([sys.executable, "-c", stubborn], log=tmp_path / "log")
        until(lambda: "up" in (tmp_path / "log").read_text("utf-8"))
        leash.close(grace_s=0.2)
        assert child.poll() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_do_not_outlive_a_parent_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys,time,pathlib; from floodwarden.leash import Leash\n"
        "with Leash() as leash:\n"
        "    child = leash.start(['sleep', '60'], log=pathlib.Path(sys.argv[1]))\n"
        "    print(child.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(number)
    parent.wait(10)
    parent.stdout.close()
    until(lambda: not alive(child))


def test_a_child_reads_exactly_the_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOODWARDEN_DENY_SECONDS", "7")
    ours = settings_of.load(secret="quite secret", policies=tmp_path / "p.yaml", lateness_ms=1234)
    variables = environment(ours, port=4321)
    for name in [name for name in os.environ if name.startswith("FLOODWARDEN_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        if name.startswith("FLOODWARDEN_"):
            monkeypatch.setenv(name, value)
    assert settings_of.load() == ours.model_copy(update={"port": 4321})
