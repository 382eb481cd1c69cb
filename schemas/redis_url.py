"""Where Redis is, as one URL says it: one server, one found through sentinels, or a cluster. Pure.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]                             one server; rediss:// with TLS
    unix://[USER:PASSWORD@]/PATH[?db=DB]                                 one server, by its socket
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/MASTER[/DB] the master that the sentinels name
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]              a cluster; any of its nodes will do
    rediss+sentinel://, rediss+cluster://                                the same with TLS

Settings after a `?`, joined by `&`: `ca`, `cert`, `key` (PEM files) and `verify` (`host`, `chain` or `none`) with TLS;
`sentinel_user`, `sentinel_password` with sentinels; `db` as another place for the database. User and password are of an
ACL user; what is not a letter, a digit or one of `-._~` is percent-encoded in them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, unquote

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
NODES_MAX: Final = 100
_TLS_QUERY: Final = ("ca", "cert", "key", "verify")
_ALIASES: Final = {"ssl_ca_certs": "ca", "ssl_certfile": "cert", "ssl_keyfile": "key"}


class Kind(StrEnum):
    """What stands at the other end."""

    SERVER = "redis"
    SOCKET = "unix"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Verify(StrEnum):
    """What of the server's certificate is held against it."""

    HOST = "host"  # signed by a known authority, for the host that was asked for
    CHAIN = "chain"  # signed by a known authority
    NONE = "none"


_KINDS: Final = {
    "redis": (Kind.SERVER, False),
    "rediss": (Kind.SERVER, True),
    "unix": (Kind.SOCKET, False),
    "redis+sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}
SCHEMES: Final = tuple(f"{scheme}://" for scheme in _KINDS)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL taken apart. `nodes` are (host, port): the server, the sentinels, or some of the cluster."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = None
    master: str = ""
    sentinel_user: str | None = None
    sentinel_password: str | None = None
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: Verify = Verify.HOST

    @property
    def shown(self) -> str:
        """The URL without user, password or settings, for people and logs."""
        if self.kind is Kind.SOCKET:
            return f"unix://{self.path}"
        scheme = ("rediss" if self.tls else "redis") + ("" if self.kind is Kind.SERVER else f"+{self.kind}")
        nodes = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        master = f"/{self.master}" if self.master else ""
        return f"{scheme}://{nodes}{master}" + ("" if self.kind is Kind.CLUSTER else f"/{self.db}")


def parse(url: str) -> RedisUrl:
    """`url` taken apart.

    Raises:
        ValueError: it cannot be taken; the message says which part and what would do, and never shows a password.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _KINDS:
        near = difflib.get_close_matches(scheme, _KINDS, 1) if found else []
        meant = f"did you mean {near[0]}://? " if near else ""
        raise ValueError(f"no such scheme; {meant}use one of {', '.join(SCHEMES)}")
    kind, tls = _KINDS[scheme]
    where, _, query = rest.partition("?")
    settings = _settings(query, kind, tls=tls)
    authority, slash, path = where.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, password = _credentials(credentials)
    nodes: tuple[tuple[str, int], ...] = ()
    master = database = ""
    if kind is Kind.SOCKET:
        if hosts or not path:
            raise ValueError("a socket needs its absolute path, like unix:///run/redis.sock")
        path = unquote(slash + path)
    else:
        nodes = _nodes(hosts, SENTINEL_PORT if kind is Kind.SENTINEL else PORT, one=kind is Kind.SERVER)
        master, database = _path(path, kind)
        path = ""
    return RedisUrl(
        kind=kind,
        nodes=nodes,
        path=path,
        db=_db(database or settings.get("db", ""), kind),
        user=user,
        password=password,
        master=master,
        sentinel_user=settings.get("sentinel_user"),
        sentinel_password=settings.get("sentinel_password"),
        tls=tls,
        ca=settings.get("ca"),
        cert=settings.get("cert"),
        key=settings.get("key"),
        verify=_verify(settings.get("verify", Verify.HOST)),
    )


def _settings(query: str, kind: Kind, *, tls: bool) -> dict[str, str]:
    known = [
        *(_TLS_QUERY if tls else ()),
        *(("sentinel_user", "sentinel_password") if kind is Kind.SENTINEL else ()),
        *(("db",) if kind is not Kind.CLUSTER else ()),
    ]
    settings: dict[str, str] = {}
    for raw, value in parse_qsl(query, keep_blank_values=True):
        name = _ALIASES.get(raw, raw)
        if name in _TLS_QUERY and not tls:
            raise ValueError(f"{raw} is a setting of TLS; write rediss instead of redis before the ://")
        if name not in known:
            raise ValueError(f"{raw!r} is no setting of this kind of URL; known here: {', '.join(known) or 'none'}")
        if not value:
            raise ValueError(f"{raw} is empty; give it a value or leave it out")
        settings[name] = value
    if "key" in settings and "cert" not in settings:
        raise ValueError("key without cert; name the file of the certificate, too (cert=FILE)")
    return settings


def _credentials(text: str) -> tuple[str | None, str | None]:
    user, _, password = text.partition(":")
    return unquote(user) or None, unquote(password) or None


def _nodes(hosts: str, default_port: int, *, one: bool) -> tuple[tuple[str, int], ...]:
    parts = hosts.split(",")
    if one and len(parts) > 1:
        raise ValueError("more than one host; write redis+sentinel:// or redis+cluster:// where there are several")
    if len(parts) > NODES_MAX:
        raise ValueError(f"{len(parts)} hosts; {NODES_MAX} at most, and three are enough")
    return tuple(_node(part, default_port) for part in parts)


def _node(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if closed and rest[:1] in ("", ":") else "?"
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError("a host is missing; write HOST or HOST:PORT, several with commas between")
    if not port:
        return unquote(host), default_port
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        # Not shown: with a stray @ or / what stands here may be a piece of a password.
        raise ValueError(
            "a port is not a number from 1 to 65535 (an IPv6 address stands in [], a special character of a password "
            "is percent-encoded)"
        )
    return unquote(host), int(port)


def _path(path: str, kind: Kind) -> tuple[str, str]:
    if kind is not Kind.SENTINEL:
        return "", path.strip("/")
    master, _, database = path.partition("/")
    if not master:
        raise ValueError("the name of the master is missing; the sentinels know it: redis+sentinel://HOST/MASTER")
    return unquote(master), database.strip("/")


def _db(text: str, kind: Kind) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the database is not a number, like the 0 of redis://HOST:6379/0")
    if kind is Kind.CLUSTER and int(text):
        raise ValueError("a cluster has database 0 only; leave the number out")
    return int(text)


def _verify(text: str) -> Verify:
    if text not in set(Verify):
        raise ValueError(f"verify is {text!r}; it is one of {', '.join(Verify)}")
    return Verify(text)
