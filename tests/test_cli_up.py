"""What `floodwarden up` leaves for other terminals, and what a program says that cannot listen."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from floodwarden.demo.watch import Enforced
from floodwarden.errors import CommandError
from floodwarden.ports import need_ports
from floodwarden.up import enforced_words, write_shell
from schemas.settings import Settings


def test_a_shell_that_reads_the_file_finds_what_runs(tmp_path: Path) -> None:
    odd = "redis://:it's $HOME@127.0.0.1:1/0"
    settings = Settings(kafka="127.0.0.1:2", redis=odd, data_dir=tmp_path / "a b", secret=SecretStr("s3"))
    path = write_shell(settings, "127.0.0.1:3", tmp_path)
    names = ("KAFKA", "REDIS", "DATA_DIR", "SECRET", "METER")
    asked = "; ".join(f'echo "$FLOODWARDEN_{name}"' for name in names)
    told = subprocess.run(["/bin/sh", "-c", f". {path}; {asked}"], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["127.0.0.1:2", odd, str(tmp_path / "a b"), "s3", "127.0.0.1:3"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # it has secrets


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"limiter: cannot listen on 127\.0\.0\.1:{port}: .*FLOODWARDEN_PORT"):
            need_ports(Settings(port=port), "limiter")
        with pytest.raises(CommandError, match="FLOODWARDEN_API_PORT"):
            need_ports(Settings(api_port=port), "enforcer")
    need_ports(Settings(port=port, api_port=port), "limiter")


def test_only_an_answer_to_a_request_is_timed_from_it_and_a_renewal_goes_on() -> None:
    def enforced(uid: str, kind: str, target: str, crossed_ms: int | None, level: int | None = None) -> Enforced:
        return Enforced(uid, kind, target, crossed_ms, 5_000, 5_040, ("limiter-1",), (), level)

    first = enforced("a", "throttle", "key:k", 4_900)
    again = enforced("b", "throttle", "key:k", None)
    first_level, same, next_level = (enforced(str(n), "brownout", "global:*", None, n // 2) for n in (2, 3, 4))
    assert enforced_words(first, ()) == "throttle key:k in force at 1 limiter, 140 ms after the deciding request"
    assert enforced_words(again, [first]) == "throttle key:k goes on at 1 limiter, 40 ms after it was decided"
    assert enforced_words(first_level, [first]) == "brownout level 1 in force at 1 limiter, 40 ms after it was decided"
    assert enforced_words(same, [first_level]).startswith("brownout level 1 goes on at 1 limiter, ")
    assert enforced_words(next_level, [same]).startswith("brownout level 2 in force at 1 limiter, ")
