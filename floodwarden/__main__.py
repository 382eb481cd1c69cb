"""`floodwarden`: runs a command; every failure a person can act on is one line, exit code 1, or 2 for wrong use."""

from __future__ import annotations

import os
import sys

import structlog

from detectors.errors import ArtifactError
from enforcer.errors import CommandError as RefusedError
from floodwarden.cli import app
from floodwarden.errors import CommandError
from limiter.errors import PolicyError
from schemas.errors import BadMessageError, FileError, SettingsError


def main() -> None:
    """Run the command line and exit with 0 (fine), 1 (a finding or failure) or 2 (usage)."""
    # Standard output is for what a command says, which programs read. A service says how it logs when it starts.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        app(prog_name="floodwarden")
    except SettingsError as error:
        _fail(str(error), 2)
    except RefusedError as error:
        _fail(str(error), 2 if error.code == "bad_value" else 1)
    except (CommandError, BadMessageError, ArtifactError, PolicyError, FileError) as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `floodwarden alerts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"floodwarden: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
