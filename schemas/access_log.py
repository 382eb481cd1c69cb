"""Lines of web servers as decisions: combined and common logs, error logs, tab-separated logs with a header.

Such logs know no limiter: the verdict is `allow` unless the server answered 429 or nginx said that it limited the
request. They know no routes either: `schemas.templates` makes them. A static file that was there stands under its
template (`/images/*.png`), so that a page's pictures are no walk through a catalogue; a missing one keeps its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from schemas.decision import TEXT_BYTES_MAX, TS_MS_MAX, TS_MS_MIN, Decision, Verdict
from schemas.error_log import Told, told
from schemas.privacy import masked
from schemas.routes import BASIC_AUTH
from schemas.templates import MALFORMED, Templates, is_static

LINE_BYTES_MAX: Final = 65_536
_REMEMBERED_MAX: Final = 50_000
_QUOTED: Final = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_TAIL: Final = rf" \[([^\]]{{10,40}})\] {_QUOTED} (\d{{3}}|-) (\S+)(?: {_QUOTED} {_QUOTED})?"
_ACCESS: Final = re.compile(rf"(\S+) \S+ (\S+){_TAIL}")
_IP: Final = r"(\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)"
_PREFIXED: Final = re.compile(rf".{{0,200}}?\s{_IP} \S+ (\S+){_TAIL}")  # behind a virtual host or a syslog prefix
_SPACED: Final = re.compile(rf"(\S+) \S+ (\S.{{0,80}}?){_TAIL}")  # the user's name has spaces
_VERSIONS: Final = frozenset(("0.9", "1.0", "1.1", "2", "2.0", "3", "3.0"))
_METHOD: Final = re.compile(r"[A-Z][A-Z_-]{2,19}")
_MONTHS: Final = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)}  # noqa: SIM905 - reads as the calendar does
_COLUMNS: Final = {
    "ip": ("ip", "host", "client", "client_ip", "remote_addr", "remote_host", "c-ip"),
    "time": ("time", "timestamp", "ts", "ts_ms", "time_local", "epoch"),
    "method": ("method", "cs-method", "verb"),
    "path": ("path", "url", "uri", "request_uri", "request", "cs-uri-stem"),
    "status": ("status", "response", "code", "sc-status"),
    "user": ("user", "logname", "remote_user", "username"),
    "ua": ("ua", "useragent", "user_agent", "http_user_agent"),
}


class LineError(ValueError):
    """A line that is no request; the message is the reason, in few words and from a fixed set."""


class _Request(NamedTuple):
    method: str | None
    path: str
    route: str


class AccessLog:
    """Reads lines of combined and common logs and error logs; remembers paths and times it has seen, within a bound."""

    def __init__(self, templates: Templates | None = None) -> None:
        self._templates = templates or Templates()
        self._requests: dict[str, _Request] = {}
        self._hours: dict[str, int] = {}

    def decision(self, line: str) -> Decision:
        """The decision a line tells of.

        Raises:
            LineError: it tells of none; the message says why.
        """
        found = _ACCESS.match(line)
        if found is None:
            error = told(line)
            if error is not None:
                return self._error(error)
            found = _PREFIXED.match(line) or _SPACED.match(line)
            if found is None:
                raise LineError("not an access log line")
        ip, user, time, request, status, _, referer, agent = found.groups()
        asked = self.request(request)
        return _decision(
            ts_ms=self.time_ms(time),
            ip=ip,
            user=user,
            asked=asked,
            status=0 if status == "-" else int(status),
            ua=agent,
            referer=referer,
        )

    def request(self, text: str) -> _Request:
        """Method, path and route of a quoted request line."""
        known = self._requests.get(text)
        if known is None:
            if len(self._requests) >= _REMEMBERED_MAX:
                self._requests.clear()
            known = self._requests[text] = self._split(text)
        return known

    def _split(self, text: str) -> _Request:
        method, _, rest = text.partition(" ")
        if not _METHOD.fullmatch(method) or not rest:
            # TLS on a plain port, a worm's greeting, `-`: kept as what was asked, for it was answered with an error.
            return _asked(None, text, MALFORMED)
        path, _, version = rest.rpartition(" HTTP/")
        if path and version not in _VERSIONS:
            return _asked(method, path, MALFORMED)  # tools that make up versions
        return _asked(method, path or rest, self._templates(path or rest))

    def time_ms(self, text: str) -> int:
        """`10/Oct/2000:13:55:36 -0700` (or ISO 8601) as epoch milliseconds; an hour is worked out once."""
        hour, zone = text[:14], text[20:]
        base_ms = self._hours.get(hour + zone)
        try:
            if base_ms is None:
                if text[2:3] != "/":
                    return _in_range(round(datetime.fromisoformat(text).timestamp() * 1000))
                base_ms = self._remember_hour(text, hour + zone)
            return base_ms + (int(text[15:17]) * 60 + int(text[18:20])) * 1000
        except LineError:
            raise
        except (ValueError, KeyError, OverflowError) as error:
            raise LineError("bad time") from error

    def _remember_hour(self, text: str, key: str) -> int:
        sign = -1 if text[21] == "-" else 1
        begun = datetime(int(text[7:11]), _MONTHS[text[3:6]], int(text[:2]), int(text[12:14]), tzinfo=UTC)
        zone_s = sign * (int(text[22:24]) * 3600 + int(text[24:26]) * 60)
        if len(self._hours) >= _REMEMBERED_MAX:
            self._hours.clear()
        base_ms = self._hours[key] = _in_range((int(begun.timestamp()) - zone_s) * 1000)
        return base_ms

    def _error(self, error: Told | str) -> Decision:
        """A line of an error log: a refused login, a file that is not there, a request that was limited or none."""
        if isinstance(error, str):
            raise LineError(error)
        request = error.request
        asked = self.request(request if _METHOD.match(request) or error.status == 400 else f"GET {request}")
        return _decision(
            ts_ms=_in_range(error.ts_ms),
            ip=error.ip,
            user=error.user or "-",
            asked=asked,
            status=error.status,
            ua=None,
            rule=error.limit,
        )


class Table:
    """Reads lines of a tab-separated log by its header; host and time are needed, the rest may be missing."""

    def __init__(self, header: str, templates: Templates | None = None) -> None:
        names = [name.strip().lower() for name in header.rstrip("\r\n").lstrip("#").split("\t")]
        found = {what: next((names.index(n) for n in known if n in names), -1) for what, known in _COLUMNS.items()}
        if found["ip"] < 0 or found["time"] < 0:
            raise LineError(f"a header needs a host and a time column, not {', '.join(names)[:100]}")
        self._at, self._log = found, AccessLog(templates)

    def decision(self, line: str) -> Decision:
        """The decision of one row.

        Raises:
            LineError: host, time or status is not usable.
        """
        fields = line.split("\t")

        def field(name: str) -> str:
            at = self._at[name]
            return fields[at].strip() if 0 <= at < len(fields) else ""

        ip, path = field("ip"), field("path")
        if not ip:
            raise LineError("no host")
        status = field("status")
        if status and status != "-" and not (status.isdigit() and len(status) <= 3):
            raise LineError("bad status")
        asked = self._log.request(f"{field('method') or 'GET'} {path}") if " " not in path else self._log.request(path)
        return _decision(
            ts_ms=_epoch_ms(field("time")),
            ip=ip,
            user=field("user"),
            asked=asked,
            status=int(status) if status.isdigit() else 0,
            ua=field("ua"),
        )


def looks_like_access_log(lines: Iterable[str]) -> bool:
    """Whether any of the first lines of a file can be read as one."""
    log = AccessLog()
    return any(_reads(log.decision, line) for line in lines)


def looks_like_table(header: str) -> bool:
    """Whether a first line is the header of a tab-separated log."""
    return "\t" in header and _reads(Table, header)


def _reads(read: Callable[[str], object], line: str) -> bool:
    try:
        read(line)
    except LineError:
        return False
    return True


def _asked(method: str | None, path: str, route: str) -> _Request:
    return _Request(method, masked(path), route)


def _decision(
    *,
    ts_ms: int,
    ip: str,
    user: str,
    asked: _Request,
    status: int,
    ua: str | None,
    referer: str | None = None,
    rule: str | None = None,
) -> Decision:
    """A row; one that was refused although its header named a user is a failed login."""
    name = None if user in ("-", "") else user[: TEXT_BYTES_MAX // 4]
    route = asked.route + BASIC_AUTH if name and status == 401 else asked.route
    verdict: Verdict = "limit" if status == 429 else "allow"
    served = is_static(asked.route) and status < 400
    return Decision(
        ts_ms=ts_ms,
        verdict=verdict,
        ip=ip[:64],
        user=name,
        method=asked.method,
        route=route,
        path=asked.route if served else asked.path,
        status=status if status <= 599 else 0,
        ua=None if ua in ("-", "", None) else ua[: TEXT_BYTES_MAX // 4],
        rule=rule,
        referer=None if referer in ("-", "", None) else masked(referer),
    )


def _epoch_ms(text: str) -> int:
    try:
        if text.replace(".", "", 1).isdigit():
            value = float(text)
            return _in_range(int(value if value > 1e11 else value * 1000))
        return _in_range(round(datetime.fromisoformat(text).timestamp() * 1000))
    except LineError:
        raise
    except (ValueError, OverflowError) as error:
        raise LineError("bad time") from error


def _in_range(ts_ms: int) -> int:
    if not TS_MS_MIN <= ts_ms <= TS_MS_MAX:
        raise LineError("time before 1980 or after 2100")
    return ts_ms
