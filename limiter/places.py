"""Where an address is, its country and its network's number, by the operator's own databases in MaxMind's format.

Read again when they change. What is looked up is remembered, within a bound: a look-up is some microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from limiter.attributes import canonical_value
from schemas.errors import SettingsError

SETTING: Final = "FLOODWARDEN_GEOIP"
KEPT_MAX: Final = 65_536
LOOK_EVERY_S: Final = 30.0
NOWHERE: Final[Mapping[str, str]] = {}
log = structlog.get_logger("limiter.places")


class Places:
    """Attributes of addresses: `country`, `asn`; from each database what it has.

    Raises:
        SettingsError: a file cannot be read, or is no such database; or what reads them is not installed.
    """

    def __init__(self, paths: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._paths = [Path(text.strip()) for text in paths.split(",") if text.strip()]
        self._clock_s = clock_s
        self._stamps = [_stamp(path) for path in self._paths]
        self._databases = [_opened(path) for path in self._paths]
        self._kept: dict[str, Mapping[str, str]] = {}
        self._looked_s = clock_s()

    def of(self, ip: str | None) -> Mapping[str, str]:
        """What is known of `ip`; nothing where there is no database, no address, or it is unknown."""
        if ip is None or not self._databases:
            return NOWHERE
        if self._clock_s() - self._looked_s >= LOOK_EVERY_S:
            self._look()
        found = self._kept.get(ip)
        if found is None:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            found = self._kept[ip] = self._read(ip)
        return found

    def _read(self, ip: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for database in self._databases:
            try:
                record = database.get(ip)
            except ValueError:  # no address, or IPv6 in a database of IPv4
                continue
            if isinstance(record, dict):
                found |= _said(record)
        return found or NOWHERE

    def _look(self) -> None:
        """Open again what changed. A file that cannot be read leaves the one before in use."""
        self._looked_s = self._clock_s()
        for at, path in enumerate(self._paths):
            try:
                if (stamp := _stamp(path)) == self._stamps[at]:
                    continue
                self._databases[at] = _opened(path)
            except SettingsError as error:
                log.warning("geoip_kept", reason=str(error))
            else:
                self._kept.clear()
                log.info("geoip_read_again", path=str(path))
                self._stamps[at] = stamp


def _said(record: Mapping[str, Any]) -> dict[str, str]:
    """Country and ASN as GeoLite2, DB-IP and IPinfo write them."""
    country = record.get("country") or record.get("registered_country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code", country)
    number = record.get("autonomous_system_number", record.get("asn"))
    said = {"country": code, "asn": number}
    plain = {name: canonical_value(name, str(value)) for name, value in said.items() if value}
    return {name: value for name, value in plain.items() if value is not None}


def _opened(path: Path) -> Any:
    try:
        import maxminddb  # noqa: PLC0415 - an extra; only who has databases needs it
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{SETTING}: maxminddb is not installed; install floodwarden with the extra `geoip`"
        ) from error
    try:
        return maxminddb.open_database(path, maxminddb.MODE_AUTO)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"{SETTING}: {path}: {error}; name files in MaxMind's format (.mmdb)") from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise SettingsError(f"{SETTING}: {path}: {error.strerror}; name files in MaxMind's format (.mmdb)") from error
    return found.st_mtime_ns, found.st_ino
