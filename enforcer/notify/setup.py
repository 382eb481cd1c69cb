"""What settings say of notices."""

from __future__ import annotations

from enforcer.notify import addresses, notices_file
from enforcer.notify.addresses import Network
from enforcer.notify.destinations import Notices
from schemas.errors import FileError, SettingsError
from schemas.settings import PREFIX, Settings


def configured(settings: Settings) -> Notices | None:
    """Who is to be told; None where nobody is.

    Raises:
        SettingsError: the file, or the networks, cannot be taken.
    """
    private(settings)
    try:
        return None if settings.notices is None else notices_file.load(settings.notices)
    except FileError as error:
        raise SettingsError(f"{PREFIX}NOTICES: {error}; `floodwarden notices lint` tells all that is wrong") from error


def private(settings: Settings) -> tuple[Network, ...]:
    """Private networks that are allowed. Raises `SettingsError`."""
    try:
        return addresses.parse(settings.notices_private)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}NOTICES_PRIVATE: {error}; write 10.0.0.0/8,fd00::/8") from error
