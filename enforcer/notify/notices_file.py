"""The file of destinations and routes -> `Notices`. Every error names file, line, field and the fix.

docs/notices.md has every word. A value that is a secret may be `env:NAME` or `file:PATH`; no error repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from enforcer.notify.destinations import PAGERDUTY_URL, PER_MINUTE, Destination, Format, Kind, Mail, Notices, Route, Tls
from schemas.alert import Severity
from schemas.documents import documents, read
from schemas.errors import FileError, one_of
from schemas.reading import At

SETTING: Final = "FLOODWARDEN_NOTICES"
DESTINATIONS_MAX: Final = 50
ROUTES_MAX: Final = 200
RECIPIENTS_MAX: Final = 50
KEY_CHARS: Final = 32
SECRET_CHARS_MIN: Final = 16
_SOME: Final = "{chat: {kind: slack, url: env:SLACK_WEBHOOK}}"
_BEGIN: Final = "start from the example in docs/notices.md"
_WORDS: Final = ("version", "link", "destinations", "routes", "pages")
_ANY: Final = ("kind", "per_minute", "tries")
_OWN: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.SLACK: ("url", "ca"),
    Kind.PAGERDUTY: ("key", "url", "ca"),
    Kind.ALERTMANAGER: ("url", "ca"),
    Kind.WEBHOOK: ("url", "secret", "format", "ca"),
    Kind.EMAIL: ("server", "tls", "user", "password", "from", "to", "ca"),
    Kind.FILE: ("path", "format"),
    Kind.KAFKA: ("topic", "format"),
}
_NEEDED: Final[dict[Kind, dict[str, str]]] = {
    Kind.SLACK: {"url": "env:SLACK_WEBHOOK"},
    Kind.PAGERDUTY: {"key": "file:/run/secrets/pagerduty"},
    Kind.ALERTMANAGER: {"url": "http://alertmanager:9093"},
    Kind.WEBHOOK: {"url": "https://soc.example.com/hook", "secret": "file:/run/secrets/soc"},
    Kind.EMAIL: {"server": "smtp.example.com:587", "from": "floodwarden@example.com", "to": "[oncall@example.com]"},
    Kind.FILE: {"path": "/var/log/floodwarden/findings.jsonl"},
    Kind.KAFKA: {"topic": "security.findings"},
}
_MAIL_PORTS: Final = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}
_T = TypeVar("_T")
Environment = Callable[[str], str | None]


@dataclass(slots=True)
class Examined:
    """What was read, all that is wrong with it, and what its author hardly means."""

    notices: Notices = field(default_factory=Notices)
    errors: list[FileError] = field(default_factory=list)
    warnings: list[FileError] = field(default_factory=list)


def load(path: Path, environment: Environment = os.environ.get) -> Notices:
    """The file at `path`.

    Raises:
        FileError: the first thing that is wrong.
    """
    found = examine(path, environment)
    if found.errors:
        raise found.errors[0]
    return found.notices


def examine(path: Path, environment: Environment = os.environ.get) -> Examined:
    """Everything in the file at `path`, and all that is wrong with it."""
    found = Examined()
    try:
        (document, *more) = documents(read(path, SETTING), str(path), lines=True, begin=_BEGIN)
        whole = At(document.file, "notices", document.tree, document.line)
        if more:
            raise whole.wrong(f"holds {len(more) + 1} documents", "one is all it may hold; remove the `---`")
        _Reader(found, environment).whole(whole)
    except FileError as error:
        found.errors.append(error)
    return found


class _Reader:
    def __init__(self, found: Examined, environment: Environment) -> None:
        self._found = found
        self._environment = environment

    def whole(self, at: At) -> None:
        fields = at.fields(*_WORDS, required={"version": "1", "destinations": _SOME})
        fields["version"].whole(1, 1)
        named = fields["destinations"].fields()
        if not 1 <= len(named) <= DESTINATIONS_MAX:
            raise fields["destinations"].wrong(f"has {len(named)} entries", f"1 to {DESTINATIONS_MAX}")
        made = self._each(list(named.items()), lambda pair: self._destination(*pair))
        destinations = {one.name: one for one in made}
        items = fields["routes"].items() if "routes" in fields else []
        if len(items) > ROUTES_MAX:
            raise fields["routes"].wrong(f"has {len(items)} entries", f"at most {ROUTES_MAX}")
        routes = self._each(items, lambda item: _route(item, set(named)))
        link = _link(fields["link"]) if "link" in fields else ""
        if "pages" in fields:
            (pages,) = self._each([fields["pages"]], lambda each: _names(each, set(named))) or [()]
        else:
            pages = tuple(one.name for one in made if one.kind is Kind.PAGERDUTY)
        self._found.notices = Notices(destinations, tuple(routes), link, pages)
        used = {name for route in routes for name in route.to} | set(pages)
        for name, place in named.items():
            if name not in used:
                fix = f"add one under `routes`: `- to: {name}`"
                self._found.warnings.append(place.wrong("is in no route", fix))

    def _each(self, items: list[_T], make: Callable[[_T], _R]) -> list[_R]:
        made = []
        for item in items:
            try:
                made.append(make(item))
            except FileError as error:
                self._found.errors.append(error)
        return made

    def _destination(self, name: str, at: At) -> Destination:
        At(at.file, at.field, name, at.line).name()
        kind_at = at.fields(required={"kind": "slack"})["kind"]
        kind = _one(kind_at, Kind)
        said = at.fields(*_ANY, *_OWN[kind], required=_NEEDED[kind])
        return Destination(
            name=name,
            kind=kind,
            url=self._url(kind, said, at),
            secret=self._opens(kind, said),
            format=_one(said["format"], Format) if "format" in said else Format.PLAIN,
            path=Path(said["path"].text()) if "path" in said else None,
            topic=_topic(said["topic"]) if "topic" in said else "",
            mail=self._mail(said) if kind is Kind.EMAIL else None,
            ca=_readable(said["ca"]) if "ca" in said else None,
            per_minute=said["per_minute"].whole(1, 600) if "per_minute" in said else PER_MINUTE.get(kind, 0),
            tries=said["tries"].whole(1, 100) if "tries" in said else 20,
        )

    def _url(self, kind: Kind, said: dict[str, At], at: At) -> str:
        if kind not in (Kind.SLACK, Kind.PAGERDUTY, Kind.ALERTMANAGER, Kind.WEBHOOK):
            return ""
        if "url" not in said:
            return PAGERDUTY_URL
        url = self._secret(said["url"])
        fix = "write https://HOST/PATH"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise said["url"].wrong("is no URL", fix) from error
        if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or not url.isascii():
            raise said["url"].wrong("is no URL of a web server", fix)
        if parts.username is not None:
            raise said["url"].wrong("has a name or password in it", "a webhook is signed with `secret` instead")
        if parts.scheme == "http" and kind in (Kind.SLACK, Kind.PAGERDUTY):
            self._found.warnings.append(said["url"].wrong("is not encrypted, and it is a secret", fix))
        elif parts.scheme == "http" and kind is Kind.WEBHOOK:
            self._found.warnings.append(at.wrong("goes unencrypted: who is suspected of what is readable", fix))
        return url.removesuffix("/") + "/api/v2/alerts" if kind is Kind.ALERTMANAGER else url

    def _opens(self, kind: Kind, said: dict[str, At]) -> str:
        if kind is Kind.PAGERDUTY:
            key = self._secret(said["key"])
            if len(key) != KEY_CHARS or not key.isalnum():
                raise said["key"].wrong("is no integration key", f"the {KEY_CHARS} characters of an Events API v2 key")
            return key
        if kind is not Kind.WEBHOOK:
            return ""
        secret = self._secret(said["secret"])
        if len(secret) < SECRET_CHARS_MIN:
            raise said["secret"].wrong("is too short", f"at least {SECRET_CHARS_MIN} characters of chance")
        return secret

    def _mail(self, said: dict[str, At]) -> Mail:
        tls = _one(said["tls"], Tls) if "tls" in said else Tls.STARTTLS
        server = said["server"].text()
        host, _, port = server.rpartition(":") if ":" in server else (server, "", str(_MAIL_PORTS[tls]))
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise said["server"].wrong(f"{server[:80]!r} is no server", "write smtp.example.com:587")
        if ("user" in said) != ("password" in said):
            raise said["server"].wrong("has only one of `user` and `password`", "give both or neither")
        if "user" in said and tls is Tls.NONE:
            raise said["user"].wrong("would send the password unencrypted", "take `tls: starttls`")
        to = said["to"].one_or_more()
        if len(to) > RECIPIENTS_MAX:
            raise said["to"].wrong(f"has {len(to)} entries", f"at most {RECIPIENTS_MAX}; or a list's address")
        return Mail(
            host=host.strip("[]"), port=int(port), tls=tls, user=said["user"].text() if "user" in said else "",
            password=self._secret(said["password"]) if "password" in said else "",
            sender=_address(said["from"]), to=tuple(_address(one) for one in to),
        )  # fmt: skip

    def _secret(self, at: At) -> str:
        text = at.text().strip()
        way, _, where = text.partition(":")
        if way == "env":
            value = self._environment(where)
            if not value:
                raise at.wrong(f"the environment has no {where[:80]}", "set it for the enforcer")
            return value.strip()
        if way == "file":
            return _readable(at, where).read_text("utf-8").strip()
        return text


_R = TypeVar("_R")


def _route(at: At, known: set[str]) -> Route:
    said = at.fields("to", "severity", "kinds", "routes", "tenants", "wait_s", required={"to": min(known)})
    texts = {name: tuple(item.text() for item in said[name].one_or_more()) for name in _SETS if name in said}
    return Route(
        to=_names(said["to"], known),
        severity=_one(said["severity"], Severity) if "severity" in said else Severity.INFO,
        kinds=frozenset(texts.get("kinds", ())),
        routes=texts.get("routes", ()),
        tenants=frozenset(texts.get("tenants", ())),
        wait_s=said["wait_s"].whole(0, 600) if "wait_s" in said else 5,
    )


def _names(at: At, known: set[str]) -> tuple[str, ...]:
    """Destinations, each once."""
    found = at.one_or_more()
    for one in found:
        if one.text() not in known:
            raise one.wrong(f"{one.text()[:80]!r} is no destination", one_of(one.text(), sorted(known)))
    return tuple(dict.fromkeys(one.text() for one in found))


_SETS: Final = ("kinds", "routes", "tenants")
_E = TypeVar("_E", Kind, Format, Tls, Severity)


def _one(at: At, words: type[_E]) -> _E:
    try:
        return words(at.text())
    except ValueError as error:
        raise at.wrong(f"{at.text()[:80]!r} is not known", one_of(at.text(), [str(word) for word in words])) from error


def _topic(at: At) -> str:
    name = at.text()
    if not 1 <= len(name) <= 249 or not all(c.isalnum() or c in "._-" for c in name) or not name.isascii():
        raise at.wrong(f"{name[:80]!r} is no topic", "letters, digits, `.`, `_` and `-`")
    return name


def _readable(at: At, where: str | None = None) -> Path:
    path = Path(at.text() if where is None else where)
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise at.wrong(f"{path}: {error.strerror}", "name a file that the enforcer can read") from error
    return path


def _address(at: At) -> str:
    text = at.text().strip()
    _, address = parseaddr(text)
    name, _, host = address.rpartition("@")
    if not name or not host or any(ord(c) < 33 for c in address) or "\n" in text or "\r" in text:
        raise at.wrong(f"{text[:80]!r} is no address", "write oncall@example.com")
    return text


def _link(at: At) -> str:
    text = at.text()
    if urlsplit(text).scheme not in ("https", "http") or "{incident}" not in text:
        raise at.wrong(f"{text[:80]!r} leads to no incident", "write https://HOST/incidents/{incident}")
    return text
