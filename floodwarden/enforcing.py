"""The enforcer with its API, and that behind our own limiter: the two programs do not know of each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from pydantic import SecretStr
from starlette.types import ASGIApp

from enforcer import app
from enforcer.api.app import Around, beside
from enforcer.model_command import Thresholds
from floodwarden.policy_examined import examine
from limiter.limiter import AsyncLimiter
from schemas.models import Version
from schemas.settings import Settings

POLICY: Final = Path(__file__).with_name("api_policy.yaml")
_UNSEEN: Final = ("/healthz",)


def run(settings: Settings) -> None:
    """Enforce and serve the API until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting nobody can take.
        PolicyError: the API's policy cannot be taken.
    """
    app.run(settings, beside(settings, limited(settings), examine, _judge, _inspect))


def _judge(settings: Settings, number: int) -> Thresholds:
    from floodwarden.model_orders import judge  # noqa: PLC0415 - detection is loaded by who asks for a model, or never

    return judge(settings, number)


def _inspect(settings: Settings, data: bytes) -> Version:
    from floodwarden.model_orders import inspect  # noqa: PLC0415 - as above

    return inspect(settings, data)


def limited(settings: Settings) -> Around:
    """Callers of the API are limited by address and by key; all enforcers share the count in Redis.

    Raises:
        PolicyError: the API's policy cannot be taken.
    """
    limiter = AsyncLimiter(_of_the_api(settings))

    @asynccontextmanager
    async def around(api: ASGIApp) -> AsyncIterator[ASGIApp]:
        async with limiter:
            yield cast("ASGIApp", limiter.middleware(api, exempt=_UNSEEN))

    return around


def _of_the_api(settings: Settings) -> Settings:
    """Apart from the site's limiters: with Redis keys of its own it is no node of theirs, nor takes their tokens."""
    return settings.model_copy(
        update={
            "policies": settings.api_policies or POLICY,
            "redis_prefix": f"{settings.redis_prefix}api:",
            "node": f"{settings.node or 'enforcer'}-api",
            "allowlist": "",
            "key_header": "x-api-key",
            "jwt_secret": SecretStr(""),
            "jwt_public_key": None,
            "jwt_jwks": None,
        }
    )
