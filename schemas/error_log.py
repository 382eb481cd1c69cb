"""Lines of error logs of nginx and Apache: what they tell of a client's request, as a status and a few words.

Both write the time of their machine without a zone; it is taken as UTC. A line that tells of no client, or of nothing
that a client did, is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

NGINX_LIMIT: Final = "nginx:"  # begins the name of the limit that nginx reports
_NGINX: Final = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\w+\] \S+ (?:\*\d+ )?(.*?), client: ([^,\s]+)"
    r'(?:, server: [^,]*)?(?:, request: "((?:[^"\\]|\\.)*)")?'
)
_APACHE: Final = re.compile(
    r"\[(?:\w{3} )?(\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.\d+)? (\d{4})\] \[[\w:-]*\](?: \[pid [^\]]*\])?(?: [^\[]*)?"
    r" \[client ([^\]\s]+?)(?::\d+)?\] (?:AH\d+: )?(.*)"
)
_USER: Final = re.compile(r'user "([^"]*)"')
_ZONE: Final = re.compile(r'by zone "([^"]{1,100})"')
_REFUSED: Final = re.compile(
    r"user [`'\"]?(.{1,200}?)['\"]?(?: in realm .*?)?"
    r"(?: not found|: authentication failure|: password mismatch)(?: for |[^:]*: )?[\"']?([^\"']*)",
    re.IGNORECASE,
)
_FILE: Final = re.compile(
    r"(?:file does not exist|client denied by server configuration|script not found or unable to stat|script '"
    r"|cannot serve directory|attempt to serve directory|directory index forbidden by options directive"
    r"|cannot map \S+ ):? *'?([^' ]+)",
    re.IGNORECASE,
)
_BAD: Final = re.compile(r"invalid (?:method|uri|protocol|request)\b.{0,40} in request ?(.*)", re.IGNORECASE)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NGINX_STATUS: Final = (
    ("limiting requests, dry run", 0),
    ("limiting connections, dry run", 0),
    ("delaying request", 0),
    ("limiting requests", 429),
    ("limiting connections", 429),
    ("access forbidden by rule", 403),
    ("directory index of", 403),
    ("client intended to send too large", 413),
    ("client sent invalid", 400),
    ("client sent too long", 414),
    ("client sent duplicate", 400),
    ("client sent http/1.1 request without", 400),
    ("client sent plain http request to https port", 400),
)
_MISSING: Final = ("no such file or directory", "is not found (2:", "not a directory")


class Told(NamedTuple):
    """What an error line tells: `request` is the request line, or only a path where the log has no more."""

    ts_ms: int
    ip: str
    status: int
    request: str
    user: str | None = None
    limit: str | None = None


def told(line: str) -> Told | str | None:
    """What a line tells; the reason where it is an error line of no use; None where it is no error line."""
    if line[:1] == "[":
        return _apache(line)
    if line[:4].isdigit() and line[4:5] == "/":
        return _nginx(line)
    return None


def _nginx(line: str) -> Told | str:
    found = _NGINX.match(line)
    if found is None:
        return "error line without a client's request"
    time, message, ip, request = found.groups()
    try:
        at = datetime.strptime(time, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return "bad time"
    lower = message.lower()
    status = next((code for text, code in _NGINX_STATUS if lower.startswith(text)), 0)
    user = _USER.search(message)
    if user and ("not found" in lower or "mismatch" in lower):
        status = 401
    elif not status and any(text in lower for text in _MISSING):
        status, user = 404, None
    else:
        user = None
    if not status or (request is None and status != 400):
        return "error line of no interest"
    zone = _ZONE.search(message) if status == 429 else None
    limit = f"{NGINX_LIMIT}{zone[1] if zone else '?'}" if status == 429 else None
    return Told(_ms(at), ip, status, request or "", user[1] if user else None, limit)


def _apache(line: str) -> Told | str | None:
    found = _APACHE.match(line)
    if found is None:
        return None if not re.match(r"\[\w{3} \w{3} ", line) else "error line without a client's request"
    month, day, time, year, ip, message = found.groups()
    try:
        hour, minute, second = (int(part) for part in time.split(":"))
        at = datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return "bad time"
    message = message.partition(", referer: ")[0]
    user = _REFUSED.match(message)
    if user:
        return Told(_ms(at), ip, 401, user[2].rstrip(":") or "/", user[1])
    file = _FILE.search(message)
    if file:
        missing = message.lower().startswith(("file does not", "script", "cannot map"))
        return Told(_ms(at), ip, 404 if missing else 403, file[1])
    bad = _BAD.search(message)
    if bad:
        return Told(_ms(at), ip, 400, bad[1])
    return "error line of no interest"


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
