"""The real nginx and the real HAProxy in front of a real limiter, with the configuration that ships."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from limiter_world import Enforcer, action
from servers import ROOT

from floodwarden.embedded import free_port

pytestmark = pytest.mark.integration

HAPROXY = (ROOT / "deploy/haproxy/haproxy.cfg").read_text("utf-8")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
PROBLEM = "application/problem+json"
POLICY = """
version: 1
name: test
routes: [ "/items/{id}" ]
limits:
  - { name: ip, per: ip, rate: 3/h, burst: 3 }
"""
NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  include {directory}/floodwarden.conf;
  server {{
    listen 127.0.0.1:{port};
    include {nginx}/floodwarden_server.conf;
    location /items/ {{
      include {nginx}/floodwarden_location.conf;
      proxy_pass http://127.0.0.1:{app};
    }}
    location /forbidden {{
      include {nginx}/floodwarden_location.conf;
      deny all;
    }}
  }}
}}
"""


class _App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 403 if self.path.startswith("/items/mine") else 200
        body = b"the application's"
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        pass


def _until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class World:
    url: str
    port: int
    limiter_url: str
    limiter: subprocess.Popen[bytes]
    enforcer: Enforcer

    def get(self, path: str = "/items/1", ip: str = "192.0.2.1", **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"x-forwarded-for": ip} | headers, timeout=5)


@dataclass(frozen=True)
class Ports:
    own: int
    limiter: int
    app: int


def nginx(directory: Path, ports: Ports) -> subprocess.Popen[bytes]:
    """nginx, as deploy/nginx has it."""
    upstream = (ROOT / "deploy/nginx/floodwarden.conf").read_text("utf-8")
    assert "127.0.0.1:8080" in upstream
    (directory / "floodwarden.conf").write_text(upstream.replace("127.0.0.1:8080", f"127.0.0.1:{ports.limiter}"))
    config = NGINX.format(directory=directory, port=ports.own, app=ports.app, nginx=ROOT / "deploy/nginx")
    (directory / "nginx.conf").write_text(config)
    places = ["-e", str(directory / "error.log"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    return subprocess.Popen([_binary("nginx"), *places])


def haproxy(directory: Path, ports: Ports) -> subprocess.Popen[bytes]:
    """HAProxy, as deploy/haproxy has it."""
    return _haproxy(directory, ports, HAPROXY)


def haproxy_elsewhere(directory: Path, ports: Ports) -> subprocess.Popen[bytes]:
    """HAProxy that sends challenged clients elsewhere, as a comment there shows."""
    assert "# http-request set-var" in HAPROXY
    return _haproxy(directory, ports, HAPROXY.replace("# http-request set-var", "http-request set-var"))


def _haproxy(directory: Path, ports: Ports, config: str) -> subprocess.Popen[bytes]:
    (directory / "haproxy.cfg").write_text(config)
    addresses = {"LISTEN": ports.own, "LIMITER": ports.limiter, "APP": ports.app}
    environment = os.environ | {name: f"127.0.0.1:{port}" for name, port in addresses.items()}
    return subprocess.Popen(
        [_binary("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")], cwd=ROOT, env=environment
    )


def _binary(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"no {name} on this machine: apt-get install {name}")
    return found


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def world(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    app = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    ports = Ports(free_port(), free_port(), app.server_address[1])
    proxy = request.param(tmp_path, ports)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    (tmp_path / "p.yaml").write_text(POLICY)
    environment = {
        "FLOODWARDEN_REDIS": redis_url,
        "FLOODWARDEN_REDIS_DEADLINE_MS": "2000",
        "FLOODWARDEN_PORT": str(ports.limiter),
        "FLOODWARDEN_KAFKA": "127.0.0.1:1",
        "FLOODWARDEN_DATA_DIR": str(tmp_path),
        "FLOODWARDEN_POLICIES": str(tmp_path / "p.yaml"),
    }
    enforcer = Enforcer(redis_url)
    enforcer.create()
    program = "from limiter.http import run; from schemas.settings import load; run(load())"
    limiter = subprocess.Popen([sys.executable, "-c", program], env=os.environ | environment)
    try:
        made = World(f"http://127.0.0.1:{ports.own}", ports.own, f"http://127.0.0.1:{ports.limiter}", limiter, enforcer)
        _until(lambda: _answers(made.limiter_url + "/readyz"), 30)
        _until(lambda: _connects(ports.own))
        yield made
    finally:
        proxy.terminate()
        limiter.kill()
        proxy.wait(10)
        limiter.wait(10)
        app.shutdown()


def _connects(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_request_within_its_limit_passes_and_is_told_what_is_left(world: World) -> None:
    answer = world.get()
    assert (answer.status_code, answer.text) == (200, "the application's")
    assert answer.headers["ratelimit-policy"] == '"ip";q=3;w=3600'
    assert answer.headers["ratelimit"].startswith('"ip";r=2;')


def test_a_client_over_its_limit_gets_429_with_all_that_belongs_to_it(world: World) -> None:
    answers = [world.get() for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    refused = answers[3]
    assert refused.headers["content-type"] == PROBLEM
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert refused.json()["status"] == 429
    assert 1190 <= int(refused.headers["retry-after"]) <= 1200
    assert refused.headers["ratelimit"].startswith('"ip";r=0;')
    assert world.get(ip="192.0.2.2").status_code == 200, "another client behind the same proxy"
    assert httpx.head(world.url + "/items/1", headers={"x-forwarded-for": "192.0.2.1"}).status_code == 429


def test_a_denied_client_gets_403_and_a_challenged_one_the_header(world: World) -> None:
    world.enforcer.put(action("deny", "ip:192.0.2.3", "a"))
    world.enforcer.put(action("challenge", "ip:192.0.2.4", "b"))
    _until(lambda: world.get(ip="192.0.2.4").status_code == 403)
    denied, challenged = world.get(ip="192.0.2.3"), world.get(ip="192.0.2.4")
    assert denied.status_code == challenged.status_code == 403
    assert denied.json()["type"].endswith("#abnormal-usage-detected")
    assert 0 < int(denied.headers["retry-after"]) <= 600
    assert "floodwarden-challenge" not in denied.headers
    assert challenged.headers["floodwarden-challenge"] == "required"
    assert challenged.json()["challenge"] == "required"


@pytest.mark.parametrize("world", [haproxy_elsewhere], indirect=True, ids=["haproxy"])
def test_a_challenged_client_may_be_sent_to_where_it_can_show_that_it_is_no_robot(world: World) -> None:
    world.enforcer.put(action("deny", "ip:192.0.2.3", "a"))
    world.enforcer.put(action("challenge", "ip:192.0.2.4", "b"))
    _until(lambda: world.get(ip="192.0.2.4").status_code == 303)
    assert world.get(ip="192.0.2.4").headers["location"] == "https://example.com/challenge"
    assert world.get(ip="192.0.2.3").status_code == 403


def test_a_limiter_that_is_gone_or_stuck_lets_requests_pass(world: World) -> None:
    world.limiter.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    stuck = world.get(ip="192.0.2.5")
    assert (stuck.status_code, stuck.text) == (200, "the application's")
    assert time.monotonic() - began < 4, "it waited longer than it is told to"
    assert "ratelimit" not in stuck.headers
    world.limiter.kill()
    world.limiter.wait(10)
    assert [world.get(ip="192.0.2.5").status_code for _ in range(5)] == [200] * 5


def test_a_403_of_the_application_stays_its_own(world: World) -> None:
    mine = world.get("/items/mine")
    assert (mine.status_code, mine.text) == (403, "the application's")


@pytest.mark.parametrize("world", [nginx], indirect=True, ids=["nginx"])
def test_a_403_of_nginx_itself_stays_its_own_and_nobody_asks_from_outside(world: World) -> None:
    assert world.get("/_floodwarden").status_code == 403
    own = world.get("/forbidden")
    assert own.status_code == 403
    assert PROBLEM not in own.headers["content-type"]


@pytest.mark.parametrize(
    ("header", "value", "status"), [(b"x-api-key", b"\xff\xfe", 400), (b"authorization", b"Bearer \xff", 400)]
)
def test_what_the_limiter_cannot_take_is_refused_by_name_and_not_passed(
    world: World, header: bytes, value: bytes, status: int
) -> None:
    answer = httpx.get(world.url + "/items/1", headers=[(header, value)], timeout=5)
    assert (answer.status_code, answer.json()["field"]) == (status, header.decode())


def test_a_header_that_breaks_the_limiter_s_parser_is_no_way_around_it(world: World) -> None:
    with socket.create_connection(("127.0.0.1", world.port), 5) as s:
        s.sendall(b"GET /items/1 HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x01b\x0bc\r\nConnection: close\r\n\r\n")
        answer = s.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"status":400' in answer
    assert PROBLEM.encode() in answer


def test_no_client_speaks_to_the_limiter_in_the_proxy_s_name(world: World) -> None:
    lies = {
        "x-original-uri": "/healthz",
        "x-original-method": "OPTIONS",
        "x-user": "root",
        "x-floodwarden-status": "204",
    }
    answers = [world.get(ip=f"6.6.6.{n}, 192.0.2.9", **lies) for n in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
